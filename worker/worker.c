/* See worker.h. Before any durable change that is not a batch (epoch, seal, deletion) the open
 * group is settled, since a store has one transaction at a time. */
#include "worker/worker.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "worker/inner.h"

/* A next state in the table, so that a pair that is not listed is 0. */
#define TO(state) ((uint8_t)((state) + 1))

/* (state, event) → next. Every pair that may happen; the others are noted and change nothing. */
static const uint8_t NEXT[STATES_COUNT][EVENTS_COUNT] = {
    [WORKER_APART] =
        {
            [EVENT_DIALED] = TO(WORKER_REGISTERING),
            [EVENT_DRAIN] = TO(WORKER_OVER),
            [EVENT_END] = TO(WORKER_OVER),
        },
    [WORKER_REGISTERING] =
        {
            [EVENT_TOLD] = TO(WORKER_AWAITING),
            [EVENT_UNKNOWN] = TO(WORKER_APART),
            [EVENT_SILENCE] = TO(WORKER_APART),
            [EVENT_DRAIN] = TO(WORKER_OVER),
            [EVENT_END] = TO(WORKER_OVER),
        },
    [WORKER_AWAITING] =
        {
            [EVENT_WELCOME] = TO(WORKER_SERVING),
            [EVENT_UNKNOWN] = TO(WORKER_APART),
            [EVENT_SILENCE] = TO(WORKER_APART),
            [EVENT_DRAIN] = TO(WORKER_OVER),
            [EVENT_END] = TO(WORKER_OVER),
        },
    [WORKER_SERVING] =
        {
            [EVENT_UNKNOWN] = TO(WORKER_REGISTERING),
            [EVENT_OUTDATED] = TO(WORKER_REGISTERING),
            [EVENT_SILENCE] = TO(WORKER_APART),
            [EVENT_DRAIN] = TO(WORKER_DRAINING),
            [EVENT_END] = TO(WORKER_OVER),
        },
    [WORKER_DRAINING] =
        {
            [EVENT_UNKNOWN] = TO(WORKER_OVER),
            [EVENT_OUTDATED] = TO(WORKER_OVER),
            [EVENT_SILENCE] = TO(WORKER_OVER),
            [EVENT_END] = TO(WORKER_OVER),
        },
};

enum status worker_create(const struct intake_settings *settings, struct store *store,
                          struct outbox *outbox, struct worker **worker)
{
    struct worker *created = calloc(1, sizeof *created);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    enum status status = hasher_create(&created->hasher);
    if (status == STATUS_OK)
        status = intake_create(&created->intake, settings);
    if (status == STATUS_OK)
        status = count_create(&created->count);
    if (status != STATUS_OK) {
        worker_destroy(&created);
        return status;
    }
    created->bench = (struct workbench){store, outbox, created->hasher, &created->notes};
    created->lease_ms = LEASE_MS;
    struct store_about about;
    store_about(store, &about);
    created->epoch = about.epoch;
    *worker = created;
    return STATUS_OK;
}

void worker_destroy(struct worker **worker)
{
    if (*worker == NULL)
        return;
    seals_clear(&(*worker)->seals);
    sealing_clear(&(*worker)->sealing);
    intake_destroy(&(*worker)->intake);
    count_destroy(&(*worker)->count);
    hasher_destroy(&(*worker)->hasher);
    free(*worker);
    *worker = NULL;
}

enum worker_state worker_state(const struct worker *worker)
{
    return worker->state;
}

struct worker_ending worker_ending(const struct worker *worker)
{
    CHECK(worker->state == WORKER_OVER);
    return worker->ending;
}

bool worker_take_note(struct worker *worker, struct note *note)
{
    return notes_take(&worker->notes, note);
}

/* ---- states ---- */

bool worker_go(struct worker *worker, enum event event)
{
    uint8_t next = NEXT[worker->state][event];
    if (next == 0) {
        worker_note(worker, NOTE_UNEXPECTED, worker->state, event);
        return false;
    }
    worker->state = (enum worker_state)(next - 1);
    return true;
}

void worker_end(struct worker *worker, enum status status)
{
    CHECK(worker_go(worker, EVENT_END)); /* which every state has but OVER */
    worker->ending.status = status;
    store_abandon(worker->bench.store);
}

bool worker_went_well(struct worker *worker, enum status status)
{
    if (status == STATUS_OK)
        return true;
    worker_end(worker, status);
    return false;
}

bool worker_settle(struct worker *worker, int64_t now_ms)
{
    return worker_went_well(worker, intake_settle(&worker->intake, &worker->bench, now_ms));
}

