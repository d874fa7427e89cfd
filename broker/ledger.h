/* The ledger of one draw: which batches each store holds durably, with bets and digest of each.
 * Agencies and stores are small indexes (roll.h, stores.h). A store's set is replaced by a
 * complete inventory, grows by STORED, and vanishes when the store is given up: so what counts
 * as durable is always what a store that is alive is known to hold. 36 bytes for each batch and
 * one bit for each batch and store. */
#ifndef SORTEO_BROKER_LEDGER_H
#define SORTEO_BROKER_LEDGER_H

#include "proto/wire/item.h"
#include "proto/wire/seqset.h"

struct ledger;

enum status ledger_create(struct ledger **ledger);
void ledger_destroy(struct ledger **ledger);

/* A new attempt of an agency begins: whatever is known of its batches is forgotten, in all stores
 * and in inventories that are being taken. in: an agency without a declaration. */
void ledger_begin_attempt(struct ledger *ledger, uint32_t agency);

/* A store says that it holds a batch of the attempt in force durably (STORED). A seq that no store
 * holds and no inventory names may come with another digest than before.
 * errors: CONFLICT: another digest is durable, or stands in an inventory that is being taken, of
 * this store or another: the first stays; STALE: a declaration is journaled and has another digest
 * for this seq, or none: not counted, no conflict; LIMIT: all agencies' batches heard of would be
 * more than BATCHES_MAX; NO_MEMORY. After an error nothing has changed. cost: O(1) */
enum status ledger_add(struct ledger *ledger, uint32_t store, uint32_t agency,
                       const struct item_stored *item);

/* An inventory: begun (again: anew), batch by batch, and at its end it replaces the store's set.
 * Until then it is not durable for anybody, but its digests stand. Errors of add as above. Forget:
 * it was never completed; where none was begun: no change. cost of end and forget: O(words of the
 * sets), allocates nothing */
void ledger_begin_inventory(struct ledger *ledger, uint32_t store);
enum status ledger_add_inventory(struct ledger *ledger, uint32_t store, uint32_t agency,
                                 const struct item_stored *item);
void ledger_end_inventory(struct ledger *ledger, uint32_t store);
void ledger_forget_inventory(struct ledger *ledger, uint32_t store);

/* A store is given up: what only it held is missing again. */
void ledger_drop_store(struct ledger *ledger, uint32_t store);

/* A declaration was journaled (or restored): from now on only these digests are durable for that
 * agency; what stores hold, or inventories name, under another digest or beyond is forgotten.
 * in: batches digests and bets, copied; may be the ledger's own arrays.
 * errors: NO_MEMORY, LIMIT: as above; nothing has changed then. */
enum status ledger_declare(struct ledger *ledger, uint32_t agency, uint32_t batches,
                           const struct digest *digests, const uint32_t *bets);
bool ledger_is_declared(const struct ledger *ledger, uint32_t agency);

/* What is durable in at least one store that is alive; the empty set for an agency never heard
 * of. Borrowed until the next change. */
const struct seqset *ledger_durable(const struct ledger *ledger, uint32_t agency);
/* What one store holds. Likewise. */
const struct seqset *ledger_store_holds(const struct ledger *ledger, uint32_t store,
                                        uint32_t agency);

/* Digest of a batch that is durable or declared; NULL: it is neither. */
const struct digest *ledger_digest(const struct ledger *ledger, uint32_t agency, uint32_t seq);
/* Arrays over all seqs below ledger_batches_heard(agency), in order of seq: for a declaration
 * that verified. What was never heard of is zeros, what is forgotten may still stand there. */
const struct digest *ledger_digests(const struct ledger *ledger, uint32_t agency);
const uint32_t *ledger_bets_all(const struct ledger *ledger, uint32_t agency);
/* One more than the highest seq that was ever heard of in this attempt; once declared, the
 * declared number. */
uint32_t ledger_batches_heard(const struct ledger *ledger, uint32_t agency);

enum ledger_verdict {
    LEDGER_INCOMPLETE, /* a declared seq is not durable yet */
    LEDGER_VERIFIED,   /* all below the count and none beyond is durable; bets and root agree */
    LEDGER_DIFFERS,    /* every declared seq is durable, but count, bets or root are others */
};

/* The predicate "finished". For an agency whose declaration is journaled another count or other
 * bets differ at once, and the root is not looked at: whoever asks has compared the declaration
 * with the journaled one. cost: O(1) while fewer are durable than declared; O(batches) SHA-256 of
 * 65 bytes when all is durable, none where the digests are declared already. */
enum ledger_verdict ledger_verify(const struct ledger *ledger, struct hasher *hasher,
                                  uint32_t agency, const struct declaration *declaration);

uint64_t ledger_fingerprint(const struct ledger *ledger, uint64_t hash);

#endif
