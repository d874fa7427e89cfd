/* [M-36] A refusal changes nothing of what the journal holds, whatever its reason. */
#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

static struct bench bench;

static void begin(void (*choose)(struct broker_options *options))
{
    struct broker_options options;
    bench_options(&options);
    choose(&options);
    bench_open(&bench, &options);
}

static void end(void)
{
    bench_close(&bench);
}

TestSuite(broker_refusals, .fini = end, .timeout = 10);

static void choose_nothing(struct broker_options *options)
{
    options->draws = 2;
}

static void choose_roster(struct broker_options *options)
{
    static const uint32_t roster[] = {1, 4};
    options->terms.roster = roster;
    options->terms.roster_count = 2;
}

static void choose_timeout(struct broker_options *options)
{
    options->terms.barrier_timeout_ms = 60000;
    options->terms.on_timeout = TIMEOUT_DRAW;
}

static struct message hello_of(uint32_t draw, uint32_t agency, uint32_t attempt)
{
    return (struct message){
        .kind = MESSAGE_HELLO,
        .draw = draw,
        .hello = {.agency = agency,
                  .incarnation = 1,
                  .attempt = attempt,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
}

static struct message poll_of(uint32_t agency, uint32_t attempt, uint32_t batches)
{
    return (struct message){
        .kind = MESSAGE_POLL,
        .draw = 1,
        .poll = {.agency = agency,
                 .incarnation = 1,
                 .attempt = attempt,
                 .has_declaration = true,
                 .declaration = bench_declaration(&bench, agency, batches)},
    };
}

/* Asked twice, since a refusal's own traces might change the second answer. */
static void expect(const struct message *request, enum refusal reason)
{
    for (int times = 0; times < 2; times++) {
        size_t before = journal_memory_size(bench.journal);
        struct message answer = bench_ask(&bench, request, NULL);
        cr_assert_eq(answer.kind, MESSAGE_REFUSED, "answered %s", message_name(answer.kind));
        cr_assert_eq(answer.refused.reason, reason, "refused %s",
                     refusal_name(answer.refused.reason));
        cr_assert_eq(journal_memory_size(bench.journal), before, "%s", refusal_name(reason));
    }
}

static void expect_hello(uint32_t draw, uint32_t agency, uint32_t attempt, enum refusal reason)
{
    const struct message hello = hello_of(draw, agency, attempt);
    expect(&hello, reason);
}

static void reject(uint32_t agency, uint32_t seq, enum refusal reason)
{
    const struct message rejected = {
        .kind = MESSAGE_REJECTED,
        .draw = 1,
        .rejected = {.agency = agency,
                     .attempt = 1,
                     .seq = seq,
                     .reason = reason,
                     .fault = reason == REFUSAL_REJECTED ? FAULT_BIRTHDATE_UNREAL : FAULT_NONE},
    };
    bench_report(&bench, 50, &rejected, (struct slice){0});
}

Test(broker_refusals, of_hello_journal_nothing)
{
    begin(choose_nothing);
    expect_hello(2, 4, 0, REFUSAL_NOT_OPEN);
    expect_hello(3, 4, 0, REFUSAL_UNKNOWN);
    expect_hello(1, 4, 2, REFUSAL_ATTEMPT);
    struct message hello = hello_of(1, 4, 0);
    hello.hello.plan.bytes_max = BATCH_BYTES_MAX + 1;
    expect(&hello, REFUSAL_PLAN);
    bench_hello(&bench, 4, 0);
    hello = hello_of(1, 4, 2);
    hello.hello.plan.bets_max = 0;
    expect(&hello, REFUSAL_PLAN);
    hello.hello.incarnation = 0;
    expect(&hello, REFUSAL_SUPERSEDED);
    const struct message no_request = {.kind = MESSAGE_OK, .draw = 1};
    expect(&no_request, REFUSAL_MALFORMED);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    expect_hello(1, 4, 2, REFUSAL_FINISHED);
}

Test(broker_refusals, of_another_version_journal_nothing)
{
    static const uint8_t hello[] = {0x9a, 10, 2, 1, 7, 1, 0, 2, 0xcd, 4, 0, 0xc2, 0};
    begin(choose_nothing);
    size_t before = journal_memory_size(bench.journal);
    struct message answer;
    outbox_reset(bench.outbox);
    broker_on_request(bench.broker, 1, (struct slice){hello, sizeof hello}, bench.now_ms,
                      bench.wall_ms);
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_RENDEZVOUS, 1, MESSAGE_REFUSED, 0, &answer, NULL));
    cr_assert_eq(answer.refused.reason, REFUSAL_VERSION);
    cr_assert_eq(journal_memory_size(bench.journal), before);
}

Test(broker_refusals, of_whom_the_roster_does_not_name_journal_nothing)
{
    begin(choose_roster);
    expect_hello(1, 3, 0, REFUSAL_ROSTER);
    bench_hello(&bench, 4, 0);
}

Test(broker_refusals, of_poll_journal_nothing)
{
    begin(choose_nothing);
    bench_store(&bench, 50, 1, 1);
    struct message poll = poll_of(4, 1, 0);
    expect(&poll, REFUSAL_ATTEMPT);
    for (uint32_t agency = 4; agency < 8; agency++) {
        bench_hello(&bench, agency, 0);
        bench_batch(&bench, agency, 0);
        bench_stored(&bench, 50, agency, 0);
    }
    poll = poll_of(4, 1, 1);
    poll.poll.declaration.bets++;
    expect(&poll, REFUSAL_DECLARATION);
    reject(5, 1, REFUSAL_REJECTED);
    poll = poll_of(5, 1, 1);
    expect(&poll, REFUSAL_REJECTED);
    reject(6, 1, REFUSAL_CONFLICT);
    poll = poll_of(6, 1, 1);
    expect(&poll, REFUSAL_CONFLICT);
    bench_batch(&bench, 7, BATCHES_MAX - 1);
    poll = poll_of(7, 1, 1);
    expect(&poll, REFUSAL_LIMIT);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    poll = poll_of(4, 1, 0);
    expect(&poll, REFUSAL_DECLARATION);
}

