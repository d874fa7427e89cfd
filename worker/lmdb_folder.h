/* A store's folder: its LMDB environment and tables, from creation to close. A store is created
 * under another name and renamed once everything in it is durable, so that a data.mdb that
 * exists is a whole store. */
#ifndef SORTEO_WORKER_LMDB_FOLDER_H
#define SORTEO_WORKER_LMDB_FOLDER_H

#include <lmdb.h>

#include "worker/store.h"

enum { FOLDER_NAME_BYTES_MAX = 1024 };

#define LIFE_OPENING "opening"
#define LIFE_EPOCH   "epoch"

/* Open for values: zeroed, then lmdb_folder_open. */
struct lmdb_folder {
    char name[FOLDER_NAME_BYTES_MAX];
    MDB_env *env; /* owned */
    MDB_dbi batches;
    MDB_dbi bodies;
    MDB_dbi seals;
    MDB_dbi manifests;
    MDB_dbi life;
};

/* Opens the store in the folder `name`; where there is none, creates one with this id. A data.mdb
 * that is damaged, was cut short or is no store's (lmdb_meta.h) is IO, and not written.
 * out: problem: where it fails, in one sentence.
 * errors: CANNOT_CREATE (this user may not read and write its files), FULL, IO, NO_MEMORY, USAGE
 * (the name is too long). Nothing is open then. */
enum status lmdb_folder_open(struct lmdb_folder *folder, const char *name, const struct id *id,
                             char *problem, size_t problem_bytes);
void lmdb_folder_close(struct lmdb_folder *folder);

/* Reads the store's id, opening and epoch. out: code: LMDB's with IO. errors: IO, VERSION. */
enum status lmdb_folder_read_lives(const struct lmdb_folder *folder, MDB_txn *txn,
                                   struct store_about *about, int *code);

/* Writes the opening or the epoch. returns LMDB's code. */
int lmdb_folder_put_life(const struct lmdb_folder *folder, MDB_txn *txn, const char *entry,
                         const struct epoch *life);

#endif
