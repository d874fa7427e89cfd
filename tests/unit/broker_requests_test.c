#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "proto/wire/seqset.h"
#include "tests/unit/broker_bench.h"

static struct message hello_of(uint32_t agency, uint64_t incarnation, uint32_t attempt)
{
    return (struct message){
        .kind = MESSAGE_HELLO,
        .draw = 1,
        .hello = {.agency = agency,
                  .incarnation = incarnation,
                  .attempt = attempt,
                  .plan = {.bets_max = 5, .bytes_max = 1024}},
    };
}

static void assert_refused(const struct message *answer, enum refusal reason, uint64_t number)
{
    cr_assert_eq(answer->kind, MESSAGE_REFUSED, "answered %s", message_name(answer->kind));
    cr_assert_eq(answer->refused.reason, reason, "refused %s",
                 refusal_name(answer->refused.reason));
    cr_assert_eq(answer->refused.number, number);
}

/* [M-26] */
Test(broker_requests, hello_journals_the_first_plan_and_later_ones_adopt_it, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message hello = hello_of(4, 1, 0);
    struct message answer = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(answer.kind, MESSAGE_ADMITTED);
    cr_assert_eq(answer.admitted.attempt, 1);
    cr_assert_eq(answer.admitted.plan.bets_max, 5);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 1), 1);

    hello.hello.plan.bets_max = 99;
    hello.hello.incarnation = 2;
    answer = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(answer.admitted.plan.bets_max, 5, "the first plan of an attempt wins");
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    answer = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(answer.admitted.plan.bets_max, 5, "and outlives the broker");
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 1), 1);
    bench_close(&bench);
}

Test(broker_requests, hello_refuses_attempts_that_are_neither_in_force_nor_next, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message hello = hello_of(4, 1, 2);
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_ATTEMPT, 0);
    bench_hello(&bench, 4, 1);
    hello.hello.attempt = 3;
    answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_ATTEMPT, 1);
    hello.hello.attempt = 2;
    answer = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(answer.admitted.attempt, 2);
    cr_assert_eq(answer.admitted.plan.bets_max, 5, "a new attempt has its own plan");
    bench_close(&bench);
}

Test(broker_requests, hello_refuses_a_plan_outside_the_limits, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message hello = hello_of(4, 1, 0);
    hello.hello.plan.bytes_max = BATCH_BYTES_MAX + 1;
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_PLAN, BATCH_BYTES_MAX);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 1), 0);
    bench_close(&bench);
}

Test(broker_requests, a_newer_incarnation_supersedes_the_older, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message hello = hello_of(4, 10, 0);
    bench_ask(&bench, &hello, NULL);
    hello.hello.incarnation = 11;
    cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    hello.hello.incarnation = 10;
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_SUPERSEDED, 11);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 10, .attempt = 1}};
    answer = bench_ask(&bench, &poll, NULL);
    assert_refused(&answer, REFUSAL_SUPERSEDED, 11);
    bench_close(&bench);
}

Test(broker_requests, a_roster_admits_only_its_agencies, .timeout = 10)
{
    static const uint32_t roster[] = {1, 4};
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.roster = roster;
    options.terms.roster_count = 2;
    bench_open(&bench, &options);
    struct message hello = hello_of(3, 1, 0);
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_ROSTER, 0);
    bench_hello(&bench, 4, 0);
    bench_close(&bench);
}

Test(broker_requests, other_draws_are_not_open_or_unknown, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.number.draw = 5;
    options.draws = 2;
    bench_open(&bench, &options);
    struct message hello = hello_of(4, 1, 0);
    hello.draw = 6;
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_NOT_OPEN, 0);
    hello.draw = 7;
    answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_UNKNOWN, 0);
    hello.draw = 4;
    answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_UNKNOWN, 0);
    bench_close(&bench);
}

Test(broker_requests, poll_without_hello_is_told_to_say_hello, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message answer = bench_poll(&bench, 4, -1);
    assert_refused(&answer, REFUSAL_ATTEMPT, 0);
    bench_close(&bench);
}

/* [M-67] */
Test(broker_requests, what_cannot_be_read_is_refused_by_name, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message answer;
    bench_options(&options);
    bench_open(&bench, &options);
    const uint8_t garbage[] = {0xc1, 0x00};
    const uint8_t other_version[] = {0x94, 14, 2, 6, 4};
    outbox_reset(bench.outbox);
    broker_on_request(bench.broker, 1, (struct slice){garbage, sizeof garbage}, bench.now_ms,
                      bench.wall_ms);
    cr_assert(bench_sent(&bench, PORT_RENDEZVOUS, 1, MESSAGE_REFUSED, 0, &answer, NULL));
    assert_refused(&answer, REFUSAL_MALFORMED, PROTOCOL_VERSION);
    outbox_reset(bench.outbox);
    broker_on_request(bench.broker, 1, (struct slice){other_version, sizeof other_version},
                      bench.now_ms, bench.wall_ms);
    cr_assert(bench_sent(&bench, PORT_RENDEZVOUS, 1, MESSAGE_REFUSED, 0, &answer, NULL));
    assert_refused(&answer, REFUSAL_VERSION, PROTOCOL_VERSION);
    cr_assert_eq(answer.draw, 6, "the draw is repeated");
    struct message no_request = {.kind = MESSAGE_OK, .draw = 1};
    answer = bench_ask(&bench, &no_request, NULL);
    assert_refused(&answer, REFUSAL_MALFORMED, PROTOCOL_VERSION);
    bench_close(&bench);
}

