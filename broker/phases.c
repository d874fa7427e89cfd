/* The draw's way from open to over: barrier, seal, count, publication, void, and the next one. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/inner.h"
#include "proto/wire/check.h"

/* -- barrier -- */

enum { NAMED_IN_A_NOTE = 8, NAMES_BYTES_MAX = NAMED_IN_A_NOTE * 12 + 8 };

/* "4, 10": in order, with "..." for those that are not named. in: ids: one more than are named is
 * enough. out: text: NAMES_BYTES_MAX. */
static void name_agencies(const uint32_t *ids, size_t count, char *text)
{
    int at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && i < NAMED_IN_A_NOTE; i++)
        at += snprintf(text + at, NAMES_BYTES_MAX - (size_t)at, "%s%" PRIu32, i == 0 ? "" : ", ",
                       ids[i]);
    if (count > NAMED_IN_A_NOTE)
        (void)snprintf(text + at, NAMES_BYTES_MAX - (size_t)at, ", ...");
}

/* Of the agencies that are known, by having come or by the roster. */
static void name_missing(const struct broker *broker, char *text)
{
    uint32_t ids[NAMED_IN_A_NOTE + 1];
    size_t count = barrier_missing(broker->barrier, ids, NAMED_IN_A_NOTE + 1);
    name_agencies(ids, count, text);
    if (count == 0)
        (void)snprintf(text, NAMES_BYTES_MAX, "agencies that never came");
}

static void decide_timeout(struct broker *broker, int64_t wall_ms)
{
    uint32_t members[AGENCIES_MAX];
    enum timeout_action action = TIMEOUT_VOID;
    if (broker->state != DRAW_OPEN || broker->is_decided ||
        !barrier_is_overdue(broker->barrier, wall_ms, &action))
        return;
    uint32_t count = (uint32_t)barrier_finished(broker->barrier, members, AGENCIES_MAX);
    uint32_t expected = barrier_expected_count(broker->barrier);
    char missing[NAMES_BYTES_MAX];
    name_missing(broker, missing);
    struct record record = {
        .kind = RECORD_DECISION,
        .draw = broker->draw,
        .decision = {.action = action, .members = members, .members_count = count},
    };
    records_add(broker->records, &record);
    barrier_decide(broker->barrier, action, members, count);
    broker->is_decided = true;
    broker_note(broker, "sorteo", action == TIMEOUT_DRAW ? NOTE_IN_PROGRESS : NOTE_FAIL,
                "draw: %u | barrier: timeout | decision: %s | finished: %u of %u | missing: %s",
                broker->draw, action == TIMEOUT_DRAW ? "draw with those that finished" : "void",
                count, expected, missing);
    if (action == TIMEOUT_VOID)
        phases_break(broker);
}

/* True when every batch that a member of the barrier declared is durable in a store that is alive.
 */
static bool declarations_hold(struct broker *broker)
{
    for (uint32_t i = 0; i < roll_count(broker->roll); i++) {
        const struct member *member = roll_at(broker->roll, i);
        /* Whoever has declared is in: a decision names all who had, and nobody declares after. */
        if (!member->has_declaration)
            continue;
        if (ledger_verify(broker->ledger, broker->hasher, i, &member->declaration) !=
            LEDGER_VERIFIED)
            return false;
    }
    return true;
}

static void seal(struct broker *broker)
{
    if (broker->state != DRAW_OPEN || barrier_outcome(broker->barrier) != BARRIER_RELEASED ||
        !declarations_hold(broker))
        return;
    enum status status = broker_build_manifest(broker);
    if (status == STATUS_OK)
        status = results_create(broker->manifest, broker->epoch.number, &broker->results);
    if (status != STATUS_OK) {
        broker_fail(broker, status, "cannot seal draw %u: %s", broker->draw, status_text(status));
        return;
    }
    struct record record = {
        .kind = RECORD_SEALED,
        .draw = broker->draw,
        .sealed = {.root = *manifest_root(broker->manifest),
                   .number = manifest_number(broker->manifest)},
    };
    records_add(broker->records, &record);
    broker_advance(broker, DRAW_SEAL);
    dispatch_drop_all(broker->dispatch);
    broker_note(broker, "sellado", NOTE_SUCCESS,
                "draw: %u | agencies: %zu | batches: %u | bets: %" PRIu64, broker->draw,
                manifest_agencies_count(broker->manifest), manifest_batches(broker->manifest),
                manifest_bets(broker->manifest));
}

/* -- seal and count -- */

/* Sends each registered store what it has not been sent of the manifest. What has no room in the
 * outbox goes in the next turn: that it is to come at once is said by upkeep_dispatch, which finds
 * no room either. */
