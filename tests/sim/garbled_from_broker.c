/* Letters from the broker: replies and publications to agencies, orders to workers. */
#include <stddef.h>

#include "agency/inner.h"
#include "proto/wire/check.h"
#include "proto/wire/limits.h"
#include "tests/sim/garble.h"

/* -- agencies -- */

static const struct agency *hearer(const struct garbling *garbling)
{
    return garbling->world->agencies[garbling->letter->party].agency;
}

/* A refusal of what the broker could not read may name anybody. */
static bool names_somebody(const struct message *message)
{
    return message->kind != MESSAGE_REFUSED || (message->refused.reason != REFUSAL_MALFORMED &&
                                                message->refused.reason != REFUSAL_VERSION);
}

static bool answer_far_draw(struct garbling *garbling)
{
    garbling->message.draw += FAR_AWAY;
    return names_somebody(&garbling->message);
}

static bool refuse_another(struct garbling *garbling)
{
    garbling->message.refused.agency += FAR_AWAY;
    return names_somebody(&garbling->message);
}

/* Of that kind, as far as it is read before it is known to answer nothing. */
static struct message reply_of(const struct garbling *garbling, enum message_kind kind)
{
    struct message reply = {.kind = kind, .draw = hearer(garbling)->terms.draw};
    if (kind == MESSAGE_ADMITTED)
        reply.admitted = (struct message_admitted){.attempt = 1,
                                                   .plan = {1, BATCH_BYTES_MIN, false},
                                                   .frame_bytes_max = FRAME_BYTES_MAX,
                                                   .batch_bytes_max = BATCH_BYTES_MAX,
                                                   .batches_max = BATCHES_MAX,
                                                   .phase = PHASE_OPEN};
    else if (kind == MESSAGE_WAIT)
        reply.wait = (struct message_wait){.attempt = 1, .phase = PHASE_OPEN};
    else if (kind == MESSAGE_DIGEST_PAGE)
        reply.digest_page.attempt = 1;
    else if (kind == MESSAGE_NOT_YET)
        reply.not_yet.phase = PHASE_OPEN;
    reply.ok.agency = garbling->letter->party + 1; /* the first field of each */
    return reply;
}

/* What answers no request, or another one than is out. */
static bool answer_with_another_kind(struct garbling *garbling)
{
    static const struct {
        enum message_kind kind;
        enum message_kind request;
    } kinds[] = {
        {MESSAGE_OK, MESSAGE_BYE},          {MESSAGE_ADMITTED, MESSAGE_HELLO},
        {MESSAGE_WAIT, MESSAGE_POLL},       {MESSAGE_DIGEST_PAGE, MESSAGE_DIGESTS},
        {MESSAGE_NOT_YET, MESSAGE_WINNERS}, {MESSAGE_RESULT, MESSAGE_WINNERS},
        {MESSAGE_BYE, MESSAGE_BATCH},
    };
    uint32_t chosen = dice_below(garbling->dice, sizeof kinds / sizeof *kinds);
    enum message_kind asked = hearer(garbling)->asked.kind;
    if (asked == kinds[chosen].request ||
        (asked == MESSAGE_POLL && kinds[chosen].kind == MESSAGE_RESULT))
        return false;
    garbling->message = reply_of(garbling, kinds[chosen].kind);
    garbling->frames_count = 1;
    return true;
}

/* No answer to WINNERS, since it is about somebody else. */
static bool deny_another(struct garbling *garbling)
{
    garbling->message = reply_of(garbling, MESSAGE_NOT_YET);
    garbling->message.not_yet.agency += FAR_AWAY;
    garbling->frames_count = 1;
    return hearer(garbling)->asked.kind == MESSAGE_WINNERS;
}

/* Nothing wrong: it is said of the first batch only, and the agency asks on behind it. */
static bool admit_in_part(struct garbling *garbling)
{
    garbling->message.admitted.upto = garbling->message.admitted.from + 1;
    return true;
}

static bool wait_in_part(struct garbling *garbling)
{
    garbling->message.wait.upto = garbling->message.wait.from + 1;
    return true;
}