/* [M-28] [M-31] */
Test(broker_requests, a_declaration_finishes_only_when_all_of_it_is_durable, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_batch(&bench, 4, 1);
    bench_stored(&bench, 50, 4, 1);
    struct message answer = bench_poll(&bench, 4, 2);
    cr_assert_eq(answer.kind, MESSAGE_WAIT);
    cr_assert(bench_ranges_have(answer.wait.durable, 1));
    cr_assert(!bench_ranges_have(answer.wait.durable, 0));
    cr_assert(bench_ranges_have(answer.wait.held, 0), "in flight is held");
    bench_stored(&bench, 50, 4, 0);
    answer = bench_poll(&bench, 4, 2);
    cr_assert_eq(answer.kind, MESSAGE_FINISHED);
    cr_assert_eq(answer.wait.agencies_finished, 1);
    cr_assert_eq(answer.wait.agencies_expected, 2);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECLARATION, 1), 1);
    cr_assert_eq(bench_poll(&bench, 4, 2).kind, MESSAGE_FINISHED, "asked again, said again");
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECLARATION, 1), 1);
    bench_close(&bench);
}

/* How many seqs are in the ranges, all of which are below `upto`. */
static uint32_t count_below(struct slice ranges, uint32_t upto)
{
    struct range_cursor cursor;
    struct range range;
    uint32_t count = 0;
    cr_assert_eq(range_open(&cursor, ranges), STATUS_OK);
    while (range_next(&cursor, &range) == STATUS_OK) {
        cr_assert_leq(range.first + range.count, upto);
        count += range.count;
    }
    return count;
}

/* [M-29] */
Test(broker_requests, a_reply_says_all_up_to_where_a_set_was_cut, .timeout = 10)
{
    enum { EVERY_OTHER = 2 * RANGES_BYTES_MAX }; /* twice as many ranges as fit */
    struct bench bench;
    struct broker_options options;
    uint8_t body[64 * 1024];
    size_t bytes = 0;
    uint32_t items = 0;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, EVERY_OTHER);
    for (uint32_t seq = 0; seq < EVERY_OTHER; seq += 2) {
        struct item_stored item = {.seq = seq, .bets = 1, .digest = bench_digest(4, seq)};
        cr_assert_eq(item_pack_stored(body, sizeof body, &bytes, &item), STATUS_OK);
        items++;
        if (sizeof body - bytes > ITEM_BYTES_MAX && seq + 2 < EVERY_OTHER)
            continue;
        struct message stored = {
            .kind = MESSAGE_STORED,
            .draw = 1,
            .stored = {.agency = 4, .attempt = 1, .items = items},
        };
        bench_report(&bench, 50, &stored, (struct slice){body, bytes});
        bytes = 0;
        items = 0;
    }
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 1, .attempt = 1}};
    uint32_t told = 0;
    for (int pages = 0; poll.poll.from < EVERY_OTHER; pages++) {
        const struct message wait = bench_ask(&bench, &poll, NULL);
        cr_assert_eq(wait.wait.from, poll.poll.from);
        if (pages == 0)
            cr_assert_lt(wait.wait.upto, EVERY_OTHER, "the durable set was cut, held was not");
        told += count_below(wait.wait.durable, wait.wait.upto);
        cr_assert_eq(told, (wait.wait.upto < EVERY_OTHER ? wait.wait.upto + 1 : EVERY_OTHER) / 2);
        cr_assert(wait.wait.upto <= EVERY_OTHER || bench_ranges_have(wait.wait.held, EVERY_OTHER));
        poll.poll.from = wait.wait.upto;
    }
    bench_close(&bench);
}

/* [M-29] */
Test(broker_requests, a_reply_ends_where_what_is_held_was_cut, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.queue_bytes = 16 << 20;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    for (uint32_t seq = 0; seq < RANGES_BYTES_MAX; seq += 2)
        bench_batch(&bench, 4, seq);
    const struct message wait = bench_poll(&bench, 4, -1);
    cr_assert_lt(wait.wait.upto, RANGES_BYTES_MAX, "nothing is durable, and held was cut");
    cr_assert_eq(count_below(wait.wait.held, wait.wait.upto), (wait.wait.upto + 1) / 2);
    bench_close(&bench);
}

