/* Letters to the broker: requests and bets of agencies, reports of workers. */
#include <stddef.h>

#include "proto/wire/check.h"
#include "proto/wire/item.h"
#include "tests/sim/garble.h"

static const struct broker_actor *receiver(const struct garbling *garbling)
{
    return &garbling->world->brokers[garbling->letter->broker];
}

/* -- agencies -- */

/* A kind that is no request. */
static bool ask_with_a_reply(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_OK,
                                         .draw = garbling->message.draw,
                                         .ok = {garbling->message.bye.agency}};
    return true;
}

static bool ask_for_far_draw(struct garbling *garbling)
{
    garbling->message.draw += FAR_AWAY;
    return true;
}

static bool ask_for_no_plan(struct garbling *garbling)
{
    struct plan *plan = &garbling->message.hello.plan;
    if (dice_below(garbling->dice, 2) == 0)
        plan->bets_max = 0;
    else
        plan->bytes_max = BATCH_BYTES_MAX + 1;
    return true;
}

/* In another number than is told, or under another root. How many rows were left out, and whether
 * that was so, only the agency knows. */
static bool declare_otherwise(struct garbling *garbling)
{
    struct declaration *declaration = &garbling->message.poll.declaration;
    if (!garbling->message.poll.has_declaration)
        return false;
    switch (dice_below(garbling->dice, 3)) {
    case 0:
        declaration->batches++;
        return true;
    case 1:
        declaration->bets++;
        return true;
    default:
        declaration->root.bytes[0] ^= 1;
        return true;
    }
}

/* What it may ask, but does not wait for; or what somebody may ask who has no attempt. */
static bool ask_something_else(struct garbling *garbling)
{
    uint32_t attempt = garbling->message.poll.attempt;
    uint32_t agency = garbling->message.poll.agency;
    struct message message = {.draw = garbling->message.draw};
    if (dice_below(garbling->dice, 3) == 0)
        agency += FAR_AWAY;
    if (dice_below(garbling->dice, 2) == 0) {
        message.kind = MESSAGE_WINNERS;
        message.winners = (struct message_winners){agency, 0};
    } else {
        message.kind = MESSAGE_DIGESTS;
        message.digests = (struct message_digests){agency, attempt, 0};
    }
    garbling->message = message;
    return true;
}

static bool spoil_batch(struct garbling *garbling)
{
    return garble_batch(garbling, 0);
}

/* A batch that the draw cannot hold, beside those of the others. */
static bool send_highest(struct garbling *garbling)
{
    garbling->message.batch.seq = BATCHES_MAX - 1;
    return true;
}

/* Who is not on a roster; without one anybody may take part, and is waited for. */
static bool be_somebody_else(struct garbling *garbling)
{
    garbling->message.hello.agency += FAR_AWAY;
    return garbling->world->plan.has_roster;
}

