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
    cr_expect_not_null(strstr(fixture->problem, "start with --recover N"), "%s: %s", sql,
                       fixture->problem);
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
        char sql[320];
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
    for (uint32_t draw = 4; draw <= 5; draw++) { /* the first one is published */
        add_opened(&fixture, draw);
        add_plan(&fixture, draw, 5, 2);
        add_declaration(&fixture, draw, 5, 0, NULL, NULL);
        add_sealed(&fixture, draw);
        add_found(&fixture, draw, 1, 5, (uint32_t[]){0}, 1, 1);
        if (draw == 4)
            add_simple(&fixture, RECORD_PUBLISHED, draw);
    }
    const struct record recovered = {.kind = RECORD_RECOVERED, .draw = 1, .recovered_epoch = 90};
    records_add(fixture.records, &recovered);
    fixture_write(&fixture);
    fixture_reopen(&fixture, 5);
    fixture_end(&fixture);
}

/* SQLite puts what it has no room for in its cache into a folder that anybody may read. */
Test(journal_checksum, leaves_nothing_outside_its_folder, .timeout = 10)
{
    struct fixture fixture;
    sqlite3_stmt *use = NULL;
    begin_full(&fixture);
    cr_assert_eq(sqlite3_prepare_v2(fixture.journal->database, "PRAGMA temp_store", -1, &use, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(use), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int(use, 0), 2, "MEMORY");
    sqlite3_finalize(use);
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

/* Rows stay what they are. */
Test(journal_checksum, lets_another_program_look_after_the_file, .timeout = 10)
{
    struct fixture fixture;
    begin_full(&fixture);
    fixture_rot(&fixture, "ANALYZE; REINDEX; CREATE TABLE [my notes](\"a b\");"
                          " INSERT INTO [my notes] VALUES(1); CREATE VIEW v AS SELECT * FROM plans;"
                          " CREATE INDEX mine ON plans(wall_ms)");
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

/* -- indices: read in place of the rows -- */

/* One bit of the only place in the file where these bytes are. */
static void rot_bit(struct fixture *fixture, const uint8_t *bytes, size_t count, size_t at,
                    uint8_t bit)
{
    static uint8_t file[1 << 20];
    char path[128];
    journal_close(&fixture->journal);
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture->folder);
    FILE *stream = fopen(path, "r+b");
    cr_assert_not_null(stream);
    size_t file_bytes = fread(file, 1, sizeof(file), stream);
    long found = -1;
    int places = 0;
    for (size_t i = 0; i + count <= file_bytes; i++)
        if (memcmp(file + i, bytes, count) == 0) {
            found = (long)(i + at);
            places++;
        }
    cr_assert_eq(places, 1, "%d", places);
    cr_assert_eq(fseek(stream, found, SEEK_SET), 0);
    cr_assert_eq(fputc(file[found] ^ bit, stream), file[found] ^ bit);
    cr_assert_eq(fclose(stream), 0);
}

/* The id in the table itself; the index of UNIQUE(id) has it as well. */
Test(journal_checksum, looks_at_the_table_and_not_at_an_index, .timeout = 10)
{
    static const uint8_t row[] = {3, 0, 44, 9};
    struct fixture fixture;
    begin_full(&fixture);
    rot_bit(&fixture, row, sizeof(row), 3, 1);
    expect_damaged(&fixture, "the store's id");
    fixture_end(&fixture);
}

/* A bit of a number above or below, of a body's end, a cell's type, a NULL's place. */
Test(journal_checksum, covers_every_bit_of_a_cell, .timeout = 10)
{
    static const char *const damages[] = {
        "UPDATE plans SET wall_ms = wall_ms + (1 << 40)",
        "UPDATE plans SET wall_ms = wall_ms + 1 WHERE wall_ms % 2 = 0",
        "UPDATE winners SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB)",
        "UPDATE draws SET quorum = NULL, root = seed, seed = root WHERE draw = 2",
        "UPDATE draws SET range_first = NULL, range_last = 0 , is_given = 9999 WHERE draw = 2",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        begin_full(&fixture);
        fixture_rot(&fixture, damages[i]);
        expect_damaged(&fixture, damages[i]);
        fixture_end(&fixture);
    }
}

/* A BLOB of 16 bytes (44) becomes a TEXT (45): the same bytes. */
Test(journal_checksum, knows_the_type_of_a_cell, .timeout = 10)
{
    static const uint8_t row[] = {3, 0, 44, 9};
    struct fixture fixture;
    begin_full(&fixture);
    rot_bit(&fixture, row, sizeof(row), 2, 1);
    expect_damaged(&fixture, "the type of the store's id");
    fixture_end(&fixture);
}

/* The file's meaning belongs to its format: another sum needs another JOURNAL_FORMAT. */
Test(journal_checksum, is_the_same_number_for_the_same_rows, .timeout = 10)
{
    struct fixture fixture;
    sqlite3_stmt *use = NULL;
    begin_full(&fixture);
    cr_assert_eq(sqlite3_prepare_v2(fixture.journal->database, "SELECT value FROM checksum", -1,
                                    &use, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(use), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int64(use, 0), 4716788897892025201, "%lld",
                 (long long)sqlite3_column_int64(use, 0));
    sqlite3_finalize(use);
    fixture_end(&fixture);
}

static enum status count_declarations(void *owner, const struct record *record)
{
    *(int *)owner += record->kind == RECORD_DECLARATION;
    return STATUS_OK;
}

/* Draw 2 becomes 6 in the index of UNIQUE(draw, agency): declaration 3 of draw 2 is not read. */
Test(journal_checksum, finds_a_declaration_that_its_index_has_lost, .timeout = 10)
{
    static const uint8_t entry[] = {7, 4, 1, 1, 1, 2, 5, 3};
    struct fixture fixture;
    int declarations = 0;
    begin_full(&fixture);
    add_declaration(&fixture, 2, 5, 0, NULL, NULL);
    fixture_write(&fixture);
    rot_bit(&fixture, entry, sizeof(entry), 5, 4);
    enum status status = fixture_open(&fixture, 2);
    if (status == STATUS_OK)
        status = journal_load(fixture.journal, count_declarations, &declarations);
    cr_expect_eq(status, STATUS_IO, "status %d, declarations of open draws: %d", (int)status,
                 declarations);
    fixture_end(&fixture);
}

/* Place 2 becomes 3 in winners_order: agency 4 is handed the winners of agency 5. */
Test(journal_checksum, finds_winners_that_the_index_gives_to_another_agency, .timeout = 10)
{
    static const uint8_t entry[] = {10, 7, 9, 1, 8, 8, 1, 1, 4, 2, 2};
    struct fixture fixture;
    uint8_t body[4096];
    size_t bytes = 0;
    uint32_t upto = 0;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    for (uint32_t agency = 4; agency <= 6; agency++) {
        add_plan(&fixture, 1, agency, 2);
        add_declaration(&fixture, 1, agency, 0, NULL, NULL);
    }
    add_sealed(&fixture, 1);
    add_found(&fixture, 1, 1, 6, (uint32_t[]){9}, 1, 2);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 2);
    add_found(&fixture, 1, 1, 5, (uint32_t[]){7}, 1, 2);
    add_simple(&fixture, RECORD_PUBLISHED, 1);
    fixture_write(&fixture);
    rot_bit(&fixture, entry, sizeof(entry), 10, 1);
    enum status status = fixture_open(&fixture, 2);
    if (status == STATUS_OK) {
        fixture.archive = journal_archive(fixture.journal);
        status =
            fixture.archive.page(fixture.archive.owner, 1, 4, 0, body, sizeof(body), &bytes, &upto);
    }
    struct item_winner item = {0};
    size_t at = 0;
    if (status == STATUS_OK)
        cr_assert_eq(item_next_winner((struct slice){body, bytes}, &at, &item), STATUS_OK);
    cr_expect_eq(status, STATUS_IO, "status %d: agency 4 was handed document %.*s of seq %u",
                 (int)status, (int)item.bet.document.bytes, (const char *)item.bet.document.data,
                 item.seq);
    fixture_end(&fixture);
}

/* One bit in the text of a schema, or an object that is not a broker's. */
Test(journal_checksum, finds_a_schema_that_no_broker_makes, .timeout = 10)
{
    static const struct {
        const char *sql;
        const char *what;
    } damages[] = {
        {"CREATE TRIGGER mine AFTER INSERT ON plans BEGIN DELETE FROM winners; END",
         "it has a trigger, mine"},
        {"DROP INDEX winners_order", "its index 'winners_order' is not the one"},
        {"DROP INDEX winners_order; CREATE INDEX winners_order ON winners(draw, agency, row, seq)",
         "its index 'winners_order' is not the one"},
        {"DROP TABLE ranks", "its table 'ranks' is not the one"},
        {"ALTER TABLE plans ADD COLUMN note INTEGER", "its table 'plans' is not the one"},
        {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql,"
         " 'number INTEGER NOT', 'numbes INTEGER NOT') WHERE name = 'epoch'",
         "its table 'epoch' is not the one"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        begin_full(&fixture);
        journal_close(&fixture.journal);
        fixture_rot(&fixture, damages[i].sql);
        expect_damaged(&fixture, damages[i].sql);
        cr_expect_not_null(strstr(fixture.problem, damages[i].what), "%s", fixture.problem);
        fixture_end(&fixture);
    }
}

/* Who is asked whether looking is to go on, and writes to the journal meanwhile. */
struct looks {
    struct fixture *other;
    bool goes_on;
    int count;
};

static bool write_meanwhile(void *owner)
{
    struct looks *looks = owner;
    if (looks->count++ == 0) {
        add_store(looks->other, 77);
        cr_expect_eq(fixture_try(looks->other), STATUS_OK, "nobody is kept from the journal");
    }
    return looks->goes_on;
}

static void add_void_draws(struct fixture *fixture, uint32_t first, uint32_t count)
{
    for (uint32_t draw = first; draw < first + count; draw++)
        add_simple(fixture, RECORD_VOID, draw);
}

/* It may take seconds. */
Test(journal_checksum, ends_looking_when_its_program_is_to_end, .timeout = 60)
{
    static const uint32_t seqs[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct fixture fixture;
    struct journal *other = NULL;
    struct epoch epoch;
    struct looks looks = {.other = &fixture};
    const struct id id = {{6}};
    const struct journal_patience patience = {.goes_on = write_meanwhile, .owner = &looks};
    begin_full(&fixture);
    add_sealed(&fixture, 2);
    for (uint32_t question = 1; question < 600; question++)
        add_found(&fixture, 2, question, 5, seqs, 10, 1);
    add_simple(&fixture, RECORD_PUBLISHED, 2);
    fixture_write(&fixture);
    cr_assert_eq(journal_open(fixture.folder, &id, &patience, &other, &epoch, fixture.problem,
                              sizeof fixture.problem),
                 STATUS_INTERRUPTED);
    cr_expect_not_null(strstr(fixture.problem, "told to end while"), "%s", fixture.problem);
    cr_expect_eq(looks.count, 1);
    looks.goes_on = true;
    cr_assert_eq(journal_open(fixture.folder, &id, &patience, &other, &epoch, fixture.problem,
                              sizeof fixture.problem),
                 STATUS_OK);
    looks.goes_on = false; /* is not asked any more */
    journal_close(&fixture.journal);
    fixture.journal = other;
    add_void_draws(&fixture, 3, 3000);
    fixture_write(&fixture);
    fixture_end(&fixture);
}
