/* A worker's process in a world: the core over a store in memory that keeps what was synced. */
#include <stdio.h>
#include <string.h>

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

/* No two stores have the same, even where chance is always the same (exhaust.c). */
static struct id roll_store_id(struct world *world, uint32_t index)
{
    struct id id = roll_id(world);
    id.bytes[ID_BYTES - 1] = (uint8_t)index;
    id.bytes[ID_BYTES - 2] = (uint8_t)world->lost_count;
    return id;
}

void worker_actor_start(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    struct intake_settings settings = {.commit_bytes = COMMIT_BYTES, .commit_ms = COMMIT_MS};
    struct id opening = roll_id(world);

    if (actor->store == NULL) {
        struct id id = roll_store_id(world, index);
        CHECK(store_memory_create(&id, &opening, &actor->store) == STATUS_OK);
    } else {
        store_memory_crash(actor->store, &opening);
    }
    disk_begin(&actor->disk, actor->store);
    actor->is_up = true;
    actor->is_misled = false;
    actor->is_asked_twice = false;
    actor->paused_until_ms = 0;
    enum status status;
    RUN_CORE(status = outbox_create(WORKER_OUTBOX_MESSAGES, WORKER_OUTBOX_BYTES, &actor->outbox));
    if (status == STATUS_OK)
        RUN_CORE(status =
                     worker_create(&settings, &actor->disk.store, actor->outbox, &actor->worker));
    if (status != STATUS_OK) {
        CHECK(status == STATUS_NO_MEMORY);
        worker_actor_crash(world, index);
        return;
    }
    actor->commits_seen = UINT64_MAX;
    world_trace(world, "worker %u starts", index);
    worker_actor_turn(world, index, NULL);
}

bool worker_actor_crash(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    if (!actor->is_up)
        return false;
    worker_destroy(&actor->worker);
    outbox_destroy(&actor->outbox);
    actor->is_up = false;
    actor->due_at_ms = INT64_MAX;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    network_hang_up(world->network, LINE_UP, index, false, world->now_ms);
    network_hang_up(world->network, LINE_DOWN, index, true, world->now_ms);
    world_trace(world, "worker %u is gone", index);
    return true;
}

static void dial(struct world *world, uint32_t index)
{
    /* A broker that is down is dialed as well: libzmq connects once it is back. */
    network_hang_up(world->network, LINE_UP, index, false, world->now_ms);
    network_hang_up(world->network, LINE_DOWN, index, false, world->now_ms);
    if (world->brokers[world->address].is_up) {
        network_dial(world->network, LINE_UP, index, world->address, false, world->now_ms);
        network_dial(world->network, LINE_DOWN, index, world->address, false, world->now_ms);
    }
    worker_dialed(world->workers[index].worker, world->now_ms);
}

static void send_all(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    for (size_t i = 0; i < outbox_count(actor->outbox); i++) {
        const struct outbound *sent = outbox_at(actor->outbox, i);
        struct slice frames[] = {sent->header, sent->body};
        told_by_worker(world, index, sent);
        network_send(world->network, LINE_UP, index, 0, frames, sent->has_body ? 2 : 1,
                     world->now_ms);
    }
    outbox_reset(actor->outbox);
}

static void take_notes(struct world *world, uint32_t index)
{
    static const char *const names[] = {
#define X(name) #name,
        NOTE_TABLE(X)
#undef X
    };
    struct note note;
    while (worker_take_note(world->workers[index].worker, &note))
        world_trace(world, "worker %u: %s: draw %u, agency %u, batch %u, %llu, %llu", index,
                    names[note.kind], note.draw, note.agency, note.seq,
                    (unsigned long long)note.number, (unsigned long long)note.other);
}

/* Which draws have a seal now, before its turn: what is acknowledged of them has to be sealed. */
static void look_at_seals(struct worker_actor *actor)
{
    struct seal_record seals[WORLD_DRAWS_MAX + 1];
    size_t count = 0;
    if (actor->commits_seen == store_memory_commits(actor->store))
        return;
    actor->commits_seen = store_memory_commits(actor->store);
    actor->sealed_before = 0;
    CHECK(store_list_seals(actor->store, 0, seals, WORLD_DRAWS_MAX + 1, &count) == STATUS_OK);
    for (size_t i = 0; i < count; i++)
        actor->sealed_before |= UINT32_C(1) << seals[i].draw;
}

/* A message of an older or a rival epoch than the store has recorded changes nothing: nothing but
 * FENCED leaves. */
static bool is_outdated(const struct worker_actor *actor, const struct letter *letter)
{
    struct store_about about;
    struct message message;
    if (message_decode(letter->frames[0], &message) != STATUS_OK || message.epoch.number == 0)
        return false;
    store_about(actor->store, &about);
    bool is_rival = message.epoch.number == about.epoch.number &&
                    !id_is_equal(&message.epoch.id, &about.epoch.id);
    return message.epoch.number < about.epoch.number || is_rival;
}

