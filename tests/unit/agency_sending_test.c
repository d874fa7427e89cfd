/* Sending, rounds, what is missing, declaring, waiting: what POLL's answers lead to. */
#include <criterion/criterion.h>

#include "tests/unit/agency_stage.h"

TestSuite(agency_sending, .timeout = 10);

static uint32_t next_batch(const struct stage *stage)
{
    uint32_t seq;
    return agency_next_batch(stage->agency, &seq) ? seq : UINT32_MAX;
}

static struct stage begin(void)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    return stage;
}

Test(agency_sending, batch_header_carries_the_cut)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    struct message batch;
    agency_describe_batch(stage.agency, 1, &batch);
    cr_assert_eq(batch.kind, MESSAGE_BATCH);
    cr_assert_eq(batch.draw, DRAW);
    cr_assert_eq(batch.batch.agency, AGENCY);
    cr_assert_eq(batch.batch.attempt, 1);
    cr_assert_eq(batch.batch.seq, 1);
    cr_assert_eq(batch.batch.count, 10);
    cr_assert(digest_is_equal(&batch.batch.digest, &cuts_at(agency_cuts(stage.agency), 1)->digest));
    stage_end(&stage);
}

Test(agency_sending, stops_at_the_window_and_goes_on_when_batches_are_durable)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.window_bytes = 3 * (CUT_BYTES + BATCH_WEIGHT_EXTRA_BYTES);
    stage_answer(&stage, &admitted, (struct slice){0});
    stage_cut(&stage, 10);
    cr_assert_eq(stage_send(&stage, 10), 3);
    stage_until(&stage, MESSAGE_POLL);
    struct message reply = stage_wait_reply(&stage, 1, 2, 2, 1);
    reply.wait.window_bytes = admitted.admitted.window_bytes;
    stage_answer(&stage, &reply, (struct slice){0});
    cr_assert_eq(stage_send(&stage, 10), 2);
    stage_end(&stage);
}

Test(agency_sending, sends_one_batch_whatever_the_window_says)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.window_bytes = 0;
    stage_answer(&stage, &admitted, (struct slice){0});
    stage_cut(&stage, 3);
    cr_assert_eq(stage_send(&stage, 3), 1);
    stage_end(&stage);
}

Test(agency_sending, keeps_to_its_own_number_of_batches_in_flight)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.in_flight_batches_max = 2;
    stage_begin(&stage, &terms);
    stage_admit(&stage, 0);
    stage_cut(&stage, 5);
    cr_assert_eq(stage_send(&stage, 5), 2);
    stage_end(&stage);
}

/* [M-20] */
Test(agency_sending, mark_goes_before_every_poll_with_the_newest_round)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.marks, 1);
    cr_assert_eq(stage.mark_round, 1);
    cr_assert_eq(stage.request.poll.round, 1);
    stage_tell(&stage, 0, 0, 0, 0);
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.mark_round, 1, "not seen: no new round");
    stage_tell(&stage, 1, 0, 0, 0);
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.marks, 3);
    cr_assert_eq(stage.mark_round, 2);
    cr_assert_eq(stage.request.poll.round, 2);
    stage_end(&stage);
}

/* [M-20]: a broker that was started anew has seen no round, and a store may be lost even now. */
Test(agency_sending, mark_goes_before_every_poll_of_an_agency_that_has_finished)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    for (int poll = 0; poll < 3; poll++) {
        const uint32_t marks = stage.marks;
        stage_until(&stage, MESSAGE_POLL);
        cr_assert_eq(stage.marks, marks + 1);
        cr_assert_eq(stage.mark_round, stage.request.poll.round);
        stage_finish(&stage, 0, 2);
    }
    stage_end(&stage);
}

/* [M-63] */
Test(agency_sending, batch_of_a_seen_round_that_nobody_has_is_sent_again)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 4);
    stage_send(&stage, 4);
    stage_tell(&stage, 0, 0, 0, 0);
    cr_assert_eq(next_batch(&stage), UINT32_MAX, "no round seen: nothing is missing");
    stage_tell(&stage, 1, 1, 2, 1); /* 0 durable, 2 held */
    cr_assert_eq(next_batch(&stage), 1);
    cr_assert_eq(stage_send(&stage, 4), 2);
    struct agency_counts counts;
    agency_count(stage.agency, &counts);
    cr_assert_eq(counts.batches_again, 2);
    cr_assert_eq(counts.bets_sent, 40);
    cr_assert_eq(counts.batches_in_flight, 3);
    stage_end(&stage);
}

