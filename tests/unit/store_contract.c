/* See store_contract.h. */
#include "tests/unit/store_contract.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { BODY_BYTES = 1000 };

struct batch_record contract_batch(uint32_t draw, uint32_t agency, uint32_t attempt, uint32_t seq,
                                   uint8_t mark)
{
    struct batch_record batch = {.identity = {draw, agency, attempt, seq}, .bets = mark};
    memset(batch.digest.bytes, mark, DIGEST_BYTES);
    return batch;
}

static enum status put(struct store *store, const struct batch_record *batch, size_t bytes,
                       bool replaces)
{
    uint8_t *body = malloc(bytes + 1);
    cr_assert_not_null(body);
    memset(body, batch->digest.bytes[0], bytes);
    enum status status = store_put(store, batch, (struct slice){body, bytes}, replaces);
    free(body);
    return status;
}

void contract_store(struct store *store, const struct batch_record *batch, size_t bytes)
{
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(put(store, batch, bytes, false), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
}

/* The store has this batch with a body of `bytes` bytes of its mark. */
static void expect_batch(struct store *store, const struct batch_record *batch, size_t bytes)
{
    struct batch_record kept;
    struct slice body;
    cr_assert_eq(store_get(store, &batch->identity, &kept, &body), STATUS_OK);
    cr_assert_eq(batch_identity_compare(&kept.identity, &batch->identity), 0);
    cr_assert_eq(kept.bets, batch->bets);
    cr_assert(digest_is_equal(&kept.digest, &batch->digest));
    cr_assert_eq(body.bytes, bytes);
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(body.data[i], batch->digest.bytes[0]);
}

static void expect_none(struct store *store, const struct batch_record *batch)
{
    struct batch_record kept;
    cr_assert_eq(store_get(store, &batch->identity, &kept, NULL), STATUS_NOT_FOUND);
}

void contract_keeps_a_batch(struct store *store)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    expect_none(store, &batch);
    contract_store(store, &batch, BODY_BYTES);
    expect_batch(store, &batch, BODY_BYTES);
    struct batch_record kept;
    cr_assert_eq(store_get(store, &batch.identity, &kept, NULL), STATUS_OK);
    cr_assert_eq(kept.bets, 42);
}

void contract_tells_same_digest_from_another(struct store *store)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    struct batch_record other = contract_batch(1, 7, 1, 0, 43);
    contract_store(store, &batch, BODY_BYTES);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_expect_eq(put(store, &batch, BODY_BYTES, false), STATUS_EXISTS);
    cr_expect_eq(put(store, &batch, BODY_BYTES, true), STATUS_EXISTS);
    cr_expect_eq(put(store, &other, BODY_BYTES, false), STATUS_CONFLICT);
    struct batch_record after = contract_batch(1, 7, 1, 1, 44);
    cr_expect_eq(put(store, &after, BODY_BYTES, false), STATUS_OK, "the transaction goes on");
    cr_assert_eq(store_commit(store), STATUS_OK);
    expect_batch(store, &batch, BODY_BYTES);
    expect_batch(store, &after, BODY_BYTES);
}

void contract_replaces_only_when_told(struct store *store)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    struct batch_record other = contract_batch(1, 7, 1, 0, 43);
    contract_store(store, &batch, BODY_BYTES);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_expect_eq(put(store, &other, 10, true), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
    expect_batch(store, &other, 10);
    struct batch_record listed[4];
    size_t count;
    cr_assert_eq(store_list(store, &(struct batch_identity){.draw = 0}, listed, 4, &count),
                 STATUS_OK);
    cr_expect_eq(count, 1);
}

