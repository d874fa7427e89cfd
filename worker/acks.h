/* The batches of one group on their way to an acknowledgement: collected while the group is
 * open, then told in bulk for each (draw, agency, attempt), as STORED or as RETURNED. */
#ifndef SORTEO_WORKER_ACKS_H
#define SORTEO_WORKER_ACKS_H

#include "worker/workbench.h"

enum {
    /* As many batches as the whole credit admits, and the one that any credit left admits. */
    ACKS_MAX = CREDIT_BYTES_MAX / BATCH_WEIGHT_EXTRA_BYTES + 1,
    ACK_BYTES_MAX = 96, /* STORED's header and one item: 26 + 45; RETURNED: 29 + 7 */
};

/* One batch, and which one of the group it was: an acknowledgement is told for the last one of an
 * identity, since that is what the store keeps. */
struct ack {
    struct batch_record batch;
    uint32_t place; /* in the order of arrival */
};

struct acks {
    struct ack *list; /* owned, ACKS_MAX of them */
    size_t count;
};

/* errors: NO_MEMORY. */
enum status acks_create(struct acks *acks);
void acks_destroy(struct acks *acks);

static inline bool acks_is_full(const struct acks *acks)
{
    return acks->count == ACKS_MAX;
}

/* in: acks that are not full; a batch that the store has now, as a new one, as one that was there
 * or in place of another one; or, where all go back, any. */
void acks_add(struct acks *acks, const struct batch_record *batch);

/* Sends STORED for all of them in their order, each identity once, and empties the list: where two
 * have one, the later took the earlier one's place in the store. out: bets, the sum over the
 * batches; returns how many batches that were. cost: O(n log n), allocates nothing. */
size_t acks_send_stored(struct acks *acks, const struct workbench *bench, uint64_t *bets);

/* The same with RETURNED. */
size_t acks_send_returned(struct acks *acks, const struct workbench *bench);

#endif
