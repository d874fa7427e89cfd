/* From HELLO to being admitted: attempts, plans, incarnations, patience. */
#include <criterion/criterion.h>

#include "agency/inner.h"
#include "tests/unit/agency_stage.h"

TestSuite(agency_hello, .timeout = 10);

/* [M-14] [M-23] */
Test(agency_hello, says_who_it_is_and_orders_a_dial_first)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    cr_assert_eq(stage.orders, AGENCY_ORDER_DIAL);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    const struct message_hello *hello = &stage.request.hello;
    cr_assert_eq(hello->agency, AGENCY);
    cr_assert_eq(hello->incarnation, INCARNATION);
    cr_assert_eq(hello->attempt, 0);
    cr_assert_eq(hello->from, 0);
    cr_assert(plan_is_equal(&hello->plan, &terms.plan));
    cr_assert_eq(stage.marks, 0);
    stage_end(&stage);
}

/* [M-24] */
Test(agency_hello, adopts_the_plan_and_the_attempt_in_force)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.attempt = 4;
    admitted.admitted.plan =
        (struct plan){.bets_max = 7, .bytes_max = 1024, .skips_bad_rows = true};
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    cr_assert_eq(agency_attempt(stage.agency), 4);
    cr_assert(plan_is_equal(agency_plan(stage.agency), &admitted.admitted.plan));
    cr_assert(stage.orders & AGENCY_ORDER_READ);
    stage_end(&stage);
}

Test(agency_hello, asks_for_every_page_of_durable_ranges_before_it_reads)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 3);
    admitted.admitted.upto = 3;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_HELLO);
    cr_assert_eq(stage.requests, 2);
    cr_assert_eq(stage.request.hello.from, 3);
    cr_assert_eq(stage.request.hello.attempt, 1);
    cr_assert_eq(stage.orders & AGENCY_ORDER_READ, 0);

    admitted = stage_admitted(&stage, 0);
    admitted.admitted.durable = stage_ranges(&stage, 0, 5, 1);
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_cut(&stage, 7);
    uint32_t seq;
    cr_assert(agency_next_batch(stage.agency, &seq));
    cr_assert_eq(seq, 3);
    cr_assert_not(agency_wants(stage.agency, 2));
    cr_assert(agency_wants(stage.agency, 4));
    cr_assert_not(agency_wants(stage.agency, 5));
    stage_end(&stage);
}

Test(agency_hello, page_without_progress_ends_the_paging)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.upto = 0;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

/* [M-7] [M-15] */
Test(agency_hello, plan_beyond_the_broker_s_own_cap_is_a_contradiction)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.batch_bytes_max = terms.plan.bytes_max - 1;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_PROTOCOL);
    stage_end(&stage);
}

/* [M-15] */
Test(agency_hello, file_of_more_batches_than_the_draw_may_have_exits_65)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.batches_max = 2;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_batches_max(stage.agency), 2);
    cr_assert_not(agency_has_result(stage.agency));
    cr_assert_null(agency_declared(stage.agency), "the file is not read yet");
    stage_cut(&stage, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_cut(&stage, 1);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_BATCHES);
    cr_assert_eq(agency_exit_code(stage.agency), 65);
    stage_end(&stage);
}

Test(agency_hello, start_over_opens_the_attempt_after_the_one_in_force_once)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.starts_over = true;
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 5);
    admitted.admitted.attempt = 2;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_HELLO);
    cr_assert_eq(stage.request.hello.attempt, 3);

    stage_wait(&stage); /* the answer is lost */
    cr_assert_eq(stage.request.hello.attempt, 3);
    stage_admit(&stage, 0);
    cr_assert_eq(agency_attempt(stage.agency), 3);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_cut(&stage, 1);
    cr_assert(agency_wants(stage.agency, 0), "what the old attempt held counts for nothing");
    stage_end(&stage);
}

