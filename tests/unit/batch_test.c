/* Batches are cut by their plan, packed as msgpack-c packs them and read back. What is refused
 * stands in batch_faults_test.c. */
#include "proto/wire/batch.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <signal.h>

static struct plan plan;
static struct batch_builder builder;
static uint8_t buffer[BATCH_HEAD_BYTES + BATCH_BYTES_MAX + BET_PACKED_BYTES_MAX];
static msgpack_sbuffer oracle_bytes;
static msgpack_packer oracle;

static void begin(void)
{
    plan = (struct plan){.bets_max = BATCH_BETS_MAX, .bytes_max = BATCH_BYTES_MAX};
    batch_begin(&builder, &plan, buffer);
    msgpack_sbuffer_init(&oracle_bytes);
    msgpack_packer_init(&oracle, &oracle_bytes, msgpack_sbuffer_write);
}

static void end(void)
{
    msgpack_sbuffer_destroy(&oracle_bytes);
}

TestSuite(batch, .init = begin, .fini = end, .timeout = 10);
TestSuite(plan, .timeout = 10);

static struct slice text_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

/* A bet whose texts have these lengths. */
static struct bet bet_of(size_t first, size_t last, size_t document, uint32_t number)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
        "abcdefghijklmnopqrstuvwxyz";
    const uint8_t *from = (const uint8_t *)letters;
    cr_assert_leq(first, sizeof letters - 1);
    cr_assert_leq(last, sizeof letters - 3);
    return (struct bet){.first_name = {from, first},
                        .last_name = {from + 2, last},
                        .document = {from + 1, document},
                        .birthdate = text_of("1999-03-17"),
                        .number = number};
}

static void oracle_text(struct slice text)
{
    msgpack_pack_str(&oracle, text.bytes);
    msgpack_pack_str_body(&oracle, text.data, text.bytes);
}

static void oracle_bet(const struct bet *bet)
{
    msgpack_pack_array(&oracle, 5);
    oracle_text(bet->first_name);
    oracle_text(bet->last_name);
    oracle_text(bet->document);
    oracle_text(bet->birthdate);
    msgpack_pack_uint32(&oracle, bet->number);
}

static bool bets_are_equal(const struct bet *a, const struct bet *b)
{
    return slice_is_equal(a->first_name, b->first_name) &&
           slice_is_equal(a->last_name, b->last_name) && slice_is_equal(a->document, b->document) &&
           slice_is_equal(a->birthdate, b->birthdate) && a->number == b->number;
}

static bool is_text(msgpack_object object, struct slice text)
{
    return object.type == MSGPACK_OBJECT_STR &&
           slice_is_equal((struct slice){(const uint8_t *)object.via.str.ptr, object.via.str.size},
                          text);
}

/* Every limit of every field, and numbers at each boundary of a form. */
static size_t bets_at_the_limits(struct bet *bets)
{
    static const uint32_t numbers[] = {0,   1,     127,   128,   129,        255,
                                       256, 65534, 65535, 65536, UINT32_MAX, 7574};
    size_t count = 0;
    for (size_t length = 1; length <= NAME_BYTES_MAX; length++)
        bets[count++] = bet_of(length, NAME_BYTES_MAX + 1 - length, 1 + length % DOCUMENT_BYTES_MAX,
                               numbers[length % 12]);
    return count;
}

Test(plan, is_valid_within_its_limits)
{
    static const struct {
        uint32_t bets_max, bytes_max;
        bool is_valid;
    } plans[] = {{1, BATCH_BYTES_MIN, true},
                 {0, BATCH_BYTES_MIN, false},
                 {1, BATCH_BYTES_MIN - 1, false},
                 {BATCH_BETS_MAX, BATCH_BYTES_MAX, true},
                 {BATCH_BETS_MAX + 1, BATCH_BYTES_MAX, false},
                 {BATCH_BETS_MAX, BATCH_BYTES_MAX + 1, false},
                 {UINT32_MAX, UINT32_MAX, false},
                 {0, 0, false}};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct plan tried = {.bets_max = plans[i].bets_max, .bytes_max = plans[i].bytes_max};
        cr_assert_eq(plan_is_valid(&tried), plans[i].is_valid, "%zu", i);
    }
}

Test(plan, is_equal_in_all_its_fields)
{
    struct plan a = {.bets_max = 8, .bytes_max = 1024}, b = a;
    cr_assert(plan_is_equal(&a, &b));
    b.bets_max = 9;
    cr_assert(!plan_is_equal(&a, &b));
    b = a;
    b.bytes_max = 1025;
    cr_assert(!plan_is_equal(&a, &b));
    b = a;
    b.skips_bad_rows = true;
    cr_assert(!plan_is_equal(&a, &b));
}

