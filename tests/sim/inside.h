/* What the simulator looks at inside a broker's core, to hold it against what it saw itself. */
#ifndef SORTEO_TESTS_SIM_INSIDE_H
#define SORTEO_TESTS_SIM_INSIDE_H

#include "broker/broker.h"

size_t inside_queue_weight(const struct broker *broker);
/* The draw that is sealed and counted now; 0: none is. */
uint32_t inside_sealed_draw(const struct broker *broker);
uint32_t inside_stores_count(const struct broker *broker);
/* returns whether the store is registered. out: peer. in: slot < inside_stores_count. */
bool inside_store_is_registered(const struct broker *broker, uint32_t slot, uint64_t *peer);
/* A store registers, or is registered, over that connection; it is still registering. */
bool inside_knows_peer(const struct broker *broker, uint64_t peer);
bool inside_is_registering(const struct broker *broker, uint64_t peer);
/* That question, if the store behind the connection is asked it and is to be heard; else 0. */
uint32_t inside_live_question(const struct broker *broker, uint64_t peer, uint32_t draw,
                              uint64_t epoch, uint32_t question);
/* It recovers that draw, and knows the store behind the connection. */
bool inside_recovers(const struct broker *broker, uint64_t peer, uint32_t draw);
/* Becomes another number with each log line, until they are fetched. */
uint32_t inside_notes(const struct broker *broker);
/* A seal of that draw is known, with which one of that store would be compared. */
bool inside_has_seal_to_hear(const struct broker *broker, uint64_t peer, uint32_t draw);

#endif
