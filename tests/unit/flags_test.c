/* Each option of sorteo-worker reaches what it sets. What is wrong ends the program: a child says
 * so. */
#include "worker/flags.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { ARGUMENTS_MAX = 8 };

static void read_flags(struct flags *flags, const char *const *given)
{
    static char room[ARGUMENTS_MAX][64];
    char *arguments[ARGUMENTS_MAX + 1] = {room[0]};
    int count = 1;
    snprintf(room[0], sizeof room[0], "sorteo-worker");
    for (; given[count - 1] != NULL; count++) {
        cr_assert_lt(count, ARGUMENTS_MAX);
        snprintf(room[count], sizeof room[count], "%s", given[count - 1]);
        arguments[count] = room[count];
    }
    arguments[count] = NULL;
    flags_read(count, arguments, flags);
}

TestSuite(flags, .timeout = 10);

Test(flags, have_the_documented_defaults)
{
    struct flags flags;
    read_flags(&flags, (const char *const[]){NULL});
    cr_expect_str_eq(flags.loop.broker.host, "localhost");
    cr_expect_eq(flags.loop.broker.port, PORT_DEFAULT);
    cr_expect_str_eq(flags.store, "data/workers");
    cr_expect_eq(flags.workers, 1);
    cr_expect_eq(flags.loop.intake.commit_ms, 10);
    cr_expect_eq(flags.loop.intake.commit_bytes, 4 << 20);
}

Test(flags, each_reaches_its_setting)
{
    struct flags flags;
    read_flags(&flags, (const char *const[]){"--broker=there:6000", "--store=here", "--workers=3",
                                             "--commit-ms=250", "--commit-bytes=65536", NULL});
    cr_expect_str_eq(flags.loop.broker.host, "there");
    cr_expect_eq(flags.loop.broker.port, 6000);
    cr_expect_str_eq(flags.store, "here");
    cr_expect_eq(flags.workers, 3);
    cr_expect_eq(flags.loop.intake.commit_ms, 250);
    cr_expect_eq(flags.loop.intake.commit_bytes, 65536);
}

Test(flags, the_environment_is_read_and_the_command_line_wins)
{
    struct flags flags;
    setenv("SORTEO_COMMIT_MS", "20", 1);
    setenv("SORTEO_COMMIT_BYTES", "1000", 1);
    read_flags(&flags, (const char *const[]){"--commit-ms=30", NULL});
    cr_expect_eq(flags.loop.intake.commit_ms, 30);
    cr_expect_eq(flags.loop.intake.commit_bytes, 1000);
}

Test(flags, a_broker_that_is_no_address_is_usage, .exit_code = EX_USAGE)
{
    struct flags flags;
    read_flags(&flags, (const char *const[]){"--broker=there:0", NULL});
}

Test(flags, no_worker_at_all_is_usage, .exit_code = EX_USAGE)
{
    struct flags flags;
    read_flags(&flags, (const char *const[]){"--workers=0", NULL});
}
