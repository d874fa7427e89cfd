/* What the broker's operator is told without asking: for whom it waits, and that it does not. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/stores.h"
#include "tests/unit/broker_bench.h"

static void begin(struct bench *bench, uint32_t agencies)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.agencies_required = agencies;
    bench_open(bench, &options);
}

Test(broker_notes, batches_that_nobody_takes_are_said_to_wait_for_a_worker, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1);
    bench_hello(&bench, 4, 0);
    bench_pass(&bench, 2 * LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0, "no batch waits");
    bench_batch(&bench, 4, 0);
    bench_pass(&bench, LEASE_MS - 1);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0, "a worker may be about to come");
    bench_pass(&bench, LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "stores: 0 ", "start sorteo-worker"), 1);
    bench_pass(&bench, WAIT_MS_MAX - LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    bench_pass(&bench, 2 * LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "stores: 0 ", "start sorteo-worker"), 1);
    bench_store(&bench, 50, 1, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL));
    (void)bench_lines(&bench, "", "");
    bench_pass(&bench, 2 * WAIT_MS_MAX);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    bench_close(&bench);
}

Test(broker_notes, batches_without_room_in_a_store_are_said_to_wait_for_it, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1);
    bench_hello(&bench, 4, 0);
    bench_store(&bench, 50, 1, 1);
    bench_batch(&bench, 4, 0);
    const uint8_t range[] = {0x92, 0x00, 0x01}; /* one from 0 on */
    struct message returned = {
        .kind = MESSAGE_RETURNED,
        .draw = 1,
        .returned = {.agency = 4, .attempt = 1, .seqs = {range, sizeof range}},
    };
    bench_report(&bench, 50, &returned, (struct slice){0});
    bench_batch(&bench, 4, 0);
    bench_pass_heard(&bench, 50, 6 * LEASE_MS / 4);
    cr_assert_eq(bench_lines(&bench, "stores: 1 ", "room in a store"), 1);
    bench_close(&bench);
}

Test(broker_notes, a_barrier_that_times_out_names_who_is_missing, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.barrier_timeout_ms = 60000;
    options.terms.on_timeout = TIMEOUT_VOID;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_pass(&bench, 60001);
    cr_assert_eq(bench_lines(&bench, "timeout | decision: void", "finished: 1 of 2 | missing: 10"),
                 1);
    bench_close(&bench);
}

Test(broker_notes, a_start_says_where_the_draw_stands, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 2);
    cr_assert_eq(bench_lines(&bench, "phase: OPEN | agencies: 2", "finished: 0"), 1);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_lines(&bench, "phase: OPEN | agencies: 2", "finished: 1"), 1);
    bench_close(&bench);
}

Test(broker_notes, a_start_in_a_void_that_no_store_has_recorded_waits_for_one, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 2);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_lines(&bench, "decision: void, by the operator", ""), 1);
    bench.options.void_draw = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_lines(&bench, "draw: 1 | decision: void", "waiting_for: a store"), 1);
    bench_close(&bench);
}

Test(broker_notes, a_start_after_the_last_draw_waits_for_nobody, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_lines(&bench, "phase: PUBLISHED", "takes no bets"), 1);
    bench.options.draws = 2;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct broker_event event;
    cr_assert(broker_next_event(bench.broker, &event));
    cr_assert_not_null(strstr(event.text, "draw: 2 | phase: OPEN"), "%s", event.text);
    bench_close(&bench);
}

