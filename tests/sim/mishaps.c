/* What befalls a world: each kind with how often it comes in the mildest world, and its doing.
 * Each function answers whether something happened. */
#include "proto/wire/check.h"
#include "tests/sim/inside.h"
#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

enum {
    DISK_BYTES = 16384,
    PAUSE_MS_MAX = 20000,
    STALL_MS_MAX = 15000,
    ROT_CHOICES = 16,
    ALLOCATIONS_MAX = 2000, /* of cores, until one fails, in the mildest world */
    OPERATIONS_MAX = 3000,  /* of disks, likewise */
};

static uint32_t any_worker(struct world *world)
{
    return dice_below(&world->dice, world->workers_count);
}

static uint32_t any_agency(struct world *world)
{
    return dice_below(&world->dice, world->plan.agencies);
}

/* -- links -- */

/* One of a worker's two lines, or of an agency's four, or several of one party at once. */
static bool cut_connections(struct world *world)
{
    bool is_worker = dice_happens(&world->dice, 500000);
    uint32_t party = is_worker ? any_worker(world) : any_agency(world);
    enum line line = is_worker ? LINE_UP : (enum line)dice_below(&world->dice, LINE_WINNERS + 1);
    if (network_connection(world->network, line, party) == 0 ||
        !world->brokers[world->address].is_up)
        return false;
    network_dial(world->network, line, party, world->address, false, world->now_ms);
    if (is_worker)
        network_dial(world->network, LINE_DOWN, party, world->address, false, world->now_ms);
    if (line == LINE_REQUEST || line == LINE_REPLY)
        network_dial(world->network, line == LINE_REPLY ? LINE_REQUEST : LINE_REPLY, party,
                     world->address, false, world->now_ms);
    world_trace(world, "connection %d of %s %u is cut", (int)line, is_worker ? "worker" : "agency",
                is_worker ? party : party + 1);
    return true;
}

/* Nothing passes between a party and its broker for a while: to it, from it, or both. */
static bool stall_link(struct world *world)
{
    bool is_worker = dice_happens(&world->dice, 500000);
    uint32_t party = is_worker ? any_worker(world) : any_agency(world);
    int64_t until_ms = world->now_ms + dice_below(&world->dice, STALL_MS_MAX);
    uint32_t ways = 1 + dice_below(&world->dice, 3);
    static const enum line up[] = {LINE_BETS, LINE_REQUEST};
    static const enum line down[] = {LINE_REPLY, LINE_WINNERS};
    for (uint32_t i = 0; i < 2; i++) {
        if (ways & 1)
            network_stall(world->network, is_worker ? LINE_UP : up[i], party, until_ms);
        if (ways & 2)
            network_stall(world->network, is_worker ? LINE_DOWN : down[i], party, until_ms);
    }
    world_trace(world, "%s%s of %s %u carries nothing until %lld ms", ways & 1 ? "up" : "",
                ways & 2 ? "down" : "", is_worker ? "worker" : "agency",
                is_worker ? party : party + 1, (long long)until_ms);
    return true;
}

/* One connection of those that a party has: the others go on. */
static void half_open(struct world *world)
{
    enum { HALF_MILLIONTHS = 300 };
    struct dice *dice = &world->half_dice;
    if (!world_may(world, MISHAP_HALF) ||
        !dice_happens(dice, HALF_MILLIONTHS * world->plan.harshness))
        return;
    enum line line = (enum line)dice_below(dice, LINES);
    bool is_worker = line == LINE_UP || line == LINE_DOWN;
    uint32_t party = dice_below(dice, is_worker ? world->workers_count : world->plan.agencies);
    if (!network_swallow(world->network, line, party, world->now_ms))
        return;
    world->counts[MISHAP_HALF]++;
    world_trace(world, "connection %d of %s %u passes nothing on any more", (int)line,
                is_worker ? "worker" : "agency", is_worker ? party : party + 1);
}

/* -- processes -- */

static bool crash_broker(struct world *world)
{
    return broker_actor_crash(world, dice_below(&world->dice, BROKERS_MAX));
}

static bool crash_worker(struct world *world)
{
    return worker_actor_crash(world, any_worker(world));
}

