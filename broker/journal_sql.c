/* The journal's schema and statements, and the few calls of SQLite's that everything else is
 * made of. */
#include "broker/journal_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/wire/batch.h"
#include "proto/wire/check.h"

/* `place` keeps the order of writing. Numbers of the protocol that have 64 bits are kept as
 * SQLite's signed ones with the same bits. `digests` has [digest, bets as big-endian u32] of
 * each batch in order of seq. A row of `winners` is a run of one batch's winners as one page
 * brought them; `row` is its first one's. */
const char SQL_SCHEMA[] =
    "CREATE TABLE epoch(only INTEGER PRIMARY KEY CHECK(only = 1), number INTEGER NOT NULL,"
    " id BLOB NOT NULL) STRICT;"
    "CREATE TABLE stores(place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE draws(draw INTEGER PRIMARY KEY, phase INTEGER NOT NULL, range_first INTEGER,"
    " range_last INTEGER, is_given INTEGER, given INTEGER, seed BLOB, agencies_required INTEGER,"
    " has_roster INTEGER, barrier_timeout_ms INTEGER, on_timeout INTEGER, quorum INTEGER,"
    " root BLOB, number INTEGER) STRICT;"
    "CREATE TABLE roster(draw INTEGER, agency INTEGER,"
    " PRIMARY KEY(draw, agency)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE plans(place INTEGER PRIMARY KEY, draw INTEGER NOT NULL, agency INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, bets_max INTEGER NOT NULL, bytes_max INTEGER NOT NULL,"
    " skips_bad_rows INTEGER NOT NULL, wall_ms INTEGER NOT NULL,"
    " UNIQUE(draw, agency, attempt)) STRICT;"
    "CREATE TABLE declarations(place INTEGER PRIMARY KEY, draw INTEGER NOT NULL,"
    " agency INTEGER NOT NULL, attempt INTEGER NOT NULL, bets_max INTEGER NOT NULL,"
    " bytes_max INTEGER NOT NULL, skips_bad_rows INTEGER NOT NULL, batches INTEGER NOT NULL,"
    " bets INTEGER NOT NULL, rejected INTEGER NOT NULL, root BLOB NOT NULL, digests BLOB NOT NULL,"
    " UNIQUE(draw, agency)) STRICT;"
    "CREATE TABLE decisions(draw INTEGER PRIMARY KEY, action INTEGER NOT NULL) STRICT;"
    "CREATE TABLE members(draw INTEGER, agency INTEGER,"
    " PRIMARY KEY(draw, agency)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE winners(place INTEGER PRIMARY KEY, draw INTEGER NOT NULL,"
    " question INTEGER NOT NULL, agency INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " row INTEGER NOT NULL, items INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE INDEX winners_order ON winners(draw, agency, seq, row, items);"
    "CREATE INDEX winners_question ON winners(draw, question);"
    "CREATE TABLE ranks(draw INTEGER, agency INTEGER, rank INTEGER, seq INTEGER NOT NULL,"
    " row INTEGER NOT NULL, PRIMARY KEY(draw, agency, rank)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE results(draw INTEGER, agency INTEGER, winners INTEGER NOT NULL,"
    " PRIMARY KEY(draw, agency)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE recovered(only INTEGER PRIMARY KEY CHECK(only = 1),"
    " draw INTEGER NOT NULL) STRICT;"
    "CREATE TABLE checksum(only INTEGER PRIMARY KEY CHECK(only = 1),"
    " value INTEGER NOT NULL) STRICT;";

/* Those that a draw is made with: after a decision, its members alone. */
#define AGENCIES_OF_DRAW                                         \
    "declarations WHERE draw = ?1"                               \
    " AND (NOT EXISTS (SELECT 1 FROM decisions WHERE draw = ?1)" \
    "  OR agency IN (SELECT agency FROM members WHERE draw = ?1))"

/* Phases as in message.h: 1 OPEN, 2 SEALED, 3 PUBLISHED, 4 VOID. Each 64th row of an agency's
 * winners has its rank kept: a page begins at most 63 rows behind one. */
