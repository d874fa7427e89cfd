/* How each record is written inside a transaction: what its rows are. journal_load.c reads them
 * back. */
#include <stdio.h>

#include "broker/journal_checksum.h"
#include "proto/wire/check.h"
#include "proto/wire/item.h"

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int index = 0; index < 4; index++)
        bytes[index] = (uint8_t)(value >> (24 - 8 * index));
}

/* A statement that has to change a row, else the record contradicts what is journaled. */
static enum status run_change(struct journal *journal, enum statement statement)
{
    int changes = 0;
    enum status status = sql_run(journal, statement, &changes);
    if (status == STATUS_OK && changes == 0)
        return sql_fail(journal, "write", SQLITE_CONSTRAINT);
    return status;
}

static enum status run_for_draw(struct journal *journal, enum statement statement, uint32_t draw)
{
    sql_bind_integer(sql_use(journal, statement), 1, draw);
    return sql_run(journal, statement, NULL);
}

static enum status write_ids(struct journal *journal, enum statement statement, uint32_t draw,
                             const uint32_t *ids, uint32_t count)
{
    enum status status = STATUS_OK;
    for (uint32_t index = 0; status == STATUS_OK && index < count; index++) {
        sqlite3_stmt *use = sql_use(journal, statement);
        sql_bind_integer(use, 1, draw);
        sql_bind_integer(use, 2, ids[index]);
        status = sql_run(journal, statement, NULL);
    }
    return status;
}

static enum status write_store(struct journal *journal, const struct record *record)
{
    sql_bind_bytes(sql_use(journal, SQL_ADD_STORE), 1, record->store.bytes, ID_BYTES);
    return sql_run(journal, SQL_ADD_STORE, NULL);
}

static enum status write_opened(struct journal *journal, const struct record *record)
{
    const struct terms *terms = &record->opened;
    sqlite3_stmt *use = sql_use(journal, SQL_ADD_DRAW);
    sql_bind_integer(use, 1, record->draw);
    sql_bind_integer(use, 2, terms->number.range_first);
    sql_bind_integer(use, 3, terms->number.range_last);
    sql_bind_integer(use, 4, terms->number.is_given);
    sql_bind_integer(use, 5, terms->number.given);
    sql_bind_bytes(use, 6, terms->number.seed.bytes, DIGEST_BYTES);
    sql_bind_integer(use, 7, terms->agencies_required);
    sql_bind_integer(use, 8, terms->roster != NULL);
    sql_bind_integer(use, 9, terms->barrier_timeout_ms);
    sql_bind_integer(use, 10, terms->on_timeout);
    sql_bind_integer(use, 11, terms->quorum);
    enum status status = sql_run(journal, SQL_ADD_DRAW, NULL);
    if (status == STATUS_OK && terms->roster != NULL)
        status =
            write_ids(journal, SQL_ADD_ROSTER, record->draw, terms->roster, terms->roster_count);
    return status;
}

static void bind_attempt(sqlite3_stmt *use, uint32_t draw, uint32_t agency, uint32_t attempt,
                         const struct plan *plan)
{
    sql_bind_integer(use, 1, draw);
    sql_bind_integer(use, 2, agency);
    sql_bind_integer(use, 3, attempt);
    sql_bind_integer(use, 4, plan->bets_max);
    sql_bind_integer(use, 5, plan->bytes_max);
    sql_bind_integer(use, 6, plan->skips_bad_rows);
}

static enum status write_plan(struct journal *journal, const struct record *record)
{
    sqlite3_stmt *use = sql_use(journal, SQL_ADD_PLAN);
    bind_attempt(use, record->draw, record->plan.agency, record->plan.attempt, &record->plan.plan);
    sql_bind_integer(use, 7, record->plan.wall_ms);
    return sql_run(journal, SQL_ADD_PLAN, NULL);
}

/* Piece by piece, so that a declaration of 2^20 batches (36 MiB) takes no memory but SQLite's
 * cache. */
