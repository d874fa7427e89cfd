/* What the worker does with each message of the broker; see worker.h. A message is obeyed only
 * after its epoch was compared, and recorded where it is higher. */
#include "proto/wire/check.h"
#include "worker/inner.h"

/* ---- messages ---- */

static void drop(struct worker *worker, uint32_t draw, enum message_kind kind)
{
    notes_add(&worker->notes,
              &(struct note){.kind = NOTE_MESSAGE_DROPPED, .draw = draw, .number = (uint64_t)kind});
}

/* Compares the broker's epoch with the highest one known, and records a higher one before
 * anything of it is obeyed. false: it is refused, or could not be recorded. */
static bool admits_epoch(struct worker *worker, const struct epoch *heard, int64_t now_ms)
{
    if (heard->number == 0)
        return true;
    switch (epoch_compare(&worker->epoch, heard)) {
    case EPOCH_SAME:
        return true;
    case EPOCH_NEWER:
        break;
    case EPOCH_OLDER:
    case EPOCH_RIVAL: {
        struct message message = {.kind = MESSAGE_FENCED, .fenced = {worker->epoch}};
        workbench_send(&worker->bench, &message, NULL);
        worker_note(worker, NOTE_EPOCH_REFUSED, heard->number, worker->epoch.number);
        return false;
    }
    }
    if (!worker_settle(worker, now_ms))
        return false;
    struct store *store = worker->bench.store;
    enum status status = store_begin(store, STORE_RESERVE);
    if (status == STATUS_OK)
        status = store_record_epoch(store, heard);
    if (status == STATUS_OK)
        status = store_commit(store);
    if (!worker_went_well(worker, status))
        return false;
    worker->epoch = *heard;
    return true;
}

static void take_welcome(struct worker *worker, const struct message *message, int64_t now_ms)
{
    if (worker->state == WORKER_SERVING || worker->state == WORKER_DRAINING)
        return; /* doubled: the credit that it began is under way */
    if (!worker_go(worker, EVENT_WELCOME))
        return;
    worker->lease_ms = message->welcome.lease_ms;
    if (worker->lease_ms < LEASE_MS_MIN)
        worker->lease_ms = LEASE_MS_MIN;
    worker->pong_at = now_ms + worker->lease_ms / 4;
    worker_note(worker, NOTE_WELCOMED, message->epoch.number, (uint64_t)worker->lease_ms);
    intake_welcome(&worker->intake, &worker->bench);
}

/* WHO answers what we said before REGISTER arrived, too: it is believed a lease later only. */
static void take_who(struct worker *worker, int64_t now_ms)
{
    bool is_registering = worker->state == WORKER_REGISTERING || worker->state == WORKER_AWAITING;
    if (!is_registering)
        worker_register_anew(worker, EVENT_UNKNOWN, now_ms);
    else if (now_ms - worker->registered_at >= worker->lease_ms)
        worker_part(worker, EVENT_UNKNOWN, now_ms);
}

/* FORWARD: [its header][header BATCH][body]. */
static void take_batch(struct worker *worker, const struct message *forward,
                       const struct slice *frames, size_t frames_count, int64_t now_ms)
{
    struct message batch;
    bool is_registered = worker->state == WORKER_SERVING || worker->state == WORKER_DRAINING;
    CHECK(frames_count == 3); /* has_its_frames */
    if (!is_registered) {
        drop(worker, forward->draw, MESSAGE_FORWARD);
        return;
    }
    worker->batch_at = now_ms;
    if (message_decode(frames[1], &batch) != STATUS_OK || batch.kind != MESSAGE_BATCH ||
        batch.draw != forward->draw) {
        intake_count_unread(&worker->intake, frames[2].bytes, now_ms);
        drop(worker, forward->draw, MESSAGE_BATCH);
        return;
    }
    worker_went_well(worker,
                     intake_take(&worker->intake, &worker->bench, &worker->seals, batch.draw,
                                 &batch.batch, frames[2], forward->forward.is_declared, now_ms));
}

