/* What holds after every step of every world: what the journals say. */
#include <stdio.h>

#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

/* -- where batches lie -- */

/* A spoiled batch is deleted before the broker can hear of it. */
static bool is_spoiled(const struct world *world, const struct batch_record *batch)
{
    for (uint32_t i = 0; i < world->spoiled_count; i++)
        if (batch_identity_compare(&world->spoiled[i], &batch->identity) == 0)
            return true;
    return false;
}

/* On a disk that is there, or on one that the broker cannot yet know to be lost. */
bool invariants_is_durable(const struct world *world, const struct batch_record *batch)
{
    for (uint32_t i = 0; i < world->workers_count; i++)
        if (world->workers[i].store != NULL &&
            store_memory_has_durably(world->workers[i].store, batch))
            return true;
    for (uint32_t i = 0; i < world->lost_count; i++)
        if (store_memory_has_durably(world->lost[i], batch))
            return true;
    return is_spoiled(world, batch);
}

/* -- one journal: who is in the draw, and when it was sealed -- */

/* One draw in one journal. */
struct page {
    struct world *world;
    struct journal_memory *journal;
    uint32_t draw;
};

static size_t count(const struct page *page, enum record_kind kind)
{
    return journal_memory_count(page->journal, kind, page->draw);
}

/* After a decision its members, else everybody. */
static bool is_member(const struct page *page, uint32_t agency)
{
    const struct record *decided = journal_memory_last(page->journal, RECORD_DECISION, page->draw);
    for (uint32_t i = 0; decided != NULL && i < decided->decision.members_count; i++)
        if (decided->decision.members[i] == agency)
            return true;
    return decided == NULL;
}

static uint32_t count_members(const struct page *page)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < page->world->plan.agencies; i++)
        members += is_member(page, i + 1);
    return members;
}

/* Only the operator, a decision, or a recovery without a journal makes a draw void. */
static void check_void(const struct page *page)
{
    if (count(page, RECORD_VOID) > 0 && count(page, RECORD_DECISION) == 0 &&
        page->world->counts[MISHAP_VOID] == 0 && !world_has_two_truths(page->world))
        world_violate(page->world, "[once] draw %u is void, and nobody has decided so", page->draw);
}

static void check_numbers(const struct page *page)
{
    struct world *world = page->world;
    size_t sealed = count(page, RECORD_SEALED);
    size_t ended = count(page, RECORD_PUBLISHED) + count(page, RECORD_VOID);
    size_t declared = count(page, RECORD_DECLARATION);
    uint32_t members = count_members(page);
    struct page before = {world, page->journal, page->draw - 1};
    if (count(page, RECORD_OPENED) > 1)
        world_violate(world, "[once] draw %u is opened twice", page->draw);
    if (count(page, RECORD_DECISION) > 1)
        world_violate(world, "[once] draw %u is decided twice", page->draw);
    if (sealed > 1)
        world_violate(world, "[once] draw %u is sealed %zu times", page->draw, sealed);
    if (ended > 1)
        world_violate(world, "[once] draw %u ends %zu times", page->draw, ended);
    if (count(page, RECORD_PUBLISHED) > sealed)
        world_violate(world, "[once] draw %u is published without a seal", page->draw);
    if (declared > world->plan.agencies)
        world_violate(world, "[once] %zu declarations of %u agencies", declared,
                      world->plan.agencies);
    if (sealed > 0 && (declared < members || members < world->plan.quorum))
        world_violate(world, "[barrier] draw %u is sealed with %zu declarations of %u members",
                      page->draw, declared, members);
    if (page->draw > 1 && count(page, RECORD_OPENED) > 0 && count(page, RECORD_RECOVERED) == 0 &&
        count(&before, RECORD_OPENED) > 0 &&
        count(&before, RECORD_PUBLISHED) + count(&before, RECORD_VOID) == 0)
        world_violate(world, "[once] draw %u opens before the one before is over", page->draw);
}

