/* See store_memory.h. Three images of the same tables: as the open transaction sees them, as
 * committed, and as synced. They share bodies, which are counted. */
#include "tests/sim/store_memory.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/store_image.h"

struct store_memory {
    struct store store; /* first: the table */
    struct id id;
    struct image seen;
    struct image committed;
    struct image synced;
    uint64_t capacity_bytes; /* 0: no end */
    enum store_space space;  /* of the open transaction */
    bool is_changing;        /* a transaction is open */
    bool fails_sync;
    bool keeps_failed;
    bool skips_sync;
    bool has_failed; /* a sync has: only a crash may follow */
    uint64_t commits;
    uint8_t *lent; /* owned: the copy that was given out last */
    const char *problem;
};

static struct store_memory *of(struct store *store)
{
    return (struct store_memory *)store;
}

static const struct store_memory *of_const(const struct store *store)
{
    return (const struct store_memory *)store;
}

/* Every call begins here: what was lent is lent no more. */
static struct store_memory *enter(struct store *store)
{
    struct store_memory *memory = of(store);
    free(memory->lent);
    memory->lent = NULL;
    return memory;
}

static struct slice lend(struct store_memory *memory, const struct body *body)
{
    memory->lent = malloc(body->bytes + 1);
    CHECK(memory->lent != NULL);
    memcpy(memory->lent, body->data, body->bytes);
    return (struct slice){memory->lent, body->bytes};
}

static void about(struct store *store, struct store_about *about_store)
{
    struct store_memory *memory = enter(store);
    uint64_t used = memory->seen.used_bytes + MEMORY_RESERVE_BYTES;
    uint64_t capacity = memory->capacity_bytes == 0 ? UINT64_C(1) << 40 : memory->capacity_bytes;
    *about_store = (struct store_about){
        .id = memory->id,
        .opening = memory->committed.opening,
        .epoch = memory->committed.epoch,
        .free_bytes = capacity > used ? capacity - used : 0,
    };
}

/* ---- transactions ---- */

static enum status begin(struct store *store, enum store_space space)
{
    struct store_memory *memory = enter(store);
    CHECK(!memory->is_changing && !memory->has_failed);
    memory->is_changing = true;
    memory->space = space;
    return STATUS_OK;
}

static void abandon(struct store *store)
{
    struct store_memory *memory = enter(store);
    if (memory->is_changing)
        image_copy(&memory->seen, &memory->committed);
    memory->is_changing = false;
}

static enum status commit(struct store *store)
{
    struct store_memory *memory = enter(store);
    CHECK(memory->is_changing && !memory->has_failed);
    memory->is_changing = false;
    memory->commits++;
    bool is_synced = !memory->skips_sync;
    if (memory->fails_sync) {
        memory->has_failed = true;
        memory->problem = "the sync failed, as it was told to";
        is_synced = memory->keeps_failed;
    }
    image_copy(&memory->committed, &memory->seen);
    if (is_synced)
        image_copy(&memory->synced, &memory->seen);
    return memory->fails_sync ? STATUS_SYNC : STATUS_OK;
}

/* FULL, which ends the transaction, when `bytes` more do not fit. */
static enum status make_room(struct store_memory *memory, uint64_t bytes)
{
    uint64_t needed = memory->seen.used_bytes + bytes;
    if (memory->space == STORE_COMMON)
        needed += MEMORY_RESERVE_BYTES;
    if (memory->capacity_bytes == 0 || needed <= memory->capacity_bytes)
        return STATUS_OK;
    abandon(&memory->store);
    memory->problem = "the disk in memory is full";
    return STATUS_FULL;
}

/* ---- changes ---- */

static enum status put(struct store *store, const struct batch_record *batch, struct slice body,
                       bool replaces)
{
    struct store_memory *memory = enter(store);
    CHECK(memory->is_changing);
    size_t at = image_find_batch(&memory->seen, &batch->identity);
    bool is_there = image_has_batch(&memory->seen, at, &batch->identity);
    if (is_there && digest_is_equal(&memory->seen.batches[at].record.digest, &batch->digest))
        return STATUS_EXISTS;
    if (is_there && !replaces)
        return STATUS_CONFLICT;
    enum status status = make_room(memory, body.bytes + MEMORY_BATCH_BYTES);
    if (status != STATUS_OK)
        return status;
    if (is_there)
        image_remove_batch(&memory->seen, at);
    image_insert_batch(&memory->seen, at, batch, body);
    return STATUS_OK;
}

