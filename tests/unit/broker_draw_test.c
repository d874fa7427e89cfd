#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* Agencies 4 and 10 have finished with one batch each, held by stores 50 and 51; the draw is
 * sealed. */
static void seal(struct bench *bench, struct message *seal_sent, struct slice *manifest)
{
    bench_store(bench, 50, 1, 1);
    bench_store(bench, 51, 2, 1);
    bench_hello(bench, 4, 0);
    bench_hello(bench, 10, 0);
    bench_batch(bench, 4, 0);
    bench_batch(bench, 10, 0);
    bench_stored(bench, 50, 4, 0);
    bench_stored(bench, 51, 10, 0);
    cr_assert_eq(bench_poll(bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_SEALED, 1), 0);
    cr_assert_eq(bench_poll(bench, 10, 1).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_SEALED, 1), 1);
    cr_assert(bench_sent(bench, PORT_DISPATCH, 51, MESSAGE_SEAL, 0, NULL, NULL));
    cr_assert(bench_sent(bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, seal_sent, manifest));
}

/* Answers the COUNT that the last turn sent to a store: `winners` winners in row 0 of batch 0. */
static void answer_count(struct bench *bench, uint64_t peer, uint32_t agency, uint32_t winners)
{
    struct message count;
    struct slice body;
    uint8_t shares[ITEM_BYTES_MAX];
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;

    cr_assert(bench_sent(bench, PORT_DISPATCH, peer, MESSAGE_COUNT, 0, &count, &body));
    cr_assert_leq(body.bytes, sizeof shares);
    size_t shares_bytes = body.bytes;
    memcpy(shares, body.data, body.bytes);
    struct item_winner item = {
        .bet = {.first_name = {(const uint8_t *)"A", 1},
                .last_name = {(const uint8_t *)"B", 1},
                .document = {(const uint8_t *)"1", 1},
                .birthdate = {(const uint8_t *)"2000-01-01", 10},
                .number = 7},
    };
    if (winners > 0) {
        struct message found = {
            .kind = MESSAGE_FOUND,
            .draw = 1,
            .found = {.question_epoch = count.count.question_epoch,
                      .question = count.count.question,
                      .agency = agency,
                      .items = 1},
        };
        cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
        bench_report(bench, peer, &found, (struct slice){buffer, bytes});
    }
    struct message counted = bench_counted(&count, 1, winners);
    bench_report(bench, peer, &counted, (struct slice){shares, shares_bytes});
}

static void publish(struct bench *bench)
{
    struct message seal_sent;
    seal(bench, &seal_sent, NULL);
    struct digest root = seal_sent.part.root;
    bench_sealed(bench, 50, &root);
    answer_count(bench, 50, 4, 1);
    bench_sealed(bench, 51, &root);
    answer_count(bench, 51, 10, 0);
}

Test(broker_draw, seals_only_when_everybody_has_finished, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    struct slice manifest;
    struct manifest *parsed;
    bench_begin(&bench);
    seal(&bench, &sent, &manifest);
    cr_assert_eq(sent.part.parts, 1);
    cr_assert_eq(manifest_parse(manifest, bench.hasher, &parsed), STATUS_OK);
    cr_assert_eq(manifest_agencies_count(parsed), 2);
    cr_assert_eq(manifest_number(parsed), 7);
    cr_assert(digest_is_equal(manifest_root(parsed), &sent.part.root));
    manifest_destroy(&parsed);
    bench_close(&bench);
}

Test(broker_draw, does_not_seal_while_a_declared_batch_is_nowhere, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_pass(&bench, LEASE_MS + bench.options.store_grace_ms + 1);
    cr_assert_eq(bench_poll(&bench, 10, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 0);
    bench_store(&bench, 52, 3, 1);
    bench_batch(&bench, 4, 0);
    struct message forward;
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_FORWARD, 0, &forward, NULL));
    cr_assert(forward.forward.is_declared, "a replay of a declared batch");
    bench_stored(&bench, 52, 4, 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
    bench_close(&bench);
}

