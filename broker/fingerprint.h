/* One leaf of a fingerprint: what decides in one object, packed by its module in a fixed order,
 * without pointers and capacities, so that two states with the same future have the same
 * fingerprint. */
#ifndef SORTEO_BROKER_FINGERPRINT_H
#define SORTEO_BROKER_FINGERPRINT_H

#include "proto/wire/check.h"
#include "proto/wire/digest.h"
#include "proto/wire/pack.h"

/* Large enough for any one object that a module packs; checked. */
enum { FINGERPRINT_LEAF_BYTES = 512 };

/* What was packed, and an array behind it that is too large to pack. */
static inline void fingerprint_add_with(struct tree *tree, struct hasher *hasher,
                                        const struct packer *packed, struct slice array)
{
    const struct slice pieces[] = {{packed->buffer, packed->bytes}, array};
    struct digest leaf;

    CHECK(!packed->overflowed);
    hasher_sum(hasher, pieces, array.bytes > 0 ? 2 : 1, &leaf);
    tree_add(tree, hasher, &leaf);
}

static inline void fingerprint_add(struct tree *tree, struct hasher *hasher,
                                   const struct packer *packed)
{
    fingerprint_add_with(tree, hasher, packed, (struct slice){NULL, 0});
}

/* Times are signed; any one-to-one form will do. */
static inline void fingerprint_pack_time(struct packer *packer, int64_t at_ms)
{
    pack_unsigned(packer, (uint64_t)at_ms);
}

#endif
