/* What the broker says, reply by reply (PROTOCOL.md, "Agency"). A reply that does not belong to the
 * request that is out is counted and ignored; one that contradicts an earlier one ends the
 * agency. */
#include "agency/agency.h"

#include "agency/inner.h"
#include "proto/wire/check.h"
#include "proto/wire/pack.h"

/* The incarnation in force is another process's: the first HELLO of this one takes the number after
 * it, since clocks go back. Later it really is a newer process. */
static bool take_over(struct agency *agency, int64_t now_ms, uint64_t in_force)
{
    if (agency->is_heard || in_force == UINT64_MAX)
        return false;
    agency->terms.incarnation = in_force + 1;
    agency_close_asked(agency);
    agency->ask_at = now_ms;
    return true;
}

/* What the draw has come to is known: the broker is told so, since it may wait for that. */
static void end_without_winners(struct agency *agency, int64_t now_ms, enum agency_cause cause)
{
    CHECK(agency_enter(agency, EVENT_NO_RESULT)); /* each state that asks for more than goodbye */
    agency->outcome.cause = cause;
    agency->ask_at = now_ms;
}

static void on_refused(struct agency *agency, int64_t now_ms, const struct message_refused *refused)
{
    if (refused->reason == REFUSAL_SUPERSEDED && take_over(agency, now_ms, refused->number))
        return;
    agency_close_asked(agency);
    if (agency_state_says_bye(agency->state)) { /* the draw may be forgotten by now */
        (void)agency_enter(agency, EVENT_GOODBYE);
        return;
    }
    if (agency->state == AGENCY_NAMING) { /* the first refusal is what matters */
        agency_fail(agency, AGENCY_CAUSE_REFUSED);
        return;
    }
    if (refused->reason == REFUSAL_NOT_OPEN) {
        (void)agency_enter(agency, EVENT_NOT_OPEN);
        agency->is_not_open = true;
        agency->hello_from = 0;
        agency->ask_at = now_ms + pace_barrier(&agency->pace);
        return;
    }
    agency->outcome.refused = *refused;
    agency->outcome.names_batch =
        refused->reason == REFUSAL_REJECTED || refused->reason == REFUSAL_CONFLICT;
    agency->outcome.is_final = agency->holds_back;
    agency->digests_from = 0;
    agency->ask_at = now_ms;
    if (refused->reason == REFUSAL_DECLARATION && agency_enter(agency, EVENT_DIFFERS))
        return;
    if (refused->reason == REFUSAL_VOID || refused->reason == REFUSAL_EXCLUDED) {
        end_without_winners(agency, now_ms, AGENCY_CAUSE_REFUSED);
        return;
    }
    agency_fail(agency, AGENCY_CAUSE_REFUSED);
}

/* Where to ask on: 0 after the end, and where a page brought nothing, so that paging always
 * ends. */
static uint32_t next_from(uint32_t from, uint32_t upto)
{
    return upto == UINT32_MAX || upto <= from ? 0 : upto;
}

/* Takes durable and held ranges. returns false when that ended the agency. */
static bool take_told(struct agency *agency, int64_t now_ms, const struct window_told *told,
                      struct window_change *change)
{
    enum status status = window_take(&agency->window, &agency->cuts, told, change);
    if (status != STATUS_OK) {
        agency_fail(agency,
                    status == STATUS_NO_MEMORY ? AGENCY_CAUSE_MEMORY : AGENCY_CAUSE_PROTOCOL);
        return false;
    }
    if (change->gained > 0 || change->missing > 0)
        agency->moved_at = now_ms;
    return true;
}

