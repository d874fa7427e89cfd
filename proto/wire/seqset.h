/* A set of seq: a plain bitset that grows up to BATCHES_MAX (1 M batches = 128 KiB), and the form
 * in which it travels: a msgpack array of sorted, disjoint, not adjacent ranges, flat: [first,
 * count, first, count] (PROTOCOL.md, "Ranges"). */
#ifndef SORTEO_PROTO_WIRE_SEQSET_H
#define SORTEO_PROTO_WIRE_SEQSET_H

#include <stdint.h>

#include "proto/wire/pack.h"
#include "proto/wire/slice.h"
#include "proto/wire/status.h"

/* Open for values: zeroed is the empty set. */
struct seqset {
    uint64_t *words; /* owned, NULL when nothing was ever added */
    uint32_t words_count;
    uint32_t members; /* how many seqs are in it */
};

/* Frees what the set owns and leaves the empty set; safe twice. */
void seqset_clear(struct seqset *set);

bool seqset_has(const struct seqset *set, uint32_t seq);

/* errors: LIMIT: seq or first + count is beyond BATCHES_MAX; NO_MEMORY. Nothing is changed then. */
enum status seqset_add(struct seqset *set, uint32_t seq);
enum status seqset_add_range(struct seqset *set, uint32_t first, uint32_t count);
void seqset_remove(struct seqset *set, uint32_t seq);

/* set = set \ other; set = copy of other. errors: NO_MEMORY (copy). */
void seqset_subtract(struct seqset *set, const struct seqset *other);
enum status seqset_copy(struct seqset *set, const struct seqset *other);

bool seqset_is_equal(const struct seqset *a, const struct seqset *b);

/* The lowest member, or the lowest seq that is no member, at or after `from`.
 * UINT32_MAX where there is no such member. cost: O(words) */
uint32_t seqset_next(const struct seqset *set, uint32_t from);
uint32_t seqset_next_absent(const struct seqset *set, uint32_t from);

/* True when every seq below `count` is a member and none beyond. cost: O(1); O(words behind
 * `count`) where the set has `count` members. */
bool seqset_is_full_below(const struct seqset *set, uint32_t count);

/* Packs the members at or after `from` as ranges into `buffer`.
 * out: ranges: slice of the buffer; upto: nothing is said about seqs at or beyond it: UINT32_MAX
 *      when all members fitted, else the end of the last range that did. cost: O(members' runs) */
void seqset_pack(const struct seqset *set, uint32_t from, uint8_t *buffer, size_t buffer_bytes,
                 struct slice *ranges, uint32_t *upto);

/* Reads ranges from outside one by one. */
struct range {
    uint32_t first;
    uint32_t count;
};

struct range_cursor {
    struct slice packed;
    size_t at;
    uint32_t ranges_left;
    uint32_t beyond; /* end of the last range; the next one must begin after it */
};

/* errors: MALFORMED: no array header in shortest form, or an odd number of elements. */
enum status range_open(struct range_cursor *cursor, struct slice packed);

/* errors: END: no range is left and the bytes end here; MALFORMED: not in shortest form, empty, not
 * sorted, touching the one before, beyond BATCHES_MAX, or trailing bytes. */
enum status range_next(struct range_cursor *cursor, struct range *range);

/* True when the packed ranges are of the specified form to the end. */
bool ranges_are_valid(struct slice packed);

/* Reads ranges that stand inside something larger, checks them to their end and moves behind them.
 * Fails the unpacker when they are not of the specified form or take more than bytes_max.
 * returns them still packed; a slice of the input. */
struct slice ranges_unpack(struct unpacker *unpacker, size_t bytes_max);

/* set = set ∪ ranges. errors: MALFORMED, NO_MEMORY (the set may hold a part of them then). */
enum status seqset_add_ranges(struct seqset *set, struct slice packed);

#endif
