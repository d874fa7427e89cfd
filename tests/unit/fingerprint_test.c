/* FNV-1a by its published values, and what the parts of a state add to it. */
#include "proto/wire/fingerprint.h"

#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

TestSuite(fingerprint, .timeout = 10);

Test(fingerprint, bytes_have_the_published_values)
{
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "", 0), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "foobar", 6), UINT64_C(0x85944171f73967e8));
}

Test(fingerprint, number_is_its_bytes_lowest_first)
{
    static const uint8_t bytes[] = {8, 7, 6, 5, 4, 3, 2, 1};
    cr_assert_eq(fingerprint_number(7, UINT64_C(0x0102030405060708)),
                 fingerprint_bytes(7, bytes, sizeof bytes));
}

Test(fingerprint, numbers_are_told_apart_by_their_order)
{
    static const uint64_t rising[] = {1, 2};
    static const uint64_t falling[] = {2, 1};
    cr_assert_eq(fingerprint_numbers(7, rising, 2),
                 fingerprint_number(fingerprint_number(7, 1), 2));
    cr_assert_neq(fingerprint_numbers(7, rising, 2), fingerprint_numbers(7, falling, 2));
}

Test(fingerprint, set_is_its_members_whatever_room_it_has)
{
    struct seqset small = {0};
    struct seqset large = {0};
    cr_assert_eq(seqset_add(&large, 5000), STATUS_OK);
    seqset_remove(&large, 5000);
    cr_assert_eq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&large, 3), STATUS_OK);
    cr_assert_neq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&small, 3), STATUS_OK);
    cr_assert_eq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&large, 4), STATUS_OK);
    cr_assert_neq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    seqset_clear(&small);
    seqset_clear(&large);
}

Test(fingerprint, of_a_broker_tells_states_apart_and_repeats, .timeout = 10)
{
    uint64_t prints[2][5];
    for (int run = 0; run < 2; run++) {
        struct bench bench;
        struct broker_options options;
        bench_options(&options);
        bench_open(&bench, &options);
        prints[run][0] = broker_fingerprint(bench.broker);
        bench_store(&bench, 50, 1, 1);
        prints[run][1] = broker_fingerprint(bench.broker);
        bench_hello(&bench, 4, 0);
        prints[run][2] = broker_fingerprint(bench.broker);
        bench_batch(&bench, 4, 0);
        prints[run][3] = broker_fingerprint(bench.broker);
        bench_stored(&bench, 50, 4, 0);
        prints[run][4] = broker_fingerprint(bench.broker);
        bench_close(&bench);
    }
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(prints[0][i], prints[1][i], "state %d", i);
        for (int j = 0; j < i; j++)
            cr_assert_neq(prints[0][i], prints[0][j], "states %d and %d", i, j);
    }
}

/* As many records each: what a broker that is down will find is told apart by what they are. */
Test(fingerprint, of_a_journal_is_of_what_it_has, .timeout = 10)
{
    const struct record records_of[] = {
        {.kind = RECORD_STORE, .store = {{1}}},
        {.kind = RECORD_STORE, .store = {{2}}},
        {.kind = RECORD_PLAN, .draw = 1, .plan = {.agency = 4, .attempt = 1}},
        {.kind = RECORD_PLAN, .draw = 1, .plan = {.agency = 5, .attempt = 1}},
        {.kind = RECORD_PLAN, .draw = 1, .plan = {.agency = 4, .attempt = 1}},
    };
    enum { JOURNALS = sizeof records_of / sizeof *records_of };
    uint64_t prints[JOURNALS];
    for (int i = 0; i < JOURNALS; i++) {
        struct journal_memory *journal = journal_memory_create();
        struct records *records;
        uint64_t epoch = journal_memory_open(journal);
        cr_assert_eq(records_create(1, 64, &records), STATUS_OK);
        records_add(records, &records_of[i]);
        cr_assert_eq(journal_memory_apply(journal, &epoch, records), STATUS_OK);
        prints[i] = journal_memory_fingerprint(journal);
        (void)journal_memory_open(journal);
        cr_assert_neq(journal_memory_fingerprint(journal), prints[i], "another epoch");
        records_destroy(&records);
        journal_memory_destroy(&journal);
    }
    for (int i = 0; i < JOURNALS; i++)
        for (int other = 0; other < i; other++)
            cr_assert_eq(prints[i] == prints[other], i == 4 && other == 2, "%d %d", i, other);
}
