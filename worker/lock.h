/* Which store folder a worker takes: the first of DIR/0, DIR/1, … that nobody holds. It is the
 * same for several workers of one host, scaled containers on one volume and a container that was
 * made anew. */
#ifndef SORTEO_WORKER_LOCK_H
#define SORTEO_WORKER_LOCK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire/status.h"

enum { LOCK_PATH_BYTES_MAX = 1000 };

/* A folder that is ours until the descriptor is closed, or the process dies. */
struct lock {
    int descriptor; /* owned; close-on-exec. -1: none */
    uint32_t number;
    char path[LOCK_PATH_BYTES_MAX];
};

/* Makes `folder`, and in it the folders that it looks at and are missing, durably, and locks one:
 * the first that is free from number `first` (below STORES_MAX) on, else the lowest. Which ones
 * several workers hold in the end does not depend on who came first. In the process that will hold
 * it: a child would inherit the lock and keep it when its parent has died.
 * out: lock; on errors problem: what happened, in one sentence.
 * errors: USAGE: the name is too long; LIMIT: STORES_MAX are held; CANNOT_CREATE, also where this
 * user may not open a folder; IO. */
enum status lock_take(const char *folder, uint32_t first, struct lock *lock, char *problem,
                      size_t problem_bytes);
void lock_release(struct lock *lock);

#endif
