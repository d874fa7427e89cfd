/* Replies that do not fit what was asked, and what an agency does without one. */
#include <criterion/criterion.h>

#include "tests/unit/agency_stage.h"

TestSuite(agency_replies, .timeout = 10);

static struct stage begin(void)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    return stage;
}

static struct message empty_result(uint32_t from)
{
    return (struct message){
        .kind = MESSAGE_RESULT,
        .draw = DRAW,
        .result = {.agency = AGENCY, .number = 1, .root = {{5}}, .from = from, .upto = from},
    };
}

static uint64_t ignored(const struct stage *stage)
{
    struct agency_counts counts;
    agency_count(stage->agency, &counts);
    return counts.ignored;
}

/* An agency that waits, with two batches. */
static struct stage begin_waiting(void)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage.orders = 0;
    return stage;
}

Test(agency_replies, wait_about_another_attempt_or_place_is_ignored)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    cr_assert_eq(stage.request.kind, MESSAGE_POLL);
    struct message other = stage_wait_reply(&stage, 1, 2, 0, 0);
    other.wait.attempt++;
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_wait_reply(&stage, 1, 0, 0, 0);
    other.wait.from = 1;
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(ignored(&stage), 2);
    struct agency_counts counts;
    agency_count(stage.agency, &counts);
    cr_assert_eq(counts.batches_durable, 0);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

/* [M-22] of each kind, beside ADMITTED (agency_hello_test.c). */
Test(agency_replies, what_another_agency_is_told_is_ignored)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    struct message other = stage_wait_reply(&stage, 1, 2, 0, 0);
    other.wait.agency++;
    stage_answer(&stage, &other, (struct slice){0});
    other.kind = MESSAGE_FINISHED;
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_refusal(REFUSAL_VOID, 0);
    other.refused.agency++;
    stage_answer(&stage, &other, (struct slice){0});
    other = empty_result(0);
    other.result.agency++;
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(ignored(&stage), 4);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);

    const struct message result = empty_result(0);
    stage_answer(&stage, &result, (struct slice){0});
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    stage_answer(&stage, &other, (struct slice){0});
    other = (struct message){.kind = MESSAGE_NOT_YET,
                             .draw = DRAW,
                             .not_yet = {.agency = AGENCY + 1, .phase = PHASE_SEALED}};
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(ignored(&stage), 6);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FETCHING);

    stage_answer(&stage, &result, (struct slice){0});
    agency_on_stored(stage.agency, stage.now_ms);
    stage_tick(&stage);
    other = (struct message){.kind = MESSAGE_OK, .draw = DRAW, .ok = {.agency = AGENCY + 1}};
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(ignored(&stage), 7);
    cr_assert_eq(agency_state(stage.agency), AGENCY_LEAVING);
    stage_end(&stage);
}

/* [M-22] */
Test(agency_replies, digests_of_another_agency_or_place_are_ignored)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    cr_assert_eq(stage.request.kind, MESSAGE_DIGESTS);
    static const uint8_t zeros[2 * DIGEST_BYTES];
    struct message other = {
        .kind = MESSAGE_DIGEST_PAGE,
        .draw = DRAW,
        .digest_page = {.agency = AGENCY + 1, .attempt = 1, .upto = 2, .total = 2},
    };
    stage_answer(&stage, &other, (struct slice){zeros, sizeof(zeros)});
    cr_assert_eq(ignored(&stage), 1);
    other.digest_page.agency = AGENCY;
    other.digest_page.from = 1;
    stage_answer(&stage, &other, (struct slice){zeros, sizeof(zeros)});
    cr_assert_eq(ignored(&stage), 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_NAMING);
    stage_end(&stage);
}

Test(agency_replies, page_of_winners_from_another_place_is_ignored)
{
    struct stage stage = begin_waiting();
    const struct message hint = empty_result(0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    const struct message other = empty_result(1);
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(ignored(&stage), 1);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FETCHING);
    stage_end(&stage);
}

