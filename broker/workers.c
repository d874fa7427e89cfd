/* Messages of stores on dispatch: registration with inventory, what became of batches, seals and
 * counts. */
#include <inttypes.h>

#include "broker/known.h"
#include "proto/wire/check.h"

/* One message of a store that registers or is registered. */
struct report {
    uint32_t slot;
    const struct message *message;
    struct slice body;
    int64_t now_ms;
};

/* The member that a report about a batch is for: of the draw that runs and the attempt in force. */
static struct member *find_member(struct broker *broker, uint32_t draw, uint32_t agency,
                                  uint32_t attempt)
{
    struct member *member = draw == broker->draw ? roll_find(broker->roll, agency) : NULL;
    return member != NULL && member->attempt == attempt ? member : NULL;
}

/* What the ledger makes of a batch that a store holds: some of it is final for the attempt. A batch
 * that a journaled declaration has otherwise (STALE) only does not count. */
static void heed_ledger(struct broker *broker, struct member *member, uint32_t seq,
                        enum status status)
{
    if (status == STATUS_CONFLICT)
        broker_set_verdict(broker, member, REFUSAL_CONFLICT, seq, 0, FAULT_NONE);
    else if (status == STATUS_LIMIT)
        broker_set_verdict(broker, member, REFUSAL_LIMIT, seq, 0, FAULT_NONE);
    else if (status == STATUS_NO_MEMORY)
        broker_fail(broker, status, "cannot keep the ledger: %s", status_text(status));
}

/* -- registration -- */

/* What journal and stores say of each other when they do not belong together. */
static const char not_theirs[] =
    "lost, older than the stores, or not theirs; start with their journal (--data), or with "
    "--recover N, or, to begin anew, with other folders for the stores as well";

/* A store's own word cannot tell a newer broker from a journal that was deleted. */
static void fail_epoch(struct broker *broker, enum status verdict, const struct epoch *heard)
{
    broker_fail(broker, verdict,
                "a store has served a broker of epoch %" PRIu64 ", this one has %" PRIu64
                ": a newer broker runs, or this journal is %s",
                heard->number, broker->epoch.number, not_theirs);
}

static void dismiss(struct broker *broker, uint64_t peer, enum dismissal reason)
{
    struct message message = {.kind = MESSAGE_DISMISSED, .dismissed = {.reason = reason}};
    broker_send_worker(broker, peer, &message, NULL);
}

static void ask_who(struct broker *broker, uint64_t peer)
{
    struct message message = {.kind = MESSAGE_WHO};
    broker_send_worker(broker, peer, &message, NULL);
}

static void on_register(struct broker *broker, uint64_t peer, const struct message *message,
                        int64_t now_ms)
{
    const struct message_register *registration = &message->registration;
    enum epoch_order order = epoch_compare(&broker->epoch, &registration->epoch);
    uint32_t slot = 0;
    bool is_new = false;

    if (broker->recovery != NULL) {
        recovery_hear_epoch(broker->recovery, registration->epoch.number);
    } else if (order == EPOCH_NEWER || order == EPOCH_RIVAL) {
        fail_epoch(broker, STATUS_CONFIG, &registration->epoch);
        return;
    }
    enum status status =
        stores_register(broker->stores, peer, registration, now_ms, &slot, &is_new);
    if (status != STATUS_OK) {
        const uint8_t *id = registration->store.bytes;
        enum dismissal reason = status == STATUS_STALE ? DISMISSAL_OPENING : DISMISSAL_STORES;
        dismiss(broker, peer, reason);
        broker_note(broker, "registro", NOTE_FAIL, "store: %02x%02x%02x%02x | reason: %s", id[0],
                    id[1], id[2], id[3], dismissal_text(reason));
        return;
    }
    if (is_new) {
        struct record record = {.kind = RECORD_STORE, .store = registration->store};
        records_add(broker->records, &record);
    }
    broker_close_store(broker, slot);
    if (broker->recovery == NULL)
        ledger_begin_inventory(broker->ledger, slot);
}

static void fail_unknown(struct broker *broker, uint32_t draw, const char *what)
{
    broker_fail(broker, STATUS_CONFIG,
                "a store holds %s of draw %u that the journal does not know: it is %s", what, draw,
                not_theirs);
}

/* Two journals have brought the draw to its end: neither is older, and no recovery joins them. */
static void fail_otherwise(struct broker *broker, const struct report *report, uint32_t draw,
                           const char *what)
{
    const uint8_t *id = stores_at(broker->stores, report->slot)->id.bytes;
    broker_fail(broker, STATUS_CONFIG,
                "store %02x%02x%02x%02x holds %s of draw %u, which ended otherwise in this "
                "journal: "
                "a broker with another journal has served it, or this one is damaged; start with "
                "the right journal (--data), or without this store (its worker with another "
                "folder)",
                id[0], id[1], id[2], id[3], what, draw);
}