/* [M-56] */
Test(broker_draw, asks_a_store_only_after_it_has_sealed, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    bench_begin(&bench);
    seal(&bench, &sent, NULL);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_COUNT, 0, NULL, NULL));
    struct digest root = sent.part.root;
    bench_sealed(&bench, 50, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, NULL, NULL));
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_COUNT, 0, NULL, NULL));
    bench_close(&bench);
}

/* Questions have the same numbers in each draw of one broker. */
Test(broker_draw, an_answer_of_another_draw_is_none_to_this_ones_question, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    struct slice body;
    uint8_t shares[ITEM_BYTES_MAX];
    bench_begin(&bench);
    seal(&bench, &sent, NULL);
    struct digest root = sent.part.root;
    bench_sealed(&bench, 50, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &sent, &body));
    memcpy(shares, body.data, body.bytes);
    struct message found = {
        .kind = MESSAGE_FOUND,
        .draw = 2,
        .found = {sent.count.question_epoch, sent.count.question, 4, 1},
    };
    struct message counted = bench_counted(&sent, 1, 0);
    counted.draw = 2;
    bench_report(&bench, 50, &found, (struct slice){shares, 1});
    bench_report(&bench, 50, &counted, (struct slice){shares, body.bytes});
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DROPPED, 1), 0, "nor a wrong one");
    bench_sealed(&bench, 51, &root);
    answer_count(&bench, 51, 10, 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 0);
    counted.draw = 1;
    bench_report(&bench, 50, &counted, (struct slice){shares, body.bytes});
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    bench_close(&bench);
}

Test(broker_draw, publishes_to_each_agency_its_own, .timeout = 10)
{
    struct bench bench;
    struct message result;
    struct slice body;
    bench_begin(&bench);
    publish(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    cr_assert(bench_sent(&bench, PORT_WINNERS, 0, MESSAGE_RESULT, 0, &result, &body));
    cr_assert_eq(result.result.agency, 4);
    cr_assert_eq(result.result.total, 1);
    cr_assert_eq(result.result.number, 7);
    cr_assert_eq(result.result.seed.bytes, 0, "it was given");
    cr_assert(bench_sent(&bench, PORT_WINNERS, 0, MESSAGE_RESULT, 1, &result, &body));
    cr_assert_eq(result.result.agency, 10);
    cr_assert_eq(result.result.total, 0);
    cr_assert_eq(body.bytes, 0);

    struct message winners = {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 4}};
    result = bench_ask(&bench, &winners, &body);
    cr_assert_eq(result.kind, MESSAGE_RESULT);
    cr_assert_eq(result.result.total, 1);
    struct item_winner item;
    size_t at = 0;
    cr_assert_eq(item_next_winner(body, &at, &item), STATUS_OK);
    cr_assert_eq(item.bet.number, 7);
    winners.winners.agency = 5;
    cr_assert_eq(bench_ask(&bench, &winners, NULL).refused.reason, REFUSAL_EXCLUDED);
    winners.winners = (struct message_winners){.agency = 4, .from = 1};
    result = bench_ask(&bench, &winners, &body);
    cr_assert_eq(result.result.from, 1, "the page that was asked for");
    cr_assert_eq(body.bytes, 0);
    struct message poll =
        {.kind = MESSAGE_POLL,
         .draw = 1,
         .poll = {.agency = 4, .incarnation = 1, .attempt = 1, .round = 1, .from = 1}};
    result = bench_ask(&bench, &poll, &body);
    cr_assert_eq(result.kind, MESSAGE_RESULT);
    cr_assert_eq(result.result.from, 0, "a POLL's from is a seq, not a winner");
    cr_assert_gt(body.bytes, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_RESULT, "POLL tells it too");
    bench_close(&bench);
}

