#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/check.h"

enum {
    DELAY_MS_MAX = 50,
    LOST_MILLIONTHS = 10000,
    TWICE_MILLIONTHS = 5000,
    MORE_MILLIONTHS = 250000
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

uint32_t world_add_journal(struct world *world, struct journal_memory *journal)
{
    CHECK(world->journals_count < JOURNALS_MAX);
    world->journals[world->journals_count] = journal;
    /* What a copy has was looked at in the original. */
    world->records_checked[world->journals_count] = journal_memory_size(journal);
    return world->journals_count++;
}

bool world_has_two_truths(const struct world *world)
{
    return world->counts[MISHAP_COPIED_JOURNAL] > 0 || world->counts[MISHAP_LOST_JOURNAL] > 0;
}

bool world_may(const struct world *world, enum mishap mishap)
{
    return !world->is_healed && plan_has(&world->plan, mishap);
}

bool world_strikes(struct world *world, enum mishap mishap, uint32_t millionths)
{
    return world_may(world, mishap) &&
           dice_happens(&world->dice, millionths * world->plan.harshness);
}

bool world_has_more(struct world *world, int64_t *due_at_ms)
{
    if (world->plan.is_scripted || !dice_happens(&world->dice, MORE_MILLIONTHS))
        return false;
    *due_at_ms = world->now_ms;
    return true;
}

void world_create(struct world *world, const struct world_plan *plan)
{
    uint32_t harshness = plan->harshness;
    struct network_faults faults = {
        .lost_millionths = plan_has(plan, MISHAP_LOSS) ? LOST_MILLIONTHS * harshness : 0,
        .twice_millionths = plan_has(plan, MISHAP_TWICE) ? TWICE_MILLIONTHS * harshness : 0,
        .delay_ms_max = plan->faults != 0   ? DELAY_MS_MAX
                        : plan->is_scripted ? 0
                                            : 2,
    };
    memset(world, 0, sizeof *world);
    world->plan = *plan;
    world->dice = (struct dice){plan->seed};
    world->machine_dice = (struct dice){plan->seed ^ 0x3ac41e};
    world->strange_dice = (struct dice){plan->seed ^ 0x57a6e};
    world->half_dice = (struct dice){plan->seed ^ 0x4a1f};
    world->manifest_dice = (struct dice){plan->seed ^ 0x3a1f};
    world->mistake_dice = (struct dice){plan->seed ^ 0x315a4e};
    world->garble_dice = (struct dice){plan->seed ^ 0x6a4b1e};
    machine_reset();
    world_wear_out(world);
    world->now_ms = 1000;
    CHECK(plan->agencies <= WORLD_AGENCIES_MAX && plan->workers <= WORLD_WORKERS_MAX);
    world->network = network_create(&world->dice, &faults);
    (void)world_add_journal(world, journal_memory_create());
    world->brokers[1].starts_at_ms = INT64_MAX;
    world->workers_count = plan->workers;
    broker_actor_start(world, 0);
    for (uint32_t i = 0; i < plan->workers; i++)
        worker_actor_start(world, i);
    for (uint32_t i = 0; i < plan->agencies; i++) {
        agency_actor_create(world, i);
        agency_actor_start(world, i);
    }
}

void world_destroy(struct world *world)
{
    world->is_healed = true; /* nothing more happens */
    for (uint32_t i = 0; i < BROKERS_MAX; i++)
        broker_actor_crash(world, i);
    for (uint32_t i = 0; i < world->workers_count; i++) {
        worker_actor_crash(world, i);
        store_close(&world->workers[i].store);
    }
    for (uint32_t i = 0; i < world->lost_count; i++)
        store_close(&world->lost[i]);
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        agency_destroy(&world->agencies[i].agency);
        outbox_destroy(&world->agencies[i].outbox);
        hasher_destroy(&world->agencies[i].hasher);
    }
    for (uint32_t i = 0; i < world->journals_count; i++)
        journal_memory_destroy(&world->journals[i]);
    network_destroy(&world->network);
    stranger_forget(world);
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

int64_t world_broker_due(const struct world *world, uint32_t index)
{
    const struct broker_actor *actor = &world->brokers[index];
    return actor->is_up ? later(actor->due_at_ms, actor->paused_until_ms) : actor->starts_at_ms;
}

int64_t world_worker_due(const struct world *world, uint32_t index)
{
    const struct worker_actor *actor = &world->workers[index];
    if (actor->is_gone)
        return INT64_MAX;
    return actor->is_up ? later(actor->due_at_ms, actor->paused_until_ms) : actor->starts_at_ms;
}

int64_t world_agency_due(const struct world *world, uint32_t index)
{
    const struct agency_actor *actor = &world->agencies[index];
    if (actor->is_done || actor->is_gone)
        return INT64_MAX;
    return actor->is_up ? later(actor->due_at_ms, actor->paused_until_ms) : actor->starts_at_ms;
}

/* When somebody has something to do besides reading letters. */
static int64_t next_turn(const struct world *world)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < BROKERS_MAX; i++)
        due = earlier(due, world_broker_due(world, i));
    for (uint32_t i = 0; i < world->workers_count; i++)
        due = earlier(due, world_worker_due(world, i));
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        due = earlier(due, world_agency_due(world, i));
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
        return world->brokers[letter->broker].is_up ? world->brokers[letter->broker].paused_until_ms
                                                    : 0;
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

