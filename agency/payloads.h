/* A fixed number of buffers for bodies of batches, handed from the reader's thread to the loop,
 * from there to libzmq without a copy, and back from libzmq's thread once the bytes have left. It
 * bounds what an agency keeps in memory, whatever its file's size and however slow the network
 * is. */
#ifndef SORTEO_AGENCY_PAYLOADS_H
#define SORTEO_AGENCY_PAYLOADS_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "proto/wire/slice.h"
#include "proto/wire/status.h"

struct payloads;

/* A buffer with a body in it. Whoever holds the pointer owns it and gives it away by
 * payload_release or payload_wrap. */
struct payload {
    struct payloads *pool; /* borrowed: outlives every payload */
    uint8_t *buffer;       /* owned by the pool */
    struct slice body;     /* of the buffer */
    struct payload *next;
};

/* Called, from any thread, when a payload has come back. */
typedef void payloads_returned(void *context);

/* in: payloads: how many, at least 1; bytes of each. errors: NO_MEMORY. */
enum status payloads_create(uint32_t payloads, size_t bytes, payloads_returned *returned,
                            void *context, struct payloads **pool);
/* Every payload has come back: sockets are closed and libzmq's context has ended. */
void payloads_destroy(struct payloads **pool);

/* A free payload as long as more than `reserve` are free, else NULL. Any thread. */
struct payload *payloads_take(struct payloads *pool, uint32_t reserve);
bool payloads_has(struct payloads *pool, uint32_t reserve);

/* Any thread. NULL is fine. */
void payload_release(struct payload *payload);

/* Makes a message of the body; the payload comes back when libzmq has sent it. errors: NO_MEMORY:
 * the payload is still the caller's. */
enum status payload_wrap(struct payload *payload, zmq_msg_t *message);

#endif