static enum status write_digests(struct journal *journal, const struct manifest_entry *entry)
{
    sqlite3_blob *blob = NULL;
    int answer = sqlite3_blob_open(journal->database, "main", "declarations", "digests",
                                   sqlite3_last_insert_rowid(journal->database), 1, &blob);
    uint8_t piece[ENTRIES_AT_ONCE * ENTRY_BYTES];
    uint32_t batches = entry->declaration.batches;
    for (uint32_t first = 0; answer == SQLITE_OK && first < batches; first += ENTRIES_AT_ONCE) {
        uint32_t count = batches - first < ENTRIES_AT_ONCE ? batches - first : ENTRIES_AT_ONCE;
        for (uint32_t index = 0; index < count; index++) {
            uint8_t *at = piece + index * ENTRY_BYTES;
            memcpy(at, entry->digests[first + index].bytes, DIGEST_BYTES);
            put_u32(at + DIGEST_BYTES, entry->bets[first + index]);
        }
        answer =
            sqlite3_blob_write(blob, piece, (int)(count * ENTRY_BYTES), (int)(first * ENTRY_BYTES));
    }
    enum status status = answer == SQLITE_OK ? STATUS_OK : sql_fail(journal, "write", answer);
    (void)sqlite3_blob_close(blob);
    return status;
}

static enum status write_declaration(struct journal *journal, const struct record *record)
{
    const struct manifest_entry *entry = &record->declaration;
    const struct declaration *declaration = &entry->declaration;
    CHECK(declaration->batches <= BATCHES_MAX);
    sqlite3_stmt *use = sql_use(journal, SQL_ADD_DECLARATION);
    bind_attempt(use, record->draw, entry->agency, entry->attempt, &entry->plan);
    sql_bind_integer(use, 7, declaration->batches);
    sql_bind_integer(use, 8, (int64_t)declaration->bets);
    sql_bind_integer(use, 9, (int64_t)declaration->rejected);
    sql_bind_bytes(use, 10, declaration->root.bytes, DIGEST_BYTES);
    sql_bind_integer(use, 11, (int64_t)declaration->batches * ENTRY_BYTES);
    enum status status = sql_run(journal, SQL_ADD_DECLARATION, NULL);
    return status == STATUS_OK ? write_digests(journal, entry) : status;
}

static enum status write_decision(struct journal *journal, const struct record *record)
{
    sqlite3_stmt *use = sql_use(journal, SQL_ADD_DECISION);
    sql_bind_integer(use, 1, record->draw);
    sql_bind_integer(use, 2, record->decision.action);
    enum status status = sql_run(journal, SQL_ADD_DECISION, NULL);
    return status == STATUS_OK ? write_ids(journal, SQL_ADD_MEMBER, record->draw,
                                           record->decision.members, record->decision.members_count)
                               : status;
}

static enum status write_sealed(struct journal *journal, const struct record *record)
{
    sqlite3_stmt *use = sql_use(journal, SQL_SEAL);
    sql_bind_integer(use, 1, record->draw);
    sql_bind_bytes(use, 2, record->sealed.root.bytes, DIGEST_BYTES);
    sql_bind_integer(use, 3, record->sealed.number);
    return run_change(journal, SQL_SEAL);
}

/* One row for each run of winners of one batch. */
static enum status write_run(struct journal *journal, const struct record *record,
                             const struct item_winner *first, uint32_t items, struct slice body)
{
    sqlite3_stmt *use = sql_use(journal, SQL_ADD_WINNERS);
    sql_bind_integer(use, 1, record->draw);
    sql_bind_integer(use, 2, record->found.question);
    sql_bind_integer(use, 3, record->found.agency);
    sql_bind_integer(use, 4, first->seq);
    sql_bind_integer(use, 5, first->row);
    sql_bind_integer(use, 6, items);
    sql_bind_bytes(use, 7, body.data, body.bytes);
    return sql_run(journal, SQL_ADD_WINNERS, NULL);
}

/* The core has checked every page; so this is a mistake of ours, told before it stands on the
 * disk. */
static enum status reject_page(struct journal *journal, const struct record *record)
{
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "a page of winners of agency %u in draw %u is not of the specified form",
                   record->found.agency, record->draw);
    return STATUS_MALFORMED;
}