/* SIGTERM: it goes on for a while, and then ends by itself. */
static bool end_worker(struct world *world)
{
    struct worker_actor *actor = &world->workers[any_worker(world)];
    if (!actor->is_up)
        return false;
    RUN_CORE(worker_drain(actor->worker, world->now_ms));
    actor->due_at_ms = world->now_ms;
    world_trace(world, "worker %u is told to end", (unsigned)(actor - world->workers));
    return true;
}

static bool crash_agency(struct world *world)
{
    return agency_actor_crash(world, any_agency(world));
}

/* Somebody is stopped for a while, and then goes on with all that has come meanwhile. */
static bool pause_somebody(struct world *world)
{
    int64_t until_ms = world->now_ms + dice_below(&world->dice, PAUSE_MS_MAX);
    uint32_t who =
        dice_below(&world->dice, BROKERS_MAX + world->workers_count + world->plan.agencies);
    const char *role = "broker";
    uint32_t number = who;
    if (who < BROKERS_MAX) {
        world->brokers[who].paused_until_ms = until_ms;
    } else if (who < BROKERS_MAX + world->workers_count) {
        role = "worker";
        number = who - BROKERS_MAX;
        world->workers[number].paused_until_ms = until_ms;
    } else {
        role = "agency";
        number = who - BROKERS_MAX - world->workers_count + 1;
        world->agencies[number - 1].paused_until_ms = until_ms;
    }
    world_trace(world, "%s %u is stopped until %lld ms", role, number, (long long)until_ms);
    return true;
}

/* -- disks -- */

static bool fail_sync(struct world *world)
{
    struct store *store = world->workers[any_worker(world)].store;
    if (store == NULL)
        return false;
    store_memory_fail_sync(store, dice_happens(&world->dice, 500000));
    return true;
}

/* A disk gets an end, or loses it again. */
static bool resize_disk(struct world *world)
{
    uint32_t index = any_worker(world);
    bool is_endless = dice_happens(&world->dice, 500000);
    uint64_t bytes = is_endless ? 0 : MEMORY_RESERVE_BYTES + dice_below(&world->dice, DISK_BYTES);
    if (world->workers[index].store == NULL)
        return false;
    store_memory_set_capacity(world->workers[index].store, bytes);
    world_trace(world, "disk of worker %u ends at %llu bytes", index, (unsigned long long)bytes);
    return true;
}

/* A stored batch is spoiled by `spoil`. */
static bool spoil_batch(struct world *world,
                        bool (*spoil)(struct store *, const struct batch_identity *))
{
    uint32_t index = any_worker(world);
    struct store *store = world->workers[index].store;
    struct batch_record batches[ROT_CHOICES];
    size_t count = 0;
    if (store == NULL || world->spoiled_count == SPOILED_MAX)
        return false;
    struct batch_identity from = {.draw = 1 + dice_below(&world->dice, world->plan.draws),
                                  .agency = dice_below(&world->dice, world->plan.agencies + 1)};
    CHECK(store_list(store, &from, batches, ROT_CHOICES, &count) == STATUS_OK);
    if (count == 0)
        return false;
    struct batch_identity chosen = batches[dice_below(&world->dice, (uint32_t)count)].identity;
    if (!spoil(store, &chosen))
        return false;
    world->spoiled[world->spoiled_count++] = chosen;
    world_trace(world, "batch %u of agency %u in draw %u is spoiled in worker %u", chosen.seq,
                chosen.agency, chosen.draw, index);
    return true;
}

static bool rot(struct world *world)
{
    return spoil_batch(world, store_memory_rot);
}

static bool tear(struct world *world)
{
    return spoil_batch(world, store_memory_tear);
}

/* What a worker has at hand of it is whole: it is found by the next process. */
static void rot_manifest(struct world *world)
{
    enum { ROT_MILLIONTHS = 1000 };
    struct dice *dice = &world->manifest_dice;
    struct slice packed;
    if (!world_may(world, MISHAP_ROT_MANIFEST) ||
        !dice_happens(dice, ROT_MILLIONTHS * world->plan.harshness))
        return;
    uint32_t index = dice_below(dice, world->workers_count);
    uint32_t draw = 1 + dice_below(dice, world->plan.draws);
    struct store *store = world->workers[index].store;
    if (store == NULL || store_manifest(store, draw, &packed) != STATUS_OK)
        return;
    CHECK(store_memory_rot_manifest(store, draw, dice_below(dice, 8 * (uint32_t)packed.bytes)));
    world->counts[MISHAP_ROT_MANIFEST]++;
    world_trace(world, "the manifest of draw %u is spoiled in worker %u", draw, index);
}

