#include "broker/answer.h"

void answer_send(struct broker *broker, const struct request *request, struct message *message,
                 const struct slice *body)
{
    message->draw = request->message->draw;
    outbox_send(broker->outbox, PORT_RENDEZVOUS, request->peer, message, body);
}

void answer_refuse(struct broker *broker, const struct request *request, enum refusal reason,
                   uint64_t number)
{
    struct message message = {
        .kind = MESSAGE_REFUSED,
        .refused = {.agency = request->agency, .reason = reason, .number = number},
    };
    answer_send(broker, request, &message, NULL);
}
