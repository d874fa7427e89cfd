#include "tests/sim/choices.h"

#include <stdio.h>

#include "proto/wire/check.h"
#include "tests/sim/store_memory.h"

enum { SEED_OF_CHANCE = 12345 };

/* -- what is offered -- */

static void offer(struct choices *choices, bool may_fail, enum act act, uint32_t line,
                  uint32_t party)
{
    struct choice choice = {(uint8_t)act, (uint8_t)line, (uint8_t)party};
    if (choice_is_fault(&choice) && !may_fail)
        return;
    CHECK(choices->count < CHOICES_MAX);
    choices->all[choices->count++] = choice;
}

static uint32_t parties_of(const struct world *world, enum line line)
{
    return line == LINE_UP || line == LINE_DOWN ? world->plan.workers : world->plan.agencies;
}

/* PONG renews a lease, BYE and WINNERS change nothing that anybody else is told: they may as well
 * be read at once. */
static bool is_harmless(const struct letter *letter)
{
    struct message message;
    return letter != NULL && message_decode(letter->frames[0], &message) == STATUS_OK &&
           (message.kind == MESSAGE_PONG || message.kind == MESSAGE_BYE ||
            message.kind == MESSAGE_WINNERS);
}

/* A letter that is read as soon as it comes. returns false when there is none. */
static bool offer_private(const struct world *world, bool may_fail, struct choices *choices)
{
    for (uint32_t party = 0; party < world->plan.workers; party++) {
        if (network_first(world->network, LINE_DOWN, party) == NULL)
            continue;
        offer(choices, may_fail, ACT_DELIVER, LINE_DOWN, party);
        offer(choices, may_fail, ACT_FAIL_SYNC, LINE_DOWN, party);
        offer(choices, may_fail, ACT_CUT, LINE_UP, party);
        offer(choices, may_fail, ACT_WORKER, LINE_DOWN, party);
        return true;
    }
    for (uint32_t party = 0; party < world->plan.agencies; party++) {
        if (network_first(world->network, LINE_REPLY, party) == NULL)
            continue;
        offer(choices, may_fail, ACT_DELIVER, LINE_REPLY, party);
        offer(choices, may_fail, ACT_LOSE, LINE_REPLY, party);
        offer(choices, may_fail, ACT_AGENCY, LINE_REPLY, party);
        return true;
    }
    static const enum line to_broker[] = {LINE_UP, LINE_REQUEST};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t party = 0; party < parties_of(world, to_broker[i]); party++) {
            if (!is_harmless(network_first(world->network, to_broker[i], party)))
                continue;
            offer(choices, may_fail, ACT_DELIVER, to_broker[i], party);
            offer(choices, may_fail, ACT_LOSE, to_broker[i], party);
            offer(choices, may_fail, ACT_DIE, to_broker[i], party);
            return true;
        }
    return false;
}

/* Letters that meet others. returns false when there is none. */
static bool offer_shared(const struct world *world, bool may_fail, struct choices *choices)
{
    static const enum line lines[] = {LINE_UP, LINE_BETS, LINE_REQUEST, LINE_WINNERS};
    bool has_letter = false;
    for (uint32_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (uint32_t party = 0; party < parties_of(world, lines[i]); party++)
            if (network_first(world->network, lines[i], party) != NULL) {
                offer(choices, may_fail, ACT_DELIVER, lines[i], party);
                has_letter = true;
            }
    for (uint32_t i = 0; has_letter && i < sizeof lines / sizeof *lines; i++)
        for (uint32_t party = 0; party < parties_of(world, lines[i]); party++) {
            if (network_first(world->network, lines[i], party) == NULL)
                continue;
            bool is_datagram = lines[i] == LINE_REQUEST || lines[i] == LINE_WINNERS;
            offer(choices, may_fail, is_datagram ? ACT_LOSE : ACT_CUT, lines[i], party);
            if (lines[i] != LINE_WINNERS)
                offer(choices, may_fail, ACT_DIE, lines[i], party);
        }
    if (has_letter)
        offer(choices, may_fail, ACT_LATE, LINES, 0);
    return has_letter;
}

void choices_offer(const struct world *world, bool may_fail, struct choices *choices)
{
    choices->count = 0;
    if (offer_private(world, may_fail, choices))
        return;
    if (!offer_shared(world, may_fail, choices)) {
        offer(choices, may_fail, ACT_TIME, LINES, 0);
        for (uint32_t i = 0; i < world->plan.workers; i++)
            offer(choices, may_fail, ACT_FAIL_SYNC, LINES, i);
    }
    offer(choices, may_fail, ACT_BROKER, LINES, 0);
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        offer(choices, may_fail, ACT_WORKER, LINES, i);
        offer(choices, may_fail, ACT_LOSE_STORE, LINES, i);
    }
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        offer(choices, may_fail, ACT_AGENCY, LINES, i);
}

