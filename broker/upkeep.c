/* What stores and batches need in time: leases and graces, PING, and the way from the queue to a
 * store. */
#include "broker/state.h"
#include "proto/wire/check.h"

enum { DISPATCHED_PER_TURN = 256 }; /* batches sent on before sockets are read again */

static void note_store(struct broker *broker, uint32_t slot, int result, const char *what)
{
    const struct store *store = stores_at(broker->stores, slot);
    broker_note(broker, "registro", result, "store: %02x%02x%02x%02x | reason: %s | stores: %u",
                store->id.bytes[0], store->id.bytes[1], store->id.bytes[2], store->id.bytes[3],
                what, stores_registered_count(broker->stores));
}

static void watch_stores(struct broker *broker, int64_t now_ms)
{
    uint32_t slot = 0;
    while (records_has_room(broker->records, 1, 0)) {
        switch (stores_next_change(broker->stores, now_ms, &slot)) {
        case STORE_UNCHANGED:
            return;
        case STORE_FELL_SILENT:
            broker_close_store(broker, slot);
            note_store(broker, slot, NOTE_FAIL, "silent for a lease");
            break;
        case STORE_WAS_GIVEN_UP:
            if (broker->ledger != NULL)
                ledger_drop_store(broker->ledger, slot);
            note_store(broker, slot, NOTE_FAIL,
                       draw_is_over(broker->state) || broker->recovery != NULL
                           ? "given up after its grace"
                           : "given up after its grace; what only it held is asked of the "
                             "agencies again");
            break;
        case STORE_HALF_FORGOTTEN:
            if (broker->recovery == NULL)
                ledger_forget_inventory(broker->ledger, slot);
            note_store(broker, slot, NOTE_FAIL, "inventory stopped half-way");
            break;
        }
    }
}

/* A quarter of a lease between PINGs leaves a store three chances to hear one. */
static int64_t ping_stores(struct broker *broker, int64_t now_ms)
{
    int64_t interval_ms = broker->options.lease_ms / 4;
    int64_t due_at = INT64_MAX;
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        struct store *store = stores_at(broker->stores, slot);
        if (store->state != STORE_REGISTERED)
            continue;
        if (now_ms - store->pinged_at >= interval_ms &&
            outbox_has_room(broker->outbox, 1, CONTROL_BYTES)) {
            struct message ping = {.kind = MESSAGE_PING};
            broker_send_worker(broker, store->peer, &ping, NULL);
            store->pinged_at = now_ms;
        }
        if (store->pinged_at + interval_ms < due_at)
            due_at = store->pinged_at + interval_ms;
    }
    return due_at;
}

bool upkeep_dispatch(struct broker *broker, int64_t now_ms)
{
    struct parcel parcel;
    uint32_t slot = 0;
    for (uint32_t i = 0; i < DISPATCHED_PER_TURN; i++) {
        if (!outbox_has_room(broker->outbox, 1, CONTROL_BYTES))
            return true;
        if (!dispatch_next(broker->dispatch, now_ms, &slot, &parcel))
            return false;
        struct message message = {
            .kind = MESSAGE_FORWARD,
            .draw = broker->draw,
            .epoch = broker->epoch,
            .forward = {.is_declared = ledger_is_declared(broker->ledger, parcel.agency)},
        };
        outbox_forward(broker->outbox, stores_at(broker->stores, slot)->peer, &message,
                       parcel.payload);
        broker->served_at = now_ms;
    }
    return true;
}

void upkeep_note_waiting(struct broker *broker, int64_t now_ms)
{
    if (dispatch_queue_weight(broker->dispatch) == 0)
        broker->served_at = now_ms;
    if (now_ms - broker->served_at < broker->options.lease_ms)
        return;
    broker->served_at = now_ms + WAIT_MS_MAX - broker->options.lease_ms;
    uint32_t registered = stores_registered_count(broker->stores);
    broker_note(broker, "apuesta_recibida", NOTE_IN_PROGRESS,
                "draw: %u | queue_bytes: %zu | stores: %u | waiting_for: %s", broker->draw,
                dispatch_queue_weight(broker->dispatch), registered,
                registered == 0 ? "a worker, none is registered: start sorteo-worker"
                                : "room in a store, see the logs of the workers");
}

/* After the barrier's release, before the seal: a declaration does not hold any more. */
static bool lacks_declared(const struct broker *broker, const struct member *member, uint32_t index)
{
    return member->has_declaration && ledger_verify(broker->ledger, broker->hasher, index,
                                                    &member->declaration) != LEDGER_VERIFIED;
}

