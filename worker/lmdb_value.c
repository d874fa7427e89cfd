/* See lmdb_value.h. Lengths are fixed, so that a value of another length is known as not ours. What
 * has rotted may have any value: who reads it is given none that it does not expect. */
#include "worker/lmdb_value.h"

#include <string.h>

#include "proto/wire/limits.h"

static uint8_t *pack_number(uint8_t *at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    return at + bytes;
}

static const uint8_t *read_number(const uint8_t *at, size_t bytes, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < bytes; i++)
        *number = *number << 8 | at[i];
    return at + bytes;
}

static const uint8_t *read_u32(const uint8_t *at, uint32_t *number)
{
    uint64_t wide;
    at = read_number(at, 4, &wide);
    *number = (uint32_t)wide;
    return at;
}

/* A value of `bytes` bytes of the format that we know. */
static enum status check_value(struct slice value, size_t bytes)
{
    if (value.bytes == 0)
        return STATUS_IO;
    if (value.data[0] != VALUE_FORMAT)
        return STATUS_VERSION;
    return value.bytes == bytes ? STATUS_OK : STATUS_IO;
}

void value_pack_identity(const struct batch_identity *identity, uint8_t key[IDENTITY_KEY_BYTES])
{
    uint8_t *at = pack_number(key, identity->draw, 4);
    at = pack_number(at, identity->agency, 4);
    at = pack_number(at, identity->attempt, 4);
    pack_number(at, identity->seq, 4);
}

enum status value_read_identity(struct slice key, struct batch_identity *identity)
{
    if (key.bytes != IDENTITY_KEY_BYTES)
        return STATUS_IO;
    const uint8_t *at = read_u32(key.data, &identity->draw);
    at = read_u32(at, &identity->agency);
    at = read_u32(at, &identity->attempt);
    read_u32(at, &identity->seq);
    if (identity->draw == 0 || identity->attempt == 0 || identity->seq >= BATCHES_MAX)
        return STATUS_IO;
    return STATUS_OK;
}

void value_pack_batch(const struct batch_record *batch, uint64_t arrival,
                      uint8_t value[BATCH_VALUE_BYTES])
{
    value[0] = VALUE_FORMAT;
    uint8_t *at = pack_number(value + 1, batch->bets, 4);
    at = pack_number(at, arrival, 8);
    memcpy(at, batch->digest.bytes, DIGEST_BYTES);
}

enum status value_read_batch(struct slice value, struct batch_record *batch, uint64_t *arrival)
{
    enum status status = check_value(value, BATCH_VALUE_BYTES);
    if (status != STATUS_OK)
        return status;
    const uint8_t *at = read_u32(value.data + 1, &batch->bets);
    at = read_number(at, 8, arrival);
    memcpy(batch->digest.bytes, at, DIGEST_BYTES);
    return batch->bets > 0 && batch->bets <= BATCH_BETS_MAX ? STATUS_OK : STATUS_IO;
}

void value_pack_draw(uint32_t draw, uint8_t key[SEAL_KEY_BYTES])
{
    pack_number(key, draw, SEAL_KEY_BYTES);
}

void value_pack_seal(const struct seal_record *seal, uint8_t value[SEAL_VALUE_BYTES])
{
    value[0] = VALUE_FORMAT;
    value[1] = (uint8_t)seal->kind;
    value[2] = seal->is_forgotten ? 1 : 0;
    memcpy(value + 3, seal->root.bytes, DIGEST_BYTES);
    pack_number(value + 3 + DIGEST_BYTES, seal->number, 4);
}

enum status value_read_seal(struct slice key, struct slice value, struct seal_record *seal)
{
    enum status status = check_value(value, SEAL_VALUE_BYTES);
    if (status != STATUS_OK)
        return status;
    if (key.bytes != SEAL_KEY_BYTES || value.data[1] > SEAL_AS_VOID || value.data[2] > 1)
        return STATUS_IO;
    read_u32(key.data, &seal->draw);
    seal->kind = (enum seal_kind)value.data[1];
    seal->is_forgotten = value.data[2] == 1;
    memcpy(seal->root.bytes, value.data + 3, DIGEST_BYTES);
    read_u32(value.data + 3 + DIGEST_BYTES, &seal->number);
    return seal->draw > 0 ? STATUS_OK : STATUS_IO;
}

void value_pack_epoch(const struct epoch *epoch, uint8_t value[EPOCH_VALUE_BYTES])
{
    value[0] = VALUE_FORMAT;
    uint8_t *at = pack_number(value + 1, epoch->number, 8);
    memcpy(at, epoch->id.bytes, ID_BYTES);
}

enum status value_read_epoch(struct slice value, struct epoch *epoch)
{
    enum status status = check_value(value, EPOCH_VALUE_BYTES);
    if (status != STATUS_OK)
        return status;
    const uint8_t *at = read_number(value.data + 1, 8, &epoch->number);
    memcpy(epoch->id.bytes, at, ID_BYTES);
    return STATUS_OK;
}

void value_pack_id(const struct id *id, uint8_t value[ID_VALUE_BYTES])
{
    value[0] = VALUE_FORMAT;
    memcpy(value + 1, id->bytes, ID_BYTES);
}

enum status value_read_id(struct slice value, struct id *id)
{
    enum status status = check_value(value, ID_VALUE_BYTES);
    if (status == STATUS_OK)
        memcpy(id->bytes, value.data + 1, ID_BYTES);
    return status;
}

enum status value_read_bytes(struct slice value, struct slice *bytes)
{
    if (value.bytes == 0)
        return STATUS_IO;
    if (value.data[0] != VALUE_FORMAT)
        return STATUS_VERSION;
    *bytes = (struct slice){value.data + 1, value.bytes - 1};
    return STATUS_OK;
}