static bool lose_store(struct world *world)
{
    uint32_t index = any_worker(world);
    if (!world->workers[index].is_up || world->lost_count == LOST_STORES_MAX)
        return false;
    worker_actor_crash(world, index);
    worker_actor_lose_store(world, index);
    world_trace(world, "worker %u has lost its store", index);
    return true;
}

static uint32_t workers_left(const struct world *world)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < world->workers_count; i++)
        left += !world->workers[i].is_gone;
    return left;
}

static bool take_worker_away(struct world *world)
{
    uint32_t index = any_worker(world);
    if (world->workers[index].is_gone || workers_left(world) == 1)
        return false;
    worker_actor_crash(world, index);
    world->workers[index].is_gone = true;
    world_trace(world, "worker %u never comes back", index);
    return true;
}

/* Somebody starts another worker on a copy of a store. */
static bool copy_store(struct world *world)
{
    uint32_t index = any_worker(world);
    uint32_t twin = world->plan.workers;
    struct id opening;
    if (world->workers_count > twin || world->workers[index].store == NULL)
        return false;
    for (size_t i = 0; i < ID_BYTES; i++)
        opening.bytes[i] = (uint8_t)dice_roll(&world->dice);
    CHECK(store_memory_copy(world->workers[index].store, &opening, &world->workers[twin].store) ==
          STATUS_OK);
    world->workers_count = twin + 1;
    world_trace(world, "worker %u is on a copy of the store of worker %u", twin, index);
    worker_actor_start(world, twin);
    return true;
}

/* -- journals and brokers -- */

static uint32_t rows_of_all(const struct world *world)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        rows += world->agencies[i].file.versions[0].rows_count;
    return rows;
}

/* The broker at the address stands still, and another one takes the address over. */
static void replace_broker(struct world *world, uint32_t journal)
{
    uint32_t old = world->address;
    uint32_t fresh = 1 - old;
    struct broker_actor *actor = &world->brokers[fresh];
    world->brokers[old].paused_until_ms = world->now_ms + dice_below(&world->dice, PAUSE_MS_MAX);
    actor->journal = journal;
    actor->needs_recovery = world->brokers[old].needs_recovery;
    actor->voids = 0;
    world->address = fresh;
    world_trace(world, "broker %u stands still, broker %u takes its place", old, fresh);
    broker_actor_start(world, fresh);
}

static bool can_replace(const struct world *world)
{
    return world->brokers[world->address].is_up && !world->brokers[1 - world->address].is_up;
}

static bool start_second_broker(struct world *world)
{
    if (!can_replace(world))
        return false;
    replace_broker(world, world->brokers[world->address].journal);
    return true;
}

static bool copy_journal(struct world *world)
{
    if (!can_replace(world) || rows_of_all(world) == 0 ||
        world->journals_count + 2 > JOURNALS_MAX) {
        return false;
    }
    uint32_t twin = world->brokers[world->address].twin_journal;
    if (twin == 0)
        twin = world_add_journal(world, journal_memory_copy(world_journal(world, world->address)));
    replace_broker(world, twin);
    /* It may know an attempt under another plan (PROTOCOL.md, 17): everybody starts anew. */
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        agency_actor_crash(world, i);
    return true;
}

/* A journal that is lost is begun anew from what all stores know. */
static bool lose_journal(struct world *world)
{
    struct broker_actor *actor = &world->brokers[world->address];
    if (rows_of_all(world) == 0 || world->journals_count + 2 > JOURNALS_MAX) {
        return false; /* then no store knows of any draw */
    }
    broker_actor_crash(world, world->address);
    actor->journal = world_add_journal(world, journal_memory_create());
    actor->needs_recovery = true;
    world_trace(world, "the journal is lost");
    return true;
}

/* While a draw is counted: the broker that recovers it asks the stores for its manifest, of which a
 * broken one says something else. */
