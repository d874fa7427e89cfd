/* One table of options; its rows are made by a function for each type. */
#include "agency/settings.h"

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

static struct option text(const char *name, const char *argument, const char **value,
                          const char *course, const char *help)
{
    return (struct option){.name = name,
                           .argument = argument,
                           .type = OPTION_TEXT,
                           .value = (void *)value,
                           .course = course,
                           .help = help};
}

struct bounds {
    uint64_t min;
    uint64_t max;
};

static struct option number(const char *name, const char *argument, uint64_t *value,
                            struct bounds bounds, const char *course, const char *help)
{
    return (struct option){.name = name,
                           .argument = argument,
                           .type = OPTION_NUMBER,
                           .value = value,
                           .min = bounds.min,
                           .max = bounds.max,
                           .course = course,
                           .help = help};
}

static struct option flag(const char *name, bool *value, const char *help)
{
    return (struct option){.name = name, .type = OPTION_FLAG, .value = value, .help = help};
}

static struct option bad_rows(int *value)
{
    return (struct option){.name = "bad-rows",
                           .argument = "stop|skip",
                           .type = OPTION_CHOICE,
                           .value = value,
                           .choices = bad_rows_choices,
                           .help = "stop at a row that is no bet, or skip it and list it in "
                                   "OUTPUT.rejects.csv"};
}

enum { OPTIONS = 15 };

static void list_options(struct values *v, struct option options[OPTIONS])
{
    const struct bounds ports = {1, PORT_MAX};
    const struct bounds ids = {0, UINT32_MAX};
    const struct bounds draws = {1, UINT32_MAX};
    const struct bounds bets = {1, BATCH_BETS_MAX};
    const struct bounds bytes = {BATCH_BYTES_MIN, BATCH_BYTES_MAX};
    const struct bounds in_flight = {0, BATCHES_MAX};
    const struct bounds tries = {1, RETRIES_MAX};
    const struct bounds some_time = {1, SECONDS_MAX};
    const struct bounds any_time = {0, SECONDS_MAX};
    struct option *next = options;

    *next++ = text("broker", "HOST[:PORT]", &v->broker, "SERVER_HOST", "where the broker is");
    *next++ =
        number("port", "P", &v->port, ports, "SERVER_PORT", "its port, where --broker names none");
    *next = number("id", "N", &v->id, ids, "AGENCY_ID", "number of this agency; 0 is valid");
    next++->is_set = &v->has_id;
    *next++ = text("input", "FILE", &v->input, "INPUT_FILE",
                   "CSV file with the bets; - reads standard input");
    *next++ = text("output", "FILE", &v->output, "OUTPUT_FILE", "where the winning rows go");
    *next++ = number("draw", "ID", &v->draw, draws, NULL, "the draw to take part in");
    *next++ =
        number("batch-bets", "N", &v->batch_bets, bets, "BATCH_SIZE", "bets in a batch at most");
    *next++ = number("batch-bytes", "N", &v->batch_bytes, bytes, NULL, "bytes in a batch at most");
    *next++ = number("in-flight-batches", "N", &v->in_flight_batches, in_flight, NULL,
                     "batches sent and not acknowledged at most; 0: as the broker advises");
    *next++ = flag("start-over", &v->starts_over,
                   "drop what this agency has sent for the draw and begin anew");
    *next++ = bad_rows(&v->bad_rows);
    *next++ =
        flag("check", &v->checks, "only read the input and report every bad row; exits 0 or 65");
    *next++ = number("connect-timeout", "S", &v->connect_timeout_s, some_time, NULL,
                     "seconds to wait for the broker's first answer");
    *next++ = number("retries", "N", &v->retries, tries, NULL,
                     "requests in a row that may stay unanswered later; 30: about three minutes");
    *next++ = number("wait-timeout", "S", &v->wait_timeout_s, any_time, NULL,
                     "give up when nothing has moved for S seconds; 0: wait as long as it takes");
}

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

void settings_read(int argc, char **argv, struct settings *settings)
{
    struct values values = {
        .port = PORT_DEFAULT,
        .draw = 1,
        .batch_bets = BATCH_BETS_MAX,
        .batch_bytes = BATCH_BYTES_DEFAULT,
        .connect_timeout_s = CONNECT_TIMEOUT_S,
        .retries = RETRIES,
    };
    struct option options[OPTIONS];
    list_options(&values, options);
    const struct program program = {
        .name = "sorteo-agency",
        .arguments = "",
        .summary = summary,
        .details = details,
        .options = options,
        .options_count = OPTIONS,
    };
    (void)options_read(&program, argc, argv);
    require(&program, &values);
    *settings = (struct settings){
        .broker = {.port = (uint16_t)values.port},
        .terms = terms_of(&values),
        .input = values.input,
        .output = values.output,
        .checks = values.checks,
    };
    if (values.broker != NULL && address_parse(values.broker, &settings->broker) != STATUS_OK)
        options_fail(&program,
                     "--broker '%s' is not of the form HOST[:PORT], with a port from 1 to %d",
                     values.broker, PORT_MAX);
}
