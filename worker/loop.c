/* See loop.h. A turn: tick; send what the core wants sent; wait; receive some messages, each
 * followed by what it makes the core send. While the socket takes nothing the core gets nothing
 * either, so that what it wants sent stays bounded. */
#include "worker/loop.h"

#include <stdlib.h>
#include <sysexits.h>

#include "proto/host/clock.h"
#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/stop.h"
#include "proto/wire/check.h"
#include "worker/report.h"
#include "worker/worker.h"

enum {
    TURN_MESSAGES_MAX = 64, /* received between two ticks */
    LAST_WORDS_MS = 1000,   /* how long a worker that ends tries to send what it has to say */
    SOCKETS_MAX = 4,        /* one, and the ones before it that are still closing */
};

struct loop {
    const struct loop_settings *settings; /* borrowed: the caller waits for us */
    struct store *store;                  /* likewise */
    void *context;
    void *zocket; /* NULL: not dialed */
    struct outbox *outbox;
    struct worker *worker;
    struct report report;
    size_t sent;          /* messages of the outbox that have left */
    int64_t blocked_at;   /* since when the socket takes nothing; 0: it does */
    int64_t dial_at;      /* not before this time */
    bool name_is_unknown; /* has been said */
    enum status failure;  /* of the socket */
};

static void report_notes(struct loop *loop)
{
    int64_t now_ms = clock_now_ms();
    struct note note;
    while (worker_take_note(loop->worker, &note))
        report_note(&loop->report, &note, now_ms);
}

/* ---- sending ---- */

static void drop_outbox(struct loop *loop)
{
    outbox_reset(loop->outbox);
    loop->sent = 0;
    loop->blocked_at = 0;
}

#ifdef SORTEO_CRASH_POINTS
#define AROUND(name)                                 \
    do {                                             \
        if (has_left)                                \
            CRASH_POINT("worker.after_send." name);  \
        else                                         \
            CRASH_POINT("worker.before_send." name); \
    } while (false)

/* Passes the crash points around what tells that something is durable. */
static void pass_points(const struct outbound *outbound, bool has_left)
{
    struct message message;
    CHECK(message_decode(outbound->header, &message) == STATUS_OK);
    if (message.kind == MESSAGE_STORED)
        AROUND("stored");
    else if (message.kind == MESSAGE_SEALED)
        AROUND("sealed");
    else if (message.kind == MESSAGE_COUNTED)
        AROUND("counted");
}
#else
static void pass_points(const struct outbound *outbound, bool has_left)
{
    (void)outbound;
    (void)has_left;
}
#endif

/* Sends what the socket takes. Only a message's first frame can find it full. */
static void send_outbox(struct loop *loop)
{
    size_t count = outbox_count(loop->outbox);
    while (loop->sent < count && loop->zocket != NULL) {
        const struct outbound *outbound = outbox_at(loop->outbox, loop->sent);
        pass_points(outbound, false);
        enum status status = socket_send(loop->zocket, outbound->header, outbound->has_body);
        if (status == STATUS_OK && outbound->has_body)
            status = socket_send(loop->zocket, outbound->body, false);
        if (status == STATUS_AGAIN) {
            if (loop->blocked_at == 0)
                loop->blocked_at = clock_now_ms();
            return;
        }
        if (status != STATUS_OK) {
            loop->failure = status;
            return;
        }
        pass_points(outbound, true);
        loop->sent++;
    }
    drop_outbox(loop);
}

static bool is_blocked(const struct loop *loop)
{
    return loop->blocked_at != 0;
}

/* ---- the connection ---- */

/* Gives the socket up and opens another, which resolves the broker's name anew. What was said on
 * the one before must not arrive any more: a REGISTER that comes late would take the registration
 * from the connection that lives. */