/* What was asked on this registration dies with it. */
static void interrupt(struct worker *worker)
{
    sealing_interrupt(&worker->sealing);
    count_clear(&worker->count);
    worker->forget = (struct forget){.draws_count = 0};
}

/* In state REGISTERING: tells who we are and begins the inventory. in: the group is settled. */
static void begin_registration(struct worker *worker, int64_t now_ms)
{
    interrupt(worker);
    worker->lease_ms = LEASE_MS;
    worker->registered_at = now_ms;
    worker->heard_at = now_ms;
    inventory_begin(&worker->inventory);
    struct store_about about;
    store_about(worker->bench.store, &about);
    struct message message = {
        .kind = MESSAGE_REGISTER,
        .registration = {about.id, about.opening, about.free_bytes, about.epoch},
    };
    workbench_send(&worker->bench, &message, NULL);
}

void worker_register_anew(struct worker *worker, enum event event, int64_t now_ms)
{
    if (!worker_settle(worker, now_ms))
        return;
    CHECK(worker_go(worker, event));
    if (worker->state == WORKER_REGISTERING)
        begin_registration(worker, now_ms);
}

void worker_dialed(struct worker *worker, int64_t now_ms)
{
    worker->ticked_at = now_ms;
    CHECK(worker_go(worker, EVENT_DIALED));
    begin_registration(worker, now_ms);
}

void worker_part(struct worker *worker, enum event event, int64_t now_ms)
{
    if (!worker_settle(worker, now_ms))
        return;
    worker_note(worker, NOTE_LOST, (uint64_t)(now_ms - worker->heard_at), 0);
    interrupt(worker);
    worker_go(worker, event);
}

/* ---- time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A gap in our own loop of more than half a lease (a paused process, a slow disk) is no silence
 * of the broker: what it said meanwhile is still to be read. */
static void forgive_gap(struct worker *worker, int64_t now_ms)
{
    int64_t gap = now_ms - worker->ticked_at;
    if (gap > worker->lease_ms / 2)
        worker->heard_at = earlier(worker->heard_at + gap, now_ms);
    worker->ticked_at = now_ms;
}

/* One step of what a registered worker was asked for. */
static void step_orders(struct worker *worker, int64_t now_ms)
{
    bool must_register = false;
    enum status status = STATUS_OK;
    if (!worker_settle(worker, now_ms))
        return;
    if (sealing_is_busy(&worker->sealing))
        status = sealing_step(&worker->sealing, &worker->bench, &worker->seals, &must_register);
    else if (count_is_busy(&worker->count))
        status = count_step(&worker->count, &worker->bench, &worker->seals, &must_register);
    else
        status = forget_step(&worker->forget, &worker->bench, &worker->seals);
    if (worker_went_well(worker, status) && must_register)
        worker_register_anew(worker, EVENT_OUTDATED, now_ms);
}

static bool has_orders(const struct worker *worker)
{
    return worker->state == WORKER_SERVING &&
           (sealing_is_busy(&worker->sealing) || count_is_busy(&worker->count) ||
            forget_is_busy(&worker->forget));
}

static bool has_chunks(const struct worker *worker)
{
    return worker->state == WORKER_REGISTERING && inventory_is_ready(&worker->inventory);
}

static void step_inventory(struct worker *worker)
{
    if (worker_went_well(worker, inventory_step(&worker->inventory, &worker->bench)) &&
        worker->inventory.is_complete)
        worker_go(worker, EVENT_TOLD);
}

static void send_pong(struct worker *worker, int64_t now_ms)
{
    struct message message = {.kind = MESSAGE_PONG};
    workbench_send(&worker->bench, &message, NULL);
    worker->pong_at = now_ms + worker->lease_ms / 4;
}

static bool is_registered(const struct worker *worker)
{
    return worker->state == WORKER_SERVING || worker->state == WORKER_DRAINING;
}

/* When a draining worker leaves. */
static int64_t leave_at(const struct worker *worker)
{
    int64_t quiet_at = worker->batch_at + DRAIN_QUIET_MS;
    int64_t latest_at = worker->drained_at + DRAIN_MS_MAX;
    return quiet_at < latest_at ? quiet_at : latest_at;
}

static int64_t next_deadline(const struct worker *worker, int64_t now_ms)
{
    if (worker->state == WORKER_APART || worker->state == WORKER_OVER)
        return now_ms;
    if (has_orders(worker) || has_chunks(worker))
        return now_ms;
    /* The loop's own turns are what a gap is measured by. */
    int64_t deadline = earlier(worker->heard_at + worker->lease_ms, now_ms + worker->lease_ms / 4);
    if (is_registered(worker))
        deadline = earlier(deadline, earlier(worker->pong_at, intake_deadline(&worker->intake)));
    if (worker->state == WORKER_DRAINING)
        deadline = earlier(deadline, leave_at(worker));
    return deadline;
}