Test(broker_refusals, after_a_decision_journal_nothing)
{
    begin(choose_timeout);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_pass(&bench, bench.options.terms.barrier_timeout_ms + 1);
    expect_hello(1, 10, 0, REFUSAL_EXCLUDED);
    expect_hello(1, 11, 0, REFUSAL_LATE);
    const struct message poll = poll_of(10, 1, 0);
    expect(&poll, REFUSAL_EXCLUDED);
    const struct message digests = {.kind = MESSAGE_DIGESTS,
                                    .draw = 1,
                                    .digests = {.agency = 4, .attempt = 1}};
    expect(&digests, REFUSAL_LATE);
}

static void choose_two_draws(struct broker_options *options)
{
    choose_timeout(options);
    options->terms.agencies_required = 1;
    options->draws = 2;
}

Test(broker_refusals, who_is_excluded_from_a_draw_came_late_for_the_one_before)
{
    begin(choose_two_draws);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    for (uint32_t agency = 4; agency <= 10; agency += 6) {
        const struct message hello = hello_of(2, agency, 0);
        cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    }
    struct message poll = poll_of(4, 1, 0);
    poll.draw = 2;
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
    bench_pass(&bench, bench.options.terms.barrier_timeout_ms + 1);
    expect_hello(2, 10, 0, REFUSAL_EXCLUDED);
    expect_hello(1, 10, 0, REFUSAL_LATE);
}

Test(broker_refusals, of_a_void_draw_journal_nothing)
{
    begin(choose_nothing);
    bench.options.draws = 1;
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0); /* it is not told, so the broker does not leave */
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    expect_hello(1, 4, 0, REFUSAL_VOID);
    const struct message poll = poll_of(4, 1, 0);
    expect(&poll, REFUSAL_VOID);
}

/* It is told as OPEN as long as no store has recorded that. */
Test(broker_refusals, of_a_new_attempt_in_a_draw_that_is_to_be_void_journal_nothing)
{
    begin(choose_nothing);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    expect_hello(1, 4, 2, REFUSAL_LATE);
}

static void choose_one_agency(struct broker_options *options)
{
    options->terms.agencies_required = 1;
}

/* A process that stood still while another one started over has other batches than the result. */
Test(broker_refusals, a_result_is_not_told_to_another_attempt)
{
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4,
                                    .incarnation = 1,
                                    .attempt = 2,
                                    .round = 1,
                                    .has_declaration = true}};
    begin(choose_one_agency);
    poll.poll.declaration = bench_declaration(&bench, 4, 0);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 4, 2);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_RESULT);
    poll.poll.attempt = 1;
    struct message told = bench_ask(&bench, &poll, NULL);
    cr_assert_eq(told.kind, MESSAGE_REFUSED);
    cr_assert_eq(told.refused.reason, REFUSAL_ATTEMPT);
    cr_assert_eq(told.refused.number, 2);
}

Test(broker_refusals, of_who_has_no_attempt_journal_nothing)
{
    begin(choose_nothing);
    const struct message digests = {.kind = MESSAGE_DIGESTS,
                                    .draw = 1,
                                    .digests = {.agency = 9, .attempt = 1}};
    expect(&digests, REFUSAL_ATTEMPT);
    const struct message hello = {
        .kind = MESSAGE_HELLO,
        .draw = 1,
        .hello = {.agency = 9, .incarnation = 1, .plan = {.bets_max = 1, .bytes_max = 1}},
    };
    expect(&hello, REFUSAL_PLAN);
    const struct message poll = poll_of(9, 1, 0);
    expect(&poll, REFUSAL_ATTEMPT);
}

static void choose_short_timeout(struct broker_options *options)
{
    options->terms.barrier_timeout_ms = LEASE_MS / 4;
    options->terms.on_timeout = TIMEOUT_DRAW;
}

/* The one store has nothing to find among what it is asked. */
static void count_nothing(const struct digest *root)
{
    struct message count;
    struct slice body;
    uint8_t shares[64];
    bench_sealed(&bench, 50, root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, &body));
    cr_assert_leq(body.bytes, sizeof shares);
    memcpy(shares, body.data, body.bytes);
    const struct message counted = bench_counted(&count, 1, 0);
    bench_report(&bench, 50, &counted, (struct slice){shares, body.bytes});
}

/* Though the draw went on afterwards. */
Test(broker_refusals, who_was_told_excluded_and_said_bye_is_not_lingered_for)
{
    const struct message winners = {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 10}};
    const struct message early = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = 10}};
    const struct message bye = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = 4}};
    struct message seal;
    begin(choose_short_timeout);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_pass(&bench, LEASE_MS / 4);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &seal, NULL));
    const struct digest root = seal.part.root;
    expect(&winners, REFUSAL_EXCLUDED);
    cr_assert_eq(bench_ask(&bench, &early, NULL).kind, MESSAGE_OK);
    count_nothing(&root);
    cr_assert_eq(bench_ask(&bench, &bye, NULL).kind, MESSAGE_OK);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
}
