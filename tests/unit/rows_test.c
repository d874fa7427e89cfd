#include "deploy/sorteo/rows.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/sorteo/names.h"
#include "proto/wire/csv.h"

TestSuite(rows, .timeout = 20);

static const struct rows_plan usual = {.seed = 1,
                                       .agencies = 5,
                                       .bets = 200000,
                                       .number_first = 0,
                                       .number_last = 9999};

/* All rows of one agency, written piece by piece. The caller frees them. */
static char *write_all(const struct rows_plan *plan, uint32_t agency, size_t piece, size_t *bytes)
{
    size_t room = (size_t)rows_count(plan, agency) * ROW_BYTES_MAX + piece;
    char *text = malloc(room);
    cr_assert_not_null(text);
    struct rows rows;
    rows_begin(&rows, plan, agency);
    *bytes = 0;
    size_t wrote;
    while ((wrote = rows_write(&rows, text + *bytes, piece)) > 0) {
        cr_assert_leq(wrote, piece);
        *bytes += wrote;
    }
    return text;
}

Test(rows, shares_add_up_and_differ_by_a_factor_of_three_at_most)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rows_plan plan = usual;
        plan.seed = seed;
        plan.agencies = 40;
        plan.bets = 1000003;
        uint64_t sum = 0;
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        for (uint32_t agency = 1; agency <= plan.agencies; agency++) {
            uint64_t count = rows_count(&plan, agency);
            sum += count;
            least = count < least ? count : least;
            most = count > most ? count : most;
        }
        cr_assert_eq(sum, plan.bets);
        cr_assert_leq(most, 3 * (least + 1) + 1);
        cr_assert_gt(most, least + least / 4, "even shares");
    }
}

Test(rows, shares_add_up_for_few_and_for_very_many_bets)
{
    static const uint64_t totals[] = {0, 1, 7, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        struct rows_plan plan = usual;
        plan.agencies = 1024;
        plan.bets = totals[i];
        uint64_t sum = 0;
        for (uint32_t agency = 1; agency <= plan.agencies; agency++)
            sum += rows_count(&plan, agency);
        cr_assert_eq(sum, totals[i]);
    }
}

Test(rows, same_plan_makes_the_same_bytes_in_pieces_of_any_size)
{
    size_t whole_bytes;
    size_t pieces_bytes;
    char *whole = write_all(&usual, 2, 1 << 24, &whole_bytes);
    char *pieces = write_all(&usual, 2, ROW_BYTES_MAX, &pieces_bytes);
    cr_assert_eq(whole_bytes, pieces_bytes);
    cr_assert_eq(memcmp(whole, pieces, whole_bytes), 0);
    free(whole);
    free(pieces);
}

Test(rows, bytes_are_those_of_every_other_machine)
{
    static const char first_rows[] = "Silvia Sofía,Álvarez,21162348,1990-03-12,2657\n"
                                     "Mercedes Silvia,Cáceres,21033247,1975-01-18,2584\n"
                                     "Stella Carolina,González,35948667,1979-09-15,6287\n";
    size_t bytes;
    char *text = write_all(&usual, 1, 1 << 16, &bytes);
    cr_assert_gt(bytes, sizeof first_rows);
    cr_assert_eq(memcmp(text, first_rows, sizeof first_rows - 1), 0, "%.160s", text);
    free(text);
}

Test(rows, seed_and_agency_change_the_bytes)
{
    struct rows_plan other = usual;
    other.seed = 2;
    size_t bytes;
    char *one = write_all(&usual, 1, 1 << 16, &bytes);
    char *other_agency = write_all(&usual, 2, 1 << 16, &bytes);
    char *other_seed = write_all(&other, 1, 1 << 16, &bytes);
    cr_assert_neq(memcmp(one, other_agency, 1000), 0);
    cr_assert_neq(memcmp(one, other_seed, 1000), 0);
    free(one);
    free(other_agency);
    free(other_seed);
}

/* Calls `look` for each row of an agency, after the reader of agencies has taken it. */
static uint64_t read_all(const struct rows_plan *plan, uint32_t agency,
                         void (*look)(const struct bet *bet, void *context), void *context)
{
    size_t bytes;
    char *text = write_all(plan, agency, 1 << 16, &bytes);
    static struct csv csv;
    struct csv_row row;
    csv_begin(&csv, (uint8_t *)text, bytes, true, 20061231);
    uint64_t count = 0;
    enum status status;
    while ((status = csv_next(&csv, &row)) == STATUS_OK) {
        cr_assert_eq(row.fault, FAULT_NONE, "row %ju: %s", (uintmax_t)count, fault_text(row.fault));
        look(&row.bet, context);
        count++;
    }
    cr_assert_eq(status, STATUS_END);
    free(text);
    return count;
}

