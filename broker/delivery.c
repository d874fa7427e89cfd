/* Frames and sockets of what leaves; see delivery.h. A message that fails at its first frame has
 * not begun, and libzmq drops the rest of one whose peer goes away in the middle: no message is
 * ever cut. */
#include "broker/delivery.h"

#include <stdlib.h>

#include "proto/wire/check.h"

enum { CHUNKS_MAX = MANIFEST_BYTES_MAX / CHUNK_BYTES_MAX };

struct payload {
    zmq_msg_t header;
    zmq_msg_t body;
};

/* A request of this turn: all its frames, the first of which are its envelope. */
struct request {
    struct frames frames;
    int envelope_frames;
    bool is_answered;
};

/* One manifest's chunks: libzmq counts who still has to be sent one, so that 64 stores cost one
 * copy. */
struct chunks {
    zmq_msg_t chunk[CHUNKS_MAX];
    bool is_kept[CHUNKS_MAX];
    uint32_t draw;
    struct digest root;
};

struct delivery {
    void *rendezvous; /* borrowed: outlives us because the loop closes it after us */
    void *winners;    /* likewise */
    void *dispatch;   /* likewise */
    struct request request[REQUESTS_PER_TURN];
    uint32_t requests_count;
    struct chunks chunks;
};

/* ---- batches ---- */

struct payload *payload_take(struct frames *frames)
{
    CHECK(frames->count == 2);
    struct payload *payload = malloc(sizeof(*payload));
    if (payload == NULL)
        return NULL;
    zmq_msg_init(&payload->header);
    zmq_msg_init(&payload->body);
    CHECK(zmq_msg_move(&payload->header, &frames->frame[0]) == 0);
    CHECK(zmq_msg_move(&payload->body, &frames->frame[1]) == 0);
    frames_release(frames);
    return payload;
}

struct slice payload_header(struct payload *payload)
{
    return (struct slice){zmq_msg_data(&payload->header), zmq_msg_size(&payload->header)};
}

size_t payload_body_bytes(struct payload *payload)
{
    return zmq_msg_size(&payload->body);
}

void payload_drop(void *payload)
{
    struct payload *dropped = payload;
    zmq_msg_close(&dropped->header);
    zmq_msg_close(&dropped->body);
    free(dropped);
}

/* ---- requests ---- */

enum status delivery_create(void *rendezvous, void *winners, void *dispatch,
                            struct delivery **delivery)
{
    struct delivery *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->rendezvous = rendezvous;
    created->winners = winners;
    created->dispatch = dispatch;
    *delivery = created;
    return STATUS_OK;
}

static void end_requests(struct delivery *delivery)
{
    for (uint32_t index = 0; index < delivery->requests_count; index++)
        frames_release(&delivery->request[index].frames);
    delivery->requests_count = 0;
}

static void drop_chunks(struct chunks *chunks)
{
    for (uint32_t part = 0; part < CHUNKS_MAX; part++)
        if (chunks->is_kept[part])
            zmq_msg_close(&chunks->chunk[part]);
    memset(chunks->is_kept, 0, sizeof(chunks->is_kept));
}

void delivery_destroy(struct delivery **delivery)
{
    if (*delivery == NULL)
        return;
    end_requests(*delivery);
    drop_chunks(&(*delivery)->chunks);
    free(*delivery);
    *delivery = NULL;
}

struct frames *delivery_next_request(struct delivery *delivery)
{
    if (delivery->requests_count == REQUESTS_PER_TURN)
        return NULL;
    return &delivery->request[delivery->requests_count].frames;
}

uint64_t delivery_keep_request(struct delivery *delivery, int envelope_frames)
{
    CHECK(delivery->requests_count < REQUESTS_PER_TURN);
    struct request *request = &delivery->request[delivery->requests_count++];
    CHECK(envelope_frames > 0 && envelope_frames <= request->frames.count);
    request->envelope_frames = envelope_frames;
    request->is_answered = false;
    return delivery->requests_count;
}

bool delivery_parse_peer(struct slice routing_id, uint64_t *peer)
{
    if (routing_id.bytes != ROUTING_BYTES)
        return false;
    *peer = 0;
    for (size_t index = 0; index < ROUTING_BYTES; index++)
        *peer = *peer << 8 | routing_id.data[index];
    return true;
}

/* ---- sending ---- */

static enum status send_frames(void *zocket, struct slice header, bool has_body, struct slice body)
{
    enum status status = socket_send(zocket, header, has_body);
    if (status == STATUS_OK && has_body)
        status = socket_send(zocket, body, false);
    return status;
}

static enum status send_answer(struct delivery *delivery, const struct outbound *outbound)
{
    CHECK(outbound->peer >= 1 && outbound->peer <= delivery->requests_count);
    struct request *request = &delivery->request[outbound->peer - 1];
    CHECK(!request->is_answered);
    request->is_answered = true;
    for (int index = 0; index < request->envelope_frames; index++) {
        enum status status =
            socket_send_message(delivery->rendezvous, &request->frames.frame[index], true);
        if (status != STATUS_OK)
            return status;
    }
    return send_frames(delivery->rendezvous, outbound->header, outbound->has_body, outbound->body);
}