/* [M-63] */
Test(agency_sending, batch_sent_after_the_mark_belongs_to_the_next_round)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    stage_send(&stage, 1);
    stage_until(&stage, MESSAGE_POLL);
    stage_send(&stage, 1); /* behind MARK 1 */
    stage_tell(&stage, 1, 0, 0, 1);
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    stage_tell(&stage, 2, 0, 0, 1);
    cr_assert_eq(next_batch(&stage), 1);
    stage_end(&stage);
}

Test(agency_sending, mark_that_would_block_does_not_begin_the_next_round)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 1);
    stage.marks_block = true;
    stage_until(&stage, MESSAGE_POLL);
    stage.marks_block = false;
    stage_send(&stage, 1);
    stage_tell(&stage, 0, 0, 0, 0);
    stage_tell(&stage, 1, 0, 0, 0);
    cr_assert_eq(next_batch(&stage), 0, "round 1's first MARK followed it");
    stage_end(&stage);
}

Test(agency_sending, restarted_broker_that_has_seen_no_round_makes_nothing_missing)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 3);
    stage_send(&stage, 3);
    stage_tell(&stage, 1, 3, 0, 0);
    stage_tell(&stage, 0, 0, 0, 0); /* it has lost its ledger */
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    stage_tell(&stage, 2, 1, 0, 0); /* told durable once: counts as sent in round 1 */
    cr_assert_eq(next_batch(&stage), 1);
    cr_assert_eq(stage_send(&stage, 3), 2);
    stage_end(&stage);
}

/* Answers polls with the same for so long, unless it dials anew. returns how long that took. */
static int64_t answer_the_same(struct stage *stage, uint64_t window_bytes, int64_t at_most_ms)
{
    int64_t began_at = stage->now_ms;
    stage->orders = 0;
    while (stage->now_ms - began_at < at_most_ms && (stage->orders & AGENCY_ORDER_DIAL) == 0) {
        if (stage->request.kind != MESSAGE_POLL)
            stage_until(stage, MESSAGE_POLL);
        struct message reply = stage_wait_reply(stage, 0, 1, 0, 0);
        reply.wait.window_bytes = window_bytes;
        stage->request.kind = MESSAGE_OK;
        stage_answer(stage, &reply, (struct slice){0});
    }
    return stage->now_ms - began_at;
}

Test(agency_sending, dials_anew_when_replies_come_and_nothing_that_is_sent_arrives)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    cr_assert_eq(stage_send(&stage, 2), 2);
    stage_tell(&stage, 0, 1, 0, 0);
    int64_t took_ms = answer_the_same(&stage, WINDOW_BYTES, STALLED_MS_MAX);
    cr_assert(took_ms >= STALLED_MS_MIN && took_ms < STALLED_MS_MIN + 3 * PACE_QUICK_MS_MAX);
    cr_assert(stage.orders & AGENCY_ORDER_TELL_STALLED);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    stage_admit(&stage, 1);
    (void)answer_the_same(&stage, 0, STALLED_MS_MIN);
    took_ms = answer_the_same(&stage, WINDOW_BYTES, STALLED_MS_MAX);
    cr_assert(took_ms >= 2 * STALLED_MS_MIN, "less often when that did not help");
    stage_admit(&stage, 1);
    for (int i = 0; i < 4; i++) {
        took_ms = answer_the_same(&stage, WINDOW_BYTES, 2 * STALLED_MS_MAX);
        stage_admit(&stage, 1);
    }
    cr_assert(took_ms >= STALLED_MS_MAX && took_ms < STALLED_MS_MAX + STALLED_MS_MIN, "up to that");
    stage_tell(&stage, 1, 1, 0, 0); /* its MARK is seen */
    cr_assert_eq(stage_send(&stage, 2), 1, "and the batch is missing");
    took_ms = answer_the_same(&stage, WINDOW_BYTES, STALLED_MS_MAX);
    cr_assert(took_ms < 2 * STALLED_MS_MIN, "as soon again once that has helped");
    stage_end(&stage);
}

