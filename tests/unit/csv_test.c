/* Good rows: what RFC 4180 says of quotes and line ends, and libcsv as the oracle. Faults stand in
 * csv_faults_test.c, buffers that end inside a row in csv_pieces_test.c. */
#include "proto/wire/csv.h"

#include <criterion/criterion.h>
#include <csv.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(csv, .timeout = 10);

enum { TODAY = 20240715 };

static struct csv csv;
static struct csv_row row;

static void read_from(const char *text)
{
    csv_begin(&csv, (const uint8_t *)text, strlen(text), true, TODAY);
}

static void assert_text(struct slice text, const char *expected)
{
    cr_assert(slice_is_equal(text, (struct slice){(const uint8_t *)expected, strlen(expected)}),
              "'%.*s', not '%s'", (int)text.bytes, (const char *)text.data, expected);
}

static void assert_next(const char *raw, const char *first, const char *last, const char *document,
                        const char *birthdate, uint32_t number)
{
    cr_assert_eq(csv_next(&csv, &row), STATUS_OK);
    cr_assert_eq(row.fault, FAULT_NONE, "%s: %s", raw, fault_text(row.fault));
    assert_text(row.raw, raw);
    assert_text(row.bet.first_name, first);
    assert_text(row.bet.last_name, last);
    assert_text(row.bet.document, document);
    assert_text(row.bet.birthdate, birthdate);
    cr_assert_eq(row.bet.number, number);
}

static void assert_end(void)
{
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
    cr_assert_eq(csv.at, csv.bytes);
}

/* Enough text behind a row for the way of the many to be taken. */
#define MORE_ROWS \
    "\nA,B,1,2000-01-01,1\nA,B,1,2000-01-01,1\nA,B,1,2000-01-01,1\nA,B,1,2000-01-01,1\n"

Test(csv, reads_rows_that_end_in_lf_or_cr_lf_or_with_the_file)
{
    static const char *const line_ends[] = {"\n", "\r\n", ""};
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "Santiago Lionel,Lorca,30904465,1999-03-17,2201\r\n"
                 "Tiago Nicolás,Rivera,34407251,2001-08-29,1033%s",
                 line_ends[i]);
        read_from(text);
        assert_next("Santiago Lionel,Lorca,30904465,1999-03-17,2201", "Santiago Lionel", "Lorca",
                    "30904465", "1999-03-17", 2201);
        cr_assert_eq(row.lines, 1);
        cr_assert_eq(row.bytes_taken, 48);
        assert_next("Tiago Nicolás,Rivera,34407251,2001-08-29,1033", "Tiago Nicolás", "Rivera",
                    "34407251", "2001-08-29", 1033);
        cr_assert_eq(row.lines, line_ends[i][0] != '\0');
        cr_assert_eq(row.bytes_taken, row.raw.bytes + strlen(line_ends[i]));
        assert_end();
    }
}

Test(csv, has_no_row_in_an_empty_file)
{
    csv_begin(&csv, NULL, 0, true, TODAY);
    assert_end();
}

Test(csv, takes_quoted_fields_with_commas_and_doubled_quotes)
{
    read_from("\"Ana\",\"Paz\",\"1\",\"2000-01-01\",\"7\"\n"
              "\"Ana, María\",Paz,1,2000-01-01,7\r\n"
              "\"Ana \"\"la Negra\"\"\",\"\"\"Paz\"\"\",1,2000-01-01,7\n"
              "Ana,\"\"\"\",\"\"\"\"\"\",2000-01-01,\"00007\"");
    assert_next("\"Ana\",\"Paz\",\"1\",\"2000-01-01\",\"7\"", "Ana", "Paz", "1", "2000-01-01", 7);
    assert_next("\"Ana, María\",Paz,1,2000-01-01,7", "Ana, María", "Paz", "1", "2000-01-01", 7);
    assert_next("\"Ana \"\"la Negra\"\"\",\"\"\"Paz\"\"\",1,2000-01-01,7", "Ana \"la Negra\"",
                "\"Paz\"", "1", "2000-01-01", 7);
    assert_next("Ana,\"\"\"\",\"\"\"\"\"\",2000-01-01,\"00007\"", "Ana", "\"", "\"\"", "2000-01-01",
                7);
    assert_end();
}

