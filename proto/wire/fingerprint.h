/* One number for a state, so that a simulator can tell states apart: FNV-1a over what decides, in a
 * fixed order, without pointers and capacities, so that two states with the same future have the
 * same number. Times are left out: states that differ in them alone have the same number, and who
 * tells states apart by it has to add what he needs of them. Each module hashes its own part behind
 * `hash`, the parts before it. */
#ifndef SORTEO_PROTO_WIRE_FINGERPRINT_H
#define SORTEO_PROTO_WIRE_FINGERPRINT_H

#include "proto/wire/seqset.h"

#define FINGERPRINT_BASIS UINT64_C(0xcbf29ce484222325)

static inline uint64_t fingerprint_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Lowest byte first, on every machine. Times are signed; any one-to-one form will do. */
static inline uint64_t fingerprint_number(uint64_t hash, uint64_t number)
{
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (number >> shift & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t fingerprint_numbers(uint64_t hash, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = fingerprint_number(hash, numbers[i]);
    return hash;
}

/* cost: O(words + members) */
static inline uint64_t fingerprint_set(uint64_t hash, const struct seqset *set)
{
    hash = fingerprint_number(hash, set->members);
    for (uint32_t seq = seqset_next(set, 0); seq != UINT32_MAX; seq = seqset_next(set, seq + 1))
        hash = fingerprint_number(hash, seq);
    return hash;
}

#endif
