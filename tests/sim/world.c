#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/store_memory.h"

enum {
    WINNING_NUMBER = 3,
    DELAY_MS_MAX = 50,
    LOST_MILLIONTHS = 10000,
    QUEUE_BYTES = 16384,
    DISK_BYTES = 16384,
    PAUSE_MS_MAX = 20000,
    ROT_CHOICES = 16
};

void world_violate(struct world *world, const char *format, ...)
{
    va_list arguments;
    if (world->violation[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(world->violation, sizeof world->violation, format, arguments);
    va_end(arguments);
}

void world_trace(const struct world *world, const char *format, ...)
{
    va_list arguments;
    if (!world->plan.traces)
        return;
    printf("%9lld ms  ", (long long)world->now_ms);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void world_create(struct world *world, const struct world_plan *plan)
{
    struct network_faults faults = {.lost_millionths =
                                        plan->is_lossy ? LOST_MILLIONTHS * plan->harshness : 0,
                                    .delay_ms_max = plan->is_lossy ? DELAY_MS_MAX : 2};
    *world = (struct world){.plan = *plan, .dice = {plan->seed}, .now_ms = 1000};
    CHECK(plan->agencies <= WORLD_AGENCIES_MAX && plan->workers <= WORLD_WORKERS_MAX);
    world->network = network_create(&world->dice, &faults);
    world->journal = journal_memory_create();
    world->options = (struct broker_options){
        .terms = {.number = {.draw = 1, .range_last = 9, .is_given = true, .given = WINNING_NUMBER},
                  .agencies_required = plan->agencies,
                  .barrier_timeout_ms = plan->barrier_timeout_ms,
                  .on_timeout = plan->on_timeout,
                  .quorum = plan->quorum},
        .draws = plan->draws,
        .linger_ms = 1000000000,
        .store_grace_ms = 10000,
        .lease_ms = LEASE_MS,
        .queue_bytes = QUEUE_BYTES,
    };
    broker_actor_start(world);
    for (uint32_t i = 0; i < plan->workers; i++)
        worker_actor_start(world, i);
    for (uint32_t i = 0; i < plan->agencies; i++) {
        agency_actor_create(world, i);
        agency_actor_start(world, i);
    }
}

void world_destroy(struct world *world)
{
    struct world_counts counts;
    broker_actor_crash(world);
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        worker_actor_crash(world, i);
        store_close(&world->workers[i].store);
    }
    for (uint64_t i = 0; i < world->counts.lost_stores; i++)
        store_close(&world->lost[i]);
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        agency_destroy(&world->agencies[i].agency);
        outbox_destroy(&world->agencies[i].outbox);
        hasher_destroy(&world->agencies[i].hasher);
    }
    counts = world->counts;
    journal_memory_destroy(&world->journal);
    network_destroy(&world->network);
    (void)counts;
}

/* -- time -- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the next thing happens. */
static int64_t next_due(const struct world *world)
{
    int64_t due = network_due_at(world->network);
    due = earlier(due, world->broker.is_up
                           ? later(world->broker.due_at_ms, world->broker.paused_until_ms)
                           : world->broker_starts_at_ms);
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        const struct worker_actor *actor = &world->workers[i];
        due = earlier(due, actor->is_up ? later(actor->due_at_ms, actor->paused_until_ms)
                                        : actor->starts_at_ms);
    }
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        if (!actor->is_done)
            due = earlier(due, actor->is_up ? later(actor->due_at_ms, actor->paused_until_ms)
                                            : actor->starts_at_ms);
    }
    return due;
}

/* -- steps -- */

/* Until when the one that the letter is for is stopped. */
static int64_t paused_until(const struct world *world, const struct letter *letter)
{
    switch (letter->line) {
    case LINE_BETS:
    case LINE_REQUEST:
    case LINE_UP:
        return world->broker.is_up ? world->broker.paused_until_ms : 0;
    case LINE_REPLY:
    case LINE_WINNERS:
        return world->agencies[letter->party].paused_until_ms;
    case LINE_DOWN:
        return world->workers[letter->party].paused_until_ms;
    case LINES:
        break;
    }
    return 0;
}