static enum status erase(struct store *store, const struct batch_identity *identity)
{
    struct store_memory *memory = enter(store);
    CHECK(memory->is_changing);
    size_t at = image_find_batch(&memory->seen, identity);
    if (!image_has_batch(&memory->seen, at, identity))
        return STATUS_NOT_FOUND;
    enum status status = make_room(memory, 0); /* a disk's pages are written anew for it */
    if (status == STATUS_OK)
        image_remove_batch(&memory->seen, at);
    return status;
}

static enum status record_epoch(struct store *store, const struct epoch *epoch)
{
    struct store_memory *memory = enter(store);
    CHECK(memory->is_changing);
    memory->seen.epoch = *epoch;
    return STATUS_OK;
}

static enum status record_seal(struct store *store, const struct seal_record *seal,
                               struct slice packed)
{
    struct store_memory *memory = enter(store);
    CHECK(memory->is_changing);
    enum status status = make_room(memory, packed.bytes + MEMORY_BATCH_BYTES);
    if (status == STATUS_OK)
        image_set_seal(&memory->seen, seal, packed);
    return status;
}

/* ---- reading ---- */

static enum status get(struct store *store, const struct batch_identity *identity,
                       struct batch_record *batch, struct slice *body)
{
    struct store_memory *memory = enter(store);
    size_t at = image_find_batch(&memory->seen, identity);
    if (!image_has_batch(&memory->seen, at, identity))
        return STATUS_NOT_FOUND;
    *batch = memory->seen.batches[at].record;
    if (body != NULL)
        *body = lend(memory, memory->seen.batches[at].body);
    return STATUS_OK;
}

static enum status list(struct store *store, const struct batch_identity *from,
                        struct batch_record *batches, size_t batches_max, size_t *count)
{
    struct store_memory *memory = enter(store);
    size_t at = image_find_batch(&memory->seen, from);
    for (*count = 0; at < memory->seen.batches_count && *count < batches_max; at++)
        batches[(*count)++] = memory->seen.batches[at].record;
    return STATUS_OK;
}

static enum status list_seals(struct store *store, uint32_t from_draw, struct seal_record *seals,
                              size_t seals_max, size_t *count)
{
    struct store_memory *memory = enter(store);
    size_t at = image_find_seal(&memory->seen, from_draw);
    for (*count = 0; at < memory->seen.seals_count && *count < seals_max; at++)
        seals[(*count)++] = memory->seen.seals[at].record;
    return STATUS_OK;
}

static enum status manifest(struct store *store, uint32_t draw, struct slice *packed)
{
    struct store_memory *memory = enter(store);
    size_t at = image_find_seal(&memory->seen, draw);
    bool is_there = at < memory->seen.seals_count && memory->seen.seals[at].record.draw == draw;
    if (!is_there || memory->seen.seals[at].packed->bytes == 0)
        return STATUS_NOT_FOUND;
    *packed = lend(memory, memory->seen.seals[at].packed);
    return STATUS_OK;
}

static const char *problem(const struct store *store)
{
    return of_const(store)->problem;
}

static void close_store(struct store **store)
{
    struct store_memory *memory = enter(*store);
    image_clear(&memory->seen);
    image_clear(&memory->committed);
    image_clear(&memory->synced);
    free(memory);
    *store = NULL;
}

static const struct store_table TABLE = {
    .about = about,
    .begin = begin,
    .put = put,
    .erase = erase,
    .record_epoch = record_epoch,
    .record_seal = record_seal,
    .commit = commit,
    .abandon = abandon,
    .get = get,
    .list = list,
    .list_seals = list_seals,
    .manifest = manifest,
    .problem = problem,
    .close = close_store,
};

/* ---- what only tests do ---- */

/* Goes back to what is on the disk, and opens it. */
static void open_again(struct store_memory *memory, const struct id *opening_id)
{
    free(memory->lent);
    memory->lent = NULL;
    memory->is_changing = false;
    memory->has_failed = false;
    memory->fails_sync = false;
    memory->problem = "";
    memory->synced.opening.number++;
    memory->synced.opening.id = *opening_id;
    image_copy(&memory->seen, &memory->synced);
    image_copy(&memory->committed, &memory->synced);
}

