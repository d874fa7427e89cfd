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
/* The head of no digests. */
#define NOTHING                                                                                 \
    {                                                                                           \
        {                                                                                       \
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, \
                0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99,   \
                0x1b, 0x78, 0x52, 0xb8, 0x55                                                    \
        }                                                                                       \
    }
#define DECLARATION(number)                    \
    {                                          \
        .kind = RECORD_DECLARATION, .draw = 1, \
        .declaration =                         \
        {.agency = 4,                          \
         .attempt = (number),                  \
         .declaration = {.root = NOTHING} }    \
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
    {"draw 2 contradict one another: it opens before",
     {SIMPLE(RECORD_RECOVERED, 1), OPENED(1), OPENED(2)}},
    {"draw 3 contradict one another: it opens before",
     {OPENED(1), SIMPLE(RECORD_VOID, 1), OPENED(2), OPENED(3)}},
    {"draw 1 contradict one another: it is not the", {PLAN(1, 1)}},
    {"draw 0 contradict one another: it is not the", {SIMPLE(RECORD_VOID, 0)}},
    {"draw 2 contradict one another: it is not the", {OPENED(1), PLAN(2, 1)}},
    {"draw 2 contradict one another: it is not the", {OPENED(1), SIMPLE(RECORD_PUBLISHED, 2)}},
    {"after its seal or its end", {OPENED(1), SIMPLE(RECORD_VOID, 1), PLAN(1, 1)}},
    {"of no attempt in force", {OPENED(1), DECLARATION(1)}},
    {"of no attempt in force", {OPENED(1), PLAN(1, 1), PLAN(1, 2), DECLARATION(1)}},
    {"not that of its batches",
     {OPENED(1),
      PLAN(1, 1),
      {.kind = RECORD_DECLARATION, .draw = 1, .declaration = {.agency = 4, .attempt = 1}}}},
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
        expect_words(STATUS_CONFIG, "start with --recover N");
        end();
        begin();
    }
}

/* What rots in a record between writing and reading. */
enum rot { ROT_NONE, ROT_NUMBER, ROT_DIGEST, ROT_BETS, ROT_SUM, ROT_KINDS };

/* Agency 4's one batch lies in a store; the draw is sealed. The same journal, with this rotten. */
static enum status hand_over(enum rot rot)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < journal_memory_size(bench.journal); i++) {
        struct record record = *journal_memory_at(bench.journal, i);
        struct manifest_entry *entry = &record.declaration;
        struct digest digest;
        uint32_t bets;
        if (record.kind == RECORD_SEALED)
            record.sealed.number += rot == ROT_NUMBER;
        if (record.kind == RECORD_DECLARATION) {
            digest = entry->digests[0];
            digest.bytes[0] ^= rot == ROT_DIGEST;
            bets = entry->bets[0] + (rot == ROT_BETS);
            entry->digests = &digest;
            entry->bets = &bets;
            entry->declaration.bets += rot == ROT_SUM;
        }
        status = broker_restore(reader, &record);
    }
    return status;
}

/* A digest or a count that has rotted is in no store: the draw would wait for it for ever. */
Test(broker_journal, a_seal_or_a_declaration_that_does_not_follow_is_refused)
{
    static const char *const words[ROT_KINDS] = {
        [ROT_NONE] = "",
        [ROT_NUMBER] = "its seal does not follow",
        [ROT_DIGEST] = "not that of its batches",
        [ROT_BETS] = "not that of its batches",
        [ROT_SUM] = "not that of its batches",
    };
    for (enum rot rot = ROT_NONE; rot < ROT_KINDS; rot++) {
        bench_store(&bench, 50, 1, 1);
        bench_hello(&bench, 4, 0);
        bench_stored(&bench, 50, 4, 0);
        cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
        cr_assert_eq(hand_over(rot), rot == ROT_NONE ? STATUS_OK : STATUS_CONFIG, "%s", words[rot]);
        expect_words(rot == ROT_NONE ? STATUS_OK : STATUS_CONFIG, words[rot]);
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
