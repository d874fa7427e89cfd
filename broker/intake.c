/* Batches and marks of agencies on bets. Nothing is answered here: POLL tells what became of them.
 */
#include "broker/inner.h"

/* True when a store should get this batch: it is of the attempt in force, and neither durable nor
 * held. */
static bool is_wanted(struct broker *broker, const struct message_batch *batch, uint32_t draw,
                      uint32_t *index)
{
    struct member *member = roll_find(broker->roll, batch->agency);
    if (draw != broker->draw || member == NULL || member->attempt != batch->attempt ||
        member->has_verdict)
        return false;
    if (broker->state != DRAW_OPEN && broker->state != DRAW_SEALED)
        return false;
    *index = roll_index(broker->roll, member);
    const struct digest *digest = ledger_digest(broker->ledger, *index, batch->seq);
    bool is_declared = ledger_is_declared(broker->ledger, *index);
    if (broker->state == DRAW_SEALED && !is_declared)
        return false;
    if (is_declared && (digest == NULL || !digest_is_equal(digest, &batch->digest)))
        return false;
    if (digest != NULL && !digest_is_equal(digest, &batch->digest)) {
        broker_set_verdict(broker, member, REFUSAL_CONFLICT, batch->seq, 0, FAULT_NONE);
        return false;
    }
    if (seqset_has(ledger_durable(broker->ledger, *index), batch->seq) ||
        seqset_has(dispatch_held(broker->dispatch, *index), batch->seq))
        return false;
    return true;
}

static void on_mark(struct broker *broker, const struct message *message)
{
    const struct message_mark *mark = &message->mark;
    struct member *member = roll_find(broker->roll, mark->agency);

    if (message->draw != broker->draw || member == NULL || member->attempt != mark->attempt ||
        !roll_accept_incarnation(member, mark->incarnation))
        return;
    if (mark->round > member->round_seen)
        member->round_seen = mark->round;
}

void broker_on_bets(struct broker *broker, struct slice header, size_t body_bytes, void *payload,
                    int64_t now_ms)
{
    struct message message = {0};
    uint32_t index = 0;

    (void)now_ms;
    if (broker->verdict != STATUS_OK || broker->draw == 0 || broker->recovery != NULL ||
        message_decode(header, &message) != STATUS_OK)
        goto drop;
    if (message.kind == MESSAGE_MARK) {
        on_mark(broker, &message);
        goto drop;
    }
    if (message.kind != MESSAGE_BATCH || payload == NULL || body_bytes > BATCH_BYTES_MAX ||
        !is_wanted(broker, &message.batch, message.draw, &index))
        goto drop;
    struct parcel parcel = {
        .agency = index,
        .attempt = message.batch.attempt,
        .seq = message.batch.seq,
        .weight = (uint32_t)body_bytes + BATCH_WEIGHT_EXTRA_BYTES,
        .digest = message.batch.digest,
        .payload = payload,
    };
    enum status status = dispatch_push(broker->dispatch, &parcel);
    if (status == STATUS_OK)
        return;
    if (status == STATUS_LIMIT)
        broker_set_verdict(broker, roll_at(broker->roll, index), REFUSAL_LIMIT, parcel.seq, 0,
                           FAULT_NONE);
drop:
    if (payload != NULL)
        broker->release(payload);
}