/* Attempt, plan, commitment and range: the first ADMITTED sets them, the later ones repeat them. */
static bool take_attempt(struct agency *agency, const struct message_admitted *admitted)
{
    bool is_asked = agency->attempt == 0 || admitted->attempt == agency->attempt;
    bool is_same = !agency->is_admitted || plan_is_equal(&admitted->plan, &agency->plan);
    const struct result_terms number_terms = {
        .commitment = admitted->commitment,
        .range_first = admitted->range_first,
        .range_last = admitted->range_last,
    };
    bool is_possible = admitted->attempt > 0 && plan_is_valid(&admitted->plan) &&
                       admitted->plan.bytes_max <= admitted->batch_bytes_max;
    if (!is_asked || !is_same || !is_possible) {
        agency_fail(agency, AGENCY_CAUSE_PROTOCOL);
        return false;
    }
    if (agency->is_admitted && !result_terms_are_equal(&number_terms, &agency->number_terms)) {
        agency_fail(agency, AGENCY_CAUSE_COMMITMENT);
        return false;
    }
    agency->attempt = admitted->attempt;
    agency->plan = admitted->plan;
    agency->number_terms = number_terms;
    agency->is_admitted = true;
    agency->window.bytes = admitted->window_bytes;
    agency->batches_max = admitted->batches_max;
    return true;
}

static void start_over(struct agency *agency, int64_t now_ms, uint32_t in_force)
{
    agency->has_started_over = true;
    agency->attempt = in_force + 1;
    agency->ask_at = now_ms;
}

static void on_admitted(struct agency *agency, int64_t now_ms,
                        const struct message_admitted *admitted)
{
    agency->is_not_open = false;
    if (admitted->phase == PHASE_VOID) {
        end_without_winners(agency, now_ms, AGENCY_CAUSE_VOID);
        return;
    }
    if (agency->terms.starts_over && !agency->has_started_over) {
        start_over(agency, now_ms, admitted->attempt);
        return;
    }
    const struct window_told told = {
        .from = admitted->from,
        .upto = admitted->upto,
        .durable = admitted->durable,
    };
    struct window_change change;
    if (!agency->is_admitted)
        agency->moved_at = now_ms;
    if (!take_attempt(agency, admitted) || !take_told(agency, now_ms, &told, &change))
        return;
    agency->hello_from = next_from(admitted->from, admitted->upto);
    agency->ask_at = now_ms + (agency->hello_from != 0 ? 0 : PACE_QUICK_MS_MIN);
    if (agency->hello_from != 0)
        return;
    agency->poll_from = 0;
    agency->has_result = admitted->phase == PHASE_PUBLISHED;
    agency->holds_back = admitted->is_finished || agency->has_result;
    if (!agency->has_order_read)
        agency->orders |= AGENCY_ORDER_READ;
    agency->has_order_read = true;
    pace_reset_barrier(&agency->pace);
    (void)agency_enter(agency, agency->holds_back ? EVENT_HELD : EVENT_ADMITTED);
    agency_advance(agency, now_ms);
}

static void take_barrier(struct agency_barrier *barrier, const struct message_wait *wait)
{
    barrier->finished = wait->agencies_finished;
    barrier->expected = wait->agencies_expected;
    barrier->missing_count = 0;
    struct unpacker unpacker;
    unpack_begin(&unpacker, wait->missing);
    uint32_t ids = unpack_array(&unpacker);
    for (uint32_t i = 0; i < ids && i < MISSING_NAMED_MAX; i++) {
        uint32_t id = (uint32_t)unpack_unsigned(&unpacker, UINT32_MAX);
        if (unpacker.failed)
            return;
        barrier->missing[barrier->missing_count++] = id;
    }
}

static bool is_any_change(const struct window_change *change)
{
    return change->gained > 0 || change->lost > 0 || change->missing > 0;
}

/* When to POLL next: at once where a reply was cut, quickly while something is under way, else
 * slowly. */
static int64_t next_poll_at(struct agency *agency, int64_t now_ms,
                            const struct window_change *change)
{
    if (change->missing > 0)
        pace_reset_barrier(&agency->pace);
    bool is_quick = agency->state != AGENCY_WAITING || !window_is_clean(&agency->window);
    if (agency->poll_from != 0)
        return now_ms;
    if (is_quick)
        return now_ms + pace_quick(&agency->pace, is_any_change(change));
    return now_ms + pace_barrier(&agency->pace);
}