void contract_reads_inside_a_transaction(struct store *store)
{
    struct batch_record before = contract_batch(1, 7, 1, 0, 1);
    struct batch_record inside = contract_batch(1, 7, 1, 1, 2);
    contract_store(store, &before, BODY_BYTES);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(put(store, &inside, BODY_BYTES, false), STATUS_OK);
    expect_batch(store, &before, BODY_BYTES);
    expect_batch(store, &inside, BODY_BYTES);
    struct batch_record listed[4];
    size_t count;
    cr_assert_eq(store_list(store, &before.identity, listed, 4, &count), STATUS_OK);
    cr_expect_eq(count, 2);
    struct batch_record behind = contract_batch(1, 7, 1, 2, 3);
    cr_assert_eq(put(store, &behind, 5, false), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
    expect_batch(store, &inside, BODY_BYTES);
}

void contract_abandons_without_a_trace(struct store *store)
{
    struct batch_record kept = contract_batch(1, 7, 1, 0, 1);
    struct batch_record gone = contract_batch(1, 7, 1, 1, 2);
    contract_store(store, &kept, BODY_BYTES);
    store_abandon(store);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(put(store, &gone, BODY_BYTES, false), STATUS_OK);
    cr_assert_eq(store_erase(store, &kept.identity), STATUS_OK);
    struct epoch epoch = {.number = 9};
    cr_assert_eq(store_record_epoch(store, &epoch), STATUS_OK);
    store_abandon(store);
    expect_none(store, &gone);
    expect_batch(store, &kept, BODY_BYTES);
    struct store_about about;
    store_about(store, &about);
    cr_expect_eq(about.epoch.number, 0);
    contract_store(store, &gone, BODY_BYTES);
    store_about(store, &about);
    cr_expect_eq(about.epoch.number, 0, "nor does the next commit bring it");
}

void contract_erases(struct store *store)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 1);
    contract_store(store, &batch, BODY_BYTES);
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    cr_expect_eq(store_erase(store, &batch.identity), STATUS_OK);
    cr_expect_eq(store_erase(store, &batch.identity), STATUS_NOT_FOUND);
    cr_assert_eq(store_commit(store), STATUS_OK);
    expect_none(store, &batch);
    struct batch_record other = contract_batch(1, 7, 1, 0, 9);
    contract_store(store, &other, 3);
    expect_batch(store, &other, 3);
}

void contract_lists_in_order_of_identity(struct store *store)
{
    struct batch_record batches[] = {
        contract_batch(2, 0, 1, 0, 1),          contract_batch(1, 9, 1, 0, 2),
        contract_batch(1, 7, 2, 0, 3),          contract_batch(1, 7, 1, 300, 4),
        contract_batch(1, 7, 1, 2, 5),          contract_batch(1, UINT32_MAX, 1, 0, 6),
        contract_batch(0x01000000, 0, 1, 0, 7),
    };
    static const uint8_t ORDER[] = {5, 4, 3, 2, 6, 1, 7};
    size_t count = sizeof batches / sizeof batches[0];
    for (size_t i = 0; i < count; i++)
        contract_store(store, &batches[i], 10);
    struct batch_record listed[16];
    size_t found;
    cr_assert_eq(store_list(store, &(struct batch_identity){.draw = 0}, listed, 16, &found),
                 STATUS_OK);
    cr_assert_eq(found, count);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(listed[i].digest.bytes[0], ORDER[i]);
}

void contract_goes_on_with_a_listing(struct store *store)
{
    for (uint32_t seq = 0; seq < 7; seq++) {
        struct batch_record batch = contract_batch(1, 7, 1, seq, (uint8_t)(seq + 1));
        contract_store(store, &batch, 10);
    }
    struct batch_identity from = {.draw = 1};
    struct batch_record listed[3];
    size_t found = 3;
    uint32_t seen = 0;
    while (found == 3) {
        cr_assert_eq(store_list(store, &from, listed, 3, &found), STATUS_OK);
        for (size_t i = 0; i < found; i++)
            cr_expect_eq(listed[i].identity.seq, seen++);
        if (found > 0)
            from = listed[found - 1].identity;
        batch_identity_next(&from);
        /* What is deleted between two pieces does no harm. */
        cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
        cr_assert_eq(store_erase(store, &listed[0].identity), STATUS_OK);
        cr_assert_eq(store_commit(store), STATUS_OK);
    }
    cr_expect_eq(seen, 7);
    from = (struct batch_identity){.draw = 2};
    cr_assert_eq(store_list(store, &from, listed, 3, &found), STATUS_OK);
    cr_expect_eq(found, 0);
}