static const char *const SQL[STATEMENTS_COUNT] = {
    [SQL_READ_CHECKSUM] = "SELECT value FROM checksum",
    [SQL_WRITE_CHECKSUM] = "UPDATE checksum SET value = ?1",
    [SQL_SUM_WINNERS] =
        "SELECT row_added(0, 'winners', place, draw, question, agency, seq, row, items, body)"
        " FROM winners WHERE draw BETWEEN ?1 AND ?2"
        " AND draw IN (SELECT draw FROM draws WHERE phase = 3)",
    [SQL_READ_EPOCH] = "SELECT number, id FROM epoch",
    [SQL_TAKE_EPOCH] = "INSERT INTO epoch VALUES(1, ?1, ?2) ON CONFLICT(only)"
                       " DO UPDATE SET number = excluded.number, id = excluded.id",
    [SQL_DELETE_UNPUBLISHED] =
        "DELETE FROM winners WHERE draw NOT IN (SELECT draw FROM draws WHERE phase = 3)",
    [SQL_ADD_STORE] = "INSERT INTO stores(id) VALUES(?1)",
    [SQL_ADD_DRAW] = "INSERT INTO draws VALUES(?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                     " NULL, NULL)",
    [SQL_ADD_ROSTER] = "INSERT INTO roster VALUES(?1, ?2)",
    [SQL_ADD_PLAN] = "INSERT INTO plans VALUES(NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_ADD_DECLARATION] =
        "INSERT INTO declarations VALUES(NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
        " zeroblob(?11))",
    [SQL_ADD_DECISION] = "INSERT INTO decisions VALUES(?1, ?2)",
    [SQL_ADD_MEMBER] = "INSERT INTO members VALUES(?1, ?2)",
    [SQL_SEAL] = "UPDATE draws SET phase = 2, root = ?2, number = ?3 WHERE draw = ?1 AND phase = 1",
    [SQL_ADD_WINNERS] = "INSERT INTO winners VALUES(NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_DROP_QUESTION] = "DELETE FROM winners WHERE draw = ?1 AND question = ?2",
    [SQL_PUBLISH] = "UPDATE draws SET phase = 3 WHERE draw = ?1 AND phase = 2",
    [SQL_PUBLISH_RESULTS] =
        "INSERT INTO results SELECT draw, agency, (SELECT coalesce(sum(items), 0) FROM winners"
        "  WHERE winners.draw = ?1 AND winners.agency = declarations.agency)"
        " FROM " AGENCIES_OF_DRAW,
    [SQL_PUBLISH_RANKS] =
        "INSERT INTO ranks SELECT draw, agency, upto - items, seq, row FROM"
        " (SELECT draw, agency, seq, row, items, sum(items) OVER heap AS upto,"
        "   row_number() OVER heap AS nth FROM winners WHERE draw = ?1 WINDOW heap AS"
        "   (PARTITION BY agency ORDER BY seq, row ROWS UNBOUNDED PRECEDING))"
        " WHERE nth % 64 = 1",
    [SQL_VOID] = "INSERT INTO draws(draw, phase) VALUES(?1, 4)"
                 " ON CONFLICT(draw) DO UPDATE SET phase = 4 WHERE phase <> 3",
    [SQL_DROP_WINNERS] = "DELETE FROM winners WHERE draw = ?1",
    [SQL_RECOVER] = "INSERT INTO recovered VALUES(1, ?1) ON CONFLICT(only)"
                    " DO UPDATE SET draw = excluded.draw",
    [SQL_READ_RECOVERED] = "SELECT draw FROM recovered",
    [SQL_READ_STORES] = "SELECT id FROM stores ORDER BY place",
    [SQL_READ_DRAWS] = "SELECT draw, phase, range_first, range_last, is_given, given, seed,"
                       " agencies_required, has_roster, barrier_timeout_ms, on_timeout, quorum,"
                       " root, number FROM draws ORDER BY draw",
    [SQL_READ_ROSTER] = "SELECT agency FROM roster WHERE draw = ?1 ORDER BY agency",
    [SQL_READ_PLANS] = "SELECT agency, attempt, bets_max, bytes_max, skips_bad_rows, wall_ms"
                       " FROM plans WHERE draw = ?1 ORDER BY place",
    [SQL_READ_DECLARATIONS] =
        "SELECT place, agency, attempt, bets_max, bytes_max, skips_bad_rows, batches, bets,"
        " rejected, root FROM declarations WHERE draw = ?1 ORDER BY place",
    [SQL_COUNT_RESULTS] = "SELECT (SELECT count(*) FROM results WHERE draw = ?1),"
                          " (SELECT count(*) FROM " AGENCIES_OF_DRAW ")",
    [SQL_READ_DECISION] = "SELECT action FROM decisions WHERE draw = ?1",
    [SQL_READ_MEMBERS] = "SELECT agency FROM members WHERE draw = ?1 ORDER BY agency",
    [SQL_READ_OVER] = "SELECT phase, root, number, is_given, seed, range_first, range_last"
                      " FROM draws WHERE draw = ?1 AND phase >= 3",
    [SQL_READ_RESULT] = "SELECT winners, attempt, bets_max, bytes_max, skips_bad_rows"
                        " FROM results JOIN declarations USING (draw, agency)"
                        " WHERE draw = ?1 AND agency = ?2",
    [SQL_READ_RANK] = "SELECT rank, seq, row FROM ranks"
                      " WHERE draw = ?1 AND agency = ?2 AND rank <= ?3 ORDER BY rank DESC LIMIT 1",
    [SQL_READ_PLACES] = "SELECT place, items FROM winners INDEXED BY winners_order"
                        " WHERE draw = ?1 AND agency = ?2 AND (seq, row) >= (?3, ?4)"
                        " ORDER BY seq, row",
    [SQL_READ_BODY] = "SELECT body FROM winners WHERE place = ?1",
};