/* Replies come, and tell nothing new of what is in flight; the newest round is not seen, though the
 * broker reads bets. Then the link that bets go over is at fault: it may be the only one. returns
 * true when that was so for too long: the agency dials anew. */
static bool is_stalled(struct agency *agency, int64_t now_ms, const struct message_wait *wait,
                       bool has_changed, bool is_seen)
{
    bool may_be =
        !is_seen && !has_changed && wait->window_bytes > 0 && agency->window.flying.members > 0;
    if (!may_be) {
        agency->stalled_at = INT64_MAX;
        if (is_seen || has_changed)
            agency->stalled_ms = STALLED_MS_MIN;
        return false;
    }
    if (agency->stalled_at == INT64_MAX)
        agency->stalled_at = now_ms;
    if (now_ms - agency->stalled_at < agency->stalled_ms)
        return false;
    if (agency->stalled_ms < STALLED_MS_MAX)
        agency->stalled_ms *= 2;
    return true;
}

static void on_wait(struct agency *agency, int64_t now_ms, const struct message_wait *wait,
                    bool is_finished)
{
    if (wait->phase == PHASE_VOID) {
        end_without_winners(agency, now_ms, AGENCY_CAUSE_VOID);
        return;
    }
    uint32_t newest = agency->window.newest;
    const struct window_told told = {
        .from = wait->from,
        .upto = wait->upto,
        .durable = wait->durable,
        .held = wait->held,
        .round_seen = wait->round_seen < newest ? wait->round_seen : newest,
    };
    struct window_change change;
    if (!take_told(agency, now_ms, &told, &change))
        return;
    agency->window.bytes = wait->window_bytes;
    agency->poll_from = next_from(wait->from, wait->upto);
    take_barrier(&agency->barrier, wait);
    if (agency->asked.has_declaration) {
        if (is_finished && agency->state != AGENCY_WAITING)
            agency->moved_at = now_ms;
        agency->holds_back = false;
        (void)agency_enter(agency, is_finished ? EVENT_FINISHED : EVENT_NOT_FINISHED);
    }
    agency->ask_at = next_poll_at(agency, now_ms, &change);
    if (is_stalled(agency, now_ms, wait, is_any_change(&change), told.round_seen == newest)) {
        agency->ask_at = now_ms;
        agency->orders |= AGENCY_ORDER_TELL_STALLED;
        agency_redial(agency);
        return;
    }
    agency_advance(agency, now_ms);
}

/* A RESULT that answers POLL says only that it can be fetched. */
static void on_result(struct agency *agency, int64_t now_ms, const struct message_result *page,
                      struct slice body)
{
    agency->moved_at = now_ms;
    agency->ask_at = now_ms;
    if (agency->asked.kind == MESSAGE_POLL) {
        agency->has_result = true;
        if (agency->state != AGENCY_READING)
            (void)agency_enter(agency, EVENT_RESULT);
        agency_advance(agency, now_ms);
        return;
    }
    enum result_fault fault = result_take(&agency->result, page, body, &agency->cuts,
                                          &agency->number_terms, agency->hasher);
    if (fault != RESULT_FAULT_NONE) {
        agency->outcome.result_fault = fault;
        agency_fail(agency, AGENCY_CAUSE_RESULT);
        return;
    }
    agency->orders |= AGENCY_ORDER_PAGE;
    if (!result_is_whole(&agency->result))
        return;
    (void)agency_enter(agency, EVENT_LAST_PAGE);
    agency->orders |= AGENCY_ORDER_STORE;
}

static void on_not_yet(struct agency *agency, int64_t now_ms, const struct message_not_yet *not_yet)
{
    if (not_yet->phase == PHASE_VOID) {
        end_without_winners(agency, now_ms, AGENCY_CAUSE_VOID);
        return;
    }
    agency->has_result = false;
    agency->ask_at = now_ms + pace_barrier(&agency->pace);
    (void)agency_enter(agency, EVENT_NOT_YET);
}

