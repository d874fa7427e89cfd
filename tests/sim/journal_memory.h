/* A journal in memory for tests: keeps deep copies of the records that a broker's core hands out,
 * gives them back to the next broker, and answers as its archive. Each apply is one durable
 * transaction. */
#ifndef SORTEO_TESTS_SIM_JOURNAL_MEMORY_H
#define SORTEO_TESTS_SIM_JOURNAL_MEMORY_H

#include "broker/broker.h"

struct journal_memory;

struct journal_memory *journal_memory_create(void);
void journal_memory_destroy(struct journal_memory **journal);

/* A copy as `cp` would make it. */
struct journal_memory *journal_memory_copy(const struct journal_memory *journal);

/* Takes the records of a turn. in: epoch: the one that the broker has taken; a RECOVERED raises it.
 * errors: FENCED: the journal's is another by now: nothing was taken. */
enum status journal_memory_apply(struct journal_memory *journal, uint64_t *epoch,
                                 const struct records *records);

/* A broker starts: pages of a draw that is not published are deleted, the epoch is raised.
 * returns its number. */
uint64_t journal_memory_open(struct journal_memory *journal);

/* Hands everything to broker_restore. errors: what that answers. */
enum status journal_memory_load(const struct journal_memory *journal, struct broker *broker);

/* The archive's functions, owner = journal. Borrowed. */
void journal_memory_archive(struct journal_memory *journal, struct archive *archive);

/* The epoch that was taken last. */
uint64_t journal_memory_epoch(const struct journal_memory *journal);
/* The record at an index below journal_memory_size; NULL: it is deleted. Borrowed. */
const struct record *journal_memory_at(const struct journal_memory *journal, size_t index);
/* The last PLAN or DECLARATION of an agency; NULL: none. Borrowed. */
const struct record *journal_memory_of_agency(const struct journal_memory *journal,
                                              enum record_kind kind, uint32_t draw,
                                              uint32_t agency);
/* True when it has that attempt of the agency with that plan. */
bool journal_memory_has_plan(const struct journal_memory *journal, uint32_t draw, uint32_t agency,
                             uint32_t attempt, const struct plan *plan);

/* How many records it was ever given; it grows with each that is kept. */
size_t journal_memory_size(const struct journal_memory *journal);
/* A number that is equal for what leads to equal brokers (proto/wire/fingerprint.h). */
uint64_t journal_memory_fingerprint(const struct journal_memory *journal);
/* How many records of a kind are there for a draw. */
size_t journal_memory_count(const struct journal_memory *journal, enum record_kind kind,
                            uint32_t draw);
/* The last record of a kind for a draw; NULL: none. Borrowed. */
const struct record *journal_memory_last(const struct journal_memory *journal,
                                         enum record_kind kind, uint32_t draw);

#endif
