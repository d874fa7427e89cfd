/* The core's life, what the reader and the bets socket tell it, and what it answers. */
#include "agency/agency.h"

#include <stdlib.h>

#include "agency/inner.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

enum status agency_create(const struct agency_terms *terms, struct agency **agency)
{
    CHECK(plan_is_valid(&terms->plan) && terms->retries_max > 0 && terms->connect_timeout_ms > 0);
    struct agency *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    enum status status = hasher_create(&created->hasher);
    if (status != STATUS_OK) {
        free(created);
        return status;
    }
    created->terms = *terms;
    created->plan = terms->plan;
    window_begin(&created->window, terms->in_flight_batches_max);
    pace_begin(&created->pace, terms->jitter_seed);
    created->stalled_at = INT64_MAX;
    created->stalled_ms = STALLED_MS_MIN;
    *agency = created;
    return STATUS_OK;
}

void agency_destroy(struct agency **agency)
{
    if (*agency == NULL)
        return;
    cuts_clear(&(*agency)->cuts);
    window_clear(&(*agency)->window);
    hasher_destroy(&(*agency)->hasher);
    free(*agency);
    *agency = NULL;
}

bool agency_enter(struct agency *agency, enum agency_event event)
{
    enum agency_state next = agency_state_after(agency->state, event);
    if (next == AGENCY_NONE) {
        agency->ignored++;
        return false;
    }
    agency->state = next;
    return true;
}

void agency_fail(struct agency *agency, enum agency_cause cause)
{
    if (agency_enter(agency, EVENT_FAIL))
        agency->outcome.cause = cause;
}

void agency_advance(struct agency *agency, int64_t now_ms)
{
    if (!agency->has_ended)
        return;
    enum agency_event event = EVENT_BEGIN;
    if (agency->state == AGENCY_SENDING && agency->window.unsent.members == 0)
        event = EVENT_ALL_SENT;
    if (agency->state == AGENCY_READING)
        event = agency->has_result ? EVENT_RESULT : EVENT_ALL_READ;
    if (event == EVENT_BEGIN)
        return;
    (void)agency_enter(agency, event);
    agency->ask_at = now_ms;
}

void agency_begin(struct agency *agency, int64_t now_ms)
{
    CHECK(agency->state == AGENCY_NONE);
    (void)agency_enter(agency, EVENT_BEGIN);
    agency->orders |= AGENCY_ORDER_DIAL;
    agency->begun_at = now_ms;
    agency->moved_at = now_ms;
    agency->ask_at = now_ms;
}

void agency_on_published(struct agency *agency, int64_t now_ms, const struct message *hint)
{
    bool is_ours = hint->kind == MESSAGE_RESULT && hint->draw == agency->terms.draw &&
                   hint->result.agency == agency->terms.id;
    bool is_waiting = agency->state == AGENCY_DECLARING || agency->state == AGENCY_WAITING;
    if (!is_ours || !is_waiting) {
        agency->ignored++;
        return;
    }
    (void)agency_enter(agency, EVENT_RESULT);
    agency->has_result = true;
    agency->asked.is_open = false; /* a late reply to POLL is ignored: RELAXED drops it */
    agency->ask_at = now_ms;
    agency->moved_at = now_ms;
}

void agency_on_cut(struct agency *agency, int64_t now_ms, const struct cut *cut)
{
    CHECK(!agency->has_ended);
    if (!agency_needs_file(agency))
        return;
    uint32_t seq = agency->cuts.count;
    enum status status = seq < agency->batches_max ? cuts_add(&agency->cuts, cut) : STATUS_LIMIT;
    if (status == STATUS_OK)
        status = window_cut(&agency->window, seq);
    if (status != STATUS_OK)
        agency_fail(agency, status == STATUS_LIMIT ? AGENCY_CAUSE_BATCHES : AGENCY_CAUSE_MEMORY);
    agency->moved_at = now_ms;
}

void agency_on_end(struct agency *agency, int64_t now_ms, const struct declaration *declaration)
{
    CHECK(!agency->has_ended);
    if (!agency_needs_file(agency))
        return;
    CHECK(declaration->batches == agency->cuts.count);
    agency->has_ended = true;
    agency->declaration = *declaration;
    agency->moved_at = now_ms;
    agency_advance(agency, now_ms);
}

void agency_on_sent(struct agency *agency, int64_t now_ms, uint32_t seq)
{
    const struct cut *cut = cuts_at(&agency->cuts, seq);
    if (window_sent(&agency->window, seq, cut_weight(cut)) != STATUS_OK) {
        agency_fail(agency, AGENCY_CAUSE_MEMORY);
        return;
    }
    agency->batches_again += seq < agency->sent_below;
    for (; agency->sent_below <= seq; agency->sent_below++)
        agency->bets_sent += cuts_at(&agency->cuts, agency->sent_below)->bets;
    agency->moved_at = now_ms;
    agency_advance(agency, now_ms);
}

void agency_on_marked(struct agency *agency)
{
    window_marked(&agency->window);
}

void agency_on_stored(struct agency *agency, int64_t now_ms)
{
    CHECK(agency_enter(agency, EVENT_STORED));
    agency->ask_at = now_ms;
}

void agency_skip_bye(struct agency *agency)
{
    CHECK(agency_enter(agency, EVENT_GOODBYE));
}

