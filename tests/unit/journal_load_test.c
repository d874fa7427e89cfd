/* What is written is handed back: every record, every field, in order; and nothing of what is
 * over. */
#include "tests/unit/journal_fixture.h"

enum { READ_MAX = 32, BATCHES = 2500 };

/* The records as they were handed back, with what they borrow. */
struct reader {
    struct record record[READ_MAX];
    uint32_t count;
    uint32_t ids[AGENCIES_MAX];
    struct digest digests[BATCHES];
    uint32_t bets[BATCHES];
    enum status answer;
};

static void keep_ids(struct reader *reader, const uint32_t *ids, uint32_t count)
{
    if (count > 0)
        memcpy(reader->ids, ids, count * sizeof(*ids));
}

static enum status keep(void *owner, const struct record *record)
{
    struct reader *reader = owner;
    cr_assert_lt(reader->count, READ_MAX);
    reader->record[reader->count++] = *record;
    if (record->kind == RECORD_OPENED && record->opened.roster != NULL)
        keep_ids(reader, record->opened.roster, record->opened.roster_count);
    if (record->kind == RECORD_DECISION)
        keep_ids(reader, record->decision.members, record->decision.members_count);
    uint32_t batches = record->declaration.declaration.batches;
    if (record->kind == RECORD_DECLARATION && batches > 0) {
        cr_assert_leq(batches, BATCHES);
        memcpy(reader->digests, record->declaration.digests, batches * sizeof(struct digest));
        memcpy(reader->bets, record->declaration.bets, batches * sizeof(uint32_t));
    }
    return reader->answer;
}

/* Opens the journal anew and reads it. */
static struct reader *load(struct fixture *fixture)
{
    static struct reader reader;
    memset(&reader, 0, sizeof(reader));
    fixture_reopen(fixture, 2);
    cr_assert_eq(journal_load(fixture->journal, keep, &reader), STATUS_OK);
    return &reader;
}

Test(journal_load, hands_nothing_back_of_a_new_journal, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    cr_assert_eq(load(&fixture)->count, 0);
    fixture_end(&fixture);
}

Test(journal_load, hands_stores_back_first_and_in_order, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    add_store(&fixture, 9);
    fixture_write(&fixture);
    add_store(&fixture, 3);
    fixture_write(&fixture);
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 3);
    cr_assert_eq(reader->record[0].kind, RECORD_STORE);
    cr_assert_eq(reader->record[0].store.bytes[0], 9);
    cr_assert_eq(reader->record[1].store.bytes[0], 3);
    cr_assert_eq(reader->record[2].kind, RECORD_OPENED);
    fixture_end(&fixture);
}

Test(journal_load, hands_back_what_a_draw_opened_with, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 7);
    uint32_t roster[] = {0, 5, 4294967295};
    struct record given = {.kind = RECORD_OPENED, .draw = 4294967295};
    given.opened = (struct terms){.roster = roster, .roster_count = 3, .agencies_required = 3};
    given.opened.number = (struct manifest_terms){.draw = 4294967295,
                                                  .range_last = 9999,
                                                  .is_given = true,
                                                  .given = 7574};
    records_add(fixture.records, &given);
    fixture_write(&fixture);

    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 2);
    const struct terms *first = &reader->record[0].opened;
    cr_assert_eq(reader->record[0].draw, 7);
    cr_assert_eq(first->number.draw, 7);
    cr_assert_eq(first->number.range_first, 10);
    cr_assert_eq(first->number.range_last, 4294967295);
    cr_assert_not(first->number.is_given);
    cr_assert_eq(memcmp(first->number.seed.bytes, "\x07\x08\x09\x00", 4), 0);
    cr_assert_eq(first->agencies_required, 3);
    cr_assert_null(first->roster);
    cr_assert_eq(first->barrier_timeout_ms, 90000);
    cr_assert_eq(first->on_timeout, TIMEOUT_DRAW);
    cr_assert_eq(first->quorum, 2);
    const struct terms *second = &reader->record[1].opened;
    cr_assert_eq(reader->record[1].draw, 4294967295);
    cr_assert(second->number.is_given);
    cr_assert_eq(second->number.given, 7574);
    cr_assert_eq(second->on_timeout, TIMEOUT_VOID);
    cr_assert_not_null(second->roster);
    cr_assert_eq(second->roster_count, 3);
    cr_assert_eq(memcmp(reader->ids, roster, sizeof(roster)), 0);
    fixture_end(&fixture);
}

