/* Which pages of winners are believed. */
#include <criterion/criterion.h>

#include "agency/result.h"

TestSuite(result, .timeout = 10);

enum { NUMBER = 42 };

struct table {
    struct cuts cuts;
    struct hasher *hasher;
    struct result_terms terms;
    uint8_t body[1024];
    size_t bytes;
    struct result result;
};

static struct table begin(void)
{
    struct table table = {.terms = {.range_first = NUMBER, .range_last = NUMBER}};
    cr_assert_eq(hasher_create(&table.hasher), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const struct cut cut = {.bets = 5};
        cr_assert_eq(cuts_add(&table.cuts, &cut), STATUS_OK);
    }
    return table;
}

static void end(struct table *table)
{
    cuts_clear(&table->cuts);
    hasher_destroy(&table->hasher);
}

static struct slice text(const char *bytes)
{
    return (struct slice){.data = (const uint8_t *)bytes, .bytes = strlen(bytes)};
}

static void add(struct table *table, uint32_t seq, uint32_t row, uint32_t number)
{
    const struct item_winner item = {
        .seq = seq,
        .row = row,
        .bet = {text("Ana"), text("Paz"), text("1"), text("1999-03-17"), number},
    };
    cr_assert_eq(item_pack_winner(table->body, sizeof(table->body), &table->bytes, &item),
                 STATUS_OK);
}

static struct message_result page(uint32_t from, uint32_t upto, uint32_t total)
{
    return (struct message_result){
        .agency = 1,
        .number = NUMBER,
        .root = {{3}},
        .from = from,
        .upto = upto,
        .total = total,
    };
}

static enum result_fault take(struct table *table, const struct message_result *page)
{
    const struct slice body = {.data = table->body, .bytes = table->bytes};
    table->bytes = 0;
    return result_take(&table->result, page, body, &table->cuts, &table->terms, table->hasher);
}

Test(result, pages_in_order_make_a_whole)
{
    struct table table = begin();
    add(&table, 0, 1, NUMBER);
    add(&table, 0, 4, NUMBER);
    struct message_result first = page(0, 2, 3);
    cr_assert_eq(take(&table, &first), RESULT_FAULT_NONE);
    cr_assert_not(result_is_whole(&table.result));
    add(&table, 2, 0, NUMBER);
    struct message_result second = page(2, 3, 3);
    cr_assert_eq(take(&table, &second), RESULT_FAULT_NONE);
    cr_assert(result_is_whole(&table.result));
    cr_assert_eq(table.result.number, NUMBER);
    end(&table);
}

Test(result, nobody_won_is_whole_too)
{
    struct table table = begin();
    cr_assert_not(result_is_whole(&table.result));
    const struct message_result empty = page(0, 0, 0);
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_NONE);
    cr_assert(result_is_whole(&table.result));
    end(&table);
}

/* [M-34] */
Test(result, rejects_pages_that_do_not_follow)
{
    const struct message_result pages[] = {
        page(1, 2, 3), /* a gap */
        page(0, 0, 3), /* no progress */
        page(0, 4, 3), /* more than all */
    };
    for (size_t i = 0; i < 3; i++) {
        struct table table = begin();
        add(&table, 0, 0, NUMBER);
        cr_assert_eq(take(&table, &pages[i]), RESULT_FAULT_PAGE);
        cr_assert_not(table.result.has_page);
        end(&table);
    }
}

Test(result, rejects_a_page_that_ends_before_it_begins)
{
    struct table table = begin();
    add(&table, 0, 0, NUMBER);
    add(&table, 0, 1, NUMBER);
    const struct message_result first = page(0, 2, 3);
    cr_assert_eq(take(&table, &first), RESULT_FAULT_NONE);
    const struct message_result back = page(2, 1, 3);
    cr_assert_eq(take(&table, &back), RESULT_FAULT_PAGE);
    cr_assert_eq(table.result.winners, 2);
    end(&table);
}

Test(result, rejects_a_body_that_is_not_as_many_winners)
{
    struct table table = begin();
    add(&table, 0, 0, NUMBER);
    struct message_result two = page(0, 2, 2);
    cr_assert_eq(take(&table, &two), RESULT_FAULT_FORM);
    add(&table, 0, 0, NUMBER);
    add(&table, 0, 1, NUMBER);
    struct message_result one = page(0, 1, 2);
    cr_assert_eq(take(&table, &one), RESULT_FAULT_FORM);
    add(&table, 0, 0, NUMBER);
    table.body[table.bytes++] = 0xc1;
    cr_assert_eq(take(&table, &one), RESULT_FAULT_FORM);
    end(&table);
}

/* [M-34] */
Test(result, rejects_winners_out_of_order_or_twice)
{
    const uint32_t second[][2] = {{1, 1}, {1, 0}, {0, 4}};
    for (size_t i = 0; i < 3; i++) {
        struct table table = begin();
        add(&table, 1, 1, NUMBER);
        add(&table, second[i][0], second[i][1], NUMBER);
        const struct message_result both = page(0, 2, 2);
        cr_assert_eq(take(&table, &both), RESULT_FAULT_ORDER);
        cr_assert_eq(table.result.winners, 0);
        end(&table);
    }
}

Test(result, rejects_winners_out_of_order_across_pages)
{
    struct table table = begin();
    add(&table, 1, 1, NUMBER);
    const struct message_result first = page(0, 1, 2);
    cr_assert_eq(take(&table, &first), RESULT_FAULT_NONE);
    add(&table, 1, 1, NUMBER);
    const struct message_result second = page(1, 2, 2);
    cr_assert_eq(take(&table, &second), RESULT_FAULT_ORDER);
    end(&table);
}

