/* Requests of agencies on rendezvous, inside the broker's core: what its two files share.
 * requests.c answers for the draw that runs, past.c for draws that are over. */
#ifndef SORTEO_BROKER_REQUESTS_H
#define SORTEO_BROKER_REQUESTS_H

#include "broker/state.h"

/* What all answers to one request need. */
struct request {
    uint64_t peer;
    const struct message *message;
    uint32_t agency;
    int64_t now_ms;
    int64_t wall_ms;
};

/* Sends the answer to a request; the draw is filled in. in: body: in the outbox's arena, or NULL.
 */
void requests_answer(struct broker *broker, const struct request *request, struct message *message,
                     const struct slice *body);
void requests_refuse(struct broker *broker, const struct request *request, enum refusal reason,
                     uint64_t number);

/* Answers a request for a draw that is over out of the archive. */
void past_answer(struct broker *broker, const struct request *request);

#endif