/* [M-61] */
Test(agency_hello, first_superseded_takes_the_number_after_the_one_in_force)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    stage_refuse(&stage, REFUSAL_SUPERSEDED, 5000);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    cr_assert_eq(stage.request.hello.incarnation, 5001);
    stage_admit(&stage, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

Test(agency_hello, superseded_a_second_time_or_later_exits_75)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    stage_refuse(&stage, REFUSAL_SUPERSEDED, 5000);
    stage_refuse(&stage, REFUSAL_SUPERSEDED, 6000);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    cr_assert_eq(agency_exit_code(stage.agency), 75);
    stage_end(&stage);

    stage_begin(&stage, &terms);
    stage_admit(&stage, 0);
    stage_until(&stage, MESSAGE_POLL);
    stage_refuse(&stage, REFUSAL_SUPERSEDED, 5000);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    cr_assert_eq(agency_exit_code(stage.agency), 75);
    stage_end(&stage);
}

Test(agency_hello, superseded_by_the_last_number_there_is_exits)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    stage_refuse(&stage, REFUSAL_SUPERSEDED, UINT64_MAX);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    stage_end(&stage);
}

Test(agency_hello, not_open_is_asked_again_at_growing_intervals)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    int64_t last_pause = 0;
    for (int i = 0; i < 3; i++) {
        stage_refuse(&stage, REFUSAL_NOT_OPEN, 0);
        cr_assert(agency_is_refused_for_now(stage.agency));
        int64_t asked_at = stage.now_ms;
        stage_wait(&stage);
        cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
        cr_assert_gt(stage.now_ms - asked_at, last_pause);
        last_pause = stage.now_ms - asked_at;
    }
    cr_assert_geq(last_pause, 4 * WAIT_MS_MIN);
    stage_admit(&stage, 0);
    cr_assert_not(agency_is_refused_for_now(stage.agency));
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

Test(agency_hello, not_open_is_given_up_after_the_wait_timeout)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 20000;
    stage_begin(&stage, &terms);
    while (agency_state(stage.agency) == AGENCY_HELLO) {
        stage_refuse(&stage, REFUSAL_NOT_OPEN, 0);
        stage_wait(&stage);
    }
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_WAITED);
    cr_assert_eq(stage.now_ms, 20000);
    cr_assert_eq(agency_exit_code(stage.agency), 75);
    stage_end(&stage);
}

Test(agency_hello, no_first_answer_is_given_up_after_the_connect_timeout)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    while (agency_state(stage.agency) == AGENCY_HELLO)
        stage_wait(&stage);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_CONNECT);
    cr_assert_eq(stage.now_ms, terms.connect_timeout_ms);
    cr_assert_eq(agency_exit_code(stage.agency), 69);
    cr_assert_eq(agency_deadline(stage.agency), INT64_MAX);
    stage_end(&stage);
}

Test(agency_hello, every_refusal_that_is_final_has_its_exit_code)
{
    const enum refusal reasons[] = {
        REFUSAL_LATE,      REFUSAL_ROSTER,  REFUSAL_ATTEMPT,  REFUSAL_PLAN,
        REFUSAL_FINISHED,  REFUSAL_LIMIT,   REFUSAL_VOID,     REFUSAL_UNKNOWN,
        REFUSAL_MALFORMED, REFUSAL_VERSION, REFUSAL_EXCLUDED,
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        struct stage stage;
        const struct agency_terms terms = stage_terms();
        stage_begin(&stage, &terms);
        stage_refuse(&stage, reasons[i], 0);
        if (reasons[i] == REFUSAL_VOID || reasons[i] == REFUSAL_EXCLUDED)
            stage_refuse(&stage, REFUSAL_VOID, 0); /* its BYE */
        cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
        cr_assert_eq(agency_outcome(stage.agency)->refused.reason, reasons[i]);
        cr_assert_eq(agency_exit_code(stage.agency), refusal_exit_code(reasons[i]));
        stage_end(&stage);
    }
}