void phases_send_seals(struct broker *broker)
{
    if (broker->manifest == NULL || broker->state != DRAW_SEALED)
        return;
    struct slice packed = manifest_packed(broker->manifest);
    uint32_t parts = (uint32_t)((packed.bytes + CHUNK_BYTES_MAX - 1) / CHUNK_BYTES_MAX);
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        const struct store *store = stores_at(broker->stores, slot);
        while (store->state == STORE_REGISTERED && broker->seal_parts_sent[slot] < parts) {
            uint32_t part = broker->seal_parts_sent[slot];
            size_t at = (size_t)part * CHUNK_BYTES_MAX;
            size_t left = packed.bytes - at;
            struct slice body = {packed.data + at, left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX};
            struct message message = {
                .kind = MESSAGE_SEAL,
                .draw = broker->draw,
                .part = {.part = part,
                         .parts = parts,
                         .manifest_bytes = packed.bytes,
                         .root = *manifest_root(broker->manifest)},
            };
            if (!outbox_has_room(broker->outbox, 1, CONTROL_BYTES))
                return;
            broker_send_worker(broker, store->peer, &message, &body);
            broker->seal_parts_sent[slot]++;
        }
    }
}

static const struct seqset *store_holds(void *owner, uint32_t store, uint32_t agency)
{
    struct broker *broker = owner;
    const struct member *member = roll_find(broker->roll, agency);
    CHECK(member != NULL); /* the manifest is made of members */
    return ledger_store_holds(broker->ledger, store, roll_index(broker->roll, member));
}

static void ask_stores(struct broker *broker)
{
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        const struct store *store = stores_at(broker->stores, slot);
        struct message message = {.kind = MESSAGE_COUNT, .draw = broker->draw};
        struct slice body = {0};
        if (store->state != STORE_REGISTERED || !store->has_sealed ||
            store->wrong_answers == WRONG_ANSWERS_MAX ||
            results_live_question(broker->results, slot) != 0)
            continue;
        if (!outbox_has_room(broker->outbox, 1, CHUNK_BYTES_MAX + CONTROL_BYTES))
            return;
        uint8_t *buffer = outbox_reserve(broker->outbox, CHUNK_BYTES_MAX);
        enum status status = results_ask(broker->results, slot, store_holds, broker, buffer,
                                         CHUNK_BYTES_MAX, &message.count, &body.bytes);
        outbox_trim(broker->outbox, buffer, status == STATUS_OK ? body.bytes : 0);
        if (status == STATUS_END)
            continue;
        if (status != STATUS_OK) {
            broker_fail(broker, status, "cannot count draw %u: %s", broker->draw,
                        status_text(status));
            return;
        }
        body.data = buffer;
        broker_send_worker(broker, store->peer, &message, &body);
    }
}

static void count(struct broker *broker)
{
    if (broker->state != DRAW_SEALED)
        return;
    ask_stores(broker);
    if (!results_are_complete(broker->results))
        return;
    struct record record = {.kind = RECORD_PUBLISHED, .draw = broker->draw};
    records_add(broker->records, &record);
    broker_advance(broker, DRAW_COUNTED);
}

/* -- void -- */

void phases_break(struct broker *broker)
{
    struct record record = {.kind = RECORD_VOID, .draw = broker->draw};
    struct message message = {.kind = MESSAGE_SEAL_VOID, .draw = broker->draw};

    records_add(broker->records, &record);
    broker_advance(broker, DRAW_BREAK);
    dispatch_drop_all(broker->dispatch);
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        struct store *store = stores_at(broker->stores, slot);
        store->has_sealed = false;
        if (store->state == STORE_REGISTERED)
            broker_send_worker(broker, store->peer, &message, NULL);
    }
}

/* A void is told once every registered store has recorded it, at least one where any is known. */
static void finish_void(struct broker *broker)
{
    bool is_kept = stores_count(broker->stores) == 0;
    if (broker->state != DRAW_VOIDING)
        return;
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        const struct store *store = stores_at(broker->stores, slot);
        if (store->state != STORE_REGISTERED)
            continue;
        if (!store->has_sealed)
            return;
        is_kept = true;
    }
    if (!is_kept)
        return;
    broker_advance(broker, DRAW_VOID_KEPT);
    broker_note(broker, "sorteo", NOTE_FAIL, "draw: %u | phase: VOID", broker->draw);
}

/* -- over -- */

static void forget_old_draw(struct broker *broker)
{
    struct message message = {.kind = MESSAGE_FORGET};
    if (broker->draw <= DRAWS_KEPT)
        return;
    message.draw = broker->draw - DRAWS_KEPT;
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++)
        if (stores_at(broker->stores, slot)->state == STORE_REGISTERED)
            broker_send_worker(broker, stores_at(broker->stores, slot)->peer, &message, NULL);
}

