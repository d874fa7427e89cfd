/* The agency's options: their defaults, where they go, and the rules between them. What is wrong
 * ends the program with 64, so those tests pass by their exit code. */
#include "agency/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin(void)
{
    clearenv();
}

TestSuite(command, .init = begin, .timeout = 10);

enum { ARGUMENTS_MAX = 14, ARGUMENT_BYTES_MAX = 512 };

#define NEEDED "--broker=b", "--id=3", "--input=in", "--output=out"

static const struct command *read_arguments(const char *const arguments[ARGUMENTS_MAX])
{
    static struct command command;
    static char *argv[ARGUMENTS_MAX + 2] = {"sorteo-agency"};
    static char room[ARGUMENTS_MAX][ARGUMENT_BYTES_MAX]; /* the command borrows what is text */
    int argc = 1;
    for (int index = 0; index < ARGUMENTS_MAX && arguments[index] != NULL; index++) {
        int bytes = snprintf(room[index], ARGUMENT_BYTES_MAX, "%s", arguments[index]);
        cr_assert_lt(bytes, ARGUMENT_BYTES_MAX);
        argv[argc++] = room[index];
    }
    argv[argc] = NULL;
    agency_command_read(argc, argv, &command);
    return &command;
}

#define READ(...) read_arguments((const char *const[ARGUMENTS_MAX]){__VA_ARGS__})

Test(command, has_the_defaults_of_the_page)
{
    const struct command *command = READ(NEEDED);
    const struct agency_terms *terms = &command->loop.agency;
    cr_assert_eq(command->loop.broker.port, 5555);
    cr_assert_not(command->checks);
    cr_assert_eq(terms->draw, 1);
    cr_assert_eq(terms->plan.bets_max, BATCH_BETS_MAX);
    cr_assert_eq(terms->plan.bytes_max, BATCH_BYTES_DEFAULT);
    cr_assert_not(terms->plan.skips_bad_rows);
    cr_assert_not(terms->starts_over);
    cr_assert_eq(terms->in_flight_batches_max, 0);
    cr_assert_eq(terms->retries_max, 30);
    cr_assert_eq(terms->connect_timeout_ms, 30000);
    cr_assert_eq(terms->wait_timeout_ms, 0);
}

Test(command, takes_where_broker_and_files_are)
{
    const struct command *command = READ(NEEDED, "--port=77");
    cr_assert_str_eq(command->loop.broker.host, "b");
    cr_assert_eq(command->loop.broker.port, 77);
    cr_assert_eq(command->loop.agency.id, 3);
    cr_assert_str_eq(command->loop.input, "in");
    cr_assert_str_eq(command->loop.output, "out");
}

Test(command, takes_every_term)
{
    const struct agency_terms *terms =
        &READ(NEEDED, "--draw=7", "--batch-bets=9", "--batch-bytes=1024", "--in-flight-batches=5",
              "--start-over", "--bad-rows=skip", "--connect-timeout=2", "--retries=4",
              "--wait-timeout=6")
             ->loop.agency;
    cr_assert_eq(terms->draw, 7);
    cr_assert_eq(terms->plan.bets_max, 9);
    cr_assert_eq(terms->plan.bytes_max, 1024);
    cr_assert_eq(terms->in_flight_batches_max, 5);
    cr_assert(terms->starts_over);
    cr_assert(terms->plan.skips_bad_rows);
    cr_assert_eq(terms->connect_timeout_ms, 2000);
    cr_assert_eq(terms->retries_max, 4);
    cr_assert_eq(terms->wait_timeout_ms, 6000);
}

Test(command, reads_the_courses_variables)
{
    setenv("SERVER_HOST", "localhost", 1);
    setenv("SERVER_PORT", "12345", 1);
    setenv("AGENCY_ID", "0", 1);
    setenv("INPUT_FILE", "in", 1);
    setenv("OUTPUT_FILE", "out", 1);
    setenv("BATCH_SIZE", "11", 1);
    const struct command *command = READ(NULL);
    cr_assert_str_eq(command->loop.broker.host, "localhost");
    cr_assert_eq(command->loop.broker.port, 12345);
    cr_assert_eq(command->loop.agency.id, 0);
    cr_assert_str_eq(command->loop.input, "in");
    cr_assert_str_eq(command->loop.output, "out");
    cr_assert_eq(command->loop.agency.plan.bets_max, 11);
}

Test(command, needs_only_the_input_to_check_it)
{
    cr_assert(READ("--check", "--input=in")->checks);
}

#define REFUSES(name, ...)               \
    Test(command, name, .exit_code = 64) \
    {                                    \
        READ(__VA_ARGS__);               \
    }

REFUSES(refuses_no_broker, "--id=3", "--input=in", "--output=out")
REFUSES(refuses_no_id, "--broker=b", "--input=in", "--output=out")
REFUSES(refuses_no_input, "--broker=b", "--id=3", "--output=out")
REFUSES(refuses_no_output, "--broker=b", "--id=3", "--input=in")
REFUSES(refuses_standard_output, "--broker=b", "--id=3", "--input=in", "--output=-")
REFUSES(refuses_to_check_nothing, "--check")
REFUSES(refuses_a_broker_of_another_form, NEEDED, "--broker=b:0")
REFUSES(refuses_batches_too_small_for_a_bet, NEEDED, "--batch-bytes=511")
REFUSES(refuses_no_patience_at_all, NEEDED, "--connect-timeout=0")
