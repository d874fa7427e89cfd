/* What store_lmdb.c (transactions, changes, opening) and store_lmdb_read.c (reading) share.
 * Nobody else includes it. */
#ifndef SORTEO_WORKER_STORE_LMDB_PARTS_H
#define SORTEO_WORKER_STORE_LMDB_PARTS_H

#include "proto/wire/limits.h"
#include "worker/lmdb_folder.h"
#include "worker/lmdb_space.h"
#include "worker/lmdb_view.h"

struct store_lmdb {
    struct store store; /* first: the table */
    struct lmdb_folder folder;
    struct lmdb_space space;
    struct lmdb_view view;
    MDB_txn *change;            /* the open transaction, or NULL */
    enum store_space use;       /* of it */
    bool is_short;              /* no group has become durable since the disk was full */
    uint64_t next_arrival;      /* of the open transaction */
    struct store_about about;   /* as committed */
    struct epoch changed_epoch; /* of the open transaction */
    char problem[FOLDER_NAME_BYTES_MAX + TEXT_BYTES_MAX];
};

static inline struct store_lmdb *store_lmdb_of(struct store *store)
{
    return (struct store_lmdb *)store;
}

/* Keeps what LMDB said for store_problem() and gives `status` back. in: code: LMDB's, or 0. */
enum status store_lmdb_fail(struct store_lmdb *lmdb, enum status status, const char *verb,
                            int code);

/* The reading half of the table of functions. */
void store_lmdb_about(struct store *store, struct store_about *about);
enum status store_lmdb_get(struct store *store, const struct batch_identity *identity,
                           struct batch_record *batch, struct slice *body);
enum status store_lmdb_list(struct store *store, const struct batch_identity *from,
                            struct batch_record *batches, size_t batches_max, size_t *count);
enum status store_lmdb_list_seals(struct store *store, uint32_t from_draw,
                                  struct seal_record *seals, size_t seals_max, size_t *count);
enum status store_lmdb_manifest(struct store *store, uint32_t draw, struct slice *packed);
const char *store_lmdb_problem(const struct store *store);

#endif
