/* Three tables say what a socket is: its purpose gives type, port and options, and every option
 * that matters stands here with its reason, so that none is libzmq's (or czmq's) default by
 * accident. Who may talk to whom about what:
 * PROTOCOL.md. */
#include "proto/host/socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/wire/check.h"

enum {
    OPTION_ZERO_COPY_RECEIVE =
        10, /* ZMQ_ZERO_COPY_RECV: behind the drafts in zmq.h, always honoured */
    ENDPOINT_BYTES_MAX = NI_MAXHOST + 32,
    DESCRIPTORS_BESIDES = 16, /* standard streams, the context's own, log, lock, signalfd */
    REQUESTS_MAX = UNANSWERED_REDIAL + 1,
};

/* ---- what each kind of socket is ---- */

struct setting {
    int option; /* 0 ends a list: no option of libzmq has that number */
    int value;
};

static const struct setting settings_of_all[] = {
    /* Per frame, off by default. One frame above it closes the sender's connection without a word,
     * and everything behind it is gone: senders keep to the cap that HELLO tells. */
    {ZMQ_MAXMSGSIZE, FRAME_BYTES_MAX},
    /* ZMTP's heartbeats turn a stall into a loss: they end the connection, and what was on its way
     * is gone. Leases are the protocol's business. TCP's own keepalive only frees the descriptors
     * of peers whose machine is gone: after 30 + 3 * 10 s. */
    {ZMQ_HEARTBEAT_IVL, 0},
    {ZMQ_TCP_KEEPALIVE, 1},
    {ZMQ_TCP_KEEPALIVE_IDLE, 30},
    {ZMQ_TCP_KEEPALIVE_INTVL, 10},
    {ZMQ_TCP_KEEPALIVE_CNT, 3},
    {0, 0},
};

static const struct setting settings_of_binders[] = {
    /* All agencies may dial at once: above libzmq's default, 100, a SYN is dropped, and tried again
     * a second later. */
    {ZMQ_BACKLOG, 1024},
    /* Who connects and says nothing holds a descriptor that long: with 30 s, the default, a few
     * hundred of them lock everybody out; a handshake, with keys too, takes a small part of 2 s. */
    {ZMQ_HANDSHAKE_IVL, 2000},
    {0, 0},
};

static const struct setting settings_of_dialers[] = {
    /* A lost SYN or a broker that is paused behind its kernel: dial again, but not in a hurry,
     * since each attempt waits in the paused broker's backlog. */
    {ZMQ_CONNECT_TIMEOUT, 3000},
    {ZMQ_HANDSHAKE_IVL, 5000},
    /* Plus up to 100 ms of libzmq's own jitter; doubled up to the largest. */
    {ZMQ_RECONNECT_IVL, 100},
    {ZMQ_RECONNECT_IVL_MAX, 2000},
    {0, 0},
};

/* A ROUTER with MANDATORY tells that a worker's connection has gone. */
static const struct setting settings_of_dispatch[] = {
    {ZMQ_ROUTER_MANDATORY, 1},
    {ZMQ_ROUTER_HANDOVER, 0},
    {0, 0},
};

/* A reply to a peer that has gone is dropped whole. With MANDATORY only the envelope's first frame
 * would fail, and the others would be taken for an envelope of their own. */
static const struct setting settings_of_replies[] = {
    {ZMQ_ROUTER_MANDATORY, 0},
    {ZMQ_ROUTER_HANDOVER, 0},
    {0, 0},
};

/* Without RELAXED a REQ is stuck for ever after a lost reply; CORRELATE keeps a late reply from
 * passing as the answer to a newer request. */
static const struct setting settings_of_requests[] = {
    {ZMQ_REQ_RELAXED, 1},
    {ZMQ_REQ_CORRELATE, 1},
    {0, 0},
};

static const struct setting settings_of_others[] = {{0, 0}};

