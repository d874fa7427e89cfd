/* The store in LMDB, five tables:
 *   batches    (draw, agency, attempt, seq) → bets, arrival, digest: the small index of all
 *   bodies     arrival (u64, native order)  → body: they come in order, so MDB_APPEND holds
 *   seals      draw → kind, forgotten, root, number
 *   manifests  draw → packed manifest
 *   life       "id", "opening", "epoch"
 * LMDB's default mode: no WRITEMAP (a full disk would be a SIGBUS), never NOSYNC. A commit that
 * answers anything but MAP_FULL has failed to be durable. */
#include "worker/store_lmdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/host/crash.h"
#include "proto/wire/check.h"
#include "worker/lmdb_value.h"
#include "worker/store_lmdb_parts.h"

enum status store_lmdb_fail(struct store_lmdb *lmdb, enum status status, const char *verb, int code)
{
    snprintf(lmdb->problem, sizeof lmdb->problem, "cannot %s '%s': %s", verb, lmdb->folder.name,
             code != 0 ? mdb_strerror(code) : status_text(status));
    return status;
}

static struct slice slice_of(const MDB_val *value)
{
    return (struct slice){value->mv_data, value->mv_size};
}

/* ---- transactions ---- */

static void abandon(struct store *store)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    if (lmdb->change != NULL)
        mdb_txn_abort(lmdb->change);
    lmdb->change = NULL;
}

/* What a change that LMDB refused is: no room, which ends the transaction, or broken. */
static enum status refuse(struct store_lmdb *lmdb, int code)
{
    abandon(&lmdb->store);
    if (code != MDB_MAP_FULL && code != MDB_TXN_FULL)
        return store_lmdb_fail(lmdb, STATUS_IO, "write", code);
    lmdb->space.has_been_full = true;
    lmdb->is_short = true;
    return store_lmdb_fail(lmdb, STATUS_FULL, "write", 0); /* LMDB's map is as large as the room */
}

/* Arrivals go on behind the last one that is there. */
static int find_next_arrival(struct store_lmdb *lmdb)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(lmdb->change, lmdb->folder.bodies, &cursor);
    if (code != 0)
        return code;
    MDB_val key;
    MDB_val value;
    code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    lmdb->next_arrival = 0;
    if (code == MDB_NOTFOUND)
        return 0;
    if (code != 0)
        return code;
    memcpy(&lmdb->next_arrival, key.mv_data, sizeof lmdb->next_arrival);
    lmdb->next_arrival++;
    return 0;
}

/* Opens LMDB's transaction with the room that `use` may take. */
static enum status begin_change(struct store_lmdb *lmdb, enum store_space use)
{
    CHECK(lmdb->change == NULL);
    lmdb_view_end(&lmdb->view);
    enum status status = lmdb_space_prepare(&lmdb->space, use);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "make room in", 0);
    int code = mdb_txn_begin(lmdb->folder.env, NULL, 0, &lmdb->change);
    if (code != 0) {
        lmdb->change = NULL;
        return store_lmdb_fail(lmdb, STATUS_IO, "write", code);
    }
    lmdb->use = use;
    lmdb->changed_epoch = lmdb->about.epoch;
    code = find_next_arrival(lmdb);
    return code == 0 ? STATUS_OK : refuse(lmdb, code);
}

static enum status commit(struct store *store)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    CHECK(lmdb->change != NULL);
    lmdb_view_end(&lmdb->view);
    int code = mdb_txn_commit(lmdb->change);
    lmdb->change = NULL;
    if (code == MDB_MAP_FULL || code == MDB_TXN_FULL)
        return refuse(lmdb, code);
    if (code != 0)
        return store_lmdb_fail(lmdb, STATUS_SYNC, "make durable", code);
    lmdb->about.epoch = lmdb->changed_epoch;
    if (lmdb->use == STORE_COMMON)
        lmdb->is_short = false;
    return STATUS_OK;
}

/* ---- changes ---- */

/* Puts a value that begins with the format's version and goes on with `bytes`, copied once. */
static int put_bytes(struct store_lmdb *lmdb, MDB_dbi table, MDB_val *key, struct slice bytes,
                     unsigned flags)
{
    MDB_val room = {.mv_size = BODY_HEAD_BYTES + bytes.bytes};
    int code = mdb_put(lmdb->change, table, key, &room, flags | MDB_RESERVE);
    if (code != 0)
        return code;
    uint8_t *value = room.mv_data;
    value[0] = VALUE_FORMAT;
    if (bytes.bytes > 0)
        memcpy(value + BODY_HEAD_BYTES, bytes.data, bytes.bytes);
    return 0;
}

