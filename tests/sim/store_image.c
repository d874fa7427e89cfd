/* See store_image.h. Memory that is not there ends the test. */
#include "tests/sim/store_image.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/store_memory.h"

static struct body *body_make(struct slice bytes)
{
    struct body *body = malloc(sizeof *body + bytes.bytes);
    CHECK(body != NULL);
    body->owners = 1;
    body->bytes = bytes.bytes;
    if (bytes.bytes > 0)
        memcpy(body->data, bytes.data, bytes.bytes);
    return body;
}

static struct body *body_share(struct body *body)
{
    body->owners++;
    return body;
}

static void body_leave(struct body *body)
{
    if (--body->owners == 0)
        free(body);
}

/* Makes room for one more element. */
static void *grow(void *elements, size_t count, size_t *room, size_t element_bytes)
{
    if (count < *room)
        return elements;
    *room = *room == 0 ? 16 : 2 * *room;
    void *grown = realloc(elements, *room * element_bytes);
    CHECK(grown != NULL);
    return grown;
}

void image_clear(struct image *image)
{
    for (size_t i = 0; i < image->batches_count; i++)
        body_leave(image->batches[i].body);
    for (size_t i = 0; i < image->seals_count; i++)
        body_leave(image->seals[i].packed);
    free(image->batches);
    free(image->seals);
    *image = (struct image){.batches = NULL};
}

void image_copy(struct image *copy, const struct image *original)
{
    struct image made = *original;
    made.batches_room = original->batches_count;
    made.seals_room = original->seals_count;
    made.batches = calloc(made.batches_room + 1, sizeof *made.batches);
    made.seals = calloc(made.seals_room + 1, sizeof *made.seals);
    CHECK(made.batches != NULL && made.seals != NULL);
    for (size_t i = 0; i < made.batches_count; i++) {
        made.batches[i] = original->batches[i];
        body_share(made.batches[i].body);
    }
    for (size_t i = 0; i < made.seals_count; i++) {
        made.seals[i] = original->seals[i];
        body_share(made.seals[i].packed);
    }
    image_clear(copy);
    *copy = made;
}

size_t image_find_batch(const struct image *image, const struct batch_identity *identity)
{
    size_t low = 0;
    size_t high = image->batches_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch_identity_compare(&image->batches[middle].record.identity, identity) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool image_has_batch(const struct image *image, size_t at, const struct batch_identity *identity)
{
    return at < image->batches_count &&
           batch_identity_compare(&image->batches[at].record.identity, identity) == 0;
}

void image_insert_batch(struct image *image, size_t at, const struct batch_record *record,
                        struct slice body)
{
    image->batches =
        grow(image->batches, image->batches_count, &image->batches_room, sizeof *image->batches);
    memmove(&image->batches[at + 1], &image->batches[at],
            (image->batches_count - at) * sizeof *image->batches);
    image->batches[at] = (struct image_batch){*record, body_make(body)};
    image->batches_count++;
    image->used_bytes += body.bytes + MEMORY_BATCH_BYTES;
}

void image_remove_batch(struct image *image, size_t at)
{
    CHECK(at < image->batches_count);
    image->used_bytes -= image->batches[at].body->bytes + MEMORY_BATCH_BYTES;
    body_leave(image->batches[at].body);
    image->batches_count--;
    memmove(&image->batches[at], &image->batches[at + 1],
            (image->batches_count - at) * sizeof *image->batches);
}

size_t image_find_seal(const struct image *image, uint32_t draw)
{
    size_t at = 0;
    while (at < image->seals_count && image->seals[at].record.draw < draw)
        at++;
    return at;
}

void image_set_seal(struct image *image, const struct seal_record *record, struct slice packed)
{
    size_t at = image_find_seal(image, record->draw);
    if (at == image->seals_count || image->seals[at].record.draw != record->draw) {
        image->seals =
            grow(image->seals, image->seals_count, &image->seals_room, sizeof *image->seals);
        memmove(&image->seals[at + 1], &image->seals[at],
                (image->seals_count - at) * sizeof *image->seals);
        image->seals_count++;
    } else {
        image->used_bytes -= image->seals[at].packed->bytes + MEMORY_BATCH_BYTES;
        body_leave(image->seals[at].packed);
    }
    image->seals[at] = (struct image_seal){*record, body_make(packed)};
    image->used_bytes += packed.bytes + MEMORY_BATCH_BYTES;
}

/* ---- fingerprint: FNV-1a ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        hash ^= at[i];
        hash *= UINT64_C(1099511628211);
    }
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof number);
}

uint64_t image_fingerprint(const struct image *image, uint64_t hash)
{
    hash = mix_number(hash, image->opening.number);
    hash = mix_number(hash, image->epoch.number);
    hash = mix(hash, image->epoch.id.bytes, ID_BYTES);
    for (size_t i = 0; i < image->batches_count; i++) {
        const struct batch_record *record = &image->batches[i].record;
        hash = mix_number(hash, record->identity.draw);
        hash = mix_number(hash, record->identity.agency);
        hash = mix_number(hash, record->identity.attempt);
        hash = mix_number(hash, record->identity.seq);
        hash = mix(hash, record->digest.bytes, DIGEST_BYTES);
        hash = mix(hash, image->batches[i].body->data, image->batches[i].body->bytes);
    }
    for (size_t i = 0; i < image->seals_count; i++) {
        const struct seal_record *record = &image->seals[i].record;
        hash = mix_number(hash, record->draw);
        hash = mix_number(hash, record->kind);
        hash = mix_number(hash, record->is_forgotten);
        hash = mix(hash, record->root.bytes, DIGEST_BYTES);
    }
    return hash;
}
