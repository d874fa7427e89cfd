/* One table of options, and the rules between them. */
#include "agency/command.h"

#include <string.h>

#include "proto/host/options.h"

enum {
    CONNECT_TIMEOUT_S = 30,
    RETRIES = 30, /* 3 s, 6 s, 12 s for three requests each, then 8 s each: three minutes */
    RETRIES_MAX = 1000000,
    SECONDS_MAX = 31536000, /* a year */
    BAD_ROWS_SKIP = 1,      /* index into bad_rows_choices */
};

static const char *const bad_rows_choices[] = {"stop", "skip", NULL};

/* What options_read fills in. */
struct values {
    const char *broker;
    uint64_t port;
    uint64_t id;
    bool has_id;
    const char *input;
    const char *output;
    uint64_t draw;
    uint64_t batch_bets;
    uint64_t batch_bytes;
    uint64_t in_flight_batches;
    bool starts_over;
    int bad_rows;
    bool checks;
    uint64_t connect_timeout_s;
    uint64_t retries;
    uint64_t wait_timeout_s;
};

static const char summary[] =
    "Sends the bets of one CSV file to the broker, waits for the draw and writes the rows that "
    "won.";

static const char details[] =
    "The input has five columns, no header: first name, last name, document, birthdate "
    "(YYYY-MM-DD), number. The output has the winning rows as they stand in the input, in its "
    "order, and is empty when nobody won.\n\n"
    "Example: sorteo-agency --broker localhost --id 1 --input agency-1.csv --output "
    "winners-1.csv\n\n"
    "Exit codes: 0 the winners are on disk; 64 usage; 65 bad data or a conflict; 66 no input; 69 "
    "the broker cannot be reached; 73, 74 output or disk; 75 interrupted, void or superseded: safe "
    "to run again; 76 protocol mismatch or a wrong result; 78 configuration.";

/* What cannot have a default. */
static void require(const struct program *program, const struct values *values)
{
    if (values->input == NULL)
        options_fail(program, "--input is missing: which file has the bets?");
    if (values->checks)
        return;
    if (values->broker == NULL)
        options_fail(program, "--broker is missing: where is the broker?");
    if (!values->has_id)
        options_fail(program, "--id is missing: which agency is this?");
    if (values->output == NULL)
        options_fail(program, "--output is missing: where do the winning rows go?");
}

/* Not found out by a file of that name. */
static void refuse_standard_output(const struct program *program, const char *output)
{
    if (output != NULL && strcmp(output, "-") == 0)
        options_fail(program, "--output is '-', but it takes a file: the winners appear there "
                              "whole or not at all");
}

static struct agency_terms terms_of(const struct values *values)
{
    return (struct agency_terms){
        .draw = (uint32_t)values->draw,
        .id = (uint32_t)values->id,
        .plan =
            {
                .bets_max = (uint32_t)values->batch_bets,
                .bytes_max = (uint32_t)values->batch_bytes,
                .skips_bad_rows = values->bad_rows == BAD_ROWS_SKIP,
            },
        .starts_over = values->starts_over,
        .in_flight_batches_max = (uint32_t)values->in_flight_batches,
        .retries_max = (uint32_t)values->retries,
        .connect_timeout_ms = (int64_t)values->connect_timeout_s * 1000,
        .wait_timeout_ms = (int64_t)values->wait_timeout_s * 1000,
    };
}

void agency_command_read(int argc, char **argv, struct command *command)
{
    struct values v = {
        .port = PORT_DEFAULT,
        .draw = 1,
        .batch_bets = BATCH_BETS_MAX,
        .batch_bytes = BATCH_BYTES_DEFAULT,
        .connect_timeout_s = CONNECT_TIMEOUT_S,
        .retries = RETRIES,
    };
    const struct option options[] = {
        {"broker", "HOST[:PORT]", OPTION_TEXT, &v.broker, 0, 0, NULL, "SERVER_HOST", NULL,
         "where the broker is"},
        {"port", "P", OPTION_NUMBER, &v.port, 1, PORT_MAX, NULL, "SERVER_PORT", NULL,
         "its port, where --broker names none"},
        {"id", "N", OPTION_NUMBER, &v.id, 0, UINT32_MAX, NULL, "AGENCY_ID", &v.has_id,
         "number of this agency; 0 is valid"},
        {"input", "FILE", OPTION_TEXT, &v.input, 0, 0, NULL, "INPUT_FILE", NULL,
         "CSV file with the bets; - reads standard input"},
        {"output", "FILE", OPTION_TEXT, &v.output, 0, 0, NULL, "OUTPUT_FILE", NULL,
         "the file that the winning rows go to"},
        {"draw", "ID", OPTION_NUMBER, &v.draw, 1, UINT32_MAX, NULL, NULL, NULL,
         "the draw to take part in"},
        {"batch-bets", "N", OPTION_NUMBER, &v.batch_bets, 1, BATCH_BETS_MAX, NULL, "BATCH_SIZE",
         NULL, "bets in a batch at most"},
        {"batch-bytes", "N", OPTION_NUMBER, &v.batch_bytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX, NULL,
         NULL, NULL, "bytes in a batch at most"},
        {"in-flight-batches", "N", OPTION_NUMBER, &v.in_flight_batches, 0, BATCHES_MAX, NULL, NULL,
         NULL, "batches sent and not acknowledged at most; 0: as the broker advises"},
        {"start-over", NULL, OPTION_FLAG, &v.starts_over, 0, 0, NULL, NULL, NULL,
         "drop what this agency has sent for the draw and begin anew"},
        {"bad-rows", "stop|skip", OPTION_CHOICE, &v.bad_rows, 0, 0, bad_rows_choices, NULL, NULL,
         "stop at a row that is no bet, or skip it and list it in OUTPUT.rejects.csv"},
        {"check", NULL, OPTION_FLAG, &v.checks, 0, 0, NULL, NULL, NULL,
         "only read the input and report every bad row; exits 0 or 65"},
        {"connect-timeout", "S", OPTION_NUMBER, &v.connect_timeout_s, 1, SECONDS_MAX, NULL, NULL,
         NULL, "seconds to wait for the broker's first answer"},
        {"retries", "N", OPTION_NUMBER, &v.retries, 1, RETRIES_MAX, NULL, NULL, NULL,
         "requests in a row that may stay unanswered later; 30: about three minutes"},
        {"wait-timeout", "S", OPTION_NUMBER, &v.wait_timeout_s, 0, SECONDS_MAX, NULL, NULL, NULL,
         "give up when nothing has moved for S seconds; 0: wait as long as it takes"},
    };
    const struct program program = {
        "sorteo-agency", "", summary, details, options, sizeof(options) / sizeof(options[0]),
    };
    (void)options_read(&program, argc, argv);
    require(&program, &v);
    refuse_standard_output(&program, v.output);
    *command = (struct command){
        .loop = {.broker = {.port = (uint16_t)v.port},
                 .agency = terms_of(&v),
                 .input = v.input,
                 .output = v.output},
        .checks = v.checks,
    };
    if (v.broker != NULL && address_parse(v.broker, &command->loop.broker) != STATUS_OK)
        options_fail(&program,
                     "--broker '%s' is not of the form HOST[:PORT], with a port from 1 to %d",
                     v.broker, PORT_MAX);
}
