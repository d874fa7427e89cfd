/* The broker's process in a world: the core, a journal that survives it, and the order of its loop:
 * records durable first, messages after. */
#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/world.h"

enum { MESSAGES_MAX = 4096, ARENA_BYTES = 4 << 20, RECORDS_MAX = 256, RESTART_MS_MAX = 3000 };

static void free_payload(void *payload)
{
    letter_free(payload);
}

static void dial_all(struct world *world, bool loses_all)
{
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        network_dial(world->network, LINE_UP, i, loses_all, world->now_ms);
        network_dial(world->network, LINE_DOWN, i, loses_all, world->now_ms);
    }
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++)
            network_dial(world->network, line, i, loses_all, world->now_ms);
}

/* A journal that is lost is begun anew from what all stores know; the flag is taken out again once
 * that is done. */
static void choose_recovery(struct world *world)
{
    bool is_done = world->counts.lost_journals == 0;
    for (uint32_t draw = 1; draw <= world->plan.draws + 1; draw++)
        is_done = is_done || journal_memory_count(world->journal, RECORD_RECOVERED, draw) > 0;
    world->options.recover_stores = is_done ? 0 : world->plan.workers;
}

void broker_actor_lose_journal(struct world *world)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        rows += world->agencies[i].rows_count;
    if (rows == 0) /* then no store knows of any draw */
        return;
    broker_actor_crash(world);
    journal_memory_destroy(&world->journal);
    world->journal = journal_memory_create();
    world->records_checked = 0;
    world->counts.lost_journals++;
    world_trace(world, "the journal is lost");
}

void broker_actor_start(struct world *world)
{
    struct broker_actor *actor = &world->broker;
    struct epoch epoch = {0};

    CHECK(outbox_create(MESSAGES_MAX, ARENA_BYTES, &actor->outbox) == STATUS_OK);
    CHECK(records_create(RECORDS_MAX, ARENA_BYTES, &actor->records) == STATUS_OK);
    choose_recovery(world);
    journal_memory_archive(world->journal, &actor->archive);
    CHECK(broker_create(&world->options, actor->outbox, actor->records, &actor->archive,
                        free_payload, &actor->broker) == STATUS_OK);
    actor->epoch = journal_memory_open(world->journal);
    epoch.number = actor->epoch;
    for (size_t i = 0; i < ID_BYTES; i++)
        epoch.id.bytes[i] = (uint8_t)dice_roll(&world->dice);
    enum status status = journal_memory_load(world->journal, actor->broker);
    if (status == STATUS_OK)
        status = broker_start(actor->broker, &epoch, world->now_ms, world->now_ms);
    if (status != STATUS_OK)
        world_violate(world, "a broker cannot start on its own journal: %s", status_text(status));
    actor->is_up = true;
    dial_all(world, true);
    world_trace(world, "broker starts with epoch %llu", (unsigned long long)actor->epoch);
    broker_actor_turn(world, NULL);
}

void broker_actor_crash(struct world *world)
{
    struct broker_actor *actor = &world->broker;
    if (!actor->is_up)
        return;
    broker_destroy(&actor->broker);
    outbox_destroy(&actor->outbox);
    records_destroy(&actor->records);
    for (size_t i = 0; i < actor->waiting_count; i++)
        letter_free(actor->waiting[i]);
    free(actor->waiting);
    *actor = (struct broker_actor){.due_at_ms = INT64_MAX};
    world->broker_starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    for (uint32_t i = 0; i < world->plan.workers; i++)
        for (enum line line = LINE_UP; line <= LINE_DOWN; line++)
            network_hang_up(world->network, line, i, true, world->now_ms);
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++)
            network_hang_up(world->network, line, i, true, world->now_ms);
    world->counts.broker_crashes++;
    world_trace(world, "broker crashes");
}

/* -- what comes in -- */

static void take_bets(struct world *world, struct letter *letter)
{
    struct slice header = letter->frames[0];
    bool is_batch = letter->frames_count == 2;
    broker_on_bets(world->broker.broker, header, is_batch ? letter->frames[1].bytes : 0,
                   is_batch ? letter : NULL, world->now_ms);
    if (!is_batch)
        letter_free(letter);
}

/* Bets come in their order, and only while the core wants them. */
static void take_waiting(struct world *world)
{
    struct broker_actor *actor = &world->broker;
    size_t taken = 0;
    while (taken < actor->waiting_count && broker_wants_bets(actor->broker))
        take_bets(world, actor->waiting[taken++]);
    actor->waiting_count -= taken;
    if (taken == 0)
        return;
    memmove(actor->waiting, actor->waiting + taken, actor->waiting_count * sizeof *actor->waiting);
}

static void queue_bets(struct broker_actor *actor, struct letter *letter)
{
    if (actor->waiting_count == actor->waiting_size) {
        actor->waiting_size = actor->waiting_size == 0 ? 16 : 2 * actor->waiting_size;
        actor->waiting = realloc(actor->waiting, actor->waiting_size * sizeof *actor->waiting);
        CHECK(actor->waiting != NULL);
    }
    actor->waiting[actor->waiting_count++] = letter;
}

