/* The journal: one SQLite file that keeps the core's records (record.h). One transaction for a
 * turn's records, synced before it answers (WAL, synchronous FULL), begun as a writer (BEGIN
 * IMMEDIATE) and only while the epoch in the file is still this process's own: so of two brokers
 * on one journal the older one cannot decide anything. What an error of a write means is final:
 * nothing is written after it, and the program ends. Its tables stand in README.md under "Shell
 * and journal". */
#ifndef SORTEO_BROKER_JOURNAL_H
#define SORTEO_BROKER_JOURNAL_H

#include "broker/broker.h"

enum {
    JOURNAL_FORMAT = 2,
    JOURNAL_PATIENCE_MS = 10000, /* how long a transaction may wait for another process's to end */
    JOURNAL_SLICE_MS_MAX = 100,  /* and how long at a time, before it is asked whether to go on */
};

struct journal;

/* How to wait while another process is inside its own transaction. */
struct journal_patience {
    int64_t ms; /* in all, for one transaction: JOURNAL_PATIENCE_MS */
    /* Waits for slice_ms, or shorter. in: waited_ms: for this transaction so far. returns false:
     * the program is to end, and so is the waiting. Not called where ms is 0. */
    bool (*wait)(void *owner, int64_t waited_ms, int64_t slice_ms);
    /* Asked every few ms while the file is looked at, which may take seconds. returns false: as
     * above. NULL: it is looked at to the end. */
    bool (*goes_on)(void *owner);
    void *owner; /* borrowed, as long as the journal is open */
};

/* Whether folder/journal.sqlite is there, whatever it is; true also where that cannot be seen,
 * which journal_open then tells. */
bool journal_is_there(const char *folder);

/* Opens folder/journal.sqlite, or makes folder and journal, and takes the epoch: its number + 1,
 * or 1, with this id. Deletes the winner pages of draws that are not published. All of it is
 * durable at the return.
 * Looks before that whether the file is as brokers have left it (journal_checksum.h): reads all of
 * it.
 * in: id: random; patience: copied.
 * out: journal and epoch; on errors problem: one sentence for the user, problem_bytes with its
 * NUL.
 * errors: BUSY: another process is inside its own transaction (it is named): nothing is decided;
 *         INTERRUPTED: patience has answered false; FULL; CONFIG: the file is
 *         no journal, or of a format that is not known; CANNOT_CREATE; SYNC; IO, also where it is
 *         damaged; NO_MEMORY. */
enum status journal_open(const char *folder, const struct id *id,
                         const struct journal_patience *patience, struct journal **journal,
                         struct epoch *epoch, char *problem, size_t problem_bytes);
void journal_close(struct journal **journal);

/* Makes a turn's records durable, all or none. After any error every further call answers the
 * same.
 * errors: FENCED: another broker has taken the epoch; BUSY; INTERRUPTED; FULL; SYNC: the commit
 *         failed, and what is on the disk is only known to who opens the journal anew; CONFLICT: a
 *         record contradicts what is journaled; MALFORMED: a FOUND's body; IO; NO_MEMORY. */
enum status journal_write(struct journal *journal, const struct records *records);

/* Why no transaction can be made any more, or OK; and the sentence of the last error. */
enum status journal_verdict(const struct journal *journal);
const char *journal_problem(const struct journal *journal);

/* Hands back what broker_restore takes: the stores; RECOVERED, the last one; then for each draw in
 * order of id its OPENED, PLANs and DECLARATIONs in the order in which they were written, DECISION
 * and SEALED. Of a draw that is over only OPENED (if it ever opened) and PUBLISHED or VOID. What a
 * record borrows is valid during the call.
 * errors: the reader's own; IO; NO_MEMORY. */
typedef enum status journal_reader(void *reader, const struct record *record);
enum status journal_load(struct journal *journal, journal_reader *read, void *reader);

/* The journal as the core's archive; borrowed, as long as the journal is open.
 * page: beyond the last winner it is empty and upto the total; IO where the journal cannot be read.
 * cost of a page: O(page), whatever the total. */
struct archive journal_archive(struct journal *journal);

#endif
