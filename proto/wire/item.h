/* The items in the bodies of messages: msgpack arrays, one behind the other up to the frame's end;
 * the header says how many (PROTOCOL.md, "Items"). All in shortest form. */
#ifndef SORTEO_PROTO_WIRE_ITEM_H
#define SORTEO_PROTO_WIRE_ITEM_H

#include "proto/wire/message.h"

/* Everywhere: draw and attempt from 1, agency any u32, seq below BATCHES_MAX, bets 1 to
 * BATCH_BETS_MAX, row below BATCH_BETS_MAX; a bet's values are allowed ones (bet_check, without the
 * bound of today). */

enum { ITEM_BYTES_MAX = 512 }; /* of any item but a share, which may have RANGES_BYTES_MAX more */

/* In STORED: [seq, bets, digest]. */
struct item_stored {
    uint32_t seq;
    uint32_t bets;
    struct digest digest;
};

/* In RESULT and FOUND: [seq, row, [first_name, last_name, document, birthdate, number]]. */
struct item_winner {
    uint32_t seq;
    uint32_t row;
    struct bet bet; /* slices of the body */
};

/* In COUNT and COUNTED: [agency, attempt, ranges]. */
struct item_share {
    uint32_t agency;
    uint32_t attempt;
    struct slice seqs; /* ranges, checked to their end */
};

/* In INVENTORY. */
enum inventory_kind {
    INVENTORY_BATCH = 0,  /* [0, draw, agency, attempt, seq, bets, digest] */
    INVENTORY_SEAL = 1,   /* [1, draw, root, number] */
    INVENTORY_VOID = 2,   /* [2, draw] */
    INVENTORY_FORGOT = 3, /* [3, draw] */
};

struct item_inventory {
    enum inventory_kind kind;
    uint32_t draw;
    uint32_t agency;
    uint32_t attempt;
    struct item_stored batch;
    struct digest root;
    uint32_t number;
};

/* Each packs one item behind the `*bytes` that the buffer holds and raises them.
 * errors: LIMIT: it does not fit; nothing was written. */
enum status item_pack_stored(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                             const struct item_stored *item);
enum status item_pack_winner(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                             const struct item_winner *item);
enum status item_pack_share(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                            const struct item_share *item);
enum status item_pack_inventory(uint8_t *buffer, size_t buffer_bytes, size_t *bytes,
                                const struct item_inventory *item);

/* Each reads the next item from outside at `*at` and moves behind it.
 * errors: END: the body ends here; MALFORMED: form, type or range (values of a winner's bet
 * included), or the body is larger than the kinds with such items may have: winners
 * PAGE_BYTES_MAX, an inventory CHUNK_BYTES_MAX. */
enum status item_next_stored(struct slice body, size_t *at, struct item_stored *item);
enum status item_next_winner(struct slice body, size_t *at, struct item_winner *item);
enum status item_next_share(struct slice body, size_t *at, struct item_share *item);
enum status item_next_inventory(struct slice body, size_t *at, struct item_inventory *item);

#endif