struct seen {
    uint32_t numbers[10000];
    char first_day[11];
    char last_day[11];
    uint32_t leap_days;
};

static void look_at_bet(const struct bet *bet, void *context)
{
    struct seen *seen = context;
    cr_assert_lt(bet->number, 10000u);
    seen->numbers[bet->number]++;
    cr_assert_eq(bet->document.bytes, 8);
    cr_assert_geq(memcmp(bet->document.data, "20000000", 8), 0);
    cr_assert_leq(memcmp(bet->document.data, "46000000", 8), 0);
    char day[11] = "";
    memcpy(day, bet->birthdate.data, 10);
    cr_assert(strcmp(day, "1940-01-01") >= 0 && strcmp(day, "2006-12-31") <= 0, "%s", day);
    if (strcmp(day, seen->first_day) < 0)
        memcpy(seen->first_day, day, sizeof day);
    if (strcmp(day, seen->last_day) > 0)
        memcpy(seen->last_day, day, sizeof day);
    seen->leap_days += strcmp(day + 4, "-02-29") == 0;
}

Test(rows, every_row_is_a_bet_within_its_ranges)
{
    static struct seen seen = {.first_day = "9", .last_day = ""};
    uint64_t count = 0;
    for (uint32_t agency = 1; agency <= usual.agencies; agency++)
        count += read_all(&usual, agency, look_at_bet, &seen);
    cr_assert_eq(count, usual.bets);
    cr_assert_str_eq(seen.first_day, "1940-01-01");
    cr_assert_str_eq(seen.last_day, "2006-12-31");
    /* 17 leap days among 24,472 days: 139 of 200,000 are expected, five sigmas are 59. */
    cr_assert(seen.leap_days > 80 && seen.leap_days < 198, "%u", seen.leap_days);
    for (int number = 0; number < 10000; number++) /* 20 each are expected */
        cr_assert_lt(seen.numbers[number], 60, "number %d", number);
    cr_assert(seen.numbers[0] > 0 && seen.numbers[9999] > 0);
}

struct winners {
    uint32_t number;
    uint64_t count;
};

static void look_for_winner(const struct bet *bet, void *context)
{
    struct winners *winners = context;
    winners->count += bet->number == winners->number;
}

Test(rows, every_agency_with_bets_has_a_winner)
{
    struct rows_plan plan = usual;
    plan.agencies = 300;
    plan.bets = 2000;
    plan.number_last = UINT32_MAX; /* so that chance alone makes none */
    plan.has_winning_number = true;
    plan.winning_number = 7574;
    uint64_t with_bets = 0;
    for (uint32_t agency = 1; agency <= plan.agencies; agency++) {
        struct winners winners = {.number = 7574};
        uint64_t count = read_all(&plan, agency, look_for_winner, &winners);
        cr_assert(count == 0 || winners.count > 0, "agency %u", agency);
        with_bets += count > 0;
    }
    cr_assert_gt(with_bets, 250);
}

Test(rows, about_one_bet_in_a_thousand_wins)
{
    struct rows_plan plan = usual;
    plan.agencies = 1;
    plan.number_last = UINT32_MAX;
    plan.has_winning_number = true;
    plan.winning_number = 0;
    struct winners winners = {.number = 0};
    read_all(&plan, 1, look_for_winner, &winners);
    /* 200 are expected, five sigmas are 71. */
    cr_assert(winners.count > 129 && winners.count < 272, "%ju", (uintmax_t)winners.count);
}

Test(rows, names_keep_to_their_limit_and_stand_once_in_their_list)
{
    const struct names *const lists[] = {&names_first[0], &names_first[1], &names_last};
    for (size_t l = 0; l < 3; l++)
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            cr_assert_leq(strlen(lists[l]->list[i]), (size_t)NAMES_BYTES_MAX);
            for (uint32_t j = 0; j < i; j++)
                cr_assert_str_neq(lists[l]->list[i], lists[l]->list[j]);
        }
}