/* Its file may have more. */
static bool admit_few(struct garbling *garbling)
{
    garbling->message.admitted.batches_max = 1;
    return true;
}

/* The next ones are about an attempt that the agency has asked for or was told before. */
static bool admit_to_another(struct garbling *garbling)
{
    garbling->message.admitted.attempt += FAR_AWAY;
    return hearer(garbling)->attempt != 0;
}

static bool admit_with_another_plan(struct garbling *garbling)
{
    garbling->message.admitted.plan.bets_max += FAR_AWAY;
    return hearer(garbling)->is_admitted;
}

static bool admit_with_a_large_plan(struct garbling *garbling)
{
    struct message_admitted *admitted = &garbling->message.admitted;
    admitted->plan.bytes_max = admitted->batch_bytes_max;
    admitted->batch_bytes_max--;
    return admitted->phase != PHASE_VOID;
}

static bool admit_to_another_number(struct garbling *garbling)
{
    struct message_admitted *admitted = &garbling->message.admitted;
    if (dice_below(garbling->dice, 2) == 0)
        admitted->commitment.bytes[0] ^= 1;
    else
        admitted->range_last++;
    return hearer(garbling)->is_admitted;
}

/* What the broker itself takes back, once it is asked for the winners. */
static bool wait_no_more(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_RESULT,
                                         .draw = garbling->message.draw,
                                         .result = {.agency = garbling->letter->party + 1}};
    garbling->frames[garbling->frames_count++] = (struct slice){garbling->room, 0};
    return true;
}

static bool has_page(const struct garbling *garbling)
{
    return hearer(garbling)->asked.kind == MESSAGE_WINNERS;
}

/* A given one is taken as it is, where no winner contradicts it. From another root the same number
 * may follow, of the few that worlds have. */
static bool tell_another_number(struct garbling *garbling)
{
    garbling->message.result.number++;
    return has_page(garbling) && garbling->message.result.seed.bytes != 0;
}

static bool tell_another_seed(struct garbling *garbling)
{
    struct message_result *result = &garbling->message.result;
    memset(garbling->room, 7, DIGEST_BYTES);
    if (result->seed.bytes != 0 && dice_below(garbling->dice, 2) == 0)
        result->seed.bytes = 0;
    else
        result->seed = (struct slice){garbling->room, DIGEST_BYTES};
    return has_page(garbling);
}

static bool tell_another_winner(struct garbling *garbling)
{
    return has_page(garbling) && garble_winner(garbling);
}

static bool tell_winners_twice(struct garbling *garbling)
{
    if (dice_below(garbling->dice, 2) == 0) {
        struct message_result *result = &garbling->message.result;
        result->upto += result->upto - result->from;
        result->total = result->total < result->upto ? result->upto : result->total;
    }
    return has_page(garbling) && garble_winners_twice(garbling);
}

static bool tell_a_cut_page(struct garbling *garbling)
{
    return has_page(garbling) && garble_body_end(garbling);
}

/* Read as far as the second winner it would be out of order. */
static bool tell_too_much(struct garbling *garbling)
{
    struct message_result *result = &garbling->message.result;
    uint32_t times = garble_body_above(garbling, PAGE_BYTES_MAX);
    if (times == 0 || result->from != 0 || !has_page(garbling))
        return false;
    result->upto *= times;
    result->total = result->total < result->upto ? result->upto : result->total;
    return true;
}

static bool tell_elsewhere(struct garbling *garbling)
{
    garbling->message.result.from += FAR_AWAY;
    garbling->message.result.upto += FAR_AWAY;
    garbling->message.result.total += FAR_AWAY;
    return has_page(garbling);
}

/* The next page will tell another total. */
static bool tell_a_part(struct garbling *garbling)
{
    garbling->message.result.total++;
    return has_page(garbling);
}

static bool deny_result(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_NOT_YET,
                                         .draw = garbling->message.draw,
                                         .not_yet = {garbling->letter->party + 1, PHASE_SEALED}};
    garbling->frames_count = 1;
    return has_page(garbling);
}

