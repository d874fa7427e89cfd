/* The broker's address: its form, and what this machine says about a host. */
#include "proto/host/address.h"

#include <criterion/criterion.h>
#include <netdb.h>
#include <string.h>

TestSuite(address, .timeout = 20);

Test(address, has_a_host_and_perhaps_a_port)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } addresses[] = {
        {"localhost", "localhost", 5555},
        {"localhost:1", "localhost", 1},
        {"10.0.0.1:65532", "10.0.0.1", 65532},
        {"*", "*", 5555},
        {"*:7000", "*", 7000},
        {"[::1]:7000", "::1", 7000},
        {"[fe80::1%eth0]", "fe80::1%eth0", 5555},
        {"::1", "::1", 5555},
        {"fe80::1%eth0", "fe80::1%eth0", 5555},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1", 5555},
        {"a-b.c_d", "a-b.c_d", 5555},
        {"h:007", "h", 7},
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct address address = {.port = PORT_DEFAULT};
        cr_assert_eq(address_parse(addresses[i].text, &address), STATUS_OK, "%s",
                     addresses[i].text);
        cr_assert_str_eq(address.host, addresses[i].host);
        cr_assert_eq(address.port, addresses[i].port);
    }
}

Test(address, of_another_form_is_refused_and_nothing_written)
{
    static const char *const wrong[] = {
        "",           ":5555",      "host:",
        "host:0",     "host:65533", /* three ports stand behind it */
        "host:65536", "host:-1",    "host:+1",
        "host:1x",    "host: 1",    "[::1",
        "[::1]5555",  "[]:5555",    "[::1]:",
        "a b",        "tcp://host", "ho\nst",
        "h\xc3\xb1",  "a]",         "host:99999999999999999999999999",
        "host:1:2",   "host::5555", "10.0.0.1:5555:",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct address address = {.host = "kept", .port = PORT_DEFAULT};
        cr_assert_eq(address_parse(wrong[i], &address), STATUS_INVALID, "%s", wrong[i]);
        cr_assert_str_eq(address.host, "kept");
        cr_assert_eq(address.port, PORT_DEFAULT);
    }
}

Test(address, may_fill_the_room_for_the_host)
{
    char text[TEXT_BYTES_MAX + 1];
    struct address address = {.port = 1};
    memset(text, 'a', sizeof text);
    text[TEXT_BYTES_MAX - 1] = '\0';
    cr_assert_eq(address_parse(text, &address), STATUS_OK);
    cr_assert_str_eq(address.host, text);
    text[TEXT_BYTES_MAX - 1] = 'a';
    text[TEXT_BYTES_MAX] = '\0';
    cr_assert_eq(address_parse(text, &address), STATUS_INVALID);
}

Test(address, in_digits_is_no_name)
{
    cr_assert(address_is_literal("192.0.2.1"));
    cr_assert(address_is_literal("::1"));
    cr_assert_not(address_is_literal("localhost"));
    cr_assert_not(address_is_literal("*"));
}

Test(address, knows_which_hosts_are_this_machine)
{
    static const char *const own[] = {"*", "127.0.0.1", "127.9.8.7", "localhost", "0.0.0.0"};
    static const char *const foreign[] = {"192.0.2.1", "no-such-host.invalid", "2001:db8::1"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        cr_assert(address_is_local(own[i]), "%s", own[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        cr_assert_not(address_is_local(foreign[i]), "%s", foreign[i]);
}

Test(address, knows_which_hosts_cannot_be_reached_from_outside)
{
    static const char *const inside[] = {"127.0.0.1", "127.9.8.7", "::1", "localhost"};
    static const char *const outside[] = {"0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        cr_assert(address_is_loopback(inside[i]), "%s", inside[i]);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        cr_assert_not(address_is_loopback(outside[i]), "%s", outside[i]);
}

Test(address, resolves_a_name_of_both_kinds_to_ipv4)
{
    char digits[NI_MAXHOST] = "";
    cr_assert_null(address_resolve("localhost", digits, sizeof digits));
    cr_assert_str_eq(digits, "127.0.0.1");
    cr_assert_null(address_resolve("::1", digits, sizeof digits));
    cr_assert_str_eq(digits, "::1");
    cr_assert_not_null(address_resolve("no-such-host.invalid", digits, sizeof digits));
}
