/* The worker's options: their defaults and where they go. What is wrong ends the program with 64,
 * so those tests pass by their exit code. */
#include "worker/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { ARGUMENTS_MAX = 8 };

static void read_command(struct command *command, const char *const *given)
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
    worker_command_read(count, arguments, command);
}

TestSuite(command, .timeout = 10);

Test(command, has_the_documented_defaults)
{
    struct command command;
    read_command(&command, (const char *const[]){NULL});
    cr_expect_str_eq(command.loop.broker.host, "localhost");
    cr_expect_eq(command.loop.broker.port, PORT_DEFAULT);
    cr_expect_str_eq(command.store, "data/workers");
    cr_expect_eq(command.workers, 1);
    cr_expect_eq(command.loop.intake.commit_ms, 10);
    cr_expect_eq(command.loop.intake.commit_bytes, 4 << 20);
}

Test(command, takes_every_option)
{
    struct command command;
    read_command(&command,
                 (const char *const[]){"--broker=there:6000", "--store=here", "--workers=3",
                                       "--commit-ms=250", "--commit-bytes=65536", NULL});
    cr_expect_str_eq(command.loop.broker.host, "there");
    cr_expect_eq(command.loop.broker.port, 6000);
    cr_expect_str_eq(command.store, "here");
    cr_expect_eq(command.workers, 3);
    cr_expect_eq(command.loop.intake.commit_ms, 250);
    cr_expect_eq(command.loop.intake.commit_bytes, 65536);
}

Test(command, the_environment_is_read_and_the_command_line_wins)
{
    struct command command;
    setenv("SORTEO_COMMIT_MS", "20", 1);
    setenv("SORTEO_COMMIT_BYTES", "1000", 1);
    read_command(&command, (const char *const[]){"--commit-ms=30", NULL});
    cr_expect_eq(command.loop.intake.commit_ms, 30);
    cr_expect_eq(command.loop.intake.commit_bytes, 1000);
}

Test(command, a_broker_that_is_no_address_is_usage, .exit_code = EX_USAGE)
{
    struct command command;
    read_command(&command, (const char *const[]){"--broker=there:0", NULL});
}

Test(command, no_worker_at_all_is_usage, .exit_code = EX_USAGE)
{
    struct command command;
    read_command(&command, (const char *const[]){"--workers=0", NULL});
}