Test(agency_replies, publication_while_a_poll_is_out_is_followed_at_once)
{
    struct stage stage = begin_waiting();
    stage_until(&stage, MESSAGE_POLL);
    const struct message late = stage_wait_reply(&stage, 2, 2, 0, 0);
    const struct message hint = empty_result(0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    stage_answer(&stage, &late, (struct slice){0});
    cr_assert_eq(ignored(&stage), 1);
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    stage_end(&stage);
}

Test(agency_replies, round_that_was_never_begun_makes_nothing_missing)
{
    struct stage stage = begin();
    uint32_t seq;
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    stage_send(&stage, 1);
    stage_until(&stage, MESSAGE_POLL);
    stage_send(&stage, 1); /* behind MARK 1: of round 2 */
    stage_tell(&stage, 99, 1, 0, 0);
    cr_assert_not(agency_next_batch(stage.agency, &seq));
    stage_tell(&stage, 2, 1, 0, 0);
    cr_assert(agency_next_batch(stage.agency, &seq));
    stage_end(&stage);
}

Test(agency_replies, batch_told_lost_before_it_was_cut_waits_for_its_round)
{
    struct stage stage = begin();
    uint32_t seq;
    stage_admit(&stage, 4);
    stage_cut(&stage, 2);
    stage_tell(&stage, 0, 1, 0, 0); /* 1, 2 and 3 are told no more; no round is seen */
    stage_cut(&stage, 2);
    cr_assert_not(agency_next_batch(stage.agency, &seq));
    stage_tell(&stage, 1, 1, 0, 0);
    cr_assert_eq(stage_send(&stage, 4), 3);
    stage_end(&stage);
}

Test(agency_replies, paging_ends_where_a_page_brings_nothing)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 5);
    admitted.admitted.upto = 5;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage.request.hello.from, 5);
    admitted = stage_admitted(&stage, 0);
    admitted.admitted.upto = 5;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

Test(agency_replies, paging_begins_anew_after_a_new_dial)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 5);
    admitted.admitted.upto = 5;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage.request.hello.from, 5);
    stage.orders = 0;
    while ((stage.orders & AGENCY_ORDER_DIAL) == 0)
        stage_wait(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    cr_assert_eq(stage.request.hello.from, 0, "another broker may have lost what this one told");
    stage_end(&stage);
}

Test(agency_replies, not_yet_lets_missing_batches_be_sent_again)
{
    struct stage stage = begin_waiting();
    const struct message hint = empty_result(0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    stage_tick(&stage);
    const struct message not_yet = {
        .kind = MESSAGE_NOT_YET,
        .draw = DRAW,
        .not_yet = {.agency = AGENCY, .phase = PHASE_OPEN},
    };
    stage_answer(&stage, &not_yet, (struct slice){0});
    stage_tell(&stage, 2, 1, 0, 0);
    uint32_t seq;
    cr_assert(agency_next_batch(stage.agency, &seq));
    cr_assert_eq(seq, 1);
    cr_assert(agency_wants(stage.agency, 1), "its body is read again");
    stage_end(&stage);
}

Test(agency_replies, result_is_fetched_once_the_file_is_read)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.is_finished = true;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_READING);
    stage_until(&stage, MESSAGE_POLL);
    const struct message result = empty_result(0);
    stage_answer(&stage, &result, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_READING);
    cr_assert_eq(agency_deadline(stage.agency), INT64_MAX, "nothing to ask before it is read");
    stage_read_to_end(&stage);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    stage_end(&stage);
}

Test(agency_replies, goodbye_is_said_three_times_without_an_answer)
{
    struct stage stage = begin_waiting();
    const struct message empty = empty_result(0);
    stage_until(&stage, MESSAGE_POLL);
    stage_answer(&stage, &empty, (struct slice){0});
    stage_answer(&stage, &empty, (struct slice){0});
    agency_on_stored(stage.agency, stage.now_ms);
    uint32_t before = stage.requests;
    stage_tick(&stage);
    while (agency_state(stage.agency) == AGENCY_LEAVING) {
        cr_assert_eq(stage.request.kind, MESSAGE_BYE);
        stage_wait(&stage);
    }
    cr_assert_eq(stage.requests - before, UNANSWERED_REDIAL);
    stage_end(&stage);
}

/* [M-35] The broker waits for it: until then a VOID that was lost is told again. */
Test(agency_replies, who_gets_no_winners_says_bye_as_well)
{
    const enum refusal reasons[] = {REFUSAL_VOID, REFUSAL_EXCLUDED};
    for (int i = 0; i < 2; i++) {
        struct stage stage = begin_waiting();
        stage_until(&stage, MESSAGE_POLL);
        uint32_t before = stage.requests;
        stage_refuse(&stage, reasons[i], 0);
        cr_assert_eq(agency_state(stage.agency), AGENCY_PARTING);
        stage_tick(&stage);
        while (agency_state(stage.agency) == AGENCY_PARTING) {
            cr_assert_eq(stage.request.kind, MESSAGE_BYE);
            stage_wait(&stage);
        }
        cr_expect_eq(stage.requests - before, UNANSWERED_REDIAL);
        cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
        cr_expect_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
        cr_expect_eq(agency_outcome(stage.agency)->refused.reason, reasons[i]);
        cr_expect_eq(agency_exit_code(stage.agency), refusal_exit_code(reasons[i]));
        stage_end(&stage);
    }
}

