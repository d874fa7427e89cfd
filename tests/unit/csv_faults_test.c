/* Every fault that a row can have, which one is named first, and where the next row begins. */
#include "proto/wire/csv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(csv_faults, .timeout = 10);

enum { TODAY = 20240715, TEXT_BYTES = 20000 };

static struct csv csv;
static struct csv_row row;
static char text[TEXT_BYTES];

#define GOOD    "A,B,1,2000-01-01,5"
#define NAME_50 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static void assert_next(enum fault fault, const char *raw, size_t raw_bytes, uint32_t lines)
{
    cr_assert_eq(csv_next(&csv, &row), STATUS_OK);
    cr_assert_eq(row.fault, fault, "%s: %s, not %s", raw, fault_text(row.fault), fault_text(fault));
    cr_assert(slice_is_equal(row.raw, (struct slice){(const uint8_t *)raw, raw_bytes}), "%s", raw);
    cr_assert_eq(row.lines, lines, "%s: %u lines", raw, row.lines);
}

/* A row of these bytes has the fault, whatever line end it has and however much stands behind it;
 * the row behind it is read. */
static void assert_fault(enum fault fault, const char *raw, size_t raw_bytes, uint32_t line_ends)
{
    static const char *const behind[] = {"",
                                         "\n",
                                         "\r\n",
                                         "\n" GOOD,
                                         "\r\n" GOOD "\n" GOOD,
                                         "\n" GOOD "\n" GOOD "\n" GOOD "\n" GOOD "\n" GOOD};
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        size_t bytes = raw_bytes + strlen(behind[i]);
        uint8_t *exact = malloc(bytes + 1); /* its end is the sanitizer's to watch */
        cr_assert_not_null(exact);
        memcpy(exact + 1, raw, raw_bytes);
        memcpy(exact + 1 + raw_bytes, behind[i], strlen(behind[i]));
        csv_begin(&csv, exact + 1, bytes, true, TODAY);
        assert_next(fault, raw, raw_bytes, line_ends + (i > 0));
        enum status status = csv_next(&csv, &row);
        cr_assert_eq(status, i < 3 ? STATUS_END : STATUS_OK);
        for (; status == STATUS_OK; status = csv_next(&csv, &row))
            cr_assert_eq(row.fault, FAULT_NONE);
        cr_assert_eq(csv.at, bytes);
        free(exact);
    }
}

#define ASSERT_FAULT(fault, literal) assert_fault(FAULT_##fault, literal, sizeof literal - 1, 0)

Test(csv_faults, are_columns_that_are_missing_or_too_many)
{
    ASSERT_FAULT(COLUMNS_MISSING, "A,B,1,2000-01-01");
    ASSERT_FAULT(COLUMNS_MISSING, ",,,");
    ASSERT_FAULT(COLUMNS_MISSING, "A");
    ASSERT_FAULT(COLUMNS_MISSING, "\"A,B,1,2000-01-01,5\"");
    ASSERT_FAULT(COLUMNS_MISSING, "A;B;1;2000-01-01;5");
    ASSERT_FAULT(COLUMNS_MISSING, "\"\"");
    ASSERT_FAULT(COLUMNS_EXTRA, "A,B,1,2000-01-01,5,");
    ASSERT_FAULT(COLUMNS_EXTRA, "A,B,1,2000-01-01,5,6");
    ASSERT_FAULT(COLUMNS_EXTRA, ",,,,,");
    ASSERT_FAULT(COLUMNS_EXTRA,
                 ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,");
    ASSERT_FAULT(COLUMNS_EXTRA, "\"A\",B,1,2000-01-01,5,\"\"\"\"");
}

Test(csv_faults, are_blank_lines)
{
    static const char blank[] = "\n\r\n" GOOD "\n\n";
    csv_begin(&csv, (const uint8_t *)blank, sizeof blank - 1, true, TODAY);
    assert_next(FAULT_COLUMNS_MISSING, "", 0, 1);
    assert_next(FAULT_COLUMNS_MISSING, "", 0, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 1);
    assert_next(FAULT_COLUMNS_MISSING, "", 0, 1);
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
    static const char behind_cr[] = "\r\n" GOOD "\n" GOOD "\n" GOOD "\n" GOOD "\n";
    csv_begin(&csv, (const uint8_t *)behind_cr + 1, sizeof behind_cr - 2, true, TODAY);
    assert_next(FAULT_COLUMNS_MISSING, "", 0, 1); /* what stands before the buffer is not its own */
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 1);
}

