#include "broker/stores.h"

#include <criterion/criterion.h>

enum { LEASE = 3000, GRACE = 10000 };

static struct stores *stores;

static void begin(void)
{
    cr_assert_eq(stores_create(LEASE, GRACE, &stores), STATUS_OK);
}

static void end(void)
{
    stores_destroy(&stores);
}

TestSuite(stores, .init = begin, .fini = end, .timeout = 10);

static struct id make_id(uint8_t number)
{
    return (struct id){.bytes = {number}};
}

static enum status try_register(uint8_t number, uint64_t peer, uint64_t opening, uint8_t opening_id,
                                int64_t now_ms, uint32_t *slot, bool *is_new)
{
    const struct message_register message = {
        .store = make_id(number),
        .opening = {.number = opening, .id = make_id(opening_id)},
        .free_bytes = 1000,
    };

    return stores_register(stores, peer, &message, now_ms, slot, is_new);
}

/* Store `number` in its first opening registers over a routing id of the same number. */
static uint32_t begin_register(uint8_t number, int64_t now_ms)
{
    uint32_t slot = UINT32_MAX;
    bool is_new = false;

    cr_assert_eq(try_register(number, number, 1, number, now_ms, &slot, &is_new), STATUS_OK);
    return slot;
}

static uint32_t register_whole(uint8_t number, int64_t now_ms)
{
    const uint32_t slot = begin_register(number, now_ms);

    stores_welcome(stores, slot, now_ms);
    return slot;
}

static enum store_state state_of(uint32_t slot)
{
    return stores_at(stores, slot)->state;
}

static void assert_change(int64_t now_ms, enum store_change change, uint32_t slot)
{
    uint32_t changed = UINT32_MAX;

    cr_assert_eq(stores_next_change(stores, now_ms, &changed), change);
    cr_assert_eq(changed, change == STORE_UNCHANGED ? UINT32_MAX : slot);
}

static uint64_t take_fingerprint(void)
{
    return stores_fingerprint(stores, 0);
}

Test(stores, destroy_sets_null_and_is_safe_twice)
{
    stores_destroy(&stores);
    cr_assert_null(stores);
    stores_destroy(&stores);
}

Test(stores, restores_an_awaited_store_once)
{
    const struct id id = make_id(1);

    cr_assert_eq(stores_restore(stores, &id, 100), STATUS_OK);
    cr_assert_eq(stores_restore(stores, &id, 200), STATUS_OK);
    cr_assert_eq(stores_count(stores), 1);
    cr_assert_eq(state_of(0), STORE_AWAITED);
    cr_assert_eq(stores_at(stores, 0)->silent_at, 100);
    cr_assert_not(stores_are_settled(stores));
    cr_assert_eq(stores_find(stores, 0), -1);
}

Test(stores, takes_a_new_store_through_its_inventory_to_registered)
{
    uint32_t slot = UINT32_MAX;
    bool is_new = false;

    cr_assert(stores_are_settled(stores));
    cr_assert_eq(try_register(7, 70, 1, 1, 100, &slot, &is_new), STATUS_OK);
    cr_assert(is_new);
    cr_assert_eq(slot, 0);
    cr_assert_eq(state_of(slot), STORE_REGISTERING);
    cr_assert_eq(stores_at(stores, slot)->free_bytes, 1000);
    cr_assert_eq(stores_find(stores, 70), 0);
    cr_assert_eq(stores_registered_count(stores), 0);
    cr_assert_not(stores_are_settled(stores));

    stores_welcome(stores, slot, 200);
    cr_assert_eq(state_of(slot), STORE_REGISTERED);
    cr_assert_eq(stores_registered_count(stores), 1);
    cr_assert(stores_are_settled(stores));
}

Test(stores, knows_a_restored_store_again)
{
    const struct id id = make_id(7);
    uint32_t slot = UINT32_MAX;
    bool is_new = true;

    cr_assert_eq(stores_restore(stores, &id, 0), STATUS_OK);
    cr_assert_eq(try_register(7, 70, 5, 1, 100, &slot, &is_new), STATUS_OK);
    cr_assert_not(is_new);
    cr_assert_eq(slot, 0);
    cr_assert_eq(stores_count(stores), 1);
}

