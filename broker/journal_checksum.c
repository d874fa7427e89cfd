/* See journal_checksum.h. The triggers and the sum over all rows are made from the schema, so that
 * a new table or column is covered by being there. */
#include "broker/journal_checksum.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/check.h"

enum {
    COLUMNS_MAX = 16,
    TABLE_BYTES_MAX = 24,
    CELL_BYTES = 1 + DIGEST_BYTES, /* its type, and its number or the SHA-256 of its bytes */
    ARGUMENTS_BEFORE = 2,          /* the sum so far and the table's name */
};

/* The columns of one table, each behind `prefix`. */
#define COLUMNS(prefix)                               \
    "(SELECT group_concat('" prefix "' || name) FROM" \
    " (SELECT name FROM pragma_table_info(tables.name) WHERE name <> 'digests' ORDER BY cid))"

/* Without SQLite's own: ANALYZE in another program's hands makes some. */
#define TABLES                                                                                     \
    " FROM sqlite_schema AS tables WHERE type = 'table' AND name <> 'checksum' AND name NOT LIKE " \
    "'sqlite%'"

#define ADDED        "row_added(value, ''' || name || ''', ' || " COLUMNS("NEW.") " || ')"
#define REMOVED(sum) "row_removed(" sum ", ''' || name || ''', ' || " COLUMNS("OLD.") " || ')"

#define TRIGGER(event, sum)                                                               \
    "'CREATE TRIGGER checksum_" event "_' || name || ' AFTER " event " ON ' || name || '" \
    " BEGIN UPDATE checksum SET value = " sum "; END;'"

/* One text: every trigger's. */
static const char TRIGGERS[] = "SELECT group_concat(" TRIGGER("INSERT", ADDED) " || " TRIGGER(
    "DELETE", REMOVED("value")) " || " TRIGGER("UPDATE", REMOVED(ADDED)) ", '')" TABLES;

/* One text: a statement with a row for each row of each table, from the table itself and not from
 * an index of it. */
static const char ROWS[] =
    "SELECT group_concat('SELECT row_added(0, ''' || name || ''', ' || " COLUMNS(
        "") " || ') FROM ' || name || ' NOT INDEXED', ' UNION ALL ')" TABLES;

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

enum status checksum_open(struct journal *journal)
{
    if (hasher_create(&journal->hasher) != STATUS_OK)
        return sql_fail(journal, "open", SQLITE_NOMEM);
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    int answer = sqlite3_create_function(journal->database, "row_added", -1, flags, journal->hasher,
                                         row_added, NULL, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_create_function(journal->database, "row_removed", -1, flags,
                                         journal->hasher, row_removed, NULL, NULL);
    if (answer != SQLITE_OK)
        return sql_fail(journal, "open", answer);
    /* REPLACE removes a row: its trigger is to see that. */
    return sql_execute(journal, "open", "PRAGMA recursive_triggers = ON");
}

void checksum_close(struct journal *journal)
{
    hasher_destroy(&journal->hasher);
}

/* out: text: what the maker's one row has, for sqlite3_free. */
static enum status make_text(struct journal *journal, const char *maker, char **text)
{
    sqlite3_stmt *use = NULL;
    int answer = sqlite3_prepare_v2(journal->database, maker, -1, &use, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_step(use);
    bool is_made = answer == SQLITE_ROW;
    if (is_made)
        *text = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(use, 0));
    (void)sqlite3_finalize(use);
    if (is_made && *text != NULL)
        return STATUS_OK;
    return sql_fail(journal, "read", is_made ? SQLITE_NOMEM : answer);
}

enum status checksum_create(struct journal *journal)
{
    char *triggers = NULL;
    enum status status = make_text(journal, TRIGGERS, &triggers);
    if (status == STATUS_OK)
        status = sql_execute(journal, "create",
                             "CREATE TABLE checksum(value INTEGER NOT NULL) STRICT;"
                             "INSERT INTO checksum VALUES(0)");
    if (status == STATUS_OK)
        status = sql_execute(journal, "create", triggers);
    sqlite3_free(triggers);
    return status;
}

/* out: sum: over all rows as they stand in the file. */
static enum status sum_rows(struct journal *journal, uint64_t *sum)
{
    char *rows = NULL;
    enum status status = make_text(journal, ROWS, &rows);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *use = NULL;
    int answer = sqlite3_prepare_v2(journal->database, rows, -1, &use, NULL);
    sqlite3_free(rows);
    if (answer == SQLITE_OK)
        while ((answer = sqlite3_step(use)) == SQLITE_ROW)
            *sum += (uint64_t)sqlite3_column_int64(use, 0);
    (void)sqlite3_finalize(use);
    return answer == SQLITE_DONE ? STATUS_OK : sql_fail(journal, "read", answer);
}

enum status checksum_verify(struct journal *journal)
{
    uint64_t sum = 0;
    enum status status = sum_rows(journal, &sum);
    if (status != STATUS_OK)
        return status;
    status = sql_next(journal, SQL_READ_CHECKSUM);
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    bool is_right = status == STATUS_OK &&
                    (uint64_t)sqlite3_column_int64(sql_use(journal, SQL_READ_CHECKSUM), 0) == sum;
    sql_end(journal, SQL_READ_CHECKSUM);
    return is_right ? STATUS_OK : sql_fail_damaged(journal);
}
