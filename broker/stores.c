/* Owns the table of known stores and moves each through its states. A slot is never freed: a store
 * that was given up may come back, and the journal knows its id for ever. */
#include "broker/stores.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

struct stores {
    int64_t lease_ms;
    int64_t grace_ms;
    uint32_t count;
    struct store slots[STORES_MAX];
};

enum status stores_create(int64_t lease_ms, int64_t grace_ms, struct stores **stores)
{
    struct stores *created = calloc(1, sizeof *created);

    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->lease_ms = lease_ms;
    created->grace_ms = grace_ms;
    *stores = created;
    return STATUS_OK;
}

void stores_destroy(struct stores **stores)
{
    free(*stores);
    *stores = NULL;
}

static struct store *find_id(struct stores *stores, const struct id *id)
{
    for (uint32_t i = 0; i < stores->count; i++)
        if (id_is_equal(&stores->slots[i].id, id))
            return &stores->slots[i];
    return NULL;
}

static struct store *await(struct stores *stores, const struct id *id, int64_t now_ms)
{
    struct store *store = &stores->slots[stores->count++];

    *store = (struct store){
        .id = *id,
        .state = STORE_AWAITED,
        .before = STORE_AWAITED,
        .heard_at = now_ms,
        .silent_at = now_ms,
        .pinged_at = now_ms,
    };
    return store;
}

enum status stores_restore(struct stores *stores, const struct id *id, int64_t now_ms)
{
    if (find_id(stores, id) != NULL)
        return STATUS_OK;
    if (stores->count == STORES_MAX)
        return STATUS_LIMIT;
    (void)await(stores, id, now_ms);
    return STATUS_OK;
}

static bool has_peer(const struct store *store)
{
    return store->state == STORE_REGISTERING || store->state == STORE_REGISTERED;
}

/* What a store is again if the registration that begins now is never completed. */
static void keep_state_before(struct store *store, int64_t now_ms)
{
    switch (store->state) {
    case STORE_REGISTERED:
        store->before = STORE_SILENT;
        store->silent_at = now_ms;
        break;
    case STORE_AWAITED:
    case STORE_SILENT:
    case STORE_GIVEN_UP:
        store->before = store->state;
        break;
    case STORE_REGISTERING: /* the half registration is replaced, the state before it stays */
        break;
    }
}

enum status stores_register(struct stores *stores, uint64_t peer,
                            const struct message_register *message, int64_t now_ms, uint32_t *slot,
                            bool *is_new)
{
    struct store *store = find_id(stores, &message->store);
    const bool is_unknown = store == NULL;
    const int found = stores_find(stores, peer);

    if (found >= 0 && !id_is_equal(&stores->slots[found].id, &message->store))
        return STATUS_STALE;
    if (is_unknown) {
        if (stores->count == STORES_MAX)
            return STATUS_LIMIT;
        store = await(stores, &message->store, now_ms);
    } else {
        const enum epoch_order order = epoch_compare(&store->opening, &message->opening);

        if (order == EPOCH_OLDER || order == EPOCH_RIVAL)
            return STATUS_STALE;
        if (order == EPOCH_NEWER)
            store->wrong_answers = 0;
    }
    keep_state_before(store, now_ms);
    store->state = STORE_REGISTERING;
    store->opening = message->opening;
    store->peer = peer;
    store->heard_at = now_ms;
    store->pinged_at = now_ms;
    store->chunks = 0;
    store->old_draws_count = 0;
    store->free_bytes = message->free_bytes;
    store->has_sealed = false;
    *slot = (uint32_t)(store - stores->slots);
    *is_new = is_unknown;
    return STATUS_OK;
}

void stores_welcome(struct stores *stores, uint32_t slot, int64_t now_ms)
{
    struct store *store = stores_at(stores, slot);

    CHECK(store->state == STORE_REGISTERING);
    store->state = STORE_REGISTERED;
    store->heard_at = now_ms;
}

int stores_find(const struct stores *stores, uint64_t peer)
{
    for (uint32_t i = 0; i < stores->count; i++)
        if (has_peer(&stores->slots[i]) && stores->slots[i].peer == peer)
            return (int)i;
    return -1;
}