static void deliver(struct world *world, struct letter *letter)
{
    uint32_t party = letter->party;
    int64_t until_ms = paused_until(world, letter);
    if (until_ms > world->now_ms) {
        network_postpone(world->network, letter, until_ms);
        return;
    }
    switch (letter->line) {
    case LINE_BETS:
    case LINE_REQUEST:
    case LINE_UP:
        if (world->broker.is_up)
            broker_actor_turn(world, letter);
        else
            letter_free(letter);
        return;
    case LINE_REPLY:
    case LINE_WINNERS:
        if (world->agencies[party].is_up &&
            letter->connection == network_connection(world->network, letter->line, party))
            agency_actor_turn(world, party, letter);
        else
            letter_free(letter);
        return;
    case LINE_DOWN:
        if (world->workers[party].is_up &&
            letter->connection == network_connection(world->network, LINE_DOWN, party))
            worker_actor_turn(world, party, letter);
        else
            letter_free(letter);
        return;
    case LINES:
        CHECK(letter->line < LINES);
    }
}

static void wake_up(struct world *world)
{
    int64_t now_ms = world->now_ms;
    if (!world->broker.is_up && world->broker_starts_at_ms <= now_ms)
        broker_actor_start(world);
    else if (world->broker.is_up &&
             later(world->broker.due_at_ms, world->broker.paused_until_ms) <= now_ms)
        broker_actor_turn(world, NULL);
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        struct worker_actor *actor = &world->workers[i];
        if (!actor->is_up && actor->starts_at_ms <= now_ms)
            worker_actor_start(world, i);
        else if (actor->is_up && later(actor->due_at_ms, actor->paused_until_ms) <= now_ms)
            worker_actor_turn(world, i, NULL);
    }
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        struct agency_actor *actor = &world->agencies[i];
        if (actor->is_done)
            continue;
        if (!actor->is_up && actor->starts_at_ms <= now_ms)
            agency_actor_start(world, i);
        else if (actor->is_up && later(actor->due_at_ms, actor->paused_until_ms) <= now_ms)
            agency_actor_turn(world, i, NULL);
    }
}

static void cut_connections(struct world *world)
{
    bool is_worker = dice_happens(&world->dice, 500000);
    uint32_t party =
        dice_below(&world->dice, is_worker ? world->plan.workers : world->plan.agencies);
    enum line line = is_worker ? LINE_UP : (enum line)dice_below(&world->dice, LINE_WINNERS + 1);
    if (!world->broker.is_up || network_connection(world->network, line, party) == 0)
        return;
    network_dial(world->network, line, party, false, world->now_ms);
    if (is_worker)
        network_dial(world->network, LINE_DOWN, party, false, world->now_ms);
    world->counts.cuts++;
    world_trace(world, "line %d of %u is cut", (int)line, party);
}

/* Now and then something breaks. */
static bool strikes(struct world *world, uint32_t millionths)
{
    return dice_happens(&world->dice, millionths * world->plan.harshness);
}

static void fail_sync(struct world *world, uint32_t index)
{
    if (world->workers[index].store == NULL)
        return;
    store_memory_fail_sync(world->workers[index].store, dice_happens(&world->dice, 500000));
    world->counts.failed_syncs++;
}

/* A bit of a stored batch turns. */
static void rot(struct world *world, uint32_t index)
{
    struct store *store = world->workers[index].store;
    struct batch_record batches[ROT_CHOICES];
    size_t count = 0;
    if (store == NULL || world->counts.rotten == ROTTEN_MAX)
        return;
    struct batch_identity from = {.draw = 1 + dice_below(&world->dice, world->plan.draws),
                                  .agency = dice_below(&world->dice, world->plan.agencies + 1)};
    CHECK(store_list(store, &from, batches, ROT_CHOICES, &count) == STATUS_OK);
    if (count == 0)
        return;
    struct batch_identity chosen = batches[dice_below(&world->dice, (uint32_t)count)].identity;
    if (!store_memory_rot(store, &chosen))
        return;
    world->rotten[world->counts.rotten++] = chosen;
    world_trace(world, "batch %u of agency %u in draw %u rots in worker %u", chosen.seq,
                chosen.agency, chosen.draw, index);
}

