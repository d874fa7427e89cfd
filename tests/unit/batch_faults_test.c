/* Every body that is not what PROTOCOL.md says of a batch is refused, with the row where it is. */
#include "proto/wire/batch.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(batch_faults, .timeout = 10);

/* The pieces of a body with one bet, as they stand on the wire. */
enum piece { HEAD, BET, FIRST, LAST, DOCUMENT, BIRTHDATE, NUMBER, TRAILING, PIECES_COUNT };

struct form {
    const char *bytes;
    size_t count;
};

#define FORM(literal)               \
    {                               \
        literal, sizeof literal - 1 \
    }

static const struct form good[PIECES_COUNT] = {
    FORM("\x91"),
    FORM("\x95"),
    FORM("\xa8Santiago"),
    FORM("\xd9\x20Lorca de la Quintana y Echagües"),
    FORM("\xa8"
         "30904465"),
    FORM("\xaa"
         "1999-03-17"),
    FORM("\xcd\x08\x99"),
    FORM(""),
};

/* A body of the good pieces but one, in memory that ends where it ends. */
static struct slice body_with(enum piece place, struct form form)
{
    size_t bytes = 0;
    uint8_t *body = malloc(70100);
    cr_assert_not_null(body);
    for (int i = 0; i < PIECES_COUNT; i++) {
        struct form piece = i == (int)place ? form : good[i];
        memcpy(body + bytes, piece.bytes, piece.count);
        bytes += piece.count;
    }
    body = realloc(body, bytes);
    cr_assert_not_null(body);
    return (struct slice){body, bytes};
}

static void release(struct slice body)
{
    free((void *)(uintptr_t)body.data);
}

/* Reads a body to its end by the cursor. */
static enum status read_all(struct slice body)
{
    struct batch_cursor cursor;
    enum status status = batch_open(&cursor, body);
    struct bet bet;
    while (status == STATUS_OK)
        status = batch_next(&cursor, &bet);
    return status;
}

static void assert_refused(enum piece place, struct form form)
{
    struct slice body = body_with(place, form);
    uint32_t row = 9;
    cr_assert_eq(batch_check(body, 1, &row), FAULT_ENCODING, "piece %d: %s", (int)place,
                 form.bytes);
    cr_assert_eq(row, 0);
    cr_assert_eq(read_all(body), STATUS_MALFORMED, "piece %d: %s", (int)place, form.bytes);
    release(body);
}

Test(batch_faults, accepts_the_body_from_which_the_others_are_made)
{
    struct slice body = body_with(HEAD, good[HEAD]);
    uint32_t row = 9;
    cr_assert_eq(batch_check(body, 1, &row), FAULT_NONE);
    cr_assert_eq(row, 0);
    cr_assert_eq(read_all(body), STATUS_END);
    release(body);
}

Test(batch_faults, refuses_headers_that_are_no_array_or_not_shortest)
{
    static const struct form heads[] = {FORM("\xdc\x00\x01"), FORM("\xdd\x00\x00\x00\x01"),
                                        FORM("\x81"),         FORM("\xc0"),
                                        FORM("\xa1"),         FORM("\x01"),
                                        FORM("\xc4\x01")};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        assert_refused(HEAD, heads[i]);
}

Test(batch_faults, refuses_bets_that_are_not_an_array_of_five)
{
    static const struct form heads[] = {FORM(""),
                                        FORM("\x94"),
                                        FORM("\x96"),
                                        FORM("\xdc\x00\x05"),
                                        FORM("\xdd\x00\x00\x00\x05"),
                                        FORM("\x85"),
                                        FORM("\xc0"),
                                        FORM("\x05"),
                                        FORM("\x90"),
                                        FORM("\x91\x95")};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        assert_refused(BET, heads[i]);
}

Test(batch_faults, refuses_texts_that_are_no_str_or_not_shortest)
{
    static const struct form texts[] = {FORM("\xd9\x03"
                                             "Ana"),
                                        FORM("\xda\x00\x03"
                                             "Ana"),
                                        FORM("\xdb\x00\x00\x00\x03"
                                             "Ana"),
                                        FORM("\xc4\x03"
                                             "Ana"),
                                        FORM("\xc0"),
                                        FORM("\xc3"),
                                        FORM("\x07"),
                                        FORM("\xcc\xff"),
                                        FORM("\xff"),
                                        FORM("\x93\xa1"
                                             "A\xa1n\xa1"
                                             "a"),
                                        FORM("\x81\xa1"
                                             "A\xa1n"),
                                        FORM("\xc7\x03\x01"
                                             "Ana"),
                                        FORM(""),
                                        FORM("\xdb\xff\xff\xff\xff"),
                                        FORM("\xd6\x01"
                                             "Anas")};
    for (int place = FIRST; place <= BIRTHDATE; place++)
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            assert_refused((enum piece)place, texts[i]);
    assert_refused(LAST, (struct form)FORM("\xda\x00\x20Lorca de la Quintana y Echagües"));
}

