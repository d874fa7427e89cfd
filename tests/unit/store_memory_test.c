/* Tests of the store in memory: the contract of every store, and that it fails as it is told to. */
#include "tests/sim/store_memory.h"

#include <criterion/criterion.h>
#include <signal.h>

#include "tests/unit/store_contract.h"

static struct store *store;

static void set_up(void)
{
    cr_assert_eq(store_memory_create(&(struct id){{1}}, &(struct id){{2}}, &store), STATUS_OK);
}

static void tear_down(void)
{
    store_close(&store);
    store_close(&store);
}

TestSuite(store_memory, .timeout = 10, .init = set_up, .fini = tear_down);

#define CONTRACT(name)          \
    Test(store_memory, name)    \
    {                           \
        contract_##name(store); \
    }

CONTRACT(keeps_a_batch)
CONTRACT(tells_same_digest_from_another)
CONTRACT(replaces_only_when_told)
CONTRACT(reads_inside_a_transaction)
CONTRACT(abandons_without_a_trace)
CONTRACT(erases)
CONTRACT(lists_in_order_of_identity)
CONTRACT(goes_on_with_a_listing)
CONTRACT(keeps_seals)
CONTRACT(forgets_a_manifest)
CONTRACT(keeps_an_epoch)
CONTRACT(keeps_bodies_of_any_size)

static const uint8_t BODY[100];

static enum status put(const struct batch_record *batch)
{
    return store_put(store, batch, (struct slice){BODY, sizeof BODY}, false);
}

Test(store_memory, keeps_after_a_crash_only_what_was_synced)
{
    struct batch_record synced = contract_batch(1, 1, 1, 0, 1);
    struct batch_record open = contract_batch(1, 1, 1, 1, 2);
    contract_store(store, &synced, 10);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(put(&open), STATUS_OK);
    cr_expect_not(store_memory_has_durably(store, &open));
    store_memory_crash(store, &(struct id){{3}});
    struct batch_record kept;
    cr_expect_eq(store_get(store, &open.identity, &kept, NULL), STATUS_NOT_FOUND);
    cr_expect_eq(store_get(store, &synced.identity, &kept, NULL), STATUS_OK);
    cr_expect(store_memory_has_durably(store, &synced));
    cr_expect_eq(store_memory_count_durable(store), 1);
}

Test(store_memory, raises_its_opening_at_each_crash)
{
    struct store_about before;
    struct store_about after;
    store_about(store, &before);
    store_memory_crash(store, &(struct id){{3}});
    store_about(store, &after);
    cr_expect_eq(before.opening.number, 1);
    cr_expect_eq(after.opening.number, 2);
    cr_expect_eq(after.opening.id.bytes[0], 3);
    cr_expect(id_is_equal(&before.id, &after.id));
}

Test(store_memory, loses_what_a_forgotten_sync_left_behind)
{
    store_memory_skip_sync(store, true);
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    contract_store(store, &batch, 10);
    cr_expect_not(store_memory_has_durably(store, &batch));
    store_memory_crash(store, &(struct id){{3}});
    struct batch_record kept;
    cr_expect_eq(store_get(store, &batch.identity, &kept, NULL), STATUS_NOT_FOUND);
}

static void fail_sync(bool is_kept, enum status expected)
{
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    store_memory_fail_sync(store, is_kept);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(put(&batch), STATUS_OK);
    cr_expect_eq(store_commit(store), STATUS_SYNC);
    cr_expect_str_not_empty(store_problem(store));
    store_memory_crash(store, &(struct id){{3}});
    struct batch_record kept;
    cr_expect_eq(store_get(store, &batch.identity, &kept, NULL), expected);
    contract_store(store, &(struct batch_record){.identity = {1, 1, 1, 9}}, 1);
}

Test(store_memory, may_keep_what_a_failed_sync_wrote)
{
    fail_sync(true, STATUS_OK);
}

Test(store_memory, may_lose_what_a_failed_sync_wrote)
{
    fail_sync(false, STATUS_NOT_FOUND);
}

Test(store_memory, stops_who_goes_on_after_a_failed_sync, .signal = SIGABRT)
{
    store_memory_fail_sync(store, false);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_SYNC);
    store_begin(store, STORE_COMMON);
}

Test(store_memory, stops_a_second_transaction, .signal = SIGABRT)
{
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    store_begin(store, STORE_COMMON);
}

Test(store_memory, is_full_at_its_capacity_and_keeps_a_reserve)
{
    store_memory_set_capacity(store, MEMORY_RESERVE_BYTES + 2 * (sizeof BODY + MEMORY_BATCH_BYTES));
    struct batch_record batches[3];
    for (uint32_t i = 0; i < 3; i++)
        batches[i] = contract_batch(1, 1, 1, i, (uint8_t)(i + 1));
    contract_store(store, &batches[0], sizeof BODY);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_expect_eq(put(&batches[1]), STATUS_OK);
    cr_expect_eq(put(&batches[2]), STATUS_FULL);
    struct batch_record kept;
    cr_expect_eq(store_get(store, &batches[1].identity, &kept, NULL), STATUS_NOT_FOUND,
                 "FULL ends the whole transaction");
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    struct seal_record seal = {.draw = 1, .kind = SEAL_AS_VOID};
    cr_expect_eq(store_record_seal(store, &seal, (struct slice){NULL, 0}), STATUS_OK);
    cr_expect_eq(store_erase(store, &batches[0].identity), STATUS_OK);
    cr_expect_eq(store_commit(store), STATUS_OK);
    contract_store(store, &batches[2], sizeof BODY);
}

Test(store_memory, rots)
{
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    contract_store(store, &batch, 10);
    cr_expect(store_memory_rot(store, &batch.identity));
    struct batch_record kept;
    struct slice body;
    cr_assert_eq(store_get(store, &batch.identity, &kept, &body), STATUS_OK);
    cr_expect_neq(body.data[5], 1);
    batch.identity.seq = 9;
    cr_expect_not(store_memory_rot(store, &batch.identity));
}

Test(store_memory, copies_a_disk)
{
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    contract_store(store, &batch, 10);
    struct store *copy = NULL;
    cr_assert_eq(store_memory_copy(store, &(struct id){{9}}, &copy), STATUS_OK);
    struct store_about about;
    store_about(copy, &about);
    cr_expect_eq(about.opening.number, 2);
    cr_expect_eq(about.id.bytes[0], 1);
    cr_expect(store_memory_has_durably(copy, &batch));
    store_close(&copy);
}

Test(store_memory, has_equal_fingerprints_for_equal_contents)
{
    uint64_t empty = store_memory_fingerprint(store);
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    contract_store(store, &batch, 10);
    uint64_t one = store_memory_fingerprint(store);
    cr_expect_neq(empty, one);
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    cr_assert_eq(store_erase(store, &batch.identity), STATUS_OK);
    cr_expect_neq(store_memory_fingerprint(store), one);
    store_abandon(store);
    cr_expect_eq(store_memory_fingerprint(store), one);
    cr_expect_eq(store_memory_commits(store), 1);
}

/* Else whoever tells states apart by it takes the one before the failure for one that he knows. */
Test(store_memory, has_another_fingerprint_while_a_sync_is_to_fail)
{
    uint64_t sound = store_memory_fingerprint(store);
    store_memory_fail_sync(store, false);
    cr_expect_neq(store_memory_fingerprint(store), sound);
}
