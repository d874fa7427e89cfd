/* Bodies of batches that were read and wait for the window or for the bets socket; and how a batch
 * leaves: [header BATCH][body], the body without a copy. */
#ifndef SORTEO_AGENCY_OUTGOING_H
#define SORTEO_AGENCY_OUTGOING_H

#include "agency/agency.h"
#include "agency/reader.h"

enum { OUTGOING_TURN_MAX = 16 /* batches sent in one turn of the loop */ };

/* A body, as the message that it will be sent as. Closing it gives its payload back. */
struct waiting_body {
    uint32_t seq;
    zmq_msg_t message; /* owned */
};

/* Zeroed: nothing waits. */
struct outgoing {
    struct waiting_body bodies[READER_PAYLOADS_MAX]; /* in any order */
    uint32_t count;
    bool is_blocked; /* the socket took no more: wait until it is writable, and set this to false */
};

/* Takes a body over; one that the core does not want goes back at once. */
void outgoing_keep(struct outgoing *outgoing, const struct agency *agency, uint32_t seq,
                   struct payload *payload);

/* Gives back the bodies that the core no longer wants, or all. */
void outgoing_sift(struct outgoing *outgoing, const struct agency *agency);
void outgoing_clear(struct outgoing *outgoing);

/* Sends what the core names until the window or the socket is full; what is not there is asked of
 * the reader again. returns true when there may be more to send in the next turn. */
bool outgoing_send(struct outgoing *outgoing, struct agency *agency, struct reader *reader,
                   void *bets, int64_t now_ms);

#endif