Test(batch, without_bets_is_one_byte)
{
    struct slice body = batch_end(&builder);
    cr_assert(slice_is_equal(body, (struct slice){(const uint8_t *)"\x90", 1}));
    struct batch_cursor cursor;
    struct bet bet;
    cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
    cr_assert_eq(batch_next(&cursor, &bet), STATUS_END);
}

/* [M-8] */
Test(batch, is_packed_as_the_oracle_packs_it)
{
    struct bet bets[NAME_BYTES_MAX];
    size_t count = bets_at_the_limits(bets);
    static const size_t counts[] = {1, 2, 14, 15, 16, 17, 100};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        cr_assert_leq(counts[i], count);
        end();
        begin();
        msgpack_pack_array(&oracle, counts[i]);
        for (size_t j = 0; j < counts[i]; j++) {
            oracle_bet(&bets[j]);
            cr_assert_eq(batch_add(&builder, &bets[j]), STATUS_OK);
        }
        struct slice body = batch_end(&builder);
        cr_assert(slice_is_equal(body, (struct slice){(const uint8_t *)oracle_bytes.data,
                                                      oracle_bytes.size}));
        uint32_t row;
        cr_assert_eq(batch_check(body, (uint32_t)counts[i], &row), FAULT_NONE);
    }
}

Test(batch, is_read_by_the_oracle_with_the_same_values)
{
    struct bet bets[NAME_BYTES_MAX];
    size_t count = bets_at_the_limits(bets);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(batch_add(&builder, &bets[i]), STATUS_OK);
    struct slice body = batch_end(&builder);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    cr_assert_eq(msgpack_unpack_next(&unpacked, (const char *)body.data, body.bytes, &at),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(at, body.bytes);
    cr_assert_eq(unpacked.data.via.array.size, count);
    for (size_t i = 0; i < count; i++) {
        msgpack_object_array fields = unpacked.data.via.array.ptr[i].via.array;
        cr_assert_eq(fields.size, 5);
        cr_assert(is_text(fields.ptr[0], bets[i].first_name));
        cr_assert(is_text(fields.ptr[1], bets[i].last_name));
        cr_assert(is_text(fields.ptr[2], bets[i].document));
        cr_assert(is_text(fields.ptr[3], bets[i].birthdate));
        cr_assert_eq(fields.ptr[4].type, MSGPACK_OBJECT_POSITIVE_INTEGER);
        cr_assert_eq(fields.ptr[4].via.u64, bets[i].number);
    }
    msgpack_unpacked_destroy(&unpacked);
}

Test(batch, gives_back_the_bets_that_were_added)
{
    struct bet bets[NAME_BYTES_MAX], bet;
    size_t count = bets_at_the_limits(bets);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(batch_add(&builder, &bets[i]), STATUS_OK);
    struct batch_cursor cursor;
    cr_assert_eq(batch_open(&cursor, batch_end(&builder)), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(cursor.row, i);
        cr_assert_eq(batch_next(&cursor, &bet), STATUS_OK);
        cr_assert(bets_are_equal(&bet, &bets[i]));
    }
    cr_assert_eq(batch_next(&cursor, &bet), STATUS_END);
    cr_assert_eq(batch_next(&cursor, &bet), STATUS_END);
}

/* [M-13] */
Test(batch, is_full_with_as_many_bets_as_its_plan_says)
{
    plan.bets_max = 3;
    batch_begin(&builder, &plan, buffer);
    struct bet bet = bet_of(5, 5, 8, 2201);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    size_t bytes = builder.bytes;
    cr_assert_eq(batch_add(&builder, &bet), STATUS_LIMIT);
    cr_assert_eq(builder.bets, 3);
    cr_assert_eq(builder.bytes, bytes);
    uint32_t row;
    cr_assert_eq(batch_check(batch_end(&builder), 3, &row), FAULT_NONE);
}

/* Bets of 34 bytes: 1 + 6 + 6 + 9 + 11 + 1. Fifteen have a header of one byte, more have one of
 * three. [M-13] */
Test(batch, is_full_when_one_more_bet_would_pass_its_bytes)
{
    struct bet bet = bet_of(5, 5, 8, 7);
    static const struct {
        uint32_t bytes_max, bets;
    } cuts[] = {{3 + 34 * 16 - 1, 15}, /* 16 bets fit, their longer header does not */
                {3 + 34 * 16, 16},
                {3 + 34 * 17 - 1, 16},
                {3 + 34 * 17, 17}};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        plan.bytes_max = cuts[i].bytes_max;
        batch_begin(&builder, &plan, buffer);
        while (batch_add(&builder, &bet) == STATUS_OK)
            continue;
        cr_assert_eq(builder.bets, cuts[i].bets, "%u bytes", cuts[i].bytes_max);
        cr_assert_eq(batch_add(&builder, &bet), STATUS_LIMIT);
        cr_assert_leq(batch_end(&builder).bytes, cuts[i].bytes_max);
    }
}

