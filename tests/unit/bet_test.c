/* Which bets are allowed, and which fault each other one has. */
#include "proto/wire/bet.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <time.h>

TestSuite(bet, .timeout = 10);

enum { TODAY = 20240715, NO_BOUND = 99991231 };

static struct slice text_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static struct bet valid_bet(void)
{
    return (struct bet){.first_name = text_of("Santiago Lionel"),
                        .last_name = text_of("Lorca"),
                        .document = text_of("30904465"),
                        .birthdate = text_of("1999-03-17"),
                        .number = 2201};
}

/* A name of these bytes, as first and as last name. */
static enum fault check_name(struct slice name)
{
    struct bet first = valid_bet(), last = valid_bet();
    first.first_name = last.last_name = name;
    enum fault fault = bet_check(&first, TODAY);
    if (name.bytes > 0 && name.bytes <= NAME_BYTES_MAX)
        cr_assert_eq(fault, bet_check(&last, TODAY));
    return fault;
}

static enum fault check_document(struct slice document)
{
    struct bet bet = valid_bet();
    bet.document = document;
    return bet_check(&bet, TODAY);
}

static enum fault check_birthdate(const char *birthdate, uint32_t today)
{
    struct bet bet = valid_bet();
    bet.birthdate = text_of(birthdate);
    return bet_check(&bet, today);
}

Test(bet, fault_text_is_a_sentence_of_its_own_for_each)
{
    static const enum fault faults[] = {
#define X(name, value, text) FAULT_##name,
        FAULT_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const char *text = fault_text(faults[i]);
        cr_assert(islower((unsigned char)text[0]), "%s", text);
        cr_assert_neq(text[strlen(text) - 1], '.', "%s", text);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(text, fault_text(faults[j]));
    }
    cr_assert_str_eq(fault_text((enum fault)1000), "unknown fault");
}

Test(bet, is_valid_with_ordinary_values)
{
    struct bet bet = valid_bet();
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_NONE);
    bet.number = 0;
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_NONE);
    bet.number = UINT32_MAX;
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_NONE);
}

Test(bet, names_have_1_to_100_bytes)
{
    uint8_t bytes[NAME_BYTES_MAX + 1];
    memset(bytes, 'n', sizeof bytes);
    struct bet bet = valid_bet();
    for (size_t length = 1; length <= NAME_BYTES_MAX; length++)
        cr_assert_eq(check_name((struct slice){bytes, length}), FAULT_NONE, "%zu", length);
    bet.first_name = (struct slice){bytes, NAME_BYTES_MAX + 1};
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_FIRST_NAME_TOO_LONG);
    bet.first_name = (struct slice){0};
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_FIRST_NAME_EMPTY);
    bet = valid_bet();
    bet.last_name = (struct slice){bytes, NAME_BYTES_MAX + 1};
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_LAST_NAME_TOO_LONG);
    bet.last_name = (struct slice){0};
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_LAST_NAME_EMPTY);
}

Test(bet, documents_have_1_to_32_bytes)
{
    uint8_t bytes[DOCUMENT_BYTES_MAX + 1];
    memset(bytes, '7', sizeof bytes);
    for (size_t length = 1; length <= DOCUMENT_BYTES_MAX; length++)
        cr_assert_eq(check_document((struct slice){bytes, length}), FAULT_NONE, "%zu", length);
    cr_assert_eq(check_document((struct slice){bytes, DOCUMENT_BYTES_MAX + 1}),
                 FAULT_DOCUMENT_TOO_LONG);
    cr_assert_eq(check_document((struct slice){0}), FAULT_DOCUMENT_EMPTY);
}

/* Each byte at each place of a text of each length: what is looked at in words must not miss an
 * end. */
Test(bet, refuses_a_byte_wherever_it_stands)
{
    enum { LENGTH_MAX = 27 };
    uint8_t bytes[LENGTH_MAX];
    for (size_t length = 1; length <= LENGTH_MAX; length++)
        for (size_t place = 0; place < length; place++)
            for (unsigned byte = 0; byte <= 0xff; byte++) {
                memset(bytes, 'x', length);
                bytes[place] = (uint8_t)byte;
                enum fault of_name = byte >= 0x80                  ? FAULT_NOT_UTF8
                                     : byte < 0x20 || byte == 0x7f ? FAULT_NAME_LINE_BREAK
                                                                   : FAULT_NONE;
                bool is_visible = byte >= 0x21 && byte <= 0x7e;
                struct slice text = {bytes, length};
                cr_assert_eq(check_name(text), of_name, "%zu of %zu: %#x", place, length, byte);
                cr_assert_eq(check_document(text),
                             is_visible ? FAULT_NONE : FAULT_DOCUMENT_CHARACTER, "%zu of %zu: %#x",
                             place, length, byte);
            }
}

