/* Rows do not depend on how a file is cut into buffers: each text is read whole and in pieces. */
#include "proto/wire/csv.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(csv_pieces, .timeout = 30);

enum { TODAY = 20240715, ROWS_MAX = 2000, TEXT_BYTES = 40000 };

/* What is compared of a row: everything but its addresses. */
struct seen {
    size_t end; /* place in the file behind it */
    size_t raw_bytes;
    uint64_t hash; /* of raw and of the bet's texts */
    uint32_t number;
    uint32_t lines;
    enum fault fault;
};

struct rows {
    struct seen seen[ROWS_MAX];
    size_t count;
};

static struct csv csv;
static struct rows whole, pieces;
static uint8_t text[TEXT_BYTES];

/* FNV-1a */
static uint64_t hash_more(uint64_t hash, struct slice slice)
{
    for (size_t i = 0; i < slice.bytes; i++)
        hash = (hash ^ slice.data[i]) * UINT64_C(0x100000001b3);
    return (hash ^ 0x1ff) * UINT64_C(0x100000001b3);
}

static void note(struct rows *rows, const struct csv_row *row, size_t end)
{
    cr_assert_lt(rows->count, ROWS_MAX);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (row->fault != FAULT_LINE_TOO_LONG) /* only its end is left when it was in pieces */
        hash = hash_more(hash, row->raw);
    if (row->fault == FAULT_NONE) {
        hash = hash_more(hash, row->bet.first_name);
        hash = hash_more(hash, row->bet.last_name);
        hash = hash_more(hash, row->bet.document);
        hash = hash_more(hash, row->bet.birthdate);
    }
    rows->seen[rows->count++] =
        (struct seen){.end = end,
                      .raw_bytes = row->fault == FAULT_LINE_TOO_LONG ? 0 : row->raw.bytes,
                      .hash = hash,
                      .number = row->fault == FAULT_NONE ? row->bet.number : 0,
                      .lines = row->lines,
                      .fault = row->fault};
}

/* Reads all rows of one buffer, a copy that ends where it ends. Moves `at` to where the next has to
 * begin. */
static void read_buffer(size_t *at, size_t end, bool is_last, struct rows *rows)
{
    size_t bytes = end - *at;
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    cr_assert_not_null(exact);
    memcpy(exact, text + *at, bytes);
    csv_begin(&csv, exact, bytes, is_last, TODAY);
    struct csv_row row;
    size_t before = 0;
    enum status status;
    while ((status = csv_next(&csv, &row)) == STATUS_OK) {
        cr_assert_eq(csv.at, before + row.bytes_taken);
        cr_assert_gt(row.bytes_taken, 0);
        before = csv.at;
        note(rows, &row, *at + csv.at);
    }
    cr_assert_eq(status, is_last ? STATUS_END : STATUS_MORE);
    cr_assert_leq(bytes - csv.at,
                  CSV_LINE_BYTES_MAX + 2); /* what a reader has to keep is bounded */
    *at += csv.at;
    free(exact);
}

static void read_whole(size_t bytes)
{
    size_t at = 0;
    whole.count = 0;
    read_buffer(&at, bytes, true, &whole);
    cr_assert_eq(at, bytes);
}

static void assert_pieces_are_whole(void)
{
    cr_assert_eq(pieces.count, whole.count);
    for (size_t i = 0; i < whole.count; i++) {
        cr_assert_eq(pieces.seen[i].end, whole.seen[i].end, "row %zu", i);
        cr_assert_eq(pieces.seen[i].fault, whole.seen[i].fault, "row %zu", i);
        cr_assert_eq(pieces.seen[i].raw_bytes, whole.seen[i].raw_bytes, "row %zu", i);
        cr_assert_eq(pieces.seen[i].hash, whole.seen[i].hash, "row %zu", i);
        cr_assert_eq(pieces.seen[i].number, whole.seen[i].number, "row %zu", i);
        cr_assert_eq(pieces.seen[i].lines, whole.seen[i].lines, "row %zu", i);
    }
}

/* In buffers that each bring up to `step` bytes more. */
static void assert_same_in_steps(size_t bytes, size_t step)
{
    size_t at = 0, end = 0;
    pieces.count = 0;
    while (end < bytes) {
        end = bytes - end < step ? bytes : end + step;
        read_buffer(&at, end, end == bytes, &pieces);
    }
    cr_assert_eq(at, bytes);
    assert_pieces_are_whole();
}

static void assert_same_in_two(size_t bytes, size_t split)
{
    size_t at = 0;
    pieces.count = 0;
    read_buffer(&at, split, false, &pieces);
    read_buffer(&at, bytes, true, &pieces);
    assert_pieces_are_whole();
}

static const char every_kind[] = "Santiago Lionel,Lorca,30904465,1999-03-17,2201\r\n"
                                 "Tiago Nicolás,Rivera,34407251,2001-08-29,1033\n"
                                 "\"Ana, María\",\"O\"\"Higgins\",\"1\",\"2000-01-01\",\"7\"\r\n"
                                 "\n\r\n"
                                 "\"A\nB\",B,1,2000-01-01,5\r\n"
                                 "\"never closed,B,1,2000-01-01,5\n"
                                 "A,B,1,2000-01-01,5\n"
                                 "\"A\"x,B,1,2000-01-01,5\r\n"
                                 "A\"x,B,1,2000-01-01,5\n"
                                 "A\rB,B,1,2000-01-01,5\r\r\n"
                                 "A,B,1,2000-01-01,99999999999\n"
                                 "A,B,1,2000-01-01,5,6\nA,B\n"
                                 "\xff,B,1,2000-01-01,5\n"
                                 "Camila Rocio,Varela,37130775,1995-05-09,4179\r\n"
                                 "\"\"\"\",\"\"\"\"\"\",1,2000-01-01,\"5\"";

