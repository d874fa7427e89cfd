#include "tests/sim/journal_memory.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "proto/wire/item.h"

struct entry {
    struct record record; /* its pointers lead into `owned` */
    void *owned[2];
    bool is_deleted;
};

struct journal_memory {
    struct entry *entries;
    size_t entries_count;
    size_t entries_size;
    uint64_t epoch;
};

/* A winner of a published draw, in the order in which pages list them. */
struct winner {
    uint32_t seq;
    uint32_t row;
    struct slice packed;
};

static void *copy_bytes(const void *bytes, size_t size)
{
    void *copy = malloc(size == 0 ? 1 : size);
    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static void copy_entry(struct entry *entry, const struct record *record)
{
    *entry = (struct entry){.record = *record};
    struct record *kept = &entry->record;
    if (record->kind == RECORD_OPENED && record->opened.roster_count > 0) {
        entry->owned[0] =
            copy_bytes(record->opened.roster, record->opened.roster_count * sizeof(uint32_t));
        kept->opened.roster = entry->owned[0];
    } else if (record->kind == RECORD_DECLARATION) {
        uint32_t batches = record->declaration.declaration.batches;
        entry->owned[0] = copy_bytes(record->declaration.digests, batches * sizeof(struct digest));
        entry->owned[1] = copy_bytes(record->declaration.bets, batches * sizeof(uint32_t));
        kept->declaration.digests = entry->owned[0];
        kept->declaration.bets = entry->owned[1];
    } else if (record->kind == RECORD_DECISION) {
        entry->owned[0] =
            copy_bytes(record->decision.members, record->decision.members_count * sizeof(uint32_t));
        kept->decision.members = entry->owned[0];
    } else if (record->kind == RECORD_FOUND) {
        entry->owned[0] = copy_bytes(record->found.body.data, record->found.body.bytes);
        kept->found.body.data = entry->owned[0];
    }
}

static void append(struct journal_memory *journal, const struct record *record)
{
    if (journal->entries_count == journal->entries_size) {
        size_t size = journal->entries_size == 0 ? 64 : 2 * journal->entries_size;
        struct entry *grown = realloc(journal->entries, size * sizeof *grown);
        CHECK(grown != NULL);
        journal->entries = grown;
        journal->entries_size = size;
    }
    copy_entry(&journal->entries[journal->entries_count++], record);
}

struct journal_memory *journal_memory_create(void)
{
    struct journal_memory *journal = calloc(1, sizeof *journal);
    CHECK(journal != NULL);
    return journal;
}

void journal_memory_destroy(struct journal_memory **journal)
{
    struct journal_memory *old = *journal;
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->entries_count; i++) {
        free(old->entries[i].owned[0]);
        free(old->entries[i].owned[1]);
    }
    free(old->entries);
    free(old);
    *journal = NULL;
}

struct journal_memory *journal_memory_copy(const struct journal_memory *journal)
{
    struct journal_memory *copy = journal_memory_create();
    for (size_t i = 0; i < journal->entries_count; i++)
        if (!journal->entries[i].is_deleted)
            append(copy, &journal->entries[i].record);
    copy->epoch = journal->epoch;
    return copy;
}

/* Deletes the pages of one question, or of all questions of a draw. */
static void delete_pages(struct journal_memory *journal, uint32_t draw, uint32_t question)
{
    for (size_t i = 0; i < journal->entries_count; i++) {
        struct entry *entry = &journal->entries[i];
        if (entry->record.kind == RECORD_FOUND && entry->record.draw == draw &&
            (question == 0 || entry->record.found.question == question))
            entry->is_deleted = true;
    }
}

static void recover(struct journal_memory *journal, const struct record *record)
{
    for (size_t i = 0; i + 1 < journal->entries_count; i++) {
        struct entry *entry = &journal->entries[i];
        if (entry->record.draw >= record->draw && entry->record.kind != RECORD_STORE)
            entry->is_deleted = true;
    }
    journal->epoch = record->recovered_epoch;
}

enum status journal_memory_apply(struct journal_memory *journal, uint64_t *epoch,
                                 const struct records *records)
{
    if (journal->epoch != *epoch)
        return STATUS_FENCED;
    for (size_t i = 0; i < records_count(records); i++) {
        const struct record *record = records_at(records, i);
        if (record->kind == RECORD_DROPPED)
            delete_pages(journal, record->draw, record->dropped_question);
        else
            append(journal, record);
        if (record->kind == RECORD_RECOVERED)
            recover(journal, record);
    }
    *epoch = journal->epoch;
    return STATUS_OK;
}

const struct record *journal_memory_last(const struct journal_memory *journal,
                                         enum record_kind kind, uint32_t draw)
{
    for (size_t i = journal->entries_count; i > 0; i--) {
        const struct entry *entry = &journal->entries[i - 1];
        if (!entry->is_deleted && entry->record.kind == kind && entry->record.draw == draw)
            return &entry->record;
    }
    return NULL;
}