static void dial(struct loop *loop, int64_t now_ms)
{
    if (now_ms < loop->dial_at)
        return;
    drop_outbox(loop);
    socket_discard(&loop->zocket);
    loop->dial_at = now_ms + RETRY_MS;
    char problem[TEXT_BYTES_MAX];
    enum status status = socket_open(loop->context, SOCKET_WORKER_DISPATCH, &loop->settings->broker,
                                     &loop->zocket, problem, sizeof problem);
    if (status == STATUS_OK) {
        loop->name_is_unknown = false;
        worker_dialed(loop->worker, now_ms);
        return;
    }
    loop->zocket = NULL;
    if (status == STATUS_UNREACHABLE) {
        if (!loop->name_is_unknown)
            log_event(LOG_WARN, "connect", LOG_IN_PROGRESS, "reason: %s", problem);
        loop->name_is_unknown = true;
        return;
    }
    log_event(LOG_ERROR, "connect", LOG_FAIL, "reason: %s", problem);
    loop->failure = status;
}

/* A broker that has not read for a lease is as good as silent. */
static void check_blocked(struct loop *loop, int64_t now_ms)
{
    if (!is_blocked(loop) || now_ms - loop->blocked_at < LEASE_MS)
        return;
    drop_outbox(loop);
    worker_hang_up(loop->worker, now_ms);
}

/* ---- turns ---- */

static void receive_one(struct loop *loop, struct frames *frames)
{
    struct slice slices[FRAMES_MAX];
    for (int i = 0; i < frames->count; i++)
        slices[i] = frames_slice(frames, i);
    worker_receive(loop->worker, slices, (size_t)frames->count, clock_now_ms());
    frames_release(frames);
}

static void receive(struct loop *loop)
{
    for (int i = 0; i < TURN_MESSAGES_MAX && !is_blocked(loop); i++) {
        struct frames frames = {.count = 0};
        enum status status = socket_receive(loop->zocket, &frames);
        if (status == STATUS_AGAIN)
            return;
        if (status == STATUS_MALFORMED)
            continue;
        if (status != STATUS_OK) {
            loop->failure = status;
            return;
        }
        receive_one(loop, &frames);
        send_outbox(loop);
        enum worker_state state = worker_state(loop->worker);
        if (state == WORKER_OVER || state == WORKER_APART)
            return;
    }
}

/* Waits for the socket, a signal or `wake_at`. errors: IO. */
static enum status wait_for(struct loop *loop, int64_t wake_at, bool *has_stopped)
{
    int64_t now_ms = clock_now_ms();
    long timeout_ms = wake_at > now_ms ? (long)(wake_at - now_ms) : 0;
    zmq_pollitem_t items[2] = {
        {.fd = loop->settings->stop_descriptor, .events = ZMQ_POLLIN},
        {.socket = loop->zocket, .events = is_blocked(loop) ? ZMQ_POLLOUT : ZMQ_POLLIN},
    };
    int count = loop->zocket != NULL ? 2 : 1;
    if (zmq_poll(items, count, timeout_ms) < 0 && zmq_errno() != EINTR)
        return STATUS_IO;
    *has_stopped = stop_take(loop->settings->stop_descriptor) != 0;
    return STATUS_OK;
}

/* What is due now. returns when the loop has to turn next, at the latest. */
static int64_t tick(struct loop *loop)
{
    int64_t now_ms = clock_now_ms();
    check_blocked(loop, now_ms);
    if (worker_state(loop->worker) == WORKER_APART)
        dial(loop, now_ms);
    int64_t wake_at = loop->blocked_at + LEASE_MS;
    if (!is_blocked(loop)) {
        wake_at = worker_tick(loop->worker, now_ms);
        send_outbox(loop);
    }
    if (worker_state(loop->worker) == WORKER_APART && loop->dial_at > now_ms)
        wake_at = loop->dial_at;
    report_notes(loop);
    int64_t report_at = report_tick(&loop->report, now_ms, false);
    return report_at < wake_at ? report_at : wake_at;
}

