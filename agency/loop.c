/* One turn: wait for a socket, the reader, a signal or the core's deadline; give the core what
 * there is; do what it orders; send what it wants sent. Decisions are the core's (agency.h). */
#include "agency/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agency/line.h"
#include "agency/outgoing.h"
#include "agency/progress.h"
#include "agency/reader.h"
#include "agency/winners.h"
#include "proto/host/clock.h"
#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/stop.h"
#include "proto/wire/check.h"

enum {
    TURN_REPLIES_MAX = 4,
    TURN_READINGS_MAX = 16,
    SOCKETS_MAX = 8, /* of the context: three, and room to open anew while the old ones end */
};

struct loop {
    const struct loop_terms *terms;
    struct source *source;
    struct output *output;
    struct reader *reader;
    struct winners *winners; /* NULL until the first page */
    struct agency *agency;
    struct outbox *outbox;
    void *context;
    struct line line;
    struct outgoing outgoing;
    bool is_busy;    /* the turn ended at a limit: do not wait before the next */
    bool has_listed; /* the bad rows, if any are to be listed */
    bool has_ended;
    int exit_code; /* once has_ended */
    struct progress progress;
    char broker[TEXT_BYTES_MAX + 8]; /* HOST:PORT, for messages */
    char folder[PATH_MAX];
    char rejects[PATH_MAX];
    struct log_limit dial_limit;
};

/* ---- ends ---- */

static void end(struct loop *loop, int exit_code)
{
    loop->has_ended = true;
    loop->exit_code = exit_code;
}

static const char *action_now(const struct loop *loop)
{
    return loop->agency == NULL || agency_declared(loop->agency) == NULL ? "apuesta_enviada"
                                                                         : "consulta_ganadores";
}

static void end_changed(struct loop *loop)
{
    progress_gave_up(action_now(loop),
                     "leave the file alone while it is sent; run again with --start-over",
                     "%s has changed while it was being sent", source_name(loop->source));
    end(loop, status_exit_code(STATUS_INVALID));
}

/* A status of a disk, with errno. */
static void end_disk(struct loop *loop, const char *path, enum status status)
{
    char reason[TEXT_BYTES_MAX];
    (void)progress_disk_reason(status, errno, reason);
    progress_gave_up(action_now(loop), "check the path, its permissions and the space left",
                     "%s: %s", path, reason);
    end(loop, status_exit_code(status));
}

/* ---- the file ---- */

static struct cutter_terms cutter_terms(const struct loop *loop)
{
    return (struct cutter_terms){
        .draw = loop->terms->agency.draw,
        .agency = loop->terms->agency.id,
        .plan = *agency_plan(loop->agency),
        .today = loop->terms->today,
    };
}

static void start_reading(struct loop *loop)
{
    const struct reader_terms terms = {
        .cutter = cutter_terms(loop),
        .copy_folder = loop->folder,
        .rejects = loop->rejects,
    };
    enum status status = reader_start(loop->reader, &terms);
    if (status == STATUS_OK)
        return;
    progress_gave_up(action_now(loop), "run it again with more memory", "cannot start to read: %s",
                     status_text(status));
    end(loop, status_exit_code(status));
}

static void on_reading(struct loop *loop, int64_t now_ms, const struct reading *reading)
{
    bool is_problem = reading->kind > READING_END;
    if (is_problem && !agency_needs_file(loop->agency))
        return;
    errno = reading->error;
    char reason[TEXT_BYTES_MAX];
    switch (reading->kind) {
    case READING_BATCH:
        agency_on_cut(loop->agency, now_ms, &reading->cut);
        outgoing_keep(&loop->outgoing, loop->agency, reading->seq, reading->payload);
        return;
    case READING_AGAIN:
        outgoing_keep(&loop->outgoing, loop->agency, reading->seq, reading->payload);
        return;
    case READING_END:
        agency_on_end(loop->agency, now_ms, &reading->declaration);
        return;
    case READING_BAD_ROW:
        progress_gave_up("apuesta_enviada",
                         "mend the row, or pass --bad-rows skip; either way with --start-over. "
                         "--check lists all bad rows",
                         "%s:%llu: %s", source_name(loop->source),
                         (unsigned long long)reading->line, fault_text(reading->fault));
        end(loop, status_exit_code(STATUS_INVALID));
        return;
    case READING_CHANGED:
        end_changed(loop);
        return;
    case READING_COPY_FAILED:
        progress_gave_up("apuesta_enviada", "it needs room there, or an --output elsewhere",
                         "cannot copy %s to the output's folder '%s': %s",
                         source_name(loop->source), loop->folder,
                         progress_disk_reason(reading->status, errno, reason));
        end(loop, status_exit_code(reading->status));
        return;
    case READING_INPUT_FAILED:
        end_disk(loop, source_name(loop->source), reading->status);
        return;
    case READING_REJECTS_FAILED:
        end_disk(loop, loop->rejects, reading->status);
        return;
    }
}