Test(broker_draw, a_published_result_is_answered_by_the_next_broker, .timeout = 10)
{
    struct bench bench;
    struct slice body;
    bench_begin(&bench);
    publish(&bench);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct message winners = {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 4}};
    struct message result = bench_ask(&bench, &winners, &body);
    cr_assert_eq(result.kind, MESSAGE_RESULT);
    cr_assert_eq(result.result.total, 1);
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4, .incarnation = 9, .from = 3}};
    struct message admitted = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(admitted.kind, MESSAGE_ADMITTED);
    cr_assert_eq(admitted.admitted.from, 3, "else the agency takes it for no answer");
    cr_assert_eq(admitted.admitted.phase, PHASE_PUBLISHED);
    cr_assert(admitted.admitted.is_finished);
    cr_assert_eq(admitted.admitted.plan.bets_max, 1);
    hello.hello.agency = 5;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_LATE);
    bench_close(&bench);
}

Test(broker_draw, a_restarted_broker_asks_anew_and_counts_nothing_twice, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    bench_begin(&bench);
    seal(&bench, &sent, NULL);
    struct digest root = sent.part.root;
    bench_sealed(&bench, 50, &root);
    answer_count(&bench, 50, 4, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 1);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 0);

    struct message registration = {.kind = MESSAGE_REGISTER,
                                   .registration = {.store = {{1, 2, 3, 4}},
                                                    .opening = {2, {{9}}},
                                                    .epoch = {1, {{1, 0xb0}}}}};
    struct item_inventory items[2] = {
        {.kind = INVENTORY_BATCH,
         .draw = 1,
         .agency = 4,
         .attempt = 1,
         .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)}},
        {.kind = INVENTORY_SEAL, .draw = 1, .root = root, .number = 7},
    };
    uint8_t buffer[2 * ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 2}};
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &items[0]), STATUS_OK);
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &items[1]), STATUS_OK);
    bench_report(&bench, 60, &registration, (struct slice){0});
    bench_report(&bench, 60, &inventory, (struct slice){buffer, bytes});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 60, MESSAGE_SEAL, 0, &sent, NULL));
    cr_assert(digest_is_equal(&sent.part.root, &root), "the same root for ever");
    bench_sealed(&bench, 60, &root);
    answer_count(&bench, 60, 4, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 0);
    bench_close(&bench);
}

Test(broker_draw, a_question_dies_with_its_store_and_its_pages_with_it, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    struct message count;
    bench_begin(&bench);
    seal(&bench, &sent, NULL);
    struct digest root = sent.part.root;
    bench_sealed(&bench, 50, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL));
    bench_pass(&bench, LEASE_MS + bench.options.store_grace_ms + 1);
    bench_store(&bench, 53, 3, 1);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 53, 4, 0);
    bench_sealed(&bench, 53, &root);
    struct message again;
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 53, MESSAGE_COUNT, 0, &again, NULL));
    cr_assert_neq(again.count.question, count.count.question);
    bench_close(&bench);
}

static void break_options(struct broker_options *options, enum timeout_action action,
                          uint32_t quorum)
{
    bench_options(options);
    options->terms.barrier_timeout_ms = 60000;
    options->terms.on_timeout = action;
    options->terms.quorum = quorum;
}

