/* The phases of one draw as the broker goes through them. What peers are told is enum phase
 * (message.h); inside there are two more states, for decisions that are made but not yet told. */
#ifndef SORTEO_BROKER_DRAW_H
#define SORTEO_BROKER_DRAW_H

#include "proto/wire/message.h"

enum draw_state {
    DRAW_OPEN,       /* takes bets */
    DRAW_SEALED,     /* root and number are fixed; the stores count */
    DRAW_PUBLISHING, /* the result is complete, its record not durable yet */
    DRAW_PUBLISHED,  /* over */
    DRAW_VOIDING,    /* void is decided; the stores record it */
    DRAW_VOID,       /* over */
    DRAW_STATES
};

enum draw_event {
    DRAW_SEAL,      /* the barrier is released and every declaration verified again */
    DRAW_COUNTED,   /* the answered questions cover the manifest */
    DRAW_DURABLE,   /* the record of the result is durable */
    DRAW_BREAK,     /* decided void: by timeout or by the operator */
    DRAW_VOID_KEPT, /* the stores have recorded the void */
    DRAW_EVENTS
};

/* The next state. Checked: the pair is in the table; nobody outside can cause an event. */
enum draw_state draw_next(enum draw_state state, enum draw_event event);

/* True when the pair is in the table. */
bool draw_allows(enum draw_state state, enum draw_event event);

/* What peers are told. */
enum phase draw_phase(enum draw_state state);

/* PUBLISHED or VOID: the next draw may open. */
bool draw_is_over(enum draw_state state);

#endif
