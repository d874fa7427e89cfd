/* The bounded list of messages that one turn of a core wants sent. Headers and bodies lie one
 * behind the other in one arena; nothing is freed singly. */
#include "proto/wire/outbox.h"

#include <stdlib.h>

#include "proto/wire/check.h"

struct outbox {
    struct outbound *messages; /* owned, messages_max of them */
    size_t messages_max;
    size_t messages_count;
    uint8_t *arena; /* owned */
    size_t arena_bytes;
    size_t taken_bytes;
    size_t
        piece_at; /* where the last reserve began; taken_bytes when it cannot be trimmed any more */
};

enum status outbox_create(size_t messages_max, size_t arena_bytes, struct outbox **outbox)
{
    CHECK(messages_max > 0 && arena_bytes > 0);
    struct outbox *created = calloc(1, sizeof *created);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->messages = calloc(messages_max, sizeof *created->messages);
    created->arena = malloc(arena_bytes);
    if (created->messages == NULL || created->arena == NULL) {
        outbox_destroy(&created);
        return STATUS_NO_MEMORY;
    }
    created->messages_max = messages_max;
    created->arena_bytes = arena_bytes;
    *outbox = created;
    return STATUS_OK;
}

void outbox_destroy(struct outbox **outbox)
{
    if (*outbox == NULL)
        return;
    free((*outbox)->messages);
    free((*outbox)->arena);
    free(*outbox);
    *outbox = NULL;
}

bool outbox_has_room(const struct outbox *outbox, size_t messages, size_t bytes)
{
    return messages <= outbox->messages_max - outbox->messages_count &&
           bytes <= outbox->arena_bytes - outbox->taken_bytes;
}

uint8_t *outbox_reserve(struct outbox *outbox, size_t bytes)
{
    if (!outbox_has_room(outbox, 0, bytes))
        return NULL;
    outbox->piece_at = outbox->taken_bytes;
    outbox->taken_bytes += bytes;
    return outbox->arena + outbox->piece_at;
}

void outbox_trim(struct outbox *outbox, const uint8_t *piece, size_t bytes)
{
    CHECK(piece == outbox->arena + outbox->piece_at);
    CHECK(bytes <= outbox->taken_bytes - outbox->piece_at);
    outbox->taken_bytes = outbox->piece_at + bytes;
}

static struct outbound *append(struct outbox *outbox, enum port port, uint64_t peer,
                               const struct message *message)
{
    CHECK(outbox->messages_count < outbox->messages_max);
    uint8_t *header = outbox->arena + outbox->taken_bytes;
    size_t room_bytes = outbox->arena_bytes - outbox->taken_bytes;
    size_t header_bytes = 0;
    CHECK(message_encode(message, header, room_bytes, &header_bytes) == STATUS_OK);
    outbox->taken_bytes += header_bytes;
    outbox->piece_at = outbox->taken_bytes;

    struct outbound *outbound = &outbox->messages[outbox->messages_count++];
    *outbound = (struct outbound){.port = port, .peer = peer, .header = {header, header_bytes}};
    return outbound;
}

void outbox_send(struct outbox *outbox, enum port port, uint64_t peer,
                 const struct message *message, const struct slice *body)
{
    CHECK(message->kind != MESSAGE_FORWARD);
    CHECK(message_has_body(message->kind) == (body != NULL));
    struct outbound *outbound = append(outbox, port, peer, message);
    if (body == NULL)
        return;
    outbound->body = *body;
    outbound->has_body = true;
}

void outbox_forward(struct outbox *outbox, uint64_t peer, const struct message *message,
                    void *payload)
{
    CHECK(message->kind == MESSAGE_FORWARD);
    CHECK(payload != NULL);
    append(outbox, PORT_DISPATCH, peer, message)->payload = payload;
}

size_t outbox_count(const struct outbox *outbox)
{
    return outbox->messages_count;
}

const struct outbound *outbox_at(const struct outbox *outbox, size_t index)
{
    CHECK(index < outbox->messages_count);
    return &outbox->messages[index];
}

void outbox_reset(struct outbox *outbox)
{
    outbox->messages_count = 0;
    outbox->taken_bytes = 0;
    outbox->piece_at = 0;
}
