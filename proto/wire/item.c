/* Packing and reading of the items of bodies. Each item is packed whole or not at all, and read
 * whole or not at all: `*bytes` and `*at` move only then. */
#include "proto/wire/item.h"

#include "proto/wire/check.h"
#include "proto/wire/limits.h"
#include "proto/wire/pack.h"
#include "proto/wire/seqset.h"

enum {
    STORED_ELEMENTS = 3,
    WINNER_ELEMENTS = 3,
    BET_ELEMENTS = 5,
    SHARE_ELEMENTS = 3,
    INVENTORY_BATCH_ELEMENTS = 7,
    INVENTORY_SEAL_ELEMENTS = 4,
    INVENTORY_DRAW_ELEMENTS = 2, /* VOID and FORGOT */
    BIRTHDATE_ANY = 99991231,    /* for bet_check: what was once valid stays valid */
};

_Static_assert(1 + 5 + 5 + BET_PACKED_BYTES_MAX <= ITEM_BYTES_MAX, "a winner is an item's size");
_Static_assert(1 + 1 + 5 * 5 + 2 + DIGEST_BYTES <= ITEM_BYTES_MAX, "a batch is an item's size");

/* ---- packing ---- */

/* Packs behind what the buffer holds. */
static struct packer resume(uint8_t *buffer, size_t buffer_bytes, size_t bytes)
{
    CHECK(bytes <= buffer_bytes);
    struct packer packer;
    pack_begin(&packer, buffer + bytes, buffer_bytes - bytes);
    return packer;
}

static enum status settle(const struct packer *packer, size_t *bytes)
{
    if (packer->overflowed)
        return STATUS_LIMIT;
    *bytes += packer->bytes;
    return STATUS_OK;
}

static void pack_batch(struct packer *packer, const struct item_stored *batch)
{
    CHECK(batch->seq < BATCHES_MAX);
    CHECK(batch->bets >= 1 && batch->bets <= BATCH_BETS_MAX);
    pack_unsigned(packer, batch->seq);
    pack_unsigned(packer, batch->bets);
    pack_bin(packer, batch->digest.bytes, DIGEST_BYTES);
}

enum status item_pack_stored(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                             const struct item_stored *item)
{
    struct packer packer = resume(buffer, buffer_bytes, *bytes);
    pack_array(&packer, STORED_ELEMENTS);
    pack_batch(&packer, item);
    return settle(&packer, bytes);
}

enum status item_pack_winner(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                             const struct item_winner *item)
{
    CHECK(item->seq < BATCHES_MAX && item->row < BATCH_BETS_MAX);
    struct packer packer = resume(buffer, buffer_bytes, *bytes);
    pack_array(&packer, WINNER_ELEMENTS);
    pack_unsigned(&packer, item->seq);
    pack_unsigned(&packer, item->row);
    pack_array(&packer, BET_ELEMENTS);
    pack_str(&packer, item->bet.first_name);
    pack_str(&packer, item->bet.last_name);
    pack_str(&packer, item->bet.document);
    pack_str(&packer, item->bet.birthdate);
    pack_unsigned(&packer, item->bet.number);
    return settle(&packer, bytes);
}

enum status item_pack_share(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                            const struct item_share *item)
{
    CHECK(item->attempt >= 1);
    CHECK(item->seqs.bytes >= 1 && item->seqs.bytes <= RANGES_BYTES_MAX);
    struct packer packer = resume(buffer, buffer_bytes, *bytes);
    pack_array(&packer, SHARE_ELEMENTS);
    pack_unsigned(&packer, item->agency);
    pack_unsigned(&packer, item->attempt);
    pack_raw(&packer, item->seqs);
    return settle(&packer, bytes);
}

static uint32_t inventory_elements(enum inventory_kind kind)
{
    switch (kind) {
    case INVENTORY_BATCH:
        return INVENTORY_BATCH_ELEMENTS;
    case INVENTORY_SEAL:
        return INVENTORY_SEAL_ELEMENTS;
    case INVENTORY_VOID:
    case INVENTORY_FORGOT:
        return INVENTORY_DRAW_ELEMENTS;
    }
    return 0;
}

enum status item_pack_inventory(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                                const struct item_inventory *item)
{
    uint32_t elements = inventory_elements(item->kind);
    CHECK(elements > 0 && item->draw >= 1);
    struct packer packer = resume(buffer, buffer_bytes, *bytes);
    pack_array(&packer, elements);
    pack_unsigned(&packer, item->kind);
    pack_unsigned(&packer, item->draw);
    if (item->kind == INVENTORY_BATCH) {
        CHECK(item->attempt >= 1);
        pack_unsigned(&packer, item->agency);
        pack_unsigned(&packer, item->attempt);
        pack_batch(&packer, &item->batch);
    } else if (item->kind == INVENTORY_SEAL) {
        pack_bin(&packer, item->root.bytes, DIGEST_BYTES);
        pack_unsigned(&packer, item->number);
    }
    return settle(&packer, bytes);
}