/* What is UTF-8, the other way round: by decoding and encoding again. */
static bool is_utf8_sequence(const uint8_t *bytes, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lead_mask = length == 2 ? 0x1f : length == 3 ? 0x0f : 0x07;
    uint32_t lead_mark = length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0;
    if ((bytes[0] & ~lead_mask & 0xff) != lead_mark)
        return false;
    uint32_t point = bytes[0] & lead_mask;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return false;
        point = point << 6 | (bytes[i] & 0x3f);
    }
    return point >= least[length] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

Test(bet, takes_exactly_the_two_and_three_byte_sequences_of_utf_8)
{
    for (unsigned lead = 0xc0; lead <= 0xff; lead++)
        for (unsigned second = 0x7f; second <= 0xff; second++) {
            uint8_t bytes[] = {(uint8_t)lead, (uint8_t)second, 0};
            cr_assert_eq(check_name((struct slice){bytes, 2}) == FAULT_NONE,
                         is_utf8_sequence(bytes, 2), "%#x %#x", lead, second);
            static const uint8_t thirds[] = {0x80, 0x9f, 0xbf, 0xc0, 0xff};
            for (size_t i = 0; i < sizeof thirds; i++) {
                bytes[2] = thirds[i];
                cr_assert_eq(check_name((struct slice){bytes, 3}) == FAULT_NONE,
                             is_utf8_sequence(bytes, 3), "%#x %#x %#x", lead, second, thirds[i]);
            }
        }
}

Test(bet, takes_exactly_the_four_byte_sequences_of_utf_8)
{
    static const uint8_t others[] = {0x7f, 0x80, 0xbf, 0xc0};
    for (unsigned lead = 0xe0; lead <= 0xff; lead++)
        for (unsigned second = 0x7f; second <= 0xc0; second++)
            for (size_t i = 0; i < sizeof others * sizeof others; i++) {
                uint8_t bytes[] = {(uint8_t)lead, (uint8_t)second, others[i / sizeof others],
                                   others[i % sizeof others]};
                bool is_four = is_utf8_sequence(bytes, 4);
                bool is_three = is_utf8_sequence(bytes, 3) && bytes[3] < 0x80;
                cr_assert_eq(check_name((struct slice){bytes, 4}) == FAULT_NONE,
                             is_four && !is_three, "%#x %#x", lead, second);
            }
}

