#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* [M-37] */
Test(broker_stores, a_stranger_is_asked_who_he_is_and_not_heard, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 77, 4, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 77, MESSAGE_WHO, 0, NULL, NULL));
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0));
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 77, &registration, (struct slice){0});
    bench_stored(&bench, 77, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 77, MESSAGE_WHO, 0, NULL, NULL), "it registers");
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "nor welcome yet");
    bench_store(&bench, 77, 1, 2);
    bench_pass(&bench, LEASE_MS + 1);
    bench_stored(&bench, 77, 4, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 77, MESSAGE_WHO, 0, NULL, NULL));
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "its lease is over");
    bench_close(&bench);
}

Test(broker_stores, a_store_is_journaled_once_and_welcomed_after_its_inventory, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, NULL, NULL));
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.chunk = 0}};
    bench_report(&bench, 50, &inventory, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_PING, 0, NULL, NULL));
    inventory.inventory.chunk = 1;
    inventory.inventory.is_last = true;
    bench_report(&bench, 50, &inventory, (struct slice){0});
    struct message welcome;
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, &welcome, NULL));
    cr_assert_eq(welcome.epoch.number, bench.epoch);
    cr_assert_eq(welcome.welcome.lease_ms, LEASE_MS);
    cr_assert_eq(bench_lines(&bench, "store: 01020304 | opening: 1 |", "| stores: 1"), 1);
    bench_store(&bench, 51, 1, 2);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_STORE, 0), 1);
    bench_close(&bench);
}

/* Its first item would end the broker, were it believed. */
Test(broker_stores, nothing_of_stored_is_believed_that_has_other_items_than_it_says, .timeout = 10)
{
    struct bench bench;
    uint8_t buffer[ITEM_BYTES_MAX] = {0};
    size_t bytes = 0;
    struct message stored = {.kind = MESSAGE_STORED,
                             .draw = 1,
                             .stored = {.agency = 4, .attempt = 1, .items = 2}};
    const struct item_stored item = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)};
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_store(&bench, 50, 1, 1);
    bench_batch(&bench, 4, 0);
    cr_assert_eq(item_pack_stored(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(&bench, 50, &stored, (struct slice){buffer, bytes});
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "one item of two");
    stored.stored.items = 1;
    bench_report(&bench, 50, &stored, (struct slice){buffer, bytes + 1});
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "a byte too many");
    bench_report(&bench, 50, &stored, (struct slice){buffer, bytes});
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0));
    bench_close(&bench);
}

Test(broker_stores, a_chunk_with_fewer_items_than_it_says_ends_the_registration, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 1}};
    bench_report(&bench, 50, &inventory, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, NULL, NULL));
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, NULL, NULL));
    bench_close(&bench);
}

/* [M-41] */
Test(broker_stores, a_copied_store_is_dismissed, .timeout = 10)
{
    struct bench bench;
    struct message dismissed;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 5);
    struct message registration = bench_registration(1, 4);
    bench_report(&bench, 51, &registration, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_DISMISSED, 0, &dismissed, NULL));
    cr_assert_eq(dismissed.dismissed.reason, DISMISSAL_OPENING);
    registration = bench_registration(1, 5);
    registration.registration.opening.id.bytes[1] = 9;
    bench_report(&bench, 51, &registration, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_DISMISSED, 0, NULL, NULL));
    cr_assert_eq(bench_lines(&bench, "store: 01020304 | reason: this store is a copy", ""), 2);
    bench_close(&bench);
}

Test(broker_stores, a_batch_goes_out_once_under_the_brokers_epoch, .timeout = 10)
{
    struct bench bench;
    struct message forward;
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL),
              "no store yet");
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_store(&bench, 50, 1, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, &forward, NULL));
    cr_assert_eq(forward.epoch.number, bench.epoch);
    cr_assert(!forward.forward.is_declared);
    bench_batch(&bench, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL), "it is held");
    bench_stored(&bench, 50, 4, 0);
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0), "its flight is over");
    bench_batch(&bench, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL),
              "it is durable");
    bench_close(&bench);
}

Test(broker_stores, another_batch_under_a_durable_identity_ends_the_attempt_at_once, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 3);
    struct message batch = {
        .kind = MESSAGE_BATCH,
        .draw = 1,
        .batch = {.agency = 4, .attempt = 1, .seq = 3, .count = 1, .digest = bench_digest(4, 9)},
    };
    struct message returned = {.kind = MESSAGE_RETURNED,
                               .draw = 1,
                               .returned = {.agency = 4, .attempt = 1}};
    returned.returned.seqs = (struct slice){(const uint8_t[]){0x90}, 1};
    bench_report(&bench, 50, &returned, (struct slice){0}); /* it takes nothing any more */
    bench_batch(&bench, 4, 0);
    cr_assert_eq(bench.payloads, 1, "batch 0 waits");
    bench_bets(&bench, &batch, 100);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_expect_conflict(&bench, 4, 3);
    cr_assert_eq(bench.payloads, 0, "and goes with its attempt");
    bench_close(&bench);
}

