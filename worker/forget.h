/* Draws whose batches are to be deleted (PROTOCOL.md, "FORGET"): in steps, a transaction each;
 * the mark that the draw is forgotten is recorded last, so that a process that dies between is
 * told to forget it again. */
#ifndef SORTEO_WORKER_FORGET_H
#define SORTEO_WORKER_FORGET_H

#include "worker/seals.h"

enum {
    FORGET_DRAWS_MAX = 16, /* waiting; what is beyond is told again at the next registration */
    FORGET_STEP_BATCHES_MAX = 256 /* deleted in one transaction */
};

/* Open for values: zeroed is empty. */
struct forget {
    uint32_t draws[FORGET_DRAWS_MAX];
    uint32_t draws_count;
    uint64_t batches; /* of the first one, deleted so far */
};

/* Takes a draw. One that waits already waits once. false: as many as can wait are waiting. */
bool forget_ask(struct forget *forget, uint32_t draw);

static inline bool forget_is_busy(const struct forget *forget)
{
    return forget->draws_count > 0;
}

/* One step of the first draw. in: no transaction is open. errors: FULL, SYNC, IO, VERSION: the
 * worker ends. */
enum status forget_step(struct forget *forget, const struct workbench *bench, struct seals *seals);

#endif