Test(journal_load, hands_plans_back_in_the_order_in_which_they_were_made, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    add_plan(&fixture, 1, 8, 1);
    add_plan(&fixture, 1, 2, 1);
    add_plan(&fixture, 1, 8, 2);
    fixture_write(&fixture);
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 4);
    static const uint32_t agencies[] = {8, 2, 8};
    static const uint32_t attempts[] = {1, 1, 2};
    for (uint32_t index = 0; index < 3; index++) {
        const struct record *record = &reader->record[1 + index];
        struct plan expected = some_plan(100 * attempts[index]);
        cr_assert_eq(record->kind, RECORD_PLAN);
        cr_assert_eq(record->draw, 1);
        cr_assert_eq(record->plan.agency, agencies[index]);
        cr_assert_eq(record->plan.attempt, attempts[index]);
        cr_assert(plan_is_equal(&record->plan.plan, &expected));
        cr_assert_eq(record->plan.wall_ms, 1700000000000 + attempts[index]);
    }
    fixture_end(&fixture);
}

Test(journal_load, hands_declarations_back_with_digests_and_bets, .timeout = 10)
{
    static struct digest digests[BATCHES];
    static uint32_t bets[BATCHES];
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        memcpy(digests[seq].bytes + 28, &seq, sizeof(seq));
        bets[seq] = 1 + seq * 1000003u % BATCH_BETS_MAX;
    }
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    add_declaration(&fixture, 1, 5, 0, NULL, NULL);
    add_declaration(&fixture, 1, 4, BATCHES, digests, bets);
    fixture_write(&fixture);
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 3);
    cr_assert_eq(reader->record[1].declaration.agency, 5);
    cr_assert_eq(reader->record[1].declaration.declaration.batches, 0);
    const struct manifest_entry *entry = &reader->record[2].declaration;
    struct plan plan = some_plan(200);
    struct declaration said = {.batches = BATCHES,
                               .bets = 5000000000,
                               .rejected = UINT64_MAX,
                               .root = {{1, 2, 3}}};
    cr_assert_eq(entry->agency, 4);
    cr_assert_eq(entry->attempt, 2);
    cr_assert(plan_is_equal(&entry->plan, &plan));
    cr_assert(declaration_is_equal(&entry->declaration, &said));
    cr_assert_eq(memcmp(reader->digests, digests, sizeof(digests)), 0);
    cr_assert_eq(memcmp(reader->bets, bets, sizeof(bets)), 0);
    fixture_end(&fixture);
}

Test(journal_load, hands_back_decision_and_seal, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    uint32_t members[] = {3, 70000};
    struct record decision = {.kind = RECORD_DECISION, .draw = 1};
    decision.decision.action = TIMEOUT_DRAW;
    decision.decision.members = members;
    decision.decision.members_count = 2;
    uint32_t roster[] = {3, 5, 70000};
    add_opened(&fixture, 1);
    struct record opened = *records_at(fixture.records, 0);
    records_reset(fixture.records);
    opened.opened.roster = roster;
    opened.opened.roster_count = 3;
    records_add(fixture.records, &opened);
    records_add(fixture.records, &decision);
    add_sealed(&fixture, 1);
    fixture_write(&fixture);
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 3);
    cr_assert_eq(reader->record[1].kind, RECORD_DECISION);
    cr_assert_eq(reader->record[1].decision.action, TIMEOUT_DRAW);
    cr_assert_eq(reader->record[1].decision.members_count, 2);
    cr_assert_eq(memcmp(reader->ids, members, sizeof(members)), 0);
    cr_assert_eq(reader->record[2].kind, RECORD_SEALED);
    cr_assert_eq(reader->record[2].sealed.number, 7574);
    cr_assert_eq(memcmp(reader->record[2].sealed.root.bytes, "\xaa\xbb\x00", 3), 0);
    fixture_end(&fixture);
}