Test(csv_pieces, are_the_same_rows_when_cut_at_every_byte)
{
    size_t bytes = sizeof every_kind - 1;
    memcpy(text, every_kind, bytes);
    read_whole(bytes);
    cr_assert_eq(whole.count, 17);
    for (size_t split = 0; split <= bytes; split++)
        assert_same_in_two(bytes, split);
    for (size_t step = 1; step <= 100; step++)
        assert_same_in_steps(bytes, step);
}

Test(csv_pieces, are_the_same_rows_when_cut_before_the_end_of_the_file_is_known)
{
    static const char *const tails[] = {"\r\n", "\n", "\r", "\"", "", "\r\n\r\n"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        size_t bytes = sizeof every_kind - 1;
        memcpy(text, every_kind, bytes);
        memcpy(text + bytes, tails[i], strlen(tails[i]));
        bytes += strlen(tails[i]);
        read_whole(bytes);
        for (size_t split = bytes - 20; split <= bytes; split++)
            assert_same_in_two(bytes, split);
    }
}

/* Deterministic noise (xorshift64). */
static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % limit;
}

Test(csv_pieces, are_the_same_rows_of_noise_when_cut_at_every_byte)
{
    static const char *const words[] = {"\"",   "\"\"", ",",          "\n",
                                        "\r\n", "\r",   "A",          "5",
                                        "ñ",    "\x80", "2000-01-01", "A,B,1,2000-01-01,5\n",
                                        "\",\""};
    uint64_t state = 7;
    for (int round = 0; round < 300; round++) {
        size_t bytes = 0, limit = 1 + random_below(&state, 150);
        while (bytes < limit) {
            const char *word = words[random_below(&state, sizeof words / sizeof words[0])];
            memcpy(text + bytes, word, strlen(word));
            bytes += strlen(word);
            if (random_below(&state, 40) == 0)
                text[bytes++] = '\0';
        }
        read_whole(bytes);
        for (size_t split = 0; split <= bytes; split++)
            assert_same_in_two(bytes, split);
    }
}

/* Noise with few line ends, so that rows come near the limit and pass it. */
Test(csv_pieces, are_the_same_rows_of_noise_with_lines_of_any_length)
{
    static const char alphabet[] = "\"\",,,,abcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t state = 99;
    for (int round = 0; round < 60; round++) {
        size_t bytes = 0, limit = 20000 + random_below(&state, 15000);
        uint64_t quotes = 1 + random_below(&state, 2000);
        while (bytes < limit) {
            bool has_quotes = random_below(&state, quotes) == 0;
            text[bytes] = (uint8_t)alphabet[has_quotes ? 0 : 2 + random_below(&state, 40)];
            if (random_below(&state, 3000) == 0)
                text[bytes] = '\n';
            bytes++;
        }
        read_whole(bytes);
        static const size_t steps[] = {777, 4097, 4098, 4099, 5000, 8192, 16384};
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
            assert_same_in_steps(bytes, steps[i]);
    }
}

/* Around the limit, each length of a line with each line end. */
Test(csv_pieces, are_the_same_rows_with_lines_around_the_limit)
{
    static const char *const line_ends[] = {"\n", "\r\n", ""};
    for (size_t length = CSV_LINE_BYTES_MAX - 2; length <= CSV_LINE_BYTES_MAX + 4; length++)
        for (size_t i = 0; i < 6; i++) {
            memset(text, 'n', length);
            if (i >= 3)
                text[0] = text[length - 1] = '"';
            const char *line_end = line_ends[i % 3];
            memcpy(text + length, line_end, strlen(line_end));
            size_t bytes = length + strlen(line_end);
            read_whole(bytes);
            cr_assert_eq(whole.count, 1);
            cr_assert_eq(whole.seen[0].fault,
                         length > CSV_LINE_BYTES_MAX ? FAULT_LINE_TOO_LONG : FAULT_COLUMNS_MISSING);
            for (size_t split = bytes - 8; split <= bytes; split++)
                assert_same_in_two(bytes, split);
        }
}

Test(csv_pieces, is_one_bad_row_however_long_its_line_is)
{
    static const char good[] = "\nA,B,1,2000-01-01,5";
    size_t bytes = TEXT_BYTES - (sizeof good - 1);
    memset(text, 'x', bytes);
    memcpy(text + bytes, good, sizeof good - 1);
    read_whole(TEXT_BYTES);
    cr_assert_eq(whole.count, 2);
    cr_assert_eq(whole.seen[0].fault, FAULT_LINE_TOO_LONG);
    cr_assert_eq(whole.seen[1].fault, FAULT_NONE);
    for (size_t step = 1; step < 9000; step += 500)
        assert_same_in_steps(TEXT_BYTES, step);
}