static void receive(struct world *world, uint32_t index, const struct letter *letter)
{
    struct worker_actor *actor = &world->workers[index];
    bool must_refuse = is_outdated(actor, letter);
    struct worker_before before;
    garble_look_at_worker(actor, letter, &before);
    RUN_CORE(worker_receive(actor->worker, letter->frames, letter->frames_count, world->now_ms));
    garble_judge_worker(world, actor, letter, &before);
    for (size_t i = 0; must_refuse && i < outbox_count(actor->outbox); i++) {
        struct message message;
        CHECK(message_decode(outbox_at(actor->outbox, i)->header, &message) == STATUS_OK);
        if (message.kind != MESSAGE_FENCED)
            world_violate(world, "[epochs] worker %u answers %s to a broker of an older epoch",
                          index, message_name(message.kind));
    }
    if (must_refuse && outbox_count(actor->outbox) == 0 &&
        worker_state(actor->worker) != WORKER_APART && worker_state(actor->worker) != WORKER_OVER)
        world_violate(world, "[epochs] worker %u takes a message of an older epoch", index);
}

/* How a process may end by itself: it was told to; a sync failed; not even the reserve had room for
 * a seal; another process has opened the store, or a copy of it, since; its machine failed; what it
 * said was garbled. */
static bool may_end(const struct world *world, const struct worker_actor *actor,
                    const struct worker_ending *ending)
{
    bool is_copy = ending->status == STATUS_REFUSED && ending->dismissal == DISMISSAL_OPENING;
    bool is_memory = ending->status == STATUS_NO_MEMORY && machine_memory_failures() > 0;
    bool is_disk = (ending->status == STATUS_IO || ending->status == STATUS_VERSION) &&
                   (machine_disk_failures() > 0 || world->counts[MISHAP_ROT_MANIFEST] > 0);
    return (ending->status == STATUS_OK && world->counts[MISHAP_TERM] > 0) ||
           ending->status == STATUS_SYNC || ending->status == STATUS_FULL || is_memory || is_disk ||
           (is_copy && world->counts[MISHAP_COPIED_STORE] > 0) ||
           (ending->status == STATUS_REFUSED && actor->is_misled);
}

void worker_actor_lose_store(struct world *world, uint32_t index)
{
    struct worker_actor *actor = &world->workers[index];
    CHECK(!actor->is_up && world->lost_count < LOST_STORES_MAX);
    world->lost[world->lost_count++] = actor->store;
    actor->store = NULL;
}

/* Where too many are lost, its worker is left out. */
static void take_empty_store(struct world *world, uint32_t index)
{
    if (world->lost_count == LOST_STORES_MAX)
        world->workers[index].is_gone = true;
    else
        worker_actor_lose_store(world, index);
}

bool worker_actor_leave_store_aside(struct world *world, const char *problem)
{
    for (uint32_t i = 0; i < world->workers_count; i++) {
        struct store_about about;
        char holds[32];
        if (world->workers[i].store == NULL)
            continue;
        store_about(world->workers[i].store, &about);
        const uint8_t *id = about.id.bytes;
        snprintf(holds, sizeof holds, "store %02x%02x%02x%02x holds ", id[0], id[1], id[2], id[3]);
        if (strncmp(problem, holds, strlen(holds)) != 0)
            continue;
        worker_actor_crash(world, i);
        take_empty_store(world, i);
        world_trace(world, "the store of worker %u is left aside", i);
        return true;
    }
    return false;
}

void worker_actor_turn(struct world *world, uint32_t index, struct letter *letter)
{
    struct worker_actor *actor = &world->workers[index];
    look_at_seals(actor);
    if (letter != NULL)
        receive(world, index, letter);
    bool has_more = letter != NULL && world_has_more(world, &actor->due_at_ms);
    letter_free(letter);
    send_all(world, index);
    if (has_more && worker_state(actor->worker) != WORKER_OVER)
        return;
    if (worker_state(actor->worker) == WORKER_APART)
        dial(world, index);
    RUN_CORE(actor->due_at_ms = worker_tick(actor->worker, world->now_ms));
    if (actor->due_at_ms <= world->now_ms)
        actor->due_at_ms = world->now_ms + 1;
    send_all(world, index);
    take_notes(world, index);
    if (worker_state(actor->worker) != WORKER_OVER)
        return;
    struct worker_ending ending = worker_ending(actor->worker);
    if (!may_end(world, actor, &ending))
        world_violate(world, "[ends] worker %u ended: %s, %s", index, status_text(ending.status),
                      ending.status == STATUS_REFUSED ? dismissal_text(ending.dismissal) : "");
    worker_actor_crash(world, index);
    if (ending.status == STATUS_REFUSED && !actor->is_misled)
        take_empty_store(world, index);
}
