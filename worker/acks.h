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

struct acks {
    struct batch_record *batches; /* owned, ACKS_MAX of them */
    size_t count;
};

/* errors: NO_MEMORY. */
enum status acks_create(struct acks *acks);
void acks_destroy(struct acks *acks);

static inline bool acks_is_full(const struct acks *acks)
{
    return acks->count == ACKS_MAX;
}

/* in: acks that are not full. */
void acks_add(struct acks *acks, const struct batch_record *batch);

/* Before the group is committed: brings the batches into order and leaves each identity in once.
 * Where two batches have one, the later took the earlier one's place, and the store is asked
 * which of them it keeps.
 * errors: IO, VERSION. cost: O(n log n), allocates nothing. */
enum status acks_settle(struct acks *acks, const struct workbench *bench);

/* Sends STORED for all of them and empties the list. in: settled acks. out: bets, the sum over
 * the batches. */
void acks_send_stored(struct acks *acks, const struct workbench *bench, uint64_t *bets);

/* Sends RETURNED for all of them and empties the list. returns how many batches that were. cost:
 * O(n log n) */
size_t acks_send_returned(struct acks *acks, const struct workbench *bench);

#endif
