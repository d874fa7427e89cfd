/* See journal_checksum.h. What the file has to have is made once more, empty and in memory: the
 * model. Triggers and the sum over all rows are made from its schema, so that a new table or column
 * is covered by being there, and nothing that a file says of itself is believed. */
#include "broker/journal_checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/check.h"

enum {
    COLUMNS_MAX = 16,
    TABLE_BYTES_MAX = 24,
    CELL_BYTES = 1 + DIGEST_BYTES, /* its type, and its number or the SHA-256 of its bytes */
    ARGUMENTS_BEFORE = 2,          /* the sum so far and the table's name */
    SCHEMA_COLUMNS = 4,            /* type, name, table, SQL */
};

/* -- of one row -- */

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

/* One value as CELL_BYTES at most. returns: behind it. */
static uint8_t *put_cell(struct hasher *hasher, uint8_t *at, sqlite3_value *cell)
{
    int type = sqlite3_value_type(cell);
    *at++ = (uint8_t)type;
    if (type == SQLITE_NULL)
        return at;
    if (type == SQLITE_INTEGER)
        return put_u64(at, (uint64_t)sqlite3_value_int64(cell));
    struct slice bytes = {sqlite3_value_blob(cell), 0};
    bytes.bytes = (size_t)sqlite3_value_bytes(cell);
    struct digest digest;
    hasher_sum(hasher, &bytes, 1, &digest);
    memcpy(at, digest.bytes, DIGEST_BYTES);
    return at + DIGEST_BYTES;
}

/* in: arguments: the sum so far, the table's name, the row's cells. returns 64 bits of its SHA-256.
 */
static uint64_t sum_row(struct hasher *hasher, int count, sqlite3_value **arguments)
{
    uint8_t row[TABLE_BYTES_MAX + COLUMNS_MAX * CELL_BYTES];
    const char *name = (const char *)sqlite3_value_text(arguments[1]);
    CHECK(name != NULL && strlen(name) < TABLE_BYTES_MAX);
    CHECK(count <= ARGUMENTS_BEFORE + COLUMNS_MAX);
    size_t name_bytes = strlen(name) + 1;
    memcpy(row, name, name_bytes);
    uint8_t *at = row + name_bytes;
    for (int index = ARGUMENTS_BEFORE; index < count; index++)
        at = put_cell(hasher, at, arguments[index]);
    struct slice whole = {row, (size_t)(at - row)};
    struct digest digest;
    hasher_sum(hasher, &whole, 1, &digest);
    uint64_t sum = 0;
    for (size_t index = 0; index < sizeof(sum); index++)
        sum = sum << 8 | digest.bytes[index];
    return sum;
}

static void row_added(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    uint64_t sum = (uint64_t)sqlite3_value_int64(arguments[0]);
    sum += sum_row(sqlite3_user_data(context), count, arguments);
    sqlite3_result_int64(context, (sqlite3_int64)sum);
}

static void row_removed(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    uint64_t sum = (uint64_t)sqlite3_value_int64(arguments[0]);
    sum -= sum_row(sqlite3_user_data(context), count, arguments);
    sqlite3_result_int64(context, (sqlite3_int64)sum);
}

/* -- of all rows -- */

/* The columns of one table, each behind `prefix`. */
#define COLUMNS(prefix)                               \
    "(SELECT group_concat('" prefix "' || name) FROM" \
    " (SELECT name FROM pragma_table_info(tables.name) WHERE name <> 'digests' ORDER BY cid))"

#define ADDED        "row_added(value, ''' || name || ''', ' || " COLUMNS("NEW.") " || ')"
#define REMOVED(sum) "row_removed(" sum ", ''' || name || ''', ' || " COLUMNS("OLD.") " || ')"

#define TRIGGER(event, sum)                                                                    \
    "'CREATE TEMP TRIGGER checksum_" event "_' || name || ' AFTER " event " ON main.' || name" \
    " || ' BEGIN UPDATE checksum SET value = " sum "; END;'"

#define ON_INSERT TRIGGER("INSERT", ADDED)
#define ON_DELETE TRIGGER("DELETE", REMOVED("value"))
#define ON_UPDATE TRIGGER("UPDATE", REMOVED(ADDED))

#define TABLES_BUT(names) \
    " FROM sqlite_schema AS tables WHERE type = 'table' AND name NOT IN " names

/* One text: every trigger's. */
static const char TRIGGERS[] = "SELECT group_concat(" ON_INSERT " || " ON_DELETE " || " ON_UPDATE
                               ", '')" TABLES_BUT("('checksum', 'winners')");