const struct garble_row garbled_requests[] = {
    {LINE_REQUEST, 0, "a reply", ANYWHERE, FATE_REFUSED, BY(ask_with_a_reply)},
    {LINE_REQUEST, 0, "a cut header", ANYWHERE, FATE_REFUSED, BY(garble_header_end)},
    {LINE_REQUEST, 0, "a far draw", ANYWHERE, FATE_REFUSED, BY(ask_for_far_draw)},
    {LINE_REQUEST, MESSAGE_HELLO, "a far attempt", ANYWHERE, FATE_REFUSED,
     FIELD(hello.attempt, FAR)},
    {LINE_REQUEST, MESSAGE_HELLO, "no plan", ANYWHERE, FATE_NOT_JOURNALED, BY(ask_for_no_plan)},
    {LINE_REQUEST, MESSAGE_HELLO, "another agency", ANYWHERE, FATE_REFUSED, BY(be_somebody_else)},
    {LINE_REQUEST, MESSAGE_HELLO, "another from", ANYWHERE, FATE_BORNE, FIELD(hello.from, MORE)},
    {LINE_REQUEST, MESSAGE_HELLO, "an older process", AFTER, FATE_BORNE,
     FIELD(hello.incarnation, LESS)},
    {LINE_REQUEST, MESSAGE_POLL, "a far attempt", ANYWHERE, FATE_REFUSED, FIELD(poll.attempt, FAR)},
    {LINE_REQUEST, MESSAGE_POLL, "another agency", ANYWHERE, FATE_REFUSED, FIELD(poll.agency, FAR)},
    {LINE_REQUEST, MESSAGE_POLL, "another declaration", ANYWHERE, FATE_NOT_JOURNALED,
     BY(declare_otherwise)},
    {LINE_REQUEST, MESSAGE_POLL, "another request", ANYWHERE, FATE_NOT_JOURNALED,
     BY(ask_something_else)},
    {LINE_REQUEST, MESSAGE_POLL, "another from", ANYWHERE, FATE_BORNE, FIELD(poll.from, MORE)},
    {LINE_REQUEST, MESSAGE_POLL, "a far round", ANYWHERE, FATE_BORNE, FIELD(poll.round, MOST)},
    {LINE_REQUEST, MESSAGE_POLL, "an older process", AFTER, FATE_BORNE,
     FIELD(poll.incarnation, LESS)},
    {LINE_REQUEST, MESSAGE_WINNERS, "a far from", ANYWHERE, FATE_BORNE, FIELD(winners.from, MOST)},
    {LINE_REQUEST, MESSAGE_DIGESTS, "a far attempt", ANYWHERE, FATE_REFUSED,
     FIELD(digests.attempt, FAR)},
    {LINE_REQUEST, MESSAGE_DIGESTS, "a far from", ANYWHERE, FATE_BORNE, FIELD(digests.from, FAR)},
    {LINE_BETS, 0, "a cut header", ANYWHERE, FATE_DROPPED, BY(garble_header_end)},
    {LINE_BETS, 0, "a far draw", ANYWHERE, FATE_DROPPED, BY(ask_for_far_draw)},
    {LINE_BETS, MESSAGE_BATCH, "no body", ANYWHERE, FATE_DROPPED, BY(garble_frame_lost)},
    {LINE_BETS, MESSAGE_BATCH, "a far attempt", ANYWHERE, FATE_DROPPED, FIELD(batch.attempt, FAR)},
    {LINE_BETS, MESSAGE_BATCH, "another agency", ANYWHERE, FATE_DROPPED, FIELD(batch.agency, FAR)},
    {LINE_BETS, MESSAGE_BATCH, "another digest, body or count", ANYWHERE, FATE_BORNE,
     BY(spoil_batch)},
    {LINE_BETS, MESSAGE_BATCH, "another seq", ANYWHERE, FATE_BORNE, FIELD(batch.seq, MORE)},
    {LINE_BETS, MESSAGE_BATCH, "the highest seq", ANYWHERE, FATE_BORNE, BY(send_highest)},
    {LINE_BETS, MESSAGE_MARK, "a far attempt", ANYWHERE, FATE_DROPPED, FIELD(mark.attempt, FAR)},
    {LINE_BETS, MESSAGE_MARK, "another agency", ANYWHERE, FATE_DROPPED, FIELD(mark.agency, FAR)},
    {LINE_BETS, MESSAGE_MARK, "a far round", ANYWHERE, FATE_BORNE, FIELD(mark.round, MOST)},
};
const size_t garbled_requests_count = sizeof garbled_requests / sizeof *garbled_requests;

/* -- workers -- */

static bool report_of_far_draw(struct garbling *garbling)
{
    garbling->message.draw += FAR_AWAY;
    return true;
}

/* What no store says. */
static bool report_with_a_reply(struct garbling *garbling)
{
    garbling->message = (struct message){.kind = MESSAGE_OK, .draw = 1, .ok = {1}};
    return true;
}

