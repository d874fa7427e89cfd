/* One number for a state, so that a simulator can tell states apart: FNV-1a over the fields, in
 * order. */
#ifndef SORTEO_AGENCY_FINGERPRINT_H
#define SORTEO_AGENCY_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#define FINGERPRINT_BASIS UINT64_C(0xcbf29ce484222325)

static inline uint64_t fingerprint_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t fingerprint_number(uint64_t hash, uint64_t number)
{
    return fingerprint_bytes(hash, &number, sizeof(number));
}

#endif
