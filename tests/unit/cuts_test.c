/* The table of what a file was cut into. */
#include <criterion/criterion.h>

#include "agency/cuts.h"

TestSuite(cuts, .timeout = 10);

static struct cuts filled(uint32_t batches)
{
    struct cuts cuts = {0};
    for (uint32_t seq = 0; seq < batches; seq++) {
        const struct cut cut = {
            .offset = seq * 1000,
            .line = seq * 10 + 1,
            .bets = 9,
            .bytes = seq,
            .digest = {{1, (uint8_t)seq, (uint8_t)(seq >> 8)}},
        };
        cr_assert_eq(cuts_add(&cuts, &cut), STATUS_OK);
    }
    return cuts;
}

Test(cuts, keeps_entries_in_order_while_it_grows)
{
    struct cuts cuts = filled(5000);
    cr_assert_eq(cuts.count, 5000);
    for (uint32_t seq = 0; seq < 5000; seq++)
        cr_assert_eq(cuts_at(&cuts, seq)->bytes, seq);
    cuts_clear(&cuts);
    cr_assert_eq(cuts.count, 0);
    cuts_clear(&cuts);
}

Test(cuts, ends_at_the_most_batches_that_a_draw_may_have)
{
    struct cuts cuts = filled(BATCHES_MAX);
    const struct cut cut = {.bets = 1};
    cr_assert_eq(cuts_add(&cuts, &cut), STATUS_LIMIT);
    cr_assert_eq(cuts.count, BATCHES_MAX);
    cuts_clear(&cuts);
}

Test(cuts, last_line_is_the_one_before_the_next_batch)
{
    struct cuts cuts = filled(2);
    cr_assert_eq(cuts_last_line(&cuts, 0), 10, "one row of it was no bet");
    cr_assert_eq(cuts_last_line(&cuts, 1), 19);
    cuts_clear(&cuts);
}

Test(cuts, weight_is_the_body_and_a_constant)
{
    const struct cut cut = {.bytes = 88};
    cr_assert_eq(cut_weight(&cut), 88 + BATCH_WEIGHT_EXTRA_BYTES);
}

Test(cuts, finds_the_first_digest_that_differs)
{
    struct cuts cuts = filled(4);
    uint8_t page[3 * DIGEST_BYTES];
    for (uint32_t i = 0; i < 3; i++)
        memcpy(page + i * DIGEST_BYTES, cuts_at(&cuts, i + 1)->digest.bytes, DIGEST_BYTES);
    const struct slice slice = {.data = page, .bytes = sizeof(page)};
    uint32_t seq = 77;
    cr_assert_not(cuts_find_difference(&cuts, 1, slice, &seq));
    memset(page, 0, DIGEST_BYTES); /* unknown to the ledger: no difference */
    cr_assert_not(cuts_find_difference(&cuts, 1, slice, &seq));
    cr_assert_eq(seq, 77);
    page[2 * DIGEST_BYTES - 1] ^= 1;
    page[3 * DIGEST_BYTES - 1] ^= 1;
    cr_assert(cuts_find_difference(&cuts, 1, slice, &seq));
    cr_assert_eq(seq, 2);
    cuts_clear(&cuts);
}

Test(cuts, digest_beyond_the_table_is_a_difference)
{
    struct cuts cuts = filled(2);
    uint8_t page[2 * DIGEST_BYTES];
    for (uint32_t i = 0; i < 2; i++)
        memcpy(page + i * DIGEST_BYTES, cuts_at(&cuts, i)->digest.bytes, DIGEST_BYTES);
    cuts.count--; /* whatever lies behind it */
    const struct slice slice = {.data = page, .bytes = sizeof(page)};
    uint32_t seq;
    cr_assert(cuts_find_difference(&cuts, 0, slice, &seq));
    cr_assert_eq(seq, 1);
    cuts_clear(&cuts);
}
