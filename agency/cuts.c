/* The table of batches: an array that doubles. */
#include "agency/cuts.h"

#include <stdlib.h>

#include "proto/wire/check.h"

enum { CUTS_FIRST = 256 };
_Static_assert(BATCHES_MAX % CUTS_FIRST == 0 &&
                   (BATCHES_MAX / CUTS_FIRST & (BATCHES_MAX / CUTS_FIRST - 1)) == 0,
               "doubling ends at BATCHES_MAX");

void cuts_clear(struct cuts *cuts)
{
    free(cuts->items);
    *cuts = (struct cuts){0};
}

static enum status grow(struct cuts *cuts)
{
    if (cuts->capacity >= BATCHES_MAX)
        return STATUS_LIMIT;
    uint32_t capacity = cuts->capacity == 0 ? CUTS_FIRST : cuts->capacity * 2;
    struct cut *items = realloc(cuts->items, capacity * sizeof(*items));
    if (items == NULL)
        return STATUS_NO_MEMORY;
    cuts->items = items;
    cuts->capacity = capacity;
    return STATUS_OK;
}

enum status cuts_add(struct cuts *cuts, const struct cut *cut)
{
    if (cuts->count == cuts->capacity) {
        enum status status = grow(cuts);
        if (status != STATUS_OK)
            return status;
    }
    cuts->items[cuts->count] = *cut;
    cuts->count++;
    return STATUS_OK;
}

const struct cut *cuts_at(const struct cuts *cuts, uint32_t seq)
{
    CHECK(seq < cuts->count);
    return &cuts->items[seq];
}

uint64_t cuts_last_line(const struct cuts *cuts, uint32_t seq)
{
    CHECK(seq < cuts->count);
    if (seq + 1 < cuts->count)
        return cuts->items[seq + 1].line - 1;
    return cuts->items[seq].line + cuts->items[seq].bets - 1;
}

bool cuts_find_difference(const struct cuts *cuts, uint32_t from, struct slice digests,
                          uint32_t *seq)
{
    static const struct digest NONE = {{0}};
    size_t entries = digests.bytes / DIGEST_BYTES;
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *told = digests.data + i * DIGEST_BYTES;
        uint32_t at = from + (uint32_t)i;
        if (memcmp(told, NONE.bytes, DIGEST_BYTES) == 0)
            continue;
        if (at < cuts->count && memcmp(told, cuts->items[at].digest.bytes, DIGEST_BYTES) == 0)
            continue;
        *seq = at;
        return true;
    }
    return false;
}
