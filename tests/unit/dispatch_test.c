#include "broker/dispatch.h"

#include <criterion/criterion.h>

#include "broker/flights.h"

enum {
    QUEUE = 64 * 1024,
    WEIGHT = 1024,
    GRACE = 10000,
    LOTS = 1024 * 1024, /* of credit */
};

static struct dispatch *dispatch;
static uint32_t released;
static void *last_released;

static void release(void *payload)
{
    released++;
    last_released = payload;
}

static void begin(void)
{
    cr_assert_eq(dispatch_create(QUEUE, release, &dispatch), STATUS_OK);
}

static void end(void)
{
    dispatch_destroy(&dispatch);
}

TestSuite(dispatch, .init = begin, .fini = end, .timeout = 20);

static struct parcel parcel(uint32_t agency, uint32_t seq)
{
    static uint8_t payloads[256];

    return (struct parcel){.agency = agency,
                           .attempt = 1,
                           .seq = seq,
                           .weight = WEIGHT,
                           .digest = {{(uint8_t)agency, (uint8_t)seq}},
                           .payload = &payloads[seq % 256]};
}

static enum status push(uint32_t agency, uint32_t seq)
{
    const struct parcel waiting = parcel(agency, seq);

    return dispatch_push(dispatch, &waiting);
}

static void push_below(uint32_t agency, uint32_t batches)
{
    for (uint32_t seq = 0; seq < batches; seq++)
        cr_assert_eq(push(agency, seq), STATUS_OK);
}

static void open_with(uint32_t store, uint64_t credit)
{
    cr_assert_eq(dispatch_open_store(dispatch, store), STATUS_OK);
    dispatch_credit(dispatch, store, credit);
}

/* The store that the next batch goes to; -1: none. */
static int next_store(int64_t now_ms)
{
    struct parcel sent;
    uint32_t store = 0;

    return dispatch_next(dispatch, now_ms, &store, &sent) ? (int)store : -1;
}

static bool is_held(uint32_t agency, uint32_t seq)
{
    return seqset_has(dispatch_held(dispatch, agency), seq);
}

Test(dispatch, destroy_releases_what_waits_sets_null_and_is_safe_twice)
{
    open_with(0, WEIGHT);
    push_below(1, 3);
    cr_assert_eq(next_store(0), 0);
    dispatch_destroy(&dispatch);
    cr_assert_null(dispatch);
    cr_assert_eq(released, 2);
    dispatch_destroy(&dispatch);
}

Test(dispatch, sends_batches_in_the_order_in_which_they_came)
{
    open_with(3, LOTS);
    cr_assert_eq(push(1, 9), STATUS_OK);
    cr_assert_eq(push(0, 0), STATUS_OK);
    cr_assert_eq(push(1, 2), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const struct parcel expected =
            parcel((const uint32_t[]){1, 0, 1}[i], (const uint32_t[]){9, 0, 2}[i]);
        struct parcel sent = {0};
        uint32_t store = 0;

        cr_assert(dispatch_next(dispatch, 0, &store, &sent));
        cr_assert_eq(store, 3);
        cr_assert_eq(sent.agency, expected.agency);
        cr_assert_eq(sent.attempt, 1);
        cr_assert_eq(sent.seq, expected.seq);
        cr_assert_eq(sent.weight, WEIGHT);
        cr_assert_eq(sent.payload, expected.payload);
        cr_assert(digest_is_equal(&sent.digest, &expected.digest));
    }
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, holds_a_batch_at_most_once_queued_or_in_flight)
{
    open_with(0, LOTS);
    cr_assert_eq(push(1, 5), STATUS_OK);
    cr_assert_eq(push(1, 5), STATUS_EXISTS);
    cr_assert_eq(push(2, 5), STATUS_OK);
    cr_assert_eq(next_store(0), 0);
    cr_assert(is_held(1, 5));
    cr_assert_eq(push(1, 5), STATUS_EXISTS);
    dispatch_land(dispatch, 0, 1, 1, 5);
    cr_assert_not(is_held(1, 5));
    cr_assert_eq(push(1, 5), STATUS_OK);
    cr_assert_eq(released, 0);
}

Test(dispatch, takes_batches_until_the_queue_weighs_its_budget)
{
    struct parcel last = parcel(1, QUEUE / WEIGHT);

    push_below(1, QUEUE / WEIGHT - 1);
    cr_assert(dispatch_has_room(dispatch));
    cr_assert_eq(dispatch_queue_weight(dispatch), QUEUE - WEIGHT);
    last.weight = WEIGHT - 1;
    cr_assert_eq(dispatch_push(dispatch, &last), STATUS_OK);
    cr_assert(dispatch_has_room(dispatch));
    cr_assert_eq(push(2, 0), STATUS_OK);
    cr_assert_eq(dispatch_queue_weight(dispatch), QUEUE + WEIGHT - 1);
    cr_assert_not(dispatch_has_room(dispatch));
    cr_assert_eq(push(2, 1), STATUS_FULL);
    cr_assert_not(is_held(2, 1));
    cr_assert_eq(push(2, 0), STATUS_EXISTS);
    open_with(0, 1);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(dispatch_queue_weight(dispatch), QUEUE - 1);
    cr_assert_eq(push(2, 1), STATUS_OK);
}

