/* What can happen next in a small world, for the exhaustive run (exhaust.c): a letter arrives, time
 * passes, or a fault strikes.
 *
 * What is left out, since it changes nothing: letters to agencies and workers are read as soon as
 * they come (each of them is alone with his), and time passes when nobody has anything to read, but
 * for the fault that lets it pass before. */
#ifndef SORTEO_TESTS_SIM_CHOICES_H
#define SORTEO_TESTS_SIM_CHOICES_H

#include "tests/sim/world.h"

enum { CHOICES_MAX = 96 };

enum act {
    ACT_DELIVER,    /* the first letter of a line */
    ACT_TIME,       /* to the next moment at which somebody has something to do */
    ACT_LOSE,       /* that letter */
    ACT_DIE,        /* the broker takes it, and dies with everything durable and nothing sent */
    ACT_LATE,       /* time passes before it is there */
    ACT_CUT,        /* the connection breaks, with all that it carries */
    ACT_BROKER,     /* crashes */
    ACT_WORKER,     /* crashes */
    ACT_AGENCY,     /* crashes */
    ACT_LOSE_STORE, /* the worker comes back with an empty disk */
    ACT_FAIL_SYNC,  /* of the store, while it takes that letter, or while time passes */
    ACTS,
};

struct choice {
    uint8_t act;
    uint8_t line;
    uint8_t party;
};

struct choices {
    struct choice all[CHOICES_MAX];
    uint32_t count;
};

static inline bool choice_is_fault(const struct choice *choice)
{
    return choice->act != ACT_DELIVER && choice->act != ACT_TIME;
}

/* in: may_fail: faults are among them. out: at least one that is no fault, while the draw is not
 * over. */
void choices_offer(const struct world *world, bool may_fail, struct choices *choices);
/* Only the wanted one; where it is a fault or not there, the first that is no fault. */
void choices_offer_one(const struct world *world, const struct choice *wanted,
                       struct choices *choices);
/* Does it. */
void choice_apply(struct world *world, const struct choice *choice);
/* For the reader. */
const char *choice_name(enum act act);
void choice_print(const struct choice *choice);

#endif
