/* How long the broker's journal takes for a turn, for the largest declaration, for finding and
 * publishing the winners of one agency, for a page of them, and for a start behind it. Prints a
 * line for each.  journal FOLDER [RUNS]
 * FOLDER: an empty one on the disk that is to be measured; RUNS: runs of winners, a million unless
 * told, each of one winner of a batch of its own. */
#include "broker/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "proto/host/clock.h"
#include "proto/host/random.h"
#include "proto/wire/check.h"
#include "proto/wire/item.h"

enum { DRAW = 1, AGENCY = 7, TURNS = 500, PAGES = 500, ARENA_BYTES = 4 << 20, RECORDS_MAX = 2048 };

static struct {
    struct journal *journal;
    struct records *records;
} bench;

static void write_turn(void)
{
    enum status status = journal_write(bench.journal, bench.records);
    if (status != STATUS_OK) {
        fprintf(stderr, "journal: %s\n", journal_problem(bench.journal));
        exit(status_exit_code(status));
    }
    records_reset(bench.records);
}

static void add(const struct record *record)
{
    records_add(bench.records, record);
}

static void open_draw(void)
{
    const struct record opened = {
        .kind = RECORD_OPENED,
        .draw = DRAW,
        .opened = {.number = {.draw = DRAW, .range_last = 9999, .is_given = true, .given = 7},
                   .agencies_required = 1,
                   .quorum = 1},
    };
    add(&opened);
    write_turn();
}

static double measure_turns(void)
{
    struct record plan = {
        .kind = RECORD_PLAN,
        .draw = DRAW,
        .plan = {.agency = AGENCY, .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    int64_t begin_ms = clock_now_ms();
    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        plan.plan.attempt = turn;
        add(&plan);
        write_turn();
    }
    return (double)(clock_now_ms() - begin_ms) / TURNS;
}

static int64_t measure_declaration(void)
{
    struct record record = {
        .kind = RECORD_DECLARATION,
        .draw = DRAW,
        .declaration = {.agency = AGENCY,
                        .attempt = TURNS,
                        .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN},
                        .declaration = {.batches = BATCHES_MAX, .bets = BATCHES_MAX}},
    };
    struct digest *digests = calloc(BATCHES_MAX, sizeof *digests);
    uint32_t *bets = calloc(BATCHES_MAX, sizeof *bets);
    CHECK(digests != NULL && bets != NULL);
    for (uint32_t seq = 0; seq < BATCHES_MAX; seq++)
        bets[seq] = 1;
    record.declaration.digests = digests;
    record.declaration.bets = bets;
    int64_t begin_ms = clock_now_ms();
    add(&record);
    write_turn();
    int64_t taken_ms = clock_now_ms() - begin_ms;
    free(digests);
    free(bets);
    return taken_ms;
}

/* Journals the winners page by page, as a count brings them. */
static int64_t measure_finding(uint32_t runs)
{
    int64_t begin_ms = clock_now_ms();
    static uint8_t body[PAGE_BYTES_MAX];
    struct record found = {.kind = RECORD_FOUND,
                           .draw = DRAW,
                           .found = {.question = 1, .agency = AGENCY}};
    struct item_winner winner = {.bet = {.first_name = {(const uint8_t *)"Ana", 3},
                                         .last_name = {(const uint8_t *)"Paz", 3},
                                         .document = {(const uint8_t *)"30904465", 8},
                                         .birthdate = {(const uint8_t *)"1999-03-17", 10},
                                         .number = 7}};
    for (uint32_t seq = 0; seq < runs;) {
        size_t bytes = 0;
        found.found.items = 0;
        for (; seq < runs && sizeof body - bytes >= ITEM_BYTES_MAX; seq++) {
            winner.seq = seq;
            CHECK(item_pack_winner(body, sizeof body, &bytes, &winner) == STATUS_OK);
            found.found.items++;
        }
        found.found.body = (struct slice){body, bytes};
        add(&found);
        write_turn();
    }
    return clock_now_ms() - begin_ms;
}

static int64_t measure_publishing(void)
{
    const struct record sealed = {.kind = RECORD_SEALED, .draw = DRAW, .sealed = {.number = 7}};
    const struct record published = {.kind = RECORD_PUBLISHED, .draw = DRAW};
    add(&sealed);
    write_turn();
    int64_t begin_ms = clock_now_ms();
    add(&published);
    write_turn();
    return clock_now_ms() - begin_ms;
}

/* Pages from all over the result. */
static double measure_pages(uint32_t runs, double *winners)
{
    static uint8_t body[PAGE_BYTES_MAX];
    struct archive archive = journal_archive(bench.journal);
    uint64_t told = 0;
    int64_t begin_ms = clock_now_ms();
    for (uint32_t page = 0; page < PAGES; page++) {
        uint32_t from = (uint32_t)((uint64_t)runs * page / PAGES);
        uint32_t upto = 0;
        size_t bytes = 0;
        CHECK(archive.page(archive.owner, DRAW, AGENCY, from, body, sizeof body, &bytes, &upto) ==
              STATUS_OK);
        told += upto - from;
    }
    *winners = (double)told / PAGES;
    return (double)(clock_now_ms() - begin_ms) / PAGES;
}

static void open_journal(const char *folder)
{
    const struct journal_patience patience = {.ms = 0};
    char problem[512];
    struct epoch epoch;
    struct id id;
    random_id(&id);
    enum status status =
        journal_open(folder, &id, &patience, &bench.journal, &epoch, problem, sizeof problem);
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "journal: %s\n", problem);
    exit(status_exit_code(status));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: journal FOLDER [RUNS]\n", stderr);
        return EX_USAGE;
    }
    uint32_t runs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    open_journal(argv[1]);
    CHECK(records_create(RECORDS_MAX, ARENA_BYTES, &bench.records) == STATUS_OK);
    open_draw();
    printf("a turn of one record: %.2f ms\n", measure_turns());
    printf("a declaration of %d batches: %lld ms\n", BATCHES_MAX, (long long)measure_declaration());
    printf("finding %u runs: %lld ms\n", runs, (long long)measure_finding(runs));
    printf("publishing %u runs: %lld ms\n", runs, (long long)measure_publishing());
    double winners;
    double page_ms = measure_pages(runs, &winners);
    printf("a page of %.0f winners: %.2f ms\n", winners, page_ms);
    records_destroy(&bench.records);
    journal_close(&bench.journal);
    int64_t begin_ms = clock_now_ms();
    open_journal(argv[1]);
    printf("a start with all that: %lld ms\n", (long long)(clock_now_ms() - begin_ms));
    journal_close(&bench.journal);
    return EX_OK;
}
