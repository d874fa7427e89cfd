/* One thread, one turn after the other: poll; take at most so many messages of each socket; tick;
 * journal; send. See loop.h. What leaves is delivery.c's. */
#include "broker/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/delivery.h"
#include "proto/host/clock.h"
#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/stop.h"
#include "proto/wire/check.h"

enum {
    SOCKETS = 4,
    MESSAGES_PER_TURN = 64, /* of one socket; the others wait that long at most */
    /* A healthy loop turns at least that often, so that the core sees a gap only where it slept. */
    POLL_MS_MAX = LEASE_MS / 4,
    TRANSACTIONS_PER_TURN = 64, /* a turn's decisions lead to few others: a draw over, one opened */
    DROPPED_LOG_MS = 10000,
    /* What one event may make at most: a word to each store and a few answers; a page or two sets
     * in the largest header; a page of winners to journal, or a manifest that is recovered (plan
     * and declaration of each agency). The core asks for itself where a tick may make more. */
    EVENT_MESSAGES_MAX = 4 * STORES_MAX,
    EVENT_BYTES_MAX = 512 * 1024,
    EVENT_RECORDS_MAX = 2 * AGENCIES_MAX + STORES_MAX,
    EVENT_RECORD_BYTES_MAX = FRAME_BYTES_MAX,
    OUTBOX_MESSAGES_MAX = 4096,
    OUTBOX_BYTES_MAX = 8 * EVENT_BYTES_MAX,
    RECORDS_MAX = 2 * EVENT_RECORDS_MAX,
    RECORD_BYTES_MAX = 2 * EVENT_RECORD_BYTES_MAX,
};

/* Why a message was dropped before the core saw it. */
enum drop { DROP_SHAPE, DROP_PEER, DROP_MEMORY, DROPS };

static const char *const drop_reasons[DROPS] = {
    [DROP_SHAPE] = "it is not of the specified shape",
    [DROP_PEER] = "its routing id is not libzmq's own",
    [DROP_MEMORY] = "out of memory",
};

struct loop {
    void *context; /* owned */
    void *rendezvous;
    void *bets;
    void *winners;
    void *dispatch;
    struct outbox *outbox;
    struct records *records;
    struct delivery *delivery;
    struct frames frames;    /* of the message that is looked at */
    struct broker *broker;   /* borrowed during loop_run */
    struct journal *journal; /* likewise */
    int64_t now_ms;          /* of this turn */
    int64_t wall_ms;
    int64_t next_at; /* when the core wants its next tick */
    struct log_limit dropped[DROPS];
    const char *problem;
};

/* ---- opening and closing ---- */

static enum status open_sockets(struct loop *loop, const struct address *address, char *problem,
                                size_t problem_bytes)
{
    struct {
        enum socket_purpose purpose;
        void **zocket;
    } const wanted[SOCKETS] = {
        {SOCKET_BROKER_RENDEZVOUS, &loop->rendezvous},
        {SOCKET_BROKER_BETS, &loop->bets},
        {SOCKET_BROKER_WINNERS, &loop->winners},
        {SOCKET_BROKER_DISPATCH, &loop->dispatch},
    };
    enum status status = STATUS_OK;
    for (int index = 0; status == STATUS_OK && index < SOCKETS; index++)
        status = socket_open(loop->context, wanted[index].purpose, address, wanted[index].zocket,
                             problem, problem_bytes);
    return status;
}

enum status loop_create(const struct address *address, struct loop **loop, char *problem,
                        size_t problem_bytes)
{
    struct loop *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    (void)snprintf(problem, problem_bytes, "cannot start: out of memory or descriptors");
    enum status status = socket_context_create(SOCKETS, &created->context);
    if (status == STATUS_OK)
        status = outbox_create(OUTBOX_MESSAGES_MAX, OUTBOX_BYTES_MAX, &created->outbox);
    if (status == STATUS_OK)
        status = records_create(RECORDS_MAX, RECORD_BYTES_MAX, &created->records);
    if (status == STATUS_OK)
        status = open_sockets(created, address, problem, problem_bytes);
    if (status == STATUS_OK)
        status = delivery_create(created->rendezvous, created->winners, created->dispatch,
                                 &created->delivery);
    if (status != STATUS_OK) {
        loop_destroy(&created);
        return status;
    }
    *loop = created;
    return STATUS_OK;
}

