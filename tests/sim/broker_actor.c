/* A broker's process in a world: the core, a journal that survives it, and the order of its loop:
 * records durable first, messages after. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "proto/wire/check.h"
#include "tests/sim/world.h"

enum {
    MESSAGES_MAX = 4096,
    ARENA_BYTES = 4 << 20,
    RECORDS_MAX = 256,
    RESTART_MS_MAX = 3000,
    WINNING_NUMBER = 3,
    FAILED_MILLIONTHS = 300, /* of transactions, in the mildest world */
    MIDDLE_MILLIONTHS = 200, /* of steps inside a turn: it dies there */
    COPY_CASES = 3,          /* in one of so many starts somebody copies the journal before */
};

static void free_payload(void *payload)
{
    letter_free(payload);
}

static void hang_up_all(struct world *world, uint32_t index)
{
    for (enum line line = 0; line < LINES; line++)
        for (uint32_t party = 0; party < PARTIES_MAX; party++)
            if (network_leads_to(world->network, line, party, index))
                network_hang_up(world->network, line, party, true, world->now_ms);
}

/* -- life -- */

struct broker_options broker_actor_options(const struct world *world,
                                           const struct broker_actor *actor)
{
    static const uint32_t roster[WORLD_AGENCIES_MAX] = {1, 2, 3, 4, 5, 6};
    return (struct broker_options){
        .terms = {.number = {.draw = 1,
                             .range_last = FILE_NUMBER_LAST,
                             .is_given = !world->plan.draws_number,
                             .given = world->plan.draws_number ? 0 : WINNING_NUMBER},
                  .agencies_required = world->plan.agencies,
                  .roster = world->plan.has_roster ? roster : NULL,
                  .roster_count = world->plan.has_roster ? world->plan.agencies : 0,
                  .barrier_timeout_ms = world->plan.barrier_timeout_ms,
                  .on_timeout = world->plan.on_timeout,
                  .quorum = world->plan.quorum},
        .draws = world->plan.draws,
        .linger_ms = 1000000000,
        .store_grace_ms = WORLD_GRACE_MS,
        .lease_ms = LEASE_MS,
        .queue_bytes = WORLD_QUEUE_BYTES,
        .recover_stores = actor->needs_recovery ? world->plan.workers : actor->recovers,
        .void_draw = actor->voids,
    };
}

static struct broker_options options_of(struct world *world, const struct broker_actor *actor)
{
    struct broker_options options = broker_actor_options(world, actor);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        options.secret.bytes[i] = (uint8_t)dice_roll(&world->dice);
    return options;
}

/* Somebody may copy a journal's files before a broker opens them: on the copy another one takes the
 * same epoch. */
static void copy_before_opening(struct world *world, struct broker_actor *actor)
{
    actor->twin_journal = 0;
    if (world_may(world, MISHAP_COPIED_JOURNAL) && world->journals_count + 2 < JOURNALS_MAX &&
        dice_below(&world->dice, COPY_CASES) == 0)
        actor->twin_journal =
            world_add_journal(world, journal_memory_copy(world->journals[actor->journal]));
}

/* The core, and what it writes into. errors: NO_MEMORY. */
static enum status create_core(struct broker_actor *actor, struct journal_memory *journal)
{
    enum status status;
    struct archive kept;
    journal_memory_archive(journal, &kept);
    archive_disk_begin(&actor->disk, &kept, &actor->archive);
    RUN_CORE(status = outbox_create(MESSAGES_MAX, ARENA_BYTES, &actor->outbox));
    if (status == STATUS_OK)
        RUN_CORE(status = records_create(RECORDS_MAX, ARENA_BYTES, &actor->records));
    if (status == STATUS_OK)
        RUN_CORE(status = broker_create(&actor->options, actor->outbox, actor->records,
                                        &actor->archive, free_payload, &actor->broker));
    CHECK(status == STATUS_OK || status == STATUS_NO_MEMORY);
    return status;
}

/* The journal is read and the core begins. errors: those of the core. */
static enum status begin_core(struct world *world, struct broker_actor *actor,
                              struct journal_memory *journal, const char **problem)
{
    uint64_t failures = machine_disk_failures();
    enum status status;
    RUN_CORE(status = journal_memory_load(journal, actor->broker));
    if (status == STATUS_OK)
        RUN_CORE(status = broker_start(actor->broker, &actor->epoch, world->now_ms));
    (void)broker_verdict(actor->broker, problem);
    return failures == machine_disk_failures() ? status : STATUS_IO;
}

/* Nothing has happened yet in this process. */
static void reset_account(struct world *world, struct broker_actor *actor)
{
    actor->is_up = true;
    actor->paused_until_ms = 0;
    actor->started_at_ms = world->now_ms;
    actor->turned_at_ms = world->now_ms;
    actor->awake_ms = 0;
    actor->journal_has_failed = false;
    actor->is_misled = false;
    actor->welcomed_count = 0;
    actor->registrations_count = 0;
    memset(actor->registrations, 0, sizeof actor->registrations);
}

