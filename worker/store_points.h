/* In the fault flavour: a store in front of the real one that passes a crash point before and after
 * each commit, named by what the transaction holds (worker.before_commit.batches, …). With
 * SORTEO_BREAK=early it answers a commit before it makes it, with the next call: what a worker
 * would be that acknowledges too early. */
#ifndef SORTEO_WORKER_STORE_POINTS_H
#define SORTEO_WORKER_STORE_POINTS_H

#include "worker/store.h"

#ifdef SORTEO_CRASH_POINTS

/* in: store: owned from now on, closed with the answer. returns NULL where memory is out. */
struct store *store_points_before(struct store *store);

#else

static inline struct store *store_points_before(struct store *store)
{
    return store;
}

#endif

#endif
