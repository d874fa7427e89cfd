/* What the file was cut into: one entry for each batch, in order of seq. It is all that an agency
 * remembers of its bets (56 bytes for each batch); the bets themselves are read again from the file
 * when needed. */
#ifndef SORTEO_AGENCY_CUTS_H
#define SORTEO_AGENCY_CUTS_H

#include <stdint.h>

#include "proto/wire/digest.h"
#include "proto/wire/limits.h"
#include "proto/wire/status.h"

/* One batch as it was cut. */
struct cut {
    uint64_t offset; /* in the file, of the first bet's row */
    uint64_t line;   /* likewise, from 1 */
    uint32_t bets;
    uint32_t bytes; /* of its body */
    struct digest digest;
};

/* What a batch weighs in a window or a queue (PROTOCOL.md, "Window"). */
static inline uint64_t cut_weight(const struct cut *cut)
{
    return (uint64_t)cut->bytes + BATCH_WEIGHT_EXTRA_BYTES;
}

/* Open for values: zeroed is the empty table. */
struct cuts {
    struct cut *items; /* owned */
    uint32_t count;
    uint32_t capacity;
};

/* Frees what the table owns and leaves the empty one; safe twice. */
void cuts_clear(struct cuts *cuts);

/* Appends the batch with seq = count. errors: LIMIT: BATCHES_MAX are there; NO_MEMORY. Nothing
 * changed then. cost: amortised O(1), grows by doubling up to BATCHES_MAX entries. */
enum status cuts_add(struct cuts *cuts, const struct cut *cut);

/* in: seq < count. Borrowed until the next cuts_add. */
const struct cut *cuts_at(const struct cuts *cuts, uint32_t seq);

/* The last line that belongs to a batch: the one before the next batch's first, or as many lines as
 * it has bets where it is the last. in: seq < count. */
uint64_t cuts_last_line(const struct cuts *cuts, uint32_t seq);

/* Finds the first batch whose digest is another one in a page of the ledger's digests.
 * in: digests: DIGEST_BYTES for each seq from `from` on; all zeros where the ledger knows none: no
 *     difference. Seqs beyond the table are a difference.
 * out: seq. returns true when there is one. */
bool cuts_find_difference(const struct cuts *cuts, uint32_t from, struct slice digests,
                          uint32_t *seq);

#endif
