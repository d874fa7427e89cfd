/* See inventory.h. */
#include "worker/inventory.h"

#include "proto/wire/check.h"
#include "proto/wire/item.h"

enum { LISTED_MAX = 256 }; /* records that one listing copies */

/* The chunk that is being filled. */
struct chunk {
    uint8_t *buffer; /* in the outbox's arena, CHUNK_BYTES_MAX */
    size_t bytes;
    uint32_t items;
};

void inventory_begin(struct inventory *inventory)
{
    *inventory = (struct inventory){.next_draw = 0};
}

void inventory_hear(struct inventory *inventory)
{
    if (inventory->chunks_answered < inventory->chunks_sent)
        inventory->chunks_answered++;
}

bool inventory_is_ready(const struct inventory *inventory)
{
    return inventory->chunks_sent - inventory->chunks_answered < INVENTORY_AHEAD_MAX;
}

static bool has_room(const struct chunk *chunk, uint32_t items)
{
    return chunk->bytes + (size_t)items * ITEM_BYTES_MAX <= CHUNK_BYTES_MAX;
}

static void add(struct chunk *chunk, const struct item_inventory *item)
{
    CHECK(item_pack_inventory(chunk->buffer, CHUNK_BYTES_MAX, &chunk->bytes, item) == STATUS_OK);
    chunk->items++;
}

static void add_seal(struct chunk *chunk, const struct seal_record *seal)
{
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = seal->draw,
                                  .root = seal->root,
                                  .number = seal->number};
    if (seal->kind == SEAL_AS_VOID)
        item.kind = INVENTORY_VOID;
    if (seal->kind != SEAL_NONE)
        add(chunk, &item);
    item.kind = INVENTORY_FORGOT;
    if (seal->is_forgotten)
        add(chunk, &item);
}

/* Adds marks of draws until the chunk is full or all are told. */
static enum status add_seals(struct inventory *inventory, const struct workbench *bench,
                             struct chunk *chunk)
{
    struct seal_record seals[LISTED_MAX];
    size_t count = LISTED_MAX;
    while (!inventory->seals_are_told && has_room(chunk, 2 * LISTED_MAX)) {
        enum status status =
            store_list_seals(bench->store, inventory->next_draw, seals, LISTED_MAX, &count);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++)
            add_seal(chunk, &seals[i]);
        inventory->seals_are_told = count < LISTED_MAX || seals[count - 1].draw == UINT32_MAX;
        if (!inventory->seals_are_told)
            inventory->next_draw = seals[count - 1].draw + 1;
    }
    return STATUS_OK;
}

/* Adds batches until the chunk is full or all are told. */
static enum status add_batches(struct inventory *inventory, const struct workbench *bench,
                               struct chunk *chunk)
{
    struct batch_record batches[LISTED_MAX];
    while (!inventory->is_complete && has_room(chunk, LISTED_MAX)) {
        size_t count;
        enum status status =
            store_list(bench->store, &inventory->next, batches, LISTED_MAX, &count);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++) {
            const struct batch_identity *identity = &batches[i].identity;
            struct item_inventory item = {
                .kind = INVENTORY_BATCH,
                .draw = identity->draw,
                .agency = identity->agency,
                .attempt = identity->attempt,
                .batch = {identity->seq, batches[i].bets, batches[i].digest},
            };
            add(chunk, &item);
            inventory->next = *identity;
            batch_identity_next(&inventory->next);
        }
        inventory->is_complete = count < LISTED_MAX;
    }
    return STATUS_OK;
}

enum status inventory_step(struct inventory *inventory, const struct workbench *bench)
{
    CHECK(inventory_is_ready(inventory) && !inventory->is_complete);
    struct chunk chunk = {.buffer = outbox_reserve(bench->outbox, CHUNK_BYTES_MAX)};
    CHECK(chunk.buffer != NULL);
    enum status status = add_seals(inventory, bench, &chunk);
    if (status == STATUS_OK && inventory->seals_are_told)
        status = add_batches(inventory, bench, &chunk);
    outbox_trim(bench->outbox, chunk.buffer, chunk.bytes);
    if (status != STATUS_OK)
        return status;
    struct message message = {
        .kind = MESSAGE_INVENTORY,
        .inventory = {inventory->chunks_sent, inventory->is_complete, chunk.items},
    };
    struct slice body = {chunk.buffer, chunk.bytes};
    workbench_send(bench, &message, &body);
    inventory->chunks_sent++;
    return STATUS_OK;
}