/* Whoever has declared is in, whatever is registered at that moment. */
static void check_decision(const struct page *page)
{
    const struct record *decided = journal_memory_last(page->journal, RECORD_DECISION, page->draw);
    if (decided == NULL)
        return;
    page->world->counts[MISHAP_TIMEOUT]++;
    for (uint32_t i = 0; i < page->world->plan.agencies; i++) {
        bool has_declared =
            journal_memory_of_agency(page->journal, RECORD_DECLARATION, page->draw, i + 1) != NULL;
        if (has_declared != is_member(page, i + 1))
            world_violate(page->world, "[barrier] agency %u has%s declared, but is %s in draw %u",
                          i + 1, has_declared ? "" : " not", has_declared ? "not" : "nevertheless",
                          page->draw);
    }
}

/* P3: every declared batch of every member lies on a disk when the seal is journaled. */
static void check_sealed_batches(const struct page *page)
{
    for (uint32_t i = 0; i < page->world->plan.agencies; i++) {
        const struct record *record =
            journal_memory_of_agency(page->journal, RECORD_DECLARATION, page->draw, i + 1);
        if (record == NULL || !is_member(page, i + 1))
            continue;
        for (uint32_t seq = 0; seq < record->declaration.declaration.batches; seq++) {
            struct batch_record batch = {
                .identity = {page->draw, i + 1, record->declaration.attempt, seq},
                .bets = record->declaration.bets[seq],
                .digest = record->declaration.digests[seq],
            };
            if (!invariants_is_durable(page->world, &batch))
                world_violate(page->world,
                              "[barrier] draw %u is sealed, and batch %u of agency %u is nowhere",
                              page->draw, seq, i + 1);
        }
    }
}

/* The declared content is that of a version of the agency's file, to the byte. */
static void check_declaration(const struct page *page, const struct record *record)
{
    struct agency_actor *actor = &page->world->agencies[record->declaration.agency - 1];
    const struct declaration *declared = &record->declaration.declaration;
    for (uint32_t version = 0; version < actor->file.versions_count; version++) {
        struct declaration expected;
        file_declare(&actor->file, version, page->draw, &record->declaration.plan, actor->hasher,
                     &expected);
        if (digest_is_equal(&expected.root, &declared->root) && expected.bets == declared->bets) {
            actor->declared[page->draw] = version + 1;
            return;
        }
    }
    world_violate(page->world, "[barrier] agency %u has declared what is in none of its files",
                  record->declaration.agency);
}

/* -- what the journals publish is what the files hold -- */

/* One root and one number for each draw, for ever: also when the journal was lost, as long as
 * there is a store that has recorded the seal. */
static void check_sameness(const struct page *page)
{
    struct world *world = page->world;
    const struct record *sealed = journal_memory_last(page->journal, RECORD_SEALED, page->draw);
    if (world->results[page->draw].is_known &&
        (count(page, RECORD_VOID) > 0 ||
         (sealed != NULL &&
          (!digest_is_equal(&sealed->sealed.root, &world->results[page->draw].root) ||
           sealed->sealed.number != world->results[page->draw].number))))
        world_violate(world, "[once] draw %u ends in two ways", page->draw);
    if (sealed == NULL || count(page, RECORD_PUBLISHED) == 0)
        return;
    world->results[page->draw].is_known = true;
    world->results[page->draw].root = sealed->sealed.root;
    world->results[page->draw].number = sealed->sealed.number;
}

static void check_result(const struct page *page)
{
    struct world *world = page->world;
    struct archive archive;
    check_sameness(page);
    if (count(page, RECORD_PUBLISHED) == 0)
        return;
    journal_memory_archive(page->journal, &archive);
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        struct archived_agency archived;
        if (!is_member(page, i + 1) || actor->declared[page->draw] == 0)
            continue;
        uint32_t expected =
            file_count_winners(&actor->file.versions[actor->declared[page->draw] - 1],
                               world->results[page->draw].number);
        if (archive.agency(archive.owner, page->draw, i + 1, &archived) != STATUS_OK)
            world_violate(world, "[winners] agency %u has no result of draw %u", i + 1, page->draw);
        else if (archived.winners != expected)
            world_violate(world, "[winners] agency %u is counted %u winners of draw %u and has %u",
                          i + 1, archived.winners, page->draw, expected);
    }
}

