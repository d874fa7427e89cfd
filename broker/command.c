/* One table of options and the rules between them. Whatever is wrong with them is a wrong command
 * line (64): it stands in what was typed or set, and a second try cannot end better. */
#include "broker/command.h"

#include <stdlib.h>
#include <string.h>

#include "proto/host/options.h"

enum {
    SECONDS_MAX = 31536000, /* a year */
    QUEUE_MIB_MAX = 65536,
    MIB = 1024 * 1024,
};

_Static_assert((uint64_t)QUEUE_MIB_MAX *MIB / BATCH_WEIGHT_EXTRA_BYTES < UINT32_MAX / 2,
               "the places of the queue are counted in 32 bits (dispatch_create)");

/* What options_read fills in. */
struct values {
    uint64_t agencies;
    bool has_agencies;
    const char *roster;
    bool has_roster;
    uint64_t draw;
    uint64_t draws;
    uint64_t linger_s;
    const char *winning_number;
    const char *number_range;
    uint64_t barrier_timeout_s;
    int on_timeout; /* enum timeout_action */
    uint64_t quorum;
    bool has_quorum;
    uint64_t store_grace_s;
    uint64_t recover;
    bool has_recover;
    uint64_t void_draw;
    bool has_void;
    const char *bind;
    uint64_t port;
    const char *folder;
    uint64_t memory_mib;
    bool is_insecure;
};

static const char *const timeout_actions[] =
    {[TIMEOUT_VOID] = "void", [TIMEOUT_DRAW] = "draw", NULL};

static const char details[] =
    "Example: sorteo-broker --agencies 5\n"
    "\n"
    "It binds four ports: --port and the three behind it. The journal is for one broker at a time: "
    "a second one on the same journal takes over, and the first one ends before it writes again.\n"
    "\n"
    "Exit codes: 0 every draw is over, or SIGTERM; 64 usage; 73, 74 the journal's folder or disk; "
    "75 "
    "the port or the journal is in use: try again; 78 do not start it again unasked: a newer "
    "broker "
    "has taken over, the draw opened with other options, or the journal is not the stores'.";

static void read_number(const struct program *program, const struct values *values,
                        struct manifest_terms *terms)
{
    if (options_parse_range(values->number_range, &terms->range_first, &terms->range_last) !=
        STATUS_OK)
        options_fail(program,
                     "--number-range '%s' is not of the form A-B, with A at most B and both at "
                     "most 4294967295",
                     values->number_range);
    if (strcmp(values->winning_number, "random") == 0)
        return;
    terms->is_given = true;
    uint64_t given = 0;
    if (options_parse_number(values->winning_number, &given) != STATUS_OK || given > UINT32_MAX)
        options_fail(program, "--winning-number '%s' is neither a number nor 'random'",
                     values->winning_number);
    terms->given = (uint32_t)given;
    if (terms->given < terms->range_first || terms->given > terms->range_last)
        options_fail(program, "--winning-number %s is outside --number-range %s",
                     values->winning_number, values->number_range);
}

static void read_members(const struct program *program, const struct values *values,
                         struct command *command)
{
    struct terms *terms = &command->broker.terms;
    if (!values->has_agencies && !values->has_roster)
        options_fail(program, "--agencies N or --roster IDS is missing: how many agencies, or "
                              "which ones, the draw waits for");
    terms->agencies_required = (uint32_t)values->agencies;
    if (values->has_roster) {
        size_t count = 0;
        enum status status =
            options_parse_ids(values->roster, command->roster, AGENCIES_MAX, &count);
        if (status == STATUS_LIMIT)
            options_fail(program, "--roster names more than %d agencies", AGENCIES_MAX);
        if (status != STATUS_OK || count == 0)
            options_fail(program, "--roster '%s' is not of the form 1,2,5-9, each id once",
                         values->roster);
        if (values->has_agencies && values->agencies != count)
            options_fail(program,
                         "--roster names %zu agencies, and --agencies (or "
                         "AGENCY_QUORUM_MIN) says %u: all of a roster are waited for",
                         count, terms->agencies_required);
        terms->roster = command->roster;
        terms->roster_count = (uint32_t)count;
        terms->agencies_required = (uint32_t)count;
    }
    terms->quorum = (uint32_t)values->quorum;
    if (terms->quorum > terms->agencies_required)
        options_fail(program, "--quorum %u is more than the %u agencies that the draw waits for",
                     terms->quorum, terms->agencies_required);
}

