/* What leaves in a turn: the outbox's messages, each on its socket with the frames in front that
 * its port wants. Owns what a message needs besides its bytes: the envelopes of the turn's
 * requests, the batches that the core holds, and the chunks of a manifest, which all stores
 * share. It decides nothing. */
#ifndef SORTEO_BROKER_DELIVERY_H
#define SORTEO_BROKER_DELIVERY_H

#include "proto/host/socket.h"
#include "proto/wire/outbox.h"

enum {
    REQUESTS_PER_TURN = 64,
    ROUTING_BYTES = 5, /* libzmq's own routing ids: a zero and a number; peers set none */
};

/* A batch as received, held for the core: header and body in libzmq's own memory. */
struct payload;

/* Takes the two frames of a batch. returns NULL: out of memory, the frames are still the
 * caller's. */
struct payload *payload_take(struct frames *frames);
/* Lent as long as the payload lives. */
struct slice payload_header(struct payload *payload);
size_t payload_body_bytes(struct payload *payload);
/* The core's payload_release. */
void payload_drop(void *payload);

struct delivery;

/* in: sockets: borrowed, outlive the delivery. errors: NO_MEMORY. */
enum status delivery_create(void *rendezvous, void *winners, void *dispatch,
                            struct delivery **delivery);
void delivery_destroy(struct delivery **delivery);

/* Where the next request is received into; NULL when the turn has REQUESTS_PER_TURN of them. */
struct frames *delivery_next_request(struct delivery *delivery);
/* Keeps the request that was received there until the turn ends.
 * in: envelope_frames: how many of its first frames are the envelope. returns the token for its
 * answer. */
uint64_t delivery_keep_request(struct delivery *delivery, int envelope_frames);

/* A worker's routing id as a number. errors: false: it is not libzmq's own. */
bool delivery_parse_peer(struct slice routing_id, uint64_t *peer);

/* Sends everything in the outbox, in order, without waiting, and empties it; ends the turn's
 * requests. A message to a peer that is gone is dropped (its lease tells the core). errors: IO:
 * a socket failed. */
enum status delivery_send(struct delivery *delivery, struct outbox *outbox);

/* Empties the outbox without sending: what it says was never journaled. */
void delivery_discard(struct delivery *delivery, struct outbox *outbox);

#endif