/* What a machine does not give ends the process, and the next one may have it. */
static bool is_machines(const struct world *world, enum status status)
{
    return (status == STATUS_NO_MEMORY && plan_has(&world->plan, MISHAP_MEMORY)) ||
           (status == STATUS_IO && plan_has(&world->plan, MISHAP_DISK));
}

void broker_actor_start(struct world *world, uint32_t index)
{
    struct broker_actor *actor = &world->brokers[index];
    struct journal_memory *journal = world->journals[actor->journal];
    const char *problem;

    mistake_start(world, index);
    copy_before_opening(world, actor);
    actor->options = options_of(world, actor);
    actor->recovers = 0;
    reset_account(world, actor);
    if (create_core(actor, journal) != STATUS_OK) {
        broker_actor_crash(world, index);
        return;
    }
    actor->epoch.number = journal_memory_open(journal);
    for (size_t i = 0; i < ID_BYTES; i++)
        actor->epoch.id.bytes[i] = (uint8_t)dice_roll(&world->dice);
    world_trace(world, "broker %u starts with epoch %llu%s", index,
                (unsigned long long)actor->epoch.number,
                actor->needs_recovery ? " to recover" : "");
    enum status status = begin_core(world, actor, journal, &problem);
    if (is_machines(world, status)) {
        broker_actor_crash(world, index);
        return;
    }
    if (status == STATUS_CONFIG && actor->voids != 0) {
        actor->voids = 0; /* the draw is over by now: the operator leaves --void out */
        broker_actor_crash(world, index);
        return;
    }
    if (status != STATUS_OK)
        world_violate(world, "[starts] a broker cannot start on its own journal: %s", problem);
    actor->voids = 0;
    broker_actor_connect_all(world);
    broker_actor_turn(world, index, NULL);
}

bool broker_actor_crash(struct world *world, uint32_t index)
{
    struct broker_actor *actor = &world->brokers[index];
    if (!actor->is_up)
        return false;
    broker_destroy(&actor->broker);
    outbox_destroy(&actor->outbox);
    records_destroy(&actor->records);
    for (size_t i = 0; i < actor->waiting_count; i++)
        letter_free(actor->waiting[i]);
    free(actor->waiting);
    actor->waiting = NULL;
    actor->waiting_count = 0;
    actor->waiting_size = 0;
    actor->is_up = false;
    actor->starts_at_ms = INT64_MAX;
    if (index == world->address)
        actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    hang_up_all(world, index);
    broker_actor_connect_all(world);
    world_trace(world, "broker %u is gone", index);
    return true;
}

/* A broker ends by itself, since another one took its place, or its journal is not the stores'. The
 * operator sends everybody to the one that is left, or recovers. */
static void end_by_itself(struct world *world, uint32_t index, enum status verdict,
                          const char *problem)
{
    struct broker_actor *actor = &world->brokers[index];
    if (is_machines(world, verdict) || (verdict == STATUS_CONFIG && actor->is_misled)) {
        world_trace(world, "broker %u ends: %s", index, problem);
        broker_actor_crash(world, index);
        return;
    }
    bool is_replaced = journal_memory_epoch(world_journal(world, index)) != actor->epoch.number;
    if (verdict != STATUS_FENCED && verdict != STATUS_CONFIG)
        world_violate(world, "[starts] the broker gives up: %s", problem);
    else if (!is_replaced && !world_has_two_truths(world))
        world_violate(world, "[fenced] the broker gives up and nobody took its place: %s", problem);
    world_trace(world, "broker %u ends: %s", index, problem);
    bool is_aside = verdict == STATUS_CONFIG && worker_actor_leave_store_aside(world, problem);
    if (!is_replaced && !is_aside)
        actor->needs_recovery = true;
    bool has_rival = index == world->address && world->brokers[1 - index].is_up;
    if (has_rival)
        world->address = 1 - index;
    broker_actor_crash(world, index);
    /* Which has never heard of the attempts that this one took: everybody says HELLO. */
    for (uint32_t i = 0; has_rival && i < world->plan.agencies; i++)
        agency_actor_crash(world, i);
}

/* -- what comes in -- */

static void take_bets(struct world *world, struct broker_actor *actor, struct letter *letter)
{
    struct slice header = letter->frames[0];
    bool is_batch = letter->frames_count == 2;
    const struct letter spoken = *letter; /* the core may free it */
    struct broker_before before;
    stranger_look(actor, letter, &before);
    garble_look_at_broker(actor, letter, &before);
    RUN_CORE(broker_on_bets(actor->broker, header, is_batch ? letter->frames[1].bytes : 0,
                            is_batch ? letter : NULL, world->now_ms));
    stranger_judge(world, actor, &spoken, &before);
    garble_judge_broker(world, actor, &spoken, &before);
    if (!is_batch)
        letter_free(letter);
}

