/* A batch's body: a msgpack array of bets, each [first, last, document, birthdate, number], all in
 * shortest form (PROTOCOL.md, "Batch body"), so that every implementation makes the same bytes.
 * Packing and reading are by hand: the hot path of a bet. */
#ifndef SORTEO_PROTO_WIRE_BATCH_H
#define SORTEO_PROTO_WIRE_BATCH_H

#include "proto/wire/bet.h"
#include "proto/wire/status.h"

/* How a file is cut: a batch is full when it has bets_max bets, or when one more would make its
 * body, array header included, larger than bytes_max. */
struct plan {
    uint32_t bets_max;  /* 1 to BATCH_BETS_MAX */
    uint32_t bytes_max; /* BATCH_BYTES_MIN to BATCH_BYTES_MAX */
    bool skips_bad_rows;
};

/* True when both limits are in their ranges. */
bool plan_is_valid(const struct plan *plan);
bool plan_is_equal(const struct plan *a, const struct plan *b);

/* Fills one buffer with one batch. */
struct batch_builder {
    struct plan plan;
    uint8_t *buffer; /* borrowed, BATCH_BUFFER_BYTES(plan) long; bets start at BATCH_HEAD_BYTES */
    size_t bytes;    /* packed bets, without the array header */
    uint32_t bets;
};

enum { BATCH_HEAD_BYTES = 5 }; /* room for the largest array header in front of the bets */

/* Bytes that a builder's buffer needs: the body, and one whole bet of slack behind it. */
static inline size_t batch_buffer_bytes(const struct plan *plan)
{
    return BATCH_HEAD_BYTES + (size_t)plan->bytes_max + BET_PACKED_BYTES_MAX;
}

/* Starts an empty batch in `buffer`. */
void batch_begin(struct batch_builder *builder, const struct plan *plan, uint8_t *buffer);

/* Adds a valid bet. errors: LIMIT: the batch is full under its plan, nothing was added: end it and
 * begin another. cost: O(bytes), allocates nothing. */
enum status batch_add(struct batch_builder *builder, const struct bet *bet);

/* Ends the batch: writes the array header in front of the bets. returns the body, a slice of the
 * buffer (which does not start at the buffer's start). An empty batch's body is one byte, 0x90. */
struct slice batch_end(struct batch_builder *builder);

/* Reads a body bet by bet. */
struct batch_cursor {
    struct slice body;
    size_t at;
    uint32_t bets_left;
    uint32_t row; /* of the next bet */
};

/* in: body from outside. errors: MALFORMED: no array header in shortest form. */
enum status batch_open(struct batch_cursor *cursor, struct slice body);

/* Reads the next bet; only the form is checked, not the values. out: bet, slices of the body.
 * errors: END: no bet is left and the body ends here; MALFORMED: anything else, trailing bytes
 * included. */
enum status batch_next(struct batch_cursor *cursor, struct bet *bet);

/* Says whether a body from outside is `count` valid bets in shortest form (1 to BATCH_BETS_MAX).
 * out: row: the 0-based place of the faulty bet, 0 where the fault is not one bet's.
 * returns FAULT_NONE, ENCODING, COUNT or bet_check's fault. cost: O(bytes), allocates nothing. */
enum fault batch_check(struct slice body, uint32_t count, uint32_t *row);

/* Finds the next bet with `number` at or after the cursor, skipping the others without reading
 * their text.
 * in: a body that batch_check has passed. out: row and bet. errors: END: there is none. */
enum status batch_find_number(struct batch_cursor *cursor, uint32_t number, uint32_t *row,
                              struct bet *bet);

#endif