static void lose_journal_of_seal(struct world *world)
{
    enum { LOST_MILLIONTHS = 4000 };
    const struct broker_actor *actor = &world->brokers[world->address];
    if (!world_may(world, MISHAP_GARBLE) || !world_may(world, MISHAP_LOST_JOURNAL) ||
        !actor->is_up || inside_sealed_draw(actor->broker) == 0 ||
        !dice_happens(&world->garble_dice, LOST_MILLIONTHS * world->plan.harshness))
        return;
    if (lose_journal(world))
        world->counts[MISHAP_LOST_JOURNAL]++;
}

/* The operator has the broker end, and start with --void. */
static bool void_draw(struct world *world)
{
    struct broker_actor *actor = &world->brokers[world->address];
    uint32_t draw = world->plan.draws;
    while (draw > 0 &&
           journal_memory_count(world->journals[actor->journal], RECORD_OPENED, draw) == 0)
        draw--;
    broker_actor_crash(world, world->address);
    actor->voids = draw;
    world_trace(world, "the operator voids draw %u", draw);
    return true;
}

/* -- the machine -- */

void world_wear_out(struct world *world)
{
    static const enum status ends[] = {STATUS_IO, STATUS_IO, STATUS_FULL, STATUS_VERSION};
    struct dice *dice = &world->machine_dice;
    uint32_t allocations = ALLOCATIONS_MAX / world->plan.harshness;
    uint32_t operations = OPERATIONS_MAX / world->plan.harshness;
    if (world_may(world, MISHAP_MEMORY) && !machine_will_fail_memory())
        machine_fail_memory(1 + dice_below(dice, allocations), 1 + dice_below(dice, 2));
    if (world_may(world, MISHAP_DISK) && !machine_will_fail_disk())
        machine_fail_disk(1 + dice_below(dice, operations), ends[dice_below(dice, 4)]);
}

static const struct {
    enum mishap mishap;
    uint32_t millionths; /* of steps, in the mildest world */
    bool (*happen)(struct world *world);
} mishaps[] = {
    {MISHAP_BROKER, 500, crash_broker},
    {MISHAP_WORKER, 1000, crash_worker},
    {MISHAP_AGENCY, 1000, crash_agency},
    {MISHAP_TERM, 200, end_worker},
    {MISHAP_CUT, 3000, cut_connections},
    {MISHAP_STALL, 500, stall_link},
    {MISHAP_PAUSE, 400, pause_somebody},
    {MISHAP_SYNC, 300, fail_sync},
    {MISHAP_FULL, 400, resize_disk},
    {MISHAP_ROT, 200, rot},
    {MISHAP_TEAR, 100, tear},
    {MISHAP_LOST_STORE, 100, lose_store},
    {MISHAP_GONE, 60, take_worker_away},
    {MISHAP_COPIED_STORE, 60, copy_store},
    {MISHAP_SECOND_BROKER, 150, start_second_broker},
    {MISHAP_COPIED_JOURNAL, 100, copy_journal},
    {MISHAP_LOST_JOURNAL, 100, lose_journal},
    {MISHAP_VOID, 50, void_draw},
};

void world_suffer(struct world *world)
{
    if (world->is_healed || world->plan.faults == 0)
        return;
    world_wear_out(world);
    half_open(world);
    rot_manifest(world);
    lose_journal_of_seal(world);
    for (size_t i = 0; i < sizeof mishaps / sizeof *mishaps; i++)
        if (world_strikes(world, mishaps[i].mishap, mishaps[i].millionths) &&
            mishaps[i].happen(world))
            world->counts[mishaps[i].mishap]++;
}

void world_heal(struct world *world)
{
    uint32_t old = 1 - world->address;
    world->is_healed = true;
    world_trace(world, "everything heals");
    machine_fail_memory(0, 0);
    machine_fail_disk(0, STATUS_OK);
    network_heal(world->network);
    for (uint32_t i = 0; i < world->workers_count; i++)
        if (world->workers[i].store != NULL)
            store_memory_set_capacity(world->workers[i].store, 0);
    /* Somebody looks after the broker that was replaced. */
    broker_actor_crash(world, old);
    world->brokers[old].starts_at_ms = INT64_MAX;
    broker_actor_connect_all(world);
    garble_heal(world);
}