/* -- after each step -- */

static void check_new_records(struct world *world, uint32_t index)
{
    struct journal_memory *journal = world->journals[index];
    size_t records = journal_memory_size(journal);
    for (size_t i = world->records_checked[index]; i < records; i++) {
        const struct record *record = journal_memory_at(journal, i);
        if (record == NULL)
            continue;
        struct page page = {world, journal, record->draw};
        if (record->kind == RECORD_DECLARATION)
            check_declaration(&page, record);
        else if (record->kind == RECORD_DECISION)
            check_decision(&page);
        else if (record->kind == RECORD_SEALED &&
                 journal_memory_count(journal, RECORD_RECOVERED, record->draw) == 0)
            check_sealed_batches(&page);
    }
    world->records_checked[index] = records;
}

void invariants_check(struct world *world)
{
    for (uint32_t i = 0; i < BROKERS_MAX; i++) {
        uint32_t index = world->brokers[i].journal;
        if (journal_memory_size(world->journals[index]) == world->records_checked[index])
            continue;
        check_new_records(world, index);
        for (uint32_t draw = 1; draw <= world->plan.draws; draw++) {
            struct page page = {world, world->journals[index], draw};
            check_numbers(&page);
            check_void(&page);
            check_result(&page);
        }
    }
}

/* -- agencies -- */

bool invariants_allow_end(struct world *world, uint32_t index, const struct agency_outcome *outcome)
{
    bool is_void = false;
    bool is_out = false;
    uint32_t draw = world->agencies[index].draw;
    for (uint32_t i = 0; i < world->journals_count; i++) {
        struct page page = {world, world->journals[i], draw};
        is_void = is_void || count(&page, RECORD_VOID) > 0;
        is_out = is_out || !is_member(&page, index + 1);
    }
    if (outcome->cause == AGENCY_CAUSE_VOID)
        return is_void;
    if (outcome->cause != AGENCY_CAUSE_REFUSED)
        return false;
    switch ((int)outcome->refused.reason) {
    case REFUSAL_VOID:
        return is_void;
    case REFUSAL_EXCLUDED:
        return is_out;
    case REFUSAL_LATE:
        return is_void || is_out;
    case REFUSAL_UNKNOWN: /* over, and known to the lost journal only */
        return world_has_two_truths(world);
    default:
        return false;
    }
}

/* An agency's winners are a plain scan of its file. */
bool invariants_check_winners(struct world *world, uint32_t index)
{
    const struct agency_actor *actor = &world->agencies[index];
    const struct file_version *version = &actor->file.versions[actor->version];
    uint32_t declared = actor->declared[actor->draw];
    uint32_t found = 0;
    if (!world->results[actor->draw].is_known) {
        world_violate(world, "[winners] agency %u is told a result that is not published",
                      index + 1);
        return true;
    }
    if (declared != actor->version + 1)
        return false;
    for (uint32_t row = 0; row < version->rows_count; row++) {
        if (version->rows[row].number != world->results[actor->draw].number)
            continue;
        const struct item_place *told = &actor->winners[found];
        if (found >= actor->winners_count || actor->batch_first_row[told->seq] + told->row != row ||
            told->document != version->rows[row].document) {
            world_violate(world, "[winners] agency %u: winner %u is not row %u of its file",
                          index + 1, found, row);
            return true;
        }
        found++;
    }
    if (found != actor->winners_count)
        world_violate(world, "[winners] agency %u is told %u winners and has %u", index + 1,
                      actor->winners_count, found);
    return true;
}
