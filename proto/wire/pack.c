/* Shortest-form msgpack, written and read by hand (pack.h). The first bytes of the types are those
 * of the msgpack specification, section "Formats"; which of them a length or a value takes is
 * PROTOCOL.md's "Shortest form": always the one with the fewest bytes. */
#include "proto/wire/pack.h"

enum {
    FIX_UNSIGNED_MAX = 0x7f,
    FIX_ARRAY = 0x90,
    FIX_ARRAY_MAX = 15,
    FIX_STR = 0xa0,
    FIX_STR_MAX = 31,
    FALSE = 0xc2,
    TRUE = 0xc3,
    BIN_8 = 0xc4,
    BIN_16 = 0xc5,
    BIN_32 = 0xc6,
    UNSIGNED_8 = 0xcc,
    UNSIGNED_16 = 0xcd,
    UNSIGNED_32 = 0xce,
    UNSIGNED_64 = 0xcf,
    STR_8 = 0xd9,
    STR_16 = 0xda,
    STR_32 = 0xdb,
    ARRAY_16 = 0xdc,
    ARRAY_32 = 0xdd,
};

/* ---- writing ---- */

void pack_begin(struct packer *packer, uint8_t *buffer, size_t buffer_bytes)
{
    *packer = (struct packer){.buffer = buffer, .buffer_bytes = buffer_bytes};
}

/* Room for that many bytes, or NULL from the first time on that something does not fit. */
static uint8_t *claim(struct packer *packer, size_t bytes)
{
    if (packer->overflowed || bytes > packer->buffer_bytes - packer->bytes) {
        packer->overflowed = true;
        return NULL;
    }
    uint8_t *room = packer->buffer + packer->bytes;
    packer->bytes += bytes;
    return room;
}

/* A first byte and the `width` low bytes of a value behind it, big-endian. */
static void put(struct packer *packer, uint8_t first, uint64_t value, size_t width)
{
    uint8_t *room = claim(packer, 1 + width);
    if (room == NULL)
        return;
    room[0] = first;
    for (size_t i = width; i > 0; i--, value >>= 8)
        room[i] = (uint8_t)value;
}

static void put_bytes(struct packer *packer, const void *data, size_t bytes)
{
    uint8_t *room = claim(packer, bytes);
    if (room != NULL && bytes > 0)
        memcpy(room, data, bytes);
}

void pack_array(struct packer *packer, uint32_t elements)
{
    if (elements <= FIX_ARRAY_MAX)
        put(packer, (uint8_t)(FIX_ARRAY | elements), 0, 0);
    else if (elements <= UINT16_MAX)
        put(packer, ARRAY_16, elements, 2);
    else
        put(packer, ARRAY_32, elements, 4);
}

void pack_unsigned(struct packer *packer, uint64_t value)
{
    if (value <= FIX_UNSIGNED_MAX)
        put(packer, (uint8_t)value, 0, 0);
    else if (value <= UINT8_MAX)
        put(packer, UNSIGNED_8, value, 1);
    else if (value <= UINT16_MAX)
        put(packer, UNSIGNED_16, value, 2);
    else if (value <= UINT32_MAX)
        put(packer, UNSIGNED_32, value, 4);
    else
        put(packer, UNSIGNED_64, value, 8);
}

void pack_bool(struct packer *packer, bool value)
{
    put(packer, value ? TRUE : FALSE, 0, 0);
}

void pack_bin(struct packer *packer, const void *data, size_t bytes)
{
    if (bytes <= UINT8_MAX)
        put(packer, BIN_8, bytes, 1);
    else if (bytes <= UINT16_MAX)
        put(packer, BIN_16, bytes, 2);
    else if (bytes <= UINT32_MAX)
        put(packer, BIN_32, bytes, 4);
    else
        packer->overflowed = true;
    put_bytes(packer, data, bytes);
}

void pack_str(struct packer *packer, struct slice text)
{
    if (text.bytes <= FIX_STR_MAX)
        put(packer, (uint8_t)(FIX_STR | text.bytes), 0, 0);
    else if (text.bytes <= UINT8_MAX)
        put(packer, STR_8, text.bytes, 1);
    else if (text.bytes <= UINT16_MAX)
        put(packer, STR_16, text.bytes, 2);
    else if (text.bytes <= UINT32_MAX)
        put(packer, STR_32, text.bytes, 4);
    else
        packer->overflowed = true;
    put_bytes(packer, text.data, text.bytes);
}

void pack_raw(struct packer *packer, struct slice packed)
{
    put_bytes(packer, packed.data, packed.bytes);
}

/* ---- reading ---- */

void unpack_begin(struct unpacker *unpacker, struct slice packed)
{
    *unpacker = (struct unpacker){.packed = packed};
}

static size_t bytes_left(const struct unpacker *unpacker)
{
    return unpacker->packed.bytes - unpacker->at;
}

static uint64_t fail(struct unpacker *unpacker)
{
    unpacker->failed = true;
    return 0;
}