static int delete_body(struct store_lmdb *lmdb, uint64_t arrival)
{
    MDB_val key = {.mv_data = &arrival, .mv_size = sizeof arrival};
    int code = mdb_del(lmdb->change, lmdb->folder.bodies, &key, NULL);
    return code == MDB_NOTFOUND ? 0 : code; /* the index rules: a body without one is not missed */
}

/* Something is kept under the batch's identity: what becomes of the new one. OK: the old one's
 * body is gone, its index entry is to be overwritten. */
static enum status meet(struct store_lmdb *lmdb, const struct batch_record *batch,
                        const MDB_val *kept_value, bool replaces)
{
    struct batch_record kept;
    uint64_t arrival = 0;
    enum status status = value_read_batch(slice_of(kept_value), &kept, &arrival);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "read", 0);
    if (digest_is_equal(&kept.digest, &batch->digest))
        return STATUS_EXISTS;
    if (!replaces)
        return STATUS_CONFLICT;
    int code = delete_body(lmdb, arrival);
    return code == 0 ? STATUS_OK : refuse(lmdb, code);
}

static enum status put(struct store *store, const struct batch_record *batch, struct slice body,
                       bool replaces)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    CHECK(lmdb->change != NULL);
    uint8_t identity[IDENTITY_KEY_BYTES];
    uint8_t packed[BATCH_VALUE_BYTES];
    value_pack_identity(&batch->identity, identity);
    value_pack_batch(batch, lmdb->next_arrival, packed);
    MDB_val key = {.mv_data = identity, .mv_size = sizeof identity};
    MDB_val value = {.mv_data = packed, .mv_size = sizeof packed};
    int code = mdb_put(lmdb->change, lmdb->folder.batches, &key, &value, MDB_NOOVERWRITE);
    if (code == MDB_KEYEXIST) {
        enum status status = meet(lmdb, batch, &value, replaces);
        if (status != STATUS_OK)
            return status;
        value = (MDB_val){.mv_data = packed, .mv_size = sizeof packed};
        code = mdb_put(lmdb->change, lmdb->folder.batches, &key, &value, 0);
    }
    if (code != 0)
        return refuse(lmdb, code);
    MDB_val arrival = {.mv_data = &lmdb->next_arrival, .mv_size = sizeof lmdb->next_arrival};
    code = put_bytes(lmdb, lmdb->folder.bodies, &arrival, body, MDB_APPEND);
    if (code != 0)
        return refuse(lmdb, code);
    lmdb->next_arrival++;
    return STATUS_OK;
}

static enum status erase(struct store *store, const struct batch_identity *identity)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    CHECK(lmdb->change != NULL);
    uint8_t packed[IDENTITY_KEY_BYTES];
    value_pack_identity(identity, packed);
    MDB_val key = {.mv_data = packed, .mv_size = sizeof packed};
    MDB_val value;
    int code = mdb_get(lmdb->change, lmdb->folder.batches, &key, &value);
    if (code == MDB_NOTFOUND)
        return STATUS_NOT_FOUND;
    if (code != 0)
        return refuse(lmdb, code);
    struct batch_record kept;
    uint64_t arrival = 0;
    enum status status = value_read_batch(slice_of(&value), &kept, &arrival);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "read", 0);
    code = delete_body(lmdb, arrival);
    if (code == 0)
        code = mdb_del(lmdb->change, lmdb->folder.batches, &key, NULL);
    return code == 0 ? STATUS_OK : refuse(lmdb, code);
}

static enum status put_life(struct store_lmdb *lmdb, const char *name, const struct epoch *life)
{
    int code = lmdb_folder_put_life(&lmdb->folder, lmdb->change, name, life);
    return code == 0 ? STATUS_OK : refuse(lmdb, code);
}

static enum status record_epoch(struct store *store, const struct epoch *epoch)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    CHECK(lmdb->change != NULL);
    enum status status = put_life(lmdb, LIFE_EPOCH, epoch);
    if (status == STATUS_OK)
        lmdb->changed_epoch = *epoch;
    return status;
}

/* LMDB hands out freed pages only once another transaction was committed behind the one that freed
 * them. On a full disk there may never be another: here it is. */
