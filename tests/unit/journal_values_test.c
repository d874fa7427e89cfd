/* Values and rows that no broker writes, under a checksum that is right: a start ends where the
 * core would CHECK. */
#include "tests/unit/journal_fixture.h"

static enum status count_only(void *owner, const struct record *record)
{
    (void)record;
    ++*(uint32_t *)owner;
    return STATUS_OK;
}

/* A draw with one agency that has finished with one batch. */
static void begin_with_a_draw(struct fixture *fixture)
{
    static const struct digest digest = {{1}};
    static const uint32_t bets = 1;
    fixture_begin(fixture);
    add_opened(fixture, 1);
    add_plan(fixture, 1, 4, 2);
    add_declaration(fixture, 1, 4, 1, &digest, &bets);
    fixture_write(fixture);
}

/* Of a published draw each agency that was in it has a result, of any other one nobody. */
Test(journal_values, refuses_a_phase_that_does_not_go_with_the_results, .timeout = 20)
{
    static const struct {
        bool is_published;
        const char *sql;
    } damages[] = {
        {true, "UPDATE draws SET phase = 1"}, {true, "UPDATE draws SET phase = 2"},
        {true, "UPDATE draws SET phase = 4"}, {true, "DELETE FROM results"},
        {true, "DELETE FROM declarations"},   {false, "UPDATE draws SET phase = 3"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        uint32_t records = 0;
        begin_with_a_draw(&fixture);
        add_sealed(&fixture, 1);
        fixture_write(&fixture);
        if (damages[i].is_published) {
            add_simple(&fixture, RECORD_PUBLISHED, 1);
            fixture_write(&fixture);
        }
        fixture_edit(&fixture, damages[i].sql);
        fixture_reopen(&fixture, 2);
        cr_expect_eq(journal_load(fixture.journal, count_only, &records), STATUS_IO, "%s",
                     damages[i].sql);
        fixture_end(&fixture);
    }
}

/* A draw that --void ended before it opened has its phase, and nothing else. */
Test(journal_values, refuses_results_of_a_void_draw_that_never_opened, .timeout = 10)
{
    struct fixture fixture;
    uint32_t records = 0;
    fixture_begin(&fixture);
    add_simple(&fixture, RECORD_VOID, 9);
    fixture_write(&fixture);
    fixture_edit(&fixture, "INSERT INTO results VALUES(9, 4, 0)");
    fixture_reopen(&fixture, 2);
    cr_expect_eq(journal_load(fixture.journal, count_only, &records), STATUS_IO);
    cr_expect_eq(records, 0);
    fixture_edit(&fixture, "DELETE FROM results");
    fixture_reopen(&fixture, 3);
    cr_expect_eq(journal_load(fixture.journal, count_only, &records), STATUS_OK);
    cr_expect_eq(records, 1);
    fixture_end(&fixture);
}

/* The core CHECKs them, since messages and manifests can carry no others. */
Test(journal_values, refuses_values_that_no_broker_writes, .timeout = 20)
{
    static const char *const damages[] = {
        "UPDATE draws SET draw = 0",
        "UPDATE draws SET phase = 0",
        "UPDATE draws SET phase = 7",
        "UPDATE draws SET range_last = range_first - 1",
        "UPDATE plans SET attempt = 0",
        "UPDATE plans SET bets_max = 0",
        "UPDATE plans SET bytes_max = 1",
        "UPDATE declarations SET attempt = 0",
        "UPDATE declarations SET bytes_max = 1",
        "UPDATE declarations SET batches = 1048577",
        "UPDATE declarations SET digests = zeroblob(36)",
        "UPDATE declarations SET digests = CAST(substr(digests, 1, 32) || x'00100000' AS BLOB)",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        uint32_t records = 0;
        begin_with_a_draw(&fixture);
        fixture_edit(&fixture, damages[i]);
        fixture_reopen(&fixture, 2);
        cr_expect_eq(journal_load(fixture.journal, count_only, &records), STATUS_IO, "%s",
                     damages[i]);
        const char *problem = journal_problem(fixture.journal);
        cr_expect_not_null(strstr(problem, "cannot read the journal"), "%s", damages[i]);
        cr_expect_not_null(strstr(problem, "start with --recover N"), "%s", damages[i]);
        fixture_end(&fixture);
    }
}
