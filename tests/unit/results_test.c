#include "broker/results.h"

#include <criterion/criterion.h>

/* A manifest of agency 3 with four batches of two bets and agency 5 with one; number 7. Stores 0
 * and 1. */
struct count_bench {
    struct hasher *hasher;
    struct manifest *manifest;
    struct results *results;
    struct seqset holds[2][2]; /* store, agency */
};

static const struct seqset *holds(void *owner, uint32_t store, uint32_t agency)
{
    struct count_bench *bench = owner;
    return &bench->holds[store][agency == 3 ? 0 : 1];
}

static void open_bench(struct count_bench *bench)
{
    static struct digest digests[4];
    static uint32_t bets[4] = {2, 2, 2, 2};
    struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true, .given = 7};
    struct manifest_entry entries[2] = {
        {.agency = 3,
         .attempt = 1,
         .plan = {2, 512, false},
         .declaration = {.batches = 4, .bets = 8},
         .digests = digests,
         .bets = bets},
        {.agency = 5,
         .attempt = 2,
         .plan = {2, 512, false},
         .declaration = {.batches = 1, .bets = 2},
         .digests = digests,
         .bets = bets},
    };
    *bench = (struct count_bench){0};
    cr_assert_eq(hasher_create(&bench->hasher), STATUS_OK);
    for (size_t i = 0; i < 2; i++) {
        struct tree tree;
        tree_begin(&tree);
        for (uint32_t seq = 0; seq < entries[i].declaration.batches; seq++) {
            digests[seq].bytes[0] = (uint8_t)seq;
            tree_add(&tree, bench->hasher, &digests[seq]);
        }
        tree_head(&tree, bench->hasher, &entries[i].declaration.root);
    }
    cr_assert_eq(manifest_create(&terms, entries, 2, bench->hasher, &bench->manifest), STATUS_OK);
    cr_assert_eq(results_create(bench->manifest, 9, &bench->results), STATUS_OK);
}

static void close_bench(struct count_bench *bench)
{
    results_destroy(&bench->results);
    manifest_destroy(&bench->manifest);
    hasher_destroy(&bench->hasher);
    for (size_t i = 0; i < 4; i++)
        seqset_clear(&bench->holds[i / 2][i % 2]);
}

static void hold(struct count_bench *bench, uint32_t store, uint32_t agency, uint32_t first,
                 uint32_t count)
{
    struct seqset *set = &bench->holds[store][agency == 3 ? 0 : 1];
    cr_assert_eq(seqset_add_range(set, first, count), STATUS_OK);
}

static uint8_t asked_body[CHUNK_BYTES_MAX];

static struct message_count ask(struct count_bench *bench, uint32_t store, struct slice *body)
{
    struct message_count count = {0};
    size_t bytes = 0;
    enum status status = results_ask(bench->results, store, holds, bench, asked_body,
                                     sizeof asked_body, &count, &bytes);
    cr_assert_eq(status, STATUS_OK, "ask: %s", status_text(status));
    *body = (struct slice){asked_body, bytes};
    return count;
}

static bool has_nothing_to_ask(struct count_bench *bench, uint32_t store)
{
    struct message_count count;
    size_t bytes;
    return results_ask(bench->results, store, holds, bench, asked_body, sizeof asked_body, &count,
                       &bytes) == STATUS_END;
}

static enum status find_page(struct count_bench *bench, uint32_t store,
                             const struct message_count *count, uint32_t agency,
                             const struct item_winner *winners, uint32_t items)
{
    uint8_t buffer[2 * ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct message_found found = {.question_epoch = count->question_epoch,
                                  .question = count->question,
                                  .agency = agency,
                                  .items = items};
    for (uint32_t i = 0; i < items; i++)
        cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &winners[i]), STATUS_OK);
    return results_found(bench->results, store, &found, (struct slice){buffer, bytes});
}