Test(journal_load, hands_back_only_the_ends_of_draws_that_are_over, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    for (uint32_t draw = 1; draw <= 3; draw++) {
        add_opened(&fixture, draw);
        add_plan(&fixture, draw, 4, 1);
        add_declaration(&fixture, draw, 4, 0, NULL, NULL);
    }
    add_sealed(&fixture, 1);
    add_simple(&fixture, RECORD_PUBLISHED, 1);
    add_simple(&fixture, RECORD_VOID, 2);
    add_simple(&fixture, RECORD_VOID, 9); /* by --void, before it ever opened */
    fixture_write(&fixture);
    struct reader *reader = load(&fixture);
    static const enum record_kind kinds[] = {RECORD_OPENED,      RECORD_PUBLISHED, RECORD_OPENED,
                                             RECORD_VOID,        RECORD_OPENED,    RECORD_PLAN,
                                             RECORD_DECLARATION, RECORD_VOID};
    static const uint32_t draws[] = {1, 1, 2, 2, 3, 3, 3, 9};
    cr_assert_eq(reader->count, 8);
    for (uint32_t index = 0; index < 8; index++) {
        cr_assert_eq(reader->record[index].kind, kinds[index], "record %u", index);
        cr_assert_eq(reader->record[index].draw, draws[index], "record %u", index);
    }
    fixture_end(&fixture);
}

Test(journal_load, ends_with_the_readers_own_answer, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_store(&fixture, 1);
    add_store(&fixture, 2);
    fixture_write(&fixture);
    static struct reader reader = {.answer = STATUS_CONFIG};
    cr_assert_eq(journal_load(fixture.journal, keep, &reader), STATUS_CONFIG);
    cr_assert_eq(reader.count, 1);
    fixture_end(&fixture);
}

/* ---- what contradicts the journal ---- */

/* Each of these turns must fail as a whole: its first record is not kept either. */
static void refuse(enum record_kind first, enum record_kind second, uint32_t draw)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    fixture_write(&fixture);
    add_store(&fixture, 1);
    if (first != RECORD_STORE)
        add_simple(&fixture, first, draw);
    add_simple(&fixture, second, draw);
    cr_assert_eq(fixture_try(&fixture), STATUS_CONFLICT);
    cr_assert_eq(journal_verdict(fixture.journal), STATUS_CONFLICT);
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 1);
    cr_assert_eq(reader->record[0].kind, RECORD_OPENED);
    fixture_end(&fixture);
}

Test(journal_load, refuses_a_draw_that_opens_twice, .timeout = 10)
{
    refuse(RECORD_STORE, RECORD_OPENED, 1);
}

Test(journal_load, says_what_to_do_where_a_row_is_there_already, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    fixture_write(&fixture);
    add_opened(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_CONFLICT);
    const char *problem = journal_problem(fixture.journal);
    cr_expect_not_null(strstr(problem, "start with --recover N"), "%s", problem);
    fixture_end(&fixture);
}

Test(journal_load, refuses_a_seal_of_a_draw_that_never_opened, .timeout = 10)
{
    refuse(RECORD_STORE, RECORD_SEALED, 2);
}

Test(journal_load, refuses_a_second_seal, .timeout = 10)
{
    refuse(RECORD_SEALED, RECORD_SEALED, 1);
}

Test(journal_load, refuses_to_publish_what_is_not_sealed, .timeout = 10)
{
    refuse(RECORD_STORE, RECORD_PUBLISHED, 1);
}

Test(journal_load, refuses_to_seal_what_is_void, .timeout = 10)
{
    refuse(RECORD_VOID, RECORD_SEALED, 1);
}