static bool refuse_nobody(struct garbling *garbling)
{
    bool is_version = dice_below(garbling->dice, 2) == 0;
    garbling->message =
        (struct message){.kind = MESSAGE_REFUSED,
                         .refused = {.reason = is_version ? REFUSAL_VERSION : REFUSAL_MALFORMED,
                                     .number = PROTOCOL_VERSION}};
    garbling->frames_count = 1;
    return !agency_state_says_bye(hearer(garbling)->state);
}

/* No process can take the number behind the highest one. */
static bool supersede_for_ever(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_REFUSED,
                                         .draw = garbling->message.draw,
                                         .refused = {.agency = garbling->letter->party + 1,
                                                     .reason = REFUSAL_SUPERSEDED,
                                                     .number = UINT64_MAX}};
    garbling->frames_count = 1;
    return !agency_state_says_bye(hearer(garbling)->state);
}

static bool page_elsewhere(struct garbling *garbling)
{
    garbling->message.digest_page.from += FAR_AWAY;
    garbling->message.digest_page.upto += FAR_AWAY;
    return true;
}

/* Of batches that all went over to another attempt: nothing differs, and there is more. */
static bool page_too_much(struct garbling *garbling)
{
    enum { DIGESTS = PAGE_BYTES_MAX / DIGEST_BYTES + 1 };
    struct message_digest_page *page = &garbling->message.digest_page;
    memset(garbling->room, 0, DIGESTS * DIGEST_BYTES);
    garbling->frames[1] = (struct slice){garbling->room, DIGESTS * DIGEST_BYTES};
    page->upto = page->from + DIGESTS;
    page->total = page->upto + 1;
    return garbling->frames_count == 2;
}

static bool publish_another_kind(struct garbling *garbling)
{
    garbling->message.kind = MESSAGE_NOT_YET;
    garbling->message.not_yet =
        (struct message_not_yet){garbling->letter->party + 1, PHASE_PUBLISHED};
    return true;
}