/* After the seal: a batch that nobody has counted, nor is asked for, is in no store. */
static bool lacks_counted(const struct broker *broker, size_t entry, uint32_t index)
{
    const struct seqset *covered = results_covered(broker->results, entry);
    const struct seqset *durable = ledger_durable(broker->ledger, index);
    uint32_t batches = manifest_agency(broker->manifest, entry)->declaration.batches;
    uint32_t seq = seqset_next_absent(covered, 0);
    while (seq < batches && seqset_has(durable, seq))
        seq = seqset_next_absent(covered, seq + 1);
    return seq < batches;
}

/* The first agency whose declared batches no store has that is alive; NULL: there is none. */
static const struct member *find_lacking(struct broker *broker)
{
    const struct member *member;
    if (broker->state == DRAW_OPEN) {
        for (uint32_t i = 0; i < roll_count(broker->roll); i++)
            if (lacks_declared(broker, roll_at(broker->roll, i), i))
                return roll_at(broker->roll, i);
        return NULL;
    }
    for (size_t i = 0; i < manifest_agencies_count(broker->manifest); i++) {
        member = roll_find(broker->roll, manifest_agency(broker->manifest, i)->agency);
        CHECK(member != NULL); /* the manifest is made of members */
        if (lacks_counted(broker, i, roll_index(broker->roll, member)))
            return member;
    }
    return NULL;
}

/* What a sealed draw waits for of a store; NULL: nothing. */
static const char *awaited_of(const struct broker *broker, uint32_t slot)
{
    const struct store *store = stores_at(broker->stores, slot);
    if (store->state == STORE_GIVEN_UP)
        return NULL;
    if (store->state != STORE_REGISTERED)
        return "to come back";
    if (!store->has_sealed)
        return "to check its batches against the seal";
    if (results_live_question(broker->results, slot) != 0)
        return "to count its batches";
    return store->wrong_answers == WRONG_ANSWERS_MAX ? "to be started again: its answers were wrong"
                                                     : NULL;
}

/* Every batch is in a store, and some of them have something to do before all are counted. */
static void note_awaited_stores(struct broker *broker)
{
    const char *first = NULL;
    const uint8_t *id = NULL;
    uint32_t others = 0;
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        const char *awaited = awaited_of(broker, slot);
        if (awaited != NULL && first != NULL)
            others++;
        if (awaited == NULL || first != NULL)
            continue;
        first = awaited;
        id = stores_at(broker->stores, slot)->id.bytes;
    }
    if (first != NULL)
        broker_note(broker, "conteo", NOTE_IN_PROGRESS,
                    "draw: %u | waiting_for: store %02x%02x%02x%02x %s | other_stores: %u",
                    broker->draw, id[0], id[1], id[2], id[3], first, others);
}

void upkeep_note_held_up(struct broker *broker, int64_t now_ms)
{
    bool is_held_up =
        (broker->state == DRAW_OPEN && barrier_outcome(broker->barrier) == BARRIER_RELEASED) ||
        (broker->state == DRAW_SEALED && !results_are_complete(broker->results));
    if (!is_held_up)
        broker->held_up_at = now_ms;
    if (now_ms - broker->held_up_at < broker->options.lease_ms)
        return;
    broker->held_up_at = now_ms;
    const struct member *member = find_lacking(broker);
    if (member == NULL && broker->state != DRAW_SEALED)
        return;
    broker->held_up_at = now_ms + WAIT_MS_MAX - broker->options.lease_ms;
    if (member == NULL) {
        note_awaited_stores(broker);
        return;
    }
    broker_note(broker, "sorteo", NOTE_IN_PROGRESS,
                "draw: %u | waiting_for: a store that has the batches of agency %u, or that agency "
                "to send them again",
                broker->draw, member->id);
}

int64_t upkeep_stores(struct broker *broker, int64_t now_ms)
{
    int64_t slept_ms = now_ms - broker->ticked_at;
    /* We were paused: nobody else may pay for it. */
    if (slept_ms > broker->options.lease_ms / 2) {
        stores_shift(broker->stores, slept_ms, now_ms);
        dispatch_shift(broker->dispatch, slept_ms);
    }
    broker->ticked_at = now_ms;
    watch_stores(broker, now_ms);
    int64_t ping_at = ping_stores(broker, now_ms);
    int64_t change_at = stores_due_at(broker->stores);
    return ping_at < change_at ? ping_at : change_at;
}