static void turn(struct loop *loop)
{
    int64_t wake_at = tick(loop);
    if (loop->failure != STATUS_OK || worker_state(loop->worker) == WORKER_OVER)
        return;
    bool has_stopped = false;
    loop->failure = wait_for(loop, wake_at, &has_stopped);
    if (loop->failure != STATUS_OK)
        return;
    if (has_stopped) {
        log_event(LOG_INFO, "stop", LOG_IN_PROGRESS, "");
        if (is_blocked(loop))
            drop_outbox(loop);
        worker_drain(loop->worker, clock_now_ms());
    }
    if (is_blocked(loop) || has_stopped)
        send_outbox(loop);
    if (loop->zocket != NULL)
        receive(loop);
    report_notes(loop);
}

/* Sends what is left, as long as that does not take too long. */
static void say_last_words(struct loop *loop)
{
    int64_t until = clock_now_ms() + LAST_WORDS_MS;
    send_outbox(loop);
    while (is_blocked(loop) && loop->failure == STATUS_OK && clock_now_ms() < until) {
        zmq_pollitem_t item = {.socket = loop->zocket, .events = ZMQ_POLLOUT};
        zmq_poll(&item, 1, LAST_WORDS_MS / 10);
        send_outbox(loop);
    }
}

/* ---- beginning and end ---- */

static enum status open_loop(struct loop *loop)
{
    enum status status = socket_context_create(SOCKETS_MAX, &loop->context);
    if (status == STATUS_OK)
        status = outbox_create(WORKER_OUTBOX_MESSAGES, WORKER_OUTBOX_BYTES, &loop->outbox);
    if (status == STATUS_OK)
        status = worker_create(&loop->settings->intake, loop->store, loop->outbox, &loop->worker);
    return status;
}

static void close_loop(struct loop *loop)
{
    socket_close(&loop->zocket);
    worker_destroy(&loop->worker);
    outbox_destroy(&loop->outbox);
    socket_context_destroy(&loop->context);
}

/* Says how the worker ended. returns the exit code. */
static int explain_end(struct loop *loop)
{
    if (loop->failure != STATUS_OK) {
        log_event(LOG_ERROR, "stop", LOG_FAIL, "reason: %s", status_text(loop->failure));
        return status_exit_code(loop->failure);
    }
    struct worker_ending ending = worker_ending(loop->worker);
    if (ending.status == STATUS_OK) {
        log_event(LOG_INFO, "stop", LOG_SUCCESS, "");
        return EX_OK;
    }
    if (ending.status == STATUS_REFUSED) {
        log_event(LOG_ERROR, "registro", LOG_FAIL, "reason: dismissed: %s%s",
                  dismissal_text(ending.dismissal),
                  ending.dismissal == DISMISSAL_OPENING
                      ? " | hint: keep one of the two: end the other and start this one again, "
                        "once more for each time that the other was started, or move this folder "
                        "away"
                      : "");
        return dismissal_exit_code(ending.dismissal);
    }
    log_event(LOG_ERROR, "store", LOG_FAIL, "reason: %s | detail: %s", status_text(ending.status),
              store_problem(loop->store));
    return status_exit_code(ending.status);
}

int worker_loop_run(const struct loop_settings *settings, struct store *store)
{
    struct loop loop = {.settings = settings, .store = store};
    enum status status = open_loop(&loop);
    if (status != STATUS_OK) {
        log_event(LOG_ERROR, "start", LOG_FAIL, "reason: %s", status_text(status));
        close_loop(&loop);
        return status_exit_code(status);
    }
    log_event(LOG_INFO, "connect", LOG_IN_PROGRESS, "broker: %s | port: %u", settings->broker.host,
              (unsigned)settings->broker.port);
    while (loop.failure == STATUS_OK && worker_state(loop.worker) != WORKER_OVER)
        turn(&loop);
    report_notes(&loop);
    report_tick(&loop.report, clock_now_ms(), true);
    int code = explain_end(&loop);
    if (code == EX_OK)
        say_last_words(&loop);
    close_loop(&loop);
    return code;
}