Test(dispatch, takes_as_many_of_the_smallest_batches_as_its_array_has_places)
{
    struct parcel small = parcel(1, 0);

    small.weight = BATCH_WEIGHT_EXTRA_BYTES;
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (small.seq = 0; small.seq < QUEUE / BATCH_WEIGHT_EXTRA_BYTES; small.seq++)
            cr_assert_eq(dispatch_push(dispatch, &small), STATUS_OK);
        cr_assert_eq(dispatch_push(dispatch, &small), STATUS_FULL);
        dispatch_drop_all(dispatch);
    }
    cr_assert_eq(released, 2 * QUEUE / BATCH_WEIGHT_EXTRA_BYTES);
}

Test(dispatch, rejects_more_batches_than_a_draw_can_have)
{
    cr_assert_eq(push(0, BATCHES_MAX), STATUS_LIMIT);
    cr_assert_eq(push(0, UINT32_MAX), STATUS_LIMIT);
    cr_assert_eq(push(0, BATCHES_MAX - 2), STATUS_OK);
    cr_assert_eq(push(1, 1), STATUS_LIMIT);
    cr_assert_eq(push(1, 0), STATUS_OK);
    cr_assert_eq(push(0, BATCHES_MAX - 1), STATUS_LIMIT);
    cr_assert_eq(push(0, 3), STATUS_OK);
    dispatch_drop_agency(dispatch, 0);
    cr_assert_eq(push(1, BATCHES_MAX - 1), STATUS_OK);
    dispatch_drop_all(dispatch);
    cr_assert_eq(push(0, BATCHES_MAX - 1), STATUS_OK);
}

/* [M-47] */
Test(dispatch, sends_nothing_without_credit_or_after_a_store_closed)
{
    push_below(1, 3);
    cr_assert_eq(next_store(0), -1);
    cr_assert_eq(dispatch_open_store(dispatch, 0), STATUS_OK);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 1, LOTS);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, LOTS);
    cr_assert_eq(next_store(0), 0);
    dispatch_close_store(dispatch, 0);
    cr_assert_eq(next_store(0), -1);
    cr_assert_eq(dispatch_open_store(dispatch, 0), STATUS_OK);
    cr_assert_eq(next_store(0), -1);
}

/* [M-47] */
Test(dispatch, any_credit_left_admits_one_batch)
{
    push_below(1, 3);
    open_with(0, 1);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, WEIGHT);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, WEIGHT + 1);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, lower_or_equal_credit_changes_nothing)
{
    push_below(1, 5);
    open_with(0, 2 * WEIGHT);
    cr_assert_eq(next_store(0), 0);
    dispatch_credit(dispatch, 0, 2 * WEIGHT);
    dispatch_credit(dispatch, 0, WEIGHT);
    dispatch_credit(dispatch, 0, 0);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, outstanding_credit_is_cut)
{
    struct parcel large = parcel(1, 0);
    const uint32_t weight = BATCH_BYTES_MAX + BATCH_WEIGHT_EXTRA_BYTES;
    uint32_t sent = 0;

    dispatch_destroy(&dispatch);
    cr_assert_eq(dispatch_create(64 * 1024 * 1024, release, &dispatch), STATUS_OK);
    large.weight = weight;
    for (large.seq = 0; large.seq < 40; large.seq++)
        cr_assert_eq(dispatch_push(dispatch, &large), STATUS_OK);
    open_with(0, UINT64_MAX - 1);
    while (next_store(0) == 0)
        sent++;
    cr_assert_eq(sent, CREDIT_BYTES_MAX / weight + 1);
    dispatch_credit(dispatch, 0, UINT64_MAX - 2);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, UINT64_MAX);
    cr_assert_eq(next_store(0), -1);
}

/* [M-51] */
Test(dispatch, returned_spends_all_credit_until_a_higher_total)
{
    push_below(1, 5);
    open_with(0, 10 * WEIGHT);
    cr_assert_eq(next_store(0), 0);
    dispatch_spend(dispatch, 0);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, 10 * WEIGHT);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, 12 * WEIGHT);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, spending_does_not_forgive_what_passed_the_credit)
{
    push_below(1, 5);
    open_with(0, 1);
    cr_assert_eq(next_store(0), 0);
    dispatch_spend(dispatch, 0);
    dispatch_credit(dispatch, 0, WEIGHT);
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, WEIGHT + 1);
    cr_assert_eq(next_store(0), 0);
}

