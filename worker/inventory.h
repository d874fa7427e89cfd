/* What a registering worker tells: everything that is durable in its store, in numbered chunks,
 * one for each step, so that the loop turns between them. A few chunks may be on their way
 * unanswered, so that neither a slow broker's queue grows nor a distant one costs a round trip
 * for each. */
#ifndef SORTEO_WORKER_INVENTORY_H
#define SORTEO_WORKER_INVENTORY_H

#include "worker/workbench.h"

enum { INVENTORY_AHEAD_MAX = 4 }; /* chunks that no PING has answered yet */

/* Open for values: zeroed, then inventory_begin. */
struct inventory {
    uint32_t next_draw; /* of the seals, told first; 0 at first */
    bool seals_are_told;
    struct batch_identity next; /* of the batches */
    bool is_complete;           /* the last chunk was sent */
    uint32_t chunks_sent;
    uint32_t chunks_answered;
};

void inventory_begin(struct inventory *inventory);

/* A PING came. */
void inventory_hear(struct inventory *inventory);

/* True when a chunk may leave now. in: the last one has not left. */
bool inventory_is_ready(const struct inventory *inventory);

/* Sends the next chunk. errors: IO, VERSION. cost: one listing of up to CHUNK_BYTES_MAX. */
enum status inventory_step(struct inventory *inventory, const struct workbench *bench);

#endif
