/* Options whose text has a form of its own: ranges and ids. */
#include <criterion/criterion.h>

#include "proto/host/options.h"

TestSuite(options_text, .timeout = 10);

Test(options_text, number_is_digits_alone)
{
    static const char *const wrong[] = {"",    "-1",     "+1",
                                        " 1",  "1 ",     "0x1",
                                        "1-2", "random", "18446744073709551616"};
    uint64_t number = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(options_parse_number(wrong[i], &number), STATUS_INVALID, "%s", wrong[i]);
    cr_assert_eq(number, 7);
    cr_assert_eq(options_parse_number("18446744073709551615", &number), STATUS_OK);
    cr_assert_eq(number, UINT64_MAX);
}

Test(options_text, range_has_a_first_and_a_last_value)
{
    uint32_t first = 1;
    uint32_t last = 1;
    cr_assert_eq(options_parse_range("0-4294967295", &first, &last), STATUS_OK);
    cr_assert(first == 0 && last == UINT32_MAX);
    cr_assert_eq(options_parse_range("7-7", &first, &last), STATUS_OK);
    cr_assert(first == 7 && last == 7);
    static const char *const wrong[] = {"",      "7",   "-",    "1-",         "-1", "2-1",
                                        "1-2-3", "1,2", " 1-2", "4294967296", "a",  "1- 2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(options_parse_range(wrong[i], &first, &last), STATUS_INVALID, "%s", wrong[i]);
    cr_assert(first == 7 && last == 7);
}

Test(options_text, ids_are_single_ones_and_ranges_in_any_order)
{
    static const uint32_t expected[] = {0, 1, 2, 5, 6, 7, 4294967295};
    uint32_t ids[7];
    size_t count = 0;
    cr_assert_eq(options_parse_ids("5-7,4294967295,2,0-1", ids, 7, &count), STATUS_OK);
    cr_assert_eq(count, 7);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(ids[i], expected[i]);
    cr_assert_eq(options_parse_ids("3-3", ids, 7, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(ids[0], 3);
}

Test(options_text, range_may_end_at_the_largest_id)
{
    uint32_t ids[2];
    size_t count = 0;
    cr_assert_eq(options_parse_ids("4294967294-4294967295", ids, 2, &count), STATUS_OK);
    cr_assert_eq(count, 2);
    cr_assert_eq(ids[1], UINT32_MAX);
}

Test(options_text, ids_of_another_form_or_twice_the_same_are_refused)
{
    static const char *const wrong[] = {
        "",    ",",     "1,",    ",1", "1,,2", "1-", "-1",         "1-2-3",
        "2-1", "a",     "1 ,2",  " 1", "1;2",  "+1", "4294967296", "99999999999999999999",
        "1,1", "1-3,2", "3,1-3",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint32_t ids[8];
        size_t count = 77;
        cr_assert_eq(options_parse_ids(wrong[i], ids, 8, &count), STATUS_INVALID, "'%s'", wrong[i]);
        cr_assert_eq(count, 77);
    }
}

Test(options_text, more_ids_than_there_is_room_for_are_refused)
{
    uint32_t ids[4];
    size_t count = 77;
    cr_assert_eq(options_parse_ids("1-4", ids, 4, &count), STATUS_OK);
    cr_assert_eq(options_parse_ids("1-5", ids, 4, &count), STATUS_LIMIT);
    cr_assert_eq(options_parse_ids("1-4,6", ids, 4, &count), STATUS_LIMIT);
    cr_assert_eq(options_parse_ids("0-4294967295", ids, 4, &count), STATUS_LIMIT);
    cr_assert_eq(count, 4);
}