static enum status write_found(struct journal *journal, const struct record *record)
{
    struct slice body = record->found.body;
    struct item_winner first = {0};
    struct item_winner item;
    size_t begins_at = 0;
    size_t at = 0;
    uint32_t items = 0;
    enum status status = STATUS_OK;
    for (;;) {
        size_t item_at = at;
        enum status read = item_next_winner(body, &at, &item);
        if (read != STATUS_OK && read != STATUS_END)
            return reject_page(journal, record);
        if (items > 0 && (read == STATUS_END || item.seq != first.seq)) {
            struct slice run = {body.data + begins_at, item_at - begins_at};
            status = write_run(journal, record, &first, items, run);
            items = 0;
        }
        if (read == STATUS_END || status != STATUS_OK)
            return status;
        if (items == 0) {
            first = item;
            begins_at = item_at;
        }
        items++;
    }
}

static enum status write_dropped(struct journal *journal, const struct record *record)
{
    sql_bind_integer(sql_use(journal, SQL_DROP_QUESTION), 2, record->dropped_question);
    return run_for_draw(journal, SQL_DROP_QUESTION, record->draw);
}

static enum status write_published(struct journal *journal, const struct record *record)
{
    sql_bind_integer(sql_use(journal, SQL_PUBLISH), 1, record->draw);
    enum status status = run_change(journal, SQL_PUBLISH);
    if (status == STATUS_OK)
        status = run_for_draw(journal, SQL_PUBLISH_RESULTS, record->draw);
    if (status == STATUS_OK)
        status = run_for_draw(journal, SQL_PUBLISH_RANKS, record->draw);
    return status == STATUS_OK ? checksum_add_winners(journal, record->draw) : status;
}

static enum status write_void(struct journal *journal, const struct record *record)
{
    sql_bind_integer(sql_use(journal, SQL_VOID), 1, record->draw);
    enum status status = run_change(journal, SQL_VOID);
    return status == STATUS_OK ? run_for_draw(journal, SQL_DROP_WINNERS, record->draw) : status;
}

static enum status delete_draws(struct journal *journal, uint32_t first)
{
    static const char *const tables[] = {"draws",   "roster",  "plans", "declarations", "decisions",
                                         "members", "winners", "ranks", "results"};
    enum status status = checksum_remove_winners(journal, first);
    for (size_t i = 0; status == STATUS_OK && i < sizeof tables / sizeof *tables; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "DELETE FROM %s WHERE draw >= %u", tables[i], first);
        status = sql_execute(journal, "write", text);
    }
    return status;
}

/* The epoch is raised under the id that this process took it with. */
static enum status write_recovered(struct journal *journal, const struct record *record)
{
    sqlite3_stmt *use = sql_use(journal, SQL_TAKE_EPOCH);
    sql_bind_integer(use, 1, (int64_t)record->recovered_epoch);
    sql_bind_bytes(use, 2, journal->epoch.id.bytes, ID_BYTES);
    enum status status = sql_run(journal, SQL_TAKE_EPOCH, NULL);
    if (status != STATUS_OK)
        return status;
    journal->epoch.number = record->recovered_epoch;
    status = run_for_draw(journal, SQL_RECOVER, record->draw);
    return status == STATUS_OK ? delete_draws(journal, record->draw) : status;
}

enum status journal_write_record(struct journal *journal, const struct record *record)
{
    switch (record->kind) {
    case RECORD_STORE:
        return write_store(journal, record);
    case RECORD_OPENED:
        return write_opened(journal, record);
    case RECORD_PLAN:
        return write_plan(journal, record);
    case RECORD_DECLARATION:
        return write_declaration(journal, record);
    case RECORD_DECISION:
        return write_decision(journal, record);
    case RECORD_SEALED:
        return write_sealed(journal, record);
    case RECORD_FOUND:
        return write_found(journal, record);
    case RECORD_DROPPED:
        return write_dropped(journal, record);
    case RECORD_PUBLISHED:
        return write_published(journal, record);
    case RECORD_VOID:
        return write_void(journal, record);
    case RECORD_RECOVERED:
        return write_recovered(journal, record);
    }
    CHECK(false);
    return STATUS_INVALID;
}