static void do_due(struct worker *worker, int64_t now_ms)
{
    if (now_ms - worker->heard_at >= worker->lease_ms) {
        worker_part(worker, EVENT_SILENCE, now_ms);
        return;
    }
    /* A CREDIT of a registration that is over would count for the next one, and no group is open
     * between two. */
    if (is_registered(worker) &&
        !worker_went_well(worker, intake_tick(&worker->intake, &worker->bench, now_ms)))
        return;
    if (is_registered(worker) && now_ms >= worker->pong_at)
        send_pong(worker, now_ms);
    if (has_chunks(worker))
        step_inventory(worker);
    if (has_orders(worker))
        step_orders(worker, now_ms);
    if (worker->state == WORKER_DRAINING && now_ms >= leave_at(worker)) {
        CHECK(worker_settle(worker, now_ms)); /* all goes back */
        worker_go(worker, EVENT_END);
    }
}

int64_t worker_tick(struct worker *worker, int64_t now_ms)
{
    if (worker->state != WORKER_APART && worker->state != WORKER_OVER) {
        forgive_gap(worker, now_ms);
        do_due(worker, now_ms);
    }
    return next_deadline(worker, now_ms);
}

void worker_hang_up(struct worker *worker, int64_t now_ms)
{
    if (worker->state != WORKER_APART && worker->state != WORKER_OVER)
        worker_part(worker, EVENT_SILENCE, now_ms);
}

void worker_drain(struct worker *worker, int64_t now_ms)
{
    if (worker->state == WORKER_DRAINING || worker->state == WORKER_OVER)
        return;
    worker->drained_at = now_ms;
    worker->batch_at = now_ms;
    interrupt(worker);
    if (worker_went_well(worker, intake_close(&worker->intake, &worker->bench, now_ms)))
        worker_go(worker, EVENT_DRAIN);
}

/* ---- fingerprint ---- */

static uint64_t hash_identity(uint64_t hash, const struct batch_identity *identity)
{
    hash = fingerprint_number(hash, identity->draw);
    hash = fingerprint_number(hash, identity->agency);
    hash = fingerprint_number(hash, identity->attempt);
    return fingerprint_number(hash, identity->seq);
}

uint64_t worker_fingerprint(const struct worker *worker)
{
    const struct intake *intake = &worker->intake;
    const struct sealing *sealing = &worker->sealing;
    uint64_t hash = FINGERPRINT_BASIS;
    hash = fingerprint_number(hash, worker->state);
    hash = fingerprint_number(hash, worker->epoch.number);
    hash = fingerprint_bytes(hash, worker->epoch.id.bytes, ID_BYTES);
    hash = fingerprint_number(hash, intake->mode);
    hash = fingerprint_number(hash, intake->spent_bytes);
    hash = fingerprint_number(hash, intake->settled_bytes);
    hash = fingerprint_number(hash, intake->admitted_bytes);
    hash = fingerprint_number(hash, intake->has_transaction);
    for (size_t i = 0; i < intake->acks.count; i++) {
        hash = hash_identity(hash, &intake->acks.list[i].batch.identity);
        hash = fingerprint_bytes(hash, intake->acks.list[i].batch.digest.bytes, DIGEST_BYTES);
    }
    hash = fingerprint_number(hash, worker->inventory.chunks_sent);
    hash = fingerprint_number(hash, worker->inventory.chunks_answered);
    hash = hash_identity(hash, &worker->inventory.next);
    hash = fingerprint_number(hash, sealing->assembly.draw);
    hash = fingerprint_number(hash, sealing->assembly.parts_come);
    hash = fingerprint_number(hash, sealing->read_back.is_running);
    hash = hash_identity(hash, &sealing->read_back.next);
    hash = fingerprint_number(hash, sealing->verified_draw);
    hash = fingerprint_number(hash, sealing->answer_draw);
    hash = fingerprint_number(hash, sealing->answer_part);
    hash = fingerprint_number(hash, worker->count.questions_count);
    hash = fingerprint_number(hash, worker->count.answer.at);
    hash = fingerprint_number(hash, worker->count.answer.range.first);
    hash = fingerprint_number(hash, worker->count.answer.winners);
    return fingerprint_number(hash, worker->forget.draws_count);
}