Test(stores, replaces_a_registration_under_the_same_or_a_newer_opening)
{
    uint32_t slot = UINT32_MAX;
    bool is_new = true;

    register_whole(7, 100);
    stores_at(stores, 0)->chunks = 3;
    stores_at(stores, 0)->has_sealed = true;
    cr_assert_eq(try_register(7, 71, 1, 7, 200, &slot, &is_new), STATUS_OK);
    cr_assert_eq(stores_find(stores, 7), -1);
    cr_assert_eq(stores_find(stores, 71), 0);
    cr_assert_eq(stores_at(stores, 0)->chunks, 0);
    cr_assert_not(stores_at(stores, 0)->has_sealed);
    cr_assert_eq(try_register(7, 72, 2, 9, 300, &slot, &is_new), STATUS_OK);
    cr_assert_eq(stores_find(stores, 71), -1);
    cr_assert_eq(stores_find(stores, 72), 0);
    cr_assert_eq(stores_count(stores), 1);
    cr_assert_not(is_new);
}

Test(stores, rejects_a_lower_opening_and_a_rival_and_changes_nothing)
{
    uint64_t before;
    uint64_t after;
    uint32_t slot = 77;
    bool is_new = true;

    cr_assert_eq(try_register(7, 70, 5, 1, 100, &slot, &is_new), STATUS_OK);
    before = take_fingerprint();
    slot = 77;
    cr_assert_eq(try_register(7, 71, 4, 1, 200, &slot, &is_new), STATUS_STALE);
    cr_assert_eq(try_register(7, 71, 5, 2, 200, &slot, &is_new), STATUS_STALE);
    cr_assert_eq(slot, 77);
    after = take_fingerprint();
    cr_assert_eq(before, after);
}

Test(stores, rejects_a_lower_opening_of_a_store_that_was_given_up)
{
    uint32_t slot = 0;
    bool is_new = false;

    cr_assert_eq(try_register(7, 70, 5, 1, 0, &slot, &is_new), STATUS_OK);
    stores_welcome(stores, slot, 0);
    assert_change(LEASE + GRACE, STORE_FELL_SILENT, 0);
    assert_change(LEASE + GRACE, STORE_WAS_GIVEN_UP, 0);
    cr_assert_eq(try_register(7, 71, 4, 9, LEASE + GRACE, &slot, &is_new), STATUS_STALE);
}

Test(stores, rejects_a_second_store_over_the_same_peer)
{
    uint32_t slot = 0;
    bool is_new = false;

    register_whole(7, 0);
    cr_assert_eq(try_register(8, 7, 1, 1, 0, &slot, &is_new), STATUS_STALE);
    cr_assert_eq(stores_count(stores), 1);
    assert_change(LEASE, STORE_FELL_SILENT, 0);
    cr_assert_eq(try_register(8, 7, 1, 1, LEASE, &slot, &is_new), STATUS_OK);
    cr_assert_eq(stores_find(stores, 7), 1);
}

Test(stores, rejects_more_stores_than_its_limit)
{
    const struct id beyond = make_id(STORES_MAX);
    uint32_t slot = 0;
    bool is_new = false;

    for (uint8_t i = 0; i < STORES_MAX; i++)
        register_whole(i, 0);
    cr_assert_eq(stores_restore(stores, &beyond, 0), STATUS_LIMIT);
    cr_assert_eq(try_register(STORES_MAX, STORES_MAX, 1, 1, 0, &slot, &is_new), STATUS_LIMIT);
    cr_assert_eq(stores_count(stores), STORES_MAX);
    begin_register(5, 0);
}

Test(stores, lease_ends_when_nothing_was_heard_for_its_length)
{
    register_whole(1, 0);
    stores_heard(stores, 0, 500);
    cr_assert_eq(stores_due_at(stores), 500 + LEASE);
    assert_change(499 + LEASE, STORE_UNCHANGED, 0);
    assert_change(600 + LEASE, STORE_FELL_SILENT, 0);
    assert_change(600 + LEASE, STORE_UNCHANGED, 0);
    cr_assert_eq(state_of(0), STORE_SILENT);
    cr_assert_eq(stores_at(stores, 0)->silent_at, 500 + LEASE);
    cr_assert(stores_are_settled(stores), "what it holds is known, what was in flight is not");
    cr_assert_eq(stores_find(stores, 1), -1);
}