/* The next bytes, or NULL from the first time on that something is not of the form. */
static const uint8_t *take(struct unpacker *unpacker, size_t bytes)
{
    if (bytes > bytes_left(unpacker))
        fail(unpacker);
    if (unpacker->failed)
        return NULL;
    const uint8_t *taken = unpacker->packed.data + unpacker->at;
    unpacker->at += bytes;
    return taken;
}

/* The first byte of a value; 0xc1, which msgpack never uses, once something has failed. */
static uint8_t take_first(struct unpacker *unpacker)
{
    enum { NEVER_USED = 0xc1 };
    const uint8_t *first = take(unpacker, 1);
    return first == NULL ? NEVER_USED : *first;
}

/* A big-endian integer of `width` bytes. Fails below `least`: a shorter form would have held it. */
static uint64_t take_integer(struct unpacker *unpacker, size_t width, uint64_t least)
{
    const uint8_t *bytes = take(unpacker, width);
    if (bytes == NULL)
        return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | bytes[i];
    return value >= least ? value : fail(unpacker);
}

uint32_t unpack_array(struct unpacker *unpacker)
{
    uint8_t first = take_first(unpacker);
    uint64_t elements = 0;
    if (first >= FIX_ARRAY && first <= FIX_ARRAY + FIX_ARRAY_MAX)
        elements = first & FIX_ARRAY_MAX;
    else if (first == ARRAY_16)
        elements = take_integer(unpacker, 2, FIX_ARRAY_MAX + 1);
    else if (first == ARRAY_32)
        elements = take_integer(unpacker, 4, UINT16_MAX + 1);
    else
        fail(unpacker);
    if (elements > bytes_left(unpacker)) /* the smallest element takes a byte */
        elements = fail(unpacker);
    return (uint32_t)elements;
}

uint64_t unpack_unsigned(struct unpacker *unpacker, uint64_t max)
{
    uint8_t first = take_first(unpacker);
    uint64_t value = 0;
    if (first <= FIX_UNSIGNED_MAX)
        value = first;
    else if (first == UNSIGNED_8)
        value = take_integer(unpacker, 1, FIX_UNSIGNED_MAX + 1);
    else if (first == UNSIGNED_16)
        value = take_integer(unpacker, 2, UINT8_MAX + 1);
    else if (first == UNSIGNED_32)
        value = take_integer(unpacker, 4, UINT16_MAX + 1);
    else if (first == UNSIGNED_64)
        value = take_integer(unpacker, 8, (uint64_t)UINT32_MAX + 1);
    else
        fail(unpacker);
    return value <= max ? value : fail(unpacker);
}

uint32_t unpack_between(struct unpacker *unpacker, uint32_t min, uint32_t max)
{
    uint64_t value = unpack_unsigned(unpacker, max);
    return value >= min ? (uint32_t)value : (uint32_t)fail(unpacker);
}

bool unpack_bool(struct unpacker *unpacker)
{
    uint8_t first = take_first(unpacker);
    if (first != TRUE && first != FALSE)
        fail(unpacker);
    return first == TRUE;
}

/* The bytes behind a length that was read. */
static struct slice take_slice(struct unpacker *unpacker, uint64_t bytes, size_t bytes_min,
                               size_t bytes_max)
{
    if (bytes < bytes_min || bytes > bytes_max)
        fail(unpacker);
    const uint8_t *data = take(unpacker, (size_t)bytes);
    struct slice taken = {.data = data, .bytes = data == NULL ? 0 : (size_t)bytes};
    return taken;
}

struct slice unpack_bin(struct unpacker *unpacker, size_t bytes_min, size_t bytes_max)
{
    uint8_t first = take_first(unpacker);
    uint64_t bytes = 0;
    if (first == BIN_8)
        bytes = take_integer(unpacker, 1, 0);
    else if (first == BIN_16)
        bytes = take_integer(unpacker, 2, UINT8_MAX + 1);
    else if (first == BIN_32)
        bytes = take_integer(unpacker, 4, UINT16_MAX + 1);
    else
        fail(unpacker);
    return take_slice(unpacker, bytes, bytes_min, bytes_max);
}

struct slice unpack_str(struct unpacker *unpacker, size_t bytes_min, size_t bytes_max)
{
    uint8_t first = take_first(unpacker);
    uint64_t bytes = 0;
    if (first >= FIX_STR && first <= FIX_STR + FIX_STR_MAX)
        bytes = first & FIX_STR_MAX;
    else if (first == STR_8)
        bytes = take_integer(unpacker, 1, FIX_STR_MAX + 1);
    else if (first == STR_16)
        bytes = take_integer(unpacker, 2, UINT8_MAX + 1);
    else if (first == STR_32)
        bytes = take_integer(unpacker, 4, UINT16_MAX + 1);
    else
        fail(unpacker);
    return take_slice(unpacker, bytes, bytes_min, bytes_max);
}

bool unpack_is_complete(const struct unpacker *unpacker)
{
    return !unpacker->failed && bytes_left(unpacker) == 0;
}
