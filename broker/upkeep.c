/* What stores and batches need in time: leases and graces, PING, and the way from the queue to a
 * store. */
#include "broker/inner.h"
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
