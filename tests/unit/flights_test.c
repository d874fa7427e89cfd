#include "broker/flights.h"

#include <criterion/criterion.h>

enum { SEQS = 40, AGENCIES = 3, STEPS = 20000 };

static struct flights *flights;

static void begin(void)
{
    cr_assert_eq(flights_create(&flights), STATUS_OK);
}

static void end(void)
{
    flights_destroy(&flights);
}

TestSuite(flights, .init = begin, .fini = end, .timeout = 20);

static void start(uint32_t agency, uint32_t seq, int64_t began_at)
{
    flights_begin(flights, &(struct flight){agency, 1, seq, began_at});
}

/* The seqs of all flights in order of sending, oldest first. */
static void assert_order(uint32_t count, const uint32_t *seqs)
{
    const struct flight *flight = flights_oldest(flights);

    cr_assert_eq(flights_count(flights), count);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_not_null(flight);
        cr_assert_eq(flight->seq, seqs[i]);
        flight = flights_next(flights, flight);
    }
    cr_assert_null(flight);
}

Test(flights, destroy_sets_null_and_is_safe_twice)
{
    flights_destroy(&flights);
    cr_assert_null(flights);
    flights_destroy(&flights);
}

Test(flights, keeps_the_order_of_sending_wherever_one_ends)
{
    cr_assert_null(flights_oldest(flights));
    for (uint32_t seq = 0; seq < 5; seq++)
        start(1, seq, seq);
    cr_assert(flights_end(flights, 1, 1, 2));
    assert_order(4, (uint32_t[]){0, 1, 3, 4});
    cr_assert(flights_end(flights, 1, 1, 0));
    cr_assert(flights_end(flights, 1, 1, 4));
    assert_order(2, (uint32_t[]){1, 3});
    start(1, 9, 9);
    assert_order(3, (uint32_t[]){1, 3, 9});
    cr_assert(flights_end(flights, 1, 1, 1));
    cr_assert(flights_end(flights, 1, 1, 3));
    cr_assert(flights_end(flights, 1, 1, 9));
    assert_order(0, NULL);
}

Test(flights, rejects_the_end_of_what_is_not_in_flight)
{
    start(1, 5, 0);
    cr_assert_not(flights_end(flights, 1, 1, 6));
    cr_assert_not(flights_end(flights, 2, 1, 5));
    cr_assert_not(flights_end(flights, 5, 1, 1));
    cr_assert_not(flights_end(flights, 1, 2, 5));
    cr_assert_eq(flights_count(flights), 1);
    cr_assert(flights_end(flights, 1, 1, 5));
    cr_assert_not(flights_end(flights, 1, 1, 5));
}

Test(flights, holds_its_maximum_and_can_be_filled_again)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < FLIGHTS_MAX; i++) {
            cr_assert_not(flights_is_full(flights));
            start(i % 7, i, i);
        }
        cr_assert(flights_is_full(flights));
        for (uint32_t i = FLIGHTS_MAX; i > 0; i--)
            cr_assert(flights_end(flights, (i - 1) % 7, 1, i - 1));
        cr_assert_eq(flights_count(flights), 0);
        cr_assert_null(flights_oldest(flights));
    }
}

Test(flights, begins_none_earlier_than_the_one_before)
{
    start(1, 0, 100);
    start(1, 1, 50);
    cr_assert_eq(flights_next(flights, flights_oldest(flights))->began_at, 100);
}

Test(flights, shift_moves_every_flight)
{
    start(1, 0, 100);
    start(1, 1, 200);
    flights_shift(flights, 30);
    cr_assert_eq(flights_oldest(flights)->began_at, 130);
    cr_assert_eq(flights_next(flights, flights_oldest(flights))->began_at, 230);
}

/* xorshift64 */
static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state % bound);
}

Test(flights, agrees_with_a_plain_list_in_thousands_of_random_steps)
{
    uint64_t state = 2463534242u;
    uint32_t list[AGENCIES * SEQS]; /* agency * SEQS + seq, oldest first */
    uint32_t count = 0;

    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t key = random_below(&state, AGENCIES * SEQS);
        const struct flight *flight = NULL;
        uint32_t at = 0;

        while (at < count && list[at] != key)
            at++;
        if (at == count) {
            cr_assert_not(flights_end(flights, key / SEQS, 1, key % SEQS));
            start(key / SEQS, key % SEQS, step);
            list[count++] = key;
        } else {
            cr_assert(flights_end(flights, key / SEQS, 1, key % SEQS));
            memmove(&list[at], &list[at + 1], (count - at - 1) * sizeof list[0]);
            count--;
        }
        cr_assert_eq(flights_count(flights), count);
        flight = flights_oldest(flights);
        for (uint32_t i = 0; i < count; i++, flight = flights_next(flights, flight))
            cr_assert_eq(flight->agency * SEQS + flight->seq, list[i]);
        cr_assert_null(flight);
    }
}

/* More agencies than there are chains: some share one. */
Test(flights, ends_the_flight_of_no_other_agency)
{
    for (uint32_t agency = 0; agency < FLIGHTS_MAX; agency++)
        start(agency, 0, agency);
    for (uint32_t agency = 0; agency < FLIGHTS_MAX; agency++) {
        cr_assert_eq(flights_oldest(flights)->agency, agency);
        cr_assert(flights_end(flights, agency, 1, 0));
        cr_assert_not(flights_end(flights, agency, 1, 0));
    }
    cr_assert_eq(flights_count(flights), 0);
}