void loop_destroy(struct loop **loop)
{
    struct loop *ended = *loop;
    if (ended == NULL)
        return;
    frames_release(&ended->frames);
    delivery_destroy(&ended->delivery);
    socket_close(&ended->rendezvous);
    socket_close(&ended->bets);
    socket_close(&ended->winners);
    socket_close(&ended->dispatch);
    socket_context_destroy(&ended->context);
    outbox_destroy(&ended->outbox);
    records_destroy(&ended->records);
    free(ended);
    *loop = NULL;
}

struct outbox *loop_outbox(struct loop *loop)
{
    return loop->outbox;
}

struct records *loop_records(struct loop *loop)
{
    return loop->records;
}

payload_release *loop_release(void)
{
    return payload_drop;
}

/* ---- what comes in ---- */

static void drop(struct loop *loop, const char *name, enum drop why)
{
    uint64_t suppressed = 0;
    frames_release(&loop->frames);
    if (log_limit_allows(&loop->dropped[why], loop->now_ms, DROPPED_LOG_MS, &suppressed))
        log_event(LOG_WARN, "drop", LOG_FAIL, "socket: %s | reason: %s | others: %" PRIu64, name,
                  drop_reasons[why], suppressed);
}

/* True when whatever one more event makes fits into what the turn may still hold. */
static bool has_room(const struct loop *loop)
{
    return outbox_has_room(loop->outbox, EVENT_MESSAGES_MAX, EVENT_BYTES_MAX) &&
           records_has_room(loop->records, EVENT_RECORDS_MAX, EVENT_RECORD_BYTES_MAX);
}

/* A body exactly where the kind has one. What cannot be read is the core's to judge. */
static bool has_its_frames(struct slice header, int frames_count)
{
    struct message message;
    if (message_decode(header, &message) != STATUS_OK)
        return frames_count == 2 || frames_count == 3;
    return frames_count == (message_has_body(message.kind) ? 3 : 2);
}

/* [routing id][header] or [routing id][header][body] */
static enum status take_worker(struct loop *loop)
{
    enum status status = socket_receive(loop->dispatch, &loop->frames);
    if (status == STATUS_MALFORMED)
        drop(loop, "dispatch", DROP_SHAPE);
    if (status != STATUS_OK)
        return status;
    uint64_t peer = 0;
    int count = loop->frames.count;
    if (count < 2 || !has_its_frames(frames_slice(&loop->frames, 1), count)) {
        drop(loop, "dispatch", DROP_SHAPE);
    } else if (!delivery_parse_peer(frames_slice(&loop->frames, 0), &peer)) {
        drop(loop, "dispatch", DROP_PEER);
    } else {
        struct slice body = {NULL, 0};
        if (count == 3)
            body = frames_slice(&loop->frames, 2);
        broker_on_worker(loop->broker, peer, frames_slice(&loop->frames, 1), body, loop->now_ms);
        frames_release(&loop->frames);
    }
    return STATUS_OK;
}

/* How many frames the envelope has: all up to and with the empty one. 0: there is no such one. */
static int measure_envelope(struct frames *frames)
{
    for (int index = 1; index < frames->count; index++)
        if (frames_slice(frames, index).bytes == 0)
            return index + 1;
    return 0;
}

/* [routing id][…][empty][header]. A request of another shape has an envelope, so it is answered: an
 * empty header is one that the core cannot read. */