/* Takes a batch of the draw that runs into the ledger; of an older attempt it counts for nothing.
 */
static void take_batch(struct broker *broker, const struct report *report,
                       const struct item_inventory *item)
{
    struct member *member = roll_find(broker->roll, item->agency);
    if (item->draw != broker->draw || draw_is_over(broker->state) || member == NULL ||
        item->attempt != member->attempt)
        return;
    enum status status = ledger_add_inventory(broker->ledger, report->slot,
                                              roll_index(broker->roll, member), &item->batch);
    heed_ledger(broker, member, item->batch.seq, status);
}

/* The store's note of an old draw; NULL: it has none. */
static struct old_draw *find_old_draw(struct store *store, uint32_t draw)
{
    for (uint32_t i = 0; i < store->old_draws_count; i++)
        if (store->old_draws[i].draw == draw)
            return &store->old_draws[i];
    return NULL;
}

/* A draw older than those that are kept, which this store has not forgotten: it was away when it
 * was told to, or died half way. What is too many is found at its next registration; so a seal
 * whose mark follows gives its place back. */
static void note_old_draw(const struct broker *broker, struct store *store,
                          const struct item_inventory *item)
{
    if (broker->draw <= DRAWS_KEPT || item->draw > broker->draw - DRAWS_KEPT)
        return;
    struct old_draw *noted = find_old_draw(store, item->draw);
    if (item->kind == INVENTORY_FORGOT) {
        if (noted != NULL && !noted->has_batches)
            *noted = store->old_draws[--store->old_draws_count];
        return;
    }
    if (noted == NULL && store->old_draws_count < OLD_DRAWS_MAX) {
        noted = &store->old_draws[store->old_draws_count++];
        *noted = (struct old_draw){.draw = item->draw};
    }
    if (noted != NULL && item->kind == INVENTORY_BATCH)
        noted->has_batches = true;
}

static void take_item(struct broker *broker, const struct report *report,
                      const struct item_inventory *item)
{
    static const char *const what[] = {
        [INVENTORY_BATCH] = "batches",
        [INVENTORY_SEAL] = "a seal",
        [INVENTORY_VOID] = "a void",
        [INVENTORY_FORGOT] = "a mark",
    };
    enum knowledge knowledge = known_look(broker, item);
    bool is_known = knowledge == KNOWN;
    if (knowledge == KNOWN_OTHERWISE)
        fail_otherwise(broker, report, item->draw, what[item->kind]);
    else if (broker->recovery != NULL)
        recovery_hear_item(broker->recovery, report->slot, item, is_known);
    else if (!is_known)
        fail_unknown(broker, item->draw, what[item->kind]);
    else
        note_old_draw(broker, stores_at(broker->stores, report->slot), item);
    if (broker->recovery == NULL && is_known && item->kind == INVENTORY_BATCH)
        take_batch(broker, report, item);
}

/* The end of an inventory: the store takes part from now on. */
static void welcome(struct broker *broker, const struct report *report)
{
    struct store *store = stores_at(broker->stores, report->slot);
    struct message message = {
        .kind = MESSAGE_WELCOME,
        .welcome = {.lease_ms = (uint32_t)broker->options.lease_ms,
                    .frame_bytes_max = FRAME_BYTES_MAX},
    };
    if (broker->recovery == NULL)
        ledger_end_inventory(broker->ledger, report->slot);
    if (dispatch_open_store(broker->dispatch, report->slot) != STATUS_OK) {
        broker_fail(broker, STATUS_NO_MEMORY, "cannot register a store: %s",
                    status_text(STATUS_NO_MEMORY));
        return;
    }
    stores_welcome(broker->stores, report->slot, report->now_ms);
    broker_send_worker(broker, store->peer, &message, NULL);
    broker_note(broker, "registro", NOTE_SUCCESS,
                "store: %02x%02x%02x%02x | opening: %" PRIu64 " | free_mib: %" PRIu64
                " | stores: %u",
                store->id.bytes[0], store->id.bytes[1], store->id.bytes[2], store->id.bytes[3],
                store->opening.number, store->free_bytes >> 20,
                stores_registered_count(broker->stores));
    if (broker->recovery == NULL && (broker->state == DRAW_VOIDING || broker->state == DRAW_VOID)) {
        struct message seal = {.kind = MESSAGE_SEAL_VOID, .draw = broker->draw};
        broker_send_worker(broker, store->peer, &seal, NULL);
    }
    for (uint32_t i = 0; i < store->old_draws_count; i++) {
        struct message forget = {.kind = MESSAGE_FORGET, .draw = store->old_draws[i].draw};
        broker_send_worker(broker, store->peer, &forget, NULL);
    }
}

