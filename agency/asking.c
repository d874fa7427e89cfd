/* The one request that is out, and what time does to it: asking, asking again, dialling anew,
 * giving up (PROTOCOL.md, "Times"). */
#include "agency/agency.h"

#include "agency/inner.h"
#include "proto/wire/check.h"

static void put_out(struct agency *agency, int64_t now_ms, struct outbox *outbox,
                    const struct message *request, uint32_t from)
{
    agency->asked = (struct asked){
        .is_open = true,
        .kind = request->kind,
        .from = from,
        .has_declaration = request->kind == MESSAGE_POLL && request->poll.has_declaration,
        .due_at = now_ms + pace_reply(&agency->pace),
    };
    outbox_send(outbox, PORT_RENDEZVOUS, 0, request, NULL);
}

static struct message start(const struct agency *agency, enum message_kind kind)
{
    return (struct message){.kind = kind, .draw = agency->terms.draw};
}

static void ask_hello(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    struct message hello = start(agency, MESSAGE_HELLO);
    hello.hello = (struct message_hello){
        .agency = agency->terms.id,
        .incarnation = agency->terms.incarnation,
        .attempt = agency->attempt,
        .plan = agency->plan,
        .from = agency->hello_from,
    };
    put_out(agency, now_ms, outbox, &hello, agency->hello_from);
}

static void ask_poll(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    struct message mark = start(agency, MESSAGE_MARK);
    mark.mark = (struct message_mark){
        .agency = agency->terms.id,
        .attempt = agency->attempt,
        .incarnation = agency->terms.incarnation,
        .round = agency->window.newest,
    };
    outbox_send(outbox, PORT_BETS, 0, &mark, NULL);

    struct message poll = start(agency, MESSAGE_POLL);
    poll.poll = (struct message_poll){
        .agency = agency->terms.id,
        .incarnation = agency->terms.incarnation,
        .attempt = agency->attempt,
        .round = agency->window.newest,
        .from = agency->poll_from,
        .has_declaration = agency->state == AGENCY_DECLARING || agency->state == AGENCY_WAITING,
    };
    if (poll.poll.has_declaration)
        poll.poll.declaration = agency->declaration;
    put_out(agency, now_ms, outbox, &poll, agency->poll_from);
}

static void ask_winners(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    struct message winners = start(agency, MESSAGE_WINNERS);
    winners.winners.agency = agency->terms.id;
    winners.winners.from = agency->result.winners;
    put_out(agency, now_ms, outbox, &winners, agency->result.winners);
}

static void ask_digests(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    struct message digests = start(agency, MESSAGE_DIGESTS);
    digests.digests.agency = agency->terms.id;
    digests.digests.attempt = agency->attempt;
    digests.digests.from = agency->digests_from;
    put_out(agency, now_ms, outbox, &digests, agency->digests_from);
}

static void ask_bye(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    struct message bye = start(agency, MESSAGE_BYE);
    bye.bye.agency = agency->terms.id;
    put_out(agency, now_ms, outbox, &bye, 0);
}

/* What is asked for in a state. The states without a line are at rest: it has not begun, it is
 * over, or the next step is the disk's. */
static void (*const ASK[AGENCY_STATES])(struct agency *, int64_t, struct outbox *) = {
    [AGENCY_HELLO] = ask_hello,    [AGENCY_SENDING] = ask_poll, [AGENCY_READING] = ask_poll,
    [AGENCY_DECLARING] = ask_poll, [AGENCY_WAITING] = ask_poll, [AGENCY_FETCHING] = ask_winners,
    [AGENCY_NAMING] = ask_digests, [AGENCY_LEAVING] = ask_bye,  [AGENCY_PARTING] = ask_bye,
};
_Static_assert(AGENCY_STATES == 13, "a new state asks for something, or rests for ever");

/* Nothing is to be asked; once there is a result, the next step may be the reader's too. */
static bool is_at_rest(const struct agency *agency)
{
    return ASK[agency->state] == NULL || (agency->state == AGENCY_READING && agency->has_result);
}

void agency_close_asked(struct agency *agency)
{
    agency->asked.is_open = false;
    agency->unanswered = 0;
    agency->is_heard = true;
    pace_answered(&agency->pace);
}

void agency_redial(struct agency *agency)
{
    (void)agency_enter(agency, EVENT_REDIAL);
    agency->orders |= AGENCY_ORDER_DIAL;
    agency->stalled_at = INT64_MAX;
    agency->hello_from = 0;
    agency->poll_from = 0;
    pace_redialled(&agency->pace);
}

/* Nobody has answered in time. A courtesy is given up after one dial's worth of tries. */
static void give_up_waiting(struct agency *agency, int64_t now_ms)
{
    agency->asked.is_open = false;
    agency->unanswered++;
    agency->ask_at = now_ms;
    bool is_tired = agency->unanswered % UNANSWERED_REDIAL == 0;
    if (agency_state_says_bye(agency->state)) {
        if (is_tired)
            (void)agency_enter(agency, EVENT_GOODBYE);
    } else if (agency->state == AGENCY_NAMING) {
        if (is_tired)
            agency_fail(agency, AGENCY_CAUSE_REFUSED);
    } else if (agency->is_heard && agency->unanswered >= agency->terms.retries_max) {
        agency_fail(agency, AGENCY_CAUSE_UNANSWERED);
    } else if (is_tired) {
        agency_redial(agency);
    }
}

/* When patience with a broker that says nothing, or nothing new, ends. */
static int64_t patience_ends_at(const struct agency *agency)
{
    if (!agency->is_heard)
        return agency->begun_at + agency->terms.connect_timeout_ms;
    bool is_held_up =
        agency->state == AGENCY_HELLO || agency->has_ended || !window_is_clean(&agency->window);
    bool is_leaving = agency_state_says_bye(agency->state) || agency->state == AGENCY_NAMING;
    if (agency->terms.wait_timeout_ms == 0 || !is_held_up || is_leaving)
        return INT64_MAX;
    return agency->moved_at + agency->terms.wait_timeout_ms;
}

void agency_tick(struct agency *agency, int64_t now_ms, struct outbox *outbox)
{
    CHECK(outbox_has_room(outbox, AGENCY_OUTBOX_MESSAGES, AGENCY_OUTBOX_BYTES));
    if (is_at_rest(agency))
        return;
    if (now_ms >= patience_ends_at(agency)) {
        agency_fail(agency, agency->is_heard ? AGENCY_CAUSE_WAITED : AGENCY_CAUSE_CONNECT);
        return;
    }
    if (agency->asked.is_open && now_ms >= agency->asked.due_at)
        give_up_waiting(agency, now_ms);
    if (!is_at_rest(agency) && !agency->asked.is_open && now_ms >= agency->ask_at)
        ASK[agency->state](agency, now_ms, outbox);
}

int64_t agency_deadline(const struct agency *agency)
{
    if (is_at_rest(agency))
        return INT64_MAX;
    int64_t ask_at = agency->asked.is_open ? agency->asked.due_at : agency->ask_at;
    int64_t patience = patience_ends_at(agency);
    return ask_at < patience ? ask_at : patience;
}
