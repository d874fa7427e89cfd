/* A loop on real sockets and a real journal, around a core that is written here, in place of
 * broker.c. The core's tick plays the peers, so everything is one thread, and nothing waits but the
 * loop itself. For one test program at a time: it defines the core. */
#ifndef SORTEO_TESTS_SOCKET_LOOP_FIXTURE_H
#define SORTEO_TESTS_SOCKET_LOOP_FIXTURE_H

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/delivery.h"
#include "broker/loop.h"
#include "proto/host/stop.h"

enum { SOCKETS = 80, HEARD_MAX = 4096, KEPT_BYTES_MAX = 256 };

/* What the core was given, in order. */
enum heard_kind { HEARD_REQUEST, HEARD_BETS, HEARD_WORKER, HEARD_COMMITTED };

struct heard {
    enum heard_kind kind;
    uint64_t peer;
    size_t header_bytes;
    uint8_t header[KEPT_BYTES_MAX];
    size_t body_bytes;
    uint8_t body[KEPT_BYTES_MAX];
    size_t outbox_count; /* at that moment */
};

/* The core of these tests, in place of broker.c. */
struct broker {
    void (*on_heard)(struct broker *broker, const struct heard *heard, void *payload);
    void (*on_tick)(struct broker *broker); /* plays the peers */
    struct outbox *outbox;
    struct records *records;
    enum status verdict;
    bool refuses_bets;
    uint32_t heard_count;
    struct heard heard[HEARD_MAX];
    uint32_t ticks;
    uint32_t noted; /* events that the core has made, numbered from 1 */
    uint32_t taken; /* of which the loop has taken so many */
};

static struct {
    struct broker broker;
    struct loop *loop;
    struct journal *journal;
    struct journal *rival;
    struct address address;
    char folder[64];
    void *context;
    void *rendezvous;
    void *bets;
    void *winners;
    void *worker[2];
    int stop;
    const char *problem;
    uint32_t step;
} world;

static inline void hear(struct broker *broker, enum heard_kind kind, uint64_t peer,
                        struct slice header, struct slice body, void *payload)
{
    cr_assert_lt(broker->heard_count, HEARD_MAX);
    struct heard *heard = &broker->heard[broker->heard_count++];
    *heard = (struct heard){.kind = kind,
                            .peer = peer,
                            .header_bytes = header.bytes,
                            .body_bytes = body.bytes,
                            .outbox_count = outbox_count(broker->outbox)};
    if (header.bytes > 0)
        memcpy(heard->header, header.data, header.bytes < 256 ? header.bytes : 256);
    if (body.data != NULL)
        memcpy(heard->body, body.data, body.bytes < 256 ? body.bytes : 256);
    if (broker->on_heard != NULL)
        broker->on_heard(broker, heard, payload);
    else if (payload != NULL)
        payload_drop(payload);
}

void broker_on_request(struct broker *broker, uint64_t peer, struct slice header, int64_t now_ms,
                       int64_t wall_ms)
{
    cr_assert(now_ms > 0 && wall_ms > 0);
    hear(broker, HEARD_REQUEST, peer, header, (struct slice){NULL, 0}, NULL);
}

void broker_on_bets(struct broker *broker, struct slice header, size_t body_bytes, void *payload,
                    int64_t now_ms)
{
    cr_assert(now_ms > 0);
    hear(broker, HEARD_BETS, 0, header, (struct slice){NULL, body_bytes}, payload);
}

void broker_on_worker(struct broker *broker, uint64_t peer, struct slice header, struct slice body,
                      int64_t now_ms)
{
    cr_assert(now_ms > 0);
    hear(broker, HEARD_WORKER, peer, header, body, NULL);
}

int64_t broker_tick(struct broker *broker, int64_t now_ms, int64_t wall_ms)
{
    (void)wall_ms;
    broker->ticks++;
    broker->on_tick(broker);
    return now_ms + 1;
}

void broker_committed(struct broker *broker, int64_t now_ms)
{
    (void)now_ms;
    struct slice nothing = {NULL, 0};
    hear(broker, HEARD_COMMITTED, 0, nothing, nothing, NULL);
}

bool broker_wants_bets(const struct broker *broker)
{
    return !broker->refuses_bets;
}

enum status broker_verdict(const struct broker *broker, const char **problem)
{
    if (broker->verdict != STATUS_OK)
        *problem = "the core's own reason";
    return broker->verdict;
}

bool broker_next_event(struct broker *broker, struct broker_event *event)
{
    if (broker->taken == broker->noted)
        return false;
    *event = (struct broker_event){.action = "test"};
    snprintf(event->text, sizeof(event->text), "event: %u", ++broker->taken);
    return true;
}

/* ---- the world around it ---- */

