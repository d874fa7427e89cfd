/* The checksum over the journal's rows: whatever a broker writes keeps it right, and whatever else
 * changes a row is found at the next start. */
#include "tests/unit/journal_fixture.h"

enum { CELLS_MAX = 128, TABLES_MAX = 16, NAME_BYTES = 32 };

/* A journal with rows in every table: recovered, draw 1 published by a decision, draw 2 open. */
static void begin_full(struct fixture *fixture)
{
    static const struct digest digest = {{1}};
    static const uint32_t bets = 9;
    static const uint32_t members[] = {4};
    static const uint32_t roster[] = {4, 5};
    fixture_begin(fixture);
    const struct record recovered = {.kind = RECORD_RECOVERED, .draw = 1, .recovered_epoch = 40};
    records_add(fixture->records, &recovered);
    add_store(fixture, 9);
    add_opened(fixture, 1);
    for (uint32_t agency = 4; agency <= 5; agency++) {
        add_plan(fixture, 1, agency, 2);
        add_declaration(fixture, 1, agency, 1, &digest, &bets);
    }
    struct record decision = {.kind = RECORD_DECISION, .draw = 1};
    decision.decision.action = TIMEOUT_DRAW;
    decision.decision.members = members;
    decision.decision.members_count = 1;
    records_add(fixture->records, &decision);
    add_sealed(fixture, 1);
    add_found(fixture, 1, 1, 4, (uint32_t[]){0, 3}, 2, 2);
    add_found(fixture, 1, 2, 4, (uint32_t[]){1}, 1, 1);
    add_dropped(fixture, 1, 2);
    add_simple(fixture, RECORD_PUBLISHED, 1);
    struct record opened = {.kind = RECORD_OPENED, .draw = 2};
    opened.opened = (struct terms){.roster = roster, .roster_count = 2, .agencies_required = 2};
    opened.opened.number = (struct manifest_terms){.draw = 2, .range_last = 9999, .seed = {{3}}};
    records_add(fixture->records, &opened);
    add_plan(fixture, 2, 5, 1);
    fixture_write(fixture);
}

/* Names as the schema has them. returns how many; table and column of each, column "" where only
 * tables are asked for. */
static int read_names(struct fixture *fixture, const char *sql, char (*tables)[NAME_BYTES],
                      char (*columns)[NAME_BYTES])
{
    sqlite3_stmt *use = NULL;
    int count = 0;
    cr_assert_eq(sqlite3_prepare_v2(fixture->journal->database, sql, -1, &use, NULL), SQLITE_OK);
    for (; sqlite3_step(use) == SQLITE_ROW; count++) {
        cr_assert_lt(count, CELLS_MAX);
        snprintf(tables[count], NAME_BYTES, "%s", (const char *)sqlite3_column_text(use, 0));
        snprintf(columns[count], NAME_BYTES, "%s", (const char *)sqlite3_column_text(use, 1));
    }
    sqlite3_finalize(use);
    return count;
}

/* The next start refuses the journal, says what to do, and takes no epoch. */
static void expect_damaged(struct fixture *fixture, const char *sql)
{
    journal_close(&fixture->journal);
    cr_expect_eq(fixture_open(fixture, 2), STATUS_IO, "%s", sql);
    cr_expect_not_null(strstr(fixture->problem, "its rows are not those that a broker has written"),
                       "%s: %s", sql, fixture->problem);
    cr_expect_not_null(strstr(fixture->problem, "start with --recover N"), "%s", fixture->problem);
}

Test(journal_checksum, finds_each_cell_that_has_rotted, .timeout = 60)
{
    static char tables[CELLS_MAX][NAME_BYTES];
    static char columns[CELLS_MAX][NAME_BYTES];
    struct fixture fixture;
    begin_full(&fixture);
    int count = read_names(&fixture,
                           "SELECT t.name, c.name FROM sqlite_schema AS t,"
                           " pragma_table_info(t.name) AS c"
                           " WHERE t.type = 'table' AND c.name <> 'digests'",
                           tables, columns);
    fixture_end(&fixture);
    cr_assert_geq(count, 60, "%d", count);
    for (int i = 0; i < count; i++) {
        char sql[256];
        snprintf(sql, sizeof(sql),
                 "UPDATE %s SET %s = CASE typeof(%s) WHEN 'integer' THEN %s + 1000"
                 " WHEN 'blob' THEN zeroblob(length(%s)) ELSE 1 END",
                 tables[i], columns[i], columns[i], columns[i], columns[i]);
        if (strcmp(columns[i], "root") == 0 && strcmp(tables[i], "draws") == 0)
            snprintf(sql, sizeof(sql), "UPDATE draws SET root = zeroblob(32)");
        begin_full(&fixture);
        fixture_rot(&fixture, sql);
        expect_damaged(&fixture, sql);
        fixture_end(&fixture);
    }
}