Test(bet, refuses_names_that_are_not_utf_8)
{
    static const char *const names[] =
        {"\xc0\xaf",         "\xe0\x9f\xbf",
         "\xf0\x8f\xbf\xbf",                     /* longer than needed */
         "\xed\xa0\x80",     "\xed\xbf\xbf",     /* surrogates */
         "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", /* beyond U+10FFFF */
         "Nicol\xe1s",       "a\xc3",
         "a\xe2\x82", /* Latin-1; cut off */
         "\xf0\x9f\x98",     "\x80",
         "Ana\xfe"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_eq(check_name(text_of(names[i])), FAULT_NOT_UTF8, "%zu", i);
}

Test(bet, takes_names_in_utf_8)
{
    static const char *const names[] =
        {"Nicolás", "Ñandú Muñoz", "O'Higgins",        "Müller-Łoś",   "李小龍",      "😀",
         " ",       "a, \"b\"",    "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_eq(check_name(text_of(names[i])), FAULT_NONE, "%s", names[i]);
}

Test(bet, refuses_control_characters_in_names_that_are_not_ascii)
{
    cr_assert_eq(check_name(text_of("Nicolás\nEmanuel")), FAULT_NAME_LINE_BREAK);
    cr_assert_eq(check_name(text_of("Nicol\xc3\xa1s\x7f")), FAULT_NAME_LINE_BREAK);
    cr_assert_eq(check_name((struct slice){(const uint8_t *)"\xc3\xb1\0", 3}),
                 FAULT_NAME_LINE_BREAK);
    cr_assert_eq(check_name(text_of("a\nb\xff")), FAULT_NOT_UTF8);
}

Test(bet, refuses_birthdates_of_another_form)
{
    static const char *const birthdates[] =
        {"",           "1999-3-17",   "1999-03-1",  "1999-03-170", "1999/03/17", "19990317",
         "17-03-1999", "1999-03-1x",  "199a-03-17", "1999-0:-17",  "+999-03-17", "1999-03 17",
         " 999-03-17", "1999-03-17 ", "-999-03-17", "1999--3-17",  "1999-03-1/", "1999x03-17"};
    for (size_t i = 0; i < sizeof birthdates / sizeof birthdates[0]; i++)
        cr_assert_eq(check_birthdate(birthdates[i], TODAY), FAULT_BIRTHDATE_FORM, "%s",
                     birthdates[i]);
    struct bet bet = valid_bet();
    bet.birthdate = (struct slice){(const uint8_t *)"1999-03-1\0", BIRTHDATE_BYTES};
    cr_assert_eq(bet_check(&bet, TODAY), FAULT_BIRTHDATE_FORM);
}

Test(bet, refuses_days_that_are_in_no_calendar)
{
    static const char *const birthdates[] = {"2023-02-30", "1900-02-29", "2100-02-29", "2023-02-29",
                                             "2023-04-31", "2023-00-10", "2023-13-01", "2023-01-00",
                                             "2023-01-32", "1999-99-99", "0000-00-00"};
    for (size_t i = 0; i < sizeof birthdates / sizeof birthdates[0]; i++)
        cr_assert_eq(check_birthdate(birthdates[i], NO_BOUND), FAULT_BIRTHDATE_UNREAL, "%s",
                     birthdates[i]);
    cr_assert_eq(check_birthdate("2000-02-29", TODAY), FAULT_NONE);
    cr_assert_eq(check_birthdate("1904-02-29", TODAY), FAULT_NONE);
    cr_assert_eq(check_birthdate("2023-12-31", TODAY), FAULT_NONE);
}

/* The C library's calendar is the oracle: timegm() moves a day that does not exist to one that
 * does. */
Test(bet, takes_exactly_the_days_of_the_calendar)
{
    for (int year = 1900; year <= 2401; year++)
        for (int place = 0; place < 14 * 33; place++) {
            int month = place / 33, day = place % 33;
            struct tm moved = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
            timegm(&moved);
            bool is_day =
                moved.tm_year == year - 1900 && moved.tm_mon == month - 1 && moved.tm_mday == day;
            char birthdate[32];
            snprintf(birthdate, sizeof birthdate, "%04d-%02d-%02d", year, month, day);
            cr_assert_eq(check_birthdate(birthdate, NO_BOUND),
                         is_day ? FAULT_NONE : FAULT_BIRTHDATE_UNREAL, "%s", birthdate);
        }
}

/* [M-11] */
Test(bet, birthdates_are_from_1900_to_today)
{
    cr_assert_eq(check_birthdate("1900-01-01", TODAY), FAULT_NONE);
    cr_assert_eq(check_birthdate("1899-12-31", TODAY), FAULT_BIRTHDATE_RANGE);
    cr_assert_eq(check_birthdate("0001-01-01", TODAY), FAULT_BIRTHDATE_RANGE);
    cr_assert_eq(check_birthdate("2024-07-15", TODAY), FAULT_NONE);
    cr_assert_eq(check_birthdate("2024-07-16", TODAY), FAULT_BIRTHDATE_RANGE);
    cr_assert_eq(check_birthdate("2024-08-01", TODAY), FAULT_BIRTHDATE_RANGE);
    cr_assert_eq(check_birthdate("2025-01-01", TODAY), FAULT_BIRTHDATE_RANGE);
    cr_assert_eq(check_birthdate("9999-12-31", NO_BOUND), FAULT_NONE);
}

/* A bet with a fault in each column answers the first column's; mended, the next one's. */
Test(bet, faults_come_in_the_order_of_the_columns)
{
    struct bet good = valid_bet();
    struct bet bad = {.first_name = {0},
                      .last_name = text_of("\xff"),
                      .document = text_of("1 2"),
                      .birthdate = text_of("2023-02-30")};
    cr_assert_eq(bet_check(&bad, TODAY), FAULT_FIRST_NAME_EMPTY);
    bad.first_name = good.first_name;
    cr_assert_eq(bet_check(&bad, TODAY), FAULT_NOT_UTF8);
    bad.last_name = good.last_name;
    cr_assert_eq(bet_check(&bad, TODAY), FAULT_DOCUMENT_CHARACTER);
    bad.document = good.document;
    cr_assert_eq(bet_check(&bad, TODAY), FAULT_BIRTHDATE_UNREAL);
    bad.birthdate = good.birthdate;
    cr_assert_eq(bet_check(&bad, TODAY), FAULT_NONE);
}
