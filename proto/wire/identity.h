/* Who speaks, and in which of his lives: ids, epochs and openings (PROTOCOL.md, "Epochs and
 * openings"). An opening of a store and an epoch of a broker have one shape and one rule, so they
 * share one type. */
#ifndef SORTEO_PROTO_WIRE_IDENTITY_H
#define SORTEO_PROTO_WIRE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/wire/check.h"

enum { ID_BYTES = 16 };

/* A random identity of 16 bytes. */
struct id {
    uint8_t bytes[ID_BYTES];
};

/* The n-th life of something, and the random id that tells two n-th lives apart. Number 0 with an
 * id of zeros is "none yet": a broker that recovers sends it, and a store neither refuses nor
 * records it. */
struct epoch {
    uint64_t number;
    struct id id;
};

enum epoch_order {
    EPOCH_OLDER, /* the second is older than the first: refuse it */
    EPOCH_SAME,  /* the very same */
    EPOCH_NEWER, /* the second is newer: take it over */
    EPOCH_RIVAL, /* the same number with another id: refuse it */
};

static inline bool id_is_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES) == 0;
}

static inline enum epoch_order epoch_compare(const struct epoch *known, const struct epoch *heard)
{
    if (heard->number != known->number)
        return heard->number > known->number ? EPOCH_NEWER : EPOCH_OLDER;
    return id_is_equal(&known->id, &heard->id) ? EPOCH_SAME : EPOCH_RIVAL;
}

#endif