/* The pid of the process inside a transaction: WAL's write lock is byte 120 of the -shm file, as
 * the file format of SQLite says. 0 where nobody, or nobody visible, holds it. Closing the
 * descriptor gives up every lock that this process has on the file: only for a journal that is
 * about to be closed. */
static long find_holder(const char *path)
{
    char shm[PATH_BYTES_MAX + 8];
    (void)snprintf(shm, sizeof(shm), "%s-shm", path);
    int descriptor = open(shm, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = 120,
                         .l_len = 1,
                         .l_pid = 0};
    bool is_held = fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(descriptor);
    return is_held ? (long)lock.l_pid : 0;
}

static enum status name_holder(struct journal *journal)
{
    char holder[32] = "another process";
    long pid = find_holder(journal->path);
    if (pid > 0)
        (void)snprintf(holder, sizeof(holder), "process %ld", pid);
    if (journal->is_stopped) {
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "told to end while %s was inside a transaction of the journal '%s'", holder,
                       journal->path);
        return STATUS_INTERRUPTED;
    }
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "the journal '%s' is held by %s, which is inside a transaction: end that "
                   "process, or let it go on",
                   journal->path, holder);
    return STATUS_BUSY;
}

static enum status translate(int answer, int system_errno)
{
    if ((answer & 0xff) == SQLITE_IOERR && (system_errno == ENOSPC || system_errno == EDQUOT))
        return STATUS_FULL;
    switch (answer & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STATUS_BUSY;
    case SQLITE_FULL:
        return STATUS_FULL;
    case SQLITE_NOMEM:
        return STATUS_NO_MEMORY;
    case SQLITE_CONSTRAINT:
        return STATUS_CONFLICT;
    case SQLITE_NOTADB:
        return STATUS_CONFIG;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return STATUS_CANNOT_CREATE;
    default:
        return STATUS_IO;
    }
}

enum status sql_fail(struct journal *journal, const char *doing, int answer)
{
    sqlite3 *database = journal->database;
    bool is_system = (answer & 0xff) == SQLITE_IOERR || (answer & 0xff) == SQLITE_CANTOPEN;
    int system_errno = is_system && database != NULL ? sqlite3_system_errno(database) : 0;
    enum status status = translate(answer, system_errno);
    if (status == STATUS_BUSY)
        return name_holder(journal);
    /* Its head says that nobody writes it, its mode that we may. */
    if (answer == SQLITE_READONLY && access(journal->path, W_OK) == 0)
        return sql_fail_damaged(journal, "its head is not the one that a broker has written");
    if (answer == SQLITE_INTERRUPT) {
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "told to end while the journal '%s' was looked at", journal->path);
        return STATUS_INTERRUPTED;
    }
    bool is_latest = database != NULL && sqlite3_extended_errcode(database) == answer;
    bool is_damaged = (answer & 0xff) == SQLITE_CORRUPT || (answer & 0xff) == SQLITE_CONSTRAINT;
    const char *advice = is_damaged ? "; " RECOVER_ADVICE : "";
    if ((answer & 0xff) == SQLITE_NOTADB)
        advice = ": it is no journal; choose another --data, or, if it was one, " RECOVER_ADVICE;
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "cannot %s the journal '%s': %s%s%s%s", doing, journal->path,
                   is_latest ? sqlite3_errmsg(database) : sqlite3_errstr(answer),
                   system_errno == 0 ? "" : ": ", system_errno == 0 ? "" : strerror(system_errno),
                   advice);
    return status;
}