#define PUBLISHED " WHERE draw IN (SELECT draw FROM draws WHERE phase = 3)"

/* A row for each row of one table. */
#define SUM "'SELECT row_added(0, ''' || name || ''', ' || " COLUMNS("") " || ') FROM ' || name"

/* One text: a statement with a row for each row that is covered. */
static const char ROWS[] =
    "SELECT group_concat(" SUM " || CASE name WHEN 'winners' THEN '" PUBLISHED "' ELSE '' END,"
    " ' UNION ALL ')" TABLES_BUT("('checksum')");

/* The tables as a new file would have them. */
static enum status make_model(struct journal *journal)
{
    int answer = sqlite3_open(":memory:", &journal->model);
    if (answer == SQLITE_OK)
        answer = sqlite3_exec(journal->model, SQL_SCHEMA, NULL, NULL, NULL);
    return answer == SQLITE_OK ? STATUS_OK : sql_fail(journal, "make a model of", answer);
}

enum status checksum_open(struct journal *journal)
{
    if (hasher_create(&journal->hasher) != STATUS_OK)
        return sql_fail(journal, "open", SQLITE_NOMEM);
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    int answer = sqlite3_create_function(journal->database, "row_added", -1, flags, journal->hasher,
                                         row_added, NULL, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_create_function(journal->database, "row_removed", -1, flags,
                                         journal->hasher, row_removed, NULL, NULL);
    return answer == SQLITE_OK ? make_model(journal) : sql_fail(journal, "open", answer);
}

void checksum_close(struct journal *journal)
{
    (void)sqlite3_close(journal->model);
    hasher_destroy(&journal->hasher);
}

/* The first column of a statement's first row. out: text, for sqlite3_free; NULL: there is none. */
static enum status read_text(struct journal *journal, sqlite3 *database, const char *sql,
                             char **text)
{
    sqlite3_stmt *use = NULL;
    int answer = sqlite3_prepare_v2(database, sql, -1, &use, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_step(use);
    *text = NULL;
    if (answer == SQLITE_ROW && sqlite3_column_type(use, 0) != SQLITE_NULL) {
        *text = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(use, 0));
        if (*text == NULL)
            answer = SQLITE_NOMEM;
    }
    (void)sqlite3_finalize(use);
    bool is_read = answer == SQLITE_ROW || answer == SQLITE_DONE;
    return is_read ? STATUS_OK : sql_fail(journal, "read", answer);
}

enum status checksum_begin(struct journal *journal)
{
    char *triggers = NULL;
    enum status status = read_text(journal, journal->model, TRIGGERS, &triggers);
    if (status == STATUS_OK)
        status = sql_execute(journal, "open", triggers);
    sqlite3_free(triggers);
    return status;
}

/* -- whether it is as it was left -- */

/* in: made: stands on a row of the model's schema; look: asks the file for the same. */
static enum status verify_object(struct journal *journal, sqlite3_stmt *made, sqlite3_stmt *look)
{
    char what[TEXT_BYTES_MAX];
    for (int column = 0; column < SCHEMA_COLUMNS; column++)
        CHECK(sqlite3_bind_value(look, column + 1, sqlite3_column_value(made, column)) ==
              SQLITE_OK);
    int answer = sqlite3_step(look);
    (void)sqlite3_reset(look);
    if (answer == SQLITE_ROW)
        return STATUS_OK;
    if (answer != SQLITE_DONE)
        return sql_fail(journal, "read", answer);
    (void)snprintf(what, sizeof what, "its %s '%s' is not the one that a broker makes",
                   (const char *)sqlite3_column_text(made, 0),
                   (const char *)sqlite3_column_text(made, 1));
    return sql_fail_damaged(journal, what);
}

static enum status verify_schema(struct journal *journal)
{
    sqlite3_stmt *made = NULL;
    sqlite3_stmt *look = NULL;
    enum status status = STATUS_OK;
    int answer =
        sqlite3_prepare_v2(journal->model, "SELECT type, name, tbl_name, sql FROM sqlite_schema",
                           -1, &made, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_prepare_v2(journal->database,
                                    "SELECT 1 FROM sqlite_schema WHERE type IS ?1 AND name IS ?2"
                                    " AND tbl_name IS ?3 AND sql IS ?4",
                                    -1, &look, NULL);
    while (answer == SQLITE_OK && status == STATUS_OK && sqlite3_step(made) == SQLITE_ROW)
        status = verify_object(journal, made, look);
    (void)sqlite3_finalize(made);
    (void)sqlite3_finalize(look);
    return answer == SQLITE_OK ? status : sql_fail(journal, "read", answer);
}

/* in: sql: of one text, which has to be `expected` (NULL: none). */
static enum status verify_text(struct journal *journal, const char *sql, const char *expected,
                               const char *what)
{
    char *text = NULL;
    char clause[TEXT_BYTES_MAX];
    enum status status = read_text(journal, journal->database, sql, &text);
    if (status != STATUS_OK)
        return status;
    bool is_right = text != NULL && expected != NULL ? strcmp(text, expected) == 0
                                                     : text == NULL && expected == NULL;
    (void)snprintf(clause, sizeof clause, "%s%s", what, text != NULL ? text : "nothing");
    sqlite3_free(text);
    return is_right ? STATUS_OK : sql_fail_damaged(journal, clause);
}

/* in: use: stands before the first row of a statement with one sum in each. out: sum: over all. */
static int add_rows(sqlite3_stmt *use, uint64_t *sum)
{
    int answer;
    while ((answer = sqlite3_step(use)) == SQLITE_ROW)
        *sum += (uint64_t)sqlite3_column_int64(use, 0);
    return answer;
}

static enum status sum_all(struct journal *journal, uint64_t *sum)
{
    char *rows = NULL;
    sqlite3_stmt *use = NULL;
    enum status status = read_text(journal, journal->model, ROWS, &rows);
    if (status != STATUS_OK)
        return status;
    int answer = sqlite3_prepare_v2(journal->database, rows, -1, &use, NULL);
    sqlite3_free(rows);
    if (answer == SQLITE_OK)
        answer = add_rows(use, sum);
    (void)sqlite3_finalize(use);
    return answer == SQLITE_DONE ? STATUS_OK : sql_fail(journal, "read", answer);
}

enum status checksum_verify(struct journal *journal)
{
    uint64_t sum = 0;
    char expected[24];
    enum status status = verify_schema(journal);
    if (status == STATUS_OK)
        status = verify_text(journal, "SELECT name FROM sqlite_schema WHERE type = 'trigger'", NULL,
                             "it has a trigger, ");
    if (status == STATUS_OK)
        status = verify_text(journal, "PRAGMA integrity_check(1)", "ok", "");
    if (status == STATUS_OK)
        status = sum_all(journal, &sum);
    (void)snprintf(expected, sizeof expected, "%" PRId64, (int64_t)sum);
    if (status == STATUS_OK)
        status =
            verify_text(journal, "SELECT value FROM checksum", expected,
                        "its rows are not those that a broker has written; their checksum was ");
    return status;
}

/* -- winners -- */

static enum status read_sum(struct journal *journal, uint64_t *sum)
{
    enum status status = sql_next(journal, SQL_READ_CHECKSUM);
    if (status == STATUS_END)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    if (status != STATUS_OK)
        return status;
    *sum = (uint64_t)sqlite3_column_int64(sql_use(journal, SQL_READ_CHECKSUM), 0);
    sql_end(journal, SQL_READ_CHECKSUM);
    return STATUS_OK;
}

/* Over the winners of the published ones of these draws. */
static enum status sum_winners(struct journal *journal, uint32_t first, uint32_t last,
                               uint64_t *sum)
{
    sqlite3_stmt *use = sql_use(journal, SQL_SUM_WINNERS);
    sql_bind_integer(use, 1, first);
    sql_bind_integer(use, 2, last);
    int answer = add_rows(use, sum);
    enum status status = answer == SQLITE_DONE ? STATUS_OK : sql_fail(journal, "read", answer);
    sql_end(journal, SQL_SUM_WINNERS);
    return status;
}

static enum status write_sum(struct journal *journal, uint64_t sum)
{
    sql_bind_integer(sql_use(journal, SQL_WRITE_CHECKSUM), 1, (int64_t)sum);
    return sql_run(journal, SQL_WRITE_CHECKSUM, NULL);
}

enum status checksum_add_winners(struct journal *journal, uint32_t draw)
{
    uint64_t sum = 0;
    enum status status = read_sum(journal, &sum);
    if (status == STATUS_OK)
        status = sum_winners(journal, draw, draw, &sum);
    return status == STATUS_OK ? write_sum(journal, sum) : status;
}

enum status checksum_remove_winners(struct journal *journal, uint32_t first)
{
    uint64_t sum = 0;
    uint64_t winners = 0;
    enum status status = read_sum(journal, &sum);
    if (status == STATUS_OK)
        status = sum_winners(journal, first, UINT32_MAX, &winners);
    return status == STATUS_OK ? write_sum(journal, sum - winners) : status;
}
