/* Handing the journal's records back at a start, in the order in which they were written. What has
 * rotted may have any value: the core is given none that it does not expect. */
#include <stdlib.h>

#include "broker/journal_sql.h"

/* Where the records go, and the ids that a record borrows. */
struct reading {
    struct journal *journal;
    journal_reader *read;
    void *reader;
    uint32_t ids[AGENCIES_MAX];
    uint32_t ids_count;
};

/* Handles the row on which a statement stands. */
typedef enum status row_reader(struct reading *reading, uint32_t draw, sqlite3_stmt *use);

static enum status each_row(struct reading *reading, enum statement statement, uint32_t draw,
                            row_reader *read_row)
{
    struct journal *journal = reading->journal;
    sqlite3_stmt *use = sql_use(journal, statement);
    if (sqlite3_bind_parameter_count(use) > 0)
        sql_bind_integer(use, 1, draw);
    enum status status;
    while ((status = sql_next(journal, statement)) == STATUS_OK) {
        status = read_row(reading, draw, use);
        if (status != STATUS_OK) {
            sql_end(journal, statement);
            return status;
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status read_id(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    (void)draw;
    if (reading->ids_count == AGENCIES_MAX)
        return sql_fail(reading->journal, "read", SQLITE_CORRUPT);
    reading->ids[reading->ids_count++] = sql_u32(use, 0);
    return STATUS_OK;
}

static enum status read_store(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    (void)draw;
    struct record record = {.kind = RECORD_STORE};
    enum status status = sql_read_bytes(reading->journal, use, 0, record.store.bytes, ID_BYTES);
    return status == STATUS_OK ? reading->read(reading->reader, &record) : status;
}

static enum status read_recovered(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    (void)draw;
    struct record record = {.kind = RECORD_RECOVERED, .draw = sql_u32(use, 0)};
    record.recovered_epoch = reading->journal->epoch.number;
    return reading->read(reading->reader, &record);
}

static enum status read_plan(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    struct record record = {.kind = RECORD_PLAN, .draw = draw};
    record.plan.agency = sql_u32(use, 0);
    enum status status =
        sql_read_attempt(reading->journal, use, 1, &record.plan.attempt, &record.plan.plan);
    record.plan.wall_ms = sqlite3_column_int64(use, 5);
    return status == STATUS_OK ? reading->read(reading->reader, &record) : status;
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static enum status read_digests(struct journal *journal, int64_t place, uint32_t batches,
                                struct digest *digests, uint32_t *bets)
{
    sqlite3_blob *blob = NULL;
    int answer =
        sqlite3_blob_open(journal->database, "main", "declarations", "digests", place, 0, &blob);
    if (answer == SQLITE_OK && sqlite3_blob_bytes(blob) != (int)(batches * ENTRY_BYTES))
        answer = SQLITE_CORRUPT;
    uint8_t piece[ENTRIES_AT_ONCE * ENTRY_BYTES];
    for (uint32_t first = 0; answer == SQLITE_OK && first < batches; first += ENTRIES_AT_ONCE) {
        uint32_t count = batches - first < ENTRIES_AT_ONCE ? batches - first : ENTRIES_AT_ONCE;
        answer =
            sqlite3_blob_read(blob, piece, (int)(count * ENTRY_BYTES), (int)(first * ENTRY_BYTES));
        for (uint32_t index = 0; answer == SQLITE_OK && index < count; index++) {
            const uint8_t *at = piece + index * ENTRY_BYTES;
            memcpy(digests[first + index].bytes, at, DIGEST_BYTES);
            bets[first + index] = get_u32(at + DIGEST_BYTES);
            if (bets[first + index] == 0 || bets[first + index] > BATCH_BETS_MAX)
                answer = SQLITE_CORRUPT;
        }
    }
    enum status status = answer == SQLITE_OK ? STATUS_OK : sql_fail(journal, "read", answer);
    (void)sqlite3_blob_close(blob);
    return status;
}

static enum status read_declaration(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    struct journal *journal = reading->journal;
    struct record record = {.kind = RECORD_DECLARATION, .draw = draw};
    struct manifest_entry *entry = &record.declaration;
    entry->agency = sql_u32(use, 1);
    entry->declaration.batches = sql_u32(use, 6);
    entry->declaration.bets = (uint64_t)sqlite3_column_int64(use, 7);
    entry->declaration.rejected = (uint64_t)sqlite3_column_int64(use, 8);
    enum status status = sql_read_attempt(journal, use, 2, &entry->attempt, &entry->plan);
    if (status == STATUS_OK)
        status = sql_read_bytes(journal, use, 9, entry->declaration.root.bytes, DIGEST_BYTES);
    uint32_t batches = entry->declaration.batches;
    if (status == STATUS_OK && batches > BATCHES_MAX)
        status = sql_fail(journal, "read", SQLITE_CORRUPT);
    if (status != STATUS_OK)
        return status;
    struct digest *digests = malloc(((size_t)batches + 1) * sizeof(*digests));
    uint32_t *bets = malloc(((size_t)batches + 1) * sizeof(*bets));
    if (digests == NULL || bets == NULL)
        status = sql_fail(journal, "read", SQLITE_NOMEM);
    else
        status = read_digests(journal, sqlite3_column_int64(use, 0), batches, digests, bets);
    entry->digests = digests;
    entry->bets = bets;
    if (status == STATUS_OK)
        status = reading->read(reading->reader, &record);
    free(digests);
    free(bets);
    return status;
}

static enum status read_decision(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    struct record record = {.kind = RECORD_DECISION, .draw = draw};
    record.decision.action =
        sqlite3_column_int(use, 0) == TIMEOUT_DRAW ? TIMEOUT_DRAW : TIMEOUT_VOID;
    record.decision.members = reading->ids;
    record.decision.members_count = reading->ids_count;
    return reading->read(reading->reader, &record);
}

/* in: the row of SQL_READ_DRAWS, and the roster in reading->ids. */
static enum status load_opened(struct reading *reading, uint32_t draw, sqlite3_stmt *use)
{
    struct record record = {.kind = RECORD_OPENED, .draw = draw};
    struct terms *terms = &record.opened;
    terms->number.draw = draw;
    terms->number.range_first = sql_u32(use, 2);
    terms->number.range_last = sql_u32(use, 3);
    terms->number.is_given = sqlite3_column_int(use, 4) != 0;
    terms->number.given = sql_u32(use, 5);
    enum status status = STATUS_OK;
    if (terms->number.range_first > terms->number.range_last)
        status = sql_fail(reading->journal, "read", SQLITE_CORRUPT);
    if (status == STATUS_OK)
        status = sql_read_bytes(reading->journal, use, 6, terms->number.seed.bytes, DIGEST_BYTES);
    terms->agencies_required = sql_u32(use, 7);
    if (sqlite3_column_int(use, 8) != 0) {
        terms->roster = reading->ids;
        terms->roster_count = reading->ids_count;
    }
    terms->barrier_timeout_ms = sqlite3_column_int64(use, 9);
    terms->on_timeout = sqlite3_column_int(use, 10) == TIMEOUT_DRAW ? TIMEOUT_DRAW : TIMEOUT_VOID;
    terms->quorum = sql_u32(use, 11);
    return status == STATUS_OK ? reading->read(reading->reader, &record) : status;
}

/* What a draw that is not over has behind its OPENED. */
static enum status load_inner(struct reading *reading, uint32_t draw, sqlite3_stmt *use,
                              enum phase phase)
{
    enum status status = each_row(reading, SQL_READ_PLANS, draw, read_plan);
    if (status == STATUS_OK)
        status = each_row(reading, SQL_READ_DECLARATIONS, draw, read_declaration);
    reading->ids_count = 0;
    if (status == STATUS_OK)
        status = each_row(reading, SQL_READ_MEMBERS, draw, read_id);
    if (status == STATUS_OK)
        status = each_row(reading, SQL_READ_DECISION, draw, read_decision);
    if (status != STATUS_OK || phase != PHASE_SEALED)
        return status;
    struct record record = {.kind = RECORD_SEALED, .draw = draw};
    record.sealed.number = sql_u32(use, 13);
    status = sql_read_bytes(reading->journal, use, 12, record.sealed.root.bytes, DIGEST_BYTES);
    return status == STATUS_OK ? reading->read(reading->reader, &record) : status;
}

/* Of a published draw each agency that was in it has a result, of any other one nobody. */
static enum status check_results(struct journal *journal, uint32_t draw, int phase)
{
    sqlite3_stmt *use = sql_use(journal, SQL_COUNT_RESULTS);
    sql_bind_integer(use, 1, draw);
    enum status status = sql_next(journal, SQL_COUNT_RESULTS);
    if (status != STATUS_OK)
        return status;
    int64_t results = sqlite3_column_int64(use, 0);
    int64_t agencies = sqlite3_column_int64(use, 1);
    sql_end(journal, SQL_COUNT_RESULTS);
    return results == (phase == PHASE_PUBLISHED ? agencies : 0)
               ? STATUS_OK
               : sql_fail(journal, "read", SQLITE_CORRUPT);
}

/* in: the row of SQL_READ_DRAWS. */
static enum status load_draw(struct reading *reading, sqlite3_stmt *use)
{
    uint32_t draw = sql_u32(use, 0);
    int phase = sqlite3_column_int(use, 1);
    bool was_opened = sqlite3_column_type(use, 2) != SQLITE_NULL;
    bool is_possible = draw > 0 && phase >= PHASE_OPEN && phase <= PHASE_VOID;
    enum status status =
        is_possible ? STATUS_OK : sql_fail(reading->journal, "read", SQLITE_CORRUPT);
    reading->ids_count = 0;
    if (status == STATUS_OK)
        status = check_results(reading->journal, draw, phase);
    if (was_opened && status == STATUS_OK)
        status = each_row(reading, SQL_READ_ROSTER, draw, read_id);
    if (was_opened && status == STATUS_OK)
        status = load_opened(reading, draw, use);
    if (status != STATUS_OK)
        return status;
    if (phase == PHASE_OPEN || phase == PHASE_SEALED)
        return load_inner(reading, draw, use, (enum phase)phase);
    struct record record = {.kind = phase == PHASE_VOID ? RECORD_VOID : RECORD_PUBLISHED,
                            .draw = draw};
    return reading->read(reading->reader, &record);
}

enum status journal_load(struct journal *journal, journal_reader *read, void *reader)
{
    struct reading reading = {.journal = journal, .read = read, .reader = reader};
    enum status status = each_row(&reading, SQL_READ_STORES, 0, read_store);
    if (status == STATUS_OK)
        status = each_row(&reading, SQL_READ_RECOVERED, 0, read_recovered);
    while (status == STATUS_OK) {
        status = sql_next(journal, SQL_READ_DRAWS);
        if (status == STATUS_OK)
            status = load_draw(&reading, sql_use(journal, SQL_READ_DRAWS));
    }
    sql_end(journal, SQL_READ_DRAWS);
    return status == STATUS_END ? STATUS_OK : status;
}
