/* What every store has to do (worker/store.h), as functions that a test of one store calls with
 * an empty one. Each fails the test that calls it. */
#ifndef SORTEO_TESTS_UNIT_STORE_CONTRACT_H
#define SORTEO_TESTS_UNIT_STORE_CONTRACT_H

#include "worker/store.h"

/* A record whose digest is made of `mark`; no body is asked to fit it. */
struct batch_record contract_batch(uint32_t draw, uint32_t agency, uint32_t attempt, uint32_t seq,
                                   uint8_t mark);

/* Puts one batch with a body of `bytes` bytes, each `mark`, in a transaction of its own. */
void contract_store(struct store *store, const struct batch_record *batch, size_t bytes);

void contract_keeps_a_batch(struct store *store);
void contract_tells_same_digest_from_another(struct store *store);
void contract_replaces_only_when_told(struct store *store);
void contract_reads_inside_a_transaction(struct store *store);
void contract_abandons_without_a_trace(struct store *store);
void contract_erases(struct store *store);
void contract_lists_in_order_of_identity(struct store *store);
void contract_goes_on_with_a_listing(struct store *store);
void contract_keeps_seals(struct store *store);
void contract_forgets_a_manifest(struct store *store);
void contract_keeps_an_epoch(struct store *store);
void contract_keeps_bodies_of_any_size(struct store *store);

#endif
