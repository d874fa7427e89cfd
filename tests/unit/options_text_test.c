/* Options whose text has a form of its own: addresses and ids. */
#include <criterion/criterion.h>

#include "proto/host/options.h"

TestSuite(options_text, .timeout = 10);

Test(options_text, address_has_a_host_and_perhaps_a_port)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } addresses[] = {
        {"localhost", "localhost", 5555},
        {"localhost:1", "localhost", 1},
        {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"*", "*", 5555},
        {"*:7000", "*", 7000},
        {"[::1]:7000", "::1", 7000},
        {"[fe80::1%eth0]", "fe80::1%eth0", 5555},
        {"::1", "::1", 5555},
        {"a-b.c_d", "a-b.c_d", 5555},
        {"h:007", "h", 7},
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char host[32] = "";
        uint16_t port = 5555;
        enum status status = options_parse_address(addresses[i].text, host, sizeof host, &port);
        cr_assert_eq(status, STATUS_OK, "%s", addresses[i].text);
        cr_assert_str_eq(host, addresses[i].host);
        cr_assert_eq(port, addresses[i].port);
    }
}

Test(options_text, address_of_another_form_is_refused_and_nothing_written)
{
    static const char *const wrong[] = {
        "",
        ":5555",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+1",
        "host:1x",
        "host: 1",
        "[::1",
        "[::1]5555",
        "[]:5555",
        "[::1]:",
        "a b",
        "tcp://host",
        "ho\nst",
        "h\xc3\xb1",
        "a]",
        "a12345678901234567890123456789012",
        "host:99999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char host[32] = "kept";
        uint16_t port = 5555;
        cr_assert_eq(options_parse_address(wrong[i], host, sizeof host, &port), STATUS_INVALID,
                     "%s", wrong[i]);
        cr_assert_str_eq(host, "kept");
        cr_assert_eq(port, 5555);
    }
}

Test(options_text, address_may_fill_the_room_for_the_host)
{
    char host[5];
    uint16_t port = 1;
    cr_assert_eq(options_parse_address("abcd", host, sizeof host, &port), STATUS_OK);
    cr_assert_eq(options_parse_address("abcde", host, sizeof host, &port), STATUS_INVALID);
    cr_assert_str_eq(host, "abcd");
}

Test(options_text, range_has_a_first_and_a_last_value)
{
    uint32_t first = 1;
    uint32_t last = 1;
    cr_assert_eq(options_parse_range("0-4294967295", &first, &last), STATUS_OK);
    cr_assert(first == 0 && last == UINT32_MAX);
    cr_assert_eq(options_parse_range("7", &first, &last), STATUS_OK);
    cr_assert(first == 7 && last == 7);
    static const char *const wrong[] = {"",    "-",    "1-",         "-1", "2-1", "1-2-3",
                                        "1,2", " 1-2", "4294967296", "a",  "1- 2"};
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