/* What a purpose decides. */
struct kind {
    int type;
    int port_offset;
    bool binds;
    /* How long closing waits for what was sent: 1 s where a last word matters to the peer, so that
     * a program still ends within its 5 s; 0 where it would be asked for or sent again anyway.
     * czmq's default is 0. */
    int linger_ms;
    /* Messages per peer, 0 = no bound. Both ends' and the kernel's buffers add up. */
    int send_mark;
    int receive_mark;
    /* 1: a message only enters a connection that stands, and is not lost with an attempt at one. 0:
     * a first word waits in the socket until it does. */
    int immediate;
    const struct setting *own; /* what only this type has */
};

/* The marks, and why:
 * - A REQ has one request under way, so one reply waits. Two bound what a peer costs that asks and
 *   does not read; above, the reply is dropped, and asked for again. An agency closes its REQ after
 *   UNANSWERED_REDIAL requests, so it never meets its own mark.
 * - A PULL's mark is for each peer: 500 that ignore their window fill 500 * 1000 batches of 64 KiB
 *   (32 GB) at the default, 32 MB at 1. The sender's queue is short too: a MARK leaves close behind
 *   its batches.
 * - PUB has one page for each agency and draw. Above, it is dropped: the query is the truth.
 * - Above its mark a ROUTER drops without an error, and 8 MiB of credit are thousands of small
 *   batches: so dispatch has none, the credit is the bound. A DEALER answers AGAIN instead. */
static const struct kind kinds[] = {
    /*                              type    port  binds linger send receive immediate own */
    [SOCKET_BROKER_RENDEZVOUS] = {ZMQ_ROUTER, 0, true, 1000, 2, 2, 0, settings_of_replies},
    [SOCKET_BROKER_BETS] = {ZMQ_PULL, 1, true, 0, 1, 1, 0, settings_of_others},
    [SOCKET_BROKER_WINNERS] = {ZMQ_PUB, 2, true, 1000, 2, 16, 0, settings_of_others},
    [SOCKET_BROKER_DISPATCH] = {ZMQ_ROUTER, 3, true, 1000, 0, 16, 0, settings_of_dispatch},
    [SOCKET_WORKER_DISPATCH] = {ZMQ_DEALER, 3, false, 1000, 256, 1000, 0, settings_of_others},
    [SOCKET_AGENCY_RENDEZVOUS] = {ZMQ_REQ, 0, false, 0, REQUESTS_MAX, REQUESTS_MAX, 0,
                                  settings_of_requests},
    [SOCKET_AGENCY_BETS] = {ZMQ_PUSH, 1, false, 0, 16, 1, 1, settings_of_others},
    [SOCKET_AGENCY_WINNERS] = {ZMQ_SUB, 2, false, 0, 16, 16, 0, settings_of_others},
};

/* ---- context ---- */

enum status socket_context_create(int sockets_max, void **context)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return STATUS_CONFIG;
    if (sockets_max < 1 || limit.rlim_cur < (rlim_t)sockets_max + DESCRIPTORS_BESIDES)
        return STATUS_CONFIG; /* libzmq would just stand still, without an error */

    void *created = zmq_ctx_new();
    if (created == NULL)
        return STATUS_NO_MEMORY;
    /* Received without a copy, a small message that comes alone pins its whole read of 8 KiB. What
     * is larger than a read goes straight into a message of its own either way. */
    if (zmq_ctx_set(created, ZMQ_MAX_SOCKETS, sockets_max) != 0 ||
        zmq_ctx_set(created, ZMQ_IO_THREADS, 1) != 0 ||
        zmq_ctx_set(created, OPTION_ZERO_COPY_RECEIVE, 0) != 0) {
        zmq_ctx_term(created);
        return STATUS_CONFIG;
    }
    *context = created;
    return STATUS_OK;
}

void socket_context_destroy(void **context)
{
    if (*context == NULL)
        return;
    int rc;
    do
        rc = zmq_ctx_term(*context); /* waits for the sockets' LINGER, 1 s at most */
    while (rc != 0 && zmq_errno() == EINTR);
    *context = NULL;
}