/* Those that take part and have not said BYE. out: ids in order. returns how many. */
static size_t find_remaining(const struct broker *broker, uint32_t *ids, size_t ids_max)
{
    const uint32_t *by_id = roll_by_id(broker->roll);
    size_t count = 0;
    for (uint32_t i = 0; i < roll_count(broker->roll) && count < ids_max; i++) {
        const struct member *member = roll_at(broker->roll, by_id[i]);
        if (member->attempt != 0 && !member->said_bye)
            ids[count++] = member->id;
    }
    return count;
}

static void end_linger(struct broker *broker, int64_t now_ms)
{
    uint32_t ids[NAMED_IN_A_NOTE + 1];
    size_t count = find_remaining(broker, ids, NAMED_IN_A_NOTE + 1);
    bool everybody_left = count == 0 && roll_count(broker->roll) > 0;
    char remaining[NAMES_BYTES_MAX];
    if (!everybody_left && now_ms < broker->linger_until)
        return;
    name_agencies(ids, count, remaining);
    if (count == 0)
        broker_fail(broker, STATUS_END, "the last draw is over");
    else
        broker_fail(broker, STATUS_END,
                    "the last draw is over | missing: BYE of %s | hint: they are answered when the "
                    "broker is started again with the same command",
                    remaining);
}

/* After a draw: the next one, or the end once everybody has what he came for. */
void phases_go_on(struct broker *broker, int64_t now_ms)
{
    if (!draw_is_over(broker->state))
        return;
    if (broker->draw < broker_last_draw(broker)) {
        struct terms terms = broker->options.terms;
        if (broker->draw >= terms.number.draw)
            terms.number.draw = broker->draw + 1;
        enum status status = broker_open_draw(broker, &terms, false);
        if (status != STATUS_OK)
            broker_fail(broker, status, "cannot open draw %u: %s", terms.number.draw,
                        status_text(status));
        else
            forget_old_draw(broker);
        return;
    }
    if (broker->linger_until == INT64_MAX)
        broker->linger_until = now_ms + broker->options.linger_ms;
    end_linger(broker, now_ms);
}

static void publish(struct broker *broker)
{
    for (size_t i = 0; i < manifest_agencies_count(broker->manifest); i++) {
        uint32_t agency = manifest_agency(broker->manifest, i)->agency;
        struct archived_agency archived;
        struct message message = {.kind = MESSAGE_RESULT, .draw = broker->draw};
        struct slice body = {0};
        /* PUB is the fast path only: an agency without its page here asks for it. What each store
         * is told next has to fit as well. */
        if (!outbox_has_room(broker->outbox, 1 + STORES_MAX,
                             PAGE_BYTES_MAX + (1 + STORES_MAX) * CONTROL_BYTES) ||
            broker->archive->agency(broker->archive->owner, broker->draw, agency, &archived) !=
                STATUS_OK)
            continue;
        message.result = (struct message_result){
            .agency = agency,
            .number = manifest_number(broker->manifest),
            .root = *manifest_root(broker->manifest),
            .seed = {broker->terms.number.seed.bytes,
                     broker->terms.number.is_given ? 0 : DIGEST_BYTES},
            .total = archived.winners,
        };
        uint8_t *page = outbox_reserve(broker->outbox, PAGE_BYTES_MAX);
        enum status status = STATUS_OK;
        if (archived.winners > 0)
            status = broker->archive->page(broker->archive->owner, broker->draw, agency, 0, page,
                                           PAGE_BYTES_MAX, &body.bytes, &message.result.upto);
        outbox_trim(broker->outbox, page, body.bytes);
        body.data = page;
        if (status == STATUS_OK)
            outbox_send(broker->outbox, PORT_WINNERS, 0, &message, &body);
    }
}

void phases_step(struct broker *broker, int64_t wall_ms)
{
    if (!records_has_room(broker->records, 4, AGENCIES_MAX * sizeof(uint32_t)))
        return;
    decide_timeout(broker, wall_ms);
    seal(broker);
    count(broker);
    finish_void(broker);
}

void phases_end_publishing(struct broker *broker)
{
    broker_advance(broker, DRAW_DURABLE);
    publish(broker);
    broker_note(broker, "sorteo", NOTE_SUCCESS,
                "draw: %u | number: %u | agencies: %zu | bets: %" PRIu64 " | winners: %" PRIu64,
                broker->draw, manifest_number(broker->manifest),
                manifest_agencies_count(broker->manifest), manifest_bets(broker->manifest),
                results_winners(broker->results));
}

int64_t phases_due_at(const struct broker *broker, int64_t now_ms, int64_t wall_ms)
{
    int64_t timeout_at = barrier_due_at(broker->barrier);
    /* A barrier that is decided is due never, and no linger runs while a draw is open. */
    if (timeout_at != INT64_MAX && broker->state == DRAW_OPEN)
        return now_ms + (timeout_at - wall_ms);
    return broker->linger_until;
}