/* [M-18] */
Test(broker_stores, batches_of_strangers_and_other_attempts_are_dropped, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_batch(&bench, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL), "no HELLO");
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 4, 2);
    bench_batch(&bench, 4, 0); /* of attempt 1 */
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    cr_assert_eq(bench.payloads, 0, "what is dropped is released");
    bench_close(&bench);
}

Test(broker_stores, a_body_above_the_cap_is_dropped, .timeout = 10)
{
    struct bench bench;
    const struct message batch = {
        .kind = MESSAGE_BATCH,
        .draw = 1,
        .batch = {.agency = 4, .attempt = 1, .count = 1, .digest = bench_digest(4, 0)},
    };
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_bets(&bench, &batch, BATCH_BYTES_MAX + 1);
    cr_assert_eq(bench.payloads, 0);
    bench_bets(&bench, &batch, BATCH_BYTES_MAX);
    cr_assert_eq(bench.payloads, 1);
    bench_close(&bench);
}

Test(broker_stores, what_a_silent_store_had_in_flight_is_missing, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_pass(&bench, LEASE_MS + 1);
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_close(&bench);
}

Test(broker_stores, what_it_held_counts_until_the_grace_is_over, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench_pass(&bench, LEASE_MS + 1);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "silent, not given up");
    bench_pass(&bench, bench.options.store_grace_ms + 1);
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0));
    bench_close(&bench);
}

Test(broker_stores, a_pause_of_the_broker_itself_costs_no_store_its_lease, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench.now_ms += bench.options.store_grace_ms + 1; /* no tick in between */
    outbox_reset(bench.outbox);
    bench_turn(&bench);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    for (int i = 0; i < 5; i++) { /* and short ones add up to nothing */
        bench.now_ms += LEASE_MS / 2 + 1;
        bench_turn(&bench);
    }
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_close(&bench);
}

Test(broker_stores, an_idle_store_is_pinged_more_than_once_in_a_lease, .timeout = 10)
{
    struct bench bench;
    int pings = 0;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    for (int i = 0; i < 4; i++) {
        bench_pass(&bench, LEASE_MS / 4);
        pings += bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_PING, 0, NULL, NULL);
    }
    cr_assert_geq(pings, 3);
    bench_close(&bench);
}

Test(broker_stores, what_a_store_never_answers_is_held_for_a_grace_only, .timeout = 10)
{
    struct bench bench;
    struct message pong = {.kind = MESSAGE_PONG};
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    for (int64_t ms = 0; ms < bench.options.store_grace_ms; ms += LEASE_MS / 2) {
        cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
        bench_pass(&bench, LEASE_MS / 2);
        bench_report(&bench, 50, &pong, (struct slice){0});
    }
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_batch(&bench, 4, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL),
              "the store is still there");
    bench_close(&bench);
}

Test(broker_stores, what_an_inventory_has_of_an_older_attempt_counts_for_nothing, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 4, 2);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)},
    };
    bench_report_item(&bench, 50, &item);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, NULL, NULL));
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 1, .attempt = 2}};
    struct message wait = bench_ask(&bench, &poll, NULL);
    cr_assert_eq(wait.kind, MESSAGE_WAIT);
    cr_assert(!bench_ranges_have(wait.wait.durable, 0));
    bench_close(&bench);
}

Test(broker_stores, a_rejected_batch_is_told_with_row_and_reason, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 2);
    struct message rejected = {
        .kind = MESSAGE_REJECTED,
        .draw = 1,
        .rejected = {.agency = 4,
                     .attempt = 1,
                     .seq = 2,
                     .row = 0,
                     .fault = FAULT_BIRTHDATE_UNREAL,
                     .reason = REFUSAL_REJECTED},
    };
    bench_report(&bench, 50, &rejected, (struct slice){0});
    struct message answer = bench_poll(&bench, 4, -1);
    cr_assert_eq(answer.kind, MESSAGE_REFUSED);
    cr_assert_eq(answer.refused.reason, REFUSAL_REJECTED);
    cr_assert_eq(answer.refused.seq, 2);
    cr_assert_eq(answer.refused.fault, FAULT_BIRTHDATE_UNREAL);
    bench_batch(&bench, 4, 3);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL),
              "nothing more of an attempt that has ended is sent on");
    bench_close(&bench);
}