/* True when the body is as many items as the header says, each of the specified form: nothing of
 * another one is believed. */
static bool inventory_is_whole(const struct message_inventory *inventory, struct slice body)
{
    struct item_inventory item;
    uint32_t items = 0;
    size_t at = 0;
    enum status status;
    while ((status = item_next_inventory(body, &at, &item)) == STATUS_OK)
        items++;
    return status == STATUS_END && items == inventory->items;
}

static void on_inventory(struct broker *broker, const struct report *report)
{
    const struct message_inventory *inventory = &report->message->inventory;
    struct store *store = stores_at(broker->stores, report->slot);
    struct item_inventory item;
    struct message ping = {.kind = MESSAGE_PING};
    size_t at = 0;

    if (store->state != STORE_REGISTERING)
        return;
    if (inventory->chunk != store->chunks || !inventory_is_whole(inventory, report->body)) {
        dismiss(broker, store->peer, DISMISSAL_INVENTORY);
        return;
    }
    while (item_next_inventory(report->body, &at, &item) == STATUS_OK)
        take_item(broker, report, &item);
    store->chunks++;
    broker_send_worker(broker, store->peer, &ping, NULL);
    store->pinged_at = report->now_ms;
    if (inventory->is_last) /* where an item has ended the broker, nothing of this turn leaves */
        welcome(broker, report);
}

/* -- what became of batches -- */

static bool stored_is_whole(const struct message_stored *stored, struct slice body)
{
    struct item_stored item;
    uint32_t items = 0;
    size_t at = 0;
    enum status status;
    while ((status = item_next_stored(body, &at, &item)) == STATUS_OK)
        items++;
    return status == STATUS_END && items == stored->items;
}

static void on_stored(struct broker *broker, const struct report *report)
{
    const struct message_stored *stored = &report->message->stored;
    struct member *member =
        find_member(broker, report->message->draw, stored->agency, stored->attempt);
    struct item_stored item;
    size_t at = 0;

    if (member == NULL || draw_is_over(broker->state) || !stored_is_whole(stored, report->body))
        return;
    uint32_t index = roll_index(broker->roll, member);
    while (item_next_stored(report->body, &at, &item) == STATUS_OK) {
        dispatch_land(broker->dispatch, report->slot, index, stored->attempt, item.seq);
        enum status status = ledger_add(broker->ledger, report->slot, index, &item);
        heed_ledger(broker, member, item.seq, status);
    }
}

static void on_rejected(struct broker *broker, const struct report *report)
{
    const struct message_rejected *rejected = &report->message->rejected;
    struct member *member =
        find_member(broker, report->message->draw, rejected->agency, rejected->attempt);
    if (member == NULL)
        return;
    dispatch_land(broker->dispatch, report->slot, roll_index(broker->roll, member),
                  rejected->attempt, rejected->seq);
    if (rejected->reason == REFUSAL_REJECTED || rejected->reason == REFUSAL_CONFLICT)
        broker_set_verdict(broker, member, rejected->reason, rejected->seq, rejected->row,
                           rejected->fault);
}

static void on_returned(struct broker *broker, const struct report *report)
{
    const struct message_returned *returned = &report->message->returned;
    struct member *member =
        find_member(broker, report->message->draw, returned->agency, returned->attempt);
    struct range_cursor cursor;
    struct range range;

    dispatch_spend(broker->dispatch, report->slot);
    if (member == NULL)
        return;
    CHECK(range_open(&cursor, returned->seqs) == STATUS_OK); /* the codec has read it */
    while (range_next(&cursor, &range) == STATUS_OK)
        for (uint32_t i = 0; i < range.count; i++)
            dispatch_land(broker->dispatch, report->slot, roll_index(broker->roll, member),
                          returned->attempt, range.first + i);
}

/* -- seal and count -- */

static void on_sealed(struct broker *broker, const struct report *report)
{
    static const struct digest zeros;
    const struct digest *root = &report->message->sealed.root;
    struct store *store = stores_at(broker->stores, report->slot);

    if (report->message->draw != broker->draw || broker->state == DRAW_OPEN)
        return;
    if (broker->state == DRAW_VOIDING || broker->state == DRAW_VOID) {
        if (digest_is_equal(root, &zeros))
            store->has_sealed = true;
        return;
    }
    /* A draw that was over when this broker started has no manifest here, and needs no seal. */
    if (broker->manifest == NULL)
        return;
    if (digest_is_equal(root, manifest_root(broker->manifest)))
        store->has_sealed = true;
    else
        fail_unknown(broker, broker->draw, "another seal");
}

