/* What is told, kept and forgotten when a draw is decided, void or over. */
#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

enum { TIMEOUT_MS = 60000 };

static const struct digest zeros;

static void begin(struct bench *bench, enum timeout_action action)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.barrier_timeout_ms = TIMEOUT_MS;
    options.terms.on_timeout = action;
    bench_open(bench, &options);
}

static struct message hello_of(uint32_t draw, uint32_t agency)
{
    return (struct message){
        .kind = MESSAGE_HELLO,
        .draw = draw,
        .hello = {.agency = agency,
                  .incarnation = 1,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
}

/* The operator voids draw 1, of which store 1 is known. */
static void void_draw(struct bench *bench)
{
    begin(bench, TIMEOUT_VOID);
    bench_store(bench, 50, 1, 1);
    bench_hello(bench, 4, 0);
    bench->options.void_draw = 1;
    cr_assert_eq(bench_restart(bench), STATUS_OK);
}

/* [M-55] */
Test(broker_over, void_is_not_told_before_a_known_store_has_recorded_it, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 4);
    void_draw(&bench);
    bench_pass(&bench, LEASE_MS + bench.options.store_grace_ms + 1);
    cr_assert_neq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID, "no store is here");
    bench_store(&bench, 51, 1, 2);
    cr_assert_neq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID, "not yet");
    bench.options.void_draw = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_neq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID, "nor another day");
    bench_store(&bench, 52, 1, 3);
    bench_sealed(&bench, 52, &zeros);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

/* [M-55] */
Test(broker_over, a_store_that_registers_while_voiding_is_told_and_waited_for, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 4);
    struct message registration = bench_registration(2, 1);
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    void_draw(&bench);
    bench_store(&bench, 51, 1, 2);
    bench_report(&bench, 52, &registration, (struct slice){0});
    bench_report(&bench, 52, &inventory, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_SEAL_VOID, 0, NULL, NULL));
    bench_sealed(&bench, 51, &zeros);
    cr_assert_neq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_sealed(&bench, 52, &zeros);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

/* [M-55] */
Test(broker_over, a_store_that_registers_after_a_void_is_told_of_it, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 4);
    const struct message registration = bench_registration(2, 1);
    const struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    void_draw(&bench);
    bench_store(&bench, 51, 1, 2);
    bench_sealed(&bench, 51, &zeros);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_report(&bench, 52, &registration, (struct slice){0});
    bench_report(&bench, 52, &inventory, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_SEAL_VOID, 0, NULL, NULL));
    bench_close(&bench);
}

/* [M-55]: a store that was sealed answers that SEAL with the root. */
Test(broker_over, an_answer_to_a_seal_is_none_to_the_void, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 4);
    const struct digest root = bench_digest(4, 0);
    void_draw(&bench);
    bench_store(&bench, 51, 1, 2);
    bench_sealed(&bench, 51, &root);
    cr_assert_neq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_sealed(&bench, 51, &zeros);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}

static void say_bye(struct bench *bench, uint32_t agency, enum message_kind answer)
{
    const struct message bye = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = agency}};
    cr_assert_eq(bench_ask(bench, &bye, NULL).kind, answer);
}

/* Its answer may be lost, and it asks again. */
Test(broker_over, who_was_told_void_is_lingered_for_until_he_says_bye, .timeout = 10)
{
    struct bench bench;
    begin(&bench, TIMEOUT_VOID);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    bench_pass(&bench, TIMEOUT_MS + 1);
    cr_assert_eq(bench_poll(&bench, 4, -1).refused.reason, REFUSAL_VOID);
    cr_assert_eq(bench_poll(&bench, 10, -1).refused.reason, REFUSAL_VOID);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    say_bye(&bench, 4, MESSAGE_REFUSED);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "agency 10 has not said BYE");
    say_bye(&bench, 10, MESSAGE_REFUSED);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

/* It is on the roll, but has no attempt and will not say BYE. */
Test(broker_over, who_was_never_admitted_is_not_lingered_for, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 10);
    begin(&bench, TIMEOUT_VOID);
    bench_hello(&bench, 4, 0);
    hello.hello.attempt = 3;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_ATTEMPT);
    bench_pass(&bench, TIMEOUT_MS + 1);
    say_bye(&bench, 4, MESSAGE_REFUSED);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

