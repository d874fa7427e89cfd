/* A journal in a folder of its own, and records with few words, for the tests of the journal. */
#ifndef SORTEO_TESTS_UNIT_JOURNAL_FIXTURE_H
#define SORTEO_TESTS_UNIT_JOURNAL_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/journal_sql.h"
#include "proto/wire/item.h"

/* Nobody else is inside a transaction for longer than it takes: no test waits. */
static const struct journal_patience no_patience;

struct fixture {
    char folder[64];
    struct journal *journal;
    struct epoch epoch;
    struct archive archive;
    struct records *records;
    char problem[1024];
};

static inline enum status fixture_open(struct fixture *fixture, uint8_t id)
{
    const struct id own = {{id}};
    return journal_open(fixture->folder, &own, &no_patience, &fixture->journal, &fixture->epoch,
                        fixture->problem, sizeof(fixture->problem));
}

static inline void fixture_reopen(struct fixture *fixture, uint8_t id)
{
    journal_close(&fixture->journal);
    cr_assert_eq(fixture_open(fixture, id), STATUS_OK, "%s", fixture->problem);
    fixture->archive = journal_archive(fixture->journal);
}

static inline void fixture_begin(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/journal_test.XXXXXX");
    cr_assert_not_null(mkdtemp(fixture->folder));
    cr_assert_eq(records_create(4096, 1 << 20, &fixture->records), STATUS_OK);
    fixture_reopen(fixture, 1);
}

static inline void fixture_end(struct fixture *fixture)
{
    static const char *const names[] = {"", "-wal", "-shm"};
    journal_close(&fixture->journal);
    records_destroy(&fixture->records);
    for (size_t index = 0; index < 3; index++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/journal.sqlite%s", fixture->folder, names[index]);
        unlink(path);
    }
    cr_assert_eq(rmdir(fixture->folder), 0);
}

/* Changes rows as a broker does: the checksum goes with them. */
static inline void fixture_edit(struct fixture *fixture, const char *sql)
{
    sqlite3 *database = fixture->journal->database;
    cr_assert_eq(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(database));
}

/* Changes the file as another program, or a disk that rots. */
static inline void fixture_rot(struct fixture *fixture, const char *sql)
{
    char path[128];
    sqlite3 *other = NULL;
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture->folder);
    cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(other));
    cr_assert_eq(sqlite3_close(other), SQLITE_OK);
}

/* Writes what was added as one turn. */
static inline enum status fixture_try(struct fixture *fixture)
{
    enum status status = journal_write(fixture->journal, fixture->records);
    records_reset(fixture->records);
    return status;
}

static inline void fixture_write(struct fixture *fixture)
{
    cr_assert_eq(fixture_try(fixture), STATUS_OK, "%s", journal_problem(fixture->journal));
}

static inline void add_store(struct fixture *fixture, uint8_t id)
{
    struct record record = {.kind = RECORD_STORE, .store = {{id}}};
    records_add(fixture->records, &record);
}

static inline void add_opened(struct fixture *fixture, uint32_t draw)
{
    struct record record = {.kind = RECORD_OPENED, .draw = draw};
    record.opened.number = (struct manifest_terms){.draw = draw,
                                                   .range_first = 10,
                                                   .range_last = 4294967295,
                                                   .seed = {{7, 8, 9}}};
    record.opened.agencies_required = 3;
    record.opened.barrier_timeout_ms = 90000;
    record.opened.on_timeout = TIMEOUT_DRAW;
    record.opened.quorum = 2;
    records_add(fixture->records, &record);
}

static inline struct plan some_plan(uint32_t bets_max)
{
    return (struct plan){.bets_max = bets_max, .bytes_max = 65536, .skips_bad_rows = true};
}

static inline void add_plan(struct fixture *fixture, uint32_t draw, uint32_t agency,
                            uint32_t attempt)
{
    struct record record = {.kind = RECORD_PLAN, .draw = draw};
    record.plan.agency = agency;
    record.plan.attempt = attempt;
    record.plan.plan = some_plan(100 * attempt);
    record.plan.wall_ms = 1700000000000 + attempt;
    records_add(fixture->records, &record);
}

/* in: digests and bets: batches of each, or NULL with none. */
static inline void add_declaration(struct fixture *fixture, uint32_t draw, uint32_t agency,
                                   uint32_t batches, const struct digest *digests,
                                   const uint32_t *bets)
{
    struct record record = {.kind = RECORD_DECLARATION, .draw = draw};
    record.declaration = (struct manifest_entry){.agency = agency,
                                                 .attempt = 2,
                                                 .plan = some_plan(200),
                                                 .digests = digests,
                                                 .bets = bets};
    record.declaration.declaration = (struct declaration){.batches = batches,
                                                          .bets = 5000000000,
                                                          .rejected = UINT64_MAX,
                                                          .root = {{1, 2, 3}}};
    records_add(fixture->records, &record);
}

static inline void add_sealed(struct fixture *fixture, uint32_t draw)
{
    struct record record = {.kind = RECORD_SEALED, .draw = draw};
    record.sealed.root = (struct digest){{0xaa, 0xbb}};
    record.sealed.number = 7574;
    records_add(fixture->records, &record);
}

static inline void add_simple(struct fixture *fixture, enum record_kind kind, uint32_t draw)
{
    struct record record = {.kind = kind, .draw = draw};
    records_add(fixture->records, &record);
}

static inline void add_dropped(struct fixture *fixture, uint32_t draw, uint32_t question)
{
    struct record record = {.kind = RECORD_DROPPED, .draw = draw, .dropped_question = question};
    records_add(fixture->records, &record);
}

static inline struct slice text(const char *characters)
{
    return (struct slice){(const uint8_t *)characters, strlen(characters)};
}

/* A winner whose document tells seq and row. */
static inline void pack_winner(uint8_t *body, size_t body_bytes, size_t *bytes, uint32_t seq,
                               uint32_t row)
{
    char document[DOCUMENT_BYTES_MAX];
    snprintf(document, sizeof(document), "%u-%u", seq, row);
    struct item_winner item = {.seq = seq, .row = row};
    item.bet = (struct bet){.first_name = text("Ana"),
                            .last_name = text("Suárez"),
                            .document = text(document),
                            .birthdate = text("1999-12-31"),
                            .number = 7574};
    cr_assert_eq(item_pack_winner(body, body_bytes, bytes, &item), STATUS_OK);
}

/* A page with `rows` winners in each of these seqs: rows 0, 2, 4, … */
static inline void add_found(struct fixture *fixture, uint32_t draw, uint32_t question,
                             uint32_t agency, const uint32_t *seqs, size_t seqs_count,
                             uint32_t rows)
{
    static uint8_t body[PAGE_BYTES_MAX];
    size_t bytes = 0;
    for (size_t index = 0; index < seqs_count; index++)
        for (uint32_t row = 0; row < rows; row++)
            pack_winner(body, sizeof(body), &bytes, seqs[index], 2 * row);
    struct record record = {.kind = RECORD_FOUND, .draw = draw};
    record.found.question = question;
    record.found.agency = agency;
    record.found.items = (uint32_t)seqs_count * rows;
    record.found.body = (struct slice){body, bytes};
    records_add(fixture->records, &record);
}

#endif