/* True when it comes over the connection that its receiver has now. */
static bool is_current(const struct world *world, const struct letter *letter)
{
    return letter->connection == network_connection(world->network, letter->line, letter->party);
}

void world_hand_over(struct world *world, struct letter *letter)
{
    uint32_t party = letter->party;
    switch (letter->line) {
    case LINE_BETS:
    case LINE_REQUEST:
    case LINE_UP:
        if (!world->brokers[letter->broker].is_up)
            break;
        broker_actor_turn(world, letter->broker, letter);
        return;
    case LINE_REPLY:
    case LINE_WINNERS:
        if (!world->agencies[party].is_up || !is_current(world, letter))
            break;
        agency_actor_turn(world, party, letter);
        return;
    case LINE_DOWN:
        if (!world->workers[party].is_up || !is_current(world, letter))
            break;
        worker_actor_turn(world, party, letter);
        return;
    case LINES:
        break;
    }
    letter_free(letter);
}

void world_deliver(struct world *world, struct letter *letter)
{
    int64_t until_ms = paused_until(world, letter);
    if (until_ms > world->now_ms) {
        network_postpone(world->network, letter, until_ms);
        return;
    }
    stranger_hear(world, letter);
    if (!garble_deliver(world, letter))
        world_hand_over(world, letter);
}

static void wake_up(struct world *world)
{
    int64_t now_ms = world->now_ms;
    for (uint32_t i = 0; i < BROKERS_MAX; i++) {
        if (world_broker_due(world, i) > now_ms)
            continue;
        if (world->brokers[i].is_up)
            broker_actor_turn(world, i, NULL);
        else
            broker_actor_start(world, i);
    }
    for (uint32_t i = 0; i < world->workers_count; i++) {
        if (world_worker_due(world, i) > now_ms)
            continue;
        if (world->workers[i].is_up)
            worker_actor_turn(world, i, NULL);
        else
            worker_actor_start(world, i);
    }
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        if (world_agency_due(world, i) > now_ms)
            continue;
        if (world->agencies[i].is_up)
            agency_actor_turn(world, i, NULL);
        else
            agency_actor_start(world, i);
    }
}

void world_pass_time(struct world *world)
{
    world->now_ms = later(next_turn(world), world->now_ms);
    wake_up(world);
}

static bool is_done(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (!world->agencies[i].is_done && !world->agencies[i].is_gone)
            return false;
    return true;
}

static void say_who_waits(struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        if (!actor->is_done && !actor->is_gone)
            world_violate(world, "[ends] agency %u is %s in draw %u after %lld ms", i + 1,
                          actor->is_up ? agency_state_name(agency_state(actor->agency)) : "down",
                          actor->draw, (long long)world->now_ms);
    }
}

bool world_run(struct world *world)
{
    while (world->violation[0] == '\0' && !is_done(world)) {
        struct letter *letter;
        int64_t due = earlier(next_turn(world), network_due_at(world->network));
        if (due > world->now_ms)
            world->now_ms = due;
        if (world->now_ms >= world->plan.ends_by_ms) {
            say_who_waits(world);
            break;
        }
        if (!world->is_healed && world->now_ms >= world->plan.faults_until_ms)
            world_heal(world);
        if ((letter = network_take(world->network, world->now_ms)) != NULL)
            world_deliver(world, letter);
        else
            wake_up(world);
        stranger_speak(world);
        world_suffer(world);
        invariants_check(world);
        world->steps++;
    }
    world->counts[MISHAP_LOSS] = network_lost(world->network);
    world->counts[MISHAP_TWICE] = network_twice(world->network);
    world->counts[MISHAP_MEMORY] = machine_memory_failures();
    world->counts[MISHAP_DISK] = machine_disk_failures();
    return world->violation[0] == '\0';
}