static void record_seal(struct store *store, const struct seal_record *seal, const char *packed)
{
    struct slice manifest = {(const uint8_t *)packed, strlen(packed)};
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    cr_assert_eq(store_record_seal(store, seal, manifest), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
}

void contract_keeps_seals(struct store *store)
{
    struct seal_record seal = {.draw = 3, .kind = SEAL_MANIFEST, .number = 7574};
    memset(seal.root.bytes, 0xab, DIGEST_BYTES);
    struct seal_record as_void = {.draw = 2, .kind = SEAL_AS_VOID};
    struct slice packed;
    cr_expect_eq(store_manifest(store, 3, &packed), STATUS_NOT_FOUND);
    record_seal(store, &seal, "manifest");
    record_seal(store, &as_void, "");
    struct seal_record listed[4];
    size_t count;
    cr_assert_eq(store_list_seals(store, 0, listed, 4, &count), STATUS_OK);
    cr_assert_eq(count, 2);
    cr_expect_eq(listed[0].draw, 2);
    cr_expect_eq(listed[0].kind, SEAL_AS_VOID);
    cr_expect_eq(listed[1].draw, 3);
    cr_expect_eq(listed[1].kind, SEAL_MANIFEST);
    cr_expect_eq(listed[1].number, 7574);
    cr_expect_not(listed[1].is_forgotten);
    cr_expect(digest_is_equal(&listed[1].root, &seal.root));
    cr_assert_eq(store_list_seals(store, 3, listed, 4, &count), STATUS_OK);
    cr_expect_eq(count, 1);
    cr_assert_eq(store_manifest(store, 3, &packed), STATUS_OK);
    cr_expect_eq(packed.bytes, 8);
    cr_expect_eq(memcmp(packed.data, "manifest", 8), 0);
    cr_expect_eq(store_manifest(store, 2, &packed), STATUS_NOT_FOUND);
}

void contract_forgets_a_manifest(struct store *store)
{
    struct seal_record seal = {.draw = 3, .kind = SEAL_MANIFEST, .number = 1};
    record_seal(store, &seal, "manifest");
    seal.is_forgotten = true;
    record_seal(store, &seal, "");
    struct slice packed;
    cr_expect_eq(store_manifest(store, 3, &packed), STATUS_NOT_FOUND);
    struct seal_record listed[2];
    size_t count;
    cr_assert_eq(store_list_seals(store, 0, listed, 2, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    cr_expect(listed[0].is_forgotten);
    cr_expect_eq(listed[0].kind, SEAL_MANIFEST);
}

void contract_keeps_an_epoch(struct store *store)
{
    struct epoch epoch = {.number = UINT64_C(1) << 40, .id = {{1, 2, 3}}};
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    cr_assert_eq(store_record_epoch(store, &epoch), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
    struct store_about about;
    store_about(store, &about);
    cr_expect_eq(epoch_compare(&about.epoch, &epoch), EPOCH_SAME);
    cr_expect_geq(about.opening.number, 1);
    cr_expect_gt(about.free_bytes, 0);
}

void contract_keeps_bodies_of_any_size(struct store *store)
{
    static const size_t SIZES[] = {1, 100, 2000, 4096, 65536, 524288};
    enum { SIZES_COUNT = sizeof SIZES / sizeof SIZES[0] };
    struct batch_record batches[SIZES_COUNT];
    for (uint32_t i = 0; i < SIZES_COUNT; i++) {
        batches[i] = contract_batch(1, 1, 1, i, (uint8_t)(i + 1));
        contract_store(store, &batches[i], SIZES[i]);
    }
    for (uint32_t i = 0; i < SIZES_COUNT; i++)
        expect_batch(store, &batches[i], SIZES[i]);
}