Test(csv, takes_quoted_and_plain_rows_in_turn)
{
    read_from("A,B,1,2000-01-01,1\n\"A\",B,1,2000-01-01,2" MORE_ROWS);
    assert_next("A,B,1,2000-01-01,1", "A", "B", "1", "2000-01-01", 1);
    assert_next("\"A\",B,1,2000-01-01,2", "A", "B", "1", "2000-01-01", 2);
    for (int i = 0; i < 4; i++)
        assert_next("A,B,1,2000-01-01,1", "A", "B", "1", "2000-01-01", 1);
    assert_end();
}

Test(csv, takes_rows_of_every_length_on_both_ways)
{
    char name[NAME_BYTES_MAX + 1] = "", raw[300], text[600];
    for (size_t length = 1; length <= NAME_BYTES_MAX; length++) {
        memset(name, 'n', length);
        snprintf(raw, sizeof raw, "%s,%s,12345678,2000-01-01,7", name, name + length / 2);
        snprintf(text, sizeof text, "%s" MORE_ROWS, raw);
        read_from(text);
        assert_next(raw, name, name + length / 2, "12345678", "2000-01-01", 7);
        read_from(raw);
        assert_next(raw, name, name + length / 2, "12345678", "2000-01-01", 7);
        assert_end();
    }
}

Test(csv, takes_numbers_up_to_32_bits_with_any_leading_zeros)
{
    static const struct {
        const char *digits;
        uint32_t number;
    } numbers[] = {{"0", 0},
                   {"00", 0},
                   {"7", 7},
                   {"0007", 7},
                   {"4294967295", UINT32_MAX},
                   {"00000000000000000000000000000004294967295", UINT32_MAX},
                   {"0000000000", 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "A,B,1,2000-01-01,%s", numbers[i].digits);
        read_from(text);
        assert_next(text, "A", "B", "1", "2000-01-01", numbers[i].number);
    }
}

Test(csv, finds_a_byte_order_mark_only_at_a_whole_one)
{
    const uint8_t *text = (const uint8_t *)"\xef\xbb\xbf"
                                           "A";
    cr_assert_eq(csv_byte_order_mark(text, 4), 3);
    cr_assert_eq(csv_byte_order_mark(text, 3), 3);
    cr_assert_eq(csv_byte_order_mark(text, 2), 0);
    cr_assert_eq(csv_byte_order_mark(text, 0), 0);
    cr_assert_eq(csv_byte_order_mark((const uint8_t *)"A\xef\xbb\xbf", 4), 0);
    cr_assert_eq(csv_byte_order_mark((const uint8_t *)"\xef\xbb\xbe", 3), 0);
}

/* ---- libcsv reads the same fields ---- */

/* Deterministic noise (xorshift64). */
static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % limit;
}

enum { ORACLE_FIELDS_MAX = 20000, TEXT_BYTES = 1 << 20 };

struct oracle {
    char *fields[ORACLE_FIELDS_MAX];
    size_t fields_count;
    size_t rows_count;
};

static void oracle_field(void *field, size_t bytes, void *context)
{
    struct oracle *oracle = context;
    cr_assert_lt(oracle->fields_count, ORACLE_FIELDS_MAX);
    oracle->fields[oracle->fields_count++] = strndup(field, bytes);
}

static void oracle_row(int end, void *context)
{
    (void)end;
    ((struct oracle *)context)->rows_count++;
}

static void read_by_oracle(const char *text, size_t bytes, struct oracle *oracle)
{
    struct csv_parser parser;
    *oracle = (struct oracle){0};
    cr_assert_eq(csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI), 0);
    cr_assert_eq(csv_parse(&parser, text, bytes, oracle_field, oracle_row, oracle), bytes, "%s",
                 csv_strerror(csv_error(&parser)));
    cr_assert_eq(csv_fini(&parser, oracle_field, oracle_row, oracle), 0);
    csv_free(&parser);
}