static enum status age_free_pages(struct store_lmdb *lmdb)
{
    enum status status = begin_change(lmdb, STORE_RESERVE);
    if (status == STATUS_OK)
        status = put_life(lmdb, LIFE_EPOCH, &lmdb->about.epoch);
    CRASH_POINT("worker.before_commit.aging");
    if (status == STATUS_OK)
        status = commit(&lmdb->store);
    CRASH_POINT("worker.after_commit.aging");
    return status == STATUS_FULL ? STATUS_OK : status;
}

static enum status begin(struct store *store, enum store_space use)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    if (use == STORE_COMMON && lmdb->is_short) {
        enum status status = age_free_pages(lmdb);
        if (status != STATUS_OK)
            return status;
    }
    return begin_change(lmdb, use);
}

static enum status record_seal(struct store *store, const struct seal_record *seal,
                               struct slice packed)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    CHECK(lmdb->change != NULL);
    uint8_t draw[SEAL_KEY_BYTES];
    uint8_t mark[SEAL_VALUE_BYTES];
    value_pack_draw(seal->draw, draw);
    value_pack_seal(seal, mark);
    MDB_val key = {.mv_data = draw, .mv_size = sizeof draw};
    MDB_val value = {.mv_data = mark, .mv_size = sizeof mark};
    int code = mdb_put(lmdb->change, lmdb->folder.seals, &key, &value, 0);
    if (code != 0)
        return refuse(lmdb, code);
    code = packed.bytes > 0 ? put_bytes(lmdb, lmdb->folder.manifests, &key, packed, 0)
                            : mdb_del(lmdb->change, lmdb->folder.manifests, &key, NULL);
    return code == 0 || code == MDB_NOTFOUND ? STATUS_OK : refuse(lmdb, code);
}

/* ---- opening ---- */

static void close_store(struct store **store)
{
    struct store_lmdb *lmdb = store_lmdb_of(*store);
    abandon(*store);
    lmdb_view_close(&lmdb->view);
    lmdb_folder_close(&lmdb->folder);
    free(lmdb);
    *store = NULL;
}

static const struct store_table TABLE = {
    .about = store_lmdb_about,
    .begin = begin,
    .put = put,
    .erase = erase,
    .record_epoch = record_epoch,
    .record_seal = record_seal,
    .commit = commit,
    .abandon = abandon,
    .get = store_lmdb_get,
    .list = store_lmdb_list,
    .list_seals = store_lmdb_list_seals,
    .manifest = store_lmdb_manifest,
    .problem = store_lmdb_problem,
    .close = close_store,
};

/* Raises the opening durably; that also shows that the format is known before anything else is
 * read. */
static enum status raise_opening(struct store_lmdb *lmdb, const struct id *id)
{
    enum status status = begin_change(lmdb, STORE_RESERVE);
    if (status != STATUS_OK)
        return status;
    int code;
    status = lmdb_folder_read_lives(&lmdb->folder, lmdb->change, &lmdb->about, &code);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "read", code);
    lmdb->changed_epoch = lmdb->about.epoch;
    struct epoch opening = {.number = lmdb->about.opening.number + 1, .id = *id};
    status = put_life(lmdb, LIFE_OPENING, &opening);
    CRASH_POINT("worker.before_commit.opening");
    if (status == STATUS_OK)
        status = commit(&lmdb->store);
    CRASH_POINT("worker.after_commit.opening");
    if (status == STATUS_OK)
        lmdb->about.opening = opening;
    return status;
}

enum status store_lmdb_open(const struct store_lmdb_settings *settings, struct store **store,
                            char *problem_text, size_t problem_bytes)
{
    struct store_lmdb *lmdb = calloc(1, sizeof *lmdb);
    if (lmdb == NULL)
        return STATUS_NO_MEMORY;
    lmdb->store.table = &TABLE;
    enum status status = lmdb_folder_open(&lmdb->folder, settings->folder, &settings->id,
                                          lmdb->problem, sizeof lmdb->problem);
    lmdb->view.env = lmdb->folder.env;
    if (status == STATUS_OK)
        status = lmdb_space_begin(&lmdb->space, lmdb->folder.env, settings->reserve_bytes);
    if (status == STATUS_OK)
        status = raise_opening(lmdb, &settings->opening_id);
    if (status == STATUS_OK) {
        *store = &lmdb->store;
        return STATUS_OK;
    }
    snprintf(problem_text, problem_bytes, "%s", lmdb->problem);
    struct store *failed = &lmdb->store;
    store_close(&failed);
    return status;
}
