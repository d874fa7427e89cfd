/* Life of the broker's core: creation, restoring from records, opening draws, verdict and log
 * lines. */
#include "broker/broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/state.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

enum status broker_create(const struct broker_options *options, struct outbox *outbox,
                          struct records *records, const struct archive *archive,
                          payload_release *release, struct broker **broker)
{
    CHECK(options->terms.roster_count <= AGENCIES_MAX);
    struct broker *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return STATUS_NO_MEMORY;
    fresh->options = *options;
    if (options->terms.roster_count > 0)
        memcpy(fresh->roster, options->terms.roster,
               options->terms.roster_count * sizeof *fresh->roster);
    fresh->options.terms.roster = options->terms.roster_count > 0 ? fresh->roster : NULL;
    fresh->outbox = outbox;
    fresh->records = records;
    fresh->archive = archive;
    fresh->release = release;
    fresh->linger_until = INT64_MAX;
    if (hasher_create(&fresh->hasher) != STATUS_OK ||
        stores_create(options->lease_ms, options->store_grace_ms, &fresh->stores) != STATUS_OK ||
        dispatch_create(options->queue_bytes, release, &fresh->dispatch) != STATUS_OK) {
        broker_destroy(&fresh);
        return STATUS_NO_MEMORY;
    }
    *broker = fresh;
    return STATUS_OK;
}

static void close_draw(struct broker *broker)
{
    results_destroy(&broker->results);
    manifest_destroy(&broker->manifest);
    ledger_destroy(&broker->ledger);
    barrier_destroy(&broker->barrier);
    roll_destroy(&broker->roll);
}

void broker_destroy(struct broker **broker)
{
    struct broker *old = *broker;
    if (old == NULL)
        return;
    close_draw(old);
    recovery_destroy(&old->recovery);
    dispatch_destroy(&old->dispatch);
    stores_destroy(&old->stores);
    hasher_destroy(&old->hasher);
    free(old);
    *broker = NULL;
}

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