/* [M-64] */
Test(broker_requests, a_declaration_that_differs_is_refused, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    struct message poll = {
        .kind = MESSAGE_POLL,
        .draw = 1,
        .poll = {.agency = 4,
                 .incarnation = 1,
                 .attempt = 1,
                 .has_declaration = true,
                 .declaration = bench_declaration(&bench, 4, 1)},
    };
    poll.poll.declaration.root.bytes[0] ^= 1;
    struct message answer = bench_ask(&bench, &poll, NULL);
    assert_refused(&answer, REFUSAL_DECLARATION, 1);
    poll.poll.declaration.root.bytes[0] ^= 1;
    poll.poll.declaration.bets++;
    answer = bench_ask(&bench, &poll, NULL);
    assert_refused(&answer, REFUSAL_DECLARATION, 1);
    poll.poll.declaration.bets--;
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_FINISHED);
    poll.poll.declaration.rejected++;
    answer = bench_ask(&bench, &poll, NULL);
    assert_refused(&answer, REFUSAL_DECLARATION, 1);
    bench_close(&bench);
}

/* [M-64] */
Test(broker_requests, a_finished_agency_cannot_start_over, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED, "an empty file finishes at once");
    struct message hello = hello_of(4, 2, 2);
    struct message answer = bench_ask(&bench, &hello, NULL);
    assert_refused(&answer, REFUSAL_FINISHED, 1);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    hello.hello.attempt = 0;
    answer = bench_ask(&bench, &hello, NULL);
    cr_assert(answer.admitted.is_finished, "a restarted broker knows who has finished");
    bench_close(&bench);
}

Test(broker_requests, an_attempt_that_starts_over_forgets_the_batches_before, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench_hello(&bench, 4, 2);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 1, .attempt = 2}};
    struct message answer = bench_ask(&bench, &poll, NULL);
    cr_assert(!bench_ranges_have(answer.wait.durable, 0));
    bench_stored(&bench, 50, 4, 0); /* of attempt 1: late */
    answer = bench_ask(&bench, &poll, NULL);
    cr_assert(!bench_ranges_have(answer.wait.durable, 0));
    poll.poll.attempt = 1;
    answer = bench_ask(&bench, &poll, NULL);
    assert_refused(&answer, REFUSAL_ATTEMPT, 2);
    bench_close(&bench);
}

Test(broker_requests, an_attempt_that_starts_over_drops_what_waits_of_the_one_before, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_batch(&bench, 4, 0); /* no store is there */
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
    bench_hello(&bench, 4, 2);
    cr_assert_eq(bench.payloads, 0);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 1, .attempt = 2}};
    cr_assert(!bench_ranges_have(bench_ask(&bench, &poll, NULL).wait.held, 0));
    bench_store(&bench, 50, 1, 1);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_requests, a_round_is_seen_when_its_mark_came_and_counts_for_one_life, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 0);
    struct message mark = {.kind = MESSAGE_MARK,
                           .draw = 1,
                           .mark = {.agency = 4, .attempt = 1, .incarnation = 1, .round = 3}};
    bench_bets(&bench, &mark, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 3);
    mark.mark.round = 2;
    bench_bets(&bench, &mark, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 3, "rounds do not go back");
    mark.mark.attempt = 2;
    mark.mark.round = 5;
    bench_bets(&bench, &mark, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 3, "of another attempt");
    mark.mark.attempt = 1;
    mark.mark.round = 2;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 0, "a restarted broker has seen none");
    bench_bets(&bench, &mark, 0);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 2, .attempt = 1}};
    cr_assert_eq(bench_ask(&bench, &poll, NULL).wait.round_seen, 0,
                 "another process, another count");
    mark.mark.round = 4;
    bench_bets(&bench, &mark, 0);
    cr_assert_eq(bench_ask(&bench, &poll, NULL).wait.round_seen, 0, "of the process before");
    bench_close(&bench);
}

/* [M-62] */
Test(broker_requests, no_round_is_told_while_a_known_store_may_still_come_back, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct message mark = {.kind = MESSAGE_MARK,
                           .draw = 1,
                           .mark = {.agency = 4, .attempt = 1, .incarnation = 1, .round = 3}};
    bench_bets(&bench, &mark, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 0);
    bench_pass(&bench, options.store_grace_ms + 1);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.round_seen, 3, "the store was given up");
    bench_close(&bench);
}

Test(broker_requests, winners_are_not_there_yet_before_the_draw, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    struct message winners = {.kind = MESSAGE_WINNERS, .draw = 1, .winners = {.agency = 4}};
    struct message answer = bench_ask(&bench, &winners, NULL);
    cr_assert_eq(answer.kind, MESSAGE_NOT_YET);
    cr_assert_eq(answer.not_yet.phase, PHASE_OPEN);
    bench_close(&bench);
}