static void on_digest_page(struct agency *agency, int64_t now_ms,
                           const struct message_digest_page *page, struct slice body)
{
    uint32_t seq;
    bool is_form = page->upto <= page->total && /* before `from` is longer than any body */
                   body.bytes <= PAGE_BYTES_MAX &&
                   body.bytes == (size_t)(page->upto - page->from) * DIGEST_BYTES;
    if (is_form && cuts_find_difference(&agency->cuts, page->from, body, &seq)) {
        agency->outcome.names_batch = true;
        agency->outcome.refused.seq = seq;
    } else if (is_form && page->upto < page->total && page->upto > page->from) {
        agency->digests_from = page->upto;
        agency->ask_at = now_ms;
        return;
    }
    agency_fail(agency, AGENCY_CAUSE_REFUSED);
}

/* The request that a kind of reply belongs to, what it says it answers, and whose it is. */
static bool answers(const struct agency *agency, const struct message *reply)
{
    const struct asked *asked = &agency->asked;
    uint32_t id = agency->terms.id;
    if (!asked->is_open)
        return false;
    if (reply->kind == MESSAGE_REFUSED) {
        bool names_nobody =
            reply->refused.reason == REFUSAL_MALFORMED || reply->refused.reason == REFUSAL_VERSION;
        bool is_ours = reply->draw == agency->terms.draw && reply->refused.agency == id;
        return names_nobody || is_ours;
    }
    if (reply->draw != agency->terms.draw)
        return false;
    switch ((int)reply->kind) {
    case MESSAGE_ADMITTED:
        return asked->kind == MESSAGE_HELLO && reply->admitted.agency == id &&
               reply->admitted.from == asked->from;
    case MESSAGE_WAIT:
    case MESSAGE_FINISHED:
        return asked->kind == MESSAGE_POLL && reply->wait.agency == id &&
               reply->wait.attempt == agency->attempt && reply->wait.from == asked->from;
    case MESSAGE_RESULT:
        return reply->result.agency == id &&
               (asked->kind == MESSAGE_POLL ||
                (asked->kind == MESSAGE_WINNERS && reply->result.from == asked->from));
    case MESSAGE_NOT_YET:
        return asked->kind == MESSAGE_WINNERS && reply->not_yet.agency == id;
    case MESSAGE_DIGEST_PAGE:
        return asked->kind == MESSAGE_DIGESTS && reply->digest_page.agency == id &&
               reply->digest_page.from == asked->from;
    case MESSAGE_OK:
        return asked->kind == MESSAGE_BYE && reply->ok.agency == id;
    default:
        return false;
    }
}

void agency_on_reply(struct agency *agency, int64_t now_ms, const struct message *reply,
                     struct slice body)
{
    if (agency_state_is_final(agency->state) || !answers(agency, reply)) {
        agency->ignored++;
        return;
    }
    if (reply->kind == MESSAGE_REFUSED) {
        on_refused(agency, now_ms, &reply->refused);
        return;
    }
    agency_close_asked(agency);
    switch ((int)reply->kind) {
    case MESSAGE_ADMITTED:
        on_admitted(agency, now_ms, &reply->admitted);
        return;
    case MESSAGE_WAIT:
    case MESSAGE_FINISHED:
        on_wait(agency, now_ms, &reply->wait, reply->kind == MESSAGE_FINISHED);
        return;
    case MESSAGE_RESULT:
        on_result(agency, now_ms, &reply->result, body);
        return;
    case MESSAGE_NOT_YET:
        on_not_yet(agency, now_ms, &reply->not_yet);
        return;
    case MESSAGE_DIGEST_PAGE:
        on_digest_page(agency, now_ms, &reply->digest_page, body);
        return;
    default:
        (void)agency_enter(agency, EVENT_GOODBYE);
        return;
    }
}