void choices_offer_one(const struct world *world, const struct choice *wanted,
                       struct choices *choices)
{
    choices_offer(world, false, choices);
    CHECK(choices->count > 0);
    for (uint32_t i = 0; i < choices->count; i++)
        if (choices->all[i].act == wanted->act && choices->all[i].line == wanted->line &&
            choices->all[i].party == wanted->party)
            choices->all[0] = choices->all[i];
    choices->count = 1;
}

/* -- what is done -- */

static void cut(struct world *world, enum line line, uint32_t party)
{
    network_dial(world->network, line, party, 0, true, world->now_ms);
    if (line == LINE_UP)
        network_dial(world->network, LINE_DOWN, party, 0, true, world->now_ms);
}

/* Where nothing is synced in this step it is the step without the fault. */
static void fail_sync(struct world *world, enum line line, uint32_t party)
{
    struct store *store = world->workers[party].store;
    if (store != NULL)
        store_memory_fail_sync(store, false);
    if (line == LINES)
        world_pass_time(world);
    else
        world_deliver(world, network_take_first(world->network, line, party));
    if (store != NULL)
        store_memory_fail_no_sync(store);
}

void choice_apply(struct world *world, const struct choice *choice)
{
    enum line line = (enum line)choice->line;
    uint32_t party = choice->party;
    world->dice.state = SEED_OF_CHANCE; /* the same for whatever path led here */
    switch ((enum act)choice->act) {
    case ACT_DIE:
        world->brokers[0].dies_before_sending = true;
        world_deliver(world, network_take_first(world->network, line, party));
        world->brokers[0].dies_before_sending = false;
        break;
    case ACT_DELIVER:
        world_deliver(world, network_take_first(world->network, line, party));
        break;
    case ACT_LOSE:
        letter_free(network_take_first(world->network, line, party));
        break;
    case ACT_TIME:
    case ACT_LATE:
        world_pass_time(world);
        break;
    case ACT_CUT:
        cut(world, line, party);
        break;
    case ACT_BROKER:
        broker_actor_crash(world, 0);
        break;
    case ACT_WORKER:
        worker_actor_crash(world, party);
        break;
    case ACT_AGENCY:
        agency_actor_crash(world, party);
        break;
    case ACT_LOSE_STORE:
        if (worker_actor_crash(world, party))
            worker_actor_lose_store(world, party);
        break;
    case ACT_FAIL_SYNC:
        fail_sync(world, line, party);
        break;
    case ACTS:
        CHECK(false);
    }
}

const char *choice_name(enum act act)
{
    static const char *const names[ACTS] = {
        [ACT_DELIVER] = "deliver",
        [ACT_TIME] = "time",
        [ACT_LOSE] = "lose",
        [ACT_DIE] = "die",
        [ACT_LATE] = "late",
        [ACT_CUT] = "cut",
        [ACT_BROKER] = "broker crashes",
        [ACT_WORKER] = "worker crashes",
        [ACT_AGENCY] = "agency crashes",
        [ACT_LOSE_STORE] = "store is lost",
        [ACT_FAIL_SYNC] = "sync fails",
    };
    CHECK(act < ACTS && names[act] != NULL);
    return names[act];
}

void choice_print(const struct choice *choice)
{
    printf("    %s line %u party %u\n", choice_name((enum act)choice->act), choice->line,
           choice->party);
}
