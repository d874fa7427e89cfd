/* What is sealed: for each agency of a draw its attempt, plan, declaration and digests; and the
 * draw's range, seed and number. Its root is the tree head over the leaves
 *     SHA-256(0x00 || agency || batches || bets || rejected || root)
 * in order of agency id (PROTOCOL.md, "Manifest"). Written once by the broker, read by stores, by a
 * recovering broker and by whoever verifies. */
#ifndef SORTEO_PROTO_WIRE_MANIFEST_H
#define SORTEO_PROTO_WIRE_MANIFEST_H

#include "proto/wire/message.h"

/* The packed form is, in shortest form and one behind the other, a head
 *     [format, draw, range_first, range_last, is_given, given, seed, root, number, agencies]
 * and an entry for each agency, in strictly rising order of id
 *     [agency, attempt, bets_max, bytes_max, skips_bad_rows,
 *      batches, bets, rejected, root, digests, counts]
 * `digests` is one bin with 32 bytes for each batch, `counts` an array of each batch's bets. Draw
 * and attempt are at least 1, the plan is within its limits, a count is 1 to BATCH_BETS_MAX; there
 * are at most AGENCIES_MAX agencies and BATCHES_MAX batches. `seed` is zeros when the number is
 * given, `given` is 0 when it is not. In a leaf of the root, agency and batches are u32, bets and
 * rejected u64, all big-endian. */
enum { MANIFEST_FORMAT = 1 };

/* One agency's part, as it is written and as it is read. */
struct manifest_entry {
    uint32_t agency;
    uint32_t attempt;
    struct plan plan;
    struct declaration declaration;
    const struct digest *digests; /* borrowed, declaration.batches of them, in order of seq */
    const uint32_t *bets;         /* borrowed, likewise: bets of each batch */
};

/* What the draw opened with that decides its number. */
struct manifest_terms {
    uint32_t draw;
    uint32_t range_first; /* of the number, both ends included */
    uint32_t range_last;
    bool is_given;      /* the number was given at the opening: seed is zeros */
    uint32_t given;     /* need not lie in the range; 0 when none was given */
    struct digest seed; /* 32 bytes, secret until the result is published */
};

struct manifest;

/* True when the declaration is the one of its digests and bets: their head and their sum.
 * cost: a hash for each batch. */
bool manifest_entry_follows(const struct manifest_entry *entry, struct hasher *hasher);

/* Builds a manifest: computes root and number and keeps a copy of everything in its packed form.
 * in: terms with range_first <= range_last; entries in strictly rising order of agency, may be
 *     none. That a declaration is the one of its digests and bets is the caller's word.
 * errors: NO_MEMORY; LIMIT: more than AGENCIES_MAX agencies or BATCHES_MAX batches.
 * cost: one allocation: 33 to 37 packed bytes and 4 of index for each batch, about 200 for each
 *     agency. */
enum status manifest_create(const struct manifest_terms *terms,
                            const struct manifest_entry *entries, size_t entries_count,
                            struct hasher *hasher, struct manifest **manifest);

/* Reads a packed manifest from outside and keeps a copy. Checks every field, that each agency's
 * root is the head of its digests and its bets their sum, that root and number follow.
 * errors: MALFORMED, VERSION, LIMIT, NO_MEMORY; WRONG: a root, a sum or the number does not
 *     follow. */
enum status manifest_parse(struct slice packed, struct hasher *hasher, struct manifest **manifest);

void manifest_destroy(struct manifest **manifest);

/* The packed form; borrowed, as long as the manifest lives. */
struct slice manifest_packed(const struct manifest *manifest);
const struct manifest_terms *manifest_terms(const struct manifest *manifest);
const struct digest *manifest_root(const struct manifest *manifest);
uint32_t manifest_number(const struct manifest *manifest);
uint64_t manifest_bets(const struct manifest *manifest);
uint32_t manifest_batches(const struct manifest *manifest);

/* Agencies in order of id, in one array. in: index < manifest_agencies_count. Borrowed. */
size_t manifest_agencies_count(const struct manifest *manifest);
const struct manifest_entry *manifest_agency(const struct manifest *manifest, size_t index);

/* The entry of an agency, or NULL. cost: O(log agencies) */
const struct manifest_entry *manifest_find(const struct manifest *manifest, uint32_t agency);

/* The number that a draw has for its root: the given one, or the first of HMAC-SHA-256(seed, root
 * || i), i = 0, 1, … (u32 big-endian), whose first 8 bytes read as a big-endian integer x lie below
 * the largest multiple of the range's size that is at most 2^64; the number is then range_first + x
 * mod size. */
uint32_t manifest_derive_number(const struct manifest_terms *terms, const struct digest *root,
                                struct hasher *hasher);

#endif