size_t journal_memory_count(const struct journal_memory *journal, enum record_kind kind,
                            uint32_t draw)
{
    size_t count = 0;
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct entry *entry = &journal->entries[i];
        count += !entry->is_deleted && entry->record.kind == kind && entry->record.draw == draw;
    }
    return count;
}

uint64_t journal_memory_epoch(const struct journal_memory *journal)
{
    return journal->epoch;
}

const struct record *journal_memory_at(const struct journal_memory *journal, size_t index)
{
    CHECK(index < journal->entries_count);
    return journal->entries[index].is_deleted ? NULL : &journal->entries[index].record;
}

const struct record *journal_memory_of_agency(const struct journal_memory *journal,
                                              enum record_kind kind, uint32_t draw, uint32_t agency)
{
    for (size_t i = journal->entries_count; i > 0; i--) {
        const struct record *record = journal_memory_at(journal, i - 1);
        if (record == NULL || record->kind != kind || record->draw != draw)
            continue;
        if ((kind == RECORD_PLAN && record->plan.agency == agency) ||
            (kind == RECORD_DECLARATION && record->declaration.agency == agency))
            return record;
    }
    return NULL;
}

bool journal_memory_has_plan(const struct journal_memory *journal, uint32_t draw, uint32_t agency,
                             uint32_t attempt, const struct plan *plan)
{
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct record *record = journal_memory_at(journal, i);
        if (record != NULL && record->kind == RECORD_PLAN && record->draw == draw &&
            record->plan.agency == agency && record->plan.attempt == attempt &&
            plan_is_equal(&record->plan.plan, plan))
            return true;
    }
    return false;
}

size_t journal_memory_size(const struct journal_memory *journal)
{
    return journal->entries_count;
}

uint64_t journal_memory_open(struct journal_memory *journal)
{
    for (size_t i = 0; i < journal->entries_count; i++) {
        uint32_t draw = journal->entries[i].record.draw;
        if (journal->entries[i].record.kind == RECORD_FOUND &&
            journal_memory_last(journal, RECORD_PUBLISHED, draw) == NULL)
            delete_pages(journal, draw, 0);
    }
    return ++journal->epoch;
}

static bool is_over(const struct journal_memory *journal, uint32_t draw)
{
    return journal_memory_last(journal, RECORD_PUBLISHED, draw) != NULL ||
           journal_memory_last(journal, RECORD_VOID, draw) != NULL;
}

/* What a start gives back: draws that are over come without what happened inside them. */
static bool is_given_back(const struct journal_memory *journal, const struct record *record)
{
    switch (record->kind) {
    case RECORD_STORE:
    case RECORD_OPENED:
    case RECORD_PUBLISHED:
    case RECORD_VOID:
    case RECORD_RECOVERED:
        return true;
    case RECORD_PLAN:
    case RECORD_DECLARATION:
    case RECORD_DECISION:
    case RECORD_SEALED:
        return !is_over(journal, record->draw);
    case RECORD_FOUND:
    case RECORD_DROPPED:
        break;
    }
    return false;
}

enum status journal_memory_load(const struct journal_memory *journal, struct broker *broker)
{
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct entry *entry = &journal->entries[i];
        if (entry->is_deleted || !is_given_back(journal, &entry->record))
            continue;
        enum status status = broker_restore(broker, &entry->record);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* -- archive -- */

static int compare_winners(const void *a, const void *b)
{
    const struct winner *left = a;
    const struct winner *right = b;
    if (left->seq != right->seq)
        return left->seq < right->seq ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

/* The winners of an agency in (seq, row) order; the caller frees them. */
static struct winner *collect_winners(const struct journal_memory *journal, uint32_t draw,
                                      uint32_t agency, size_t *count)
{
    struct winner *winners = NULL;
    *count = 0;
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct record *record = &journal->entries[i].record;
        struct item_winner item;
        size_t at = 0;
        size_t before = 0;
        if (journal->entries[i].is_deleted || record->kind != RECORD_FOUND ||
            record->draw != draw || record->found.agency != agency)
            continue;
        while (item_next_winner(record->found.body, &at, &item) == STATUS_OK) {
            struct winner *grown = realloc(winners, (*count + 1) * sizeof *winners);
            CHECK(grown != NULL);
            winners = grown;
            winners[(*count)++] = (struct winner){item.seq,
                                                  item.row,
                                                  {record->found.body.data + before, at - before}};
            before = at;
        }
    }
    if (*count > 0)
        qsort(winners, *count, sizeof *winners, compare_winners);
    return winners;
}

static enum status read_draw(void *owner, uint32_t draw, struct archived_draw *archived)
{
    const struct journal_memory *journal = owner;
    const struct record *opened = journal_memory_last(journal, RECORD_OPENED, draw);
    const struct record *sealed = journal_memory_last(journal, RECORD_SEALED, draw);

