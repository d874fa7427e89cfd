/* What a core wants to be sent: a bounded list of messages that its shell (or the simulator) takes
 * out after each event. The core never sends; the shell never decides. Filled and emptied within
 * one turn of the loop, so the memory is one arena, reset each time. */
#ifndef SORTEO_PROTO_WIRE_OUTBOX_H
#define SORTEO_PROTO_WIRE_OUTBOX_H

#include "proto/wire/message.h"

/* Where a message goes. */
enum port {
    PORT_BETS = 1,       /* agency → broker */
    PORT_RENDEZVOUS = 2, /* agency → broker, and the broker's answer to `peer` */
    PORT_WINNERS = 3,    /* broker → subscribers of the message's (draw, agency) */
    PORT_DISPATCH = 4,   /* worker → broker, and broker → worker `peer` */
};

/* One message to send. */
struct outbound {
    enum port port;
    uint64_t peer; /* the shell's token for an envelope or a routing id; 0 where there is but one */
    struct slice header; /* frame 0; in the outbox's arena */
    struct slice body;   /* second frame; in the arena, or borrowed until the outbox is emptied */
    bool has_body;
    void *payload; /* a batch that the shell holds for the core (header and body as received), given
                            away with this message: sent behind `header`; else NULL */
};

struct outbox;

/* in: how many messages and bytes it holds at most. errors: NO_MEMORY. */
enum status outbox_create(size_t messages_max, size_t arena_bytes, struct outbox **outbox);
void outbox_destroy(struct outbox **outbox);

/* True when at least `messages` more messages with `bytes` more bytes fit. A loop asks before it
 * gives its core another event. */
bool outbox_has_room(const struct outbox *outbox, size_t messages, size_t bytes);

/* A piece of the arena to build a body in; NULL when it does not fit. Valid until outbox_reset. */
uint8_t *outbox_reserve(struct outbox *outbox, size_t bytes);
/* Gives back what the last reserve took beyond `bytes`. */
void outbox_trim(struct outbox *outbox, const uint8_t *piece, size_t bytes);

/* Encodes `message` and puts it in, with a body (NULL: none) that is in the arena or outlives the
 * turn. Checked, not answered: there is room (outbox_has_room was asked). */
void outbox_send(struct outbox *outbox, enum port port, uint64_t peer,
                 const struct message *message, const struct slice *body);
/* The same, with a batch in place of a body: FORWARD to `peer`. */
void outbox_forward(struct outbox *outbox, uint64_t peer, const struct message *message,
                    void *payload);

size_t outbox_count(const struct outbox *outbox);
const struct outbound *outbox_at(const struct outbox *outbox, size_t index);
void outbox_reset(struct outbox *outbox);

#endif
