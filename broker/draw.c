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
    switch (state) {
    case DRAW_OPEN:
    case DRAW_VOIDING: /* a void is told once a store has recorded it */
        return PHASE_OPEN;
    case DRAW_SEALED:
    case DRAW_PUBLISHING:
        return PHASE_SEALED;
    case DRAW_PUBLISHED:
        return PHASE_PUBLISHED;
    case DRAW_VOID:
        return PHASE_VOID;
    case DRAW_STATES:
        break;
    }
    check_failed(__FILE__, __LINE__, __func__, "a state of a draw");
}

bool draw_is_over(enum draw_state state)
{
    return state == DRAW_PUBLISHED || state == DRAW_VOID;
}
