/* The winners' file: the winning rows byte for byte as they stand in the agency's own file, in its
 * order, each with a line feed. The file is read again at each winner's place, and the bet that the
 * result names must be the one that stands there. */
#ifndef SORTEO_AGENCY_WINNERS_H
#define SORTEO_AGENCY_WINNERS_H

#include "agency/cutter.h"
#include "agency/output.h"

struct winners;

/* in: source and output borrowed, outlive it. errors: NO_MEMORY. */
enum status winners_create(const struct source *source, const struct cutter_terms *terms,
                           struct output *output, struct winners **winners);
void winners_destroy(struct winners **winners);

/* Writes the winners of a page that result_take has passed.
 * errors: WRONG: a winner is not the bet at its place (winners_place tells which); STALE: the file
 * has changed; IO, FULL (errno). */
enum status winners_write(struct winners *winners, const struct cuts *cuts, struct slice body);

/* Goes to a bet of the file. in: seq < cuts->count, row < its bets. out: row: valid until the next
 * call.
 * errors: STALE: the file has changed; IO. */
enum status winners_find(struct winners *winners, const struct cuts *cuts, uint32_t seq,
                         uint32_t row, struct row *found);

/* The place of the last winner that was read. */
void winners_place(const struct winners *winners, uint32_t *seq, uint32_t *row);

#endif