static struct item_winner winner_at(uint32_t seq, uint32_t row, uint32_t number)
{
    return (struct item_winner){
        .seq = seq,
        .row = row,
        .bet = {.first_name = {(const uint8_t *)"A", 1},
                .last_name = {(const uint8_t *)"B", 1},
                .document = {(const uint8_t *)"1", 1},
                .birthdate = {(const uint8_t *)"2000-01-01", 10},
                .number = number},
    };
}

static enum status find(struct count_bench *bench, uint32_t store,
                        const struct message_count *count, uint32_t agency, uint32_t seq,
                        uint32_t row, uint32_t number)
{
    const struct item_winner winner = winner_at(seq, row, number);
    return find_page(bench, store, count, agency, &winner, 1);
}

/* Two rows of agency 3's batch 0 in one page. */
static enum status find_two(struct count_bench *bench, uint32_t store,
                            const struct message_count *count, uint32_t row, uint32_t next_row)
{
    const struct item_winner winners[] = {winner_at(0, row, 7), winner_at(0, next_row, 7)};
    return find_page(bench, store, count, 3, winners, 2);
}

static enum status end(struct count_bench *bench, uint32_t store, const struct message_count *count,
                       uint64_t bets, uint64_t winners, struct slice body)
{
    struct message_counted counted = {.question_epoch = count->question_epoch,
                                      .question = count->question,
                                      .bets = bets,
                                      .winners = winners,
                                      .items = count->items};
    return results_counted(bench->results, store, &counted, body);
}

Test(results, is_complete_when_answers_cover_the_manifest, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 2);
    hold(&bench, 1, 3, 2, 2);
    hold(&bench, 1, 5, 0, 1);
    struct message_count first = ask(&bench, 0, &body);
    cr_assert_eq(find(&bench, 0, &first, 3, 1, 1, 7), STATUS_OK);
    cr_assert_eq(end(&bench, 0, &first, 4, 1, body), STATUS_OK);
    cr_assert(!results_are_complete(bench.results));
    cr_assert_eq(results_uncovered(bench.results), 3);
    struct message_count second = ask(&bench, 1, &body);
    cr_assert_eq(second.items, 2);
    cr_assert(!results_are_complete(bench.results), "a question that is asked is not answered");
    cr_assert_eq(end(&bench, 1, &second, 6, 0, body), STATUS_OK);
    cr_assert(results_are_complete(bench.results));
    cr_assert_eq(results_winners(bench.results), 1);
    close_bench(&bench);
}

/* [M-56] */
Test(results, asks_no_batch_of_two_stores, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    struct item_share share;
    size_t at = 0;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    hold(&bench, 1, 3, 0, 4);
    hold(&bench, 1, 5, 0, 1);
    ask(&bench, 0, &body);
    struct message_count second = ask(&bench, 1, &body);
    cr_assert_eq(second.items, 1);
    cr_assert_eq(item_next_share(body, &at, &share), STATUS_OK);
    cr_assert_eq(share.agency, 5);
    cr_assert_eq(share.attempt, 2);
    close_bench(&bench);
}

Test(results, asks_a_dead_questions_batches_of_another_store, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    hold(&bench, 1, 3, 0, 4);
    struct message_count first = ask(&bench, 0, &body);
    cr_assert(has_nothing_to_ask(&bench, 1));
    cr_assert_eq(results_kill(bench.results, 0), first.question);
    cr_assert_eq(results_kill(bench.results, 0), 0);
    struct message_count second = ask(&bench, 1, &body);
    cr_assert_neq(second.question, first.question, "a number is never used again");
    cr_assert_eq(find(&bench, 0, &first, 3, 0, 0, 7), STATUS_STALE);
    cr_assert_eq(end(&bench, 0, &first, 8, 0, body), STATUS_STALE);
    cr_assert_eq(end(&bench, 1, &second, 8, 0, body), STATUS_OK);
    close_bench(&bench);
}