static void take_question(struct worker *worker, const struct message *message, struct slice body,
                          int64_t now_ms)
{
    const struct seal_record *seal;
    enum status status = seals_look(&worker->seals, &worker->bench, message->draw, &seal);
    if (!worker_went_well(worker, status))
        return;
    if (!sealing_has_verified(&worker->sealing, message->draw) ||
        !digest_is_equal(&seal->root, &message->count.root)) {
        notes_add(&worker->notes, &(struct note){.kind = NOTE_QUESTION_DROPPED,
                                                 .draw = message->draw,
                                                 .number = message->count.question});
        return;
    }
    if (count_ask(&worker->count, message->draw, &message->count, body) != STATUS_OK)
        worker_register_anew(worker, EVENT_OUTDATED, now_ms);
}

static void take_forget(struct worker *worker, const struct message *message)
{
    CHECK(message->kind == MESSAGE_FORGET);
    if (!forget_ask(&worker->forget, message->draw))
        drop(worker, message->draw, message->kind);
}

/* What belongs to a draw and is no batch: taken from a broker that knows us only. */
static void take_order(struct worker *worker, const struct message *message, struct slice body,
                       int64_t now_ms)
{
    if (worker->state != WORKER_SERVING) {
        drop(worker, message->draw, message->kind);
        return;
    }
    if (!worker_settle(worker, now_ms))
        return;
    enum status status = STATUS_OK;
    if (message->kind == MESSAGE_SEAL)
        status = sealing_take_part(&worker->sealing, &worker->bench, &worker->seals, message->draw,
                                   &message->part, body);
    else if (message->kind == MESSAGE_SEAL_VOID)
        status = sealing_take_void(&worker->sealing, &worker->bench, &worker->seals, message->draw);
    else if (message->kind == MESSAGE_COUNT)
        take_question(worker, message, body, now_ms);
    else if (message->kind == MESSAGE_MANIFEST)
        sealing_ask_manifest(&worker->sealing, message->draw);
    else
        take_forget(worker, message);
    worker_went_well(worker, status);
}

static void dismiss(struct worker *worker, enum dismissal reason)
{
    worker->ending.dismissal = reason;
    worker_end(worker, STATUS_REFUSED);
}

/* A message whose epoch is admitted. */
static void obey(struct worker *worker, const struct message *message, const struct slice *frames,
                 size_t frames_count, int64_t now_ms)
{
    struct slice body = frames_count == 2 ? frames[1] : (struct slice){NULL, 0};
    switch ((int)message->kind) {
    case MESSAGE_FORWARD:
        take_batch(worker, message, frames, frames_count, now_ms);
        return;
    case MESSAGE_PING:
        inventory_hear(&worker->inventory);
        return;
    case MESSAGE_WELCOME:
        take_welcome(worker, message, now_ms);
        return;
    case MESSAGE_WHO:
        take_who(worker, now_ms);
        return;
    case MESSAGE_DISMISSED:
        dismiss(worker, message->dismissed.reason);
        return;
    case MESSAGE_SEAL:
    case MESSAGE_SEAL_VOID:
    case MESSAGE_COUNT:
    case MESSAGE_FORGET:
    case MESSAGE_MANIFEST:
        take_order(worker, message, body, now_ms);
        return;
    default: /* what an agency or a worker says */
        drop(worker, message->draw, message->kind);
    }
}

/* As many frames as the kind has. */
static bool has_its_frames(const struct message *message, size_t frames_count)
{
    if (message->kind == MESSAGE_FORWARD)
        return frames_count == 3;
    return frames_count == (message_has_body(message->kind) ? 2U : 1U);
}

void worker_receive(struct worker *worker, const struct slice *frames, size_t frames_count,
                    int64_t now_ms)
{
    if (worker->state == WORKER_APART || worker->state == WORKER_OVER || frames_count == 0)
        return;
    struct message message;
    if (message_decode(frames[0], &message) != STATUS_OK ||
        !has_its_frames(&message, frames_count)) {
        drop(worker, message.draw, message.kind);
        return;
    }
    if (!admits_epoch(worker, &message.epoch, now_ms))
        return;
    worker->heard_at = now_ms;
    obey(worker, &message, frames, frames_count, now_ms);
}