static inline void *open_socket(enum socket_purpose purpose)
{
    void *zocket = NULL;
    char problem[TEXT_BYTES_MAX] = "";
    cr_assert_eq(socket_open(world.context, purpose, &world.address, &zocket, problem,
                             sizeof(problem)),
                 STATUS_OK, "%s", problem);
    return zocket;
}

static inline void open_journal(struct journal **journal)
{
    const struct journal_patience no_patience = {0};
    char problem[TEXT_BYTES_MAX];
    struct id id = {{1}};
    struct epoch epoch;
    cr_assert_eq(journal_open(world.folder, &id, &no_patience, journal, &epoch, problem,
                              sizeof(problem)),
                 STATUS_OK, "%s", problem);
}

/* An address of 127.0.0.0/8 for each test, so that the ports of two of them never collide. */
static inline void begin(void)
{
    unsigned pid = (unsigned)getpid();
    snprintf(world.address.host, sizeof(world.address.host), "127.%u.%u.%u", 1 + (pid >> 16) % 250,
             (pid >> 8) % 256, 1 + pid % 254);
    world.address.port = PORT_DEFAULT;
    cr_assert_eq(stop_begin(&world.stop), STATUS_OK);
    snprintf(world.folder, sizeof(world.folder), "/tmp/loop_test.XXXXXX");
    cr_assert_not_null(mkdtemp(world.folder));
    open_journal(&world.journal);
    char problem[TEXT_BYTES_MAX];
    cr_assert_eq(loop_create(&world.address, &world.loop, problem, sizeof(problem)), STATUS_OK,
                 "%s", problem);
    world.broker.outbox = loop_outbox(world.loop);
    world.broker.records = loop_records(world.loop);
    cr_assert_eq(loop_release(), payload_drop);
    cr_assert_eq(socket_context_create(SOCKETS, &world.context), STATUS_OK);
    world.rendezvous = open_socket(SOCKET_AGENCY_RENDEZVOUS);
    world.bets = open_socket(SOCKET_AGENCY_BETS);
    world.winners = open_socket(SOCKET_AGENCY_WINNERS);
    world.worker[0] = open_socket(SOCKET_WORKER_DISPATCH);
    world.worker[1] = open_socket(SOCKET_WORKER_DISPATCH);
}

static inline void end(void)
{
    loop_destroy(&world.loop);
    cr_assert_null(world.loop);
    loop_destroy(&world.loop);
    journal_close(&world.journal);
    journal_close(&world.rival);
    socket_close(&world.rendezvous);
    socket_close(&world.bets);
    socket_close(&world.winners);
    socket_close(&world.worker[0]);
    socket_close(&world.worker[1]);
    socket_context_destroy(&world.context);
    static const char *const names[] = {"", "-wal", "-shm"};
    for (size_t index = 0; index < 3; index++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/journal.sqlite%s", world.folder, names[index]);
        unlink(path);
    }
    cr_assert_eq(rmdir(world.folder), 0);
}

static inline enum status run(void (*on_tick)(struct broker *broker),
                              void (*on_heard)(struct broker *broker, const struct heard *heard,
                                               void *payload))
{
    world.broker.on_tick = on_tick;
    world.broker.on_heard = on_heard;
    return loop_run(world.loop, &world.broker, world.journal, world.stop, &world.problem);
}

static inline void finish(struct broker *broker)
{
    broker->verdict = STATUS_END;
}

static inline struct slice encode(const struct message *message, uint8_t *buffer)
{
    size_t bytes = 0;
    cr_assert_eq(message_encode(message, buffer, 1024, &bytes), STATUS_OK);
    return (struct slice){buffer, bytes};
}

/* Sends a message of these frames; the socket always has room for one. */
static inline void send_frames(void *zocket, const struct slice *frames, int count)
{
    zmq_pollitem_t item = {.socket = zocket, .events = ZMQ_POLLOUT};
    cr_assert_eq(zmq_poll(&item, 1, 5000), 1);
    for (int index = 0; index < count; index++)
        cr_assert_eq(socket_send(zocket, frames[index], index + 1 < count), STATUS_OK);
}

/* True when a message was there: then *frames has it, to be released. */
static inline bool receive(void *zocket, struct frames *frames)
{
    frames->count = 0;
    enum status status = socket_receive(zocket, frames);
    cr_assert(status == STATUS_OK || status == STATUS_AGAIN);
    return status == STATUS_OK;
}

static inline struct slice text(const char *characters)
{
    return (struct slice){(const uint8_t *)characters, strlen(characters)};
}

static inline void answer_ok(struct broker *broker, uint64_t peer, uint32_t agency)
{
    struct message ok = {.kind = MESSAGE_OK, .draw = 1, .ok = {.agency = agency}};
    outbox_send(broker->outbox, PORT_RENDEZVOUS, peer, &ok, NULL);
}

#endif
