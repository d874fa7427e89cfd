/* The broker's options: their defaults, where they go, and every rule between them. What is wrong
 * ends the program with 64, so those tests pass by their exit code. */
#include "broker/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void begin(void)
{
    clearenv();
}

TestSuite(command, .init = begin, .timeout = 10);

enum { ARGUMENTS_MAX = 8, ARGUMENT_BYTES_MAX = 512 };

static struct command *read_arguments(const char *const arguments[ARGUMENTS_MAX])
{
    static struct command command;
    static char *argv[ARGUMENTS_MAX + 2] = {"sorteo-broker"};
    static char room[ARGUMENTS_MAX][ARGUMENT_BYTES_MAX]; /* the command borrows what is text */
    int argc = 1;
    for (int index = 0; index < ARGUMENTS_MAX && arguments[index] != NULL; index++) {
        int bytes = snprintf(room[index], ARGUMENT_BYTES_MAX, "%s", arguments[index]);
        cr_assert_lt(bytes, ARGUMENT_BYTES_MAX);
        argv[argc++] = room[index];
    }
    argv[argc] = NULL;
    broker_command_read(argc, argv, &command);
    return &command;
}

#define READ(...) read_arguments((const char *const[ARGUMENTS_MAX]){__VA_ARGS__})

Test(command, has_the_defaults_of_the_page)
{
    const struct command *command = READ("--agencies", "5");
    const struct broker_options *broker = &command->broker;
    const struct terms *terms = &broker->terms;
    cr_assert_eq(terms->agencies_required, 5);
    cr_assert_null(terms->roster);
    cr_assert_eq(terms->number.draw, 1);
    cr_assert_eq(terms->number.range_first, 0);
    cr_assert_eq(terms->number.range_last, 9999);
    cr_assert_not(terms->number.is_given);
    cr_assert_eq(terms->barrier_timeout_ms, 0);
    cr_assert_eq(terms->on_timeout, TIMEOUT_VOID);
    cr_assert_eq(terms->quorum, 1);
    cr_assert_eq(broker->draws, 1);
    cr_assert_eq(broker->linger_ms, 30000);
    cr_assert_eq(broker->store_grace_ms, 10000);
    cr_assert_eq(broker->lease_ms, LEASE_MS);
    cr_assert_eq(broker->queue_bytes, QUEUE_BYTES_DEFAULT);
    cr_assert_eq(broker->recover_stores, 0);
    cr_assert_eq(broker->void_draw, 0);
    cr_assert_str_eq(command->address.host, "127.0.0.1");
    cr_assert_eq(command->address.port, 5555);
    cr_assert_str_eq(command->folder, "data/broker");
}

Test(command, takes_every_term_of_a_draw)
{
    const struct command *command =
        READ("--agencies=3", "--draw=7", "--winning-number=7574", "--number-range=7000-4294967295",
             "--barrier-timeout=90", "--on-timeout=draw", "--quorum=3", "--draws=0");
    const struct terms *terms = &command->broker.terms;
    cr_assert_eq(terms->number.draw, 7);
    cr_assert(terms->number.is_given);
    cr_assert_eq(terms->number.given, 7574);
    cr_assert_eq(terms->number.range_first, 7000);
    cr_assert_eq(terms->number.range_last, 4294967295);
    cr_assert_eq(terms->barrier_timeout_ms, 90000);
    cr_assert_eq(terms->on_timeout, TIMEOUT_DRAW);
    cr_assert_eq(terms->quorum, 3);
    cr_assert_eq(command->broker.draws, 0);
}

Test(command, takes_what_belongs_to_this_process)
{
    const struct command *command = READ("--agencies=3", "--linger=0", "--store-grace=7",
                                         "--recover=2", "--void=4", "--data=d", "--memory=64");
    cr_assert_eq(command->broker.linger_ms, 0);
    cr_assert_eq(command->broker.store_grace_ms, 7000);
    cr_assert_eq(command->broker.recover_stores, 2);
    cr_assert_eq(command->broker.void_draw, 4);
    cr_assert_eq(command->broker.queue_bytes, 64 << 20);
    cr_assert_str_eq(command->folder, "d");
}