void stores_heard(struct stores *stores, uint32_t slot, int64_t now_ms)
{
    struct store *store = stores_at(stores, slot);

    if (has_peer(store))
        store->heard_at = now_ms;
}

uint32_t stores_count(const struct stores *stores)
{
    return stores->count;
}

struct store *stores_at(struct stores *stores, uint32_t slot)
{
    CHECK(slot < stores->count);
    return &stores->slots[slot];
}

bool stores_are_settled(const struct stores *stores)
{
    for (uint32_t i = 0; i < stores->count; i++)
        if (stores->slots[i].state == STORE_AWAITED || stores->slots[i].state == STORE_REGISTERING)
            return false;
    return true;
}

uint32_t stores_registered_count(const struct stores *stores)
{
    uint32_t registered = 0;

    for (uint32_t i = 0; i < stores->count; i++)
        registered += stores->slots[i].state == STORE_REGISTERED;
    return registered;
}

/* When time changes this store; INT64_MAX: never. */
static int64_t due_at(const struct stores *stores, const struct store *store)
{
    if (store->state == STORE_GIVEN_UP)
        return INT64_MAX;
    if (has_peer(store))
        return store->heard_at + stores->lease_ms;
    return store->silent_at > INT64_MAX - stores->grace_ms ? INT64_MAX
                                                           : store->silent_at + stores->grace_ms;
}

static enum store_change change(struct stores *stores, struct store *store)
{
    CHECK(store->state != STORE_GIVEN_UP); /* that one is due never */
    if (store->state == STORE_REGISTERED) {
        store->state = STORE_SILENT;
        store->silent_at = store->heard_at + stores->lease_ms;
        return STORE_FELL_SILENT;
    }
    if (store->state == STORE_REGISTERING) {
        store->state = store->before;
        return STORE_HALF_FORGOTTEN;
    }
    store->state = STORE_GIVEN_UP;
    return STORE_WAS_GIVEN_UP;
}

enum store_change stores_next_change(struct stores *stores, int64_t now_ms, uint32_t *slot)
{
    for (uint32_t i = 0; i < stores->count; i++) {
        const int64_t at = due_at(stores, &stores->slots[i]);

        if (at == INT64_MAX || at > now_ms)
            continue;
        *slot = i;
        return change(stores, &stores->slots[i]);
    }
    return STORE_UNCHANGED;
}

int64_t stores_due_at(const struct stores *stores)
{
    int64_t earliest = INT64_MAX;

    for (uint32_t i = 0; i < stores->count; i++) {
        const int64_t at = due_at(stores, &stores->slots[i]);

        if (at < earliest)
            earliest = at;
    }
    return earliest;
}

void stores_await_anew(struct stores *stores, int64_t now_ms)
{
    for (uint32_t i = 0; i < stores->count; i++) {
        struct store *store = &stores->slots[i];

        if (store->state == STORE_GIVEN_UP)
            continue;
        store->state = STORE_AWAITED;
        store->silent_at = now_ms;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void stores_shift(struct stores *stores, int64_t by_ms, int64_t now_ms)
{
    for (uint32_t i = 0; i < stores->count; i++) {
        struct store *store = &stores->slots[i];

        store->heard_at = earlier(store->heard_at + by_ms, now_ms);
        store->silent_at = earlier(store->silent_at + by_ms, now_ms);
    }
}

static uint64_t hash_store(uint64_t hash, const struct store *store)
{
    const uint64_t numbers[] = {store->opening.number, store->state, store->free_bytes,
                                store->wrong_answers};
    hash = fingerprint_bytes(hash, store->id.bytes, ID_BYTES);
    hash = fingerprint_bytes(hash, store->opening.id.bytes, ID_BYTES);
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    if (!has_peer(store))
        return hash;
    const uint64_t of_peer[] = {store->before, store->peer, store->chunks, store->has_sealed};
    return fingerprint_numbers(hash, of_peer, sizeof of_peer / sizeof *of_peer);
}

uint64_t stores_fingerprint(const struct stores *stores, uint64_t hash)
{
    const uint64_t numbers[] = {(uint64_t)stores->lease_ms, (uint64_t)stores->grace_ms,
                                stores->count};
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    for (uint32_t i = 0; i < stores->count; i++)
        hash = hash_store(hash, &stores->slots[i]);
    return hash;
}
