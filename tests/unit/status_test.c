/* Statuses have a name, a sentence and an exit code each; CHECK ends the process. */
#include "proto/wire/status.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "proto/wire/check.h"

static const enum status every_status[] = {
#define X(name, value, exit, text) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};
enum { STATUSES_COUNT = sizeof every_status / sizeof every_status[0] };

Test(status, has_distinct_values_of_which_only_ok_is_not_negative, .timeout = 10)
{
    cr_assert_eq(STATUS_OK, 0);
    for (size_t i = 1; i < STATUSES_COUNT; i++) {
        cr_assert_lt(every_status[i], 0);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(every_status[i], every_status[j]);
    }
}

Test(status, text_is_a_lower_case_sentence_without_full_stop, .timeout = 10)
{
    for (size_t i = 0; i < STATUSES_COUNT; i++) {
        const char *text = status_text(every_status[i]);
        cr_assert(islower((unsigned char)text[0]), "%s", text);
        cr_assert_neq(text[strlen(text) - 1], '.', "%s", text);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(text, status_text(every_status[j]));
    }
    cr_assert_str_eq(status_text(STATUS_FULL), "no space left");
}

Test(status, exit_codes_are_those_of_sysexits, .timeout = 10)
{
    cr_assert_eq(status_exit_code(STATUS_OK), EX_OK);
    cr_assert_eq(status_exit_code(STATUS_USAGE), EX_USAGE);
    cr_assert_eq(status_exit_code(STATUS_CONFLICT), EX_DATAERR);
    cr_assert_eq(status_exit_code(STATUS_NO_INPUT), EX_NOINPUT);
    cr_assert_eq(status_exit_code(STATUS_UNREACHABLE), EX_UNAVAILABLE);
    cr_assert_eq(status_exit_code(STATUS_CANNOT_CREATE), EX_CANTCREAT);
    cr_assert_eq(status_exit_code(STATUS_SYNC), EX_IOERR);
    cr_assert_eq(status_exit_code(STATUS_INTERRUPTED), EX_TEMPFAIL);
    cr_assert_eq(status_exit_code(STATUS_PROTOCOL), EX_PROTOCOL);
    cr_assert_eq(status_exit_code(STATUS_FENCED), EX_CONFIG);
    for (size_t i = 1; i < STATUSES_COUNT; i++) {
        cr_assert_geq(status_exit_code(every_status[i]), EX__BASE);
        cr_assert_leq(status_exit_code(every_status[i]), EX__MAX);
    }
}

Test(status, unknown_value_is_called_so, .timeout = 10)
{
    enum status unknown = (enum status) - 1000;
    cr_assert_str_eq(status_text(unknown), "unknown status");
    cr_assert_eq(status_exit_code(unknown), EX_SOFTWARE);
}

Test(check, passes_over_what_holds, .timeout = 10)
{
    int evaluated = 0;
    CHECK(++evaluated == 1);
    cr_assert_eq(evaluated, 1);
}

Test(check, aborts_where_a_condition_does_not_hold, .timeout = 10, .signal = SIGABRT)
{
    CHECK(STATUS_OK != 0);
}