const struct garble_row garbled_replies[] = {
    {LINE_REPLY, 0, "a far draw", ANYWHERE, FATE_DROPPED, BY(answer_far_draw)},
    {LINE_REPLY, 0, "another kind", ANYWHERE, FATE_DROPPED, BY(answer_with_another_kind)},
    {LINE_REPLY, 0, "a refusal of nobody", INSTEAD, FATE_ENDS_AGENCY, BY(refuse_nobody)},
    {LINE_REPLY, MESSAGE_ADMITTED, "a newer process", INSTEAD, FATE_ENDS_AGENCY,
     BY(supersede_for_ever)},
    {LINE_REPLY, MESSAGE_ADMITTED, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(admitted.agency, FAR)},
    {LINE_REPLY, MESSAGE_ADMITTED, "another from", ANYWHERE, FATE_DROPPED,
     FIELD(admitted.from, MORE)},
    {LINE_REPLY, MESSAGE_ADMITTED, "another attempt", ANYWHERE, FATE_ENDS_AGENCY,
     BY(admit_to_another)},
    {LINE_REPLY, MESSAGE_ADMITTED, "another plan", ANYWHERE, FATE_ENDS_AGENCY,
     BY(admit_with_another_plan)},
    {LINE_REPLY, MESSAGE_ADMITTED, "a large plan", ANYWHERE, FATE_ENDS_AGENCY,
     BY(admit_with_a_large_plan)},
    {LINE_REPLY, MESSAGE_ADMITTED, "another number", ANYWHERE, FATE_ENDS_AGENCY,
     BY(admit_to_another_number)},
    {LINE_REPLY, MESSAGE_ADMITTED, "less said", INSTEAD, FATE_BORNE, BY(admit_in_part)},
    {LINE_REPLY, MESSAGE_ADMITTED, "few batches", INSTEAD, FATE_BORNE, BY(admit_few)},
    {LINE_REPLY, MESSAGE_WAIT, "less said", INSTEAD, FATE_BORNE, BY(wait_in_part)},
    {LINE_REPLY, MESSAGE_FINISHED, "less said", INSTEAD, FATE_BORNE, BY(wait_in_part)},
    {LINE_REPLY, MESSAGE_WAIT, "another agency", ANYWHERE, FATE_DROPPED, FIELD(wait.agency, FAR)},
    {LINE_REPLY, MESSAGE_WAIT, "another attempt", ANYWHERE, FATE_DROPPED, FIELD(wait.attempt, FAR)},
    {LINE_REPLY, MESSAGE_WAIT, "another from", ANYWHERE, FATE_DROPPED, FIELD(wait.from, MORE)},
    {LINE_REPLY, MESSAGE_WAIT, "a result", ANYWHERE, FATE_BORNE, BY(wait_no_more)},
    {LINE_REPLY, MESSAGE_FINISHED, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(wait.agency, FAR)},
    {LINE_REPLY, MESSAGE_FINISHED, "another attempt", ANYWHERE, FATE_DROPPED,
     FIELD(wait.attempt, FAR)},
    {LINE_REPLY, MESSAGE_FINISHED, "a result", ANYWHERE, FATE_BORNE, BY(wait_no_more)},
    {LINE_REPLY, MESSAGE_RESULT, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(result.agency, FAR)},
    {LINE_REPLY, MESSAGE_RESULT, "another from", ANYWHERE, FATE_DROPPED, BY(tell_elsewhere)},
    {LINE_REPLY, MESSAGE_RESULT, "no result of another", ANYWHERE, FATE_DROPPED, BY(deny_another)},
    {LINE_REPLY, MESSAGE_RESULT, "another number", ANYWHERE, FATE_ENDS_AGENCY,
     BY(tell_another_number)},
    {LINE_REPLY, MESSAGE_RESULT, "another seed", ANYWHERE, FATE_ENDS_AGENCY, BY(tell_another_seed)},
    {LINE_REPLY, MESSAGE_RESULT, "another winner", ANYWHERE, FATE_ENDS_AGENCY,
     BY(tell_another_winner)},
    {LINE_REPLY, MESSAGE_RESULT, "winners twice", ANYWHERE, FATE_ENDS_AGENCY,
     BY(tell_winners_twice)},
    {LINE_REPLY, MESSAGE_RESULT, "a cut body", ANYWHERE, FATE_ENDS_AGENCY, BY(tell_a_cut_page)},
    {LINE_REPLY, MESSAGE_RESULT, "too much", ANYWHERE, FATE_UNREAD, BY(tell_too_much)},
    {LINE_REPLY, MESSAGE_RESULT, "another total", ANYWHERE, FATE_BORNE, BY(tell_a_part)},
    {LINE_REPLY, MESSAGE_RESULT, "no result", ANYWHERE, FATE_BORNE, BY(deny_result)},
    {LINE_REPLY, MESSAGE_NOT_YET, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(not_yet.agency, FAR)},
    {LINE_REPLY, MESSAGE_DIGEST_PAGE, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(digest_page.agency, FAR)},
    {LINE_REPLY, MESSAGE_DIGEST_PAGE, "another from", ANYWHERE, FATE_DROPPED, BY(page_elsewhere)},
    {LINE_REPLY, MESSAGE_DIGEST_PAGE, "no total", ANYWHERE, FATE_ENDS_AGENCY,
     FIELD(digest_page.total, NONE)},
    {LINE_REPLY, MESSAGE_DIGEST_PAGE, "a cut body", ANYWHERE, FATE_ENDS_AGENCY,
     BY(garble_body_end)},
    {LINE_REPLY, MESSAGE_DIGEST_PAGE, "too much", ANYWHERE, FATE_ENDS_AGENCY, BY(page_too_much)},
    {LINE_REPLY, MESSAGE_OK, "another agency", ANYWHERE, FATE_DROPPED, FIELD(ok.agency, FAR)},
    {LINE_REPLY, MESSAGE_REFUSED, "another agency", ANYWHERE, FATE_DROPPED, BY(refuse_another)},
    {LINE_WINNERS, MESSAGE_RESULT, "a far draw", ANYWHERE, FATE_DROPPED, BY(answer_far_draw)},
    {LINE_WINNERS, MESSAGE_RESULT, "another agency", ANYWHERE, FATE_DROPPED,
     FIELD(result.agency, FAR)},
    {LINE_WINNERS, MESSAGE_RESULT, "another kind", ANYWHERE, FATE_DROPPED,
     BY(publish_another_kind)},
};
const size_t garbled_replies_count = sizeof garbled_replies / sizeof *garbled_replies;

