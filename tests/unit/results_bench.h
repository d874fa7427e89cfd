/* A count on a bench: a manifest, what stores hold of it, and short words for questions and
 * answers. */
#ifndef SORTEO_TESTS_UNIT_RESULTS_BENCH_H
#define SORTEO_TESTS_UNIT_RESULTS_BENCH_H

#include <criterion/criterion.h>

#include "broker/results.h"

/* A manifest of agency 3 with four batches of two bets and agency 5 with one; number 7. Stores 0
 * and 1. */
struct count_bench {
    struct hasher *hasher;
    struct manifest *manifest;
    struct results *results;
    struct seqset holds[2][2]; /* store, agency */
};

static inline const struct seqset *holds(void *owner, uint32_t store, uint32_t agency)
{
    struct count_bench *bench = owner;
    return &bench->holds[store][agency == 3 ? 0 : 1];
}

static inline void open_bench(struct count_bench *bench)
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

static inline void close_bench(struct count_bench *bench)
{
    results_destroy(&bench->results);
    manifest_destroy(&bench->manifest);
    hasher_destroy(&bench->hasher);
    for (size_t i = 0; i < 4; i++)
        seqset_clear(&bench->holds[i / 2][i % 2]);
}

static inline void hold(struct count_bench *bench, uint32_t store, uint32_t agency, uint32_t first,
                        uint32_t count)
{
    struct seqset *set = &bench->holds[store][agency == 3 ? 0 : 1];
    cr_assert_eq(seqset_add_range(set, first, count), STATUS_OK);
}

static uint8_t asked_body[CHUNK_BYTES_MAX] __attribute__((unused));

static inline struct message_count ask(struct count_bench *bench, uint32_t store,
                                       struct slice *body)
{
    struct message_count count = {0};
    size_t bytes = 0;
    enum status status = results_ask(bench->results, store, holds, bench, asked_body,
                                     sizeof asked_body, &count, &bytes);
    cr_assert_eq(status, STATUS_OK, "ask: %s", status_text(status));
    *body = (struct slice){asked_body, bytes};
    return count;
}

static inline bool has_nothing_to_ask(struct count_bench *bench, uint32_t store)
{
    struct message_count count;
    size_t bytes;
    return results_ask(bench->results, store, holds, bench, asked_body, sizeof asked_body, &count,
                       &bytes) == STATUS_END;
}

static inline enum status find_page(struct count_bench *bench, uint32_t store,
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

static inline struct item_winner winner_at(uint32_t seq, uint32_t row, uint32_t number)
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

static inline enum status find(struct count_bench *bench, uint32_t store,
                               const struct message_count *count, uint32_t agency, uint32_t seq,
                               uint32_t row, uint32_t number)
{
    const struct item_winner winner = winner_at(seq, row, number);
    return find_page(bench, store, count, agency, &winner, 1);
}

/* Two rows of agency 3's batch 0 in one page. */
static inline enum status find_two(struct count_bench *bench, uint32_t store,
                                   const struct message_count *count, uint32_t row,
                                   uint32_t next_row)
{
    const struct item_winner winners[] = {winner_at(0, row, 7), winner_at(0, next_row, 7)};
    return find_page(bench, store, count, 3, winners, 2);
}

static inline enum status end(struct count_bench *bench, uint32_t store,
                              const struct message_count *count, uint64_t bets, uint64_t winners,
                              struct slice body)
{
    struct message_counted counted = {.question_epoch = count->question_epoch,
                                      .question = count->question,
                                      .bets = bets,
                                      .winners = winners,
                                      .items = count->items};
    return results_counted(bench->results, store, &counted, body);
}

#endif
