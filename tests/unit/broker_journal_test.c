/* Journals that no broker has written: a start ends and says of which draw. */
#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

enum { RECORDS_IN_A_ROW = 5 };

static struct bench bench;
static struct broker *reader; /* a broker to which the records are handed */

static void begin(void)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    cr_assert_eq(broker_create(&options, bench.outbox, bench.records, &bench.archive, NULL,
                               &reader),
                 STATUS_OK);
}

static void end(void)
{
    broker_destroy(&reader);
    bench_close(&bench);
}

TestSuite(broker_journal, .init = begin, .fini = end, .timeout = 20);

static void expect_words(enum status expected, const char *words)
{
    const char *problem;
    cr_assert_eq(broker_verdict(reader, &problem), expected);
    cr_assert_not_null(strstr(problem, words), "%s", problem);
}

#define OPENED(id)                                       \
    {                                                    \
        .kind = RECORD_OPENED, .draw = (id), .opened = { \
            .number = {.draw = (id), .is_given = true}   \
        }                                                \
    }
#define PLAN(id, number)                             \
    {                                                \
        .kind = RECORD_PLAN, .draw = (id),           \
        .plan =                                      \
        {.agency = 4,                                \
         .attempt = (number),                        \
         .plan = {.bets_max = 1, .bytes_max = 512} } \
    }
#define DECLARATION(number)                                                                       \
    {                                                                                             \
        .kind = RECORD_DECLARATION, .draw = 1, .declaration = {.agency = 4, .attempt = (number) } \
    }
#define SIMPLE(is, id)             \
    {                              \
        .kind = (is), .draw = (id) \
    }

/* All but the last one of a row are what a broker writes. */
static const struct {
    const char *words;
    struct record records[RECORDS_IN_A_ROW];
} rows[] = {
    {"draw 2 contradict one another: it opens before", {OPENED(1), OPENED(2)}},
    {"draw 1 contradict one another: it is not the", {PLAN(1, 1)}},
    {"draw 0 contradict one another: it is not the", {SIMPLE(RECORD_VOID, 0)}},
    {"draw 2 contradict one another: it is not the", {OPENED(1), PLAN(2, 1)}},
    {"draw 2 contradict one another: it is not the", {OPENED(1), SIMPLE(RECORD_PUBLISHED, 2)}},
    {"after its seal or its end", {OPENED(1), SIMPLE(RECORD_VOID, 1), PLAN(1, 1)}},
    {"of no attempt in force", {OPENED(1), DECLARATION(1)}},
    {"of no attempt in force", {OPENED(1), PLAN(1, 1), PLAN(1, 2), DECLARATION(1)}},
    {"starts over", {OPENED(1), PLAN(1, 1), DECLARATION(1), PLAN(1, 2)}},
    {"not let in", {OPENED(1), SIMPLE(RECORD_DECISION, 1), PLAN(1, 1)}},
    {"decided twice",
     {OPENED(1), PLAN(1, 1), DECLARATION(1), SIMPLE(RECORD_DECISION, 1),
      SIMPLE(RECORD_DECISION, 1)}},
    {"does not follow", {OPENED(1), PLAN(1, 1), DECLARATION(1), SIMPLE(RECORD_SEALED, 1)}},
    {"not published", {OPENED(1), PLAN(1, 1), DECLARATION(1), SIMPLE(RECORD_FOUND, 1)}},
    {"not published", {OPENED(1), PLAN(1, 1), DECLARATION(1), SIMPLE(RECORD_DROPPED, 1)}},
};

/* A zeroed record is a store's. */
static size_t count_records(const struct record *records)
{
    size_t count = 1;
    while (count < RECORDS_IN_A_ROW && records[count].kind != RECORD_STORE)
        count++;
    return count;
}

Test(broker_journal, records_that_contradict_one_another_are_refused_by_name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t count = count_records(rows[i].records);
        for (size_t at = 0; at < count; at++)
            cr_assert_eq(broker_restore(reader, &rows[i].records[at]),
                         at + 1 < count ? STATUS_OK : STATUS_CONFIG, "row %zu, record %zu", i, at);
        expect_words(STATUS_CONFIG, rows[i].words);
        end();
        begin();
    }
}

/* Agency 4's one batch lies in a store; the draw is sealed. The same journal, with this much added
 * to the number of its seal. */
static enum status hand_over(uint32_t added)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < journal_memory_size(bench.journal); i++) {
        struct record record = *journal_memory_at(bench.journal, i);
        if (record.kind == RECORD_SEALED)
            record.sealed.number += added;
        status = broker_restore(reader, &record);
    }
    return status;
}

Test(broker_journal, a_seal_with_another_number_is_refused)
{
    for (uint32_t added = 0; added < 2; added++) {
        bench_store(&bench, 50, 1, 1);
        bench_hello(&bench, 4, 0);
        bench_stored(&bench, 50, 4, 0);
        cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
        cr_assert_eq(hand_over(added), added == 0 ? STATUS_OK : STATUS_CONFIG);
        expect_words(added == 0 ? STATUS_OK : STATUS_CONFIG, added == 0 ? "" : "does not follow");
        end();
        begin();
    }
}

Test(broker_journal, a_roster_of_more_agencies_than_a_draw_may_have_is_refused)
{
    static uint32_t roster[1 << 20];
    static const uint32_t counts[] = {AGENCIES_MAX + 1, 1 << 20};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct record opened = OPENED(1);
        opened.opened.roster = roster;
        opened.opened.roster_count = counts[i];
        cr_assert_eq(broker_restore(reader, &opened), STATUS_LIMIT);
        expect_words(STATUS_LIMIT, "draw 1");
        end();
        begin();
    }
}

Test(broker_journal, more_agencies_than_a_draw_may_have_are_refused)
{
    struct record opened = OPENED(1);
    struct record plan = PLAN(1, 1);
    cr_assert_eq(broker_restore(reader, &opened), STATUS_OK);
    for (plan.plan.agency = 0; plan.plan.agency < AGENCIES_MAX; plan.plan.agency++)
        cr_assert_eq(broker_restore(reader, &plan), STATUS_OK);
    cr_assert_eq(broker_restore(reader, &plan), STATUS_LIMIT);
    expect_words(STATUS_LIMIT, "draw 1");
}
