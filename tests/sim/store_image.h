/* The tables of a store in memory at one moment: batches and seals in order, with bodies that
 * several images share. */
#ifndef SORTEO_TESTS_SIM_STORE_IMAGE_H
#define SORTEO_TESTS_SIM_STORE_IMAGE_H

#include "worker/store.h"

/* Bytes with a count of who has them. */
struct body {
    size_t owners;
    size_t bytes;
    uint8_t data[];
};

struct image_batch {
    struct batch_record record;
    struct body *body; /* shared */
};

struct image_seal {
    struct seal_record record;
    struct body *packed; /* shared; empty: no manifest is kept */
};

/* Open for values: zeroed is empty. */
struct image {
    struct image_batch *batches; /* owned, in order of identity */
    size_t batches_count;
    size_t batches_room;
    struct image_seal *seals; /* owned, in order of draw */
    size_t seals_count;
    size_t seals_room;
    struct epoch opening;
    struct epoch epoch;
    uint64_t used_bytes;
};

void image_clear(struct image *image);
/* copy = original; what was in copy is gone. */
void image_copy(struct image *copy, const struct image *original);

/* Where a batch is, or would have to be. */
size_t image_find_batch(const struct image *image, const struct batch_identity *identity);
bool image_has_batch(const struct image *image, size_t at, const struct batch_identity *identity);
void image_insert_batch(struct image *image, size_t at, const struct batch_record *record,
                        struct slice body);
void image_remove_batch(struct image *image, size_t at);

size_t image_find_seal(const struct image *image, uint32_t draw);
/* Writes a draw's mark, in place of the one that is there. */
void image_set_seal(struct image *image, const struct seal_record *record, struct slice packed);

/* Mixes the image's contents into `hash`. */
uint64_t image_fingerprint(const struct image *image, uint64_t hash);

#endif