/* -- workers -- */

static bool order_of_far_draw(struct garbling *garbling)
{
    garbling->message.draw += FAR_AWAY;
    return true;
}

/* In another epoch than the one that the store has recorded from this broker. */
static bool order_of_another_broker(struct garbling *garbling)
{
    struct epoch *epoch = &garbling->message.epoch;
    struct store_about about;
    store_about(garbling->world->workers[garbling->letter->party].store, &about);
    /* The epoch of a broker that recovers is 0: it is none. */
    if (epoch->number == 0 || epoch->number != about.epoch.number ||
        !id_is_equal(&epoch->id, &about.epoch.id))
        return false;
    if (dice_below(garbling->dice, 2) == 0)
        epoch->id.bytes[0] ^= 1;
    else
        epoch->number--;
    return epoch->number > 0;
}

/* What a broker never says. */
static bool order_with_a_report(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_PONG};
    garbling->frames_count = 1;
    return true;
}

static bool order_of_one_kind(struct garbling *garbling, enum message_kind kind, uint32_t draw)
{
    garbling->message =
        (struct message){.kind = kind, .draw = draw, .epoch = garbling->message.epoch};
    return true;
}

/* A worker that the broker knows registers again: it is told so once more. */
static bool ask_who_that_is(struct garbling *garbling)
{
    return order_of_one_kind(garbling, MESSAGE_WHO, 0);
}

/* Before the broker has its inventory, or once more. */
static bool welcome_early(struct garbling *garbling)
{
    (void)order_of_one_kind(garbling, MESSAGE_WELCOME, 0);
    garbling->message.welcome = (struct message_welcome){LEASE_MS, FRAME_BYTES_MAX};
    return true;
}

static bool ask_for_manifest(struct garbling *garbling)
{
    return order_of_one_kind(garbling, MESSAGE_MANIFEST,
                             1 + dice_below(garbling->dice, garbling->world->plan.draws));
}

static bool welcome_for_a_moment(struct garbling *garbling)
{
    garbling->message.welcome.lease_ms = 1;
    return true;
}

/* A batch in front of which another draw stands, or something that is no batch, or nothing that
 * can be read. */
static bool forward_another(struct garbling *garbling)
{
    struct message mark = {.kind = MESSAGE_MARK,
                           .draw = garbling->message.draw,
                           .mark = {1, 1, 1, 1}};
    struct slice *header = &garbling->frames[1];
    switch (dice_below(garbling->dice, 3)) {
    case 0:
        garbling->message.draw += FAR_AWAY;
        return true;
    case 1:
        CHECK(message_encode(&mark, garbling->room, GARBLE_ROOM_BYTES, &header->bytes) ==
              STATUS_OK);
        header->data = garbling->room;
        return true;
    default:
        header->bytes--;
        return true;
    }
}

static bool forward_spoilt(struct garbling *garbling)
{
    return garble_batch(garbling, 1);
}

static bool say_it_again(struct garbling *garbling)
{
    garbling->is_packed = true;
    return true;
}

