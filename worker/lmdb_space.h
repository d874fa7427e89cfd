/* The room of a store's data file: allocated on the disk ahead of what a transaction writes, and
 * told to LMDB as its map size, so that LMDB itself says MDB_MAP_FULL before a page is written
 * where the disk has no room for it. That turns a full disk into a clean FULL and leaves EIO
 * from a commit for real errors (a full disk reaches LMDB's commit as EIO often). The last part
 * of the room is a reserve that batches do not get.
 * The file is never shorter than the map, so never shorter than its last used page. */
#ifndef SORTEO_WORKER_LMDB_SPACE_H
#define SORTEO_WORKER_LMDB_SPACE_H

#include <lmdb.h>

#include "worker/store.h"

enum {
    SPACE_GROUP_BYTES = 16 << 20,   /* free for one group of batches: twice the largest credit */
    SPACE_RESERVE_BYTES = 16 << 20, /* holds the manifest of 450,000 batches and its copies */
    SPACE_STEP_BYTES_MIN = 1 << 20, /* the file grows by a quarter, within these bounds */
    SPACE_STEP_BYTES_MAX = 64 << 20,
};

/* Open for values: zeroed, then lmdb_space_begin. */
struct lmdb_space {
    MDB_env *env; /* borrowed */
    int descriptor;
    size_t page_bytes;
    uint64_t reserve_bytes;
    uint64_t allocated_bytes; /* of the file, from its start; a multiple of page_bytes */
    uint64_t map_bytes;       /* as told to LMDB */
    bool cannot_allocate; /* the file system has no fallocate: its free space is asked instead */
    bool has_been_full;   /* LMDB said MAP_FULL: grow by a step before the next transaction */
};

/* in: an open environment without transactions. errors: IO. */
enum status lmdb_space_begin(struct lmdb_space *space, MDB_env *env, uint64_t reserve_bytes);

/* Before each transaction, while none is open: grows the file where it has to, and sets the map
 * to what this transaction may use. A disk without room is no error: LMDB may still have free
 * pages inside the file.
 * errors: IO: the map cannot be made, or allocating failed for another reason than room. */
enum status lmdb_space_prepare(struct lmdb_space *space, enum store_space use);

/* Bytes that batches may still take: of the disk, and allocated but unused. */
uint64_t lmdb_space_free(const struct lmdb_space *space);

#endif