static enum status take_request(struct loop *loop)
{
    struct frames *frames = delivery_next_request(loop->delivery);
    if (frames == NULL)
        return STATUS_AGAIN;
    enum status status = socket_receive(loop->rendezvous, frames);
    if (status == STATUS_MALFORMED)
        drop(loop, "rendezvous", DROP_SHAPE);
    if (status != STATUS_OK)
        return status;
    int envelope_frames = measure_envelope(frames);
    if (envelope_frames == 0) {
        frames_release(frames);
        drop(loop, "rendezvous", DROP_SHAPE);
        return STATUS_OK;
    }
    struct slice header = {NULL, 0};
    if (frames->count == envelope_frames + 1)
        header = frames_slice(frames, envelope_frames);
    if (header.bytes > HEADER_BYTES_MAX)
        header = (struct slice){NULL, 0};
    uint64_t peer = delivery_keep_request(loop->delivery, envelope_frames);
    broker_on_request(loop->broker, peer, header, loop->now_ms, loop->wall_ms);
    return STATUS_OK;
}

/* [BATCH][body], which the core is given to keep, or [MARK]. */
static enum status take_bets(struct loop *loop)
{
    enum status status = socket_receive(loop->bets, &loop->frames);
    if (status == STATUS_MALFORMED)
        drop(loop, "bets", DROP_SHAPE);
    if (status != STATUS_OK)
        return status;
    struct message message;
    bool is_readable = message_decode(frames_slice(&loop->frames, 0), &message) == STATUS_OK;
    if (is_readable && message.kind == MESSAGE_MARK && loop->frames.count == 1) {
        broker_on_bets(loop->broker, frames_slice(&loop->frames, 0), 0, NULL, loop->now_ms);
        frames_release(&loop->frames);
        return STATUS_OK;
    }
    if (!is_readable || message.kind != MESSAGE_BATCH || loop->frames.count != 2) {
        drop(loop, "bets", DROP_SHAPE);
        return STATUS_OK;
    }
    struct payload *payload = payload_take(&loop->frames);
    if (payload == NULL)
        drop(loop, "bets", DROP_MEMORY);
    else
        broker_on_bets(loop->broker, payload_header(payload), payload_body_bytes(payload), payload,
                       loop->now_ms);
    return STATUS_OK;
}

/* Takes messages until the socket is empty, the turn has its share, or there is no room. A message
 * that was dropped counts too. errors: IO. */
static enum status drain(struct loop *loop, enum status (*take)(struct loop *loop), bool is_bets)
{
    for (int count = 0; count < MESSAGES_PER_TURN && has_room(loop); count++) {
        if (is_bets && !broker_wants_bets(loop->broker))
            return STATUS_OK;
        enum status status = take(loop);
        if (status == STATUS_AGAIN)
            return STATUS_OK;
        if (status != STATUS_OK && status != STATUS_MALFORMED) {
            loop->problem = "cannot receive from a socket";
            return status;
        }
    }
    return STATUS_OK;
}

/* ---- what goes out ---- */

/* The core cannot include the log's header; it says its results by their numbers (broker.h). */
_Static_assert(LOG_SUCCESS == 0 && LOG_FAIL == 1 && LOG_IN_PROGRESS == 2, "as inner.h has them");

static void log_events(struct loop *loop)
{
    struct broker_event event;
    while (broker_next_event(loop->broker, &event)) {
        enum log_result result = (enum log_result)event.result;
        log_event(result == LOG_FAIL ? LOG_WARN : LOG_INFO, event.action, result, "%s", event.text);
    }
}

/* Why the loop has to end before anything more is journaled or sent; OK and END: it has not. */
static enum status get_verdict(struct loop *loop)
{
    enum status status = journal_verdict(loop->journal);
    if (status != STATUS_OK)
        loop->problem = journal_problem(loop->journal);
    else
        status = broker_verdict(loop->broker, &loop->problem);
    return status;
}

