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

#endif