Test(broker_draw, a_broken_barrier_makes_the_draw_void_and_tells_everybody, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    break_options(&options, TIMEOUT_VOID, 1);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    for (int i = 0;
         i < 100 && !bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL_VOID, 0, NULL, NULL); i++) {
        struct message pong = {.kind = MESSAGE_PONG};
        bench_pass(&bench, 700);
        if (!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL_VOID, 0, NULL, NULL))
            bench_report(&bench, 50, &pong, (struct slice){0});
    }
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    cr_assert_neq(bench_poll(&bench, 10, -1).kind, MESSAGE_REFUSED, "no store has recorded it yet");
    static const struct digest zeros;
    bench_sealed(&bench, 50, &zeros);
    cr_assert_eq(bench_poll(&bench, 4, 0).refused.reason, REFUSAL_VOID);
    cr_assert_eq(bench_poll(&bench, 10, -1).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

Test(broker_draw, a_broken_barrier_may_draw_with_those_that_finished, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    break_options(&options, TIMEOUT_DRAW, 1);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_pass(&bench, 60001);
    const struct record *decision = journal_memory_last(bench.journal, RECORD_DECISION, 1);
    cr_assert_not_null(decision);
    cr_assert_eq(decision->decision.members_count, 1);
    cr_assert_eq(decision->decision.members[0], 4);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    cr_assert_eq(bench_poll(&bench, 10, -1).refused.reason, REFUSAL_EXCLUDED);
    bench_close(&bench);
}

Test(broker_draw, below_the_quorum_the_draw_is_void, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    break_options(&options, TIMEOUT_DRAW, 2);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_pass(&bench, 60001);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    bench_close(&bench);
}

Test(broker_draw, a_decision_outlives_the_broker, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    break_options(&options, TIMEOUT_DRAW, 1);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_pass(&bench, 60001); /* the store is given up meanwhile: decided, but not sealed */
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 0);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 10, .incarnation = 2}};
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_EXCLUDED);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_close(&bench);
}

Test(broker_draw, void_by_the_operator_outlives_the_broker_and_opens_no_second_draw, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_poll(&bench, 4, 0).refused.reason, REFUSAL_VOID);
    bench.options.void_draw = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_poll(&bench, 4, 0).refused.reason, REFUSAL_VOID);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    bench_close(&bench);
}

Test(broker_draw, a_published_draw_is_never_made_void, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    publish(&bench);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_CONFIG);
    bench_close(&bench);
}

/* [M-60] */
Test(broker_draw, a_random_number_follows_from_a_seed_that_was_committed_to, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.number.is_given = false;
    options.terms.agencies_required = 1;
    options.secret.bytes[0] = 42;
    bench_open(&bench, &options);
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4,
                                      .incarnation = 1,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    struct message admitted = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct message again = bench_ask(&bench, &hello, NULL);
    cr_assert(digest_is_equal(&admitted.admitted.commitment, &again.admitted.commitment));
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    struct message result = bench_poll(&bench, 4, 0);
    cr_assert_eq(result.kind, MESSAGE_RESULT);
    cr_assert_eq(result.result.seed.bytes, DIGEST_BYTES);
    struct digest commitment;
    hasher_sum(bench.hasher, &result.result.seed, 1, &commitment);
    cr_assert(digest_is_equal(&commitment, &admitted.admitted.commitment));
    struct manifest_terms terms = {.draw = 1, .range_last = 9};
    memcpy(terms.seed.bytes, result.result.seed.data, DIGEST_BYTES);
    cr_assert_eq(manifest_derive_number(&terms, &result.result.root, bench.hasher),
                 result.result.number);
    bench_close(&bench);
}

Test(broker_draw, draws_follow_one_another_and_the_last_ends_the_broker, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.draws = 2;
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 2,
                            .hello = {.agency = 4,
                                      .incarnation = 1,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 2,
                           .poll = {.agency = 4,
                                    .incarnation = 1,
                                    .attempt = 1,
                                    .has_declaration = true,
                                    .declaration = bench_declaration(&bench, 4, 0)}};
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_RESULT);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "nobody said BYE");
    struct message bye = {.kind = MESSAGE_BYE, .draw = 2, .bye = {.agency = 4}};
    cr_assert_eq(bench_ask(&bench, &bye, NULL).kind, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

Test(broker_draw, the_linger_ends_the_broker_when_somebody_never_says_bye, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    publish(&bench);
    bench_pass(&bench, bench.options.linger_ms - 1000);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    bench_pass(&bench, 1001);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}