static void assert_as_oracle(const char *text, size_t bytes)
{
    static struct oracle oracle;
    read_by_oracle(text, bytes, &oracle);
    csv_begin(&csv, (const uint8_t *)text, bytes, true, TODAY);
    for (size_t i = 0; i < oracle.rows_count; i++) {
        char **fields = oracle.fields + i * CSV_FIELDS;
        cr_assert_eq(csv_next(&csv, &row), STATUS_OK);
        cr_assert_eq(row.fault, FAULT_NONE, "%.*s: %s", (int)row.raw.bytes,
                     (const char *)row.raw.data, fault_text(row.fault));
        assert_text(row.bet.first_name, fields[0]);
        assert_text(row.bet.last_name, fields[1]);
        assert_text(row.bet.document, fields[2]);
        assert_text(row.bet.birthdate, fields[3]);
        cr_assert_eq(row.bet.number, strtoul(fields[4], NULL, 10));
    }
    assert_end();
    cr_assert_eq(oracle.fields_count, oracle.rows_count * CSV_FIELDS);
    for (size_t i = 0; i < oracle.fields_count; i++)
        free(oracle.fields[i]);
}

/* Appends a field, quoted where it has to be and sometimes where it need not be. */
static size_t put_field(char *to, const char *field, uint64_t *state)
{
    size_t bytes = 0;
    if (strpbrk(field, ",\"") == NULL && random_below(state, 4) != 0) {
        memcpy(to, field, strlen(field));
        return strlen(field);
    }
    to[bytes++] = '"';
    for (; *field != '\0'; field++) {
        if (*field == '"')
            to[bytes++] = '"';
        to[bytes++] = *field;
    }
    to[bytes++] = '"';
    return bytes;
}

static size_t put_row(char *to, uint64_t *state)
{
    static const char *const pieces[] = {"a", "B", "ñ", " o", ",", "\"", "é", "xyz", "-", "李"};
    char fields[CSV_FIELDS][120] = {"", "", "", "", ""};
    for (int name = 0; name < 3; name++)
        for (uint64_t left = 1 + random_below(state, 10); left > 0; left--) {
            size_t piece = random_below(state, sizeof pieces / sizeof pieces[0]);
            bool is_visible = name < 2 || piece < 2 || piece == 4 || piece == 5;
            /* libcsv drops spaces around a field that is not quoted */
            size_t at = strlen(fields[name]);
            snprintf(fields[name] + at, sizeof fields[name] - at, "%s",
                     is_visible && (piece != 3 || at > 0) ? pieces[piece] : "z");
        }
    snprintf(fields[3], sizeof fields[3], "%04u-%02u-%02u",
             1900 + (unsigned)random_below(state, 120), 1 + (unsigned)random_below(state, 12),
             1 + (unsigned)random_below(state, 28));
    snprintf(fields[4], sizeof fields[4], "%u",
             (unsigned)(random_below(state, 1ull << 32) >> random_below(state, 32)));
    size_t bytes = 0;
    for (int i = 0; i < CSV_FIELDS; i++) {
        bytes += put_field(to + bytes, fields[i], state);
        to[bytes++] = ',';
    }
    bytes--;
    if (random_below(state, 2) == 0)
        to[bytes++] = '\r';
    to[bytes++] = '\n';
    return bytes;
}

Test(csv, reads_the_fields_that_libcsv_reads)
{
    static char text[TEXT_BYTES];
    uint64_t state = 20240715;
    for (int round = 0; round < 50; round++) {
        size_t bytes = 0;
        for (uint64_t rows = random_below(&state, 60); rows > 0; rows--)
            bytes += put_row(text + bytes, &state);
        char *exact = malloc(bytes + 1); /* its end is the sanitizer's to watch */
        cr_assert_not_null(exact);
        memcpy(exact + 1, text, bytes);
        assert_as_oracle(exact + 1, bytes);
        free(exact);
    }
}