/* Everybody has finished, so nobody is named as missing: it is the broker that says it. */
Test(broker_notes, a_draw_waits_for_batches_that_were_lost_after_all_had_finished, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 2);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_pass(&bench, LEASE_MS + bench.options.store_grace_ms + LEASE_MS / 4); /* for good */
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0, "agency 10 is named by WAIT");
    cr_assert_eq(bench_poll(&bench, 10, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 0);
    bench_pass(&bench, LEASE_MS + LEASE_MS / 2);
    cr_assert_eq(bench_lines(&bench, "draw: 1 | waiting_for", "agency 4"), 1);
    bench_pass(&bench, WAIT_MS_MAX);
    cr_assert_eq(bench_lines(&bench, "draw: 1 | waiting_for", "agency 4"), 1);
    bench_store(&bench, 51, 2, 1);
    bench_stored(&bench, 51, 4, 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
    (void)bench_lines(&bench, "", "");
    bench_pass(&bench, LEASE_MS / 2);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    bench_close(&bench);
}

Test(broker_notes, a_count_waits_for_batches_that_were_lost_after_the_seal, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
    bench_pass(&bench, LEASE_MS + LEASE_MS / 2);
    cr_assert_eq(bench_lines(&bench, "waiting_for: store 01020304", "to come back"), 1);
    bench_pass(&bench, bench.options.store_grace_ms + WAIT_MS_MAX);
    cr_assert_eq(bench_lines(&bench, "draw: 1 | waiting_for", "agency 4"), 1);
    bench_close(&bench);
}

Test(broker_notes, a_sealed_draw_says_for_which_store_it_waits, .timeout = 10)
{
    struct bench bench;
    struct message seal;
    struct message count;
    begin(&bench, 1);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &seal, NULL));
    bench_pass_heard(&bench, 50, LEASE_MS + LEASE_MS / 4);
    cr_assert_eq(bench_lines(&bench, "waiting_for: store 01020304", "to check its batches"), 1);
    bench_sealed(&bench, 50, &seal.part.root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL));
    bench_pass_heard(&bench, 50, WAIT_MS_MAX + LEASE_MS / 4);
    cr_assert_eq(bench_lines(&bench, "waiting_for: store 01020304", "to count"), 1);
    for (uint32_t i = 0; i < WRONG_ANSWERS_MAX; i++) {
        cr_assert(i == 0 || bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL));
        struct message counted = bench_counted(&count, 1, 1);
        bench_report(&bench, 50, &counted, (struct slice){0});
    }
    cr_assert_eq(bench_lines(&bench, "wrong answer; this store is asked no more", ""), 1);
    bench_pass_heard(&bench, 50, WAIT_MS_MAX + LEASE_MS / 4);
    cr_assert_eq(bench_lines(&bench, "waiting_for: store 01020304", "answers were wrong"), 1);
    bench_close(&bench);
}

Test(broker_notes, a_recovery_says_how_many_stores_it_waits_for, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.recover_stores = 2;
    bench_open(&bench, &options);
    bench_pass(&bench, LEASE_MS - 1);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0, "they may be about to come");
    bench_pass(&bench, LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "waiting_for: 2 stores", "registered: 0"), 1);
    bench_pass(&bench, WAIT_MS_MAX - LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    bench_store(&bench, 50, 1, 1);
    bench_pass_heard(&bench, 50, 2 * LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "waiting_for: 2 stores", "registered: 1"), 1);
    bench_store(&bench, 51, 2, 1);
    bench_pass(&bench, 2 * WAIT_MS_MAX);
    cr_assert_eq(bench_lines(&bench, "waiting_for: 2 stores", ""), 0);
    bench_close(&bench);
}

Test(broker_notes, a_sealed_draw_waits_for_no_store_that_was_given_up, .timeout = 10)
{
    struct bench bench;
    struct message seal;
    begin(&bench, 1);
    bench_store(&bench, 50, 1, 1);
    bench_store(&bench, 51, 2, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench_stored(&bench, 51, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_SEAL, 0, &seal, NULL));
    bench_sealed(&bench, 51, &seal.part.root);
    bench_pass_heard(&bench, 51, LEASE_MS + LEASE_MS / 2);
    cr_assert_eq(bench_lines(&bench, "store 01020304 to ", "other_stores: 1"), 1);
    bench_pass_heard(&bench, 51, bench.options.store_grace_ms + WAIT_MS_MAX);
    cr_assert_eq(bench_lines(&bench, "store 02020304 to count its batches", "other_stores: 0"), 1);
    bench_close(&bench);
}