bool broker_next_event(struct broker *broker, struct broker_event *event)
{
    if (broker->events_count == 0)
        return false;
    *event = broker->events[broker->events_first];
    broker->events_first = (broker->events_first + 1) % EVENTS_MAX;
    broker->events_count--;
    return true;
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

enum status broker_verdict(const struct broker *broker, const char **problem)
{
    *problem = broker->problem;
    return broker->verdict;
}

uint32_t broker_last_draw(const struct broker *broker)
{
    uint32_t first = broker->options.terms.number.draw;
    if (broker->options.draws == 0 || broker->options.draws - 1 > UINT32_MAX - first)
        return UINT32_MAX;
    return first + broker->options.draws - 1;
}

bool broker_wants_bets(const struct broker *broker)
{
    return broker->verdict == STATUS_OK && dispatch_has_room(broker->dispatch);
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

/* -- opening a draw -- */

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

enum status broker_open_draw(struct broker *broker, const struct terms *terms, bool is_restored)
{
    dispatch_drop_all(broker->dispatch);
    close_draw(broker);
    broker->draw = terms->number.draw;
    broker->state = DRAW_OPEN;
    broker->terms = *terms;
    broker->terms.roster = broker->options.terms.roster;
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
        broker_note(broker, "sorteo", NOTE_IN_PROGRESS, "draw: %u | phase: OPEN | agencies: %u",
                    broker->draw, broker->terms.agencies_required);
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
    barrier_finish(broker->barrier, member->id);
    return STATUS_OK;
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
        if (!member->has_declaration || barrier_excludes(broker->barrier, member->id))
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

/* -- restoring -- */

static enum status refuse_flag(struct broker *broker, uint32_t draw, const char *flag)
{
    broker_fail(broker, STATUS_CONFIG,
                "draw %u was opened with another %s; start with the flags that it opened with, or "
                "use another --data",
                draw, flag);
    return STATUS_CONFIG;
}

static enum status compare_terms(struct broker *broker, const struct terms *opened)
{
    const struct terms *now = &broker->options.terms;
    uint32_t draw = opened->number.draw;

    if (opened->roster_count != now->roster_count ||
        (now->roster_count > 0 &&
         memcmp(opened->roster, now->roster, now->roster_count * sizeof *now->roster) != 0))
        return refuse_flag(broker, draw, "--roster");
    if (opened->agencies_required != now->agencies_required)
        return refuse_flag(broker, draw, "--agencies");
    if (opened->number.range_first != now->number.range_first ||
        opened->number.range_last != now->number.range_last)
        return refuse_flag(broker, draw, "--number-range");
    if (opened->number.is_given != now->number.is_given ||
        (now->number.is_given && opened->number.given != now->number.given))
        return refuse_flag(broker, draw, "--winning-number");
    if (opened->barrier_timeout_ms != now->barrier_timeout_ms)
        return refuse_flag(broker, draw, "--barrier-timeout");
    if (opened->on_timeout != now->on_timeout)
        return refuse_flag(broker, draw, "--on-timeout");
    if (opened->quorum != now->quorum)
        return refuse_flag(broker, draw, "--quorum");
    return STATUS_OK;
}

static enum status restore_plan(struct broker *broker, const struct record *record)
{
    struct member *member;
    enum status status = roll_add(broker->roll, record->plan.agency, &member);
    if (status != STATUS_OK)
        return status;
    return broker_begin_attempt(broker, member, record->plan.attempt, &record->plan.plan,
                                record->plan.wall_ms);
}

static enum status restore_sealed(struct broker *broker, const struct record *record)
{
    enum status status = broker_build_manifest(broker);
    if (status != STATUS_OK)
        return status;
    if (!digest_is_equal(manifest_root(broker->manifest), &record->sealed.root) ||
        manifest_number(broker->manifest) != record->sealed.number) {
        broker_fail(broker, STATUS_CONFIG,
                    "the journal's seal of draw %u does not follow from its declarations: the "
                    "journal is damaged",
                    record->draw);
        return STATUS_CONFIG;
    }
    broker_advance(broker, DRAW_SEAL);
    return STATUS_OK;
}

enum status broker_restore(struct broker *broker, const struct record *record)
{
    struct member *member;
    CHECK(!broker->is_started);
    switch (record->kind) {
    case RECORD_STORE:
        return stores_restore(broker->stores, &record->store, 0);
    case RECORD_OPENED:
        if (broker->draw != 0 && !draw_is_over(broker->state) && broker->state != DRAW_VOIDING)
            return STATUS_MALFORMED;
        return broker_open_draw(broker, &record->opened, true);
    case RECORD_PLAN:
        return restore_plan(broker, record);
    case RECORD_DECLARATION:
        member = roll_find(broker->roll, record->declaration.agency);
        if (member == NULL || member->attempt != record->declaration.attempt)
            return STATUS_MALFORMED;
        return broker_finish_member(broker, member, &record->declaration);
    case RECORD_DECISION:
        barrier_decide(broker->barrier, record->decision.action, record->decision.members,
                       record->decision.members_count);
        broker->is_decided = true;
        return STATUS_OK;
    case RECORD_SEALED:
        return restore_sealed(broker, record);
    case RECORD_PUBLISHED:
        broker->state = DRAW_PUBLISHED; /* without what happened inside it */
        return STATUS_OK;
    case RECORD_VOID:
        broker->state = DRAW_VOIDING;
        return STATUS_OK;
    case RECORD_RECOVERED:
        broker->unknown_below = record->draw;
        return STATUS_OK;
    case RECORD_FOUND:
    case RECORD_DROPPED:
        break;
    }
    return STATUS_MALFORMED;
}

/* -- starting -- */

static enum status start_draw(struct broker *broker)
{
    uint32_t first = broker->options.terms.number.draw;
    bool is_over = broker->draw == 0 || draw_is_over(broker->state);

    if (!is_over && broker->state != DRAW_VOIDING) {
        enum status status = compare_terms(broker, &broker->terms);
        if (status != STATUS_OK)
            return status;
    }
    if (broker->draw == 0 || (is_over && broker->draw < first)) {
        struct terms terms = broker->options.terms;
        return broker_open_draw(broker, &terms, false);
    }
    if (broker->draw < first || broker->draw > broker_last_draw(broker)) {
        /* Stores may have to be told of a void yet; then the first draw opens (phases.c). */
        if (is_over || broker->state == DRAW_VOIDING)
            return STATUS_OK;
        broker_fail(broker, STATUS_CONFIG,
                    "draw %u in the journal is not over; start with --draw %u to go on with it",
                    broker->draw, broker->draw);
        return STATUS_CONFIG;
    }
    return STATUS_OK;
}

static enum status void_draw(struct broker *broker)
{
    uint32_t draw = broker->options.void_draw;
    if (draw == 0)
        return STATUS_OK;
    if (draw == broker->draw && (broker->state == DRAW_OPEN || broker->state == DRAW_SEALED)) {
        broker_note(broker, "sorteo", NOTE_FAIL, "draw: %u | decision: void, by the operator",
                    draw);
        phases_break(broker);
        return STATUS_OK;
    }
    if (draw == broker->draw && broker->state != DRAW_PUBLISHED)
        return STATUS_OK;
    broker_fail(broker, STATUS_CONFIG, "cannot void draw %u: %s; leave --void out to go on", draw,
                draw <= broker->draw ? "it is over" : "it has not opened");
    return STATUS_CONFIG;
}

enum status broker_start_from_journal(struct broker *broker)
{
    enum status status = start_draw(broker);
    broker->epoch = broker->own;
    if (status == STATUS_OK && broker->state == DRAW_SEALED)
        status = results_create(broker->manifest, broker->epoch.number, &broker->results);
    if (status == STATUS_OK)
        status = void_draw(broker);
    return status;
}

/* Waits for the stores first. */
static enum status start_from_stores(struct broker *broker)
{
    enum status status = recovery_create(broker->options.recover_stores, &broker->recovery);
    if (status != STATUS_OK)
        return status;
    recovery_hear_epoch(broker->recovery, broker->own.number);
    broker_note(broker, "recuperacion", NOTE_IN_PROGRESS, "stores awaited: %u",
                broker->options.recover_stores);
    return STATUS_OK;
}

enum status broker_start(struct broker *broker, const struct epoch *epoch, int64_t now_ms,
                         int64_t wall_ms)
{
    (void)wall_ms;
    CHECK(!broker->is_started && epoch->number > 0);
    broker->is_started = true;
    broker->own = *epoch;
    broker->ticked_at = now_ms;
    /* Silence is counted from now on, not from a clock that stood at 0. */
    stores_shift(broker->stores, now_ms, now_ms);
    enum status status = broker->options.recover_stores > 0 ? start_from_stores(broker)
                                                            : broker_start_from_journal(broker);
    if (status != STATUS_OK)
        broker_fail(broker, status, "cannot start: %s", status_text(status));
    return status;
}

uint64_t broker_fingerprint(const struct broker *broker)
{
    const uint64_t numbers[] = {broker->draw, broker->state, broker->is_decided,
                                broker->verdict == STATUS_OK, broker->epoch.number};
    uint64_t hash =
        fingerprint_numbers(FINGERPRINT_BASIS, numbers, sizeof numbers / sizeof *numbers);
    hash = stores_fingerprint(broker->stores, hash);
    hash = dispatch_fingerprint(broker->dispatch, hash);
    if (broker->draw == 0)
        return hash;
    hash = roll_fingerprint(broker->roll, hash);
    hash = barrier_fingerprint(broker->barrier, hash);
    hash = ledger_fingerprint(broker->ledger, hash);
    return broker->results == NULL ? hash : results_fingerprint(broker->results, hash);
}