/* A disk gets an end, or loses it again. */
static void resize_disk(struct world *world, uint32_t index)
{
    if (world->workers[index].store == NULL)
        return;
    bool is_endless = dice_happens(&world->dice, 500000);
    uint64_t bytes = is_endless ? 0 : MEMORY_RESERVE_BYTES + dice_below(&world->dice, DISK_BYTES);
    store_memory_set_capacity(world->workers[index].store, bytes);
    world->counts.full_disks += !is_endless;
    world_trace(world, "disk of worker %u ends at %llu bytes", index, (unsigned long long)bytes);
}

/* Somebody is stopped for a while, and then goes on with all that has come meanwhile. */
static void pause_somebody(struct world *world)
{
    int64_t until_ms = world->now_ms + dice_below(&world->dice, PAUSE_MS_MAX);
    uint32_t who = dice_below(&world->dice, 1 + world->plan.workers + world->plan.agencies);
    if (who == 0)
        world->broker.paused_until_ms = until_ms;
    else if (who <= world->plan.workers)
        world->workers[who - 1].paused_until_ms = until_ms;
    else
        world->agencies[who - 1 - world->plan.workers].paused_until_ms = until_ms;
    world->counts.pauses++;
    world_trace(world, "number %u is stopped until %lld ms", who, (long long)until_ms);
}

static void misfortune(struct world *world)
{
    if (!world->plan.is_lossy || world->is_healed)
        return;
    if (strikes(world, 500))
        broker_actor_crash(world);
    if (world->plan.loses_journal && strikes(world, 200))
        broker_actor_lose_journal(world);
    if (strikes(world, 1000))
        worker_actor_crash(world, dice_below(&world->dice, world->plan.workers));
    if (strikes(world, 1000))
        agency_actor_crash(world, dice_below(&world->dice, world->plan.agencies));
    if (strikes(world, 3000))
        cut_connections(world);
    if (!world->plan.loses_journal && strikes(world, 100))
        worker_actor_lose_store(world, dice_below(&world->dice, world->plan.workers));
    if (strikes(world, 300))
        fail_sync(world, dice_below(&world->dice, world->plan.workers));
    /* Who has its winners does not send them again for a count from the stores. */
    if (!world->plan.loses_journal && strikes(world, 200))
        rot(world, dice_below(&world->dice, world->plan.workers));
    if (strikes(world, 400))
        pause_somebody(world);
    if (strikes(world, 400))
        resize_disk(world, dice_below(&world->dice, world->plan.workers));
}

static void heal(struct world *world)
{
    world->is_healed = true;
    network_heal(world->network);
    for (uint32_t i = 0; i < world->plan.workers; i++)
        if (world->workers[i].store != NULL)
            store_memory_set_capacity(world->workers[i].store, 0);
    world_trace(world, "everything heals");
}

static bool is_done(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (!world->agencies[i].is_done)
            return false;
    return true;
}

static void say_who_waits(struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        if (!actor->is_done)
            world_violate(world, "agency %u is %s after %lld ms", i + 1,
                          actor->is_up ? agency_state_name(agency_state(actor->agency)) : "down",
                          (long long)world->now_ms);
    }
}

bool world_run(struct world *world)
{
    while (world->violation[0] == '\0' && !is_done(world)) {
        struct letter *letter;
        int64_t due = next_due(world);
        if (due > world->now_ms)
            world->now_ms = due;
        if (world->now_ms >= world->plan.ends_by_ms) {
            say_who_waits(world);
            break;
        }
        if (!world->is_healed && world->now_ms >= world->plan.faults_until_ms) {
            heal(world);
        }
        if ((letter = network_take(world->network, world->now_ms)) != NULL)
            deliver(world, letter);
        else
            wake_up(world);
        misfortune(world);
        invariants_check(world);
        world->counts.steps++;
    }
    world->counts.letters_lost = network_lost(world->network);
    return world->violation[0] == '\0';
}