Test(agency_sending, does_not_dial_anew_while_the_broker_reads_no_bets)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    cr_assert_eq(stage_send(&stage, 2), 2);
    stage_tell(&stage, 0, 1, 0, 0);
    cr_assert_geq(answer_the_same(&stage, 0, STALLED_MS_MAX), STALLED_MS_MAX);
    cr_assert(answer_the_same(&stage, WINDOW_BYTES, STALLED_MS_MAX) >= STALLED_MS_MIN,
              "it is counted from the end of that on");
    stage_end(&stage);
}

Test(agency_sending, durable_before_it_was_cut_is_not_sent_and_comes_back_when_lost)
{
    struct stage stage = begin();
    stage_admit(&stage, 4);
    stage_cut(&stage, 2);
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    stage_tell(&stage, 1, 1, 0, 0); /* 1, 2, 3 are lost; 2 and 3 are not cut yet */
    cr_assert_eq(next_batch(&stage), 1);
    stage_send(&stage, 1);
    stage_cut(&stage, 2);
    cr_assert_eq(next_batch(&stage), 2);
    cr_assert_eq(stage_send(&stage, 2), 2);
    stage_end(&stage);
}

/* [M-30] */
Test(agency_sending, cut_reply_says_nothing_beyond_upto_and_is_followed_by_its_rest)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 4);
    stage_send(&stage, 4);
    stage_until(&stage, MESSAGE_POLL);
    struct message reply = stage_wait_reply(&stage, 1, 1, 0, 0);
    reply.wait.upto = 2;
    stage.request.kind = MESSAGE_OK;
    stage_answer(&stage, &reply, (struct slice){0});
    cr_assert_eq(next_batch(&stage), 1);
    cr_assert_eq(stage_send(&stage, 4), 1, "2 and 3 are beyond");
    cr_assert_eq(stage.request.kind, MESSAGE_POLL, "the rest is asked for at once");
    cr_assert_eq(stage.request.poll.from, 2);
    reply = stage_wait_reply(&stage, 2, 0, 0, 0);
    reply.wait.durable = stage_ranges(&stage, 0, 2, 2);
    stage.request.kind = MESSAGE_OK;
    stage_answer(&stage, &reply, (struct slice){0});
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.request.poll.from, 0);
    struct agency_counts counts;
    agency_count(stage.agency, &counts);
    cr_assert_eq(counts.batches_durable, 3);
    stage_end(&stage);
}

Test(agency_sending, polls_quickly_on_change_and_ever_slower_without)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 60);
    stage_send(&stage, 60);
    stage_tell(&stage, 1, 1, 1, 59);
    int64_t told_at = stage.now_ms;
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.now_ms - told_at, PACE_QUICK_MS_MIN);
    for (uint32_t i = 0; i < 12; i++)
        stage_tell(&stage, 2 + i, 1, 1, 59);
    told_at = stage.now_ms;
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.now_ms - told_at, PACE_QUICK_MS_MAX);
    stage_tell(&stage, 14, 2, 2, 58);
    told_at = stage.now_ms;
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_eq(stage.now_ms - told_at, PACE_QUICK_MS_MAX / 4);
    stage_end(&stage);
}

/* [M-27] */
Test(agency_sending, declares_once_the_file_is_read_and_everything_was_sent)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    stage_read_to_end(&stage);
    stage_until(&stage, MESSAGE_POLL);
    cr_assert_not(stage.request.poll.has_declaration);
    stage_tell(&stage, 0, 0, 0, 0);
    stage_send(&stage, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    stage_tick(&stage);
    cr_assert(stage.request.poll.has_declaration, "at once");
    const struct declaration declaration = stage_declaration(&stage);
    cr_assert(declaration_is_equal(&stage.request.poll.declaration, &declaration));
    stage_end(&stage);
}

Test(agency_sending, empty_file_declares_at_once)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 0);
    cr_assert_eq(stage.request.kind, MESSAGE_POLL);
    cr_assert_eq(stage.request.poll.declaration.batches, 0);
    stage_finish(&stage, 1, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_sending, waits_at_growing_intervals_and_quickly_again_when_something_is_missing)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 2);
    const int64_t steps[] = {1000, 2000, 4000, 8000, 12000, 12000};
    for (uint32_t i = 0; i < 6; i++) {
        stage_finish(&stage, 1 + i, 2);
        cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
        int64_t pause_ms = agency_deadline(stage.agency) - stage.now_ms;
        cr_assert_geq(pause_ms, steps[i]);
        cr_assert_leq(pause_ms, steps[i] + steps[i] / 4);
        cr_assert_leq(pause_ms, WAIT_MS_MAX);
    }
    stage_finish(&stage, 7, 1); /* a store has gone */
    cr_assert_leq(agency_deadline(stage.agency) - stage.now_ms, PACE_QUICK_MS_MAX);
    cr_assert_eq(next_batch(&stage), 1);
    stage_send(&stage, 1);
    stage_finish(&stage, 7, 2);
    cr_assert_lt(agency_deadline(stage.agency) - stage.now_ms, 1500);
    stage_end(&stage);
}