/* [M-34] */
Test(result, rejects_places_beyond_the_file_and_other_numbers)
{
    const struct message_result one = page(0, 1, 1);
    struct table table = begin();
    add(&table, 2, 5, NUMBER);
    cr_assert_eq(take(&table, &one), RESULT_FAULT_PLACE);
    add(&table, 3, 0, NUMBER);
    cr_assert_eq(take(&table, &one), RESULT_FAULT_PLACE);
    add(&table, 2, 4, NUMBER + 1);
    cr_assert_eq(take(&table, &one), RESULT_FAULT_NUMBER);
    add(&table, 2, 4, NUMBER);
    cr_assert_eq(take(&table, &one), RESULT_FAULT_NONE);
    end(&table);
}

/* [M-34] */
Test(result, rejects_a_result_that_changes_between_pages)
{
    for (int i = 0; i < 4; i++) {
        struct table table = begin();
        add(&table, 0, 0, NUMBER);
        const struct message_result first = page(0, 1, 2);
        cr_assert_eq(take(&table, &first), RESULT_FAULT_NONE);
        add(&table, 0, 1, NUMBER);
        struct message_result second = page(1, 2, 2);
        uint8_t seed[DIGEST_BYTES] = {0};
        second.number += i == 0;
        second.root.bytes[0] ^= i == 1;
        second.total += i == 2;
        if (i == 3)
            second.seed = (struct slice){.data = seed, .bytes = sizeof(seed)};
        cr_assert_eq(take(&table, &second), RESULT_FAULT_CHANGED);
        end(&table);
    }
}

/* [M-34] */
Test(result, seed_must_be_the_committed_one)
{
    struct table table = begin();
    uint8_t seed[DIGEST_BYTES] = {7};
    const struct slice piece = {.data = seed, .bytes = sizeof(seed)};
    hasher_sum(table.hasher, &piece, 1, &table.terms.commitment);
    struct message_result empty = page(0, 0, 0);
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_SEED, "none was told");
    empty.seed = piece;
    seed[0]++;
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_SEED);
    seed[0]--;
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_NONE);
    cr_assert_eq(table.result.seed_bytes, DIGEST_BYTES);
    end(&table);
}

/* [M-34] */
Test(result, seed_where_the_number_was_given_is_refused)
{
    struct table table = begin();
    const uint8_t seed[DIGEST_BYTES] = {7};
    struct message_result empty = page(0, 0, 0);
    empty.seed = (struct slice){.data = seed, .bytes = sizeof(seed)};
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_SEED);
    end(&table);
}

/* 32 bytes; PROTOCOL.md shows that of them and this root 7574 follows in 0 to 9999. */
static const uint8_t SEED[] = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                              "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x2e\x15";
static const uint8_t ROOT[] = "\xfb\xf9\x80\xe7\x26\x1e\x27\xee\x4b\xe7\x44\xe2\xf2\xd8\x54\xcb"
                              "\x2c\x94\xdf\x11\x43\xe9\xb3\xd3\xc5\xf0\xa3\x01\xa7\x83\x39\xa7";

static struct message_result drawn_page(struct table *table)
{
    struct message_result drawn = page(0, 0, 0);
    drawn.number = 7574;
    drawn.seed = (struct slice){.data = SEED, .bytes = DIGEST_BYTES};
    memcpy(drawn.root.bytes, ROOT, DIGEST_BYTES);
    hasher_sum(table->hasher, &drawn.seed, 1, &table->terms.commitment);
    table->terms.range_first = 0;
    table->terms.range_last = 9999;
    return drawn;
}

/* [M-69] */
Test(result, number_must_follow_from_seed_and_root_in_the_range)
{
    for (uint32_t i = 0; i < 5; i++) {
        struct table table = begin();
        struct message_result drawn = drawn_page(&table);
        drawn.number += i == 1;
        drawn.root.bytes[31] ^= i == 2;
        table.terms.range_first += i == 3;
        table.terms.range_last -= i == 4;
        cr_assert_eq(take(&table, &drawn), i == 0 ? RESULT_FAULT_NONE : RESULT_FAULT_DRAWN);
        cr_assert_eq(table.result.has_page, i == 0);
        end(&table);
    }
}

Test(result, number_that_was_given_may_lie_anywhere)
{
    struct table table = begin();
    table.terms.range_first = 0;
    table.terms.range_last = NUMBER - 1;
    const struct message_result empty = page(0, 0, 0);
    cr_assert_eq(take(&table, &empty), RESULT_FAULT_NONE);
    end(&table);
}

Test(result, terms_are_equal_in_commitment_and_both_ends_of_the_range)
{
    const struct result_terms base = {.commitment = {{1}}, .range_first = 2, .range_last = 3};
    struct result_terms others[] = {base, base, base};
    others[0].commitment.bytes[31]++;
    others[1].range_first++;
    others[2].range_last++;
    cr_assert(result_terms_are_equal(&base, &base));
    for (size_t i = 0; i < 3; i++)
        cr_assert_not(result_terms_are_equal(&base, &others[i]), "%zu", i);
}

Test(result, every_fault_has_a_sentence)
{
    cr_assert_str_eq(result_fault_text(RESULT_FAULT_NONE), "no fault");
    cr_assert_neq(strlen(result_fault_text(RESULT_FAULT_NUMBER)), 0);
    cr_assert_str_eq(result_fault_text((enum result_fault)99), "unknown fault");
}
