/* Real sockets on loopback. Each test has an address of 127.0.0.0/8 of its own, made from its
 * process id, so that fixed ports do not collide between tests that run at the same time. */
#ifndef SORTEO_TESTS_SOCKET_SOCKET_FIXTURE_H
#define SORTEO_TESTS_SOCKET_SOCKET_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/host/socket.h"

enum { DEADLINE_MS = 5000, SOCKETS = 16 };

static void *context;
static struct address address;

static inline void begin(void)
{
    unsigned pid = (unsigned)getpid();
    snprintf(address.host, sizeof address.host, "127.%u.%u.%u", 1 + (pid >> 16) % 250,
             (pid >> 8) % 256, 1 + pid % 254);
    address.port = PORT_DEFAULT;
    cr_assert_eq(socket_context_create(SOCKETS, &context), STATUS_OK);
}

/* Last in each test, not its suite's .fini: behind a failed assertion it would wait for open
 * sockets. */
static inline void end(void)
{
    socket_context_destroy(&context);
    cr_assert_null(context);
}

static inline void *open_socket(enum socket_purpose purpose)
{
    void *zocket = NULL;
    char problem[TEXT_BYTES_MAX] = "";
    cr_assert_eq(socket_open(context, purpose, &address, &zocket, problem, sizeof problem),
                 STATUS_OK, "%s", problem);
    return zocket;
}

static inline void wait_for(void *zocket, short event)
{
    zmq_pollitem_t item = {.socket = zocket, .events = event};
    cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1, "nothing happened within the deadline");
}

static inline struct slice slice_of(const char *text)
{
    return (struct slice){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static inline void send_text(void *zocket, const char *text, bool has_more)
{
    wait_for(zocket, ZMQ_POLLOUT);
    cr_assert_eq(socket_send(zocket, slice_of(text), has_more), STATUS_OK);
}

static inline void receive(void *zocket, struct frames *frames)
{
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN) { /* a late reply wakes a REQ up for nothing */
        wait_for(zocket, ZMQ_POLLIN);
        status = socket_receive(zocket, frames);
    }
    cr_assert_eq(status, STATUS_OK);
}

#endif
