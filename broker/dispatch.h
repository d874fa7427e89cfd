/* From the queue to the stores: batches that wait, credit of each store, and what is in flight.
 * A batch is held (queued or in flight) at most once; a second copy is not taken. Nothing is in
 * flight for ever. */
#ifndef SORTEO_BROKER_DISPATCH_H
#define SORTEO_BROKER_DISPATCH_H

#include "proto/wire/digest.h"
#include "proto/wire/seqset.h"

/* A batch that waits. */
struct parcel {
    uint32_t agency; /* index in the roll */
    uint32_t attempt;
    uint32_t seq;
    uint32_t weight;      /* body bytes + BATCH_WEIGHT_EXTRA_BYTES */
    struct digest digest; /* as its header says */
    void *payload;        /* the shell's; owned until it is given away or released */
};

struct dispatch;

/* in: queue_bytes: the queue's budget (its array has queue_bytes / 512 places and one, less than
 * 2^31: --memory has its maximum); release: called for each payload that is dropped.
 * errors: NO_MEMORY. */
enum status dispatch_create(size_t queue_bytes, void (*release)(void *payload),
                            struct dispatch **dispatch);
void dispatch_destroy(struct dispatch **dispatch);

/* True while the queue weighs less than its budget. */
bool dispatch_has_room(const struct dispatch *dispatch);
size_t dispatch_queue_weight(const struct dispatch *dispatch);

/* Takes a batch over. in: an agency's parcels are all of one attempt until dispatch_drop_agency.
 * errors: EXISTS: it is held already; LIMIT: the batches that all agencies have reached would be
 * more than BATCHES_MAX; FULL: no room; NO_MEMORY. After an error the payload is still the
 * caller's. cost: O(1) */
enum status dispatch_push(struct dispatch *dispatch, const struct parcel *parcel);

/* A store has been welcomed: no credit, nothing in flight. Open already: closed first.
 * errors: NO_MEMORY: it is closed. cost: allocates its table of flights */
enum status dispatch_open_store(struct dispatch *dispatch, uint32_t store);
/* Its registration, lease or life is over: what is in flight to it is in flight no more, and its
 * table is freed. Not open: no change, here and in credit, spend and land. */
void dispatch_close_store(struct dispatch *dispatch, uint32_t store);

/* CREDIT: the weight admitted since WELCOME, in all; a lower or equal one than before changes
 * nothing; what is outstanding is cut to CREDIT_BYTES_MAX, and the rest is not admitted later. */
void dispatch_credit(struct dispatch *dispatch, uint32_t store, uint64_t admitted_bytes);
/* RETURNED: all admitted so far counts as spent; only a higher total admits more. */
void dispatch_spend(struct dispatch *dispatch, uint32_t store);

/* The next batch to send, to the open store with most credit left (any credit left admits one
 * batch; equal: the lowest store after the last one served). It is in flight from now on and its
 * payload the caller's. A store with FLIGHTS_MAX flights is sent nothing until one ends.
 * returns false: the queue is empty or no store has credit. cost: O(open stores) */
bool dispatch_next(struct dispatch *dispatch, int64_t now_ms, uint32_t *store,
                   struct parcel *parcel);

/* A batch has arrived, was rejected or returned: its flight to that store is over. Not in flight
 * there, or in another attempt: no change. cost: O(1) */
void dispatch_land(struct dispatch *dispatch, uint32_t store, uint32_t agency, uint32_t attempt,
                   uint32_t seq);

/* Ends flights that began at or before now - grace. returns when the next one would end,
 * INT64_MAX: none. */
int64_t dispatch_expire(struct dispatch *dispatch, int64_t now_ms, int64_t grace_ms);
/* The broker itself slept: every flight began later by that much. */
void dispatch_shift(struct dispatch *dispatch, int64_t by_ms);

/* An older attempt is over or the agency is excluded; the draw is over: queued batches are
 * released, flights forgotten. */
void dispatch_drop_agency(struct dispatch *dispatch, uint32_t agency);
/* The agency has finished with so many batches, all of them durable: where it has reached beyond,
 * everything of it is dropped, since what it has reached takes of the draw's BATCHES_MAX. */
void dispatch_finish_agency(struct dispatch *dispatch, uint32_t agency, uint32_t batches);
void dispatch_drop_all(struct dispatch *dispatch);

/* Queued or in flight in the attempt in force. Borrowed until the next change. */
const struct seqset *dispatch_held(const struct dispatch *dispatch, uint32_t agency);

uint64_t dispatch_fingerprint(const struct dispatch *dispatch, uint64_t hash);

#endif