Test(batch_faults, refuses_numbers_that_are_no_u32_or_not_shortest)
{
    static const struct form numbers[] = {FORM("\xcc\x07"),
                                          FORM("\xcd\x00\x07"),
                                          FORM("\xcd\x00\xff"),
                                          FORM("\xce\0\0\x08\x99"),
                                          FORM("\xcf\0\0\0\0\0\0\x08\x99"),
                                          FORM("\xcf\0\0\0\x01\0\0\0\0"),
                                          FORM("\xff"),
                                          FORM("\xd1\x08\x99"),
                                          FORM("\xd2\0\x08\x99\0"),
                                          FORM("\xca\x44\0\0\0"),
                                          FORM("\xa4"
                                               "2201"),
                                          FORM("\xc0"),
                                          FORM("\x90"),
                                          FORM("\xc2"),
                                          FORM("")};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_refused(NUMBER, numbers[i]);
}

Test(batch_faults, refuses_trailing_bytes)
{
    static const struct form trailing[] = {FORM("\x00"), FORM("\x90"), FORM("\xc1"),
                                           FORM("\x95\xa1")};
    for (size_t i = 0; i < sizeof trailing / sizeof trailing[0]; i++)
        assert_refused(TRAILING, trailing[i]);
}

Test(batch_faults, refuses_arrays_nested_as_deep_as_the_body_is_long)
{
    static uint8_t body[100000];
    memset(body, 0x91, sizeof body);
    uint32_t row;
    cr_assert_eq(batch_check((struct slice){body, sizeof body}, 1, &row), FAULT_ENCODING);
    memset(body, 0x95, sizeof body);
    cr_assert_eq(batch_check((struct slice){body, sizeof body}, 5, &row), FAULT_ENCODING);
    cr_assert_eq(row, 0);
}

/* A body of three bets in one buffer. */
static struct slice three_bets(uint8_t *buffer)
{
    size_t bytes = 0;
    buffer[bytes++] = 0x93;
    for (int i = 0; i < 3; i++)
        for (int piece = BET; piece <= NUMBER; piece++) {
            memcpy(buffer + bytes, good[piece].bytes, good[piece].count);
            bytes += good[piece].count;
        }
    return (struct slice){buffer, bytes};
}

enum { BET_BYTES = 1 + 9 + 34 + 9 + 11 + 3 };

Test(batch_faults, refuses_a_body_that_is_truncated_at_any_byte)
{
    uint8_t buffer[1000];
    struct slice whole = three_bets(buffer);
    cr_assert_eq(whole.bytes, 1 + 3 * BET_BYTES);
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        uint8_t *body = malloc(bytes > 0 ? bytes : 1);
        cr_assert_not_null(body);
        memcpy(body, buffer, bytes);
        struct slice cut = {body, bytes};
        uint32_t row = 9;
        cr_assert_eq(batch_check(cut, 3, &row), FAULT_ENCODING, "%zu", bytes);
        /* A header that says more bets than bytes are left is no bet's fault. */
        cr_assert_eq(row, bytes < 4 ? 0 : (bytes - 1) / BET_BYTES, "%zu", bytes);
        cr_assert_eq(read_all(cut), STATUS_MALFORMED, "%zu", bytes);
        free(body);
    }
}

/* [M-12] */
Test(batch_faults, refuses_another_number_of_bets_than_the_header_says)
{
    uint8_t buffer[1000];
    struct slice body = three_bets(buffer);
    uint32_t row = 9;
    cr_assert_eq(batch_check(body, 3, &row), FAULT_NONE);
    static const uint32_t counts[] = {0, 1, 2, 4, BATCH_BETS_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        row = 9;
        cr_assert_eq(batch_check(body, counts[i], &row), FAULT_COUNT);
        cr_assert_eq(row, 0);
    }
    buffer[0] = 0x92;
    cr_assert_eq(batch_check(body, 2, &row), FAULT_ENCODING); /* a third one behind the second */
    buffer[0] = 0x94;
    cr_assert_eq(batch_check(body, 4, &row), FAULT_ENCODING);
    cr_assert_eq(row, 3);
}

/* [M-12] */
Test(batch_faults, refuses_an_empty_batch_and_one_beyond_the_limit)
{
    uint32_t row;
    cr_assert_eq(batch_check((struct slice){(const uint8_t *)"\x90", 1}, 0, &row), FAULT_COUNT);
    static uint8_t body[5 + BATCH_BETS_MAX + 1] = {0xdd, 0x00, 0x02, 0x00, 0x01};
    cr_assert_eq(batch_check((struct slice){body, sizeof body}, BATCH_BETS_MAX + 1, &row),
                 FAULT_COUNT);
    body[4] = 0x00; /* as many as the limit: now its bets are looked at */
    cr_assert_eq(batch_check((struct slice){body, sizeof body}, BATCH_BETS_MAX, &row),
                 FAULT_ENCODING);
}

