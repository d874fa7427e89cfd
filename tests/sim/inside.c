#include "tests/sim/inside.h"

#include "broker/inner.h"

size_t inside_queue_weight(const struct broker *broker)
{
    return dispatch_queue_weight(broker->dispatch);
}

uint32_t inside_sealed_draw(const struct broker *broker)
{
    return broker->state == DRAW_SEALED && broker->recovery == NULL ? broker->draw : 0;
}

uint32_t inside_stores_count(const struct broker *broker)
{
    return stores_count(broker->stores);
}

bool inside_store_is_registered(const struct broker *broker, uint32_t slot, uint64_t *peer)
{
    const struct store *store = stores_at(broker->stores, slot);
    *peer = store->peer;
    return store->state == STORE_REGISTERED;
}