/* What a turn would have said that nothing is left of. */
static void drop_events(struct loop *loop)
{
    struct broker_event event;
    while (broker_next_event(loop->broker, &event))
        continue;
}

/* First the records, then what is to be told of them and the core's answer to their being durable,
 * until none is left. */
static enum status journal_records(struct loop *loop)
{
    enum status status = get_verdict(loop);
    for (int count = 0; status == STATUS_OK || status == STATUS_END; count++) {
        if (records_count(loop->records) == 0)
            return status;
        CHECK(count < TRANSACTIONS_PER_TURN);
        status = journal_write(loop->journal, loop->records);
        records_reset(loop->records);
        if (status == STATUS_OK) {
            log_events(loop);
            broker_committed(loop->broker, loop->now_ms);
        }
        status = get_verdict(loop);
    }
    return status;
}

/* Makes what the turn decided durable, then sends and logs what it said. errors: the loop's end;
 * END too. */
static enum status settle(struct loop *loop)
{
    enum status status = journal_records(loop);
    if (status == STATUS_OK || status == STATUS_END) {
        CRASH_POINT("broker.before_send");
        enum status sent = delivery_send(loop->delivery, loop->outbox);
        CRASH_POINT("broker.after_send");
        if (sent != STATUS_OK) {
            loop->problem = "cannot send on a socket";
            status = sent;
        }
        log_events(loop);
    } else {
        records_reset(loop->records);
        delivery_discard(loop->delivery, loop->outbox);
        drop_events(loop);
    }
    return status;
}

/* ---- the turn ---- */

static void read_clocks(struct loop *loop)
{
    loop->now_ms = clock_now_ms();
    loop->wall_ms = clock_wall_ms();
}

/* Waits for a message, the core's time or a signal. errors: INTERRUPTED: a signal; IO. */
static enum status wait_for_work(struct loop *loop, int stop)
{
    zmq_pollitem_t items[] = {
        {.fd = stop, .events = ZMQ_POLLIN},
        {.socket = loop->dispatch, .events = ZMQ_POLLIN},
        {.socket = loop->rendezvous, .events = ZMQ_POLLIN},
        {.socket = loop->bets, .events = ZMQ_POLLIN},
    };
    int items_count = broker_wants_bets(loop->broker) ? 4 : 3;
    int64_t wait_ms = loop->next_at - clock_now_ms();
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > POLL_MS_MAX)
        wait_ms = POLL_MS_MAX;
    int ready = zmq_poll(items, items_count, (long)wait_ms);
    if (ready < 0 && zmq_errno() != EINTR) {
        loop->problem = "cannot wait for messages";
        return STATUS_IO;
    }
    if (ready > 0 && items[0].revents != 0 && stop_take(stop) != 0) {
        loop->problem = "interrupted by a signal";
        return STATUS_INTERRUPTED;
    }
    return STATUS_OK;
}

static enum status turn(struct loop *loop)
{
    enum status status = drain(loop, take_worker, false);
    if (status == STATUS_OK)
        status = drain(loop, take_request, false);
    if (status == STATUS_OK)
        status = drain(loop, take_bets, true);
    if (status == STATUS_OK && !has_room(loop))
        status = settle(loop);
    if (status != STATUS_OK)
        return status;
    loop->next_at = broker_tick(loop->broker, loop->now_ms, loop->wall_ms);
    return settle(loop);
}

enum status loop_run(struct loop *loop, struct broker *broker, struct journal *journal, int stop,
                     const char **problem)
{
    loop->broker = broker;
    loop->journal = journal;
    loop->problem = "";
    read_clocks(loop);
    loop->next_at = loop->now_ms;
    enum status status = settle(loop); /* what the start decided */
    while (status == STATUS_OK) {
        status = wait_for_work(loop, stop);
        if (status != STATUS_OK)
            break;
        read_clocks(loop);
        status = turn(loop);
    }
    delivery_discard(loop->delivery, loop->outbox);
    *problem = loop->problem;
    return status;
}
