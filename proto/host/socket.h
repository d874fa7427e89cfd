/* The only place where a ZeroMQ socket is opened: every option that matters is set explicitly,
 * before bind or connect, and its return code checked. One thread owns one socket. Below it is
 * libzmq's own API (zmq_poll, zmq_msg_t); what it does by itself stands at each option in
 * socket.c. */
#ifndef SORTEO_PROTO_HOST_SOCKET_H
#define SORTEO_PROTO_HOST_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "proto/host/address.h"
#include "proto/wire/limits.h"
#include "proto/wire/slice.h"
#include "proto/wire/status.h"

/* What a socket is for decides its type and every option of it. */
enum socket_purpose {
    SOCKET_BROKER_RENDEZVOUS, /* ROUTER, binds PORT */
    SOCKET_BROKER_BETS,       /* PULL,   binds PORT + 1, RCVHWM 1 */
    SOCKET_BROKER_WINNERS,    /* PUB,    binds PORT + 2 */
    SOCKET_BROKER_DISPATCH,   /* ROUTER, binds PORT + 3, SNDHWM 0 */
    SOCKET_WORKER_DISPATCH,   /* DEALER, connects PORT + 3 */
    SOCKET_AGENCY_RENDEZVOUS, /* REQ, RELAXED + CORRELATE, connects PORT */
    SOCKET_AGENCY_BETS,       /* PUSH, IMMEDIATE, connects PORT + 1 */
    SOCKET_AGENCY_WINNERS,    /* SUB, connects PORT + 2 */
};

/* A context with sockets_max sockets, one I/O thread and no zero-copy receive of small messages.
 * errors: NO_MEMORY, CONFIG (not enough descriptors). */
enum status socket_context_create(int sockets_max, void **context);
/* Ends it; every socket of it has been closed. NULL is fine. */
void socket_context_destroy(void **context);

/* Opens, sets options, binds or connects. On errors `problem` says what happened in one sentence
 * for the user ("cannot bind 127.0.0.1:5555: Address already in use"), problem_bytes with its NUL.
 * May wait for the name service, for nothing else; a name with both kinds of address is taken as
 * IPv4.
 * errors: CONFIG (address cannot be bound, port above 65532, no descriptor left), BUSY (address in
 * use), UNREACHABLE (name not known), IO. */
enum status socket_open(void *context, enum socket_purpose purpose, const struct address *address,
                        void **zocket, char *problem, size_t problem_bytes);
/* Closes it; what was sent may still leave, as long as its purpose's LINGER says. */
void socket_close(void **zocket);
/* Closes it; what has not left by now never does. */
void socket_discard(void **zocket);

/* SUB only: prefix subscription. */
enum status socket_subscribe(void *zocket, const char *topic);

/* One message as received: all its frames, in libzmq's own memory. Zeroed is empty. */
struct frames {
    zmq_msg_t frame[FRAMES_MAX];
    int count;
};

/* Takes one whole message without waiting. Frames beyond FRAMES_MAX are read and dropped, and the
 * message with them. in: frames: empty; out: still empty on errors.
 * errors: AGAIN: none is there (after a POLLIN too, where a REQ had only a late reply); MALFORMED:
 * too many frames (dropped); IO. */
enum status socket_receive(void *zocket, struct frames *frames);
/* One frame's bytes, lent until frames_release or until the frame is given away. in: index below
 * count. */
struct slice frames_slice(struct frames *frames, int index);
/* Empties it; safe twice, and after frames were given away by socket_send_message. */
void frames_release(struct frames *frames);

/* Sends one frame, copying it / giving `message` away. Never waits.
 * errors: AGAIN: the socket would block, nothing was sent and message is still the caller's;
 * UNREACHABLE: a ROUTER with nobody behind that routing id; IO. */
enum status socket_send(void *zocket, struct slice frame, bool has_more);
enum status socket_send_message(void *zocket, zmq_msg_t *message, bool has_more);

#endif