static void drain_readings(struct loop *loop, int64_t now_ms)
{
    struct reading reading;
    for (int i = 0; i < TURN_READINGS_MAX && !loop->has_ended; i++) {
        if (reader_take(loop->reader, &reading) != STATUS_OK)
            return;
        on_reading(loop, now_ms, &reading);
    }
}

/* Once the broker has taken our declaration, or what it has published is found in our file, we are
 * the agency's newest process and the list is that of its bets. */
static bool name_rejects(struct loop *loop)
{
    if (loop->has_listed)
        return true;
    enum status status = reader_name_rejects(loop->reader);
    if (status != STATUS_OK) {
        end_disk(loop, loop->rejects, status);
        return false;
    }
    loop->has_listed = true;
    progress_listed(loop->agency, loop->rejects);
    return true;
}

/* ---- winners ---- */

static enum status open_winners(struct loop *loop)
{
    if (loop->winners != NULL)
        return STATUS_OK;
    const struct cutter_terms terms = cutter_terms(loop);
    return winners_create(loop->source, &terms, loop->output, &loop->winners);
}

static void write_page(struct loop *loop, struct slice body)
{
    enum status status = open_winners(loop);
    if (status == STATUS_OK)
        status = winners_write(loop->winners, agency_cuts(loop->agency), body);
    if (status == STATUS_OK)
        return;
    if (status == STATUS_STALE) {
        end_changed(loop);
    } else if (status == STATUS_WRONG) {
        uint32_t seq, row;
        winners_place(loop->winners, &seq, &row);
        progress_contradicted(source_name(loop->source), seq, row);
        end(loop, status_exit_code(STATUS_WRONG));
    } else {
        end_disk(loop, loop->terms->output, status);
    }
}

static void store_winners(struct loop *loop, int64_t now_ms)
{
    if (!name_rejects(loop))
        return;
    enum status status = output_commit(&loop->output);
    if (status != STATUS_OK) {
        end_disk(loop, loop->terms->output, status);
        return;
    }
    progress_won(&loop->progress, loop->agency, loop->terms->output);
    agency_on_stored(loop->agency, now_ms);
}

/* The line of the bet that a refusal names; 0 where it cannot be told. */
static uint64_t refused_line(struct loop *loop)
{
    const struct agency_outcome *outcome = agency_outcome(loop->agency);
    const struct cuts *cuts = agency_cuts(loop->agency);
    const struct message_refused *refused = &outcome->refused;
    if (outcome->cause != AGENCY_CAUSE_REFUSED || refused->reason != REFUSAL_REJECTED ||
        refused->seq >= cuts->count || refused->row >= cuts_at(cuts, refused->seq)->bets)
        return 0;
    struct row row;
    if (open_winners(loop) != STATUS_OK ||
        winners_find(loop->winners, cuts, refused->seq, refused->row, &row) != STATUS_OK)
        return 0;
    return row.line;
}

/* ---- sockets ---- */

/* Without a line nothing is answered, so the core orders the next dial by itself. */
static void dial(struct loop *loop, int64_t now_ms)
{
    char problem[TEXT_BYTES_MAX] = "";
    uint64_t suppressed;
    enum status status =
        line_dial(&loop->line, loop->context, &loop->terms->broker, loop->terms->agency.draw,
                  loop->terms->agency.id, problem, sizeof(problem));
    loop->outgoing.is_blocked = false;
    if (status != STATUS_OK &&
        log_limit_allows(&loop->dial_limit, now_ms, PROGRESS_ASKING_MS, &suppressed))
        log_event(LOG_WARN, "hello", LOG_IN_PROGRESS, "problem: %s",
                  problem[0] != '\0' ? problem : status_text(status));
}

static void follow(struct loop *loop, int64_t now_ms, struct slice body)
{
    unsigned orders = agency_take_orders(loop->agency);
    if ((orders & AGENCY_ORDER_TELL_STALLED) != 0)
        log_event(LOG_WARN, "apuesta_enviada", LOG_IN_PROGRESS,
                  "reason: the broker answers, and tells nothing of what was sent: dialing anew");
    if ((orders & AGENCY_ORDER_DIAL) != 0)
        dial(loop, now_ms);
    if ((orders & AGENCY_ORDER_READ) != 0)
        start_reading(loop);
    if ((orders & AGENCY_ORDER_PAGE) != 0)
        write_page(loop, body);
    if ((orders & AGENCY_ORDER_STORE) != 0 && !loop->has_ended)
        store_winners(loop, now_ms);
}