static bool speak_another_version(struct garbling *garbling)
{
    const struct slice *header = &garbling->frames[0];
    if (header->bytes > HEADER_BYTES_MAX || header->bytes < 3)
        return false;
    memcpy(garbling->header, header->data, header->bytes);
    garbling->header[2] = 2; /* behind the array and a kind below 128 */
    garbling->frames[0].data = garbling->header;
    garbling->is_packed = true;
    return true;
}

/* Told by no store: the broker's own epoch, or one before it. */
static bool fence_older(struct garbling *garbling)
{
    struct message fenced = {.kind = MESSAGE_FENCED, .fenced = {receiver(garbling)->epoch}};
    if (fenced.fenced.epoch.number > 1 && dice_below(garbling->dice, 2) == 0)
        fenced.fenced.epoch.number--;
    garbling->message = fenced;
    return true;
}

static bool opened_before(struct garbling *garbling)
{
    struct epoch *opening = &garbling->message.registration.opening;
    if (dice_below(garbling->dice, 2) == 0)
        opening->id.bytes[0] ^= 1;
    else
        opening->number--;
    return opening->number > 0;
}

/* Each item is right, in a body above its maximum. */
static bool bring_too_much(struct garbling *garbling)
{
    uint32_t times = garble_body_above(garbling, CHUNK_BYTES_MAX);
    garbling->message.inventory.items *= times;
    return times > 0;
}

/* Behind the true one nothing but its size is wrong with it: it would be one that is told again. */
static bool find_too_much(struct garbling *garbling)
{
    uint32_t times = garble_body_above(garbling, PAGE_BYTES_MAX);
    garbling->message.found.items *= times;
    return times > 0;
}

/* The first part of two, longer than any may be. */
static bool bring_long_part(struct garbling *garbling)
{
    struct message_part *part = &garbling->message.part;
    part->parts = 2;
    part->manifest_bytes = CHUNK_BYTES_MAX + 1;
    memset(garbling->room, 0, CHUNK_BYTES_MAX + 1);
    garbling->frames[1] = (struct slice){garbling->room, CHUNK_BYTES_MAX + 1};
    return garbling->frames_count == 2;
}

static bool report_again(struct garbling *garbling)
{
    garbling->is_packed = true;
    return true;
}

/* Of the first batch that is told as stored: before that it is in flight to this store. */
static bool reject_stored(struct garbling *garbling, enum refusal reason)
{
    struct message *message = &garbling->message;
    struct item_stored item;
    size_t at = 0;
    if (item_next_stored(garbling->frames[1], &at, &item) != STATUS_OK)
        return false;
    message->kind = MESSAGE_REJECTED;
    message->rejected = (struct message_rejected){.agency = message->stored.agency,
                                                  .attempt = message->stored.attempt,
                                                  .seq = item.seq,
                                                  .reason = reason};
    garbling->frames_count = 1;
    return true;
}

static bool reject_far_draw(struct garbling *garbling)
{
    garbling->message.draw += FAR_AWAY;
    return reject_stored(garbling, REFUSAL_CONFLICT);
}

static bool reject_another(struct garbling *garbling)
{
    garbling->message.stored.agency += FAR_AWAY;
    return reject_stored(garbling, REFUSAL_CONFLICT);
}

static bool reject_far_attempt(struct garbling *garbling)
{
    garbling->message.stored.attempt += FAR_AWAY;
    return reject_stored(garbling, REFUSAL_CONFLICT);
}

/* In flight to nobody: the highest one may have been sent (send_highest). */
static bool reject_high_seq(struct garbling *garbling)
{
    bool is_stored = reject_stored(garbling, REFUSAL_LATE);
    garbling->message.rejected.seq = BATCHES_MAX - 2;
    return is_stored;
}