Test(csv_faults, are_names_that_are_empty_too_long_or_not_text)
{
    ASSERT_FAULT(FIRST_NAME_EMPTY, ",B,1,2000-01-01,5");
    ASSERT_FAULT(FIRST_NAME_EMPTY, "\"\",B,1,2000-01-01,5");
    ASSERT_FAULT(LAST_NAME_EMPTY, "A,,1,2000-01-01,5");
    ASSERT_FAULT(LAST_NAME_EMPTY, "A,\"\",1,2000-01-01,5");
    ASSERT_FAULT(NONE, NAME_50 NAME_50 ",B,1,2000-01-01,5");
    ASSERT_FAULT(FIRST_NAME_TOO_LONG, NAME_50 NAME_50 "n,B,1,2000-01-01,5");
    ASSERT_FAULT(LAST_NAME_TOO_LONG, "A,\"" NAME_50 NAME_50 "n\",1,2000-01-01,5");
    ASSERT_FAULT(NOT_UTF8, "Nicol\xe1s,B,1,2000-01-01,5");
    ASSERT_FAULT(NOT_UTF8, "A,\xc0\xaf,1,2000-01-01,5");
    ASSERT_FAULT(NAME_LINE_BREAK, "A\tB,B,1,2000-01-01,5");
    ASSERT_FAULT(NAME_LINE_BREAK, "A,\x7f,1,2000-01-01,5");
}

Test(csv_faults, are_documents_that_are_empty_too_long_or_not_visible)
{
    ASSERT_FAULT(DOCUMENT_EMPTY, "A,B,,2000-01-01,5");
    ASSERT_FAULT(NONE, "A,B,12345678901234567890123456789012,2000-01-01,5");
    ASSERT_FAULT(DOCUMENT_TOO_LONG, "A,B,123456789012345678901234567890123,2000-01-01,5");
    ASSERT_FAULT(DOCUMENT_CHARACTER, "A,B,1 2,2000-01-01,5");
    ASSERT_FAULT(DOCUMENT_CHARACTER, "A,B,ñ,2000-01-01,5");
}

Test(csv_faults, are_birthdates_that_are_none)
{
    ASSERT_FAULT(BIRTHDATE_FORM, "A,B,1,,5");
    ASSERT_FAULT(BIRTHDATE_FORM, "A,B,1,01/01/2000,5");
    ASSERT_FAULT(BIRTHDATE_UNREAL, "A,B,1,2023-02-30,5");
    ASSERT_FAULT(BIRTHDATE_UNREAL, "A,B,1,1900-02-29,5");
    ASSERT_FAULT(NONE, "A,B,1,2000-02-29,5");
    ASSERT_FAULT(BIRTHDATE_RANGE, "A,B,1,1899-12-31,5");
    ASSERT_FAULT(BIRTHDATE_RANGE, "A,B,1,2024-07-16,5");
    ASSERT_FAULT(NONE, "A,B,1,2024-07-15,5");
}

Test(csv_faults, are_numbers_that_are_empty_signed_or_too_large)
{
    ASSERT_FAULT(NUMBER_EMPTY, "A,B,1,2000-01-01,");
    ASSERT_FAULT(NUMBER_EMPTY, "A,B,1,2000-01-01,\"\"");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,-5");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,+5");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01, 5");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,5 ");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,0x10");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,5.0");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,/");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,:");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,99999999999999999999x");
    ASSERT_FAULT(NUMBER_TOO_LARGE, "A,B,1,2000-01-01,4294967296");
    ASSERT_FAULT(NUMBER_TOO_LARGE, "A,B,1,2000-01-01,99999999999999999999");
    ASSERT_FAULT(NUMBER_TOO_LARGE, "A,B,1,2000-01-01,18446744073709551617"); /* 2^64 + 1 */
    ASSERT_FAULT(NUMBER_TOO_LARGE, "A,B,1,2000-01-01,184467440737095516160000000000000000007");
}

Test(csv_faults, are_nul_bytes_wherever_they_stand)
{
    static const char row_text[] = "Ana,Paz,12,2000-01-01,57";
    for (size_t place = 0; place < sizeof row_text - 1; place++) {
        char spoilt[sizeof row_text];
        memcpy(spoilt, row_text, sizeof row_text);
        spoilt[place] = '\0';
        assert_fault(FAULT_NUL, spoilt, sizeof row_text - 1, 0);
    }
    ASSERT_FAULT(NUL, "\"A\0\",B,1,2000-01-01,5");
    ASSERT_FAULT(NUL, "A,B,1,2000-01-01,5,\0");
    ASSERT_FAULT(NUL, "\"A\"\0,B,1,2000-01-01,5");
    ASSERT_FAULT(NUL, "A\0,\0B\0,\0");
}