/* The file is of no use any more, and what the reader still says of it changes nothing: neither how
 * the agency ends, nor that it ends. */
Test(agency_replies, who_gets_no_winners_takes_nothing_more_from_its_file)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.batches_max = 2;
    stage_answer(&stage, &admitted, (struct slice){0});
    stage_cut(&stage, 1);
    cr_assert(agency_needs_file(stage.agency));
    cr_assert(agency_wants(stage.agency, 0));
    stage_until(&stage, MESSAGE_POLL);
    stage_refuse(&stage, REFUSAL_VOID, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_PARTING);
    cr_assert_not(agency_needs_file(stage.agency));
    cr_assert_not(agency_wants(stage.agency, 0));
    stage_cut(&stage, 2); /* the second of them is one too many */
    cr_assert_eq(agency_cuts(stage.agency)->count, 1);
    const struct declaration declaration = {.batches = 3, .bets = 30};
    agency_on_end(stage.agency, stage.now_ms, &declaration);
    cr_assert_null(agency_declared(stage.agency));
    const struct message ok = {.kind = MESSAGE_OK, .draw = DRAW, .ok = {.agency = AGENCY}};
    stage_answer(&stage, &ok, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    cr_assert_eq(agency_exit_code(stage.agency), refusal_exit_code(REFUSAL_VOID));
    stage_end(&stage);
}

/* It is as bounded as its tries are, and its end is the draw's, not the timeout's. */
Test(agency_replies, wait_timeout_does_not_count_while_bye_is_said)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 1;
    stage_begin(&stage, &terms);
    stage_all_sent(&stage, 1);
    uint32_t before = stage.requests;
    stage_refuse(&stage, REFUSAL_VOID, 0);
    for (uint32_t i = 1; i <= UNANSWERED_REDIAL; i++) {
        cr_assert_eq(agency_state(stage.agency), AGENCY_PARTING);
        cr_assert_eq(stage.requests, before + i);
        stage_wait(&stage);
    }
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    cr_expect_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    stage_end(&stage);
}