const struct garble_row garbled_reports[] = {
    {LINE_UP, 0, "a cut header", ANYWHERE, FATE_DROPPED, BY(garble_header_end)},
    {LINE_UP, 0, "another version", BESIDE, FATE_DISMISSED, BY(speak_another_version)},
    {LINE_UP, MESSAGE_REGISTER, "another opening", AFTER, FATE_DISMISSED, BY(opened_before)},
    {LINE_UP, MESSAGE_REGISTER, "another store", AFTER, FATE_DISMISSED,
     FIELD(registration.store, BIT)},
    {LINE_UP, MESSAGE_INVENTORY, "another chunk", ANYWHERE, FATE_DISMISSED,
     FIELD(inventory.chunk, FAR)},
    {LINE_UP, MESSAGE_INVENTORY, "more items", ANYWHERE, FATE_DISMISSED,
     FIELD(inventory.items, MORE)},
    {LINE_UP, MESSAGE_INVENTORY, "fewer items", ANYWHERE, FATE_DISMISSED,
     FIELD(inventory.items, LESS)},
    {LINE_UP, MESSAGE_INVENTORY, "a cut body", ANYWHERE, FATE_DISMISSED, BY(garble_body_end)},
    {LINE_UP, MESSAGE_INVENTORY, "too much", ANYWHERE, FATE_DISMISSED, BY(bring_too_much)},
    {LINE_UP, MESSAGE_CREDIT, "nothing", BESIDE, FATE_DROPPED, FIELD(credit.admitted_bytes, NONE)},
    {LINE_UP, MESSAGE_CREDIT, "less", AFTER, FATE_DROPPED, FIELD(credit.admitted_bytes, LESS)},
    {LINE_UP, MESSAGE_CREDIT, "beyond all", ANYWHERE, FATE_BORNE,
     FIELD(credit.admitted_bytes, MOST)},
    {LINE_UP, MESSAGE_STORED, "a far draw", ANYWHERE, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_STORED, "another agency", ANYWHERE, FATE_DROPPED, FIELD(stored.agency, FAR)},
    {LINE_UP, MESSAGE_STORED, "a far attempt", ANYWHERE, FATE_DROPPED, FIELD(stored.attempt, FAR)},
    {LINE_UP, MESSAGE_STORED, "more items", ANYWHERE, FATE_DROPPED, FIELD(stored.items, MORE)},
    {LINE_UP, MESSAGE_STORED, "a cut body", ANYWHERE, FATE_DROPPED, BY(garble_body_end)},
    {LINE_UP, MESSAGE_STORED, "a REJECTED of a far draw", ANYWHERE, FATE_DROPPED,
     BY(reject_far_draw)},
    {LINE_UP, MESSAGE_STORED, "a REJECTED of another agency", ANYWHERE, FATE_DROPPED,
     BY(reject_another)},
    {LINE_UP, MESSAGE_STORED, "a REJECTED of a far attempt", ANYWHERE, FATE_DROPPED,
     BY(reject_far_attempt)},
    {LINE_UP, MESSAGE_STORED, "a REJECTED with a high seq", BESIDE, FATE_DROPPED,
     BY(reject_high_seq)},
    {LINE_UP, MESSAGE_RETURNED, "a far draw", AFTER, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_RETURNED, "another agency", AFTER, FATE_DROPPED, FIELD(returned.agency, FAR)},
    {LINE_UP, MESSAGE_RETURNED, "a far attempt", AFTER, FATE_DROPPED, FIELD(returned.attempt, FAR)},
    {LINE_UP, MESSAGE_RETURNED, "a far attempt", INSTEAD, FATE_BORNE, FIELD(returned.attempt, FAR)},
    {LINE_UP, MESSAGE_SEALED, "a far draw", ANYWHERE, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_SEALED, "another root", ANYWHERE, FATE_ENDS_BROKER, FIELD(sealed.root, BIT)},
    {LINE_UP, MESSAGE_FOUND, "a far draw", ANYWHERE, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_FOUND, "another question", ANYWHERE, FATE_DROPPED,
     FIELD(found.question, FAR)},
    {LINE_UP, MESSAGE_FOUND, "another epoch", ANYWHERE, FATE_DROPPED,
     FIELD(found.question_epoch, LESS)},
    {LINE_UP, MESSAGE_FOUND, "the same", AFTER, FATE_DROPPED, BY(report_again)},
    {LINE_UP, MESSAGE_FOUND, "another agency", ANYWHERE, FATE_ASKED_ANEW, FIELD(found.agency, FAR)},
    {LINE_UP, MESSAGE_FOUND, "more items", BEFORE | INSTEAD, FATE_ASKED_ANEW,
     FIELD(found.items, MORE)},
    {LINE_UP, MESSAGE_FOUND, "another winner", BEFORE | INSTEAD, FATE_ASKED_ANEW,
     BY(garble_winner)},
    {LINE_UP, MESSAGE_FOUND, "winners twice", BEFORE | INSTEAD, FATE_ASKED_ANEW,
     BY(garble_winners_twice)},
    {LINE_UP, MESSAGE_FOUND, "too much", ANYWHERE, FATE_ASKED_ANEW, BY(find_too_much)},
    {LINE_UP, MESSAGE_FOUND, "a cut body", BEFORE | INSTEAD, FATE_ASKED_ANEW, BY(garble_body_end)},
    {LINE_UP, MESSAGE_COUNTED, "a far draw", ANYWHERE, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_COUNTED, "another question", ANYWHERE, FATE_DROPPED,
     FIELD(counted.question, FAR)},
    {LINE_UP, MESSAGE_COUNTED, "another epoch", ANYWHERE, FATE_DROPPED,
     FIELD(counted.question_epoch, LESS)},
    {LINE_UP, MESSAGE_COUNTED, "more bets", ANYWHERE, FATE_ASKED_ANEW, FIELD(counted.bets, MORE)},
    {LINE_UP, MESSAGE_COUNTED, "more winners", ANYWHERE, FATE_ASKED_ANEW,
     FIELD(counted.winners, MORE)},
    {LINE_UP, MESSAGE_COUNTED, "more items", ANYWHERE, FATE_ASKED_ANEW, FIELD(counted.items, MORE)},
    {LINE_UP, MESSAGE_COUNTED, "another share", ANYWHERE, FATE_ASKED_ANEW, BY(garble_share)},
    {LINE_UP, MESSAGE_COUNTED, "a share too few", ANYWHERE, FATE_ASKED_ANEW, BY(garble_share_lost)},
    {LINE_UP, MESSAGE_COUNTED, "a share for another", ANYWHERE, FATE_ASKED_ANEW,
     BY(garble_share_for_another)},
    {LINE_UP, MESSAGE_COUNTED, "shares twice", ANYWHERE, FATE_ASKED_ANEW, BY(garble_shares_twice)},
    {LINE_UP, MESSAGE_COUNTED, "a cut body", ANYWHERE, FATE_ASKED_ANEW, BY(garble_body_end)},
    {LINE_UP, MESSAGE_PONG, "an epoch that is not newer", ANYWHERE, FATE_DROPPED, BY(fence_older)},
    {LINE_UP, MESSAGE_PONG, "a reply", ANYWHERE, FATE_DROPPED, BY(report_with_a_reply)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "a far draw", ANYWHERE, FATE_DROPPED, BY(report_of_far_draw)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "another root", ANYWHERE, FATE_NO_PART, FIELD(part.root, BIT)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "another size", ANYWHERE, FATE_NO_PART,
     FIELD(part.manifest_bytes, MORE)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "fewer bytes", ANYWHERE, FATE_NO_PART,
     FIELD(part.manifest_bytes, LESS)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "a half", ANYWHERE, FATE_NOT_JOURNALED,
     BY(garble_manifest_half)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "a cut body", ANYWHERE, FATE_NO_PART, BY(garble_body_end)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "a long body", ANYWHERE, FATE_NO_PART, BY(garble_body_longer)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "too much", ANYWHERE, FATE_NO_PART, BY(bring_long_part)},
    {LINE_UP, MESSAGE_MANIFEST_PART, "another byte", ANYWHERE, FATE_NO_PART, BY(garble_manifest)},
};
const size_t garbled_reports_count = sizeof garbled_reports / sizeof *garbled_reports;
