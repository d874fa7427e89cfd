/* sorteo-broker: puts journal, core and loop together, says what it listens on and waits for, and
 * in the end why it ends. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/command.h"
#include "broker/journal.h"
#include "broker/loop.h"
#include "proto/host/clock.h"
#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/random.h"
#include "proto/host/stop.h"

enum {
    /* Every agency has three connections, every store one; and what the program has open itself. */
    DESCRIPTORS_NEEDED = 3 * AGENCIES_MAX + STORES_MAX + 64,
    PROBLEM_BYTES_MAX = 5000,
    WAIT_NOTED_MS = 1000, /* of another process's transaction, which is over in a few ms */
};

/* What the journal waits with. */
struct waiting {
    int stop; /* descriptor of stop_begin */
    bool is_noted;
    int64_t looks_since_ms; /* 0: it has not looked */
};

/* What runs; taken apart in reverse order. */
struct parts {
    struct loop *loop;
    struct journal *journal;
    struct archive archive; /* the broker borrows it */
    struct broker *broker;
    char problem[PROBLEM_BYTES_MAX];
};

/* A signal ends the waiting at once; it is left for who reads the descriptor. */
static bool wait_for_journal(void *owner, int64_t waited_ms, int64_t slice_ms)
{
    struct waiting *waiting = owner;
    if (waited_ms == 0)
        waiting->is_noted = false;
    if (waited_ms >= WAIT_NOTED_MS && !waiting->is_noted) {
        waiting->is_noted = true;
        log_event(LOG_WARN, "journal", LOG_IN_PROGRESS,
                  "waiting_for: another process, which is inside a transaction of it");
    }
    return !stop_wait(waiting->stop, slice_ms);
}

/* Asked while the journal is looked at. */
static bool goes_on(void *owner)
{
    struct waiting *waiting = owner;
    int64_t now_ms = clock_now_ms();
    if (waiting->looks_since_ms == 0)
        waiting->looks_since_ms = now_ms;
    if (now_ms - waiting->looks_since_ms >= WAIT_NOTED_MS && !waiting->is_noted) {
        waiting->is_noted = true;
        log_event(LOG_INFO, "journal", LOG_IN_PROGRESS, "checking: whether it is as it was left");
    }
    return !stop_wait(waiting->stop, 0);
}

static enum status restore_record(void *broker, const struct record *record)
{
    return broker_restore(broker, record);
}

static void log_start(const struct command *command, const struct epoch *epoch)
{
    uint32_t port = command->address.port;
    log_event(LOG_INFO, "listen", LOG_SUCCESS,
              "address: %s | rendezvous: %u | bets: %u | winners: %u | dispatch: %u",
              command->address.host, port, port + 1, port + 2, port + 3);
    log_event(LOG_INFO, "journal", LOG_SUCCESS, "folder: %s | epoch: %" PRIu64, command->folder,
              epoch->number);
}

/* Of the four ports the one that is taken need not be the one that --port gave. */
static void advise_about_port(struct parts *parts)
{
    size_t bytes = strlen(parts->problem);
    (void)snprintf(parts->problem + bytes, sizeof(parts->problem) - bytes,
                   "; end what listens there, or choose another --port: it and the three behind it "
                   "have to be free");
}

/* libzmq's reason does not say what the address lacks. */
static void advise_about_address(struct parts *parts, const char *host)
{
    size_t bytes = strlen(parts->problem);
    if (!address_is_local(host))
        (void)snprintf(parts->problem + bytes, sizeof(parts->problem) - bytes,
                       "; --bind takes an address of this machine, or * for all of them");
}

/* Where no draw can have opened only the one that opens now can be void. A folder that is made in
 * the place of the one that was meant would only mislead. */
static enum status look_for_voided(struct parts *parts, const struct command *command)
{
    const struct broker_options *options = &command->broker;
    if (options->void_draw == 0 || options->void_draw == options->terms.number.draw ||
        options->recover_stores > 0 || journal_is_there(command->folder))
        return STATUS_OK;
    (void)snprintf(parts->problem, sizeof(parts->problem),
                   "cannot void draw %" PRIu32 ": there is no journal in '%s', so it has not "
                   "opened; check --data",
                   options->void_draw, command->folder);
    return STATUS_CONFIG;
}

