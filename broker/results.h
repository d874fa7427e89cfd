/* The count of one sealed draw: which batches have been asked of which store, and what was
 * answered. A question goes to one store about batches that no other live or answered question
 * covers; it is answered whole or not at all. An answered one stays valid whatever becomes of its
 * store; a live one dies with its store's registration. Winners themselves are the journal's; here
 * they are only counted. */
#ifndef SORTEO_BROKER_RESULTS_H
#define SORTEO_BROKER_RESULTS_H

#include "proto/wire/item.h"
#include "proto/wire/manifest.h"
#include "proto/wire/seqset.h"

struct results;

/* in: manifest: borrowed, outlives the results; question_epoch: the broker's epoch number, so that
 * answers to questions of an earlier broker are told apart. errors: NO_MEMORY. */
enum status results_create(const struct manifest *manifest, uint64_t question_epoch,
                           struct results **results);
void results_destroy(struct results **results);

/* What one store holds of one agency; borrowed until the next change of the ledger. */
typedef const struct seqset *results_holds(void *owner, uint32_t store, uint32_t agency_id);

/* Asks a store about everything that it holds and nobody else was asked, as far as it fits into one
 * COUNT. in: store without a live question; buffer for the body. out: message and its body. errors:
 * END: the store holds nothing that is not covered; LIMIT: QUESTIONS_MAX; NO_MEMORY. */
enum status results_ask(struct results *results, uint32_t store, results_holds *holds, void *owner,
                        uint8_t *buffer, size_t buffer_bytes, struct message_count *count,
                        size_t *body_bytes);

/* The number of the store's live question; 0: it has none. */
uint32_t results_live_question(const struct results *results, uint32_t store);

/* A page of winners. errors: STALE: not of a live question of this store, or a page that came
 * before: ignore it; WRONG: items that were not asked for, or no winners: the question should die.
 */
enum status results_found(struct results *results, uint32_t store,
                          const struct message_found *found, struct slice body);

/* The end of an answer. OK: the question is answered. errors: STALE as above; WRONG: not exactly
 * what was asked, or bets or winners that do not add up: the question should die. */
enum status results_counted(struct results *results, uint32_t store,
                            const struct message_counted *counted, struct slice body);

/* The store's live question dies; its batches are open again. returns its number, 0: there was
 * none. */
uint32_t results_kill(struct results *results, uint32_t store);

/* True when the answered questions cover the manifest. */
bool results_are_complete(const struct results *results);
/* Batches that no live or answered question covers. */
uint32_t results_uncovered(const struct results *results);
/* Of one agency, by its index in the manifest: the batches that they cover. */
const struct seqset *results_covered(const struct results *results, size_t agency);
uint64_t results_winners(const struct results *results);

uint64_t results_fingerprint(const struct results *results, uint64_t hash);

#endif