/* [M-22] */
Test(agency_hello, replies_for_others_are_ignored)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message other = stage_admitted(&stage, 0);
    other.draw = DRAW + 1;
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_admitted(&stage, 0);
    other.admitted.agency = AGENCY + 1;
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_admitted(&stage, 0);
    other.admitted.from = 1;
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_wait_reply(&stage, 0, 0, 0, 0);
    stage_answer(&stage, &other, (struct slice){0});
    other = stage_refusal(REFUSAL_LATE, 0);
    other.draw = DRAW + 1;
    stage_answer(&stage, &other, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_HELLO);
    struct agency_counts counts;
    agency_count(stage.agency, &counts);
    cr_assert_eq(counts.ignored, 5);
    stage_admit(&stage, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

/* [M-14] [M-23] */
Test(agency_hello, nothing_is_sent_between_a_new_dial_and_its_answer)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    stage_admit(&stage, 0);
    stage_cut(&stage, 3);
    cr_assert_eq(stage_send(&stage, 1), 1);
    stage_until(&stage, MESSAGE_POLL);
    stage.orders = 0;
    while (stage.orders == 0)
        stage_wait(&stage);
    cr_assert_eq(stage.orders, AGENCY_ORDER_DIAL);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    uint32_t marks = stage.marks;
    stage_wait(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    cr_assert_eq(stage_send(&stage, 3), 0);
    cr_assert_eq(stage.marks, marks);
    stage_admit(&stage, 0);
    cr_assert_eq(stage_send(&stage, 3), 2);
    stage_end(&stage);
}

/* [M-22] */
Test(agency_hello, refusal_of_what_could_not_be_read_names_nobody_and_is_taken)
{
    const enum refusal reasons[] = {REFUSAL_MALFORMED, REFUSAL_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct stage stage;
        const struct agency_terms terms = stage_terms();
        stage_begin(&stage, &terms);
        const struct message refusal = {.kind = MESSAGE_REFUSED, .refused = {.reason = reasons[i]}};
        stage_answer(&stage, &refusal, (struct slice){0});
        cr_assert_eq(agency_exit_code(stage.agency), 76);
        stage_end(&stage);
    }
}

/* [M-70] */
Test(agency_hello, contradictions_after_a_new_dial_are_not_taken)
{
    for (int i = 0; i < 5; i++) {
        struct stage stage;
        const struct agency_terms terms = stage_terms();
        stage_begin(&stage, &terms);
        stage_admit(&stage, 0);
        stage_until(&stage, MESSAGE_POLL);
        while (stage.request.kind != MESSAGE_HELLO)
            stage_wait(&stage);
        cr_assert_eq(stage.request.hello.attempt, 1);
        struct message admitted = stage_admitted(&stage, 0);
        if (i == 0)
            admitted.admitted.attempt = 2;
        else if (i == 1)
            admitted.admitted.plan.bets_max++;
        else if (i == 2)
            admitted.admitted.commitment.bytes[0] = 1;
        else if (i == 3)
            admitted.admitted.range_first++;
        else
            admitted.admitted.range_last++;
        stage_answer(&stage, &admitted, (struct slice){0});
        cr_assert_eq(stage_cause(&stage), i >= 2 ? AGENCY_CAUSE_COMMITMENT : AGENCY_CAUSE_PROTOCOL);
        cr_assert_eq(agency_exit_code(stage.agency), 76);
        stage_end(&stage);
    }
}

Test(agency_hello, void_draw_exits_75)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.phase = PHASE_VOID;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_VOID);
    cr_assert_eq(agency_exit_code(stage.agency), 75);
    cr_assert_eq(stage.request.kind, MESSAGE_BYE, "[M-35]");
    stage_end(&stage);
}

/* A batch that was under way may find no memory while goodbye is said. */
Test(agency_hello, void_draw_stays_the_reason_whatever_fails_afterwards)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.phase = PHASE_VOID;
    stage_answer(&stage, &admitted, (struct slice){0});
    agency_fail(stage.agency, AGENCY_CAUSE_MEMORY);
    cr_assert_eq(agency_state(stage.agency), AGENCY_PARTING);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_VOID);
    stage_end(&stage);
}