Test(broker_notes, of_many_that_are_missing_at_a_timeout_the_first_eight_are_named, .timeout = 10)
{
    static const uint32_t roster[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.roster = roster;
    options.terms.roster_count = 10;
    options.terms.barrier_timeout_ms = 60000;
    bench_open(&bench, &options);
    bench_hello(&bench, 1, 0);
    bench_pass(&bench, options.terms.barrier_timeout_ms + 1);
    cr_assert_eq(bench_lines(&bench, "decision: void", "missing: 1, 2, 3, 4, 5, 6, 7, 8, ..."), 1);
    bench_close(&bench);
}

Test(broker_notes, of_more_lines_than_a_turn_keeps_the_last_are_told_in_their_order, .timeout = 10)
{
    enum { KEPT = 64 };
    struct bench bench;
    struct broker_event event;
    char words[32];
    begin(&bench, 1);
    (void)bench_lines(&bench, "", "");
    for (uint32_t agency = 0; agency < KEPT + 3; agency++) {
        const struct message hello = {.kind = MESSAGE_HELLO,
                                      .draw = 1,
                                      .hello = {.agency = agency,
                                                .incarnation = 1,
                                                .plan = {1, BATCH_BYTES_MIN, false}}};
        bench_request(&bench, agency, &hello);
    }
    for (uint32_t agency = 3; agency < KEPT + 3; agency++) {
        cr_assert(broker_next_event(bench.broker, &event));
        (void)snprintf(words, sizeof words, "agency: %u |", agency);
        cr_assert_not_null(strstr(event.text, words), "%s, not %s", event.text, words);
    }
    cr_assert_not(broker_next_event(bench.broker, &event));
    bench_close(&bench);
}

enum { TIMEOUT_MS = 60000 };

/* Draw 1 is void: these agencies have come, and nobody has finished. */
static void begin_void(struct bench *bench, const uint32_t *agencies, size_t count)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.barrier_timeout_ms = TIMEOUT_MS;
    options.terms.on_timeout = TIMEOUT_VOID;
    bench_open(bench, &options);
    for (size_t i = 0; i < count; i++)
        bench_hello(bench, agencies[i], 0);
    bench_pass(bench, TIMEOUT_MS + 1);
}

/* The linger passes: what the broker ends with. */
static void expect_end(struct bench *bench, const char *problem)
{
    const char *told = NULL;
    bench_pass(bench, bench->options.linger_ms + 1);
    cr_assert_eq(broker_verdict(bench->broker, &told), STATUS_END);
    cr_assert_str_eq(told, problem);
}

#define THEY_ARE_ANSWERED \
    " | hint: they are answered when the broker is started again with the same command"

Test(broker_notes, the_end_of_the_linger_names_who_has_not_said_bye, .timeout = 10)
{
    struct bench bench;
    const struct message bye = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = 10}};
    begin_void(&bench, (const uint32_t[]){11, 4, 10}, 3);
    cr_assert_eq(bench_ask(&bench, &bye, NULL).refused.reason, REFUSAL_VOID);
    expect_end(&bench, "the last draw is over | missing: BYE of 4, 11" THEY_ARE_ANSWERED);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    expect_end(&bench, "the last draw is over"); /* it does not know who has said BYE */
    bench_close(&bench);
}

Test(broker_notes, the_end_of_the_linger_names_eight_agencies_at_most, .timeout = 10)
{
    static const uint32_t ids[] = {4294967295, 4294967294, 4294967293, 4294967292, 4294967291,
                                   4294967290, 4294967289, 4294967288, 4294967287, 4294967286};
    struct bench bench;
    begin_void(&bench, ids, 8);
    expect_end(&bench, "the last draw is over | missing: BYE of 4294967288, 4294967289, "
                       "4294967290, 4294967291, 4294967292, 4294967293, 4294967294, "
                       "4294967295" THEY_ARE_ANSWERED);
    bench_close(&bench);
    begin_void(&bench, ids, 9);
    expect_end(&bench, "the last draw is over | missing: BYE of 4294967287, 4294967288, "
                       "4294967289, 4294967290, 4294967291, 4294967292, 4294967293, "
                       "4294967294, ..." THEY_ARE_ANSWERED);
    bench_close(&bench);
    begin_void(&bench, ids, 10); /* two more than are named: the last one is not looked at */
    expect_end(&bench, "the last draw is over | missing: BYE of 4294967286, 4294967287, "
                       "4294967288, 4294967289, 4294967290, 4294967291, 4294967292, "
                       "4294967293, ..." THEY_ARE_ANSWERED);
    bench_close(&bench);
}
