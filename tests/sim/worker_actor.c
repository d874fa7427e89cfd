/* A worker's process in a world: the core over a store in memory that keeps what was synced. */
#include "proto/wire/check.h"
#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

enum { RESTART_MS_MAX = 8000, COMMIT_BYTES = 4096, COMMIT_MS = 10 };

static struct id roll_id(struct world *world)
{
    struct id id;
    for (size_t i = 0; i < ID_BYTES; i++)
        id.bytes[i] = (uint8_t)dice_roll(&world->dice);
    return id;
}

void worker_actor_start(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    struct intake_settings settings = {.commit_bytes = COMMIT_BYTES, .commit_ms = COMMIT_MS};
    struct id opening = roll_id(world);

    if (actor->store == NULL) {
        struct id id = roll_id(world);
        CHECK(store_memory_create(&id, &opening, &actor->store) == STATUS_OK);
    } else {
        store_memory_crash(actor->store, &opening);
    }
    CHECK(outbox_create(WORKER_OUTBOX_MESSAGES, WORKER_OUTBOX_BYTES, &actor->outbox) == STATUS_OK);
    CHECK(worker_create(&settings, actor->store, actor->outbox, &actor->worker) == STATUS_OK);
    actor->is_up = true;
    actor->paused_until_ms = 0;
    world_trace(world, "worker %u starts", index);
    worker_actor_turn(world, index, NULL);
}

void worker_actor_crash(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    if (!actor->is_up)
        return;
    worker_destroy(&actor->worker);
    outbox_destroy(&actor->outbox);
    actor->is_up = false;
    actor->due_at_ms = INT64_MAX;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    network_hang_up(world->network, LINE_UP, index, false, world->now_ms);
    network_hang_up(world->network, LINE_DOWN, index, true, world->now_ms);
    world->counts.worker_crashes++;
    world_trace(world, "worker %u crashes", index);
}

void worker_actor_lose_store(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    if (!actor->is_up || world->counts.lost_stores == LOST_STORES_MAX)
        return;
    worker_actor_crash(world, index);
    world->lost[world->counts.lost_stores++] = actor->store;
    actor->store = NULL;
    world_trace(world, "worker %u has lost its store", index);
}

static void dial(struct world *world, uint32_t index)
{
    /* A broker that is down is dialed as well: libzmq connects once it is back. */
    bool is_there = world->broker.is_up;
    network_hang_up(world->network, LINE_UP, index, false, world->now_ms);
    network_hang_up(world->network, LINE_DOWN, index, false, world->now_ms);
    if (is_there) {
        network_dial(world->network, LINE_UP, index, false, world->now_ms);
        network_dial(world->network, LINE_DOWN, index, false, world->now_ms);
    }
    worker_dialed(world->workers[index].worker, world->now_ms);
}

static void send_all(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    for (size_t i = 0; i < outbox_count(actor->outbox); i++) {
        const struct outbound *sent = outbox_at(actor->outbox, i);
        struct slice frames[] = {sent->header, sent->body};
        network_send(world->network, LINE_UP, index, 0, frames, sent->has_body ? 2 : 1,
                     world->now_ms);
    }
    outbox_reset(actor->outbox);
}

static void take_notes(struct world *world, uint32_t index)
{
    struct note note;
    while (worker_take_note(world->workers[index].worker, &note))
        world_trace(world, "worker %u notes %d", index, (int)note.kind);
}

void worker_actor_turn(struct world *world, uint32_t index, struct letter *letter)
{
    struct worker_actor *actor = &world->workers[index];
    if (letter != NULL)
        worker_receive(actor->worker, letter->frames, letter->frames_count, world->now_ms);
    letter_free(letter);
    send_all(world, index);
    if (worker_state(actor->worker) == WORKER_APART)
        dial(world, index);
    actor->due_at_ms = worker_tick(actor->worker, world->now_ms);
    if (actor->due_at_ms <= world->now_ms)
        actor->due_at_ms = world->now_ms + 1;
    send_all(world, index);
    take_notes(world, index);
    if (worker_state(actor->worker) != WORKER_OVER)
        return;
    struct worker_ending ending = worker_ending(actor->worker);
    /* FULL: not even the reserve had room for a seal. */
    if (ending.status != STATUS_SYNC && ending.status != STATUS_FULL)
        world_violate(world, "worker %u ended: %s, %s", index, status_text(ending.status),
                      ending.status == STATUS_REFUSED ? dismissal_text(ending.dismissal) : "");
    worker_actor_crash(world, index);
}
