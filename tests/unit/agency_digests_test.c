/* A declaration that is refused: the agency asks for the ledger's digests and names the first batch
 * that differs. */
#include <criterion/criterion.h>

#include "tests/unit/agency_stage.h"

TestSuite(agency_digests, .timeout = 10);

static struct stage begin(void)
{
    struct stage stage;
    const struct agency_terms terms = stage_terms();
    stage_begin(&stage, &terms);
    return stage;
}

/* A page of `count` digests of the stage's own cuts from `from` on. */
static struct message digest_page(const struct stage *stage, uint32_t from, uint32_t count,
                                  uint32_t total, uint8_t *body)
{
    for (uint32_t i = 0; i < count; i++)
        memcpy(body + i * DIGEST_BYTES, cuts_at(agency_cuts(stage->agency), from + i)->digest.bytes,
               DIGEST_BYTES);
    return (struct message){
        .kind = MESSAGE_DIGEST_PAGE,
        .draw = DRAW,
        .digest_page =
            {.agency = AGENCY, .attempt = 1, .from = from, .upto = from + count, .total = total},
    };
}

Test(agency_digests, refused_declaration_names_the_first_batch_that_differs)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 3);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_NAMING);
    cr_assert_eq(stage.request.kind, MESSAGE_DIGESTS);
    cr_assert_eq(stage.request.digests.attempt, 1);
    uint8_t body[3 * DIGEST_BYTES];
    struct message reply = digest_page(&stage, 0, 2, 3, body);
    stage_answer(&stage, &reply, (struct slice){.data = body, .bytes = 2 * DIGEST_BYTES});
    cr_assert_eq(stage.request.digests.from, 2);
    reply = digest_page(&stage, 2, 1, 3, body);
    body[7] ^= 1;
    stage_answer(&stage, &reply, (struct slice){.data = body, .bytes = DIGEST_BYTES});
    const struct agency_outcome *outcome = agency_outcome(stage.agency);
    cr_assert_eq(outcome->cause, AGENCY_CAUSE_REFUSED);
    cr_assert_eq(outcome->refused.reason, REFUSAL_DECLARATION);
    cr_assert(outcome->names_batch);
    cr_assert_eq(outcome->refused.seq, 2);
    cr_assert_not(outcome->is_final, "it may start over");
    cr_assert_eq(agency_exit_code(stage.agency), 65);
    stage_end(&stage);
}

Test(agency_digests, refused_declaration_that_cannot_be_named_ends_all_the_same)
{
    enum { SAME, SHORT, TOO_LONG, NO_PROGRESS, BEYOND_ITS_END, NO_ANSWER, CASES };
    static const uint8_t others[PAGE_BYTES_MAX + DIGEST_BYTES] = {1};
    for (int i = 0; i < CASES; i++) {
        struct stage stage = begin();
        stage_all_sent(&stage, 3);
        stage_refuse(&stage, REFUSAL_DECLARATION, 0);
        uint8_t body[3 * DIGEST_BYTES];
        struct message reply = digest_page(&stage, 0, 3, 3, body);
        struct slice slice = {.data = body, .bytes = i == SHORT ? 5 : sizeof(body)};
        if (i == TOO_LONG) { /* [M-72] */
            reply.digest_page.upto = reply.digest_page.total = sizeof(others) / DIGEST_BYTES;
            slice = (struct slice){.data = others, .bytes = sizeof(others)};
        }
        if (i == NO_PROGRESS)
            slice.bytes = reply.digest_page.upto = 0;
        if (i == BEYOND_ITS_END) {
            reply.digest_page.total = 2;
            body[0] ^= 1; /* believed, it would name batch 0 */
        }
        if (i != NO_ANSWER)
            stage_answer(&stage, &reply, slice);
        while (i == NO_ANSWER && agency_state(stage.agency) == AGENCY_NAMING)
            stage_wait(&stage);
        cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED, "case %d", i);
        cr_assert_not(agency_outcome(stage.agency)->names_batch, "case %d", i);
        cr_assert_eq(agency_outcome(stage.agency)->refused.reason, REFUSAL_DECLARATION);
        stage_end(&stage);
    }
}

Test(agency_digests, page_of_digests_that_ends_before_it_begins_names_nothing)
{
    struct stage stage = begin();
    stage_all_sent(&stage, 3);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    uint8_t body[3 * DIGEST_BYTES];
    struct message reply = digest_page(&stage, 0, 2, 3, body);
    stage_answer(&stage, &reply, (struct slice){.data = body, .bytes = 2 * DIGEST_BYTES});
    reply = digest_page(&stage, 2, 1, 3, body);
    reply.digest_page.upto = 1;
    body[0] ^= 1;
    stage_answer(&stage, &reply, (struct slice){.data = body, .bytes = DIGEST_BYTES});
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    cr_assert_not(agency_outcome(stage.agency)->names_batch);
    stage_end(&stage);
}

/* [M-72] */
Test(agency_digests, page_of_digests_of_the_largest_size_names_a_batch)
{
    static const uint8_t others[PAGE_BYTES_MAX] = {1};
    struct stage stage = begin();
    stage_all_sent(&stage, 3);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    uint8_t body[3 * DIGEST_BYTES];
    struct message reply = digest_page(&stage, 0, 3, 3, body);
    reply.digest_page.upto = reply.digest_page.total = sizeof(others) / DIGEST_BYTES;
    stage_answer(&stage, &reply, (struct slice){.data = others, .bytes = sizeof(others)});
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    cr_assert(agency_outcome(stage.agency)->names_batch);
    stage_end(&stage);
}

/* Only POLL carries a declaration; a broker that refuses one at HELLO is not asked for digests. */
Test(agency_digests, refused_declaration_without_one_ends_it_at_once)
{
    struct stage stage = begin();
    cr_assert_eq(stage.request.kind, MESSAGE_HELLO);
    stage_refuse(&stage, REFUSAL_DECLARATION, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FAILED);
    cr_assert_eq(stage_cause(&stage), AGENCY_CAUSE_REFUSED);
    cr_assert_eq(agency_outcome(stage.agency)->refused.reason, REFUSAL_DECLARATION);
    stage_end(&stage);
}