Test(batch, still_takes_a_smaller_bet_after_one_that_did_not_fit)
{
    plan.bytes_max = BATCH_BYTES_MIN;
    batch_begin(&builder, &plan, buffer);
    struct bet large = bet_of(100, 100, 32, UINT32_MAX), small = bet_of(1, 1, 1, 0), bet;
    cr_assert_eq(batch_add(&builder, &large), STATUS_OK);
    cr_assert_eq(batch_add(&builder, &large), STATUS_OK);
    cr_assert_eq(batch_add(&builder, &large), STATUS_LIMIT);
    while (builder.bytes + 1 <= BATCH_BYTES_MIN && batch_add(&builder, &small) == STATUS_OK)
        continue;
    struct slice body = batch_end(&builder);
    cr_assert_leq(body.bytes, BATCH_BYTES_MIN);
    struct batch_cursor cursor;
    cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(batch_next(&cursor, &bet), STATUS_OK);
        cr_assert(bets_are_equal(&bet, &large));
    }
}

Test(batch, never_writes_behind_the_bytes_that_its_plan_asks_for)
{
    plan.bytes_max = BATCH_BYTES_MIN;
    size_t bytes = batch_buffer_bytes(&plan);
    memset(buffer, 0xee, sizeof buffer);
    batch_begin(&builder, &plan, buffer);
    struct bet large = bet_of(100, 100, 32, UINT32_MAX), small = bet_of(1, 1, 1, 0);
    while (batch_add(&builder, &small) == STATUS_OK)
        continue;
    cr_assert_eq(batch_add(&builder, &large), STATUS_LIMIT);
    for (size_t i = bytes; i < bytes + 1024; i++)
        cr_assert_eq(buffer[i], 0xee);
}

Test(batch, of_the_largest_size_holds_the_smallest_bets)
{
    struct bet bet = bet_of(1, 1, 1, 0);
    uint32_t row, bets = 0;
    for (; batch_add(&builder, &bet) == STATUS_OK; bets++)
        continue;
    cr_assert_eq(bets, (BATCH_BYTES_MAX - 3) / 19); /* 1 + 2 + 2 + 2 + 11 + 1 */
    struct slice body = batch_end(&builder);
    cr_assert_eq(batch_check(body, bets, &row), FAULT_NONE);
    cr_assert_eq(batch_check(body, bets - 1, &row), FAULT_COUNT);
}

Test(batch, finds_each_bet_with_a_number)
{
    static const uint32_t wanted[] = {0, 127, 128, 255, 256, 7574, 65535, 65536, UINT32_MAX};
    struct bet bets[NAME_BYTES_MAX];
    size_t count = bets_at_the_limits(bets);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(batch_add(&builder, &bets[i]), STATUS_OK);
    struct slice body = batch_end(&builder);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct batch_cursor cursor;
        cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
        struct bet found;
        uint32_t row;
        size_t found_count = 0;
        for (uint32_t j = 0; j < count; j++) {
            if (bets[j].number != wanted[i])
                continue;
            cr_assert_eq(batch_find_number(&cursor, wanted[i], &row, &found), STATUS_OK);
            cr_assert_eq(row, j);
            cr_assert(bets_are_equal(&found, &bets[j]));
            found_count++;
        }
        cr_assert_geq(found_count, 8);
        cr_assert_eq(batch_find_number(&cursor, wanted[i], &row, &found), STATUS_END);
        cr_assert_eq(batch_next(&cursor, &found), STATUS_END);
    }
}

Test(batch, goes_on_reading_behind_a_bet_that_was_found)
{
    for (uint32_t number = 0; number < 40; number++) {
        struct bet bet = bet_of(1 + number, 2 + number, 1 + number % 32, number);
        cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    }
    struct batch_cursor cursor;
    cr_assert_eq(batch_open(&cursor, batch_end(&builder)), STATUS_OK);
    uint32_t row;
    struct bet bet;
    cr_assert_eq(batch_find_number(&cursor, 35, &row, &bet), STATUS_OK);
    cr_assert_eq(row, 35);
    cr_assert_eq(cursor.row, 36);
    cr_assert_eq(batch_next(&cursor, &bet), STATUS_OK);
    cr_assert_eq(bet.number, 36);
    row = 1000;
    cr_assert_eq(batch_find_number(&cursor, 35, &row, &bet), STATUS_END);
    cr_assert_eq(row, 1000);
    cr_assert_eq(bet.number, 36);
}

Test(batch, aborts_when_begun_with_a_plan_that_is_not_valid, .signal = SIGABRT)
{
    plan.bytes_max = BATCH_BYTES_MIN - 1;
    batch_begin(&builder, &plan, buffer);
}

Test(batch, aborts_when_given_a_text_that_no_bet_has, .signal = SIGABRT)
{
    struct bet bet = bet_of(NAME_BYTES_MAX + 1, 1, 1, 0);
    batch_add(&builder, &bet);
}