Test(broker_over, who_was_told_excluded_is_lingered_for_until_he_says_bye, .timeout = 10)
{
    struct bench bench;
    begin(&bench, TIMEOUT_DRAW);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_pass(&bench, TIMEOUT_MS + 1);
    say_bye(&bench, 4, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "agency 10 has not been told");
    struct message hello = hello_of(1, 10);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_EXCLUDED);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "the answer may be lost");
    say_bye(&bench, 10, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

/* A process that was left behind in an older draw, or one that is early, says nothing of this. */
Test(broker_over, only_a_bye_of_this_draw_after_its_end_ends_the_linger, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message hello = hello_of(2, 4);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 2,
                           .poll = {.agency = 4,
                                    .incarnation = 1,
                                    .attempt = 1,
                                    .round = 1,
                                    .has_declaration = true}};
    struct message bye = {.kind = MESSAGE_BYE, .draw = 2, .bye = {.agency = 4}};
    bench_options(&options);
    options.draws = 2;
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    cr_assert_eq(bench_ask(&bench, &bye, NULL).kind, MESSAGE_OK);
    poll.poll.declaration = bench_declaration(&bench, 4, 0);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
    bench_turn(&bench);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "BYE was said before the result was told");
    say_bye(&bench, 4, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "BYE was said of draw 1");
    cr_assert_eq(bench_ask(&bench, &bye, NULL).kind, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

/* Agency 4 has finished with a batch that is in a store that was given up; agency 10 is excluded:
 * the barrier has decided, and nothing is sealed. */
static void decide(struct bench *bench)
{
    begin(bench, TIMEOUT_DRAW);
    bench_store(bench, 50, 1, 1);
    bench_hello(bench, 4, 0);
    bench_hello(bench, 10, 0);
    bench_batch(bench, 4, 0);
    bench_stored(bench, 50, 4, 0);
    cr_assert_eq(bench_poll(bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_pass(bench, TIMEOUT_MS + 1);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_DECISION, 1), 1);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_SEALED, 1), 0);
}

Test(broker_over, who_comes_after_the_decision_is_late, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 11);
    decide(&bench);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_LATE);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 1), 2);
    bench_close(&bench);
}

Test(broker_over, who_was_left_out_is_told_so_whatever_he_asks, .timeout = 10)
{
    struct bench bench;
    const struct message winners = {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 10}};
    const struct message bye = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = 10}};
    struct message hello = hello_of(1, 10);
    decide(&bench);
    cr_assert_eq(bench_poll(&bench, 10, 0).refused.reason, REFUSAL_EXCLUDED);
    hello.hello.incarnation = 2;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_EXCLUDED);
    hello.hello.incarnation = 1;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_EXCLUDED, "none speaks");
    cr_assert_eq(bench_ask(&bench, &winners, NULL).refused.reason, REFUSAL_EXCLUDED);
    cr_assert_eq(bench_ask(&bench, &bye, NULL).kind, MESSAGE_OK);
    bench_close(&bench);
}

static enum status fail_to_read(void *owner, uint32_t draw, uint32_t agency,
                                struct archived_agency *archived)
{
    (void)owner, (void)draw, (void)agency, (void)archived;
    return STATUS_SYNC;
}

/* A disk that cannot be read is no reason to tell an agency that the draw was made without it. */
Test(broker_over, a_result_that_cannot_be_read_is_answered_by_nothing, .timeout = 10)
{
    const struct message asked[] = {
        {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 4}},
        hello_of(1, 4),
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct bench bench;
        begin(&bench, TIMEOUT_VOID);
        bench_hello(&bench, 4, 0);
        bench_hello(&bench, 10, 0);
        (void)bench_poll(&bench, 4, 0);
        cr_assert_eq(bench_poll(&bench, 10, 0).kind, MESSAGE_FINISHED);
        bench.archive.agency = fail_to_read;
        outbox_reset(bench.outbox);
        bench_request(&bench, 7, &asked[i]);
        cr_assert_eq(outbox_count(bench.outbox), 0, "%zu", i);
        cr_assert_eq(bench_verdict(&bench), STATUS_SYNC, "%zu", i);
        bench_close(&bench);
    }
}

Test(broker_over, nobody_starts_over_or_declares_after_the_decision, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 4);
    decide(&bench);
    hello.hello.attempt = 2;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_FINISHED);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_FINISHED);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECLARATION, 1), 1);
    bench_close(&bench);
}

/* [M-19] */
Test(broker_over, no_batch_of_an_excluded_agency_is_sent_on_after_the_seal, .timeout = 10)
{
    struct bench bench;
    struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = 1 << 20}};
    struct message registration = bench_registration(2, 1);
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    decide(&bench);
    int sent_on = bench.payloads;
    bench_batch(&bench, 10, 0); /* waits in the queue: no store is there */
    bench_report(&bench, 52, &registration, (struct slice){0});
    bench_report(&bench, 52, &inventory, (struct slice){0});
    bench_stored(&bench, 52, 4, 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
    cr_assert_eq(bench.payloads, sent_on, "the queue was emptied");
    bench_report(&bench, 52, &credit, (struct slice){0});
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_batch(&bench, 10, 1);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    cr_assert_eq(bench.payloads, sent_on);
    bench_close(&bench);
}

