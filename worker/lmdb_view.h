/* Reading from a store's tables: inside the open transaction where there is one, else in a read
 * transaction that lasts until the next call, so that no reader pins pages while the loop sleeps
 * on a change. */
#ifndef SORTEO_WORKER_LMDB_VIEW_H
#define SORTEO_WORKER_LMDB_VIEW_H

#include <lmdb.h>

#include "proto/wire/slice.h"
#include "proto/wire/status.h"

/* Open for values: zeroed, with env set. */
struct lmdb_view {
    MDB_env *env;    /* borrowed */
    MDB_txn *reader; /* owned; active only while something is lent */
    bool reader_is_active;
};

/* The bytes for LMDB, which only reads them, but takes them as not const. */
static inline MDB_val lmdb_val(struct slice bytes)
{
    union {
        const void *ours;
        void *theirs;
    } data = {.ours = bytes.data};
    return (MDB_val){.mv_data = data.theirs, .mv_size = bytes.bytes};
}

/* Begins to read: in `change`, or, where that is NULL, in what is committed now. What was lent
 * before is lent no more. returns LMDB's code, here and below. */
int lmdb_view_begin(struct lmdb_view *view, MDB_txn *change, MDB_txn **txn);
/* Ends what was begun. Fine when nothing was. */
void lmdb_view_end(struct lmdb_view *view);
/* Before the environment is closed. */
void lmdb_view_close(struct lmdb_view *view);

int lmdb_view_look(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *value);

/* Takes one entry of a listing into `records`, an array of the caller's, at `index`. */
typedef enum status lmdb_entry_read(struct slice key, struct slice value, void *records,
                                    size_t index);

/* Reads up to `max` entries at or after `from`. out: count; status: what `read` answered last. */
int lmdb_view_walk(MDB_txn *txn, MDB_dbi table, struct slice from, lmdb_entry_read *read,
                   void *records, size_t max, size_t *count, enum status *status);

#endif
