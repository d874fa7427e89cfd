/* What comes at the wrong moment: between two draws, while the journal is recovered, after a pause,
 * from before the broker's start. */
#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

static void begin(struct bench *bench, uint32_t draws, uint32_t recover_stores)
{
    struct broker_options options;
    bench_options(&options);
    options.draws = draws;
    options.recover_stores = recover_stores;
    options.terms.agencies_required = 1;
    bench_open(bench, &options);
}

static void say_register(struct bench *bench, uint64_t peer, uint8_t id)
{
    struct message message = bench_registration(id, 1);
    bench_report(bench, peer, &message, (struct slice){0});
}

/* A chunk without items. */
static void say_chunk(struct bench *bench, uint64_t peer, uint32_t chunk, bool is_last)
{
    struct message message = {.kind = MESSAGE_INVENTORY,
                              .inventory = {.chunk = chunk, .is_last = is_last}};
    bench_report(bench, peer, &message, (struct slice){0});
}

Test(broker_races, a_store_may_register_while_the_next_draw_opens, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 2, 0);
    say_register(&bench, 50, 1);
    say_chunk(&bench, 50, 0, false);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 2), 1);
    say_chunk(&bench, 50, 1, true);
    cr_expect(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_races, a_store_may_register_while_the_recovery_ends, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1, 1);
    say_register(&bench, 51, 2);
    say_chunk(&bench, 51, 0, false);
    say_register(&bench, 50, 1);
    say_chunk(&bench, 50, 0, true);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 1), 1);
    say_chunk(&bench, 51, 1, true);
    cr_expect(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WELCOME, 0, NULL, NULL));
    cr_expect(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WHO, 0, NULL, NULL));
    say_register(&bench, 52, 2);
    say_chunk(&bench, 52, 0, true);
    cr_expect(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_WELCOME, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_races, a_pause_of_the_broker_lengthens_no_lease_that_began_after_it, .timeout = 10)
{
    struct bench bench;
    struct message pong = {.kind = MESSAGE_PONG};
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench.now_ms += 3600000;
    bench_report(&bench, 50, &pong, (struct slice){0});
    bench_pass(&bench, bench.options.lease_ms + bench.options.store_grace_ms + 1000);
    cr_expect(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0),
              "its only store has been silent for a lease and a grace");
    bench_close(&bench);
}

Test(broker_races, an_answer_to_a_seal_that_an_older_broker_sent_is_ignored, .timeout = 10)
{
    struct bench bench;
    struct digest root = {{1}};
    begin(&bench, 1, 0);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench_store(&bench, 50, 1, 1);
    bench_sealed(&bench, 50, &root);
    cr_expect_eq(bench_verdict(&bench), STATUS_OK);
    bench_close(&bench);
}

Test(broker_races, a_later_draw_may_be_asked_for_once_a_void_is_over, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench_store(&bench, 51, 1, 2);
    bench_sealed(&bench, 51, &(struct digest){{0}});
    cr_assert_eq(bench_poll(&bench, 4, 0).refused.reason, REFUSAL_VOID);
    bench.options.void_draw = 0;
    bench.options.terms.number.draw = 3;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench_store(&bench, 52, 1, 3);
    bench_sealed(&bench, 52, &(struct digest){{0}});
    cr_expect_eq(journal_memory_count(bench.journal, RECORD_OPENED, 2), 0);
    cr_expect_eq(journal_memory_count(bench.journal, RECORD_OPENED, 3), 1);
    bench_close(&bench);
}

