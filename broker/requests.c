/* Requests of agencies on rendezvous: each is idempotent and answered at once, exactly once. */
#include "broker/past.h"

#include <stddef.h>
#include <string.h>

#include "proto/wire/check.h"
#include "proto/wire/pack.h"

/* Ranges of a set from `from`, in the outbox's arena. */
static struct slice pack_ranges(struct broker *broker, const struct seqset *set, uint32_t from,
                                uint32_t *upto)
{
    struct slice ranges;
    uint8_t *buffer = outbox_reserve(broker->outbox, RANGES_BYTES_MAX);
    CHECK(buffer != NULL);
    seqset_pack(set, from, buffer, RANGES_BYTES_MAX, &ranges, upto);
    outbox_trim(broker->outbox, buffer, ranges.bytes);
    return ranges;
}

/* Whoever was left out is told so. returns false when it was not. in: member: NULL: never heard
 * of. */
static bool refuse_excluded(struct broker *broker, const struct request *request,
                            const struct member *member)
{
    if (member == NULL || !barrier_excludes(broker->barrier, member->id))
        return false;
    answer_refuse(broker, request, REFUSAL_EXCLUDED, 0);
    return true;
}

/* Whether a process may speak for its agency, and the agency for itself. returns false when that
 * was refused. */
static bool may_speak(struct broker *broker, const struct request *request, struct member *member,
                      uint64_t incarnation)
{
    if (refuse_excluded(broker, request, member))
        return false;
    if (!roll_accept_incarnation(member, incarnation)) {
        answer_refuse(broker, request, REFUSAL_SUPERSEDED, member->incarnation);
        return false;
    }
    return true;
}

/* -- HELLO -- */

/* Opens an attempt if this HELLO asks for one. returns false when it was refused. */
static bool settle_attempt(struct broker *broker, const struct request *request,
                           struct member *member)
{
    const struct message_hello *hello = &request->message->hello;
    uint32_t in_force = member->attempt;
    bool asks_first = in_force == 0 && hello->attempt <= 1;
    bool asks_next = in_force != 0 && hello->attempt == in_force + 1;

    if (!asks_first && !asks_next) {
        if (hello->attempt == 0 || hello->attempt == in_force)
            return true;
        answer_refuse(broker, request, REFUSAL_ATTEMPT, in_force);
        return false;
    }
    if (member->has_declaration) {
        answer_refuse(broker, request, REFUSAL_FINISHED, in_force);
        return false;
    }
    if (broker->state != DRAW_OPEN) {
        answer_refuse(broker, request, REFUSAL_LATE, 0);
        return false;
    }
    if (!plan_is_valid(&hello->plan)) {
        answer_refuse(broker, request, REFUSAL_PLAN, BATCH_BYTES_MAX);
        return false;
    }
    struct record record = {
        .kind = RECORD_PLAN,
        .draw = broker->draw,
        .plan = {.agency = member->id,
                 .attempt = in_force + 1,
                 .plan = hello->plan,
                 .wall_ms = request->wall_ms},
    };
    records_add(broker->records, &record);
    CHECK(broker_begin_attempt(broker, member, in_force + 1, &hello->plan, request->wall_ms) ==
          STATUS_OK);
    broker_note(broker, "agencia", NOTE_SUCCESS, "draw: %u | agency: %u | attempt: %u",
                broker->draw, member->id, member->attempt);
    return true;
}

/* Nothing, while no bets were read for a lease: an agency that hears nothing new then knows that it
 * is not its link that is at fault. */
static uint64_t advise_window(const struct broker *broker, const struct member *member,
                              int64_t now_ms)
{
    if (now_ms - broker->wanted_at >= broker->options.lease_ms)
        return 0;
    return roll_window(broker->roll, member, broker->options.queue_bytes, now_ms,
                       broker->options.lease_ms);
}

