/* Owns one table: slots that are linked in order of sending, and chains of them by identity. Slot 0
 * is none, so that a zeroed table is empty and untouched memory stays untouched. */
#include "broker/flights.h"

#include <stdlib.h>

#include "proto/wire/check.h"

enum {
    CHAINS_BITS = 14,
    CHAINS = 1 << CHAINS_BITS,
};

_Static_assert(CHAINS >= FLIGHTS_MAX / 2, "chains stay short");

struct slot {
    struct flight flight; /* first: a flight is found in its slot */
    uint32_t older;
    uint32_t newer;
    uint32_t next; /* in its chain; of the free slots, in theirs */
};

struct flights {
    uint32_t count;
    uint32_t touched; /* slots that were ever in use are 1 to touched */
    uint32_t free;
    uint32_t oldest;
    uint32_t newest;
    uint32_t chains[CHAINS];
    struct slot slots[FLIGHTS_MAX + 1];
};

enum status flights_create(struct flights **flights)
{
    struct flights *created = calloc(1, sizeof *created);

    if (created == NULL)
        return STATUS_NO_MEMORY;
    *flights = created;
    return STATUS_OK;
}

void flights_destroy(struct flights **flights)
{
    free(*flights);
    *flights = NULL;
}

uint32_t flights_count(const struct flights *flights)
{
    return flights->count;
}

bool flights_is_full(const struct flights *flights)
{
    return flights->count == FLIGHTS_MAX;
}

/* Multiplication by 2^64 / the golden ratio; the high bits are the mixed ones. */
static uint32_t *find_chain(struct flights *flights, uint32_t agency, uint32_t seq)
{
    const uint64_t identity = (uint64_t)agency << 32 | seq;

    return &flights->chains[(identity * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - CHAINS_BITS)];
}

static uint32_t take_slot(struct flights *flights)
{
    const uint32_t index = flights->free;

    if (index == 0)
        return ++flights->touched;
    flights->free = flights->slots[index].next;
    return index;
}

void flights_begin(struct flights *flights, const struct flight *flight)
{
    uint32_t *chain = find_chain(flights, flight->agency, flight->seq);
    const uint32_t newest = flights->newest;
    uint32_t index = 0;
    struct slot *slot = NULL;

    CHECK(!flights_is_full(flights));
    index = take_slot(flights);
    slot = &flights->slots[index];
    *slot = (struct slot){.flight = *flight, .older = newest, .next = *chain};
    *chain = index;
    if (newest == 0) {
        flights->oldest = index;
    } else {
        flights->slots[newest].newer = index;
        if (flights->slots[newest].flight.began_at > flight->began_at)
            slot->flight.began_at = flights->slots[newest].flight.began_at;
    }
    flights->newest = index;
    flights->count++;
}

static void unlink_age(struct flights *flights, const struct slot *slot)
{
    if (slot->older == 0)
        flights->oldest = slot->newer;
    else
        flights->slots[slot->older].newer = slot->newer;
    if (slot->newer == 0)
        flights->newest = slot->older;
    else
        flights->slots[slot->newer].older = slot->older;
}

bool flights_end(struct flights *flights, uint32_t agency, uint32_t attempt, uint32_t seq)
{
    uint32_t *link = find_chain(flights, agency, seq);

    for (; *link != 0; link = &flights->slots[*link].next) {
        const uint32_t index = *link;
        struct slot *slot = &flights->slots[index];

        if (slot->flight.agency != agency || slot->flight.seq != seq)
            continue;
        if (slot->flight.attempt != attempt)
            return false;
        *link = slot->next;
        unlink_age(flights, slot);
        slot->next = flights->free;
        flights->free = index;
        flights->count--;
        return true;
    }
    return false;
}

const struct flight *flights_oldest(const struct flights *flights)
{
    return flights->oldest == 0 ? NULL : &flights->slots[flights->oldest].flight;
}

const struct flight *flights_next(const struct flights *flights, const struct flight *flight)
{
    const struct slot *slot = (const struct slot *)flight;

    return slot->newer == 0 ? NULL : &flights->slots[slot->newer].flight;
}

void flights_shift(struct flights *flights, int64_t by_ms)
{
    for (uint32_t index = flights->oldest; index != 0; index = flights->slots[index].newer)
        flights->slots[index].flight.began_at += by_ms;
}
