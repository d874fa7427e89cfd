/* A request of an agency on rendezvous and its answer, for requests.c (the draw that runs) and
 * past.c (draws that are over). */
#ifndef SORTEO_BROKER_ANSWER_H
#define SORTEO_BROKER_ANSWER_H

#include "broker/inner.h"

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
void answer_send(struct broker *broker, const struct request *request, struct message *message,
                 const struct slice *body);
void answer_refuse(struct broker *broker, const struct request *request, enum refusal reason,
                   uint64_t number);

#endif
