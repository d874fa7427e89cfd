/* What is taken of an answer, and what makes it wrong. */
#include "tests/unit/results_bench.h"

/* [M-58] */
Test(results_answers, ignores_answers_of_an_earlier_broker_and_of_others, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = ask(&bench, 0, &body);
    struct message_count older = count;
    older.question_epoch--;
    cr_assert_eq(find(&bench, 0, &older, 3, 0, 0, 7), STATUS_STALE);
    cr_assert_eq(end(&bench, 0, &older, 8, 0, body), STATUS_STALE);
    cr_assert_eq(end(&bench, 1, &count, 8, 0, body), STATUS_STALE, "asked of another store");
    cr_assert_eq(end(&bench, 0, &count, 8, 0, body), STATUS_OK);
    cr_assert_eq(end(&bench, 0, &count, 8, 0, body), STATUS_STALE, "answered already");
    close_bench(&bench);
}

Test(results_answers, rejects_winners_that_were_not_asked_for, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 2);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(find(&bench, 0, &count, 3, 2, 0, 7), STATUS_WRONG, "seq not asked");
    cr_assert_eq(find(&bench, 0, &count, 5, 0, 0, 7), STATUS_WRONG, "agency not asked");
    cr_assert_eq(find(&bench, 0, &count, 4, 0, 0, 7), STATUS_WRONG, "agency not in the manifest");
    cr_assert_eq(find(&bench, 0, &count, 3, 0, 2, 7), STATUS_WRONG, "row beyond the batch");
    cr_assert_eq(find(&bench, 0, &count, 3, 0, 0, 8), STATUS_WRONG, "another number");
    close_bench(&bench);
}

Test(results_answers, counts_a_winner_once_when_its_page_comes_twice, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(find(&bench, 0, &count, 3, 1, 1, 7), STATUS_OK);
    cr_assert_eq(find(&bench, 0, &count, 3, 1, 1, 7), STATUS_STALE);
    cr_assert_eq(find(&bench, 0, &count, 3, 0, 1, 7), STATUS_STALE, "pages come in order");
    cr_assert_eq(end(&bench, 0, &count, 8, 1, body), STATUS_OK);
    close_bench(&bench);
}

/* A page that has come before repeats from its first winner on. */
Test(results_answers, rejects_a_page_that_goes_back, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(find_two(&bench, 0, &count, 1, 1), STATUS_WRONG);
    cr_assert_eq(find_two(&bench, 0, &count, 1, 0), STATUS_WRONG);
    cr_assert_eq(find_two(&bench, 0, &count, 0, 1), STATUS_OK);
    cr_assert_eq(find_two(&bench, 0, &count, 0, 1), STATUS_STALE);
    close_bench(&bench);
}

/* [M-58] */
Test(results_answers, rejects_an_answer_that_does_not_add_up, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 1);
    hold(&bench, 0, 5, 0, 1);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &count, 3, 0, body), STATUS_WRONG, "bets");
    cr_assert_eq(end(&bench, 0, &count, 4, 1, body), STATUS_WRONG, "winners");
    cr_assert_eq(end(&bench, 0, &count, 4, 0, (struct slice){body.data, 0}), STATUS_WRONG,
                 "no share");

    uint8_t twice[ITEM_BYTES_MAX];
    uint8_t packed[32];
    size_t bytes = 0;
    uint32_t upto;
    struct seqset part = {0};
    struct item_share share = {.agency = 3, .attempt = 1};
    cr_assert_eq(seqset_add_range(&part, 0, 1), STATUS_OK);
    seqset_pack(&part, 0, packed, sizeof packed, &share.seqs, &upto);
    cr_assert_eq(item_pack_share(twice, sizeof twice, &bytes, &share), STATUS_OK);
    cr_assert_eq(item_pack_share(twice, sizeof twice, &bytes, &share), STATUS_OK);
    cr_assert_eq(end(&bench, 0, &count, 4, 0, (struct slice){twice, bytes}), STATUS_WRONG,
                 "one share twice for another that is missing");
    cr_assert_eq(end(&bench, 0, &count, 4, 0, body), STATUS_OK);
    seqset_clear(&part);
    close_bench(&bench);
}

/* A share of agency 3 with these ranges and one of another agency with batch 0. */
static struct slice pack_shares(uint8_t *buffer, uint32_t second_agency, const uint8_t ranges[3])
{
    size_t bytes = 0;
    struct item_share first = {.agency = 3, .attempt = 1, .seqs = {ranges, 3}};
    struct item_share second = {.agency = second_agency,
                                .attempt = second_agency == 3 ? 1 : 2,
                                .seqs = {(const uint8_t[]){0x92, 0, 1}, 3}};
    cr_assert_eq(item_pack_share(buffer, 2 * ITEM_BYTES_MAX, &bytes, &first), STATUS_OK);
    cr_assert_eq(item_pack_share(buffer, 2 * ITEM_BYTES_MAX, &bytes, &second), STATUS_OK);
    return (struct slice){buffer, bytes};
}