    if (opened == NULL || !is_over(journal, draw))
        return STATUS_NOT_FOUND;
    *archived = (struct archived_draw){.phase = PHASE_VOID};
    if (journal_memory_last(journal, RECORD_VOID, draw) != NULL)
        return STATUS_OK;
    CHECK(sealed != NULL);
    *archived = (struct archived_draw){
        .phase = PHASE_PUBLISHED,
        .root = sealed->sealed.root,
        .number = sealed->sealed.number,
        .range_first = opened->opened.number.range_first,
        .range_last = opened->opened.number.range_last,
        .is_given = opened->opened.number.is_given,
        .seed = opened->opened.number.seed,
    };
    return STATUS_OK;
}

static bool is_member(const struct journal_memory *journal, uint32_t draw, uint32_t agency)
{
    const struct record *decision = journal_memory_last(journal, RECORD_DECISION, draw);
    for (uint32_t i = 0; decision != NULL && i < decision->decision.members_count; i++)
        if (decision->decision.members[i] == agency)
            return true;
    return decision == NULL;
}

static enum status read_agency(void *owner, uint32_t draw, uint32_t agency,
                               struct archived_agency *archived)
{
    const struct journal_memory *journal = owner;
    size_t count = 0;

    if (journal_memory_last(journal, RECORD_PUBLISHED, draw) == NULL ||
        !is_member(journal, draw, agency))
        return STATUS_NOT_FOUND;
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct record *record = journal_memory_at(journal, i);
        if (record == NULL || record->kind != RECORD_DECLARATION || record->draw != draw ||
            record->declaration.agency != agency)
            continue;
        free(collect_winners(journal, draw, agency, &count));
        *archived = (struct archived_agency){record->declaration.attempt, record->declaration.plan,
                                             (uint32_t)count};
        return STATUS_OK;
    }
    return STATUS_NOT_FOUND;
}

static enum status read_page(void *owner, uint32_t draw, uint32_t agency, uint32_t from,
                             uint8_t *body, size_t bytes_max, size_t *bytes, uint32_t *upto)
{
    size_t count = 0;
    struct winner *winners = collect_winners(owner, draw, agency, &count);
    uint32_t index = from;

    *bytes = 0;
    while (index < count && *bytes + winners[index].packed.bytes <= bytes_max) {
        memcpy(body + *bytes, winners[index].packed.data, winners[index].packed.bytes);
        *bytes += winners[index].packed.bytes;
        index++;
    }
    *upto = index;
    free(winners);
    return from <= count ? STATUS_OK : STATUS_NOT_FOUND;
}

void journal_memory_archive(struct journal_memory *journal, struct archive *archive)
{
    *archive = (struct archive){journal, read_draw, read_agency, read_page};
}

/* -- fingerprint: in which order there are stores, plans, declarations, not which of them came
 * before which of the others -- */

static uint64_t hash_declaration(uint64_t hash, const struct manifest_entry *entry)
{
    const uint64_t numbers[] = {entry->agency, entry->attempt, entry->declaration.batches,
                                entry->declaration.bets, entry->declaration.rejected};
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    return fingerprint_bytes(hash, entry->declaration.root.bytes, DIGEST_BYTES);
}

static uint64_t hash_record(uint64_t hash, const struct record *record)
{
    hash = fingerprint_number(hash, record->kind);
    hash = fingerprint_number(hash, record->draw);
    switch (record->kind) {
    case RECORD_STORE:
        return fingerprint_bytes(hash, record->store.bytes, ID_BYTES);
    case RECORD_PLAN:
        hash = fingerprint_number(hash, record->plan.agency);
        hash = fingerprint_number(hash, record->plan.plan.bets_max);
        return fingerprint_number(hash, record->plan.attempt);
    case RECORD_DECLARATION:
        return hash_declaration(hash, &record->declaration);
    case RECORD_DECISION:
        hash = fingerprint_number(hash, record->decision.action);
        for (uint32_t i = 0; i < record->decision.members_count; i++)
            hash = fingerprint_number(hash, record->decision.members[i]);
        return hash;
    case RECORD_SEALED:
        return fingerprint_bytes(hash, record->sealed.root.bytes, DIGEST_BYTES);
    case RECORD_FOUND:
        hash = fingerprint_number(hash, record->found.question);
        hash = fingerprint_number(hash, record->found.agency);
        return fingerprint_bytes(hash, record->found.body.data, record->found.body.bytes);
    case RECORD_OPENED: /* every broker of a world has the same options */
    case RECORD_DROPPED:
    case RECORD_PUBLISHED:
    case RECORD_VOID:
    case RECORD_RECOVERED:
        break;
    }
    return hash;
}

uint64_t journal_memory_fingerprint(const struct journal_memory *journal)
{
    enum { KINDS = RECORD_RECOVERED + 1 };
    uint64_t of_kinds[KINDS] = {0};
    uint64_t hash = fingerprint_number(FINGERPRINT_BASIS, journal->epoch);
    for (size_t i = 0; i < journal->entries_count; i++) {
        const struct record *record = &journal->entries[i].record;
        if (!journal->entries[i].is_deleted)
            of_kinds[record->kind] = hash_record(of_kinds[record->kind], record);
    }
    return fingerprint_numbers(hash, of_kinds, KINDS);
}