static void drain_replies(struct loop *loop, int64_t now_ms)
{
    struct frames frames = {.count = 0};
    for (int i = 0; i < TURN_REPLIES_MAX && loop->line.rendezvous != NULL && !loop->has_ended;
         i++) {
        if (socket_receive(loop->line.rendezvous, &frames) != STATUS_OK)
            return;
        struct message reply;
        struct slice body = {0};
        if (frames.count == 2)
            body = frames_slice(&frames, 1);
        if (frames.count <= 2 && message_decode(frames_slice(&frames, 0), &reply) == STATUS_OK &&
            message_has_body(reply.kind) == (frames.count == 2)) {
            agency_on_reply(loop->agency, now_ms, &reply, body);
            follow(loop, now_ms, body);
        }
        frames_release(&frames);
    }
}

/* On winners: frames [topic][header][body]. */
static void drain_hints(struct loop *loop, int64_t now_ms)
{
    struct frames frames = {.count = 0};
    for (int i = 0; i < TURN_REPLIES_MAX && loop->line.winners != NULL; i++) {
        if (socket_receive(loop->line.winners, &frames) != STATUS_OK)
            return;
        struct message hint;
        if (frames.count == 3 && message_decode(frames_slice(&frames, 1), &hint) == STATUS_OK)
            agency_on_published(loop->agency, now_ms, &hint);
        frames_release(&frames);
    }
}

/* What does not leave now is asked again later: requests by the core's deadline, a MARK before the
 * next POLL. */
static void empty_outbox(struct loop *loop)
{
    for (size_t i = 0; i < outbox_count(loop->outbox); i++) {
        const struct outbound *outbound = outbox_at(loop->outbox, i);
        bool is_mark = outbound->port == PORT_BETS;
        void *zocket = is_mark ? loop->line.bets : loop->line.rendezvous;
        if (zocket == NULL)
            continue;
        bool is_bye = agency_state_says_bye(agency_state(loop->agency));
        if (is_bye)
            CRASH_POINT("agency.before_send.bye");
        enum status status = socket_send(zocket, outbound->header, false);
        if (is_bye)
            CRASH_POINT("agency.after_send.bye");
        if (status == STATUS_OK && is_mark)
            agency_on_marked(loop->agency);
    }
    outbox_reset(loop->outbox);
}

/* ---- turns ---- */

static void wait_for_events(struct loop *loop, int64_t now_ms)
{
    zmq_pollitem_t items[5] = {
        {.fd = loop->terms->stop, .events = ZMQ_POLLIN},
        {.fd = reader_descriptor(loop->reader), .events = ZMQ_POLLIN},
    };
    int count = 2;
    if (loop->line.rendezvous != NULL) {
        items[count++] = (zmq_pollitem_t){.socket = loop->line.rendezvous, .events = ZMQ_POLLIN};
        items[count++] = (zmq_pollitem_t){.socket = loop->line.winners, .events = ZMQ_POLLIN};
    }
    zmq_pollitem_t *bets = NULL;
    if (loop->line.bets != NULL && loop->outgoing.is_blocked) {
        bets = &items[count++];
        *bets = (zmq_pollitem_t){.socket = loop->line.bets, .events = ZMQ_POLLOUT};
    }
    int64_t deadline = agency_deadline(loop->agency);
    int64_t timeout_ms = deadline - now_ms;
    if (timeout_ms > WAIT_MS_MAX)
        timeout_ms = WAIT_MS_MAX;
    if (loop->is_busy || timeout_ms < 0)
        timeout_ms = 0;
    loop->is_busy = false;
    if (zmq_poll(items, count, (long)timeout_ms) > 0 && bets != NULL && bets->revents != 0)
        loop->outgoing.is_blocked = false;
}

static void on_stop(struct loop *loop)
{
    if (stop_take(loop->terms->stop) == 0)
        return;
    if (agency_state_says_bye(agency_state(loop->agency))) {
        agency_skip_bye(loop->agency);
        return;
    }
    progress_gave_up(action_now(loop), "run it again: it goes on where it stands", "interrupted");
    end(loop, status_exit_code(STATUS_INTERRUPTED));
}

