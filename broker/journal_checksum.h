/* The checksum over the journal's rows. SQLite notices a page whose form is wrong, not a value that
 * has rotted inside a good one, nor a row that another hand has written: this does, at the next
 * start. It is the sum of 64 bits of each row's SHA-256, so the order of rows is without
 * meaning, and triggers that stand in the file itself keep it in the transaction that changes a
 * row. They call functions that only a broker has: in another program's hands a change fails.
 * It is against rot and mistakes, not against somebody who wants to deceive: of that speak the
 * stores' manifests. Inside of the journal, as journal_sql.h. */
#ifndef SORTEO_BROKER_JOURNAL_CHECKSUM_H
#define SORTEO_BROKER_JOURNAL_CHECKSUM_H

#include "broker/journal_sql.h"

/* Gives this connection the functions. Before any row is changed. errors: NO_MEMORY. */
enum status checksum_open(struct journal *journal);
void checksum_close(struct journal *journal);

/* Makes the table of the checksum and the triggers of all other tables, which are there and empty.
 * Every column is covered but for declarations.digests, which is written piece by piece behind
 * SQL's back: declarations.root is over it, and looked at when it is read (start.c).
 * errors: as SQLite's. */
enum status checksum_create(struct journal *journal);

/* Whether the rows are those that were written.
 * errors: IO: they are not, and journal->problem says what to do; NO_MEMORY.
 * cost: reads every row, the winners of draws that are over too. */
enum status checksum_verify(struct journal *journal);

#endif
