/* DIGESTS: what an agency is told of its batches when its declaration differs. */
#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

enum { PAGE = PAGE_BYTES_MAX / DIGEST_BYTES, TOTAL = 2 * PAGE + 1 };

static struct bench bench;

static void begin(void)
{
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
}

static void end(void)
{
    bench_close(&bench);
}

TestSuite(broker_digests, .init = begin, .fini = end, .timeout = 10);

static struct message ask(uint32_t attempt, uint32_t from, struct slice *body)
{
    const struct message digests = {.kind = MESSAGE_DIGESTS,
                                    .draw = 1,
                                    .digests = {.agency = 4, .attempt = attempt, .from = from}};
    return bench_ask(&bench, &digests, body);
}

/* The digest on a page is this batch's; zeros: no store holds it. */
static void expect_digest(struct slice body, uint32_t place, uint32_t seq, bool is_held)
{
    static const struct digest zeros;
    const struct digest digest = is_held ? bench_digest(4, seq) : zeros;
    cr_assert_arr_eq(body.data + (size_t)place * DIGEST_BYTES, digest.bytes, DIGEST_BYTES);
}

Test(broker_digests, names_what_the_ledger_holds)
{
    struct slice body;
    bench_stored(&bench, 50, 4, 1);
    const struct message answer = ask(1, 0, &body);
    cr_assert_eq(answer.kind, MESSAGE_DIGEST_PAGE);
    cr_assert_eq(answer.digest_page.total, 2);
    cr_assert_eq(answer.digest_page.upto, 2);
    cr_assert_eq(body.bytes, 2 * DIGEST_BYTES);
    expect_digest(body, 0, 0, false);
    expect_digest(body, 1, 1, true);
}

Test(broker_digests, behind_the_last_one_are_an_empty_page)
{
    struct slice body;
    bench_stored(&bench, 50, 4, 1);
    const struct message answer = ask(1, 7, &body);
    cr_assert_eq(answer.kind, MESSAGE_DIGEST_PAGE);
    cr_assert_eq(answer.digest_page.from, 2);
    cr_assert_eq(answer.digest_page.upto, 2);
    cr_assert_eq(body.bytes, 0);
}

Test(broker_digests, of_another_attempt_are_refused)
{
    const struct message answer = ask(2, 0, NULL);
    cr_assert_eq(answer.kind, MESSAGE_REFUSED);
    cr_assert_eq(answer.refused.reason, REFUSAL_ATTEMPT);
    cr_assert_eq(answer.refused.number, 1);
}

Test(broker_digests, come_in_pages)
{
    static const struct {
        uint32_t from;
        uint32_t upto;
    } rows[] = {{0, PAGE}, {1, PAGE + 1}, {PAGE, 2 * PAGE}, {PAGE + 1, TOTAL}, {TOTAL, TOTAL}};
    bench_stored(&bench, 50, 4, PAGE - 1);
    bench_stored(&bench, 50, 4, PAGE);
    bench_stored(&bench, 50, 4, TOTAL - 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice body;
        const struct message answer = ask(1, rows[i].from, &body);
        cr_assert_eq(answer.kind, MESSAGE_DIGEST_PAGE);
        cr_assert_eq(answer.digest_page.total, TOTAL);
        cr_assert_eq(answer.digest_page.from, rows[i].from);
        cr_assert_eq(answer.digest_page.upto, rows[i].upto, "row %zu", i);
        cr_assert_eq(body.bytes, (size_t)(rows[i].upto - rows[i].from) * DIGEST_BYTES);
        for (uint32_t seq = rows[i].from; seq < rows[i].upto; seq++)
            expect_digest(body, seq - rows[i].from, seq,
                          seq == PAGE - 1 || seq == PAGE || seq == TOTAL - 1);
    }
}
