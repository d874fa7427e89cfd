/* How long an agency pauses before it asks again (PROTOCOL.md, "Times"). Three paces: a quick one
 * while a batch is on its way, a slow one at the barrier, and the patience with a broker that does
 * not answer. Pure: jitter comes from a seed. */
#ifndef SORTEO_AGENCY_PACE_H
#define SORTEO_AGENCY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/limits.h"

enum {
    /* A window is at least the broker's budget divided by the agencies, so together they fill 32
     * MiB: 820,000 bets of 41 bytes, 80 ms of work even if 10 M of them went through in a second.
     * One POLL every 5 ms takes 6 % of it. */
    PACE_QUICK_MS_MIN = 5,
    PACE_QUICK_MS_MAX = 1000,
    PACE_BARRIER_STEP_MS_MAX = WAIT_MS_MAX * 4 / 5, /* with a quarter of jitter: WAIT_MS_MAX */
    PACE_REPLY_MS_MAX = 8000,
};

struct pace {
    uint64_t random; /* state of the jitter's generator */
    int64_t quick_ms;
    int64_t barrier_ms;
    int64_t reply_ms;
};

void pace_begin(struct pace *pace, uint64_t seed);

/* The pause while a batch is unsent or unacknowledged: a quarter of the one before after a reply
 * that brought a change, else twice as much; in PACE_QUICK_MS_MIN..MAX. Quartering, because 500
 * agencies that share the budget see a change every 80 ms each: they settle near it instead of
 * asking every 5 ms. */
int64_t pace_quick(struct pace *pace, bool has_changed);

/* The pause at the barrier: 1, 2, 4, 8, 12 s, each with up to a quarter more. */
int64_t pace_barrier(struct pace *pace);
void pace_reset_barrier(struct pace *pace);

/* How long to wait for a reply: RETRY_MS with up to a quarter more; twice as long after each new
 * dial, up to PACE_REPLY_MS_MAX; RETRY_MS again after an answer. */
int64_t pace_reply(struct pace *pace);
void pace_redialled(struct pace *pace);
void pace_answered(struct pace *pace);

#endif
