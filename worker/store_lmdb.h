/* The store in an LMDB environment: one folder with data.mdb and lock.mdb, opened by one
 * process. Which tables it has stands in store_lmdb.c; how it keeps a full disk clean in
 * lmdb_space.h. */
#ifndef SORTEO_WORKER_STORE_LMDB_H
#define SORTEO_WORKER_STORE_LMDB_H

#include "worker/store.h"

struct store_lmdb_settings {
    const char *folder;     /* exists; the caller holds its lock (lock.h) */
    uint64_t reserve_bytes; /* SPACE_RESERVE_BYTES but in tests */
    struct id id;           /* random: the store's id should it be created now */
    struct id opening_id;   /* random: of this opening */
};

/* Creates the store where the folder has none, opens it, and raises its opening durably. Never
 * followed by a fork. out: problem: what happened, in one sentence for the operator.
 * errors: VERSION: a format that this program does not know; CANNOT_CREATE: this user may not read
 * and write its files; FULL, SYNC, IO, NO_MEMORY. */
enum status store_lmdb_open(const struct store_lmdb_settings *settings, struct store **store,
                            char *problem, size_t problem_bytes);

#endif