Test(dispatch, prefers_the_store_with_most_credit_left)
{
    push_below(1, 4);
    open_with(5, 2 * WEIGHT);
    open_with(2, 3 * WEIGHT + 1);
    cr_assert_eq(next_store(0), 2);
    cr_assert_eq(next_store(0), 2);
    cr_assert_eq(next_store(0), 5);
    cr_assert_eq(next_store(0), 2);
}

Test(dispatch, takes_turns_between_stores_with_equal_credit)
{
    push_below(1, 7);
    open_with(0, 2 * WEIGHT);
    open_with(4, 2 * WEIGHT);
    open_with(STORES_MAX - 1, 2 * WEIGHT);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), 4);
    cr_assert_eq(next_store(0), STORES_MAX - 1);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), 4);
    cr_assert_eq(next_store(0), STORES_MAX - 1);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, lands_only_a_flight_of_that_store_and_attempt)
{
    open_with(0, LOTS);
    cr_assert_eq(dispatch_open_store(dispatch, 1), STATUS_OK);
    cr_assert_eq(push(1, 5), STATUS_OK);
    dispatch_land(dispatch, 0, 1, 1, 5);
    cr_assert(is_held(1, 5));
    cr_assert_eq(next_store(0), 0);
    dispatch_land(dispatch, 1, 1, 1, 5);
    dispatch_land(dispatch, 2, 1, 1, 5);
    dispatch_land(dispatch, 0, 1, 2, 5);
    dispatch_land(dispatch, 0, 1, 1, 4);
    dispatch_land(dispatch, 0, 2, 1, 5);
    cr_assert(is_held(1, 5));
    dispatch_land(dispatch, 0, 1, 1, 5);
    cr_assert_not(is_held(1, 5));
    dispatch_land(dispatch, 0, 1, 1, 5);
}

Test(dispatch, landing_gives_no_credit_back)
{
    open_with(0, 1);
    push_below(1, 2);
    cr_assert_eq(next_store(0), 0);
    dispatch_land(dispatch, 0, 1, 1, 0);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, closing_a_store_ends_its_flights_and_no_others)
{
    push_below(1, 3);
    open_with(0, 1);
    cr_assert_eq(next_store(0), 0);
    open_with(1, 1);
    cr_assert_eq(next_store(0), 1);
    dispatch_close_store(dispatch, 0);
    dispatch_close_store(dispatch, 0);
    cr_assert_not(is_held(1, 0));
    cr_assert(is_held(1, 1));
    cr_assert(is_held(1, 2));
    cr_assert_eq(push(1, 0), STATUS_OK);
}

Test(dispatch, opening_an_open_store_begins_anew)
{
    push_below(1, 3);
    open_with(0, LOTS);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(dispatch_open_store(dispatch, 0), STATUS_OK);
    cr_assert_not(is_held(1, 0));
    cr_assert_eq(next_store(0), -1);
    dispatch_credit(dispatch, 0, 1);
    cr_assert_eq(next_store(0), 0);
}

Test(dispatch, flights_end_after_their_grace)
{
    push_below(1, 3);
    open_with(0, LOTS);
    cr_assert_eq(next_store(100), 0);
    cr_assert_eq(next_store(200), 0);
    cr_assert_eq(dispatch_expire(dispatch, 99 + GRACE, GRACE), 100 + GRACE);
    cr_assert(is_held(1, 0));
    cr_assert_eq(dispatch_expire(dispatch, 100 + GRACE, GRACE), 200 + GRACE);
    cr_assert_not(is_held(1, 0));
    cr_assert(is_held(1, 1));
    cr_assert_eq(dispatch_expire(dispatch, 500 + GRACE, GRACE), INT64_MAX);
    cr_assert_not(is_held(1, 1));
    cr_assert(is_held(1, 2));
    cr_assert_eq(dispatch_queue_weight(dispatch), WEIGHT);
}

Test(dispatch, earliest_flight_of_all_stores_ends_next)
{
    push_below(1, 2);
    open_with(2, 1);
    cr_assert_eq(next_store(50), 2);
    open_with(1, 1);
    cr_assert_eq(next_store(80), 1);
    cr_assert_eq(dispatch_expire(dispatch, 80, GRACE), 50 + GRACE);
    cr_assert_eq(dispatch_expire(dispatch, 80, INT64_MAX), INT64_MAX);
    cr_assert(is_held(1, 0) && is_held(1, 1), "with a grace that never ends they go on");
}

