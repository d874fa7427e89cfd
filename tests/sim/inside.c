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

bool inside_knows_peer(const struct broker *broker, uint64_t peer)
{
    return stores_find(broker->stores, peer) >= 0;
}

bool inside_is_registering(const struct broker *broker, uint64_t peer)
{
    int slot = stores_find(broker->stores, peer);
    return slot >= 0 && stores_at(broker->stores, (uint32_t)slot)->state == STORE_REGISTERING;
}

/* The slot of a store that is registered with a broker that does not recover; -1: it is not. */
static int find_registered(const struct broker *broker, uint64_t peer)
{
    int slot = stores_find(broker->stores, peer);
    bool is_heard = slot >= 0 && broker->recovery == NULL &&
                    stores_at(broker->stores, (uint32_t)slot)->state == STORE_REGISTERED;
    return is_heard ? slot : -1;
}

uint32_t inside_live_question(const struct broker *broker, uint64_t peer, uint32_t draw,
                              uint64_t epoch, uint32_t question)
{
    int slot = find_registered(broker, peer);
    if (slot < 0 || draw != broker->draw || broker->state != DRAW_SEALED ||
        epoch != broker->own.number ||
        results_live_question(broker->results, (uint32_t)slot) != question)
        return 0;
    return question;
}

bool inside_recovers(const struct broker *broker, uint64_t peer, uint32_t draw)
{
    uint32_t recovered;
    return broker->recovery != NULL && inside_knows_peer(broker, peer) &&
           recovery_find(broker->recovery, &recovered) == RECOVERY_SEALED && recovered == draw;
}

uint32_t inside_notes(const struct broker *broker)
{
    return broker->events_first + broker->events_count;
}

bool inside_has_seal_to_hear(const struct broker *broker, uint64_t peer, uint32_t draw)
{
    return find_registered(broker, peer) >= 0 && draw == broker->draw && broker->manifest != NULL &&
           broker->state != DRAW_OPEN && broker->state != DRAW_VOIDING &&
           broker->state != DRAW_VOID;
}
