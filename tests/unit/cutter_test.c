/* From rows to batches under a plan, and again. */
#include <criterion/criterion.h>

#include <limits.h>

#include "tests/unit/bets_file.h"

TestSuite(cutter, .timeout = 10);

enum { BATCHES_TESTED_MAX = 64 };

struct bench {
    struct bets_file file;
    struct cutter *cutter;
    uint8_t *buffer;
    struct cut cuts[BATCHES_TESTED_MAX];
    uint32_t count;
    uint64_t bad_lines;
};

static void begin(struct bench *bench, unsigned rows, unsigned bad_row,
                  const struct cutter_terms *terms)
{
    *bench = (struct bench){.file = bets_create(rows, bad_row)};
    cr_assert_eq(cutter_create(bench->file.source, terms, &bench->cutter), STATUS_OK);
    bench->buffer = malloc(batch_buffer_bytes(&terms->plan));
}

static void end(struct bench *bench)
{
    cutter_destroy(&bench->cutter);
    cutter_destroy(&bench->cutter);
    free(bench->buffer);
    bets_destroy(&bench->file);
}

static enum status note_bad(void *context, const struct row *row)
{
    struct bench *bench = context;
    bench->bad_lines += row->line;
    return STATUS_OK;
}

static enum status stop_at_bad(void *context, const struct row *row)
{
    (void)context;
    return row->csv.fault == FAULT_NONE ? STATUS_OK : STATUS_INVALID;
}

/* Cuts the whole file; each batch goes on where the one before ended. */
static void cut_all(struct bench *bench)
{
    uint32_t documents[4096];
    uint32_t next = 0;
    struct slice body;
    enum status status;
    struct cut *cut = bench->cuts;
    while ((status = cutter_next(bench->cutter, bench->buffer, note_bad, bench, cut, &body)) ==
           STATUS_OK) {
        cr_assert_eq(cut->bytes, body.bytes);
        cr_assert_eq(bets_in(body, documents, 4096), cut->bets);
        for (uint32_t i = 0; i < cut->bets; i++, next++)
            cr_assert_geq(documents[i], next);
        cut++;
        bench->count++;
        cr_assert_lt(bench->count, BATCHES_TESTED_MAX);
    }
    cr_assert_eq(status, STATUS_END);
    cr_assert_eq(cutter_next(bench->cutter, bench->buffer, NULL, NULL, cut, &body), STATUS_END);
}

/* [M-13] */
Test(cutter, cuts_at_the_number_of_bets_with_the_rest_last)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 31, UINT_MAX, &terms);
    cut_all(&bench);
    cr_assert_eq(bench.count, 4);
    cr_assert_eq(bench.cuts[2].bets, 10);
    cr_assert_eq(bench.cuts[2].line, 21);
    cr_assert_eq(bench.cuts[3].bets, 1, "a last batch of one bet");
    cr_assert_eq(bench.cuts[3].line, 31);
    end(&bench);
}

/* [M-13] */
Test(cutter, cuts_at_the_number_of_bytes)
{
    struct bench bench;
    struct cutter_terms terms = bets_terms(BATCH_BETS_MAX);
    terms.plan.bytes_max = 512;
    begin(&bench, 100, UINT_MAX, &terms);
    cut_all(&bench);
    uint32_t bets = 0;
    for (uint32_t i = 0; i < bench.count; i++) {
        cr_assert_leq(bench.cuts[i].bytes, 512);
        cr_assert(i + 1 == bench.count || bench.cuts[i].bytes > 512 - 40);
        bets += bench.cuts[i].bets;
    }
    cr_assert_eq(bets, 100);
    end(&bench);
}

Test(cutter, empty_file_has_no_batch)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 0, UINT_MAX, &terms);
    cut_all(&bench);
    cr_assert_eq(bench.count, 0);
    end(&bench);
}

Test(cutter, digest_is_the_protocol_s_leaf)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 20, UINT_MAX, &terms);
    struct hasher *hasher;
    struct digest digest;
    struct slice body;
    struct cut cut;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    for (uint32_t seq = 0; seq < 2; seq++) {
        cr_assert_eq(cutter_next(bench.cutter, bench.buffer, NULL, NULL, &cut, &body), STATUS_OK);
        digest_batch(hasher, BETS_DRAW, BETS_AGENCY, seq, 10, body, &digest);
        cr_assert(digest_is_equal(&digest, &cut.digest));
    }
    hasher_destroy(&hasher);
    end(&bench);
}

Test(cutter, bad_rows_are_told_in_order_and_left_out)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 25, 12, &terms);
    cut_all(&bench);
    cr_assert_eq(bench.bad_lines, 13);
    cr_assert_eq(bench.count, 3);
    cr_assert_eq(bench.cuts[1].line, 11);
    cr_assert_eq(bench.cuts[2].line, 22, "one row of the batch before was no bet");
    cr_assert_eq(bench.cuts[2].bets, 4);
    end(&bench);
}

Test(cutter, answer_of_reject_ends_the_cutting)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 25, 12, &terms);
    struct slice body;
    struct cut cut;
    cr_assert_eq(cutter_next(bench.cutter, bench.buffer, stop_at_bad, NULL, &cut, &body),
                 STATUS_OK);
    cr_assert_eq(cutter_next(bench.cutter, bench.buffer, stop_at_bad, NULL, &cut, &body),
                 STATUS_INVALID);
    end(&bench);
}

/* [M-16] */
Test(cutter, any_batch_can_be_cut_again_in_any_order)
{
    struct bench bench;
    struct cutter_terms terms = bets_terms(7);
    terms.plan.skips_bad_rows = true;
    begin(&bench, 50, 20, &terms);
    cut_all(&bench);
    struct slice body;
    for (uint32_t i = 0; i < bench.count; i++) {
        uint32_t seq = (i * 5) % bench.count;
        cr_assert_eq(cutter_repeat(bench.cutter, seq, &bench.cuts[seq], bench.buffer, &body),
                     STATUS_OK);
        cr_assert_eq(body.bytes, bench.cuts[seq].bytes);
    }
    end(&bench);
}

/* [M-16] */
Test(cutter, file_that_has_changed_is_not_cut_again)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 30, UINT_MAX, &terms);
    cut_all(&bench);
    struct slice body;
    bets_write(&bench.file, 30, 15);
    cr_assert_eq(cutter_repeat(bench.cutter, 0, &bench.cuts[0], bench.buffer, &body), STATUS_OK);
    cr_assert_eq(cutter_repeat(bench.cutter, 1, &bench.cuts[1], bench.buffer, &body), STATUS_STALE);
    bets_write(&bench.file, 10, UINT_MAX);
    cr_assert_eq(cutter_repeat(bench.cutter, 2, &bench.cuts[2], bench.buffer, &body), STATUS_STALE);
    end(&bench);
}

Test(cutter, number_of_the_batch_is_in_its_digest)
{
    struct bench bench;
    const struct cutter_terms terms = bets_terms(10);
    begin(&bench, 10, UINT_MAX, &terms);
    cut_all(&bench);
    struct slice body;
    cr_assert_eq(cutter_repeat(bench.cutter, 1, &bench.cuts[0], bench.buffer, &body), STATUS_STALE);
    end(&bench);
}