Test(stores, silent_store_is_given_up_after_its_grace)
{
    register_whole(1, 0);
    assert_change(LEASE, STORE_FELL_SILENT, 0);
    cr_assert_eq(stores_due_at(stores), LEASE + GRACE);
    assert_change(LEASE + GRACE - 1, STORE_UNCHANGED, 0);
    assert_change(LEASE + GRACE, STORE_WAS_GIVEN_UP, 0);
    cr_assert(stores_are_settled(stores));
    cr_assert_eq(stores_due_at(stores), INT64_MAX);
    assert_change(INT64_MAX, STORE_UNCHANGED, 0);
}

Test(stores, awaited_store_is_given_up_after_its_grace)
{
    const struct id id = make_id(1);

    cr_assert_eq(stores_restore(stores, &id, 100), STATUS_OK);
    assert_change(99 + GRACE, STORE_UNCHANGED, 0);
    assert_change(100 + GRACE, STORE_WAS_GIVEN_UP, 0);
}

Test(stores, messages_of_a_silent_store_do_not_revive_it)
{
    register_whole(1, 0);
    assert_change(LEASE, STORE_FELL_SILENT, 0);
    stores_heard(stores, 0, LEASE + 1);
    cr_assert_eq(state_of(0), STORE_SILENT);
    cr_assert_eq(stores_at(stores, 0)->heard_at, 0);
}

Test(stores, silent_store_that_registers_again_counts_all_the_while)
{
    register_whole(1, 0);
    assert_change(LEASE, STORE_FELL_SILENT, 0);
    begin_register(1, LEASE + 10);
    cr_assert_not(stores_are_settled(stores));
    stores_heard(stores, 0, 2 * LEASE);
    assert_change(LEASE + GRACE, STORE_HALF_FORGOTTEN, 0);
    cr_assert_eq(state_of(0), STORE_SILENT);
    cr_assert_eq(stores_at(stores, 0)->silent_at, LEASE);
    assert_change(LEASE + GRACE, STORE_WAS_GIVEN_UP, 0);
}

Test(stores, grace_does_not_end_while_an_inventory_comes_in)
{
    const struct id id = make_id(1);
    int64_t now_ms = 0;

    cr_assert_eq(stores_restore(stores, &id, 0), STATUS_OK);
    begin_register(1, now_ms);
    for (; now_ms < 2 * GRACE; now_ms += LEASE - 1) {
        assert_change(now_ms, STORE_UNCHANGED, 0);
        stores_heard(stores, 0, now_ms);
    }
    stores_welcome(stores, 0, now_ms);
    assert_change(now_ms + LEASE - 1, STORE_UNCHANGED, 0);
    cr_assert_eq(state_of(0), STORE_REGISTERED);
}

Test(stores, forgotten_half_leaves_a_registered_store_silent_since_it_registered_anew)
{
    register_whole(1, 0);
    begin_register(1, 100);
    begin_register(1, 200);
    assert_change(199 + LEASE, STORE_UNCHANGED, 0);
    assert_change(200 + LEASE, STORE_HALF_FORGOTTEN, 0);
    cr_assert_eq(state_of(0), STORE_SILENT);
    cr_assert_eq(stores_at(stores, 0)->silent_at, 100);
}

Test(stores, forgotten_half_of_a_new_store_is_awaited)
{
    begin_register(1, 50);
    assert_change(50 + LEASE, STORE_HALF_FORGOTTEN, 0);
    cr_assert_eq(state_of(0), STORE_AWAITED);
    cr_assert_eq(stores_due_at(stores), 50 + GRACE);
}