static void drop_question(struct broker *broker, uint32_t slot)
{
    bool is_last = ++stores_at(broker->stores, slot)->wrong_answers == WRONG_ANSWERS_MAX;
    struct record record = {.kind = RECORD_DROPPED,
                            .draw = broker->draw,
                            .dropped_question = results_kill(broker->results, slot)};
    records_add(broker->records, &record);
    broker_note(broker, "conteo", NOTE_FAIL, "draw: %u | question: %u | reason: wrong answer%s",
                broker->draw, record.dropped_question,
                is_last ? "; this store is asked no more until its worker is started again" : "");
}

static void on_found(struct broker *broker, const struct report *report)
{
    const struct message_found *found = &report->message->found;
    if (report->message->draw != broker->draw || broker->state != DRAW_SEALED)
        return;
    enum status status = results_found(broker->results, report->slot, found, report->body);
    if (status == STATUS_WRONG)
        drop_question(broker, report->slot);
    if (status != STATUS_OK)
        return;
    struct record record = {
        .kind = RECORD_FOUND,
        .draw = broker->draw,
        .found = {.question = found->question,
                  .agency = found->agency,
                  .items = found->items,
                  .body = report->body},
    };
    records_add(broker->records, &record);
}

static void on_counted(struct broker *broker, const struct report *report)
{
    if (report->message->draw != broker->draw || broker->state != DRAW_SEALED)
        return;
    if (results_counted(broker->results, report->slot, &report->message->counted, report->body) ==
        STATUS_WRONG)
        drop_question(broker, report->slot);
}

static void on_credit(struct broker *broker, const struct report *report)
{
    dispatch_credit(broker->dispatch, report->slot, report->message->credit.admitted_bytes);
}

/* What a registered store says. PONG is not among them: that it spoke is noted already. */
static const struct {
    enum message_kind kind;
    void (*take)(struct broker *broker, const struct report *report);
} reports[] = {
    {MESSAGE_CREDIT, on_credit},     {MESSAGE_STORED, on_stored}, {MESSAGE_REJECTED, on_rejected},
    {MESSAGE_RETURNED, on_returned}, {MESSAGE_SEALED, on_sealed}, {MESSAGE_FOUND, on_found},
    {MESSAGE_COUNTED, on_counted},
};

static void on_registered(struct broker *broker, const struct report *report)
{
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        if (reports[i].kind == report->message->kind)
            reports[i].take(broker, report);
}

/* What an older broker at this address was told may arrive here after a reconnect: then the epoch
 * is ours. */
static void on_fenced(struct broker *broker, const struct epoch *epoch)
{
    enum epoch_order order = epoch_compare(&broker->own, epoch);
    if (broker->recovery != NULL)
        return;
    if (order == EPOCH_NEWER || order == EPOCH_RIVAL)
        fail_epoch(broker, STATUS_FENCED, epoch);
}

void broker_on_worker(struct broker *broker, uint64_t peer, struct slice header, struct slice body,
                      int64_t now_ms)
{
    struct message message = {0};
    enum status status = message_decode(header, &message);

    if (broker->verdict != STATUS_OK)
        return;
    CHECK(broker->draw != 0 || broker->recovery != NULL); /* or its start would have failed */
    if (status == STATUS_VERSION)
        dismiss(broker, peer, DISMISSAL_VERSION);
    if (status != STATUS_OK)
        return;
    if (message.kind == MESSAGE_FENCED) {
        on_fenced(broker, &message.fenced.epoch);
        return;
    }
    if (message.kind == MESSAGE_REGISTER) {
        on_register(broker, peer, &message, now_ms);
        return;
    }
    int slot = stores_find(broker->stores, peer);
    if (slot < 0) {
        ask_who(broker, peer);
        return;
    }
    struct report report = {.slot = (uint32_t)slot,
                            .message = &message,
                            .body = body,
                            .now_ms = now_ms};
    stores_heard(broker->stores, report.slot, now_ms);
    if (message.kind == MESSAGE_INVENTORY)
        on_inventory(broker, &report);
    else if (broker->recovery != NULL && message.kind == MESSAGE_MANIFEST_PART)
        recover_take_part(broker, report.slot, &message, body);
    else if (broker->recovery == NULL &&
             stores_at(broker->stores, report.slot)->state == STORE_REGISTERED)
        on_registered(broker, &report);
}