/* Sockets first: who cannot bind must not take the journal from the broker that has the ports. */
static enum status begin(struct parts *parts, struct command *command, struct waiting *waiting)
{
    const struct journal_patience patience = {.ms = JOURNAL_PATIENCE_MS,
                                              .wait = wait_for_journal,
                                              .goes_on = goes_on,
                                              .owner = waiting};
    enum status status =
        loop_create(&command->address, &parts->loop, parts->problem, sizeof(parts->problem));
    if (status == STATUS_BUSY)
        advise_about_port(parts);
    if (status == STATUS_CONFIG)
        advise_about_address(parts, command->address.host);
    if (status == STATUS_OK)
        status = look_for_voided(parts, command);
    if (status != STATUS_OK)
        return status;
    struct id id;
    struct epoch epoch;
    random_id(&id);
    status = journal_open(command->folder, &id, &patience, &parts->journal, &epoch, parts->problem,
                          sizeof(parts->problem));
    if (status != STATUS_OK)
        return status;
    parts->archive = journal_archive(parts->journal);
    random_fill(command->broker.secret.bytes, DIGEST_BYTES);
    (void)snprintf(parts->problem, sizeof(parts->problem), "%s", status_text(STATUS_NO_MEMORY));
    status = broker_create(&command->broker, loop_outbox(parts->loop), loop_records(parts->loop),
                           &parts->archive, loop_release(), &parts->broker);
    if (status != STATUS_OK)
        return status;
    status = journal_load(parts->journal, restore_record, parts->broker);
    if (status == STATUS_OK)
        status = broker_start(parts->broker, &epoch, clock_now_ms());
    if (status != STATUS_OK) {
        const char *problem = status_text(status);
        if (broker_verdict(parts->broker, &problem) == STATUS_OK)
            problem = journal_problem(parts->journal);
        (void)snprintf(parts->problem, sizeof(parts->problem), "%s", problem);
        return status;
    }
    log_start(command, &epoch);
    return STATUS_OK;
}

/* What to do, where the reason does not say it. */
static const char *hint_of(enum status status)
{
    switch ((int)status) {
    case STATUS_INTERRUPTED:
        return " | hint: a draw that is not over goes on when the broker is started again";
    case STATUS_FULL:
        return " | hint: make room on the disk of --data and start the broker again";
    case STATUS_CANNOT_CREATE:
        return " | hint: --data needs a folder of its own that can be written";
    default:
        return "";
    }
}

/* What the program ends with. A signal and the end of all draws are what it was asked for. */
static int end(enum status status, const char *problem)
{
    bool is_success = status == STATUS_INTERRUPTED || status == STATUS_END;
    int code = is_success ? 0 : status_exit_code(status);
    log_event(is_success ? LOG_INFO : LOG_ERROR, "exit", is_success ? LOG_SUCCESS : LOG_FAIL,
              "reason: %s%s | code: %d", problem, hint_of(status), code);
    return code;
}

int main(int argc, char **argv)
{
    crash_begin(argc, argv);
    int stop = -1;
    enum status status = stop_begin(&stop);
    if (status != STATUS_OK)
        return status_exit_code(status);
    struct command command;
    broker_command_read(argc, argv, &command);
    log_begin("sorteo-broker");
    status = stop_raise_descriptors(DESCRIPTORS_NEEDED);
    if (status != STATUS_OK) {
        log_event(LOG_ERROR, "exit", LOG_FAIL,
                  "reason: fewer than %d descriptors are allowed: raise the hard limit (ulimit "
                  "-Hn) | code: %d",
                  DESCRIPTORS_NEEDED, status_exit_code(status));
        return status_exit_code(status);
    }
    struct parts parts = {0};
    struct waiting waiting = {.stop = stop};
    const char *problem = parts.problem;
    status = begin(&parts, &command, &waiting);
    if (status == STATUS_OK)
        status = loop_run(parts.loop, parts.broker, parts.journal, stop, &problem);
    int code = end(status, problem);
    broker_destroy(&parts.broker);
    journal_close(&parts.journal);
    loop_destroy(&parts.loop);
    return code;
}