Test(agency_replies, wait_timeout_does_not_count_while_the_reader_is_waited_for)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 60000;
    stage_begin(&stage, &terms);
    stage_admit(&stage, 0);
    stage_cut(&stage, 1);
    stage_send(&stage, 1);
    stage_tell(&stage, 1, 1, 0, 0);
    int64_t moved_at = stage.now_ms;
    uint32_t round = 2;
    while (stage.now_ms < moved_at + 2 * terms.wait_timeout_ms)
        stage_tell(&stage, round++, 1, 0, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

/* Every kind that this request has no answer of, in this agency's name: nothing comes of it. */
static void expect_ignored(struct stage *stage, const enum message_kind *kinds, size_t kinds_count)
{
    for (size_t i = 0; i < kinds_count; i++) {
        uint64_t before = ignored(stage);
        enum agency_state state = agency_state(stage->agency);
        struct message reply = {.kind = kinds[i], .draw = DRAW};
        reply.ok.agency = AGENCY; /* the first field of each */
        stage_answer(stage, &reply, (struct slice){0});
        cr_assert_eq(ignored(stage), before + 1, "%s", message_name(kinds[i]));
        cr_assert_eq(agency_state(stage->agency), state, "%s", message_name(kinds[i]));
    }
}

Test(agency_replies, answers_to_other_requests_are_ignored)
{
    static const enum message_kind none_of_hello[] = {MESSAGE_WAIT,    MESSAGE_FINISHED,
                                                      MESSAGE_RESULT,  MESSAGE_NOT_YET,
                                                      MESSAGE_OK,      MESSAGE_DIGEST_PAGE,
                                                      MESSAGE_WELCOME, MESSAGE_HELLO};
    static const enum message_kind none_of_poll[] = {MESSAGE_ADMITTED, MESSAGE_NOT_YET, MESSAGE_OK,
                                                     MESSAGE_DIGEST_PAGE};
    struct stage stage = begin();
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    expect_ignored(&stage, none_of_hello, sizeof none_of_hello / sizeof *none_of_hello);
    stage_all_sent(&stage, 2);
    cr_assert_eq(stage.request.kind, MESSAGE_POLL);
    expect_ignored(&stage, none_of_poll, sizeof none_of_poll / sizeof *none_of_poll);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_replies, nothing_is_taken_once_it_has_failed)
{
    const struct cut cut = {.line = 1, .bets = 1, .bytes = CUT_BYTES};
    const struct declaration declaration = {.batches = 1, .bets = 1};
    struct stage stage = begin();
    struct message reply = stage_admitted(&stage, 0);
    reply.admitted.phase = PHASE_VOID;
    stage_answer(&stage, &reply, (struct slice){0});
    agency_skip_bye(stage.agency);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    agency_on_cut(stage.agency, stage.now_ms, &cut);
    agency_on_end(stage.agency, stage.now_ms, &declaration);
    cr_assert_eq(agency_cuts(stage.agency)->count, 0);
    cr_assert_null(agency_declared(stage.agency));
    expect_ignored(&stage, (const enum message_kind[]){MESSAGE_WAIT}, 1);
    stage_end(&stage);
}

Test(agency_replies, an_impossible_attempt_or_plan_ends_it)
{
    for (int wrong = 0; wrong < 3; wrong++) {
        struct stage stage = begin();
        struct message reply = stage_admitted(&stage, 0);
        reply.admitted.attempt -= wrong == 0;
        if (wrong == 1)
            reply.admitted.plan.bets_max = 0;
        if (wrong == 2)
            reply.admitted.batch_bytes_max = reply.admitted.plan.bytes_max - 1;
        stage_answer(&stage, &reply, (struct slice){0});
        cr_assert_eq(agency_outcome(stage.agency)->cause, AGENCY_CAUSE_PROTOCOL, "case %d", wrong);
        stage_end(&stage);
    }
}

/* What message_decode lets through is well formed; the core does not rely on it. */
Test(agency_replies, ranges_of_another_form_end_it)
{
    struct stage stage = begin_waiting();
    stage_until(&stage, MESSAGE_POLL);
    struct message reply = stage_wait_reply(&stage, 1, 0, 0, 0);
    reply.wait.durable = (struct slice){.data = (const uint8_t *)"\x92\x01\x00", .bytes = 3};
    stage_answer(&stage, &reply, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    cr_assert_eq(agency_outcome(stage.agency)->cause, AGENCY_CAUSE_PROTOCOL);
    stage_end(&stage);
}

Test(agency_replies, missing_agencies_are_named_as_far_as_the_list_and_the_table_reach)
{
    uint8_t ids[3 + MISSING_NAMED_MAX + 9] = {0xdc, 0, MISSING_NAMED_MAX + 9};
    for (uint8_t i = 0; i < MISSING_NAMED_MAX + 9; i++)
        ids[3 + i] = i;
    const struct {
        struct slice missing;
        uint32_t named;
    } lists[] = {
        {{.data = ids, .bytes = sizeof ids}, MISSING_NAMED_MAX},
        {{.data = (const uint8_t *)"\x92\x01\xc0", .bytes = 3}, 1}, /* the second is nil */
    };
    struct stage stage = begin_waiting();
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        stage_until(&stage, MESSAGE_POLL);
        struct message reply = stage_wait_reply(&stage, 1, 2, 0, 0);
        reply.wait.missing = lists[i].missing;
        stage_answer(&stage, &reply, (struct slice){0});
        const struct agency_barrier *barrier = agency_barrier(stage.agency);
        cr_assert_eq(barrier->missing_count, lists[i].named, "list %zu", i);
        for (uint32_t k = 0; k < barrier->missing_count; k++)
            cr_assert_eq(barrier->missing[k], i == 0 ? k : k + 1);
    }
    stage_end(&stage);
}

Test(agency_replies, no_batch_is_wanted_once_there_is_a_result)
{
    struct stage stage = begin_waiting();
    stage_tell(&stage, 2, 1, 0, 0);
    cr_assert(agency_wants(stage.agency, 1), "its store is gone");
    const struct message hint = empty_result(0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    cr_assert_not(agency_wants(stage.agency, 1));
    stage_end(&stage);
}

Test(agency_replies, naming_is_given_up_for_its_refusal_and_not_for_the_wait_timeout)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 1000;
    stage_begin(&stage, &terms);
    stage_all_sent(&stage, 3);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    while (agency_state(stage.agency) == AGENCY_NAMING)
        stage_wait(&stage);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    stage_end(&stage);
}
