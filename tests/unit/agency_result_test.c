/* From RESULT to BYE, redials, and the end of patience. */
#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/agency_stage.h"

TestSuite(agency_result, .timeout = 10);

enum { NUMBER = 7574 };

static struct stage begin(void)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    return stage;
}

static struct slice text(const char *bytes)
{
    return (struct slice){.data = (const uint8_t *)bytes, .bytes = strlen(bytes)};
}

/* Winners (seq, row) of consecutive seqs from `first` on, row 0. */
static struct slice winners_body(uint8_t *buffer, size_t buffer_bytes, uint32_t first,
                                 uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct item_winner item = {
            .seq = first + i,
            .bet =
                {
                    .first_name = text("Ana"),
                    .last_name = text("Paz"),
                    .document = text("30904465"),
                    .birthdate = text("1999-03-17"),
                    .number = NUMBER,
                },
        };
        cr_assert_eq(item_pack_winner(buffer, buffer_bytes, &bytes, &item), STATUS_OK);
    }
    return (struct slice){.data = buffer, .bytes = bytes};
}

static struct message page(uint32_t from, uint32_t upto, uint32_t total)
{
    return (struct message){
        .kind = MESSAGE_RESULT,
        .draw = DRAW,
        .result =
            {
                .agency = AGENCY,
                .number = NUMBER,
                .root = {{5}},
                .from = from,
                .upto = upto,
                .total = total,
            },
    };
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

Test(agency_result, result_on_winners_ends_the_wait_at_once)
{
    struct stage stage = begin_waiting();
    const struct message hint = page(0, 0, 0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    cr_assert_leq(agency_deadline(stage.agency), stage.now_ms);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    cr_assert_eq(stage.request.winners.agency, AGENCY);
    cr_assert_eq(stage.request.winners.from, 0);
    stage_end(&stage);
}

/* [M-33] */
Test(agency_result, result_of_another_draw_or_agency_is_ignored)
{
    struct stage stage = begin_waiting();
    struct message hint = page(0, 0, 0);
    hint.draw = DRAW + 1;
    agency_on_published(stage.agency, stage.now_ms, &hint);
    hint = page(0, 0, 0);
    hint.result.agency = AGENCY + 1;
    agency_on_published(stage.agency, stage.now_ms, &hint);
    hint = stage_refusal(REFUSAL_VOID, 0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_result, result_before_everything_was_sent_is_no_hint)
{
    struct stage stage = begin();
    stage_admit(&stage, 0);
    const struct message hint = page(0, 0, 0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    cr_assert_eq(agency_state(stage.agency), AGENCY_SENDING);
    stage_end(&stage);
}

/* [M-35] */
Test(agency_result, pages_are_fetched_written_stored_and_said_goodbye_for)
{
    struct stage stage = begin_waiting();
    uint8_t buffer[1024];
    stage_until(&stage, MESSAGE_POLL);
    struct message reply = page(0, 1, 2);
    stage_answer(&stage, &reply, winners_body(buffer, sizeof(buffer), 0, 1));
    cr_assert_eq(stage.orders, 0, "the answer to POLL is a hint");
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);

    stage_answer(&stage, &reply, winners_body(buffer, sizeof(buffer), 0, 1));
    cr_assert_eq(stage.orders, AGENCY_ORDER_PAGE);
    cr_assert_eq(stage.request.winners.from, 1);
    reply = page(1, 2, 2);
    stage_answer(&stage, &reply, winners_body(buffer, sizeof(buffer), 1, 1));
    cr_assert_eq(stage.orders, AGENCY_ORDER_PAGE | AGENCY_ORDER_STORE);
    cr_assert_eq(agency_state(stage.agency), AGENCY_STORING);
    cr_assert_eq(agency_deadline(stage.agency), INT64_MAX);
    cr_assert_eq(agency_result(stage.agency)->winners, 2);
    cr_assert_eq(agency_result(stage.agency)->number, NUMBER);
    cr_assert(agency_has_result(stage.agency));
    const struct declaration declared = stage_declaration(&stage);
    cr_assert(declaration_is_equal(agency_declared(stage.agency), &declared));

    agency_on_stored(stage.agency, stage.now_ms);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_BYE);
    const struct message ok = {.kind = MESSAGE_OK, .draw = DRAW, .ok = {.agency = AGENCY}};
    stage_answer(&stage, &ok, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_DONE);
    cr_assert_eq(agency_exit_code(stage.agency), 0);
    stage_end(&stage);
}

Test(agency_result, goodbye_without_an_answer_ends_well_too)
{
    for (int refuses = 0; refuses < 2; refuses++) {
        struct stage stage = begin_waiting();
        stage_until(&stage, MESSAGE_POLL);
        const struct message empty = page(0, 0, 0);
        stage_answer(&stage, &empty, (struct slice){0});
        stage_answer(&stage, &empty, (struct slice){0});
        agency_on_stored(stage.agency, stage.now_ms);
        stage_tick(&stage);
        cr_assert_eq(stage.request.kind, MESSAGE_BYE);
        if (refuses)
            stage_refuse(&stage, REFUSAL_UNKNOWN, 0);
        while (agency_state(stage.agency) == AGENCY_LEAVING)
            stage_wait(&stage);
        cr_assert_eq(agency_state(stage.agency), AGENCY_DONE);
        stage_end(&stage);
    }
}

/* The winners are on the disk by then; writing them may have taken as long as that. */
Test(agency_result, goodbye_is_not_given_up_after_the_wait_timeout)
{
    struct stage stage;
    struct agency_terms terms = stage_terms();
    terms.wait_timeout_ms = 20000;
    stage_begin(&stage, &terms);
    stage_all_sent(&stage, 1);
    const struct message empty = page(0, 0, 0);
    stage_answer(&stage, &empty, (struct slice){0});
    stage_answer(&stage, &empty, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_STORING);
    stage.now_ms += terms.wait_timeout_ms;
    agency_on_stored(stage.agency, stage.now_ms);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_BYE);
    while (agency_state(stage.agency) == AGENCY_LEAVING)
        stage_wait(&stage);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DONE);
    cr_assert_eq(agency_exit_code(stage.agency), 0);
    stage_end(&stage);
}

