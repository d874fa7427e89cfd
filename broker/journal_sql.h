/* The journal's own inside: its schema, its statements, and what SQLite's answers mean. For
 * journal.c, journal_record.c, journal_load.c and archive.c alone. */
#ifndef SORTEO_BROKER_JOURNAL_SQL_H
#define SORTEO_BROKER_JOURNAL_SQL_H

#include <sqlite3.h>

#include "broker/journal.h"

enum {
    JOURNAL_APPLICATION = 0x536f7274, /* "Sort", in the file's head: what `file` and SQLite tell */
    PATH_BYTES_MAX = 4096,
    ENTRY_BYTES = DIGEST_BYTES + 4, /* a batch's digest and its bets as a big-endian u32 */
    ENTRIES_AT_ONCE = 1024,         /* 36 KiB: the pieces in which a blob of them is moved */
};

/* What to do where the journal is none any more. */
#define RECOVER_ADVICE                                           \
    "move its folder (--data) away and start with --recover N, " \
    "N being how many stores there are"

/* Every statement, prepared once. Their SQL stands in journal_sql.c under the same name. */
enum statement {
    SQL_READ_CHECKSUM,
    SQL_WRITE_CHECKSUM,
    SQL_SUM_WINNERS,
    SQL_READ_EPOCH,
    SQL_TAKE_EPOCH,
    SQL_DELETE_UNPUBLISHED,
    SQL_ADD_STORE,
    SQL_ADD_DRAW,
    SQL_ADD_ROSTER,
    SQL_ADD_PLAN,
    SQL_ADD_DECLARATION,
    SQL_ADD_DECISION,
    SQL_ADD_MEMBER,
    SQL_SEAL,
    SQL_ADD_WINNERS,
    SQL_DROP_QUESTION,
    SQL_PUBLISH,
    SQL_PUBLISH_RESULTS,
    SQL_PUBLISH_RANKS,
    SQL_VOID,
    SQL_DROP_WINNERS,
    SQL_RECOVER,
    SQL_READ_RECOVERED,
    SQL_READ_STORES,
    SQL_READ_DRAWS,
    SQL_READ_ROSTER,
    SQL_READ_PLANS,
    SQL_READ_DECLARATIONS,
    SQL_READ_DECISION,
    SQL_COUNT_RESULTS,
    SQL_READ_MEMBERS,
    SQL_READ_OVER,
    SQL_READ_RESULT,
    SQL_READ_RANK,
    SQL_READ_PLACES,
    SQL_READ_BODY,
    STATEMENTS_COUNT,
};

struct journal {
    sqlite3 *database;                         /* owned */
    sqlite3_stmt *statement[STATEMENTS_COUNT]; /* owned */
    sqlite3 *model;        /* owned; the tables that the file has to have (journal_checksum.c) */
    struct hasher *hasher; /* owned; the checksum's */
    struct journal_patience patience;
    int64_t waited_ms;   /* for the lock of the transaction that begins */
    bool is_stopped;     /* patience.wait has answered false */
    struct epoch epoch;  /* our own */
    enum status verdict; /* sticky; OK while it can be written */
    int wal_pages;       /* in the WAL since its last checkpoint */
    char path[PATH_BYTES_MAX];
    char problem[PATH_BYTES_MAX + TEXT_BYTES_MAX];
};

/* The tables and indexes of JOURNAL_FORMAT, to the letter. */
extern const char SQL_SCHEMA[];

/* Makes them. errors: as SQLite's. */
enum status sql_create_tables(struct journal *journal);
enum status sql_prepare(struct journal *journal);
void sql_finalize(struct journal *journal);

/* Says what SQLite's answer means, and keeps a sentence: "cannot DOING the journal 'PATH': …". */
enum status sql_fail(struct journal *journal, const char *doing, int answer);

/* The file is not as brokers have left it. in: what: a clause. returns IO, and keeps a sentence
 * that says what to do. */
enum status sql_fail_damaged(struct journal *journal, const char *what);

/* Runs one or several statements without results. */
enum status sql_execute(struct journal *journal, const char *doing, const char *sql);

/* The statement with its parameters still to be bound: ?1, ?2, … in order. */
sqlite3_stmt *sql_use(struct journal *journal, enum statement statement);
void sql_bind_integer(sqlite3_stmt *use, int parameter, int64_t value);
/* in: bytes that live until sql_run or sql_end. */
void sql_bind_bytes(sqlite3_stmt *use, int parameter, const void *bytes, size_t count);

/* Runs a statement without results to its end. out: changes (may be NULL): rows that it changed. */
enum status sql_run(struct journal *journal, enum statement statement, int *changes);

/* The next row of a statement with results. errors: END: there is none, and the statement is
 * reset. After anything but OK it needs no sql_end. */
enum status sql_next(struct journal *journal, enum statement statement);
/* Ends a statement of which not every row was read. */
void sql_end(struct journal *journal, enum statement statement);

uint32_t sql_u32(sqlite3_stmt *use, int column);
/* Four columns: attempt, bets_max, bytes_max, skips_bad_rows. errors: IO: no agency has such ones:
 * the file is damaged. */
enum status sql_read_attempt(struct journal *journal, sqlite3_stmt *use, int column,
                             uint32_t *attempt, struct plan *plan);
/* Copies a blob of exactly this length. errors: IO: it has another one: the file is damaged. */
enum status sql_read_bytes(struct journal *journal, sqlite3_stmt *use, int column, void *bytes,
                           size_t count);

/* Writes one record inside a transaction (journal_record.c). */
enum status journal_write_record(struct journal *journal, const struct record *record);

#endif
