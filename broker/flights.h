/* The batches in flight to one store: found by identity and kept in order of sending, both in
 * O(1), in a table of fixed size. A store acknowledges agency by agency, so landings do not come
 * in order. */
#ifndef SORTEO_BROKER_FLIGHTS_H
#define SORTEO_BROKER_FLIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/limits.h"
#include "proto/wire/status.h"

enum {
    /* As many of the smallest batches as the credit admits, and the one that any credit admits. */
    FLIGHTS_MAX = CREDIT_BYTES_MAX / BATCH_WEIGHT_EXTRA_BYTES + 1,
};

struct flight {
    uint32_t agency; /* index in the roll */
    uint32_t attempt;
    uint32_t seq;
    int64_t began_at;
};

struct flights;

/* errors: NO_MEMORY. cost: 704 KiB, of which only what was ever in use at once becomes resident. */
enum status flights_create(struct flights **flights);
void flights_destroy(struct flights **flights);

uint32_t flights_count(const struct flights *flights);
bool flights_is_full(const struct flights *flights);

/* in: a flight that is not there yet, (agency, seq) being its identity; the table is not full. It
 * counts as begun no earlier than the newest one. */
void flights_begin(struct flights *flights, const struct flight *flight);
/* returns false, and changes nothing, when there is no such flight or it is of another attempt. */
bool flights_end(struct flights *flights, uint32_t agency, uint32_t attempt, uint32_t seq);

/* The one that began first, and the one that began after another; NULL: none. Borrowed until that
 * flight ends. */
const struct flight *flights_oldest(const struct flights *flights);
const struct flight *flights_next(const struct flights *flights, const struct flight *flight);

/* Every flight began later by that much. cost: O(flights) */
void flights_shift(struct flights *flights, int64_t by_ms);

#endif