Test(results, keeps_an_answer_whatever_becomes_of_its_store, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count first = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &first, 8, 0, body), STATUS_OK);
    cr_assert_eq(results_kill(bench.results, 0), 0);
    cr_assert_eq(results_uncovered(bench.results), 1);
    cr_assert(has_nothing_to_ask(&bench, 0));
    close_bench(&bench);
}

/* [M-58] */
Test(results, ignores_answers_of_an_earlier_broker_and_of_others, .timeout = 10)
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

Test(results, rejects_winners_that_were_not_asked_for, .timeout = 10)
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

Test(results, counts_a_winner_once_when_its_page_comes_twice, .timeout = 10)
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
Test(results, rejects_a_page_that_goes_back, .timeout = 10)
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
Test(results, rejects_an_answer_that_does_not_add_up, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    hold(&bench, 0, 5, 0, 1);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &count, 9, 0, body), STATUS_WRONG, "bets");
    cr_assert_eq(end(&bench, 0, &count, 10, 1, body), STATUS_WRONG, "winners");
    cr_assert_eq(end(&bench, 0, &count, 10, 0, (struct slice){body.data, 0}), STATUS_WRONG,
                 "no share");

    uint8_t twice[ITEM_BYTES_MAX];
    uint8_t packed[32];
    size_t bytes = 0;
    uint32_t upto;
    struct seqset part = {0};
    struct item_share share = {.agency = 3, .attempt = 1};
    cr_assert_eq(seqset_add_range(&part, 0, 4), STATUS_OK);
    seqset_pack(&part, 0, packed, sizeof packed, &share.seqs, &upto);
    cr_assert_eq(item_pack_share(twice, sizeof twice, &bytes, &share), STATUS_OK);
    cr_assert_eq(item_pack_share(twice, sizeof twice, &bytes, &share), STATUS_OK);
    cr_assert_eq(end(&bench, 0, &count, 10, 0, (struct slice){twice, bytes}), STATUS_WRONG,
                 "one share twice for another that is missing");
    cr_assert_eq(end(&bench, 0, &count, 10, 0, body), STATUS_OK);
    seqset_clear(&part);
    close_bench(&bench);
}

/* A share of agency 3 with these ranges and one of another agency with batch 0. */
static struct slice pack_shares(uint8_t *buffer, uint32_t second_agency, const uint8_t ranges[3])
{
    size_t bytes = 0;
    struct item_share first = {.agency = 3, .attempt = 1, .seqs = {ranges, 3}};
    struct item_share second = {.agency = second_agency,
                                .attempt = 2,
                                .seqs = {(const uint8_t[]){0x92, 0, 1}, 3}};
    cr_assert_eq(item_pack_share(buffer, 2 * ITEM_BYTES_MAX, &bytes, &first), STATUS_OK);
    cr_assert_eq(item_pack_share(buffer, 2 * ITEM_BYTES_MAX, &bytes, &second), STATUS_OK);
    return (struct slice){buffer, bytes};
}

Test(results, rejects_an_answer_about_other_batches_than_were_asked, .timeout = 10)
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

Test(results, leaves_seqs_beyond_the_declared_count_out, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    struct item_share share;
    size_t at = 0;
    open_bench(&bench);
    hold(&bench, 0, 5, 0, 9);
    ask(&bench, 0, &body);
    cr_assert_eq(item_next_share(body, &at, &share), STATUS_OK);
    struct range_cursor cursor;
    struct range range;
    cr_assert_eq(range_open(&cursor, share.seqs), STATUS_OK);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_assert_eq(range.count, 1);
    close_bench(&bench);
}

Test(results, continues_in_a_next_question_what_one_body_cannot_hold, .timeout = 10)
{
    struct count_bench bench;
    struct message_count count;
    size_t bytes = 0;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    hold(&bench, 0, 5, 0, 1);
    cr_assert_eq(results_ask(bench.results, 0, holds, &bench, asked_body, 8, &count, &bytes),
                 STATUS_OK);
    cr_assert_eq(count.items, 1, "one share of seven bytes fits into eight");
    cr_assert_eq(end(&bench, 0, &count, 8, 0, (struct slice){asked_body, bytes}), STATUS_OK);
    struct slice body;
    count = ask(&bench, 0, &body);
    cr_assert_eq(end(&bench, 0, &count, 2, 0, body), STATUS_OK);
    cr_assert(results_are_complete(bench.results));
    close_bench(&bench);
}