Test(batch_faults, names_the_row_and_the_fault_of_a_value)
{
    static const struct {
        size_t place; /* of a byte in a bet */
        uint8_t byte;
        enum fault fault;
    } spoils[] = {{3, '\n', FAULT_NAME_LINE_BREAK},    {15, 0xff, FAULT_NOT_UTF8},
                  {46, ' ', FAULT_DOCUMENT_CHARACTER}, {57, 'x', FAULT_BIRTHDATE_FORM},
                  {62, '9', FAULT_BIRTHDATE_UNREAL},   {55, '8', FAULT_BIRTHDATE_RANGE}};
    uint8_t buffer[1000];
    struct slice body = three_bets(buffer);
    for (uint32_t i = 0; i < 3; i++)
        for (size_t j = 0; j < sizeof spoils / sizeof spoils[0]; j++) {
            three_bets(buffer);
            buffer[1 + i * BET_BYTES + spoils[j].place] = spoils[j].byte;
            uint32_t row = 9;
            cr_assert_eq(batch_check(body, 3, &row), spoils[j].fault, "%zu", j);
            cr_assert_eq(row, i);
            cr_assert_eq(read_all(body), STATUS_END); /* the form is good */
        }
}

/* A piece of a length that its form can hold and a bet cannot. */
static void assert_length_refused(enum piece place, const char *head, size_t head_count,
                                  size_t bytes, enum fault fault)
{
    char *text = malloc(head_count + bytes);
    cr_assert_not_null(text);
    memcpy(text, head, head_count);
    memset(text + head_count, 'n', bytes);
    struct slice body = body_with(place, (struct form){text, head_count + bytes});
    uint32_t row = 9;
    cr_assert_eq(batch_check(body, 1, &row), fault);
    cr_assert_eq(row, 0);
    cr_assert_eq(read_all(body), STATUS_END);
    release(body);
    free(text);
}

Test(batch_faults, refuses_texts_that_are_empty_or_too_long)
{
    assert_length_refused(FIRST, "\xa0", 1, 0, FAULT_FIRST_NAME_EMPTY);
    assert_length_refused(FIRST, "\xd9\x65", 2, 101, FAULT_FIRST_NAME_TOO_LONG);
    assert_length_refused(FIRST, "\xda\x01\x00", 3, 256, FAULT_FIRST_NAME_TOO_LONG);
    assert_length_refused(FIRST, "\xdb\x00\x01\x00\x00", 5, 65536, FAULT_FIRST_NAME_TOO_LONG);
    assert_length_refused(LAST, "\xa0", 1, 0, FAULT_LAST_NAME_EMPTY);
    assert_length_refused(LAST, "\xd9\x65", 2, 101, FAULT_LAST_NAME_TOO_LONG);
    assert_length_refused(DOCUMENT, "\xa0", 1, 0, FAULT_DOCUMENT_EMPTY);
    assert_length_refused(DOCUMENT, "\xd9\x21", 2, 33, FAULT_DOCUMENT_TOO_LONG);
    assert_length_refused(BIRTHDATE, "\xa9", 1, 9, FAULT_BIRTHDATE_FORM);
}

/* Whatever one byte is changed to: a body that is accepted is the one that packing its bets
 * gives. [M-9] */
Test(batch_faults, accepts_no_body_that_packing_would_not_give)
{
    uint8_t buffer[1000], again[BATCH_HEAD_BYTES + BATCH_BYTES_MIN + BET_PACKED_BYTES_MAX];
    struct plan plan = {.bets_max = 3, .bytes_max = BATCH_BYTES_MIN};
    struct slice body = three_bets(buffer);
    unsigned accepted = 0;
    for (size_t place = 0; place < body.bytes; place++)
        for (unsigned byte = 0; byte <= 0xff; byte++) {
            three_bets(buffer);
            buffer[place] = (uint8_t)byte;
            uint32_t row;
            if (batch_check(body, 3, &row) != FAULT_NONE)
                continue;
            accepted++;
            struct batch_builder builder;
            batch_begin(&builder, &plan, again);
            struct batch_cursor cursor;
            cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
            struct bet bet;
            while (batch_next(&cursor, &bet) == STATUS_OK)
                cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
            cr_assert(slice_is_equal(batch_end(&builder), body));
        }
    cr_assert_gt(accepted, body.bytes); /* each byte may at least stay what it is */
}
