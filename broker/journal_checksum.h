/* Whether the journal is as brokers have left it. SQLite notices a page whose form is wrong and,
 * where it is asked, an index that does not go with its table; a value that has rotted inside a
 * good page, or a row that another hand has written, only a checksum shows: the sum of 64 bits of
 * each row's SHA-256, so that their order is without meaning. Triggers of this connection keep it
 * in the transaction that changes a row. Winners count from the publication of their draw on;
 * before, they are many, come and go, and no start keeps them.
 * It is against rot and mistakes, not against somebody who wants to deceive: against him there are
 * the stores' manifests. Inside of the journal, as journal_sql.h. */
#ifndef SORTEO_BROKER_JOURNAL_CHECKSUM_H
#define SORTEO_BROKER_JOURNAL_CHECKSUM_H

#include "broker/journal_sql.h"

/* Before all others. errors: NO_MEMORY. */
enum status checksum_open(struct journal *journal);
void checksum_close(struct journal *journal);

/* Whether the file has the tables and indexes of SQL_SCHEMA and no triggers, indexes that go with
 * their tables, and the rows that were written. Other tables are nothing to it. In a transaction.
 * errors: IO: it has not, and journal->problem says what to do; INTERRUPTED; NO_MEMORY.
 * cost: reads all of the file: 2 s for a million runs of winners, of draws that are over too. */
enum status checksum_verify(struct journal *journal);

/* From now on each change of a row changes the checksum. In a transaction. Every column is covered
 * but declarations.digests, which is written piece by piece behind SQL's back: declarations.root is
 * over it, and looked at when it is read (start.c). errors: as SQLite's. */
enum status checksum_begin(struct journal *journal);

/* The winners of this draw, which is published; those of this draw and later ones, which are to be
 * deleted. In the transaction of that. errors: as SQLite's. cost: reads them. */
enum status checksum_add_winners(struct journal *journal, uint32_t draw);
enum status checksum_remove_winners(struct journal *journal, uint32_t first);

#endif
