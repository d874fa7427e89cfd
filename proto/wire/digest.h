/* Digests of batches and the trees over them (RFC 9162, section 2.1: a leaf is SHA-256(0x00 ||
 * entry), a node SHA-256(0x01 || left || right), the head of nothing SHA-256 of nothing). A batch's
 * digest is such a leaf; an agency's root is the tree head of its digests in order of seq. */
#ifndef SORTEO_PROTO_WIRE_DIGEST_H
#define SORTEO_PROTO_WIRE_DIGEST_H

#include <stdint.h>

#include "proto/wire/pack.h"
#include "proto/wire/slice.h"
#include "proto/wire/status.h"

enum { DIGEST_BYTES = 32 };

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

static inline bool digest_is_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

/* Reads a digest, a bin of 32 bytes. Fails the unpacker when there is none; `digest` is untouched
 * then. */
void digest_unpack(struct unpacker *unpacker, struct digest *digest);

/* SHA-256 with a fetched algorithm and a reused context: less than half the time of a one-shot call
 * for a node of a tree (tests/bench/hot_path). One thread owns a hasher. */
struct hasher;

/* errors: NO_MEMORY. */
enum status hasher_create(struct hasher **hasher);
void hasher_destroy(struct hasher **hasher);

/* SHA-256 of up to four pieces, one after the other. cost: O(bytes), allocates nothing. */
void hasher_sum(struct hasher *hasher, const struct slice *pieces, size_t pieces_count,
                struct digest *digest);

/* HMAC-SHA-256 (RFC 2104) with a key of up to 64 bytes over up to three pieces. */
void hasher_hmac(struct hasher *hasher, struct slice key, const struct slice *pieces,
                 size_t pieces_count, struct digest *digest);

/* SHA-256(0x00 || draw || agency || seq || count || body), integers big-endian u32. */
void digest_batch(struct hasher *hasher, uint32_t draw, uint32_t agency, uint32_t seq,
                  uint32_t count, struct slice body, struct digest *digest);

/* A tree head computed leaf by leaf in O(log n) memory. */
struct tree {
    struct digest peaks[64]; /* heads of the complete subtrees, largest first */
    uint32_t peaks_count;
    uint64_t leaves_count;
};

void tree_begin(struct tree *tree);
void tree_add(struct tree *tree, struct hasher *hasher, const struct digest *leaf);

/* out: the head over what was added so far; the tree is unchanged and can go on. */
void tree_head(const struct tree *tree, struct hasher *hasher, struct digest *head);

#endif
