/* Life of the broker's core: creation, restoring from records, opening draws, verdict and log
 * lines. */
#include "broker/broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/inner.h"
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

void broker_destroy(struct broker **broker)
{
    struct broker *old = *broker;
    if (old == NULL)
        return;
    broker_close_draw(old);
    recovery_destroy(&old->recovery);
    dispatch_destroy(&old->dispatch);
    stores_destroy(&old->stores);
    hasher_destroy(&old->hasher);
    free(old);
    *broker = NULL;
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

enum status broker_verdict(const struct broker *broker, const char **problem)
{
    *problem = broker->problem;
    return broker->verdict;
}

bool broker_wants_bets(const struct broker *broker)
{
    return broker->verdict == STATUS_OK && dispatch_has_room(broker->dispatch);
}

/* Waits for the stores first. */
static enum status start_from_stores(struct broker *broker)
{
    enum status status = recovery_create(broker->options.recover_stores, &broker->recovery);
    if (status != STATUS_OK)
        return status;
    broker_note(broker, "recuperacion", NOTE_IN_PROGRESS, "stores awaited: %u",
                broker->options.recover_stores);
    return STATUS_OK;
}

enum status broker_start(struct broker *broker, const struct epoch *epoch, int64_t now_ms)
{
    CHECK(!broker->is_started && epoch->number > 0);
    broker->is_started = true;
    broker->own = *epoch;
    broker->ticked_at = now_ms;
    broker->wanted_at = now_ms;
    broker->served_at = now_ms;
    broker->held_up_at = now_ms;
    /* Silence is counted from now on, not from a clock that stood at 0. */
    stores_shift(broker->stores, now_ms, now_ms);
    enum status status = broker->options.recover_stores > 0 ? start_from_stores(broker)
                                                            : broker_start_from_journal(broker);
    if (status != STATUS_OK)
        broker_fail(broker, status, "cannot start: %s", status_text(status));
    return status;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void broker_committed(struct broker *broker, int64_t now_ms)
{
    if (broker->verdict != STATUS_OK || broker->state != DRAW_PUBLISHING)
        return;
    phases_end_publishing(broker);
    phases_go_on(broker, now_ms);
}

int64_t broker_tick(struct broker *broker, int64_t now_ms, int64_t wall_ms)
{
    int64_t due_at = now_ms + broker->options.lease_ms / 4;
    if (broker->verdict != STATUS_OK)
        return due_at;
    due_at = earlier(due_at, upkeep_stores(broker, now_ms));
    if (broker->recovery != NULL) {
        broker->wanted_at = now_ms;
        recover_step(broker);
        return due_at;
    }
    due_at =
        earlier(due_at, dispatch_expire(broker->dispatch, now_ms, broker->options.store_grace_ms));
    phases_step(broker, wall_ms);
    phases_send_seals(broker);
    bool has_more = upkeep_dispatch(broker, now_ms);
    if (broker_wants_bets(broker))
        broker->wanted_at = now_ms;
    waits_note_batches(broker, now_ms);
    waits_note_draw(broker, now_ms);
    if (broker->verdict == STATUS_OK)
        phases_go_on(broker, now_ms);
    if (broker->verdict != STATUS_OK) /* a draw that could not open has no barrier to ask */
        return due_at;
    return has_more ? now_ms : earlier(due_at, phases_due_at(broker, now_ms, wall_ms));
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