Test(broker_over, each_draws_seal_goes_to_a_store_that_had_the_one_before, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    uint8_t buffer[ITEM_BYTES_MAX];
    bench_options(&options);
    options.draws = 2;
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    for (uint32_t draw = 1; draw <= 2; draw++) {
        struct message hello = hello_of(draw, 4);
        struct message sent;
        struct slice shares;
        size_t bytes = 0;
        struct item_stored item = {.bets = 1, .digest = bench_digest(4, 0)};
        struct message stored = {
            .kind = MESSAGE_STORED,
            .draw = draw,
            .stored = {.agency = 4, .attempt = 1, .items = 1},
        };
        struct message poll = {
            .kind = MESSAGE_POLL,
            .draw = draw,
            .poll = {.agency = 4,
                     .incarnation = 1,
                     .attempt = 1,
                     .has_declaration = true,
                     .declaration = bench_declaration(&bench, 4, 1)},
        };
        cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
        cr_assert_eq(item_pack_stored(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
        bench_report(&bench, 50, &stored, (struct slice){buffer, bytes});
        cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &sent, NULL), "draw %u",
                  draw);
        struct message sealed = {.kind = MESSAGE_SEALED,
                                 .draw = draw,
                                 .sealed = {.root = sent.part.root}};
        bench_report(&bench, 50, &sealed, (struct slice){0});
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &sent, &shares));
        memcpy(buffer, shares.data, shares.bytes);
        struct message counted = bench_counted(&sent, 1, 0);
        bench_report(&bench, 50, &counted, (struct slice){buffer, shares.bytes});
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, draw), 1);
    }
    bench_close(&bench);
}

Test(broker_over, a_journal_whose_seal_is_not_its_declarations_is_refused, .timeout = 10)
{
    struct bench bench;
    const char *problem;
    begin(&bench, TIMEOUT_DRAW);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    struct record sealed = {.kind = RECORD_SEALED,
                            .draw = 1,
                            .sealed = {.root = bench_digest(4, 0), .number = 7}};
    records_add(bench.records, &sealed);
    cr_assert_eq(journal_memory_apply(bench.journal, &bench.epoch, bench.records), STATUS_OK);
    cr_assert_eq(bench_restart(&bench), STATUS_CONFIG);
    cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
    cr_assert_not_null(strstr(problem, "damaged"), "%s", problem);
    bench_close(&bench);
}

/* [M-60] */
Test(broker_over, range_and_commitment_are_told_alike_before_and_after_publishing, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message told[3]; /* at first, by the next broker, once the draw is over */
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4,
                                      .incarnation = 1,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    bench_options(&options);
    options.terms.number.is_given = false;
    options.terms.number.range_first = 2;
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    told[0] = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    told[1] = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    told[2] = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(told[2].admitted.phase, PHASE_PUBLISHED);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(told[i].kind, MESSAGE_ADMITTED);
        cr_assert_eq(told[i].admitted.range_first, 2, "%d", i);
        cr_assert_eq(told[i].admitted.range_last, 9, "%d", i);
        cr_assert(digest_is_equal(&told[i].admitted.commitment, &told[0].admitted.commitment), "%d",
                  i);
    }
    bench_close(&bench);
}

Test(broker_over, nobody_starts_over_once_the_draw_is_published, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message hello = hello_of(1, 4);
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    hello.hello.attempt = 1;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).admitted.phase, PHASE_PUBLISHED);
    hello.hello.attempt = 2;
    struct message told = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(told.kind, MESSAGE_REFUSED);
    cr_assert_eq(told.refused.reason, REFUSAL_FINISHED);
    cr_assert_eq(told.refused.number, 1);
    hello.hello.attempt = 3;
    told = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(told.refused.reason, REFUSAL_ATTEMPT);
    cr_assert_eq(told.refused.number, 1);
    bench_close(&bench);
}

Test(broker_over, a_page_behind_the_last_winner_is_empty, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct slice body;
    struct message winners = {.kind = MESSAGE_WINNERS,
                              .draw = 1,
                              .winners = {.agency = 4, .from = UINT32_MAX}};
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_poll(&bench, 4, 0);
    struct message result = bench_ask(&bench, &winners, &body);
    cr_assert_eq(result.kind, MESSAGE_RESULT);
    cr_assert_eq(result.result.from, 0);
    cr_assert_eq(result.result.upto, 0);
    cr_assert_eq(body.bytes, 0);
    bench_close(&bench);
}

/* It is on the roll, but has no attempt: LATE would not tell it that the draw is void. */
Test(broker_over, who_was_never_admitted_is_told_to_ask_again_while_voiding, .timeout = 10)
{
    struct bench bench;
    struct message hello = hello_of(1, 10);
    begin(&bench, TIMEOUT_VOID);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    hello.hello.attempt = 3;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_ATTEMPT);
    bench_pass_heard(&bench, 50, TIMEOUT_MS + 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    hello.hello.attempt = 0;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_NOT_OPEN);
    say_bye(&bench, 10, MESSAGE_OK);
    bench_sealed(&bench, 50, &zeros);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_VOID);
    bench_close(&bench);
}