Test(csv_faults, are_quotes_inside_a_field_and_text_behind_one)
{
    ASSERT_FAULT(QUOTE, "A\"B\",B,1,2000-01-01,5");
    ASSERT_FAULT(QUOTE, "A,B,1,2000-01-01,5\"");
    ASSERT_FAULT(QUOTE, "A, \"B\",1,2000-01-01,5");
    ASSERT_FAULT(QUOTE, "\"A\"B,B,1,2000-01-01,5");
    ASSERT_FAULT(QUOTE, "\"A\" ,B,1,2000-01-01,5");
    ASSERT_FAULT(QUOTE, "\"A\"\r,B,1,2000-01-01,5");
    ASSERT_FAULT(QUOTE, "A,B,1,2000-01-01,\"5\"x");
    ASSERT_FAULT(QUOTE, "\"A\"\"B\"x,,\"\"");
}

Test(csv_faults, are_line_breaks_in_quoted_names_but_the_row_is_whole)
{
    assert_fault(FAULT_NAME_LINE_BREAK, "\"A\nB\",B,1,2000-01-01,5", 22, 1);
    assert_fault(FAULT_NAME_LINE_BREAK, "\"A\r\n\r\nB\",B,1,2000-01-01,5", 25, 2);
    assert_fault(FAULT_NAME_LINE_BREAK, "A,\"B\n\",1,2000-01-01,5", 21, 1);
    assert_fault(FAULT_DOCUMENT_CHARACTER, "A,B,\"1\n\",2000-01-01,5", 21, 1);
    assert_fault(FAULT_COLUMNS_EXTRA, "A,B,1,2000-01-01,5,\"\n\n\"", 23, 2);
}

Test(csv_faults, are_carriage_returns_that_end_no_line)
{
    ASSERT_FAULT(NAME_LINE_BREAK, "A\rB,B,1,2000-01-01,5");
    ASSERT_FAULT(NAME_LINE_BREAK, "A,B\r,1,2000-01-01,5");
    ASSERT_FAULT(NAME_LINE_BREAK, "\"A\r\",B,1,2000-01-01,5");
    ASSERT_FAULT(NUMBER_CHARACTER, "A,B,1,2000-01-01,5\r5");
    static const char alone[] = GOOD "\r"; /* the file's last byte */
    csv_begin(&csv, (const uint8_t *)alone, sizeof alone - 1, true, TODAY);
    assert_next(FAULT_NUMBER_CHARACTER, alone, sizeof alone - 1, 0);
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
    csv_begin(&csv, (const uint8_t *)"\"A\r", 3, true, TODAY);
    assert_next(FAULT_QUOTE, "\"A\r", 3, 0);
}

Test(csv_faults, end_with_the_first_line_when_a_quote_is_never_closed)
{
    static const char open[] = "A,\"B,1,2000-01-01,5\r\n" GOOD "\n" GOOD;
    csv_begin(&csv, (const uint8_t *)open, sizeof open - 1, true, TODAY);
    assert_next(FAULT_QUOTE, "A,\"B,1,2000-01-01,5", 19, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 0);
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
    ASSERT_FAULT(QUOTE, "\"");
    ASSERT_FAULT(QUOTE, "A,B,1,2000-01-01,\"5");
    ASSERT_FAULT(QUOTE, "A,\"B\"\",1,2000-01-01,5");
}

/* The open quote of the first line meets the opening quote of the third: all but the first are
 * good. */
Test(csv_faults, end_with_the_first_line_when_an_open_quote_meets_a_later_one)
{
    static const char met[] = "\"A,B,1,2000-01-01,5\n" GOOD "\n\"A\",B,1,2000-01-01,5\n" GOOD;
    csv_begin(&csv, (const uint8_t *)met, sizeof met - 1, true, TODAY);
    assert_next(FAULT_QUOTE, "\"A,B,1,2000-01-01,5", 19, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 1);
    assert_next(FAULT_NONE, "\"A\",B,1,2000-01-01,5", 20, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 0);
    cr_assert_eq(csv_next(&csv, &row), STATUS_END);
}

