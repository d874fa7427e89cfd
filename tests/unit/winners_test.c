/* The winners' file: rows as they stand in the input, each checked against what the result names.
 * */
#include <criterion/criterion.h>

#include <limits.h>

#include "agency/winners.h"
#include "proto/wire/item.h"
#include "tests/unit/bets_file.h"

TestSuite(winners, .timeout = 10);

struct bench {
    struct bets_file file;
    struct cuts cuts;
    struct output *output;
    struct winners *winners;
    char path[PATH_MAX];
    uint8_t body[4096];
    size_t bytes;
};

static void begin(struct bench *bench, unsigned rows, unsigned bad_row)
{
    *bench = (struct bench){.file = bets_create(rows, bad_row)};
    const struct cutter_terms terms = bets_terms(10);
    struct cutter *cutter;
    uint8_t buffer[8192];
    struct cut cut;
    struct slice body;
    cr_assert_eq(cutter_create(bench->file.source, &terms, &cutter), STATUS_OK);
    while (cutter_next(cutter, buffer, NULL, NULL, &cut, &body) == STATUS_OK)
        cr_assert_eq(cuts_add(&bench->cuts, &cut), STATUS_OK);
    cutter_destroy(&cutter);
    snprintf(bench->path, sizeof(bench->path), "%s",
             folder_file(&bench->file.folder, "winners.csv"));
    cr_assert_eq(output_create(bench->path, &bench->output), STATUS_OK);
    cr_assert_eq(winners_create(bench->file.source, &terms, bench->output, &bench->winners),
                 STATUS_OK);
}

static void end(struct bench *bench)
{
    winners_destroy(&bench->winners);
    winners_destroy(&bench->winners);
    output_discard(&bench->output);
    cuts_clear(&bench->cuts);
    bets_destroy(&bench->file);
}

static struct slice text_of(const char *text)
{
    return (struct slice){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

/* The bet of row i of the file as a winner at (seq, row). */
static void add(struct bench *bench, uint32_t seq, uint32_t row, unsigned i)
{
    char name[32], document[32];
    snprintf(name, sizeof(name), "Ana %u", i);
    snprintf(document, sizeof(document), "%u", i);
    const struct item_winner item = {
        .seq = seq,
        .row = row,
        .bet =
            {
                .first_name = text_of(name),
                .last_name = text_of("Paz"),
                .document = text_of(document),
                .birthdate = text_of("2000-01-01"),
                .number = i % 10,
            },
    };
    cr_assert_eq(item_pack_winner(bench->body, sizeof(bench->body), &bench->bytes, &item),
                 STATUS_OK);
}

static enum status write_page(struct bench *bench)
{
    const struct slice body = {.data = bench->body, .bytes = bench->bytes};
    bench->bytes = 0;
    return winners_write(bench->winners, &bench->cuts, body);
}

Test(winners, rows_are_written_as_they_stand_with_a_line_feed)
{
    struct bench bench;
    begin(&bench, 35, UINT_MAX);
    add(&bench, 0, 3, 3);
    add(&bench, 0, 9, 9);
    cr_assert_eq(write_page(&bench), STATUS_OK);
    add(&bench, 1, 0, 10);
    add(&bench, 3, 4, 34);
    cr_assert_eq(write_page(&bench), STATUS_OK);
    cr_assert_eq(output_commit(&bench.output), STATUS_OK);
    cr_assert(folder_holds(bench.path, "Ana 3,Paz,3,2000-01-01,3\nAna 9,Paz,9,2000-01-01,9\n"
                                       "Ana 10,Paz,10,2000-01-01,0\nAna 34,Paz,34,2000-01-01,4\n"));
    end(&bench);
}

Test(winners, rows_are_counted_without_the_bad_ones)
{
    struct bench bench;
    begin(&bench, 35, 5);
    add(&bench, 0, 4, 4);
    add(&bench, 0, 5, 6);
    add(&bench, 2, 0, 21);
    cr_assert_eq(write_page(&bench), STATUS_OK);
    end(&bench);
}

/* [M-34] */
Test(winners, any_other_value_of_a_bet_is_wrong)
{
    for (int field = 0; field < 5; field++) {
        struct bench bench;
        begin(&bench, 20, UINT_MAX);
        add(&bench, 1, 1, 11);
        add(&bench, 1, 2, 12);
        /* "Ana 12" "Paz" "12" "2000-01-01" 2 stand at the end of the body */
        size_t from_end[] = {1 + 11 + 3 + 4 + 1, 1 + 11 + 3 + 1, 1 + 11 + 1, 1 + 2, 1};
        bench.body[bench.bytes - from_end[field]] ^= 1;
        cr_assert_eq(write_page(&bench), STATUS_WRONG, "field %d", field);
        uint32_t seq, row;
        winners_place(bench.winners, &seq, &row);
        cr_assert_eq(seq, 1);
        cr_assert_eq(row, 2);
        end(&bench);
    }
}

Test(winners, file_that_has_changed_is_told_apart_from_a_wrong_result)
{
    struct bench bench;
    begin(&bench, 20, UINT_MAX);
    bets_write(&bench.file, 20, 15);
    add(&bench, 0, 1, 1);
    cr_assert_eq(write_page(&bench), STATUS_OK);
    add(&bench, 1, 1, 11);
    cr_assert_eq(write_page(&bench), STATUS_STALE, "another row of the batch is no bet now");
    end(&bench);
}

Test(winners, find_goes_to_any_bet_back_and_forth)
{
    struct bench bench;
    begin(&bench, 35, 5);
    const struct {
        uint32_t seq, row;
        uint64_t line;
    } places[] = {{0, 0, 1}, {0, 9, 11}, {0, 5, 7}, {3, 3, 35}, {1, 0, 12}};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct row row;
        cr_assert_eq(winners_find(bench.winners, &bench.cuts, places[i].seq, places[i].row, &row),
                     STATUS_OK);
        cr_assert_eq(row.line, places[i].line, "%zu: %lu", i, (unsigned long)row.line);
    }
    end(&bench);
}