Test(journal_load, refuses_to_void_what_is_published, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    add_sealed(&fixture, 1);
    add_simple(&fixture, RECORD_PUBLISHED, 1);
    fixture_write(&fixture);
    add_simple(&fixture, RECORD_VOID, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_CONFLICT);
    cr_assert_eq(load(&fixture)->record[1].kind, RECORD_PUBLISHED);
    fixture_end(&fixture);
}

Test(journal_load, refuses_a_second_declaration_of_an_agency, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    add_declaration(&fixture, 1, 4, 0, NULL, NULL);
    fixture_write(&fixture);
    add_declaration(&fixture, 1, 4, 0, NULL, NULL);
    cr_assert_eq(fixture_try(&fixture), STATUS_CONFLICT);
    fixture_end(&fixture);
}

Test(journal_load, a_recovery_raises_the_epoch_and_replaces_its_draw_and_later_ones, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_store(&fixture, 5);
    add_opened(&fixture, 1);
    add_plan(&fixture, 1, 4, 1);
    add_opened(&fixture, 2);
    add_plan(&fixture, 2, 4, 1);
    fixture_write(&fixture);
    struct record recovered = {.kind = RECORD_RECOVERED, .draw = 2, .recovered_epoch = 40};
    records_add(fixture.records, &recovered);
    add_opened(&fixture, 2);
    fixture_write(&fixture);
    add_plan(&fixture, 2, 9, 1);
    fixture_write(&fixture);
    const struct reader *reader = load(&fixture);
    cr_assert_eq(fixture.epoch.number, 41, "the epoch is %llu",
                 (unsigned long long)fixture.epoch.number);
    const enum record_kind kinds[] = {RECORD_STORE, RECORD_RECOVERED, RECORD_OPENED,
                                      RECORD_PLAN,  RECORD_OPENED,    RECORD_PLAN};
    cr_assert_eq(reader->count, sizeof kinds / sizeof *kinds);
    for (uint32_t index = 0; index < reader->count; index++)
        cr_assert_eq(reader->record[index].kind, kinds[index], "record %u", index);
    cr_assert_eq(reader->record[1].draw, 2);
    cr_assert_eq(reader->record[5].plan.agency, 9, "draw 2 was replaced");
    recovered.draw = 1;
    recovered.recovered_epoch = 90;
    records_add(fixture.records, &recovered);
    fixture_write(&fixture);
    reader = load(&fixture);
    cr_assert_eq(reader->count, 2);
    cr_assert_eq(reader->record[1].draw, 1, "the last one counts");
    fixture_end(&fixture);
}

/* Draw 1 was made without agency 5, by a decision; draw 2 with both, by none; draw 3 without 4. */
Test(journal_load, knows_who_was_in_each_published_draw, .timeout = 10)
{
    static const uint32_t members[] = {4, 5};
    struct fixture fixture;
    fixture_begin(&fixture);
    for (uint32_t draw = 1; draw <= 3; draw++) {
        add_opened(&fixture, draw);
        for (uint32_t agency = 4; agency <= 5; agency++) {
            add_plan(&fixture, draw, agency, 2);
            add_declaration(&fixture, draw, agency, 0, NULL, NULL);
        }
        struct record decision = {.kind = RECORD_DECISION, .draw = draw};
        decision.decision.action = TIMEOUT_DRAW;
        decision.decision.members = &members[draw == 3];
        decision.decision.members_count = 1;
        if (draw != 2)
            records_add(fixture.records, &decision);
        add_sealed(&fixture, draw);
        add_simple(&fixture, RECORD_PUBLISHED, draw);
        fixture_write(&fixture);
    }
    struct reader *reader = load(&fixture);
    cr_assert_eq(reader->count, 3 + 3);
    for (uint32_t draw = 1; draw <= 3; draw++)
        for (uint32_t agency = 4; agency <= 5; agency++) {
            struct archived_agency archived;
            cr_expect_eq(fixture.archive.agency(fixture.archive.owner, draw, agency, &archived),
                         draw == 2 || agency == members[draw == 3] ? STATUS_OK : STATUS_NOT_FOUND,
                         "draw %u agency %u", draw, agency);
        }
    fixture_end(&fixture);
}