unsigned agency_take_orders(struct agency *agency)
{
    unsigned orders = agency->orders;
    agency->orders = 0;
    return orders;
}

bool agency_next_batch(const struct agency *agency, uint32_t *seq)
{
    bool may_send = agency->state == AGENCY_SENDING ||
                    ((agency->state == AGENCY_DECLARING || agency->state == AGENCY_WAITING) &&
                     !agency->holds_back);
    if (!may_send)
        return false;
    uint32_t next = window_next(&agency->window);
    if (next == SEQ_NONE)
        return false;
    if (!window_has_room(&agency->window, cut_weight(cuts_at(&agency->cuts, next))))
        return false;
    *seq = next;
    return true;
}

bool agency_needs_file(const struct agency *agency)
{
    return !agency_state_is_final(agency->state) && !agency_state_says_bye(agency->state);
}

bool agency_wants(const struct agency *agency, uint32_t seq)
{
    return !agency->holds_back && !agency->has_result && agency_needs_file(agency) &&
           seqset_has(&agency->window.unsent, seq);
}

void agency_describe_batch(const struct agency *agency, uint32_t seq, struct message *batch)
{
    const struct cut *cut = cuts_at(&agency->cuts, seq);
    *batch = (struct message){
        .kind = MESSAGE_BATCH,
        .draw = agency->terms.draw,
        .batch =
            {
                .agency = agency->terms.id,
                .attempt = agency->attempt,
                .seq = seq,
                .count = cut->bets,
                .digest = cut->digest,
            },
    };
}

enum agency_state agency_state(const struct agency *agency)
{
    return agency->state;
}

const struct agency_terms *agency_terms(const struct agency *agency)
{
    return &agency->terms;
}

uint32_t agency_attempt(const struct agency *agency)
{
    return agency->attempt;
}

uint32_t agency_batches_max(const struct agency *agency)
{
    return agency->batches_max;
}

const struct plan *agency_plan(const struct agency *agency)
{
    return &agency->plan;
}

const struct cuts *agency_cuts(const struct agency *agency)
{
    return &agency->cuts;
}

const struct result *agency_result(const struct agency *agency)
{
    return &agency->result;
}

const struct agency_barrier *agency_barrier(const struct agency *agency)
{
    return &agency->barrier;
}

const struct declaration *agency_declared(const struct agency *agency)
{
    return agency->has_ended ? &agency->declaration : NULL;
}

bool agency_has_result(const struct agency *agency)
{
    return agency->has_result;
}

bool agency_holds_back(const struct agency *agency)
{
    return agency->holds_back;
}

bool agency_is_refused_for_now(const struct agency *agency)
{
    return agency->is_not_open;
}

const struct agency_outcome *agency_outcome(const struct agency *agency)
{
    return &agency->outcome;
}

void agency_count(const struct agency *agency, struct agency_counts *counts)
{
    *counts = (struct agency_counts){
        .batches_cut = agency->cuts.count,
        .batches_sent = agency->sent_below,
        .batches_durable = agency->window.durable.members,
        .batches_in_flight = agency->window.flying.members,
        .batches_again = agency->batches_again,
        .bets_sent = agency->bets_sent,
        .unanswered = agency->unanswered,
        .ignored = agency->ignored,
    };
}

int agency_exit_code(const struct agency *agency)
{
    switch (agency->outcome.cause) {
    case AGENCY_CAUSE_NONE:
        return 0;
    case AGENCY_CAUSE_REFUSED:
        return refusal_exit_code(agency->outcome.refused.reason);
    case AGENCY_CAUSE_VOID:
        return refusal_exit_code(REFUSAL_VOID);
    case AGENCY_CAUSE_CONNECT:
    case AGENCY_CAUSE_UNANSWERED:
        return status_exit_code(STATUS_UNREACHABLE);
    case AGENCY_CAUSE_WAITED:
        return status_exit_code(STATUS_AGAIN);
    case AGENCY_CAUSE_PROTOCOL:
        return status_exit_code(STATUS_PROTOCOL);
    case AGENCY_CAUSE_COMMITMENT:
    case AGENCY_CAUSE_RESULT:
        return status_exit_code(STATUS_WRONG);
    case AGENCY_CAUSE_BATCHES:
        return status_exit_code(STATUS_LIMIT);
    case AGENCY_CAUSE_MEMORY:
        return status_exit_code(STATUS_NO_MEMORY);
    }
    return status_exit_code(STATUS_PROTOCOL);
}

uint64_t agency_fingerprint(const struct agency *agency)
{
    uint64_t hash = window_fingerprint(&agency->window, FINGERPRINT_BASIS);
    const uint64_t numbers[] = {
        agency->state,
        agency->orders,
        agency->outcome.cause,
        agency->terms.incarnation,
        agency->attempt,
        agency->is_admitted,
        agency->is_heard,
        agency->has_started_over,
        agency->holds_back,
        agency->has_result,
        agency->has_ended,
        agency->cuts.count,
        agency->result.winners,
        agency->asked.is_open,
        agency->asked.kind,
        agency->asked.from,
        agency->asked.has_declaration,
        agency->unanswered,
        agency->hello_from,
        agency->poll_from,
        agency->digests_from,
    };
    return fingerprint_numbers(hash, numbers, sizeof(numbers) / sizeof(numbers[0]));
}