Test(agency_result, not_yet_goes_back_to_declaring)
{
    struct stage stage = begin_waiting();
    const struct message hint = page(0, 0, 0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    stage_tick(&stage);
    struct message not_yet = {
        .kind = MESSAGE_NOT_YET,
        .draw = DRAW,
        .not_yet = {.agency = AGENCY, .phase = PHASE_SEALED},
    };
    stage_answer(&stage, &not_yet, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_result, not_yet_of_a_void_draw_exits_75)
{
    struct stage stage = begin_waiting();
    const struct message hint = page(0, 0, 0);
    agency_on_published(stage.agency, stage.now_ms, &hint);
    stage_tick(&stage);
    const struct message not_yet = {
        .kind = MESSAGE_NOT_YET,
        .draw = DRAW,
        .not_yet = {.agency = AGENCY, .phase = PHASE_VOID},
    };
    stage_answer(&stage, &not_yet, (struct slice){0});
    cr_assert_eq(agency_exit_code(stage.agency), 75);
    cr_assert_eq(stage.request.kind, MESSAGE_BYE, "[M-35]");
    stage_end(&stage);
}

Test(agency_result, wrong_result_exits_76)
{
    struct stage stage = begin_waiting();
    uint8_t buffer[1024];
    stage_until(&stage, MESSAGE_POLL);
    const struct message reply = page(0, 1, 1);
    stage_answer(&stage, &reply, winners_body(buffer, sizeof(buffer), 2, 1));
    stage_answer(&stage, &reply, winners_body(buffer, sizeof(buffer), 2, 1));
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_RESULT);
    cr_assert_eq(agency_outcome(stage.agency)->result_fault, RESULT_FAULT_PLACE);
    cr_assert_eq(agency_exit_code(stage.agency), 76);
    cr_assert_eq(stage.orders & AGENCY_ORDER_STORE, 0);
    stage_end(&stage);
}

/* In a range of one number nothing else can follow, whatever seed and root are. */
Test(agency_result, number_is_held_against_the_range_that_hello_told)
{
    static const uint32_t ranges[][2] = {
        {NUMBER, NUMBER},
        {0, NUMBER - 1},
        {NUMBER + 1, UINT32_MAX},
    };
    const uint8_t seed[DIGEST_BYTES] = {7};
    const struct slice piece = {.data = seed, .bytes = sizeof(seed)};
    struct hasher *hasher = NULL;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        struct stage stage = begin();
        struct message admitted = stage_admitted(&stage, 0);
        admitted.admitted.phase = PHASE_PUBLISHED;
        admitted.admitted.range_first = ranges[i][0];
        admitted.admitted.range_last = ranges[i][1];
        hasher_sum(hasher, &piece, 1, &admitted.admitted.commitment);
        stage_answer(&stage, &admitted, (struct slice){0});
        stage_read_to_end(&stage);
        stage_tick(&stage);
        struct message reply = page(0, 0, 0);
        reply.result.seed = piece;
        stage_answer(&stage, &reply, (struct slice){0});
        cr_assert_eq((stage.orders & AGENCY_ORDER_STORE) != 0, i == 0);
        cr_assert_eq(agency_outcome(stage.agency)->result_fault,
                     i == 0 ? RESULT_FAULT_NONE : RESULT_FAULT_DRAWN);
        cr_assert_eq(agency_exit_code(stage.agency), i == 0 ? 0 : 76);
        stage_end(&stage);
    }
    hasher_destroy(&hasher);
}

