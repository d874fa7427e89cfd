/* Which batches are asked of whom, and when a count is complete. */
#include "tests/sim/machine.h"
#include "tests/unit/results_bench.h"

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

Test(results, rejects_a_page_whose_second_winner_is_not_behind_the_first, .timeout = 10)
{
    struct count_bench bench;
    struct slice body;
    uint8_t buffer[2 * ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_winner item = {
        .seq = 1,
        .bet = {.first_name = {(const uint8_t *)"A", 1},
                .last_name = {(const uint8_t *)"B", 1},
                .document = {(const uint8_t *)"1", 1},
                .birthdate = {(const uint8_t *)"2000-01-01", 10},
                .number = 7},
    };
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    struct message_count count = ask(&bench, 0, &body);
    const struct message_found found = {.question_epoch = count.question_epoch,
                                        .question = count.question,
                                        .agency = 3,
                                        .items = 2};
    cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    item.seq = 0;
    cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    cr_assert_eq(results_found(bench.results, 0, &found, (struct slice){buffer, bytes}),
                 STATUS_WRONG);
    close_bench(&bench);
}

Test(results, asks_no_more_questions_than_a_draw_may_have, .timeout = 10)
{
    struct count_bench bench;
    struct message_count count;
    struct slice body;
    size_t bytes;
    open_bench(&bench);
    hold(&bench, 0, 3, 0, 4);
    hold(&bench, 0, 5, 0, 1);
    for (uint32_t number = 1; number <= QUESTIONS_MAX; number++) {
        cr_assert_eq(ask(&bench, 0, &body).question, number);
        cr_assert_eq(results_kill(bench.results, 0), number);
    }
    cr_assert_eq(results_ask(bench.results, 0, holds, &bench, asked_body, sizeof asked_body, &count,
                             &bytes),
                 STATUS_LIMIT);
    cr_assert_eq(results_live_question(bench.results, 0), 0);
    close_bench(&bench);
}

Test(results, asks_the_whole_question_or_nothing_for_want_of_memory, .timeout = 10)
{
    enum status status = STATUS_NO_MEMORY;
    for (uint32_t turn = 1; status == STATUS_NO_MEMORY; turn++) {
        struct count_bench bench;
        struct message_count count;
        size_t bytes = 0;
        open_bench(&bench);
        hold(&bench, 0, 3, 0, 4);
        hold(&bench, 0, 5, 0, 1);
        machine_reset();
        machine_fail_memory(turn, 1);
        RUN_CORE(status = results_ask(bench.results, 0, holds, &bench, asked_body,
                                      sizeof asked_body, &count, &bytes));
        cr_assert_eq(status, machine_memory_failures() > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        cr_expect_eq(results_uncovered(bench.results), status == STATUS_OK ? 0 : 5);
        cr_expect_eq(results_live_question(bench.results, 0), status == STATUS_OK);
        close_bench(&bench);
    }
}