Test(journal_checksum, finds_each_table_that_has_lost_its_rows, .timeout = 60)
{
    static char tables[CELLS_MAX][NAME_BYTES];
    static char none[CELLS_MAX][NAME_BYTES];
    struct fixture fixture;
    begin_full(&fixture);
    int count = read_names(&fixture, "SELECT name, '' FROM sqlite_schema WHERE type = 'table'",
                           tables, none);
    fixture_end(&fixture);
    cr_assert_geq(count, 13, "%d", count);
    for (int i = 0; i < count; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "DELETE FROM %s", tables[i]);
        begin_full(&fixture);
        fixture_rot(&fixture, sql);
        expect_damaged(&fixture, sql);
        fixture_end(&fixture);
    }
}

Test(journal_checksum, finds_rows_that_nobody_has_written, .timeout = 60)
{
    static const char *const damages[] = {
        "INSERT INTO stores(id) VALUES(zeroblob(16))",
        "INSERT INTO roster VALUES(2, 6)",
        "INSERT INTO members VALUES(1, 5)",
        "INSERT INTO decisions VALUES(2, 1)",
        "INSERT INTO plans SELECT 9, draw, agency, 3, bets_max, bytes_max, skips_bad_rows, wall_ms"
        " FROM plans WHERE place = 1",
        "DELETE FROM winners WHERE seq = 3",
        /* The same cells in other rows. */
        "UPDATE winners SET body = (SELECT other.body FROM winners AS other"
        " WHERE other.seq = 3 - winners.seq)",
        /* The same bits under another type, and the number of one table in another. */
        "UPDATE draws SET root = NULL WHERE draw = 1",
        "DELETE FROM members; INSERT INTO roster VALUES(1, 4)",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        begin_full(&fixture);
        fixture_rot(&fixture, damages[i]);
        expect_damaged(&fixture, damages[i]);
        fixture_end(&fixture);
    }
}

Test(journal_checksum, is_right_after_all_that_a_broker_writes, .timeout = 10)
{
    struct fixture fixture;
    begin_full(&fixture);
    fixture_reopen(&fixture, 2);
    add_declaration(&fixture, 2, 5, 0, NULL, NULL);
    add_sealed(&fixture, 2);
    add_found(&fixture, 2, 1, 5, (uint32_t[]){0}, 1, 1);
    fixture_write(&fixture);
    fixture_reopen(&fixture, 3); /* deletes the winners of draw 2 */
    add_found(&fixture, 2, 2, 5, (uint32_t[]){0}, 1, 1);
    add_simple(&fixture, RECORD_VOID, 2);
    add_simple(&fixture, RECORD_VOID, 3);
    fixture_write(&fixture);
    fixture_reopen(&fixture, 4);
    const struct record recovered = {.kind = RECORD_RECOVERED, .draw = 1, .recovered_epoch = 90};
    records_add(fixture.records, &recovered);
    fixture_write(&fixture);
    fixture_reopen(&fixture, 5);
    fixture_end(&fixture);
}

Test(journal_checksum, is_not_changed_by_a_turn_that_fails, .timeout = 10)
{
    struct fixture fixture;
    begin_full(&fixture);
    add_store(&fixture, 7);
    add_sealed(&fixture, 9); /* there is no draw 9 */
    cr_assert_eq(fixture_try(&fixture), STATUS_CONFLICT);
    fixture_reopen(&fixture, 2);
    fixture_end(&fixture);
}

Test(journal_checksum, lets_no_other_program_change_a_row, .timeout = 10)
{
    struct fixture fixture;
    sqlite3 *other = NULL;
    char path[128];
    begin_full(&fixture);
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture.folder);
    cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
    cr_expect_eq(sqlite3_exec(other, "DELETE FROM winners", NULL, NULL, NULL), SQLITE_ERROR);
    cr_expect_str_eq(sqlite3_errmsg(other), "no such function: row_removed");
    cr_assert_eq(sqlite3_close(other), SQLITE_OK);
    fixture_reopen(&fixture, 2);
    fixture_end(&fixture);
}

/* Rows stay what they are. */
Test(journal_checksum, lets_another_program_look_after_the_file, .timeout = 10)
{
    struct fixture fixture;
    begin_full(&fixture);
    fixture_rot(&fixture, "ANALYZE; REINDEX");
    journal_close(&fixture.journal);
    fixture_rot(&fixture, "VACUUM");
    fixture_reopen(&fixture, 2);
    fixture_end(&fixture);
}

Test(journal_checksum, takes_no_epoch_of_a_damaged_journal, .timeout = 10)
{
    struct fixture fixture;
    begin_full(&fixture);
    fixture_rot(&fixture, "UPDATE epoch SET number = 7");
    expect_damaged(&fixture, "number = 7");
    fixture_rot(&fixture, "UPDATE epoch SET number = 40");
    fixture_reopen(&fixture, 2);
    cr_expect_eq(fixture.epoch.number, 41);
    fixture_end(&fixture);
}