/* ---- opening and closing ---- */

static void explain(char *problem, size_t problem_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void explain(char *problem, size_t problem_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, problem_bytes, format, arguments);
    va_end(arguments);
}

static int set_option(void *zocket, const struct setting *setting)
{
    int64_t wide = setting->value;
    if (setting->option == ZMQ_MAXMSGSIZE)
        return zmq_setsockopt(zocket, setting->option, &wide, sizeof wide);
    return zmq_setsockopt(zocket, setting->option, &setting->value, sizeof setting->value);
}

static enum status set_options(void *zocket, const struct setting *settings, char *problem,
                               size_t problem_bytes)
{
    for (; settings->option != 0; settings++) {
        if (set_option(zocket, settings) == 0)
            continue;
        explain(problem, problem_bytes, "cannot set libzmq's socket option %d to %d: %s",
                settings->option, settings->value, zmq_strerror(zmq_errno()));
        return STATUS_IO;
    }
    return STATUS_OK;
}

/* Binds or dials. Names are resolved here, once, so that a wrong one is told at once: libzmq would
 * look it up again and again in its own thread, and does not bind a name at all. */
static enum status attach(void *zocket, const struct kind *kind, const struct address *address,
                          char *problem, size_t problem_bytes)
{
    bool is_everywhere = strcmp(address->host, "*") == 0;
    char digits[NI_MAXHOST] = "*";
    const char *reason = NULL;
    if (!is_everywhere)
        reason = address_resolve(address->host, digits, sizeof digits);
    else if (!kind->binds)
        reason = "it stands for every interface of the broker's own machine";
    if (reason != NULL) {
        explain(problem, problem_bytes, "cannot find the host '%s': %s", address->host, reason);
        return STATUS_UNREACHABLE;
    }

    bool is_ipv6 = strchr(digits, ':') != NULL;
    char endpoint[ENDPOINT_BYTES_MAX];
    snprintf(endpoint, sizeof endpoint, is_ipv6 ? "tcp://[%s]:%d" : "tcp://%s:%d", digits,
             address->port + kind->port_offset);
    /* `*` is both kinds then; where the machine has no IPv6, libzmq falls back by itself. */
    const struct setting family[] = {{ZMQ_IPV6, is_ipv6 || is_everywhere}, {0, 0}};
    enum status status = set_options(zocket, family, problem, problem_bytes);
    if (status != STATUS_OK)
        return status;
    if ((kind->binds ? zmq_bind(zocket, endpoint) : zmq_connect(zocket, endpoint)) == 0)
        return STATUS_OK;
    int error = zmq_errno();
    explain(problem, problem_bytes, "cannot %s %s: %s", kind->binds ? "bind" : "dial",
            endpoint + strlen("tcp://"), zmq_strerror(error));
    return error == EADDRINUSE ? STATUS_BUSY : STATUS_CONFIG;
}

enum status socket_open(void *context, enum socket_purpose purpose, const struct address *address,
                        void **zocket, char *problem, size_t problem_bytes)
{
    const struct kind *kind = &kinds[purpose];
    if (address->port < 1 || address->port > PORT_MAX) {
        explain(problem, problem_bytes,
                "cannot use port %d: it and the three behind it must be from 1 to %d",
                address->port, UINT16_MAX);
        return STATUS_CONFIG;
    }
    void *opened = zmq_socket(context, kind->type);
    if (opened == NULL) {
        int error = zmq_errno();
        explain(problem, problem_bytes, "cannot open a socket: %s", zmq_strerror(error));
        return error == EMFILE ? STATUS_CONFIG : STATUS_IO;
    }
    enum status status = set_options(opened, settings_of_all, problem, problem_bytes);
    if (status == STATUS_OK)
        status = set_options(opened, kind->binds ? settings_of_binders : settings_of_dialers,
                             problem, problem_bytes);
    const struct setting settings_of_kind[] = {
        {ZMQ_LINGER, kind->linger_ms},
        {ZMQ_SNDHWM, kind->send_mark},
        {ZMQ_RCVHWM, kind->receive_mark},
        {ZMQ_IMMEDIATE, kind->immediate},
        {0, 0},
    };
    if (status == STATUS_OK)
        status = set_options(opened, settings_of_kind, problem, problem_bytes);
    if (status == STATUS_OK)
        status = set_options(opened, kind->own, problem, problem_bytes);
    if (status == STATUS_OK)
        status = attach(opened, kind, address, problem, problem_bytes);
    if (status != STATUS_OK)
        goto fail;
    *zocket = opened;
    return STATUS_OK;

fail:
    socket_close(&opened);
    return status;
}

