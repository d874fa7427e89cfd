/* What every part of the broker's core does: notes, failing, telling a store, opening a draw, and
 * what a plan and a declaration change. */
#include "broker/inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void broker_note(struct broker *broker, const char *action, int result, const char *format, ...)
{
    uint32_t place = (broker->events_first + broker->events_count) % EVENTS_MAX;
    struct broker_event *event = &broker->events[place];
    va_list arguments;

    event->action = action;
    event->result = result;
    va_start(arguments, format);
    vsnprintf(event->text, sizeof event->text, format, arguments);
    va_end(arguments);
    if (broker->events_count < EVENTS_MAX)
        broker->events_count++;
    else
        broker->events_first = (broker->events_first + 1) % EVENTS_MAX;
}

void broker_fail(struct broker *broker, enum status verdict, const char *format, ...)
{
    va_list arguments;
    if (broker->verdict != STATUS_OK)
        return;
    broker->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(broker->problem, sizeof broker->problem, format, arguments);
    va_end(arguments);
}

uint32_t broker_last_draw(const struct broker *broker)
{
    uint32_t first = broker->options.terms.number.draw;
    if (broker->options.draws == 0 || broker->options.draws - 1 > UINT32_MAX - first)
        return UINT32_MAX;
    return first + broker->options.draws - 1;
}

void broker_send_worker(struct broker *broker, uint64_t peer, struct message *message,
                        const struct slice *body)
{
    message->epoch = broker->epoch;
    outbox_send(broker->outbox, PORT_DISPATCH, peer, message, body);
}

void broker_advance(struct broker *broker, enum draw_event event)
{
    broker->state = draw_next(broker->state, event);
}

void broker_set_verdict(struct broker *broker, struct member *member, enum refusal reason,
                        uint32_t seq, uint32_t row, enum fault fault)
{
    if (member->has_verdict || member->has_declaration)
        return;
    member->has_verdict = true;
    member->verdict = (struct message_refused){.agency = member->id,
                                               .reason = reason,
                                               .seq = seq,
                                               .row = row,
                                               .fault = fault};
    if (reason == REFUSAL_LIMIT)
        member->verdict.number = BATCHES_MAX;
    dispatch_drop_agency(broker->dispatch, roll_index(broker->roll, member));
    broker_note(broker, "apuesta_recibida", NOTE_FAIL,
                "draw: %u | agency: %u | attempt: %u | batch: %u | row: %u | reason: %s%s%s",
                broker->draw, member->id, member->attempt, seq, row, refusal_text(reason),
                fault == FAULT_NONE ? "" : ": ", fault == FAULT_NONE ? "" : fault_text(fault));
}

void broker_close_store(struct broker *broker, uint32_t store)
{
    dispatch_close_store(broker->dispatch, store);
    broker->seal_parts_sent[store] = 0;
    stores_at(broker->stores, store)->has_sealed = false;
    if (broker->recovery != NULL)
        recovery_forget_store(broker->recovery, store);
    uint32_t question = broker->results == NULL ? 0 : results_kill(broker->results, store);
    if (question == 0)
        return;
    struct record record = {.kind = RECORD_DROPPED,
                            .draw = broker->draw,
                            .dropped_question = question};
    records_add(broker->records, &record);
}

/* -- opening a draw -- */

void broker_close_draw(struct broker *broker)
{
    results_destroy(&broker->results);
    manifest_destroy(&broker->manifest);
    ledger_destroy(&broker->ledger);
    barrier_destroy(&broker->barrier);
    roll_destroy(&broker->roll);
}

static void derive_seed(struct broker *broker, struct manifest_terms *terms)
{
    uint8_t draw[4] = {(uint8_t)(terms->draw >> 24), (uint8_t)(terms->draw >> 16),
                       (uint8_t)(terms->draw >> 8), (uint8_t)terms->draw};
    struct slice key = {broker->options.secret.bytes, DIGEST_BYTES};
    struct slice piece = {draw, sizeof draw};

    if (terms->is_given)
        terms->seed = (struct digest){0};
    else
        hasher_hmac(broker->hasher, key, &piece, 1, &terms->seed);
}

/* Stores that are registered go on: for them the new draw is an empty inventory. One that is
 * registering goes on with an inventory that has told nothing of the new draw yet. */
static enum status open_tables(struct broker *broker)
{
    enum status status = roll_create(&broker->roll);
    if (status == STATUS_OK)
        status = barrier_create(&broker->terms, &broker->barrier);
    if (status == STATUS_OK)
        status = ledger_create(&broker->ledger);
    for (uint32_t slot = 0; status == STATUS_OK && slot < stores_count(broker->stores); slot++)
        if (stores_at(broker->stores, slot)->state == STORE_REGISTERING)
            ledger_begin_inventory(broker->ledger, slot);
    return status;
}