Test(stores, forgotten_half_of_a_store_that_was_given_up_counts_for_nothing)
{
    register_whole(1, 0);
    assert_change(LEASE, STORE_FELL_SILENT, 0);
    assert_change(LEASE + GRACE, STORE_WAS_GIVEN_UP, 0);
    begin_register(1, LEASE + GRACE);
    assert_change(2 * LEASE + GRACE, STORE_HALF_FORGOTTEN, 0);
    cr_assert_eq(state_of(0), STORE_GIVEN_UP);
    assert_change(2 * LEASE + GRACE, STORE_UNCHANGED, 0);
}

Test(stores, takes_the_changes_of_all_stores_and_is_due_at_the_earliest)
{
    const struct id id = make_id(3);

    register_whole(1, 100);
    register_whole(2, 50);
    cr_assert_eq(stores_restore(stores, &id, 100 - GRACE), STATUS_OK);
    cr_assert_eq(stores_due_at(stores), 100);
    assert_change(100, STORE_WAS_GIVEN_UP, 2);
    cr_assert_eq(stores_due_at(stores), 50 + LEASE);
    assert_change(100 + LEASE, STORE_FELL_SILENT, 0);
    assert_change(100 + LEASE, STORE_FELL_SILENT, 1);
    assert_change(100 + LEASE, STORE_UNCHANGED, 0);
}

Test(stores, shift_moves_leases_and_graces)
{
    const struct id id = make_id(2);

    register_whole(1, 0);
    cr_assert_eq(stores_restore(stores, &id, 0), STATUS_OK);
    stores_shift(stores, 5000, 5000);
    cr_assert_eq(stores_due_at(stores), 5000 + LEASE);
    assert_change(5000 + LEASE, STORE_FELL_SILENT, 0);
    assert_change(4999 + GRACE, STORE_UNCHANGED, 0);
    assert_change(5000 + GRACE, STORE_WAS_GIVEN_UP, 1);
}

Test(stores, shift_moves_no_lease_beyond_one_that_begins_now)
{
    register_whole(1, 0);
    stores_heard(stores, 0, 9000);
    stores_shift(stores, 9000, 9001);
    cr_assert_eq(stores_due_at(stores), 9001 + LEASE);
}

Test(stores, fingerprint_changes_with_each_event)
{
    uint64_t seen[5];

    seen[0] = take_fingerprint();
    begin_register(1, 0);
    seen[1] = take_fingerprint();
    stores_welcome(stores, 0, 0);
    seen[2] = take_fingerprint();
    stores_heard(stores, 0, 1);
    cr_assert_eq(take_fingerprint(), seen[2], "times are left out");
    stores_at(stores, 0)->has_sealed = true;
    seen[3] = take_fingerprint();
    assert_change(1 + LEASE, STORE_FELL_SILENT, 0);
    seen[4] = take_fingerprint();
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j], "%zu and %zu", i, j);
}

Test(stores, all_but_those_given_up_are_awaited_anew)
{
    const struct id known = make_id(1);
    cr_assert_eq(stores_restore(stores, &known, 0), STATUS_OK);
    assert_change(GRACE, STORE_WAS_GIVEN_UP, 0);
    const uint32_t half = begin_register(2, GRACE);
    const uint32_t whole = register_whole(3, GRACE);
    stores_await_anew(stores, GRACE + 5);
    cr_assert_eq(state_of(0), STORE_GIVEN_UP);
    cr_assert_eq(state_of(half), STORE_AWAITED);
    cr_assert_eq(state_of(whole), STORE_AWAITED);
    cr_assert_eq(stores_find(stores, 3), -1, "its peer has to register again");
    assert_change(2 * GRACE + 4, STORE_UNCHANGED, 0);
    assert_change(2 * GRACE + 5, STORE_WAS_GIVEN_UP, half);
}

Test(stores, a_grace_that_would_pass_the_end_of_the_clock_never_ends)
{
    const struct id id = make_id(1);
    const int64_t last_ms = INT64_MAX - 1;

    cr_assert_eq(stores_restore(stores, &id, last_ms - GRACE), STATUS_OK);
    cr_assert_eq(stores_due_at(stores), last_ms);
    stores_shift(stores, 2, last_ms);
    cr_assert_eq(stores_due_at(stores), INT64_MAX);
    assert_change(last_ms, STORE_UNCHANGED, 0);
}
