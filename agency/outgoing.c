/* The last step of a bet inside its agency. */
#include "agency/outgoing.h"

#include "proto/host/socket.h"
#include "proto/wire/check.h"

enum { BATCH_HEADER_BYTES_MAX = 128 /* array, kind, version, five u32, a digest take 62 */ };

void outgoing_keep(struct outgoing *outgoing, const struct agency *agency, uint32_t seq,
                   struct payload *payload)
{
    CHECK(outgoing->count < READER_PAYLOADS_MAX);
    struct waiting_body *body = &outgoing->bodies[outgoing->count];
    if (!agency_wants(agency, seq) || payload_wrap(payload, &body->message) != STATUS_OK) {
        payload_release(payload);
        return;
    }
    body->seq = seq;
    outgoing->count++;
}

/* The last one takes the place of one that has gone. */
static void close_gap(struct outgoing *outgoing, uint32_t index)
{
    struct waiting_body *gap = &outgoing->bodies[index];
    struct waiting_body *last = &outgoing->bodies[--outgoing->count];
    if (gap == last)
        return;
    (void)zmq_msg_init(&gap->message);
    (void)zmq_msg_move(&gap->message, &last->message);
    gap->seq = last->seq;
}

void outgoing_sift(struct outgoing *outgoing, const struct agency *agency)
{
    for (uint32_t i = outgoing->count; i-- > 0;) {
        if (agency_wants(agency, outgoing->bodies[i].seq))
            continue;
        (void)zmq_msg_close(&outgoing->bodies[i].message);
        close_gap(outgoing, i);
    }
}

void outgoing_clear(struct outgoing *outgoing)
{
    while (outgoing->count > 0)
        (void)zmq_msg_close(&outgoing->bodies[--outgoing->count].message);
}

/* READER_PAYLOADS_MAX when it does not wait here. */
static uint32_t find(const struct outgoing *outgoing, uint32_t seq)
{
    for (uint32_t i = 0; i < outgoing->count; i++)
        if (outgoing->bodies[i].seq == seq)
            return i;
    return READER_PAYLOADS_MAX;
}

/* Asks the reader for a body that is not here. When every payload is taken, by bodies that wait
 * behind this one, the last of them makes room: it is read again when its turn comes. */
static void ask_again(struct outgoing *outgoing, struct reader *reader, uint32_t seq,
                      const struct cut *cut)
{
    bool has_payload = reader_has_payload(reader); /* the last one is only taken for this */
    if (!reader_ask_again(reader, seq, cut) || has_payload || outgoing->count == 0)
        return;
    uint32_t last = 0;
    for (uint32_t i = 1; i < outgoing->count; i++)
        if (outgoing->bodies[i].seq > outgoing->bodies[last].seq)
            last = i;
    (void)zmq_msg_close(&outgoing->bodies[last].message);
    close_gap(outgoing, last);
}

/* errors: AGAIN: would block, nothing was sent. */
static enum status send_batch(const struct agency *agency, void *bets, struct waiting_body *body)
{
    struct message batch;
    uint8_t header[BATCH_HEADER_BYTES_MAX];
    size_t header_bytes;
    agency_describe_batch(agency, body->seq, &batch);
    CHECK(message_encode(&batch, header, sizeof(header), &header_bytes) == STATUS_OK);
    const struct slice frame = {.data = header, .bytes = header_bytes};
    if (socket_send(bets, frame, true) != STATUS_OK)
        return STATUS_AGAIN;
    /* Behind its first frame the second one is taken too, or dropped with a connection that has
     * just broken; then the batch will be missing. */
    if (socket_send_message(bets, &body->message, false) != STATUS_OK)
        (void)zmq_msg_close(&body->message);
    return STATUS_OK;
}

bool outgoing_send(struct outgoing *outgoing, struct agency *agency, struct reader *reader,
                   void *bets, int64_t now_ms)
{
    uint32_t seq;
    for (int i = 0; i < OUTGOING_TURN_MAX; i++) {
        if (outgoing->is_blocked || !agency_next_batch(agency, &seq))
            return false;
        uint32_t index = find(outgoing, seq);
        if (index == READER_PAYLOADS_MAX) {
            ask_again(outgoing, reader, seq, cuts_at(agency_cuts(agency), seq));
            return false;
        }
        if (send_batch(agency, bets, &outgoing->bodies[index]) != STATUS_OK) {
            outgoing->is_blocked = true;
            return false;
        }
        close_gap(outgoing, index);
        agency_on_sent(agency, now_ms, seq);
    }
    return true;
}
