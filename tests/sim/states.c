#include "tests/sim/states.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/store_memory.h"

/* Two bits of each entry tell the fewest faults with which it came, 62 the state: of 50 million
 * states two have the same with a chance of 1 in 3,000. */
enum { TABLE_BITS = 28, PARTIES = 1 + WORLD_WORKERS_ALL + WORLD_AGENCIES_MAX };
static const uint64_t FAULTS_BITS = 3;

struct states {
    uint64_t *table; /* owned */
    uint64_t count;
};

struct states *states_create(void)
{
    struct states *states = calloc(1, sizeof *states);
    CHECK(states != NULL);
    states->table = calloc(UINT64_C(1) << TABLE_BITS, sizeof *states->table);
    CHECK(states->table != NULL);
    return states;
}

void states_destroy(struct states **states)
{
    if (*states != NULL)
        free((*states)->table);
    free(*states);
    *states = NULL;
}

uint64_t states_count(const struct states *states)
{
    return states->count;
}

bool states_enter(struct states *states, uint64_t print, uint32_t faults)
{
    uint64_t key = print & ~FAULTS_BITS;
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TABLE_BITS);
    while (states->table[at] != 0 && (states->table[at] & ~FAULTS_BITS) != key)
        at = (at + 1) & ((UINT64_C(1) << TABLE_BITS) - 1);
    uint64_t kept = states->table[at] & FAULTS_BITS;
    CHECK(faults + 1 <= FAULTS_BITS);
    if (states->table[at] != 0 && kept <= faults + 1)
        return false;
    states->count += states->table[at] == 0;
    CHECK(states->count < UINT64_C(1) << (TABLE_BITS - 1));
    states->table[at] = key | (faults + 1);
    return true;
}

/* -- fingerprints -- */

static uint64_t print_broker(const struct world *world, uint64_t hash)
{
    const struct broker_actor *actor = &world->brokers[0];
    hash = fingerprint_number(hash, journal_memory_fingerprint(world->journals[0]));
    hash = fingerprint_number(hash, actor->waiting_count);
    return fingerprint_number(hash, actor->is_up ? broker_fingerprint(actor->broker) : 0);
}

static uint64_t print_workers(const struct world *world, uint64_t hash)
{
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        const struct worker_actor *actor = &world->workers[i];
        if (actor->store != NULL)
            hash = fingerprint_number(hash, store_memory_fingerprint(actor->store));
        hash = fingerprint_number(hash, actor->is_up ? worker_fingerprint(actor->worker) : 0);
    }
    return fingerprint_number(hash, world->lost_count);
}

static uint64_t print_agencies(const struct world *world, uint64_t hash)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        const uint64_t numbers[] = {actor->is_up, actor->is_done, actor->has_stored,
                                    actor->is_reading, actor->rows_read};
        hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
        if (actor->is_up)
            hash = fingerprint_number(hash, agency_fingerprint(actor->agency));
    }
    return hash;
}

/* How many have something to do before each of them. */
static uint64_t print_order(const struct world *world, uint64_t hash)
{
    int64_t due_at_ms[PARTIES];
    uint32_t count = 0;
    due_at_ms[count++] = world_broker_due(world, 0);
    for (uint32_t i = 0; i < world->plan.workers; i++)
        due_at_ms[count++] = world_worker_due(world, i);
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        due_at_ms[count++] = world_agency_due(world, i);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t before = 0;
        for (uint32_t other = 0; other < count; other++)
            before += due_at_ms[other] < due_at_ms[i];
        hash = fingerprint_number(hash, before);
    }
    return hash;
}

uint64_t states_print(const struct world *world)
{
    uint64_t hash = print_broker(world, FINGERPRINT_BASIS);
    hash = print_workers(world, hash);
    hash = print_agencies(world, hash);
    hash = print_order(world, hash);
    return network_fingerprint(world->network, hash);
}
