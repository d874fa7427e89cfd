/* Requests for draws that are over: the archive answers, for ever. */
#ifndef SORTEO_BROKER_PAST_H
#define SORTEO_BROKER_PAST_H

#include "broker/answer.h"

/* Answers a request for a draw that is over out of the archive. */
void past_answer(struct broker *broker, const struct request *request);

#endif