Test(broker_races, a_void_that_no_store_has_recorded_is_waited_for, .timeout = 10)
{
    struct bench bench;
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4,
                                      .incarnation = 2,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench.options.void_draw = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_expect_eq(bench_poll(&bench, 4, -1).refused.reason, REFUSAL_NOT_OPEN);
    cr_expect_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_NOT_OPEN);
    bench_store(&bench, 51, 1, 2);
    bench_sealed(&bench, 51, &(struct digest){{0}});
    cr_expect_eq(bench_poll(&bench, 4, -1).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

Test(broker_races, a_sealed_draw_may_be_made_void, .timeout = 10)
{
    struct bench bench;
    struct message seal;
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &seal, NULL));
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    say_register(&bench, 51, 1);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 1,
                                  .root = seal.part.root,
                                  .number = 7};
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    struct message message = {.kind = MESSAGE_INVENTORY,
                              .inventory = {.is_last = true, .items = 1}};
    bench_report(&bench, 51, &message, (struct slice){buffer, bytes});
    cr_expect_eq(bench_verdict(&bench), STATUS_OK);
    bench_sealed(&bench, 51, &(struct digest){{0}});
    cr_expect_eq(bench_poll(&bench, 4, 1).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

Test(broker_races, recover_on_a_journal_that_is_not_lost_voids_nothing, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    say_register(&bench, 51, 1);
    struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)},
    };
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    struct message message = {.kind = MESSAGE_INVENTORY,
                              .inventory = {.is_last = true, .items = 1}};
    bench_report(&bench, 51, &message, (struct slice){buffer, bytes});
    cr_expect_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 0);
    bench_close(&bench);
}

/* What is held beyond the cut would be taken for missing, and be sent twice. */
Test(broker_races, a_wait_says_nothing_beyond_held_ranges_that_do_not_fit, .timeout = 10)
{
    enum { HELD = RANGES_BYTES_MAX / 3 };
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.queue_bytes = HELD * (BATCH_WEIGHT_EXTRA_BYTES + 1024);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    for (uint32_t i = 0; i < HELD; i++)
        bench_batch(&bench, 4, 2 * i);
    const struct message wait = bench_poll(&bench, 4, -1);
    cr_assert_eq(wait.kind, MESSAGE_WAIT);
    cr_assert_lt(wait.wait.upto, 2 * HELD, "the ranges were cut");
    cr_assert(bench_ranges_have(wait.wait.held, wait.wait.upto - 1));
    cr_assert(!bench_ranges_have(wait.wait.held, wait.wait.upto));
    bench_close(&bench);
}

Test(broker_races, a_new_attempt_has_seen_no_round, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    const struct message mark = {
        .kind = MESSAGE_MARK,
        .draw = 1,
        .mark = {.agency = 4, .attempt = 1, .incarnation = 1, .round = 3},
    };
    const struct message poll = {
        .kind = MESSAGE_POLL,
        .draw = 1,
        .poll = {.agency = 4, .incarnation = 1, .attempt = 2},
    };
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_bets(&bench, &mark, 0);
    bench_hello(&bench, 4, 2);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).wait.round_seen, 0);
    bench_close(&bench);
}

/* A newer broker is heard of behind what would have published the draw. */
Test(broker_races, a_broker_that_has_failed_publishes_nothing, .timeout = 10)
{
    for (int fails = 0; fails < 2; fails++) {
        struct bench bench;
        begin(&bench, 1, 0);
        bench_hello(&bench, 4, 0);
        const struct message fenced = {.kind = MESSAGE_FENCED,
                                       .fenced = {{bench.epoch + 1, {{1}}}}};
        const struct message poll = bench_poll_of(&bench, 4, 0);
        bench_request(&bench, 7, &poll);
        broker_tick(bench.broker, bench.now_ms, bench.wall_ms);
        cr_assert_eq(journal_memory_apply(bench.journal, &bench.epoch, bench.records), STATUS_OK);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
        records_reset(bench.records);
        outbox_reset(bench.outbox);
        if (fails)
            bench_hear(&bench, 50, &fenced, (struct slice){0});
        broker_committed(bench.broker, bench.now_ms);
        cr_assert_eq(bench_sent(&bench, PORT_WINNERS, 0, MESSAGE_RESULT, 0, NULL, NULL), !fails);
        bench_close(&bench);
    }
}

Test(broker_races, a_broker_that_has_failed_lets_batches_go, .timeout = 10)
{
    struct bench bench;
    begin(&bench, 1, 0);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    const struct message fenced = {.kind = MESSAGE_FENCED, .fenced = {{bench.epoch + 1, {{1}}}}};
    bench_report(&bench, 50, &fenced, (struct slice){0});
    bench_batch(&bench, 4, 0);
    cr_assert_eq(bench.payloads, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_close(&bench);
}