/* Bets come in their order, and only while the core wants them. */
static void take_waiting(struct world *world, struct broker_actor *actor)
{
    size_t taken = 0;
    while (taken < actor->waiting_count && broker_wants_bets(actor->broker))
        take_bets(world, actor, actor->waiting[taken++]);
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

uint64_t broker_actor_peer(const struct letter *letter)
{
    return letter->line == LINE_UP ? (letter->connection << 8 | letter->party)
                                   : (letter->token << 8 | letter->party);
}

struct registration *world_registration(struct broker_actor *actor, uint64_t peer)
{
    for (uint32_t i = 0; i < REGISTRATIONS_MAX; i++)
        if (actor->registrations[i].peer == peer)
            return &actor->registrations[i];
    return NULL;
}

/* The world keeps its own account of who registered. */
static void note_worker(struct broker_actor *actor, const struct letter *letter)
{
    struct registration *registration = world_registration(actor, broker_actor_peer(letter));
    struct message message;
    if (letter->is_strange || message_decode(letter->frames[0], &message) != STATUS_OK)
        return;
    if (message.kind == MESSAGE_FENCED || (message.kind == MESSAGE_REGISTER && letter->garbled))
        return; /* no word of this registration: of an older broker's, or it is dismissed */
    if (registration == NULL && message.kind == MESSAGE_REGISTER)
        registration = &actor->registrations[actor->registrations_count++ % REGISTRATIONS_MAX];
    if (message.kind == MESSAGE_REGISTER)
        *registration = (struct registration){
            .peer = broker_actor_peer(letter),
            .store = message.registration.store,
            .opening = message.registration.opening,
        };
    if (registration != NULL && message.kind == MESSAGE_MANIFEST_PART)
        registration->manifest_draw = 0;
    if (registration != NULL)
        registration->heard_at_awake = actor->awake_ms;
}

/* What is taken of an answer belongs to the question that its store was asked last. */
static void check_answer(struct world *world, struct broker_actor *actor,
                         const struct letter *letter, size_t records_before)
{
    const struct registration *registration = world_registration(actor, broker_actor_peer(letter));
    for (size_t i = records_before; i < records_count(actor->records); i++) {
        const struct record *record = records_at(actor->records, i);
        if (record->kind == RECORD_FOUND &&
            (registration == NULL || registration->question != record->found.question))
            world_violate(world, "[questions] an answer to an older question is taken");
    }
}

static void take_letter(struct world *world, struct broker_actor *actor, struct letter *letter)
{
    struct slice nothing = {0};
    size_t records_before = records_count(actor->records);
    struct broker_before before;
    stranger_look(actor, letter, &before);
    garble_look_at_broker(actor, letter, &before);
    switch (letter->line) {
    case LINE_BETS:
        queue_bets(actor, letter);
        return;
    case LINE_REQUEST:
        RUN_CORE(broker_on_request(actor->broker, broker_actor_peer(letter), letter->frames[0],
                                   world->now_ms, world->now_ms));
        break;
    case LINE_UP:
        note_worker(actor, letter);
        RUN_CORE(broker_on_worker(actor->broker, broker_actor_peer(letter), letter->frames[0],
                                  letter->frames_count > 1 ? letter->frames[1] : nothing,
                                  world->now_ms));
        check_answer(world, actor, letter, records_before);
        break;
    case LINE_REPLY:
    case LINE_WINNERS:
    case LINE_DOWN:
    case LINES:
        CHECK(letter->line == LINE_UP);
    }
    stranger_judge(world, actor, letter, &before);
    garble_judge_broker(world, actor, letter, &before);
    letter_free(letter);
}

/* -- a turn -- */

/* A batch that was given away must not leak when the process dies before it sends. */
static void drop_unsent(struct broker_actor *actor, size_t from)
{
    for (size_t i = from; i < outbox_count(actor->outbox); i++)
        free_payload(outbox_at(actor->outbox, i)->payload);
}

static bool dies_here(struct world *world)
{
    if (!world_strikes(world, MISHAP_BROKER, MIDDLE_MILLIONTHS))
        return false;
    world->counts[MISHAP_BROKER]++;
    return true;
}

/* One durable transaction. AGAIN: it failed, and the process ends: what the next one will find on
 * the disk is not known to it. */
static enum status commit_once(struct world *world, struct broker_actor *actor)
{
    struct journal_memory *journal = world->journals[actor->journal];
    bool fails = world_strikes(world, MISHAP_JOURNAL, FAILED_MILLIONTHS);
    bool is_kept = !fails || dice_happens(&world->dice, 500000);
    world->counts[MISHAP_JOURNAL] += fails;
    for (size_t i = 0; i < records_count(actor->records); i++)
        if (records_at(actor->records, i)->kind == RECORD_RECOVERED && is_kept)
            actor->needs_recovery = false;
    enum status status = STATUS_OK;
    if (is_kept)
        status = journal_memory_apply(journal, &actor->epoch.number, actor->records);
    return status == STATUS_OK && fails ? STATUS_AGAIN : status;
}

/* Why nothing more may be journaled or sent; OK and END: it may. The journal is asked first. */
static enum status find_verdict(const struct broker_actor *actor, const char **problem)
{
    *problem = "the journal cannot be read";
    return actor->journal_has_failed ? STATUS_IO : broker_verdict(actor->broker, problem);
}

static bool may_go_on(enum status status)
{
    return status == STATUS_OK || status == STATUS_END;
}

/* The turn's records, and those of what the core does once they are durable. */
static enum status commit(struct world *world, struct broker_actor *actor, const char **problem)
{
    enum status status = find_verdict(actor, problem);
    actor->records_before = journal_memory_size(world->journals[actor->journal]);
    while (may_go_on(status) && records_count(actor->records) > 0) {
        uint64_t failures = machine_disk_failures();
        status = commit_once(world, actor);
        *problem = "another broker has taken its journal over";
        if (status != STATUS_OK)
            break;
        records_reset(actor->records);
        RUN_CORE(broker_committed(actor->broker, world->now_ms));
        actor->journal_has_failed = failures != machine_disk_failures();
        status = find_verdict(actor, problem);
    }
    return status;
}

static void take_events(struct world *world, uint32_t index)
{
    struct broker_event event;
    uint8_t store[4] = {0};
    unsigned bytes[4];
    while (broker_next_event(world->brokers[index].broker, &event)) {
        world_trace(world, "broker %u: %s: %s", index, event.action, event.text);
        if (strstr(event.text, "silent for a lease") == NULL ||
            sscanf(event.text, "store: %2x%2x%2x%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3]) !=
                4)
            continue;
        for (size_t i = 0; i < sizeof store; i++)
            store[i] = (uint8_t)bytes[i];
        told_silent(world, index, store);
    }
}

static void count_waking_hours(struct world *world, struct broker_actor *actor)
{
    int64_t gap_ms = world->now_ms - actor->turned_at_ms;
    if (gap_ms <= LEASE_MS / 2)
        actor->awake_ms += gap_ms;
    actor->turned_at_ms = world->now_ms;
}

/* Sends what the turn made. returns false when the process died meanwhile. */
static bool send_all(struct world *world, uint32_t index)
{
    struct broker_actor *actor = &world->brokers[index];
    for (size_t sent = 0; sent < outbox_count(actor->outbox); sent++) {
        if (dies_here(world)) {
            drop_unsent(actor, sent);
            return false;
        }
        broker_actor_send(world, index, outbox_at(actor->outbox, sent));
    }
    outbox_reset(actor->outbox);
    return true;
}

/* The core hears, and does what time demands. returns false when it waits for more to hear. */
static bool run_core(struct world *world, struct broker_actor *actor, struct letter *letter)
{
    uint64_t failures = machine_disk_failures();
    if (letter != NULL)
        take_letter(world, actor, letter);
    take_waiting(world, actor);
    bool waits = letter != NULL && world_has_more(world, &actor->due_at_ms);
    if (!waits)
        RUN_CORE(actor->due_at_ms = broker_tick(actor->broker, world->now_ms, world->now_ms));
    if (actor->due_at_ms <= world->now_ms && !waits)
        actor->due_at_ms = world->now_ms + 1;
    if (failures != machine_disk_failures())
        actor->journal_has_failed = true;
    return !waits;
}

void broker_actor_turn(struct world *world, uint32_t index, struct letter *letter)
{
    struct broker_actor *actor = &world->brokers[index];
    const char *problem = "";

    count_waking_hours(world, actor);
    if (!run_core(world, actor, letter))
        return;
    enum status status = dies_here(world) ? STATUS_AGAIN : commit(world, actor, &problem);
    if (!may_go_on(status)) {
        drop_unsent(actor, 0);
        if (status == STATUS_AGAIN)
            broker_actor_crash(world, index);
        else
            end_by_itself(world, index, status, problem);
        return;
    }
    take_events(world, index);
    if (actor->dies_before_sending) {
        drop_unsent(actor, 0);
        broker_actor_crash(world, index);
        return;
    }
    if (!send_all(world, index)) {
        broker_actor_crash(world, index);
        return;
    }
    if (status == STATUS_END) /* who comes late finds a broker that was started again */
        broker_actor_crash(world, index);
    else
        told_after_turn(world, index);
}