/* The routing id of a worker's connection; the answer's token of a request. */
static uint64_t peer_of(const struct letter *letter)
{
    return letter->line == LINE_UP ? (letter->connection << 8 | letter->party)
                                   : (letter->token << 8 | letter->party);
}

static void take_letter(struct world *world, struct letter *letter)
{
    struct broker *broker = world->broker.broker;
    struct slice nothing = {0};
    switch (letter->line) {
    case LINE_BETS:
        queue_bets(&world->broker, letter);
        take_waiting(world);
        return;
    case LINE_REQUEST:
        broker_on_request(broker, peer_of(letter), letter->frames[0], world->now_ms, world->now_ms);
        break;
    case LINE_UP:
        broker_on_worker(broker, peer_of(letter), letter->frames[0],
                         letter->frames_count > 1 ? letter->frames[1] : nothing, world->now_ms);
        break;
    case LINE_REPLY:
    case LINE_WINNERS:
    case LINE_DOWN:
    case LINES:
        CHECK(letter->line == LINE_UP);
    }
    letter_free(letter);
}

/* -- what goes out -- */

static void send_down(struct world *world, const struct outbound *sent)
{
    uint32_t party = (uint32_t)(sent->peer & 0xff);
    struct slice frames[LETTER_FRAMES] = {sent->header, sent->body};
    uint32_t frames_count = sent->has_body ? 2 : 1;
    if (sent->payload != NULL) {
        const struct letter *batch = sent->payload;
        frames[1] = batch->frames[0];
        frames[2] = batch->frames[1];
        frames_count = 3;
    }
    /* A ROUTER sends to the connection that it heard, or nowhere. */
    if (network_connection(world->network, LINE_UP, party) == sent->peer >> 8)
        network_send(world->network, LINE_DOWN, party, 0, frames, frames_count, world->now_ms);
    free_payload(sent->payload);
}

static void send_winners(struct world *world, const struct message *message,
                         const struct outbound *sent)
{
    struct slice frames[] = {sent->header, sent->body};
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (message->result.agency == i + 1)
            network_send(world->network, LINE_WINNERS, i, 0, frames, 2, world->now_ms);
}

static void send(struct world *world, const struct outbound *sent)
{
    struct slice frames[] = {sent->header, sent->body};
    struct message message;
    CHECK(message_decode(sent->header, &message) == STATUS_OK);
    world_trace(world, "broker says %s", message_name(message.kind));
    if (sent->port == PORT_DISPATCH) {
        send_down(world, sent);
        return;
    }
    if (message.kind == MESSAGE_WAIT || message.kind == MESSAGE_FINISHED)
        invariants_check_told(world, &message);
    if (sent->port == PORT_WINNERS)
        send_winners(world, &message, sent);
    else
        network_send(world->network, LINE_REPLY, (uint32_t)(sent->peer & 0xff), sent->peer >> 8,
                     frames, sent->has_body ? 2 : 1, world->now_ms);
}

/* A batch that was given away must not leak when the process dies before it sends. */
static void drop_unsent(struct broker_actor *actor, size_t from)
{
    for (size_t i = from; i < outbox_count(actor->outbox); i++)
        free_payload(outbox_at(actor->outbox, i)->payload);
}

static bool crashes_here(struct world *world)
{
    return world->plan.is_lossy && !world->is_healed &&
           dice_happens(&world->dice, 200 * world->plan.harshness);
}

static enum status commit(struct world *world)
{
    struct broker_actor *actor = &world->broker;
    while (records_count(actor->records) > 0) {
        enum status status = journal_memory_apply(world->journal, &actor->epoch, actor->records);
        if (status != STATUS_OK)
            return status;
        records_reset(actor->records);
        broker_committed(actor->broker, world->now_ms, world->now_ms);
    }
    return STATUS_OK;
}

void broker_actor_turn(struct world *world, struct letter *letter)
{
    struct broker_actor *actor = &world->broker;
    const char *problem;

    if (letter != NULL)
        take_letter(world, letter);
    take_waiting(world);
    actor->due_at_ms = broker_tick(actor->broker, world->now_ms, world->now_ms);
    if (actor->due_at_ms <= world->now_ms)
        actor->due_at_ms = world->now_ms + 1;
    bool dies_before = crashes_here(world);
    if (!dies_before && commit(world) != STATUS_OK)
        world_violate(world, "a broker is fenced by nobody");
    size_t sent = 0;
    while (!dies_before && sent < outbox_count(actor->outbox)) {
        if (crashes_here(world))
            dies_before = true;
        else
            send(world, outbox_at(actor->outbox, sent++));
    }
    enum status verdict = broker_verdict(actor->broker, &problem);
    if (verdict != STATUS_OK && verdict != STATUS_END)
        world_violate(world, "the broker gives up: %s", problem);
    /* Who comes late finds a broker that was started again. */
    if (verdict == STATUS_END)
        dies_before = true;
    if (dies_before) {
        drop_unsent(actor, sent);
        broker_actor_crash(world);
    } else {
        outbox_reset(actor->outbox);
    }
}