/* [M-25] */
Test(agency_sending, told_finished_reads_to_the_end_and_declares_before_it_sends)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 1);
    admitted.admitted.is_finished = true;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_READING);
    stage_cut(&stage, 3);
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    cr_assert_not(agency_wants(stage.agency, 1));
    stage_tell(&stage, 1, 1, 0, 0);
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    stage_read_to_end(&stage);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    cr_assert_eq(next_batch(&stage), UINT32_MAX);
    stage_finish(&stage, 2, 1);
    cr_assert_eq(next_batch(&stage), 1, "the declaration is the journaled one");
    stage_end(&stage);
}

Test(agency_sending, told_finished_and_refused_its_declaration_knows_that_it_is_final)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 1);
    admitted.admitted.is_finished = true;
    stage_answer(&stage, &admitted, (struct slice){0});
    stage_cut(&stage, 1);
    stage_read_to_end(&stage);
    stage_until(&stage, MESSAGE_POLL);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    while (agency_state(stage.agency) == AGENCY_NAMING)
        stage_wait(&stage);
    cr_assert_eq(agency_outcome(stage.agency)->refused.reason, REFUSAL_DECLARATION);
    cr_assert(agency_outcome(stage.agency)->is_final);
    stage_end(&stage);
}

Test(agency_sending, finished_no_more_declares_again)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 1);
    stage_finish(&stage, 1, 1);
    stage_tell(&stage, 0, 0, 0, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    stage_end(&stage);
}

Test(agency_sending, tells_who_is_missing_at_the_barrier)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 1);
    struct message reply = stage_wait_reply(&stage, 1, 1, 0, 0);
    reply.kind = MESSAGE_FINISHED;
    reply.wait.agencies_finished = 3;
    reply.wait.missing = (struct slice){.data = (const uint8_t *)"\x92\x04\xcc\xc8", .bytes = 4};
    stage_answer(&stage, &reply, (struct slice){0});
    const struct agency_barrier *barrier = agency_barrier(stage.agency);
    cr_assert_eq(barrier->finished, 3);
    cr_assert_eq(barrier->expected, 5);
    cr_assert_eq(barrier->missing_count, 2);
    cr_assert_eq(barrier->missing[0], 4);
    cr_assert_eq(barrier->missing[1], 200);
    stage_until(&stage, MESSAGE_POLL);
    reply.wait.missing = (struct slice){.data = (const uint8_t *)"\x91\xcc\xc8", .bytes = 3};
    stage_answer(&stage, &reply, (struct slice){0});
    cr_assert_eq(barrier->missing_count, 1, "the latest reply counts");
    cr_assert_eq(barrier->missing[0], 200);
    stage_end(&stage);
}

Test(agency_sending, void_while_waiting_exits_75)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 1);
    struct message reply = stage_wait_reply(&stage, 1, 1, 0, 0);
    reply.wait.phase = PHASE_VOID;
    stage_answer(&stage, &reply, (struct slice){0});
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_VOID);
    cr_assert_eq(stage.request.kind, MESSAGE_BYE, "[M-35]");
    stage_end(&stage);
}

Test(agency_sending, wait_timeout_counts_from_the_last_thing_that_moved)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 60000;
    stage_begin(&stage, &terms);
    stage_all_sent(&stage, 1);
    stage.now_ms += 30000;
    stage_finish(&stage, 1, 1);
    int64_t moved_at = stage.now_ms;
    uint32_t round = 2;
    while (agency_state(stage.agency) == AGENCY_WAITING) {
        stage_wait(&stage);
        if (stage.request.kind == MESSAGE_POLL)
            stage_finish(&stage, round++, 1);
    }
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_WAITED);
    cr_assert_eq(stage.now_ms - moved_at, terms.wait_timeout_ms);
    stage_end(&stage);
}