Test(dispatch, finishing_drops_an_agency_that_has_reached_one_batch_too_many)
{
    push_below(1, 2);
    dispatch_finish_agency(dispatch, 1, 2);
    cr_assert(is_held(1, 1));
    dispatch_finish_agency(dispatch, 1, 1);
    cr_assert_not(is_held(1, 1));
}

Test(dispatch, shift_lets_flights_end_later)
{
    push_below(1, 1);
    open_with(0, LOTS);
    cr_assert_eq(next_store(100), 0);
    dispatch_shift(dispatch, 5000);
    cr_assert_eq(dispatch_expire(dispatch, 100 + GRACE, GRACE), 5100 + GRACE);
    cr_assert(is_held(1, 0));
}

Test(dispatch, dropping_an_agency_releases_its_batches_and_forgets_its_flights)
{
    open_with(0, 2 * WEIGHT);
    for (uint32_t seq = 0; seq < 3; seq++) {
        cr_assert_eq(push(1, seq), STATUS_OK);
        cr_assert_eq(push(2, seq), STATUS_OK);
    }
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), 0);
    dispatch_drop_agency(dispatch, 1);
    cr_assert_eq(released, 2);
    cr_assert_eq(last_released, parcel(1, 2).payload);
    cr_assert_eq(dispatch_held(dispatch, 1)->members, 0);
    cr_assert_eq(dispatch_held(dispatch, 2)->members, 3);
    cr_assert_eq(dispatch_queue_weight(dispatch), 2 * WEIGHT);
    dispatch_land(dispatch, 0, 2, 1, 0);
    cr_assert_not(is_held(2, 0));
}

Test(dispatch, landing_of_an_older_attempt_leaves_the_newer_one)
{
    struct parcel newer = parcel(1, 0);

    open_with(0, LOTS);
    cr_assert_eq(push(1, 0), STATUS_OK);
    cr_assert_eq(next_store(0), 0);
    dispatch_drop_agency(dispatch, 1);
    newer.attempt = 2;
    cr_assert_eq(dispatch_push(dispatch, &newer), STATUS_OK);
    dispatch_land(dispatch, 0, 1, 1, 0);
    cr_assert(is_held(1, 0));
    cr_assert_eq(next_store(0), 0);
    dispatch_land(dispatch, 0, 1, 1, 0);
    cr_assert(is_held(1, 0));
    dispatch_land(dispatch, 0, 1, 2, 0);
    cr_assert_not(is_held(1, 0));
}

Test(dispatch, dropping_all_leaves_stores_their_credit)
{
    open_with(0, 2 * WEIGHT);
    push_below(1, 3);
    push_below(7, 3);
    cr_assert_eq(next_store(0), 0);
    dispatch_drop_all(dispatch);
    cr_assert_eq(released, 5);
    cr_assert_eq(dispatch_queue_weight(dispatch), 0);
    cr_assert_eq(dispatch_held(dispatch, 1)->members, 0);
    cr_assert_eq(dispatch_held(dispatch, 7)->members, 0);
    cr_assert_eq(dispatch_expire(dispatch, 0, GRACE), INT64_MAX);
    push_below(1, 3);
    cr_assert_eq(next_store(0), 0);
    cr_assert_eq(next_store(0), -1);
}

Test(dispatch, dropping_all_leaves_nothing_that_counts_against_the_limit)
{
    cr_assert_eq(push(1, 9), STATUS_OK);
    dispatch_drop_all(dispatch);
    cr_assert_eq(push(1, 0), STATUS_OK);
    dispatch_drop_agency(dispatch, 1);
    cr_assert_eq(push(2, BATCHES_MAX - 1), STATUS_OK);
    cr_assert_eq(push(3, 0), STATUS_LIMIT);
}

Test(dispatch, store_with_a_full_table_is_sent_nothing_until_a_flight_ends)
{
    struct parcel small = parcel(1, 0);
    uint64_t admitted = 0;

    small.weight = BATCH_WEIGHT_EXTRA_BYTES;
    cr_assert_eq(dispatch_open_store(dispatch, 0), STATUS_OK);
    for (; small.seq < FLIGHTS_MAX; small.seq++) {
        admitted += small.weight;
        dispatch_credit(dispatch, 0, admitted);
        cr_assert_eq(dispatch_push(dispatch, &small), STATUS_OK);
        cr_assert_eq(next_store(0), 0);
    }
    dispatch_credit(dispatch, 0, admitted + LOTS);
    cr_assert_eq(dispatch_push(dispatch, &small), STATUS_OK);
    cr_assert_eq(next_store(0), -1);
    dispatch_land(dispatch, 0, 1, 1, 77);
    cr_assert_eq(next_store(0), 0);
}