void broker_note_draw(struct broker *broker)
{
    const char *phase = phase_name(draw_phase(broker->state));
    if (draw_is_over(broker->state))
        broker_note(broker, "sorteo", NOTE_SUCCESS,
                    "draw: %u | phase: %s | note: it is over and takes no bets; its result is told "
                    "until the linger ends; another draw needs another id (--draw)",
                    broker->draw, phase);
    else if (broker->state == DRAW_VOIDING)
        broker_note(broker, "sorteo", NOTE_IN_PROGRESS,
                    "draw: %u | decision: void | waiting_for: a store to record it", broker->draw);
    else
        broker_note(broker, "sorteo", NOTE_IN_PROGRESS,
                    "draw: %u | phase: %s | agencies: %u | roster: %s | finished: %u", broker->draw,
                    phase, broker->terms.agencies_required,
                    broker->terms.roster == NULL ? "any" : "given",
                    barrier_finished_count(broker->barrier));
}

enum status broker_open_draw(struct broker *broker, const struct terms *terms, bool is_restored)
{
    if (terms->roster_count > AGENCIES_MAX)
        return STATUS_LIMIT;
    dispatch_drop_all(broker->dispatch);
    broker_close_draw(broker);
    broker->draw = terms->number.draw;
    broker->state = DRAW_OPEN;
    broker->terms = *terms;
    broker->terms.roster = terms->roster_count > 0 ? broker->draw_roster : NULL;
    if (terms->roster_count > 0)
        memcpy(broker->draw_roster, terms->roster, terms->roster_count * sizeof *terms->roster);
    broker->commitment = (struct digest){0};
    broker->is_decided = false;
    memset(broker->seal_parts_sent, 0, sizeof broker->seal_parts_sent);
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++)
        stores_at(broker->stores, slot)->has_sealed = false;
    enum status status = open_tables(broker);
    if (status != STATUS_OK)
        return status;
    if (!is_restored) {
        derive_seed(broker, &broker->terms.number);
        struct record record = {.kind = RECORD_OPENED,
                                .draw = broker->draw,
                                .opened = broker->terms};
        records_add(broker->records, &record);
        broker_note_draw(broker);
    }
    if (!broker->terms.number.is_given) {
        struct slice seed = {broker->terms.number.seed.bytes, DIGEST_BYTES};
        hasher_sum(broker->hasher, &seed, 1, &broker->commitment);
    }
    return STATUS_OK;
}

enum status broker_begin_attempt(struct broker *broker, struct member *member, uint32_t attempt,
                                 const struct plan *plan, int64_t wall_ms)
{
    uint32_t index = roll_index(broker->roll, member);
    member->attempt = attempt;
    member->plan = *plan;
    member->round_seen = 0;
    member->has_verdict = false;
    ledger_begin_attempt(broker->ledger, index);
    dispatch_drop_agency(broker->dispatch, index);
    return barrier_join(broker->barrier, member->id, wall_ms);
}

enum status broker_finish_member(struct broker *broker, struct member *member,
                                 const struct manifest_entry *entry)
{
    uint32_t index = roll_index(broker->roll, member);
    enum status status = ledger_declare(broker->ledger, index, entry->declaration.batches,
                                        entry->digests, entry->bets);
    if (status != STATUS_OK)
        return status;
    member->declaration = entry->declaration;
    member->has_declaration = true;
    member->has_verdict = false;
    dispatch_finish_agency(broker->dispatch, index, entry->declaration.batches);
    barrier_finish(broker->barrier, member->id);
    return STATUS_OK;
}

void broker_record_declaration(struct broker *broker, const struct member *member)
{
    uint32_t index = roll_index(broker->roll, member);
    const struct record record = {
        .kind = RECORD_DECLARATION,
        .draw = broker->draw,
        .declaration = {.agency = member->id,
                        .attempt = member->attempt,
                        .plan = member->plan,
                        .declaration = member->declaration,
                        .digests = ledger_digests(broker->ledger, index),
                        .bets = ledger_bets_all(broker->ledger, index)},
    };
    records_add(broker->records, &record);
}

enum status broker_build_manifest(struct broker *broker)
{
    struct manifest_entry *entries = calloc(roll_count(broker->roll) + 1, sizeof *entries);
    const uint32_t *order = roll_by_id(broker->roll);
    size_t count = 0;

    if (entries == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < roll_count(broker->roll); i++) {
        const struct member *member = roll_at(broker->roll, order[i]);
        if (!member->has_declaration)
            continue;
        entries[count++] = (struct manifest_entry){
            .agency = member->id,
            .attempt = member->attempt,
            .plan = member->plan,
            .declaration = member->declaration,
            .digests = ledger_digests(broker->ledger, order[i]),
            .bets = ledger_bets_all(broker->ledger, order[i]),
        };
    }
    enum status status =
        manifest_create(&broker->terms.number, entries, count, broker->hasher, &broker->manifest);
    free(entries);
    return status;
}