Test(results, fingerprint_tells_states_apart, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    uint64_t prints[3];
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = {0};
    for (int i = 0; i < 3; i++) {
        prints[i] = results_fingerprint(bench.results, 0);
        if (i == 0)
            count = ask(&bench, 0, &body);
        if (i == 1)
            cr_assert_eq(end(&bench, 0, &count, 8, 0, body), STATUS_OK);
    }
    cr_assert_neq(prints[0], prints[1]);
    cr_assert_neq(prints[1], prints[2]);
    close_bench(&bench);
}

Test(results, a_live_question_has_its_number_until_it_ends, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    cr_assert_eq(results_live_question(bench.results, 0), 0);
    struct message_count count = ask(&bench, 0, &body);
    cr_assert_eq(results_live_question(bench.results, 0), count.question);
    cr_assert_eq(results_live_question(bench.results, 1), 0);
    cr_assert_eq(end(&bench, 0, &count, 8, 0, body), STATUS_OK);
    cr_assert_eq(results_live_question(bench.results, 0), 0);
    close_bench(&bench);
}

/* Every other of 10,000 seqs is more than one set of ranges holds. */
Test(results, continues_in_a_next_question_what_one_set_of_ranges_cannot_hold, .timeout = 10)
{
    enum { BATCHES = 10000 };
    static struct digest digests[BATCHES];
    static uint32_t bets[BATCHES];
    struct count_bench bench;
    struct tree tree;
    struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true, .given = 7};
    struct manifest_entry entry = {.agency = 3,
                                   .attempt = 1,
                                   .plan = {1, 512, false},
                                   .declaration = {.batches = BATCHES, .bets = BATCHES},
                                   .digests = digests,
                                   .bets = bets};
    open_bench(&bench);
    results_destroy(&bench.results);
    manifest_destroy(&bench.manifest);
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        bets[seq] = 1;
        tree_add(&tree, bench.hasher, &digests[seq]);
        hold(&bench, seq % 2, 3, seq, 1);
    }
    tree_head(&tree, bench.hasher, &entry.declaration.root);
    cr_assert_eq(manifest_create(&terms, &entry, 1, bench.hasher, &bench.manifest), STATUS_OK);
    cr_assert_eq(results_create(bench.manifest, 9, &bench.results), STATUS_OK);
    for (uint32_t store = 0; store < 2; store++) {
        uint32_t left = results_uncovered(bench.results);
        for (int question = 0; question < 2; question++) {
            struct slice body;
            struct message_count count = ask(&bench, store, &body);
            uint32_t asked = left - results_uncovered(bench.results);
            cr_assert_leq(body.bytes, RANGES_BYTES_MAX + ITEM_BYTES_MAX);
            cr_assert_eq(end(&bench, store, &count, asked, 0, body), STATUS_OK);
            left -= asked;
        }
        cr_assert(has_nothing_to_ask(&bench, store));
    }
    cr_assert(results_are_complete(bench.results));
    close_bench(&bench);
}

Test(results, rejects_pages_and_shares_of_another_form_or_order, .timeout = 10)
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

Test(results, of_nobody_are_complete_at_once, .timeout = 10)
{
    const struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true};
    struct hasher *hasher;
    struct manifest *manifest;
    struct results *results;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    cr_assert_eq(manifest_create(&terms, NULL, 0, hasher, &manifest), STATUS_OK);
    cr_assert_eq(results_create(manifest, 1, &results), STATUS_OK);
    cr_assert(results_are_complete(results));
    results_destroy(&results);
    manifest_destroy(&manifest);
    hasher_destroy(&hasher);
}
