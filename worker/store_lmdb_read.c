/* Reading from the store in LMDB; see store_lmdb.c for its tables. */
#include "worker/lmdb_value.h"
#include "worker/store_lmdb_parts.h"

void store_lmdb_about(struct store *store, struct store_about *about_store)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    *about_store = lmdb->about;
    about_store->free_bytes = lmdb_space_free(&lmdb->space);
}

static enum status begin_reading(struct store_lmdb *lmdb, MDB_txn **txn)
{
    int code = lmdb_view_begin(&lmdb->view, lmdb->change, txn);
    return code == 0 ? STATUS_OK : store_lmdb_fail(lmdb, STATUS_IO, "read", code);
}

/* A value, or NOT_FOUND. */
static enum status look(struct store_lmdb *lmdb, MDB_txn *txn, MDB_dbi table, struct slice key,
                        struct slice *value)
{
    int code = lmdb_view_look(txn, table, key, value);
    if (code == 0)
        return STATUS_OK;
    return code == MDB_NOTFOUND ? STATUS_NOT_FOUND : store_lmdb_fail(lmdb, STATUS_IO, "read", code);
}

/* An index entry whose body is gone is given an empty body: no batch has one, so whoever checks
 * the digest finds a rotten batch. */
static enum status look_body(struct store_lmdb *lmdb, MDB_txn *txn, uint64_t arrival,
                             struct slice *body)
{
    struct slice key = {(const uint8_t *)&arrival, sizeof arrival};
    struct slice value;
    enum status status = look(lmdb, txn, lmdb->folder.bodies, key, &value);
    if (status == STATUS_OK)
        return value_read_bytes(value, body);
    *body = (struct slice){NULL, 0};
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status store_lmdb_get(struct store *store, const struct batch_identity *identity,
                           struct batch_record *batch, struct slice *body)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    MDB_txn *txn;
    enum status status = begin_reading(lmdb, &txn);
    if (status != STATUS_OK)
        return status;
    uint8_t key[IDENTITY_KEY_BYTES];
    value_pack_identity(identity, key);
    struct slice value;
    status = look(lmdb, txn, lmdb->folder.batches, (struct slice){key, sizeof key}, &value);
    if (status != STATUS_OK)
        return status;
    struct batch_record kept = {.identity = *identity};
    uint64_t arrival = 0;
    status = value_read_batch(value, &kept, &arrival);
    if (status == STATUS_OK && body != NULL)
        status = look_body(lmdb, txn, arrival, body);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "read", 0);
    *batch = kept;
    return STATUS_OK;
}

static enum status read_batch(struct slice key, struct slice value, void *records, size_t index)
{
    struct batch_record *batch = (struct batch_record *)records + index;
    uint64_t arrival;
    enum status status = value_read_identity(key, &batch->identity);
    return status == STATUS_OK ? value_read_batch(value, batch, &arrival) : status;
}

static enum status read_seal(struct slice key, struct slice value, void *records, size_t index)
{
    return value_read_seal(key, value, (struct seal_record *)records + index);
}

/* A listing is copied whole, so nothing stays lent. */
static enum status walk(struct store_lmdb *lmdb, MDB_dbi table, struct slice from,
                        lmdb_entry_read *read, void *records, size_t max, size_t *count)
{
    MDB_txn *txn;
    enum status status = begin_reading(lmdb, &txn);
    if (status != STATUS_OK)
        return status;
    size_t found;
    int code = lmdb_view_walk(txn, table, from, read, records, max, &found, &status);
    lmdb_view_end(&lmdb->view);
    if (code != 0)
        return store_lmdb_fail(lmdb, STATUS_IO, "read", code);
    if (status != STATUS_OK)
        return store_lmdb_fail(lmdb, status, "read", 0);
    *count = found;
    return STATUS_OK;
}

enum status store_lmdb_list(struct store *store, const struct batch_identity *from,
                            struct batch_record *batches, size_t batches_max, size_t *count)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    uint8_t key[IDENTITY_KEY_BYTES];
    value_pack_identity(from, key);
    return walk(lmdb, lmdb->folder.batches, (struct slice){key, sizeof key}, read_batch, batches,
                batches_max, count);
}

enum status store_lmdb_list_seals(struct store *store, uint32_t from_draw,
                                  struct seal_record *seals, size_t seals_max, size_t *count)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    uint8_t key[SEAL_KEY_BYTES];
    value_pack_draw(from_draw, key);
    return walk(lmdb, lmdb->folder.seals, (struct slice){key, sizeof key}, read_seal, seals,
                seals_max, count);
}

enum status store_lmdb_manifest(struct store *store, uint32_t draw, struct slice *packed)
{
    struct store_lmdb *lmdb = store_lmdb_of(store);
    MDB_txn *txn;
    enum status status = begin_reading(lmdb, &txn);
    if (status != STATUS_OK)
        return status;
    uint8_t key[SEAL_KEY_BYTES];
    value_pack_draw(draw, key);
    struct slice value;
    status = look(lmdb, txn, lmdb->folder.manifests, (struct slice){key, sizeof key}, &value);
    if (status != STATUS_OK)
        return status;
    status = value_read_bytes(value, packed);
    return status == STATUS_OK ? STATUS_OK : store_lmdb_fail(lmdb, status, "read", 0);
}

const char *store_lmdb_problem(const struct store *store)
{
    return ((const struct store_lmdb *)store)->problem;
}