enum status store_memory_create(const struct id *id, const struct id *opening_id,
                                struct store **store)
{
    struct store_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return STATUS_NO_MEMORY;
    memory->store.table = &TABLE;
    memory->id = *id;
    open_again(memory, opening_id);
    *store = &memory->store;
    return STATUS_OK;
}

void store_memory_crash(struct store *store, const struct id *opening_id)
{
    open_again(of(store), opening_id);
}

enum status store_memory_copy(const struct store *store, const struct id *opening_id,
                              struct store **copy)
{
    const struct store_memory *memory = of_const(store);
    struct store_memory *copied = calloc(1, sizeof *copied);
    if (copied == NULL)
        return STATUS_NO_MEMORY;
    copied->store.table = &TABLE;
    copied->id = memory->id;
    copied->capacity_bytes = memory->capacity_bytes;
    image_copy(&copied->synced, &memory->synced);
    open_again(copied, opening_id);
    *copy = &copied->store;
    return STATUS_OK;
}

void store_memory_set_capacity(struct store *store, uint64_t bytes)
{
    of(store)->capacity_bytes = bytes;
}

void store_memory_fail_sync(struct store *store, bool is_kept)
{
    of(store)->fails_sync = true;
    of(store)->keeps_failed = is_kept;
}

void store_memory_fail_no_sync(struct store *store)
{
    of(store)->fails_sync = false;
}

void store_memory_skip_sync(struct store *store, bool skips)
{
    of(store)->skips_sync = skips;
}

bool store_memory_rot(struct store *store, const struct batch_identity *identity)
{
    struct store_memory *memory = of(store);
    size_t at = image_find_batch(&memory->seen, identity);
    if (!image_has_batch(&memory->seen, at, identity) || memory->seen.batches[at].body->bytes == 0)
        return false;
    memory->seen.batches[at].body->data[memory->seen.batches[at].body->bytes / 2] ^= 1;
    return true;
}

bool store_memory_rot_manifest(struct store *store, uint32_t draw, size_t bit)
{
    struct store_memory *memory = of(store);
    size_t at = image_find_seal(&memory->seen, draw);
    if (at == memory->seen.seals_count || memory->seen.seals[at].record.draw != draw ||
        memory->seen.seals[at].packed->bytes <= bit / 8)
        return false;
    memory->seen.seals[at].packed->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    return true;
}

bool store_memory_tear(struct store *store, const struct batch_identity *identity)
{
    struct store_memory *memory = of(store);
    size_t at = image_find_batch(&memory->seen, identity);
    bool is_changed = false;
    if (!image_has_batch(&memory->seen, at, identity))
        return false;
    struct body *body = memory->seen.batches[at].body;
    for (size_t i = body->bytes / 2; i < body->bytes; i++) {
        is_changed = is_changed || body->data[i] != 0;
        body->data[i] = 0;
    }
    return is_changed;
}

bool store_memory_has_seal(const struct store *store, uint32_t draw, const struct digest *root)
{
    const struct image *synced = &of_const(store)->synced;
    size_t at = image_find_seal(synced, draw);
    return at < synced->seals_count && synced->seals[at].record.draw == draw &&
           digest_is_equal(&synced->seals[at].record.root, root);
}

bool store_memory_has_durably(const struct store *store, const struct batch_record *batch)
{
    const struct image *synced = &of_const(store)->synced;
    size_t at = image_find_batch(synced, &batch->identity);
    return image_has_batch(synced, at, &batch->identity) &&
           digest_is_equal(&synced->batches[at].record.digest, &batch->digest);
}

size_t store_memory_count_durable(const struct store *store)
{
    return of_const(store)->synced.batches_count;
}

uint64_t store_memory_commits(const struct store *store)
{
    return of_const(store)->commits;
}

uint64_t store_memory_fingerprint(const struct store *store)
{
    const struct store_memory *memory = of_const(store);
    uint64_t hash = image_fingerprint(&memory->seen, FINGERPRINT_BASIS);
    hash = fingerprint_number(hash, memory->fails_sync);
    return image_fingerprint(&memory->synced, hash);
}