Test(broker_stores, a_batch_that_comes_late_is_held_no_more_and_one_in_conflict_ends_the_attempt,
     .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 2);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 2));
    struct message rejected = {
        .kind = MESSAGE_REJECTED,
        .draw = 1,
        .rejected = {.agency = 4, .attempt = 1, .seq = 2, .reason = REFUSAL_LATE},
    };
    bench_report(&bench, 50, &rejected, (struct slice){0});
    struct message answer = bench_poll(&bench, 4, -1);
    cr_assert_eq(answer.kind, MESSAGE_WAIT, "that ends the flight only");
    cr_assert(!bench_ranges_have(answer.wait.held, 2));
    rejected.rejected.reason = REFUSAL_CONFLICT;
    bench_report(&bench, 50, &rejected, (struct slice){0});
    bench_expect_conflict(&bench, 4, 2);
    bench_close(&bench);
}

Test(broker_stores, returned_batches_are_missing_and_spend_the_credit, .timeout = 10)
{
    static const uint8_t ranges[] = {0x92, 0, 1};
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    struct message returned = {.kind = MESSAGE_RETURNED,
                               .draw = 1,
                               .returned = {.agency = 4,
                                            .attempt = 1,
                                            .seqs = {ranges, sizeof ranges}}};
    bench_report(&bench, 50, &returned, (struct slice){0});
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_batch(&bench, 4, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL), "no credit");
    struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = (1 << 20) + 1}};
    bench_report(&bench, 50, &credit, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_stores, a_store_of_a_newer_broker_ends_this_one, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    registration.registration.epoch = (struct epoch){bench.epoch + 1, {{1}}};
    bench_report(&bench, 50, &registration, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_CONFIG);
    bench_close(&bench);
}

/* [M-46] */
Test(broker_stores, fenced_ends_the_broker_only_for_a_newer_or_rival_epoch, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    struct message fenced = {.kind = MESSAGE_FENCED,
                             .fenced = {.epoch = {bench.epoch, {{(uint8_t)bench.epoch, 0xb0}}}}};
    bench_report(&bench, 50, &fenced, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "its own epoch");
    fenced.fenced.epoch.id.bytes[5] = 1;
    bench_report(&bench, 50, &fenced, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_FENCED);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    fenced.fenced.epoch.number = bench.epoch + 1;
    bench_report(&bench, 50, &fenced, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_FENCED, "a newer one");
    bench_close(&bench);
}

/* [M-46] */
Test(broker_stores, fenced_and_the_barriers_timeout_in_one_turn_decide_nothing, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.barrier_timeout_ms = 1000;
    options.terms.on_timeout = TIMEOUT_VOID;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.now_ms += 1001;
    bench.wall_ms += 1001;
    const size_t before = journal_memory_size(bench.journal);
    const struct message fenced = {.kind = MESSAGE_FENCED,
                                   .fenced = {.epoch = {bench.epoch + 1, {{1}}}}};
    bench_report(&bench, 50, &fenced, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_FENCED);
    cr_assert_eq(journal_memory_size(bench.journal), before);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench_turn(&bench);
    cr_assert_gt(journal_memory_size(bench.journal), before, "time was over for it");
    bench_close(&bench);
}

Test(broker_stores, beyond_the_draws_limit_an_agency_is_refused, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 5, 0);
    bench_batch(&bench, 4, BATCHES_MAX - 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_batch(&bench, 5, 0);
    struct message answer = bench_poll(&bench, 5, -1);
    cr_assert_eq(answer.kind, MESSAGE_REFUSED);
    cr_assert_eq(answer.refused.reason, REFUSAL_LIMIT);
    cr_assert_eq(answer.refused.number, BATCHES_MAX);
    bench_close(&bench);
}

Test(broker_stores, one_store_more_than_a_broker_can_know_is_dismissed, .timeout = 10)
{
    struct bench bench;
    struct message dismissed;
    bench_begin(&bench);
    for (uint32_t i = 0; i < STORES_MAX; i++)
        bench_store(&bench, 100 + i, (uint8_t)(i + 1), 1);
    struct message registration = bench_registration(STORES_MAX + 1, 1);
    bench_report(&bench, 99, &registration, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 99, MESSAGE_DISMISSED, 0, &dismissed, NULL));
    cr_assert_eq(dismissed.dismissed.reason, DISMISSAL_STORES);
    cr_assert_eq(bench_lines(&bench, "store: 41020304 | reason: the broker knows as many", ""), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_STORE, 0), STORES_MAX);
    bench_close(&bench);
}