/* A name that is some other machine's is the one under which the agencies know this one (a
 * container's service, a load balancer): every interface is bound then. A foreign address in digits
 * is a mistake, which the binding tells. */
static void read_address(const struct program *program, const struct values *values,
                         struct command *command)
{
    const char *host = values->bind;
    if (strlen(host) >= sizeof(command->address.host))
        options_fail(program, "--bind is longer than %zu bytes", sizeof(command->address.host) - 1);
    if (!address_is_literal(host) && !address_is_local(host))
        host = "*";
    memcpy(command->address.host, host, strlen(host) + 1);
    command->address.port = (uint16_t)values->port;
    if (!values->is_insecure && (strcmp(host, "*") == 0 || !address_is_loopback(host)))
        options_fail(program,
                     "--bind %s%s can be reached from other machines, and nothing is encrypted or "
                     "checked there: add --insecure if that network is yours alone, or bind "
                     "127.0.0.1",
                     values->bind,
                     strcmp(host, values->bind) == 0
                         ? ""
                         : ", which is no address of this machine and so means every interface,");
}

/* What would never come to anything is a mistake: the draw would wait for ever, or end as void, and
 * the journal would keep it. */
static void read_timeout(const struct program *program, const struct values *values,
                         struct terms *terms)
{
    terms->barrier_timeout_ms = (int64_t)values->barrier_timeout_s * 1000;
    terms->on_timeout = values->on_timeout == TIMEOUT_DRAW ? TIMEOUT_DRAW : TIMEOUT_VOID;
    if (terms->on_timeout == TIMEOUT_DRAW && terms->barrier_timeout_ms == 0)
        options_fail(program, "--on-timeout draw needs --barrier-timeout S: without it the draw "
                              "waits for ever");
    if (values->has_quorum && terms->on_timeout != TIMEOUT_DRAW)
        options_fail(program, "--quorum needs --on-timeout draw: else a draw that somebody does "
                              "not finish is void");
}

static void read_values(const struct program *program, const struct values *values,
                        struct command *command)
{
    struct broker_options *broker = &command->broker;
    struct terms *terms = &broker->terms;
    read_members(program, values, command);
    read_number(program, values, &terms->number);
    terms->number.draw = (uint32_t)values->draw;
    read_timeout(program, values, terms);
    broker->draws = (uint32_t)values->draws;
    if (values->draws > 0 && values->draw + values->draws - 1 > UINT32_MAX)
        options_fail(program, "--draw and --draws lead beyond the highest id, 4294967295");
    broker->linger_ms = (int64_t)values->linger_s * 1000;
    broker->store_grace_ms = (int64_t)values->store_grace_s * 1000;
    broker->lease_ms = LEASE_MS;
    broker->queue_bytes = (size_t)values->memory_mib * MIB;
    broker->recover_stores = (uint32_t)values->recover;
    broker->void_draw = (uint32_t)values->void_draw;
    command->folder = values->folder;
    read_address(program, values, command);
}