const struct garble_row garbled_orders[] = {
    {LINE_DOWN, 0, "a cut header", ANYWHERE, FATE_DROPPED, BY(garble_header_end)},
    {LINE_DOWN, 0, "a frame too many", ANYWHERE, FATE_DROPPED, BY(garble_header_twice)},
    {LINE_DOWN, 0, "a report", ANYWHERE, FATE_DROPPED, BY(order_with_a_report)},
    {LINE_DOWN, 0, "another epoch", ANYWHERE, FATE_FENCED, BY(order_of_another_broker)},
    {LINE_DOWN, MESSAGE_WELCOME, "the same", AFTER, FATE_DROPPED, BY(say_it_again)},
    {LINE_DOWN, MESSAGE_WELCOME, "a short lease", INSTEAD, FATE_BORNE, BY(welcome_for_a_moment)},
    {LINE_DOWN, MESSAGE_PING, "a WHO", ANYWHERE, FATE_BORNE, BY(ask_who_that_is)},
    {LINE_DOWN, MESSAGE_PING, "a WELCOME", ANYWHERE, FATE_BORNE, BY(welcome_early)},
    {LINE_DOWN, MESSAGE_PING, "a MANIFEST", ANYWHERE, FATE_BORNE, BY(ask_for_manifest)},
    {LINE_DOWN, MESSAGE_FORWARD, "a frame too few", ANYWHERE, FATE_DROPPED, BY(garble_frame_lost)},
    {LINE_DOWN, MESSAGE_FORWARD, "another batch", ANYWHERE, FATE_UNHEEDED, BY(forward_another)},
    {LINE_DOWN, MESSAGE_FORWARD, "another digest, body or count", ANYWHERE, FATE_UNHEEDED,
     BY(forward_spoilt)},
    {LINE_DOWN, MESSAGE_SEAL, "a frame too few", ANYWHERE, FATE_DROPPED, BY(garble_frame_lost)},
    {LINE_DOWN, MESSAGE_SEAL, "another root", ANYWHERE, FATE_UNHEEDED, FIELD(part.root, BIT)},
    {LINE_DOWN, MESSAGE_SEAL, "another size", ANYWHERE, FATE_UNHEEDED,
     FIELD(part.manifest_bytes, MORE)},
    {LINE_DOWN, MESSAGE_SEAL, "another byte", ANYWHERE, FATE_UNHEEDED, BY(garble_manifest)},
    {LINE_DOWN, MESSAGE_SEAL, "a cut body", ANYWHERE, FATE_UNHEEDED, BY(garble_body_end)},
    {LINE_DOWN, MESSAGE_SEAL, "a long body", ANYWHERE, FATE_UNHEEDED, BY(garble_body_longer)},
    {LINE_DOWN, MESSAGE_SEAL, "another draw", ANYWHERE, FATE_UNHEEDED, BY(order_of_far_draw)},
    {LINE_DOWN, MESSAGE_SEAL, "a half", ANYWHERE, FATE_BORNE, BY(garble_manifest_half)},
    {LINE_DOWN, MESSAGE_SEAL, "the same", AFTER, FATE_BORNE, BY(say_it_again)},
    {LINE_DOWN, MESSAGE_SEAL_VOID, "the same", AFTER, FATE_BORNE, BY(say_it_again)},
    {LINE_DOWN, MESSAGE_COUNT, "another root", ANYWHERE, FATE_UNHEEDED, FIELD(count.root, BIT)},
    {LINE_DOWN, MESSAGE_COUNT, "another draw", ANYWHERE, FATE_UNHEEDED, BY(order_of_far_draw)},
    {LINE_DOWN, MESSAGE_COUNT, "more items", ANYWHERE, FATE_BORNE, FIELD(count.items, MORE)},
    {LINE_DOWN, MESSAGE_COUNT, "a cut body", ANYWHERE, FATE_BORNE, BY(garble_body_end)},
    {LINE_DOWN, MESSAGE_COUNT, "another share", ANYWHERE, FATE_BORNE, BY(garble_share)},
    {LINE_DOWN, MESSAGE_COUNT, "another question", ANYWHERE, FATE_BORNE,
     FIELD(count.question, FAR)},
    {LINE_DOWN, MESSAGE_COUNT, "the same", AFTER, FATE_BORNE, BY(say_it_again)},
    {LINE_DOWN, MESSAGE_FORGET, "the same", AFTER, FATE_BORNE, BY(say_it_again)},
    {LINE_DOWN, MESSAGE_MANIFEST, "another draw", ANYWHERE, FATE_BORNE, BY(order_of_far_draw)},
};
const size_t garbled_orders_count = sizeof garbled_orders / sizeof *garbled_orders;