Test(agency_result, process_that_comes_after_publishing_reads_then_fetches)
{
    struct stage stage = begin();
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.phase = PHASE_PUBLISHED;
    admitted.admitted.is_finished = true;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(agency_state(stage.agency), AGENCY_READING);
    cr_assert_eq(agency_deadline(stage.agency), INT64_MAX, "nothing to ask before it is read");
    stage_cut(&stage, 2);
    cr_assert_not(agency_wants(stage.agency, 0));
    stage_read_to_end(&stage);
    stage_tick(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    stage_end(&stage);
}

Test(agency_result, rejected_and_conflict_name_their_batch)
{
    const enum refusal reasons[] = {REFUSAL_REJECTED, REFUSAL_CONFLICT};
    for (int i = 0; i < 2; i++) {
        struct stage stage = begin();
        stage_all_sent(&stage, 3);
        struct message refusal = stage_refusal(reasons[i], 0);
        refusal.refused.seq = 2;
        refusal.refused.row = 4;
        stage_answer(&stage, &refusal, (struct slice){0});
        const struct agency_outcome *outcome = agency_outcome(stage.agency);
        cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
        cr_assert(outcome->names_batch);
        cr_assert_eq(outcome->refused.seq, 2);
        cr_assert_eq(agency_exit_code(stage.agency), 65);
        stage_end(&stage);
    }
}

/* [M-23] */
Test(agency_result, three_unanswered_requests_dial_anew_and_say_hello)
{
    struct stage stage = begin_waiting();
    stage_until(&stage, MESSAGE_POLL);
    int64_t asked_at = stage.now_ms;
    stage_wait(&stage);
    stage_wait(&stage);
    cr_assert_eq(stage.request.kind, MESSAGE_POLL);
    cr_assert_eq(stage.orders, 0);
    stage_wait(&stage);
    cr_assert_eq(stage.orders, AGENCY_ORDER_DIAL);
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    cr_assert_eq(stage.request.hello.attempt, 1);
    cr_assert_geq(stage.now_ms - asked_at, 3 * RETRY_MS);
    cr_assert_leq(stage.now_ms - asked_at, 3 * RETRY_MS * 5 / 4);

    stage.orders = 0;
    struct message admitted = stage_admitted(&stage, 2);
    admitted.admitted.is_finished = true;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage.orders, 0, "the file is not read a second time");
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    cr_assert(stage.request.poll.has_declaration);
    stage_finish(&stage, 0, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_result, fetching_goes_on_where_it_was_after_a_new_dial)
{
    struct stage stage = begin_waiting();
    uint8_t buffer[1024];
    stage_until(&stage, MESSAGE_POLL);
    const struct message first = page(0, 1, 2);
    stage_answer(&stage, &first, winners_body(buffer, sizeof(buffer), 0, 1));
    stage_answer(&stage, &first, winners_body(buffer, sizeof(buffer), 0, 1));
    while (stage.request.kind != MESSAGE_HELLO)
        stage_wait(&stage);
    struct message admitted = stage_admitted(&stage, 2);
    admitted.admitted.phase = PHASE_PUBLISHED;
    stage_answer(&stage, &admitted, (struct slice){0});
    cr_assert_eq(stage.request.kind, MESSAGE_WINNERS);
    cr_assert_eq(stage.request.winners.from, 1);
    stage_end(&stage);
}

Test(agency_result, too_many_unanswered_requests_exit_69)
{
    struct stage stage = begin_waiting();
    uint32_t before = stage.requests;
    while (agency_state(stage.agency) != AGENCY_FAILED)
        stage_wait(&stage);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_UNANSWERED);
    cr_assert_eq(stage.requests - before, stage_terms().retries_max);
    cr_assert_eq(agency_exit_code(stage.agency), 69);
    stage_end(&stage);
}

Test(agency_result, an_answer_in_between_starts_the_count_anew)
{
    struct stage stage = begin_waiting();
    for (int i = 0; i < 10; i++) {
        stage_until(&stage, MESSAGE_POLL);
        stage_wait(&stage); /* one is lost */
        stage_finish(&stage, 1, 2);
    }
    struct agency_counts counts;
    agency_count(stage.agency, &counts);
    cr_assert_eq(counts.unanswered, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    stage_end(&stage);
}

Test(agency_result, fingerprint_tells_states_apart_and_repeats)
{
    struct stage one = begin_waiting();
    struct stage other = begin_waiting();
    cr_assert_eq(agency_fingerprint(one.agency), agency_fingerprint(other.agency));
    const struct message hint = page(0, 0, 0);
    agency_on_published(other.agency, other.now_ms, &hint);
    cr_assert_neq(agency_fingerprint(one.agency), agency_fingerprint(other.agency));
    uint64_t before = agency_fingerprint(one.agency);
    stage_finish(&one, 2, 1);
    cr_assert_neq(agency_fingerprint(one.agency), before);
    stage_end(&one);
    stage_end(&other);
}
