/* Reading results out of the journal: how a draw ended, and pages of an agency's winners. A page
 * begins at the nearest rank that the publishing kept (each 64th row), so its cost does not grow
 * with the total. */
#include "broker/journal_sql.h"
#include "proto/wire/item.h"

/* Whatever cannot be read: the file is damaged or the disk fails, and nothing is written after
 * that. */
static enum status give_up(struct journal *journal, enum status status)
{
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        journal->verdict = status;
    return status;
}

static enum status read_over(void *owner, uint32_t draw, struct archived_draw *archived)
{
    struct journal *journal = owner;
    sqlite3_stmt *use = sql_use(journal, SQL_READ_OVER);
    sql_bind_integer(use, 1, draw);
    enum status status = sql_next(journal, SQL_READ_OVER);
    if (status != STATUS_OK)
        return give_up(journal, status == STATUS_END ? STATUS_NOT_FOUND : status);
    struct archived_draw found = {
        .phase = sqlite3_column_int(use, 0) == PHASE_VOID ? PHASE_VOID : PHASE_PUBLISHED,
        .number = sql_u32(use, 2),
        .range_first = sql_u32(use, 5),
        .range_last = sql_u32(use, 6),
        .is_given = sqlite3_column_int(use, 3) != 0,
    };
    if (found.phase == PHASE_PUBLISHED)
        status = sql_read_bytes(journal, use, 1, found.root.bytes, DIGEST_BYTES);
    if (found.phase == PHASE_PUBLISHED && status == STATUS_OK)
        status = sql_read_bytes(journal, use, 4, found.seed.bytes, DIGEST_BYTES);
    sql_end(journal, SQL_READ_OVER);
    if (status == STATUS_OK && found.range_first > found.range_last)
        status = sql_fail(journal, "read", SQLITE_CORRUPT);
    if (status == STATUS_OK)
        *archived = found;
    return give_up(journal, status);
}

static enum status read_agency(void *owner, uint32_t draw, uint32_t agency,
                               struct archived_agency *archived)
{
    struct journal *journal = owner;
    sqlite3_stmt *use = sql_use(journal, SQL_READ_RESULT);
    sql_bind_integer(use, 1, draw);
    sql_bind_integer(use, 2, agency);
    enum status status = sql_next(journal, SQL_READ_RESULT);
    if (status != STATUS_OK)
        return give_up(journal, status == STATUS_END ? STATUS_NOT_FOUND : status);
    struct archived_agency found = {.winners = sql_u32(use, 0)};
    status = sql_read_attempt(journal, use, 1, &found.attempt, &found.plan);
    sql_end(journal, SQL_READ_RESULT);
    if (status == STATUS_OK)
        *archived = found;
    return give_up(journal, status);
}

/* A page while it is built. */
struct page {
    uint32_t from;
    uint32_t rank; /* index of the winner that is looked at next */
    uint8_t *body;
    size_t bytes_max;
    size_t bytes;
    bool is_full;
};

/* Adds of one row's body what lies at or behind `from` and fits. */
static enum status add_body(struct journal *journal, int64_t place, struct page *page)
{
    sqlite3_stmt *use = sql_use(journal, SQL_READ_BODY);
    sql_bind_integer(use, 1, place);
    enum status status = sql_next(journal, SQL_READ_BODY);
    if (status != STATUS_OK)
        return status == STATUS_END ? sql_fail(journal, "read", SQLITE_CORRUPT) : status;
    struct slice body = {sqlite3_column_blob(use, 0), (size_t)sqlite3_column_bytes(use, 0)};
    struct item_winner item;
    size_t at = 0;
    size_t begins_at = 0;
    while (!page->is_full && (status = item_next_winner(body, &at, &item)) == STATUS_OK) {
        size_t item_bytes = at - begins_at;
        if (page->rank >= page->from && item_bytes > page->bytes_max - page->bytes) {
            page->is_full = true;
            break;
        }
        if (page->rank >= page->from) {
            memcpy(page->body + page->bytes, body.data + begins_at, item_bytes);
            page->bytes += item_bytes;
        }
        page->rank++;
        begins_at = at;
    }
    sql_end(journal, SQL_READ_BODY);
    if (status == STATUS_MALFORMED)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    return STATUS_OK;
}

/* Points SQL_READ_PLACES at the last row whose rank was kept and is not behind `from`. returns
 * END: the agency has no row at all. */
static enum status find_rank(struct journal *journal, uint32_t draw, uint32_t agency,
                             struct page *page)
{
    sqlite3_stmt *use = sql_use(journal, SQL_READ_RANK);
    sql_bind_integer(use, 1, draw);
    sql_bind_integer(use, 2, agency);
    sql_bind_integer(use, 3, page->from);
    enum status status = sql_next(journal, SQL_READ_RANK);
    if (status != STATUS_OK)
        return status;
    page->rank = sql_u32(use, 0);
    sqlite3_stmt *places = sql_use(journal, SQL_READ_PLACES);
    sql_bind_integer(places, 1, draw);
    sql_bind_integer(places, 2, agency);
    sql_bind_integer(places, 3, sql_u32(use, 1));
    sql_bind_integer(places, 4, sql_u32(use, 2));
    sql_end(journal, SQL_READ_RANK);
    return STATUS_OK;
}

/* A page that reaches the total has to be the last that there is. */
static enum status check_end(struct journal *journal, const struct page *page, uint32_t total)
{
    if (page->rank < total)
        return STATUS_OK;
    enum status status = STATUS_OK; /* there is more */
    if (page->rank == total && !page->is_full)
        status = sql_next(journal, SQL_READ_PLACES);
    if (status == STATUS_OK)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status read_page(void *owner, uint32_t draw, uint32_t agency, uint32_t from,
                             uint8_t *body, size_t bytes_max, size_t *bytes, uint32_t *upto)
{
    struct journal *journal = owner;
    struct page page = {.from = from, .body = body, .bytes_max = bytes_max};
    struct archived_agency archived = {0};
    enum status status = read_agency(journal, draw, agency, &archived);
    uint32_t total = archived.winners;
    if (status != STATUS_OK)
        return give_up(journal, status);
    if (from < total || total == 0) {
        status = find_rank(journal, draw, agency, &page);
        if (status == (total == 0 ? STATUS_OK : STATUS_END))
            status = sql_fail(journal, "read", SQLITE_CORRUPT);
    }
    if (status != STATUS_OK && status != STATUS_END)
        return give_up(journal, status);
    if (from >= total) {
        *bytes = 0;
        *upto = total;
        return STATUS_OK;
    }
    while (status == STATUS_OK && page.rank < total && !page.is_full) {
        status = sql_next(journal, SQL_READ_PLACES);
        if (status == STATUS_END)
            status = sql_fail(journal, "read", SQLITE_CORRUPT);
        if (status != STATUS_OK)
            break;
        sqlite3_stmt *places = sql_use(journal, SQL_READ_PLACES);
        uint32_t items = sql_u32(places, 1);
        if (items <= from && page.rank <= from - items)
            page.rank += items;
        else
            status = add_body(journal, sqlite3_column_int64(places, 0), &page);
    }
    if (status == STATUS_OK)
        status = check_end(journal, &page, total);
    sql_end(journal, SQL_READ_PLACES);
    if (status != STATUS_OK)
        return give_up(journal, status);
    *bytes = page.bytes;
    *upto = page.rank;
    return STATUS_OK;
}

struct archive journal_archive(struct journal *journal)
{
    return (struct archive){.owner = journal,
                            .draw = read_over,
                            .agency = read_agency,
                            .page = read_page};
}
