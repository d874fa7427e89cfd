/* Rows of sample files: the same bytes for the same arguments, on every machine. Pure: whoever owns
 * the files takes the bytes. */
#ifndef SORTEO_DEPLOY_SORTEO_ROWS_H
#define SORTEO_DEPLOY_SORTEO_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROW_BYTES_MAX = 2 * (2 * 15 + 1) + 8 + 10 + 10 + 5, /* two names each, commas, line end */
    ROWS_SHARE_MIN = 100,                               /* an agency's share of the bets weighs */
    ROWS_SHARE_MAX = 300,                               /* between these, drawn from the seed */
    ROWS_PER_WINNER = 1000,
};

/* What the files of all agencies are made from. */
struct rows_plan {
    uint64_t seed;
    uint32_t agencies; /* 1 to AGENCIES_MAX */
    uint64_t bets;     /* of all of them together, at most 2^40 */
    uint32_t number_first;
    uint32_t number_last;
    bool has_winning_number;
    uint32_t winning_number; /* about one bet in ROWS_PER_WINNER is on it, and one of each agency at
                                least that has bets */
};

/* How many of the bets are an agency's: exact, so that all of them add up. Shares differ by a
 * factor of 3 at most. in: agency: 1 to plan->agencies. cost: O(agencies). */
uint64_t rows_count(const struct rows_plan *plan, uint32_t agency);

/* A cursor over the rows of one agency. */
struct rows {
    const struct rows_plan *plan; /* borrowed */
    uint64_t state;               /* of the generator */
    uint64_t left;
    uint64_t certain_winner; /* the row, counted from the end, that surely has the winning number */
};

void rows_begin(struct rows *rows, const struct rows_plan *plan, uint32_t agency);

/* Writes as many whole rows as surely fit. returns their bytes: 0 when no row is left.
 * in: bytes_max: ROW_BYTES_MAX or more. */
size_t rows_write(struct rows *rows, char *text, size_t bytes_max);

#endif