enum status sql_fail_damaged(struct journal *journal, const char *what)
{
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "the journal '%s' is damaged, or another program has changed it: "
                   "%s; " RECOVER_ADVICE,
                   journal->path, what);
    return STATUS_IO;
}

enum status sql_execute(struct journal *journal, const char *doing, const char *sql)
{
    int answer = sqlite3_exec(journal->database, sql, NULL, NULL, NULL);
    return answer == SQLITE_OK ? STATUS_OK : sql_fail(journal, doing, answer);
}

enum status sql_create_tables(struct journal *journal)
{
    char head[TEXT_BYTES_MAX];
    (void)snprintf(head, sizeof(head), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                   JOURNAL_APPLICATION, JOURNAL_FORMAT);
    enum status status = sql_execute(journal, "create", head);
    if (status == STATUS_OK)
        status = sql_execute(journal, "create", SQL_SCHEMA);
    return status == STATUS_OK ? sql_execute(journal, "create", "INSERT INTO checksum VALUES(1, 0)")
                               : status;
}

enum status sql_prepare(struct journal *journal)
{
    for (int index = 0; index < STATEMENTS_COUNT; index++) {
        int answer =
            sqlite3_prepare_v3(journal->database, SQL[index], -1, SQLITE_PREPARE_PERSISTENT,
                               &journal->statement[index], NULL);
        if (answer != SQLITE_OK)
            return sql_fail(journal, "read", answer);
    }
    return STATUS_OK;
}

void sql_finalize(struct journal *journal)
{
    for (int index = 0; index < STATEMENTS_COUNT; index++) {
        (void)sqlite3_finalize(journal->statement[index]);
        journal->statement[index] = NULL;
    }
}

sqlite3_stmt *sql_use(struct journal *journal, enum statement statement)
{
    return journal->statement[statement];
}

/* A number, or bytes that are not copied, cannot fail to be bound but by a mistake of ours. */
void sql_bind_integer(sqlite3_stmt *use, int parameter, int64_t value)
{
    CHECK(sqlite3_bind_int64(use, parameter, value) == SQLITE_OK);
}

void sql_bind_bytes(sqlite3_stmt *use, int parameter, const void *bytes, size_t count)
{
    CHECK(count <= INT32_MAX);
    CHECK(sqlite3_bind_blob(use, parameter, bytes, (int)count, SQLITE_STATIC) == SQLITE_OK);
}

enum status sql_run(struct journal *journal, enum statement statement, int *changes)
{
    sqlite3_stmt *use = journal->statement[statement];
    int answer = sqlite3_step(use);
    CHECK(answer != SQLITE_ROW);
    if (answer == SQLITE_DONE && changes != NULL)
        *changes = sqlite3_changes(journal->database);
    enum status status = answer == SQLITE_DONE ? STATUS_OK : sql_fail(journal, "write", answer);
    sql_end(journal, statement);
    return status;
}

enum status sql_next(struct journal *journal, enum statement statement)
{
    int answer = sqlite3_step(journal->statement[statement]);
    if (answer == SQLITE_ROW)
        return STATUS_OK;
    enum status status = answer == SQLITE_DONE ? STATUS_END : sql_fail(journal, "read", answer);
    sql_end(journal, statement);
    return status;
}

/* A reset repeats the error of the step before it, which has been told; bindings are cleared so
 * that none points at bytes that are gone. */
void sql_end(struct journal *journal, enum statement statement)
{
    (void)sqlite3_reset(journal->statement[statement]);
    (void)sqlite3_clear_bindings(journal->statement[statement]);
}

uint32_t sql_u32(sqlite3_stmt *use, int column)
{
    return (uint32_t)sqlite3_column_int64(use, column);
}

enum status sql_read_attempt(struct journal *journal, sqlite3_stmt *use, int column,
                             uint32_t *attempt, struct plan *plan)
{
    *attempt = sql_u32(use, column);
    *plan = (struct plan){.bets_max = sql_u32(use, column + 1),
                          .bytes_max = sql_u32(use, column + 2),
                          .skips_bad_rows = sqlite3_column_int(use, column + 3) != 0};
    return *attempt > 0 && plan_is_valid(plan) ? STATUS_OK
                                               : sql_fail(journal, "read", SQLITE_CORRUPT);
}

enum status sql_read_bytes(struct journal *journal, sqlite3_stmt *use, int column, void *bytes,
                           size_t count)
{
    const void *blob = sqlite3_column_blob(use, column);
    if (blob == NULL || sqlite3_column_bytes(use, column) != (int)count)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    memcpy(bytes, blob, count);
    return STATUS_OK;
}