static void on_hello(struct broker *broker, const struct request *request)
{
    const struct message_hello *hello = &request->message->hello;
    struct member *member = roll_find(broker->roll, hello->agency);
    struct message message = {.kind = MESSAGE_ADMITTED};

    if (member == NULL || member->attempt == 0) {
        if (broker->state != DRAW_OPEN || broker->is_decided) {
            answer_refuse(broker, request, REFUSAL_LATE, 0);
            return;
        }
        if (!barrier_admits(broker->barrier, hello->agency)) {
            answer_refuse(broker, request, REFUSAL_ROSTER, 0);
            return;
        }
        if (roll_add(broker->roll, hello->agency, &member) != STATUS_OK) {
            answer_refuse(broker, request, REFUSAL_LIMIT, AGENCIES_MAX);
            return;
        }
    }
    if (!may_speak(broker, request, member, hello->incarnation) ||
        !settle_attempt(broker, request, member))
        return;
    member->heard_at = request->now_ms;
    message.admitted = (struct message_admitted){
        .agency = member->id,
        .attempt = member->attempt,
        .plan = member->plan,
        .from = hello->from,
        .window_bytes = advise_window(broker, member, request->now_ms),
        .frame_bytes_max = FRAME_BYTES_MAX,
        .batch_bytes_max = BATCH_BYTES_MAX,
        .batches_max = BATCHES_MAX,
        .phase = draw_phase(broker->state),
        .commitment = broker->commitment,
        .range_first = broker->terms.number.range_first,
        .range_last = broker->terms.number.range_last,
        .is_finished = member->has_declaration,
    };
    message.admitted.durable =
        pack_ranges(broker, ledger_durable(broker->ledger, roll_index(broker->roll, member)),
                    hello->from, &message.admitted.upto);
    answer_send(broker, request, &message, NULL);
}

/* -- POLL -- */

/* Takes a declaration in when it satisfies the predicate. returns false when it was refused. */
static bool settle_declaration(struct broker *broker, const struct request *request,
                               struct member *member)
{
    const struct declaration *declaration = &request->message->poll.declaration;
    uint32_t index = roll_index(broker->roll, member);

    if (member->has_declaration) {
        if (declaration_is_equal(&member->declaration, declaration))
            return true;
        answer_refuse(broker, request, REFUSAL_DECLARATION, member->attempt);
        return false;
    }
    /* Once the barrier is decided, who has not declared is excluded and does not come here. */
    if (broker->state != DRAW_OPEN)
        return true;
    switch (ledger_verify(broker->ledger, broker->hasher, index, declaration)) {
    case LEDGER_INCOMPLETE:
        return true;
    case LEDGER_DIFFERS:
        answer_refuse(broker, request, REFUSAL_DECLARATION, member->attempt);
        return false;
    case LEDGER_VERIFIED:
        break;
    }
    const struct manifest_entry entry = {.declaration = *declaration,
                                         .digests = ledger_digests(broker->ledger, index),
                                         .bets = ledger_bets_all(broker->ledger, index)};
    /* What the ledger has verified is within its limit and has its room already. */
    CHECK(broker_finish_member(broker, member, &entry) == STATUS_OK);
    broker_record_declaration(broker, member);
    broker_note(broker, "apuesta_recibida", NOTE_SUCCESS,
                "draw: %u | agency: %u | cantidad: %llu | batches: %u | rejected: %llu | "
                "finished: %u of %u",
                broker->draw, member->id, (unsigned long long)declaration->bets,
                declaration->batches, (unsigned long long)declaration->rejected,
                barrier_finished_count(broker->barrier), barrier_expected_count(broker->barrier));
    return true;
}

