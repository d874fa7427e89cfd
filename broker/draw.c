#include "broker/draw.h"

#include "proto/wire/check.h"

/* A pair that is not listed is 0 and cannot happen. */
static const struct {
    bool allowed;
    enum draw_state next;
} transitions[DRAW_STATES][DRAW_EVENTS] = {
    [DRAW_OPEN][DRAW_SEAL] = {true, DRAW_SEALED},
    [DRAW_OPEN][DRAW_BREAK] = {true, DRAW_VOIDING},
    [DRAW_SEALED][DRAW_COUNTED] = {true, DRAW_PUBLISHING},
    [DRAW_SEALED][DRAW_BREAK] = {true, DRAW_VOIDING},
    [DRAW_PUBLISHING][DRAW_DURABLE] = {true, DRAW_PUBLISHED},
    [DRAW_VOIDING][DRAW_VOID_KEPT] = {true, DRAW_VOID},
};

bool draw_allows(enum draw_state state, enum draw_event event)
{
    CHECK(state < DRAW_STATES && event < DRAW_EVENTS);
    return transitions[state][event].allowed;
}

enum draw_state draw_next(enum draw_state state, enum draw_event event)
{
    CHECK(draw_allows(state, event));
    return transitions[state][event].next;
}

enum phase draw_phase(enum draw_state state)
{
    static const enum phase phases[DRAW_STATES] = {
        [DRAW_OPEN] = PHASE_OPEN,         [DRAW_SEALED] = PHASE_SEALED,
        [DRAW_PUBLISHING] = PHASE_SEALED, [DRAW_PUBLISHED] = PHASE_PUBLISHED,
        [DRAW_VOIDING] = PHASE_OPEN, /* a void is told once a store has recorded it */
        [DRAW_VOID] = PHASE_VOID,
    };
    CHECK(state < DRAW_STATES);
    return phases[state];
}

bool draw_is_over(enum draw_state state)
{
    return state == DRAW_PUBLISHED || state == DRAW_VOID;
}