Test(command, waits_for_all_of_a_roster)
{
    const struct command *command = READ("--roster", "9,1,5-7");
    static const uint32_t ids[] = {1, 5, 6, 7, 9};
    cr_assert_eq(command->broker.terms.agencies_required, 5);
    cr_assert_eq(command->broker.terms.roster_count, 5);
    cr_assert_eq(memcmp(command->broker.terms.roster, ids, sizeof(ids)), 0);
    cr_assert_eq(READ("--roster=3", "--agencies=1")->broker.terms.roster_count, 1);
}

Test(command, reads_the_courses_variables)
{
    setenv("AGENCY_QUORUM_MIN", "4", 1);
    setenv("SERVER_HOST", "localhost", 1);
    setenv("SERVER_PORT", "12345", 1);
    const struct command *command = READ(NULL);
    cr_assert_eq(command->broker.terms.agencies_required, 4);
    cr_assert_str_eq(command->address.host, "localhost");
    cr_assert_eq(command->address.port, 12345);
}

Test(command, binds_what_it_is_told_where_that_is_insecure_and_said_so)
{
    cr_assert_str_eq(READ("--agencies=1", "--bind=*", "--insecure")->address.host, "*");
    cr_assert_str_eq(READ("--agencies=1", "--bind=192.0.2.1", "--insecure")->address.host,
                     "192.0.2.1", "a foreign address in digits is told by the binding");
    cr_assert_str_eq(READ("--agencies=1", "--bind=127.9.9.9")->address.host, "127.9.9.9");
}

Test(command, binds_every_interface_for_a_name_that_is_not_this_machines)
{
    cr_assert_str_eq(READ("--agencies=1", "--bind=sorteo.invalid", "--insecure")->address.host,
                     "*");
}

#define REFUSES(name, ...)               \
    Test(command, name, .exit_code = 64) \
    {                                    \
        READ(__VA_ARGS__);               \
    }

REFUSES(refuses_to_wait_for_an_unknown_number_of_agencies, "--draw=1")
REFUSES(refuses_no_agencies, "--agencies=0")
REFUSES(refuses_more_agencies_than_a_draw_has, "--agencies=1025")
REFUSES(refuses_a_roster_of_another_form, "--roster=1,,2")
REFUSES(refuses_a_roster_that_names_one_twice, "--roster=1,1")
REFUSES(refuses_a_roster_that_is_too_long, "--roster=1-1025")
REFUSES(refuses_a_roster_of_another_size_than_agencies, "--roster=1-3", "--agencies=2")
REFUSES(refuses_a_quorum_above_the_agencies, "--agencies=2", "--quorum=3", "--barrier-timeout=9",
        "--on-timeout=draw")
REFUSES(refuses_a_range_without_a_dash, "--agencies=1", "--number-range=9")
REFUSES(refuses_a_range_without_an_end, "--agencies=1", "--number-range=9-")
REFUSES(refuses_a_range_with_more_behind_it, "--agencies=1", "--number-range=1-9x")
REFUSES(refuses_a_range_that_is_turned_round, "--agencies=1", "--number-range=9-8")
REFUSES(refuses_a_range_beyond_32_bits, "--agencies=1", "--number-range=0-4294967296")
REFUSES(refuses_a_winning_number_in_words, "--agencies=1", "--winning-number=seven")
REFUSES(refuses_a_winning_number_above_the_range, "--agencies=1", "--winning-number=10000")
REFUSES(refuses_a_winning_number_below_the_range, "--agencies=1", "--winning-number=1",
        "--number-range=2-3")
REFUSES(refuses_draws_beyond_the_last_id, "--agencies=1", "--draw=4294967295", "--draws=2")
REFUSES(refuses_an_action_on_a_timeout_that_never_comes, "--agencies=2", "--on-timeout=draw")
REFUSES(refuses_a_quorum_where_a_timeout_voids, "--agencies=2", "--barrier-timeout=9", "--quorum=2")
REFUSES(refuses_another_action_on_timeout, "--agencies=1", "--on-timeout=wait")
REFUSES(refuses_every_interface_without_insecure, "--agencies=1", "--bind=*")
REFUSES(refuses_a_foreign_name_without_insecure, "--agencies=1", "--bind=sorteo.invalid")
REFUSES(refuses_a_foreign_address_without_insecure, "--agencies=1", "--bind=192.0.2.1")
REFUSES(refuses_a_port_without_room_for_four, "--agencies=1", "--port=65533")
REFUSES(refuses_what_is_no_option, "--agencies=1", "surplus")