Test(csv_faults, are_rows_longer_than_the_limit)
{
    memset(text, 'n', sizeof text);
    assert_fault(FAULT_COLUMNS_MISSING, text, CSV_LINE_BYTES_MAX, 0);
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 1, 0);
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 2, 0);
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 3, 0);
    assert_fault(FAULT_LINE_TOO_LONG, text, 3 * CSV_LINE_BYTES_MAX, 0);
    text[100] = '\0'; /* its length is said first */
    text[50] = '"';
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 1, 0);
    text[0] = '"';
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 1, 0);
}

Test(csv_faults, are_quoted_rows_longer_than_the_limit)
{
    memset(text, 'n', sizeof text);
    text[0] = '"';
    text[CSV_LINE_BYTES_MAX - 1] = '"';
    assert_fault(FAULT_COLUMNS_MISSING, text, CSV_LINE_BYTES_MAX, 0);
    memset(text + 1, '"', CSV_LINE_BYTES_MAX - 2); /* doubled ones only */
    assert_fault(FAULT_COLUMNS_MISSING, text, CSV_LINE_BYTES_MAX, 0);
    memset(text + 1, 'n', CSV_LINE_BYTES_MAX);
    text[CSV_LINE_BYTES_MAX] = '"';
    assert_fault(FAULT_LINE_TOO_LONG, text, CSV_LINE_BYTES_MAX + 1, 0);
}

Test(csv_faults, are_fields_of_doubled_quotes_that_fill_a_row)
{
    memset(text, '"', sizeof text);
    for (size_t field = 0; field < 4; field++)
        text[818 * (field + 1) + field] = ',';
    assert_fault(FAULT_FIRST_NAME_TOO_LONG, text, 5 * 818 + 4, 0); /* 4094 bytes */
}

Test(csv_faults, are_quotes_that_are_not_closed_within_the_limit)
{
    static const char start[] = "\"A,B,1,2000-01-01,5\n";
    size_t bytes = sizeof start - 1;
    memcpy(text, start, bytes);
    while (bytes < sizeof text - 100)
        bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, GOOD "\n");
    text[bytes - 3] = '"'; /* closed, far away */
    csv_begin(&csv, (const uint8_t *)text, bytes, true, TODAY);
    assert_next(FAULT_QUOTE, start, sizeof start - 2, 1);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 1);
}

Test(csv_faults, are_long_rows_whose_first_line_is_short)
{
    size_t bytes = (size_t)snprintf(text, sizeof text, "\"A\nB\",");
    memset(text + bytes, 'n', 5000);
    bytes += 5000;
    bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "\n" GOOD);
    csv_begin(&csv, (const uint8_t *)text, bytes, true, TODAY);
    assert_next(FAULT_LINE_TOO_LONG, "\"A", 2, 1);
    cr_assert_eq(csv_next(&csv, &row), STATUS_OK);
    cr_assert_eq(row.fault, FAULT_LINE_TOO_LONG);
    assert_next(FAULT_NONE, GOOD, sizeof GOOD - 1, 0);
    text[1] = '\0'; /* its length is said first */
    csv_begin(&csv, (const uint8_t *)text, bytes, true, TODAY);
    assert_next(FAULT_LINE_TOO_LONG, "\"\0", 2, 1);
}

/* The row's CR is the last byte that is looked at, its LF the first that is not. */
Test(csv_faults, are_long_quoted_rows_with_a_line_end_just_behind_the_limit)
{
    memset(text, 'n', sizeof text);
    memcpy(text, "\"A\nB", 4);
    memcpy(text + CSV_LINE_BYTES_MAX, "\"\r\n", 3);
    csv_begin(&csv, (const uint8_t *)text, CSV_LINE_BYTES_MAX + 3, true, TODAY);
    assert_next(FAULT_LINE_TOO_LONG, "\"A", 2, 1);
}

Test(csv_faults, come_in_the_order_of_the_columns)
{
    ASSERT_FAULT(FIRST_NAME_EMPTY, ",,,,");
    ASSERT_FAULT(LAST_NAME_EMPTY, "A,,,,");
    ASSERT_FAULT(DOCUMENT_EMPTY, "A,B,,,");
    ASSERT_FAULT(BIRTHDATE_FORM, "A,B,1,,");
    ASSERT_FAULT(NUMBER_EMPTY, "A,B,1,2000-01-01,");
    ASSERT_FAULT(COLUMNS_MISSING, ",,,"); /* before any value */
}
