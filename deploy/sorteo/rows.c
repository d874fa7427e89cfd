#include "deploy/sorteo/rows.h"

#include <string.h>

#include "deploy/sorteo/names.h"
#include "proto/wire/check.h"

enum {
    BIRTH_YEAR_FIRST = 1940,
    BIRTH_YEAR_LAST = 2006,
    DOCUMENT_FIRST = 20000000,
    DOCUMENT_LAST = 46000000,
    TWO_FIRST_NAMES_PERCENT = 45,
    TWO_LAST_NAMES_PERCENT = 8,
};

_Static_assert(ROW_BYTES_MAX >= 2 * (2 * NAMES_BYTES_MAX + 1) + 33, "the longest row fits");

/* ---- chance ---- */

/* Steele, Lea and Flood's SplitMix64: one addition and a mix that every bit takes part in. */
static uint64_t draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* One of 0 … count - 1, from the upper half of a draw. The bias is below count / 2^32. */
static uint32_t below(uint64_t *state, uint64_t count)
{
    return (uint32_t)(((draw(state) >> 32) * count) >> 32);
}

static uint32_t between(uint64_t *state, uint32_t first, uint32_t last)
{
    return first + below(state, (uint64_t)last - first + 1);
}

/* A generator of its own for each use, so that one more draw here changes nothing there. */
static uint64_t begin_state(uint64_t seed, uint64_t use)
{
    uint64_t state = seed;
    state = draw(&state) ^ (use * 0xd1342543de82ef95u);
    return draw(&state);
}

/* ---- shares ---- */

uint64_t rows_count(const struct rows_plan *plan, uint32_t agency)
{
    CHECK(agency >= 1 && agency <= plan->agencies);
    uint64_t state = begin_state(plan->seed, 0);
    uint64_t before = 0;
    uint64_t through = 0;
    uint64_t all = 0;
    uint32_t id = 1;
    do {
        uint64_t weight = between(&state, ROWS_SHARE_MIN, ROWS_SHARE_MAX);
        before += id < agency ? weight : 0;
        through += id <= agency ? weight : 0;
        all += weight;
    } while (++id <= plan->agencies);
    return plan->bets * through / all - plan->bets * before / all; /* sums without a rest */
}

/* ---- rows ---- */

static char *write_text(char *at, const char *text)
{
    size_t bytes = strlen(text);
    memcpy(at, text, bytes);
    return at + bytes;
}

static char *write_digits(char *at, uint32_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static char *write_number(char *at, uint32_t value)
{
    int digits = 1;
    for (uint32_t rest = value; rest >= 10; rest /= 10)
        digits++;
    return write_digits(at, value, digits);
}

/* The first of a list are drawn more often: the square of an even chance. */
static const char *pick(const struct names *names, uint64_t *state)
{
    uint64_t chance = draw(state) >> 32;
    return names->list[(((chance * chance) >> 32) * names->count) >> 32];
}

static char *write_names(char *at, const struct names *names, uint32_t two_percent, uint64_t *state)
{
    const char *one = pick(names, state);
    at = write_text(at, one);
    if (below(state, 100) < two_percent) {
        const char *other = pick(names, state);
        if (other != one) {
            *at++ = ' ';
            at = write_text(at, other);
        }
    }
    *at++ = ',';
    return at;
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

/* Draws again when the month has no such day: every real date is as likely as every other. */
static char *write_birthdate(char *at, uint64_t *state)
{
    uint32_t year;
    uint32_t month;
    uint32_t day;
    do {
        uint32_t drawn = below(state, (BIRTH_YEAR_LAST - BIRTH_YEAR_FIRST + 1) * 12 * 31);
        day = drawn % 31 + 1;
        month = drawn / 31 % 12 + 1;
        year = BIRTH_YEAR_FIRST + drawn / (31 * 12);
    } while (day > days_of_month(year, month));
    at = write_digits(at, year, 4);
    *at++ = '-';
    at = write_digits(at, month, 2);
    *at++ = '-';
    at = write_digits(at, day, 2);
    *at++ = ',';
    return at;
}

static uint32_t draw_number(struct rows *rows)
{
    const struct rows_plan *plan = rows->plan;
    uint32_t number = between(&rows->state, plan->number_first, plan->number_last);
    bool wins = below(&rows->state, ROWS_PER_WINNER) == 0 || rows->left == rows->certain_winner;
    return plan->has_winning_number && wins ? plan->winning_number : number;
}

static char *write_row(struct rows *rows, char *at)
{
    uint64_t *state = &rows->state;
    const struct names *first = &names_first[below(state, 2)];
    at = write_names(at, first, TWO_FIRST_NAMES_PERCENT, state);
    at = write_names(at, &names_last, TWO_LAST_NAMES_PERCENT, state);
    at = write_digits(at, between(state, DOCUMENT_FIRST, DOCUMENT_LAST), 8);
    *at++ = ',';
    at = write_birthdate(at, state);
    at = write_number(at, draw_number(rows));
    *at++ = '\n';
    return at;
}

void rows_begin(struct rows *rows, const struct rows_plan *plan, uint32_t agency)
{
    uint64_t count = rows_count(plan, agency);
    *rows = (struct rows){.plan = plan, .state = begin_state(plan->seed, agency), .left = count};
    rows->certain_winner = count == 0 ? 0 : draw(&rows->state) % count + 1;
}

size_t rows_write(struct rows *rows, char *text, size_t bytes_max)
{
    CHECK(bytes_max >= ROW_BYTES_MAX);
    char *at = text;
    while (rows->left > 0 && bytes_max - (size_t)(at - text) >= ROW_BYTES_MAX) {
        at = write_row(rows, at);
        rows->left--;
    }
    return (size_t)(at - text);
}