Test(results_answers, rejects_an_answer_about_other_batches_than_were_asked, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    uint8_t shares[2 * ITEM_BYTES_MAX];
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 1);
    hold(&bench, 0, 5, 0, 1);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &count, 4, 0,
                     pack_shares(shares, 3, (const uint8_t[]){0x92, 0, 1})),
                 STATUS_WRONG, "a share twice, for one of the same size that is missing");
    results_kill(bench.results, 0);

    hold(&bench, 0, 3, 0, 4);
    count = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &count, 10, 0,
                     pack_shares(shares, 5, (const uint8_t[]){0x92, 1, 3})),
                 STATUS_WRONG, "the first batch is missing");
    cr_assert_eq(end(&bench, 0, &count, 10, 0,
                     pack_shares(shares, 5, (const uint8_t[]){0x92, 0, 4})),
                 STATUS_OK);
    close_bench(&bench);
}

Test(results_answers, rejects_pages_and_shares_of_another_form_or_order, .timeout = 10)
{
    static const uint8_t half_an_item[] = {0x97, 1};
    struct count_bench bench;
    struct slice body;
    uint8_t shares[2 * ITEM_BYTES_MAX];
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 3);
    hold(&bench, 0, 5, 0, 1);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(find(&bench, 0, &count, 5, 0, 0, 7), STATUS_OK);
    cr_assert_eq(find(&bench, 0, &count, 3, 0, 0, 7), STATUS_STALE, "a lower agency comes after");
    struct message_found found = {.question_epoch = count.question_epoch,
                                  .question = count.question,
                                  .agency = 5,
                                  .items = 1};
    cr_assert_eq(results_found(bench.results, 0, &found, (struct slice){half_an_item, 2}),
                 STATUS_WRONG, "no item");
    found.question = 0;
    cr_assert_eq(results_found(bench.results, 1, &found, (struct slice){0}), STATUS_STALE,
                 "a store that was not asked");
    cr_assert_eq(end(&bench, 0, &count, 8, 1,
                     pack_shares(shares, 4, (const uint8_t[]){0x92, 0, 3})),
                 STATUS_WRONG, "an agency that is not in the manifest");
    cr_assert_eq(end(&bench, 0, &count, 8, 1,
                     pack_shares(shares, 5, (const uint8_t[]){0x92, 3, 1})),
                 STATUS_WRONG, "a batch that was not asked");
    cr_assert_eq(end(&bench, 0, &count, 8, 1,
                     pack_shares(shares, 5, (const uint8_t[]){0x92, 0, 4})),
                 STATUS_WRONG, "more batches than were asked");
    body = pack_shares(shares, 5, (const uint8_t[]){0x92, 0, 3});
    shares[body.bytes] = 0x93;
    body.bytes++;
    cr_assert_eq(end(&bench, 0, &count, 8, 1, body), STATUS_WRONG, "a byte too many");
    body.bytes--;
    cr_assert_eq(end(&bench, 0, &count, 8, 1, body), STATUS_OK);
    close_bench(&bench);
}

/* [M-58] */
Test(results_answers, rejects_a_share_of_an_agency_that_was_not_asked_about, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    uint8_t more[2 * ITEM_BYTES_MAX];
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = ask(&bench, 0, &body);
    size_t bytes = body.bytes;
    memcpy(more, body.data, bytes);
    struct item_share none = {.agency = 5, .attempt = 2, .seqs = {(const uint8_t[]){0x90}, 1}};
    cr_assert_eq(item_pack_share(more, sizeof more, &bytes, &none), STATUS_OK);
    count.items++;
    cr_assert_eq(end(&bench, 0, &count, 8, 0, (struct slice){more, bytes}), STATUS_WRONG);
    count.items--;
    cr_assert_eq(end(&bench, 0, &count, 8, 0, body), STATUS_OK);
    close_bench(&bench);
}

/* [M-58] */
Test(results_answers, rejects_an_answer_about_another_attempt, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    uint8_t other[ITEM_BYTES_MAX];
    size_t bytes = 0;
    open_bench(&bench);
    hold(&bench, 0, 5, 0, 1);
    struct message_count count = ask(&bench, 0, &body);
    struct item_share share = {.agency = 5,
                               .attempt = 1,
                               .seqs = {(const uint8_t[]){0x92, 0, 1}, 3}};
    cr_assert_eq(item_pack_share(other, sizeof other, &bytes, &share), STATUS_OK);
    cr_assert_eq(end(&bench, 0, &count, 2, 0, (struct slice){other, bytes}), STATUS_WRONG);
    cr_assert_eq(end(&bench, 0, &count, 2, 0, body), STATUS_OK);
    close_bench(&bench);
}