void broker_command_read(int argc, char **argv, struct command *command)
{
    struct values v = {
        .draw = 1,
        .draws = 1,
        .linger_s = 30,
        .winning_number = "random",
        .number_range = "0-9999",
        .on_timeout = TIMEOUT_VOID,
        .quorum = 1,
        .store_grace_s = 10,
        .bind = "127.0.0.1",
        .port = PORT_DEFAULT,
        .folder = "data/broker",
        .memory_mib = QUEUE_BYTES_DEFAULT / MIB,
    };
    const struct option options[] = {
        {"agencies", "N", OPTION_NUMBER, &v.agencies, 1, AGENCIES_MAX, NULL, "AGENCY_QUORUM_MIN",
         &v.has_agencies, "agencies that have to finish before the draw is made"},
        {"roster", "IDS", OPTION_TEXT, &v.roster, 0, 0, NULL, NULL, &v.has_roster,
         "only these agencies may take part, and all of them are waited for: 1,2,5-9"},
        {"draw", "ID", OPTION_NUMBER, &v.draw, 1, UINT32_MAX, NULL, NULL, NULL,
         "id of the first draw; an id is used once"},
        {"draws", "N", OPTION_NUMBER, &v.draws, 0, UINT32_MAX, NULL, NULL, NULL,
         "draws to make one after another; 0: for ever"},
        {"linger", "S", OPTION_NUMBER, &v.linger_s, 0, SECONDS_MAX, NULL, NULL, NULL,
         "seconds to stay after the last draw for agencies that have not fetched their winners"},
        {"winning-number", "N|random", OPTION_TEXT, &v.winning_number, 0, 0, NULL, NULL, NULL,
         "the number that wins"},
        {"number-range", "A-B", OPTION_TEXT, &v.number_range, 0, 0, NULL, NULL, NULL,
         "where the number is drawn from, both ends included"},
        {"barrier-timeout", "S", OPTION_NUMBER, &v.barrier_timeout_s, 0, SECONDS_MAX, NULL, NULL,
         NULL, "seconds after the draw's first agency to wait for the others; 0: for ever"},
        {"on-timeout", "WHAT", OPTION_CHOICE, &v.on_timeout, 0, 0, timeout_actions, NULL, NULL,
         "what happens then: void, or draw with the agencies that have finished"},
        {"quorum", "N", OPTION_NUMBER, &v.quorum, 1, AGENCIES_MAX, NULL, NULL, &v.has_quorum,
         "agencies that have to have finished for --on-timeout draw, 1 if this is not given; with "
         "fewer it is void"},
        {"store-grace", "S", OPTION_NUMBER, &v.store_grace_s, 0, SECONDS_MAX, NULL, NULL, NULL,
         "seconds without a sign of life after which a store is given up and replaced"},
        {"recover", "N", OPTION_NUMBER, &v.recover, 1, STORES_MAX, NULL, NULL, &v.has_recover,
         "the journal is lost: wait for N stores and go on with what they have sealed"},
        {"void", "ID", OPTION_NUMBER, &v.void_draw, 1, UINT32_MAX, NULL, NULL, &v.has_void,
         "void this draw, which is not published yet"},
        {"bind", "ADDR", OPTION_TEXT, &v.bind, 0, 0, NULL, "SERVER_HOST", NULL,
         "address or name to listen on; a name that is not this machine's, or *: every interface"},
        {"port", "P", OPTION_NUMBER, &v.port, 1, PORT_MAX, NULL, "SERVER_PORT", NULL,
         "first of four ports"},
        {"data", "DIR", OPTION_TEXT, &v.folder, 0, 0, NULL, NULL, NULL, "folder of the journal"},
        {"memory", "MiB", OPTION_NUMBER, &v.memory_mib, 1, QUEUE_MIB_MAX, NULL, NULL, NULL,
         "batches that wait for a store take that much at most"},
        {"insecure", NULL, OPTION_FLAG, &v.is_insecure, 0, 0, NULL, NULL, NULL,
         "let other machines in without keys"},
    };
    const struct program program = {
        "sorteo-broker",
        "",
        "Takes the bets of lottery agencies, stores them with its workers, waits until every "
        "agency "
        "has finished, makes the draw and tells each agency its winners.",
        details,
        options,
        sizeof(options) / sizeof(options[0]),
    };
    options_read(&program, argc, argv);
    memset(command, 0, sizeof(*command));
    read_values(&program, &v, command);
}
