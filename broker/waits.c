/* For whom bets or a draw wait, said while they do: batches that no store takes, and after the
 * barrier a batch that no store has, or a store that has not come to an end with its own. Changes
 * nothing but when it is said again. */
#include "broker/inner.h"
#include "proto/wire/check.h"

void waits_note_batches(struct broker *broker, int64_t now_ms)
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

void waits_note_draw(struct broker *broker, int64_t now_ms)
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