/* ---- reading ---- */

static void expect_array(struct unpacker *unpacker, uint32_t elements)
{
    if (unpack_array(unpacker) != elements)
        unpacker->failed = true;
}

static void unpack_batch(struct unpacker *unpacker, struct item_stored *batch)
{
    batch->seq = unpack_between(unpacker, 0, BATCHES_MAX - 1);
    batch->bets = unpack_between(unpacker, 1, BATCH_BETS_MAX);
    digest_unpack(unpacker, &batch->digest);
}

enum status item_next_stored(struct slice body, size_t *at, struct item_stored *item)
{
    if (*at == body.bytes)
        return STATUS_END;
    struct unpacker unpacker = {.packed = body, .at = *at};
    struct item_stored read = {0};
    expect_array(&unpacker, STORED_ELEMENTS);
    unpack_batch(&unpacker, &read);
    if (unpacker.failed)
        return STATUS_MALFORMED;
    *at = unpacker.at;
    *item = read;
    return STATUS_OK;
}

enum status item_next_winner(struct slice body, size_t *at, struct item_winner *item)
{
    if (*at == body.bytes)
        return STATUS_END;
    if (body.bytes > PAGE_BYTES_MAX)
        return STATUS_MALFORMED;
    struct unpacker unpacker = {.packed = body, .at = *at};
    struct item_winner read = {0};
    expect_array(&unpacker, WINNER_ELEMENTS);
    read.seq = unpack_between(&unpacker, 0, BATCHES_MAX - 1);
    read.row = unpack_between(&unpacker, 0, BATCH_BETS_MAX - 1);
    expect_array(&unpacker, BET_ELEMENTS);
    read.bet.first_name = unpack_str(&unpacker, 1, NAME_BYTES_MAX);
    read.bet.last_name = unpack_str(&unpacker, 1, NAME_BYTES_MAX);
    read.bet.document = unpack_str(&unpacker, 1, DOCUMENT_BYTES_MAX);
    read.bet.birthdate = unpack_str(&unpacker, BIRTHDATE_BYTES, BIRTHDATE_BYTES);
    read.bet.number = unpack_between(&unpacker, 0, UINT32_MAX);
    if (unpacker.failed || bet_check(&read.bet, BIRTHDATE_ANY) != FAULT_NONE)
        return STATUS_MALFORMED;
    *at = unpacker.at;
    *item = read;
    return STATUS_OK;
}

enum status item_next_share(struct slice body, size_t *at, struct item_share *item)
{
    if (*at == body.bytes)
        return STATUS_END;
    struct unpacker unpacker = {.packed = body, .at = *at};
    struct item_share read = {0};
    expect_array(&unpacker, SHARE_ELEMENTS);
    read.agency = unpack_between(&unpacker, 0, UINT32_MAX);
    read.attempt = unpack_between(&unpacker, 1, UINT32_MAX);
    read.seqs = ranges_unpack(&unpacker, RANGES_BYTES_MAX);
    if (unpacker.failed)
        return STATUS_MALFORMED;
    *at = unpacker.at;
    *item = read;
    return STATUS_OK;
}

enum status item_next_inventory(struct slice body, size_t *at, struct item_inventory *item)
{
    if (*at == body.bytes)
        return STATUS_END;
    if (body.bytes > CHUNK_BYTES_MAX)
        return STATUS_MALFORMED;
    struct unpacker unpacker = {.packed = body, .at = *at};
    struct item_inventory read = {0};
    uint32_t elements = unpack_array(&unpacker);
    read.kind = (enum inventory_kind)unpack_between(&unpacker, 0, INVENTORY_FORGOT);
    read.draw = unpack_between(&unpacker, 1, UINT32_MAX);
    if (unpacker.failed || elements != inventory_elements(read.kind))
        return STATUS_MALFORMED;
    if (read.kind == INVENTORY_BATCH) {
        read.agency = unpack_between(&unpacker, 0, UINT32_MAX);
        read.attempt = unpack_between(&unpacker, 1, UINT32_MAX);
        unpack_batch(&unpacker, &read.batch);
    } else if (read.kind == INVENTORY_SEAL) {
        digest_unpack(&unpacker, &read.root);
        read.number = unpack_between(&unpacker, 0, UINT32_MAX);
    }
    if (unpacker.failed)
        return STATUS_MALFORMED;
    *at = unpacker.at;
    *item = read;
    return STATUS_OK;
}