static struct slice pack_missing(struct broker *broker)
{
    uint32_t ids[MISSING_NAMED_MAX];
    size_t count = barrier_missing(broker->barrier, ids, MISSING_NAMED_MAX);
    struct packer packer;
    uint8_t *buffer = outbox_reserve(broker->outbox, 5 + 5 * MISSING_NAMED_MAX);
    CHECK(buffer != NULL);
    pack_begin(&packer, buffer, 5 + 5 * MISSING_NAMED_MAX);
    pack_array(&packer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_unsigned(&packer, ids[i]);
    CHECK(!packer.overflowed);
    outbox_trim(broker->outbox, buffer, packer.bytes);
    return (struct slice){buffer, packer.bytes};
}

static void answer_wait(struct broker *broker, const struct request *request,
                        const struct member *member)
{
    const struct message_poll *poll = &request->message->poll;
    uint32_t index = roll_index(broker->roll, member);
    uint32_t durable_upto = 0;
    uint32_t held_upto = 0;
    bool is_finished = poll->has_declaration && member->has_declaration;
    struct message message = {.kind = is_finished ? MESSAGE_FINISHED : MESSAGE_WAIT};

    message.wait = (struct message_wait){
        .agency = member->id,
        .attempt = member->attempt,
        /* What this broker has seen says nothing while a known store may still bring its inventory.
         */
        .round_seen = stores_are_settled(broker->stores) ? member->round_seen : 0,
        .from = poll->from,
        .durable =
            pack_ranges(broker, ledger_durable(broker->ledger, index), poll->from, &durable_upto),
        .held = pack_ranges(broker, dispatch_held(broker->dispatch, index), poll->from, &held_upto),
        .window_bytes = advise_window(broker, member, request->now_ms),
        .phase = draw_phase(broker->state),
        .agencies_finished = barrier_finished_count(broker->barrier),
        .agencies_expected = barrier_expected_count(broker->barrier),
        .missing = pack_missing(broker),
    };
    message.wait.upto = durable_upto < held_upto ? durable_upto : held_upto;
    answer_send(broker, request, &message, NULL);
}

static void on_poll(struct broker *broker, const struct request *request)
{
    const struct message_poll *poll = &request->message->poll;
    struct member *member = roll_find(broker->roll, poll->agency);

    if (member == NULL || member->attempt == 0) {
        answer_refuse(broker, request, REFUSAL_ATTEMPT, 0);
        return;
    }
    if (!may_speak(broker, request, member, poll->incarnation))
        return;
    if (poll->attempt != member->attempt) {
        answer_refuse(broker, request, REFUSAL_ATTEMPT, member->attempt);
        return;
    }
    member->heard_at = request->now_ms;
    if (member->has_verdict) {
        struct message message = {.kind = MESSAGE_REFUSED, .refused = member->verdict};
        answer_send(broker, request, &message, NULL);
        return;
    }
    if (poll->has_declaration && !settle_declaration(broker, request, member))
        return;
    answer_wait(broker, request, member);
}

/* -- DIGESTS, WINNERS, BYE -- */

static void on_digests(struct broker *broker, const struct request *request)
{
    const struct message_digests *digests = &request->message->digests;
    struct member *member = roll_find(broker->roll, digests->agency);

    if (member == NULL || digests->attempt != member->attempt) {
        answer_refuse(broker, request, REFUSAL_ATTEMPT, member == NULL ? 0 : member->attempt);
        return;
    }
    uint32_t index = roll_index(broker->roll, member);
    uint32_t total = ledger_batches_heard(broker->ledger, index);
    uint32_t from = digests->from < total ? digests->from : total;
    uint32_t upto =
        total - from > PAGE_BYTES_MAX / DIGEST_BYTES ? from + PAGE_BYTES_MAX / DIGEST_BYTES : total;
    struct message message = {
        .kind = MESSAGE_DIGEST_PAGE,
        .digest_page = {.agency = member->id,
                        .attempt = member->attempt,
                        .from = from,
                        .upto = upto,
                        .total = total},
    };
    struct slice body = {NULL, (size_t)(upto - from) * DIGEST_BYTES};
    uint8_t *page = outbox_reserve(broker->outbox, body.bytes);
    CHECK(page != NULL);
    for (uint32_t seq = from; seq < upto; seq++) {
        const struct digest *digest = ledger_digest(broker->ledger, index, seq);
        uint8_t *place = page + (size_t)(seq - from) * DIGEST_BYTES;
        if (digest == NULL)
            memset(place, 0, DIGEST_BYTES);
        else
            memcpy(place, digest->bytes, DIGEST_BYTES);
    }
    body.data = page;
    answer_send(broker, request, &message, &body);
}

static void on_winners(struct broker *broker, const struct request *request)
{
    struct message message = {
        .kind = MESSAGE_NOT_YET,
        .not_yet = {.agency = request->agency, .phase = draw_phase(broker->state)},
    };
    if (!refuse_excluded(broker, request, roll_find(broker->roll, request->agency)))
        answer_send(broker, request, &message, NULL);
}

static void on_bye(struct broker *broker, const struct request *request)
{
    struct message message = {.kind = MESSAGE_OK, .ok = {.agency = request->agency}};
    answer_send(broker, request, &message, NULL);
}

/* An agency that knows how the draw ended needs nothing more of this broker. */
static void note_farewell(struct broker *broker, const struct request *request)
{
    struct member *member = roll_find(broker->roll, request->agency);
    if (request->message->kind != MESSAGE_BYE || request->message->draw != broker->draw ||
        member == NULL)
        return;
    if (draw_is_over(broker->state) || barrier_excludes(broker->barrier, member->id))
        member->said_bye = true;
}

/* The kinds that are requests, and what answers them while their draw runs. */
static const struct {
    enum message_kind kind;
    void (*answer)(struct broker *broker, const struct request *request);
} requests[] = {
    {MESSAGE_HELLO, on_hello},     {MESSAGE_POLL, on_poll}, {MESSAGE_WINNERS, on_winners},
    {MESSAGE_DIGESTS, on_digests}, {MESSAGE_BYE, on_bye},
};

/* A void that the stores have not recorded yet is not told. A broker that was started since does
 * not know who took part: whoever asks is to ask again, until it is told. */
static bool is_ending_unknown(struct broker *broker, const struct request *request)
{
    struct member *member = roll_find(broker->roll, request->agency);
    return broker->state == DRAW_VOIDING && request->message->kind != MESSAGE_BYE &&
           (member == NULL || member->attempt == 0);
}

/* Whatever the kind, the agency is read as if it were a BYE's. */
_Static_assert(offsetof(struct message_hello, agency) == offsetof(struct message_bye, agency) &&
                   offsetof(struct message_poll, agency) == offsetof(struct message_bye, agency) &&
                   offsetof(struct message_winners, agency) ==
                       offsetof(struct message_bye, agency) &&
                   offsetof(struct message_digests, agency) == offsetof(struct message_bye, agency),
               "the agency is the first field of each request");

void broker_on_request(struct broker *broker, uint64_t peer, struct slice header, int64_t now_ms,
                       int64_t wall_ms)
{
    struct message message = {0};
    struct request request = {.peer = peer,
                              .message = &message,
                              .now_ms = now_ms,
                              .wall_ms = wall_ms};
    enum status status = message_decode(header, &message);
    size_t kind = 0;

    while (kind < sizeof requests / sizeof *requests && requests[kind].kind != message.kind)
        kind++;
    if (status != STATUS_OK || kind == sizeof requests / sizeof *requests) {
        answer_refuse(broker, &request,
                      status == STATUS_VERSION ? REFUSAL_VERSION : REFUSAL_MALFORMED,
                      PROTOCOL_VERSION);
        return;
    }
    request.agency = message.bye.agency;
    if (broker->verdict != STATUS_OK || broker->epoch.number == 0 || message.draw > broker->draw) {
        answer_refuse(broker, &request,
                      message.draw > broker_last_draw(broker) ? REFUSAL_UNKNOWN : REFUSAL_NOT_OPEN,
                      0);
        return;
    }
    note_farewell(broker, &request);
    if (message.draw < broker->draw || draw_is_over(broker->state)) {
        past_answer(broker, &request);
        return;
    }
    if (is_ending_unknown(broker, &request)) {
        answer_refuse(broker, &request, REFUSAL_NOT_OPEN, 0);
        return;
    }
    requests[kind].answer(broker, &request);
}