static void turn(struct loop *loop)
{
    int64_t now_ms = clock_now_ms();
    wait_for_events(loop, now_ms);
    now_ms = clock_now_ms();
    on_stop(loop);
    drain_replies(loop, now_ms);
    drain_hints(loop, now_ms);
    drain_readings(loop, now_ms);
    if (!loop->has_ended && agency_state(loop->agency) == AGENCY_WAITING)
        (void)name_rejects(loop);
    if (loop->has_ended)
        return;
    outgoing_sift(&loop->outgoing, loop->agency);
    if (loop->line.bets != NULL)
        loop->is_busy =
            outgoing_send(&loop->outgoing, loop->agency, loop->reader, loop->line.bets, now_ms);
    agency_tick(loop->agency, now_ms, loop->outbox);
    follow(loop, now_ms, (struct slice){0});
    empty_outbox(loop);
    progress_turn(&loop->progress, loop->agency, loop->broker, now_ms);
    if (loop->has_ended || !agency_state_is_final(agency_state(loop->agency)))
        return;
    progress_failed(loop->agency, loop->broker, source_name(loop->source), refused_line(loop));
    end(loop, agency_exit_code(loop->agency));
}

/* ---- life ---- */

/* A file that is written in the place of the input would destroy the only copy of the bets; in
 * the place of a device, as root, the device. returns true when that ended the loop. */
static bool end_overwriting(struct loop *loop, const char *path)
{
    if (source_is_at(loop->source, path)) {
        progress_gave_up("apuesta_enviada", "choose another --output",
                         "'%s' is the input, and would be overwritten", path);
        end(loop, status_exit_code(STATUS_USAGE));
        return true;
    }
    if (output_is_misplaced(path)) {
        progress_gave_up("apuesta_enviada", "choose another --output: a file of its own",
                         "'%s' is a device, a pipe or a link, and a file would replace it", path);
        end(loop, status_exit_code(STATUS_CANNOT_CREATE));
        return true;
    }
    return false;
}

/* Everything that can be found out before anything is sent. returns false when it is over. */
static bool open_files(struct loop *loop)
{
    enum status status = source_open(loop->terms->input, &loop->source);
    if (status != STATUS_OK) {
        progress_gave_up("apuesta_enviada", "check --input and its permissions",
                         "cannot open '%s': %s", loop->terms->input, strerror(errno));
        end(loop, status_exit_code(status));
        return false;
    }
    int bytes =
        snprintf(loop->rejects, sizeof(loop->rejects), "%s.rejects.csv", loop->terms->output);
    if (end_overwriting(loop, loop->terms->output) || end_overwriting(loop, loop->rejects))
        return false;
    status = output_create(loop->terms->output, &loop->output);
    if (status == STATUS_OK)
        status = output_folder(loop->terms->output, loop->folder, sizeof(loop->folder));
    if (status == STATUS_OK && (bytes < 0 || (size_t)bytes >= sizeof(loop->rejects)))
        status = STATUS_CANNOT_CREATE;
    if (status != STATUS_OK) {
        progress_gave_up("apuesta_enviada", "check --output: its folder must exist and be writable",
                         "cannot create '%s': %s", loop->terms->output, strerror(errno));
        end(loop, status_exit_code(STATUS_CANNOT_CREATE));
        return false;
    }
    return true;
}

static bool open_rest(struct loop *loop)
{
    enum status status = agency_create(&loop->terms->agency, &loop->agency);
    if (status == STATUS_OK)
        status = outbox_create(AGENCY_OUTBOX_MESSAGES, AGENCY_OUTBOX_BYTES, &loop->outbox);
    if (status == STATUS_OK)
        status = reader_create(loop->source, &loop->reader);
    if (status == STATUS_OK)
        status = socket_context_create(SOCKETS_MAX, &loop->context);
    if (status == STATUS_OK)
        return true;
    progress_gave_up("apuesta_enviada", "check the limits on memory and open files (ulimit -n)",
                     "cannot start: %s", status_text(status));
    end(loop, status_exit_code(status));
    return false;
}

/* In this order: no thread hands over any more, no socket holds a payload, then their memory
 * goes. */
static void close_all(struct loop *loop)
{
    if (loop->reader != NULL)
        reader_stop(loop->reader);
    outgoing_clear(&loop->outgoing);
    line_hang_up(&loop->line);
    socket_context_destroy(&loop->context);
    reader_destroy(&loop->reader);
    winners_destroy(&loop->winners);
    outbox_destroy(&loop->outbox);
    agency_destroy(&loop->agency);
    output_discard(&loop->output);
    source_close(&loop->source);
}

int agency_loop_run(const struct loop_terms *terms)
{
    struct loop loop = {.terms = terms};
    snprintf(loop.broker, sizeof(loop.broker), "%s:%u", terms->broker.host, terms->broker.port);
    if (open_files(&loop) && open_rest(&loop)) {
        agency_begin(loop.agency, clock_now_ms());
        while (!loop.has_ended)
            turn(&loop);
    }
    close_all(&loop);
    return loop.exit_code;
}