static enum status send_result(struct delivery *delivery, const struct outbound *outbound)
{
    struct message message;
    CHECK(message_decode(outbound->header, &message) == STATUS_OK);
    CHECK(message.kind == MESSAGE_RESULT);
    char topic[TOPIC_BYTES_MAX];
    size_t bytes = message_write_topic(message.draw, message.result.agency, topic);
    struct slice first = {(const uint8_t *)topic, bytes};
    enum status status = socket_send(delivery->winners, first, true);
    if (status != STATUS_OK)
        return status;
    return send_frames(delivery->winners, outbound->header, outbound->has_body, outbound->body);
}

/* The chunk of a manifest as a message that every store shares. in: message: to be filled. */
static enum status share_chunk(struct chunks *chunks, const struct message *seal, struct slice body,
                               zmq_msg_t *message)
{
    CHECK(seal->part.part < CHUNKS_MAX);
    if (chunks->draw != seal->draw || !digest_is_equal(&chunks->root, &seal->part.root))
        drop_chunks(chunks);
    chunks->draw = seal->draw;
    chunks->root = seal->part.root;
    zmq_msg_t *kept = &chunks->chunk[seal->part.part];
    if (!chunks->is_kept[seal->part.part]) {
        if (zmq_msg_init_size(kept, body.bytes) != 0)
            return STATUS_NO_MEMORY;
        if (body.bytes > 0)
            memcpy(zmq_msg_data(kept), body.data, body.bytes);
        chunks->is_kept[seal->part.part] = true;
    }
    zmq_msg_init(message);
    CHECK(zmq_msg_copy(message, kept) == 0);
    return STATUS_OK;
}

static enum status send_body(struct delivery *delivery, const struct outbound *outbound)
{
    struct message message;
    CHECK(message_decode(outbound->header, &message) == STATUS_OK);
    if (message.kind != MESSAGE_SEAL)
        return socket_send(delivery->dispatch, outbound->body, false);
    zmq_msg_t chunk;
    enum status status = share_chunk(&delivery->chunks, &message, outbound->body, &chunk);
    if (status != STATUS_OK)
        return status;
    status = socket_send_message(delivery->dispatch, &chunk, false);
    zmq_msg_close(&chunk);
    return status;
}

static enum status send_batch(struct delivery *delivery, struct payload *payload)
{
    enum status status = socket_send_message(delivery->dispatch, &payload->header, true);
    if (status == STATUS_OK)
        status = socket_send_message(delivery->dispatch, &payload->body, false);
    return status;
}

static enum status send_to_worker(struct delivery *delivery, const struct outbound *outbound)
{
    uint8_t routing_id[ROUTING_BYTES];
    for (size_t index = 0; index < ROUTING_BYTES; index++)
        routing_id[index] = (uint8_t)(outbound->peer >> 8 * (ROUTING_BYTES - 1 - index));
    struct slice first = {routing_id, sizeof(routing_id)};
    bool has_more = outbound->has_body || outbound->payload != NULL;
    enum status status = socket_send(delivery->dispatch, first, true);
    if (status == STATUS_OK)
        status = socket_send(delivery->dispatch, outbound->header, has_more);
    if (status == STATUS_OK && outbound->payload != NULL)
        status = send_batch(delivery, outbound->payload);
    else if (status == STATUS_OK && outbound->has_body)
        status = send_body(delivery, outbound);
    if (outbound->payload != NULL)
        payload_drop(outbound->payload);
    return status;
}

static enum status send_one(struct delivery *delivery, const struct outbound *outbound)
{
    switch (outbound->port) {
    case PORT_RENDEZVOUS:
        return send_answer(delivery, outbound);
    case PORT_WINNERS:
        return send_result(delivery, outbound);
    case PORT_DISPATCH:
        return send_to_worker(delivery, outbound);
    case PORT_BETS: /* agencies only send there */
        break;
    }
    CHECK(false);
    return STATUS_INVALID;
}

enum status delivery_send(struct delivery *delivery, struct outbox *outbox)
{
    enum status first = STATUS_OK;
    for (size_t index = 0; index < outbox_count(outbox); index++) {
        enum status status = send_one(delivery, outbox_at(outbox, index));
        bool is_dropped = status == STATUS_AGAIN || status == STATUS_UNREACHABLE;
        if (status != STATUS_OK && !is_dropped && first == STATUS_OK)
            first = status;
    }
    outbox_reset(outbox);
    end_requests(delivery);
    return first;
}

void delivery_discard(struct delivery *delivery, struct outbox *outbox)
{
    for (size_t index = 0; index < outbox_count(outbox); index++)
        if (outbox_at(outbox, index)->payload != NULL)
            payload_drop(outbox_at(outbox, index)->payload);
    outbox_reset(outbox);
    end_requests(delivery);
}