void socket_close(void **zocket)
{
    if (*zocket != NULL)
        CHECK(zmq_close(*zocket) == 0); /* fails only for what is no socket */
    *zocket = NULL;
}

void socket_discard(void **zocket)
{
    static const int linger_ms = 0;
    if (*zocket != NULL)
        CHECK(zmq_setsockopt(*zocket, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0);
    socket_close(zocket);
}

enum status socket_subscribe(void *zocket, const char *topic)
{
    return zmq_setsockopt(zocket, ZMQ_SUBSCRIBE, topic, strlen(topic)) == 0 ? STATUS_OK : STATUS_IO;
}

/* ---- receiving and sending ---- */

/* EINTR: signals are blocked (stop.h), but a debugger's stop and go still interrupts. EFSM: a REQ
 * that has asked nothing has nothing to receive. */
static enum status status_of_failure(void)
{
    switch (zmq_errno()) {
    case EAGAIN:
    case EINTR:
    case EFSM:
        return STATUS_AGAIN;
    case EHOSTUNREACH:
        return STATUS_UNREACHABLE;
    default:
        return STATUS_IO;
    }
}

/* Reads the frames that do not fit and drops them: libzmq hands out a message only when all of it
 * is there. */
static enum status drop_rest(void *zocket)
{
    bool has_more = true;
    while (has_more) {
        zmq_msg_t dropped;
        zmq_msg_init(&dropped);
        int rc = zmq_msg_recv(&dropped, zocket, ZMQ_DONTWAIT);
        has_more = rc >= 0 && zmq_msg_more(&dropped);
        zmq_msg_close(&dropped);
        if (rc < 0)
            return STATUS_IO;
    }
    return STATUS_MALFORMED;
}

enum status socket_receive(void *zocket, struct frames *frames)
{
    CHECK(frames->count == 0);
    for (;;) {
        zmq_msg_t *frame = &frames->frame[frames->count];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, zocket, ZMQ_DONTWAIT) < 0) {
            enum status status = frames->count == 0 ? status_of_failure() : STATUS_IO;
            zmq_msg_close(frame);
            frames_release(frames);
            return status;
        }
        frames->count++;
        if (!zmq_msg_more(frame))
            return STATUS_OK;
        if (frames->count == FRAMES_MAX) {
            frames_release(frames);
            return drop_rest(zocket);
        }
    }
}

struct slice frames_slice(struct frames *frames, int index)
{
    CHECK(index >= 0 && index < frames->count);
    zmq_msg_t *frame = &frames->frame[index];
    return (struct slice){.data = zmq_msg_data(frame), .bytes = zmq_msg_size(frame)};
}

void frames_release(struct frames *frames)
{
    for (int i = 0; i < frames->count; i++)
        zmq_msg_close(&frames->frame[i]);
    frames->count = 0;
}

enum status socket_send(void *zocket, struct slice frame, bool has_more)
{
    int flags = ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0);
    return zmq_send(zocket, frame.data, frame.bytes, flags) < 0 ? status_of_failure() : STATUS_OK;
}

enum status socket_send_message(void *zocket, zmq_msg_t *message, bool has_more)
{
    int flags = ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0);
    return zmq_msg_send(message, zocket, flags) < 0 ? status_of_failure() : STATUS_OK;
}
