/* The turn's records: an array and an arena, both allocated at the start and reset with each
 * turn. Pieces lie on even boundaries; the slack for that is allocated on top, so that a caller
 * counts with the bytes that it gives and nothing else. */
#include "broker/record.h"

#include <stdlib.h>

#include "proto/wire/check.h"

enum { PIECE_ALIGNMENT = 8 };

struct records {
    struct record *list; /* owned */
    size_t count;
    size_t records_max;
    uint8_t *arena; /* owned */
    size_t arena_at;
    size_t bytes; /* given by callers since the reset; at most bytes_max */
    size_t bytes_max;
};

enum status records_create(size_t records_max, size_t arena_bytes, struct records **records)
{
    CHECK(records_max > 0);
    CHECK(records_max <= SIZE_MAX / sizeof(struct record));
    CHECK(arena_bytes <= SIZE_MAX - records_max * PIECE_ALIGNMENT);
    struct records *built = calloc(1, sizeof(*built));
    if (built == NULL)
        return STATUS_NO_MEMORY;
    built->records_max = records_max;
    built->bytes_max = arena_bytes;
    built->list = calloc(records_max, sizeof(*built->list));
    built->arena = malloc(arena_bytes + records_max * PIECE_ALIGNMENT);
    if (built->list == NULL || built->arena == NULL) {
        records_destroy(&built);
        return STATUS_NO_MEMORY;
    }
    *records = built;
    return STATUS_OK;
}

void records_destroy(struct records **records)
{
    if (*records == NULL)
        return;
    free((*records)->list);
    free((*records)->arena);
    free(*records);
    *records = NULL;
}

bool records_has_room(const struct records *records, size_t count, size_t bytes)
{
    return count <= records->records_max - records->count &&
           bytes <= records->bytes_max - records->bytes;
}

static const void *keep_piece(struct records *records, const void *piece, size_t bytes)
{
    CHECK(bytes <= records->bytes_max - records->bytes);
    uint8_t *kept = records->arena + records->arena_at;
    if (bytes > 0)
        memcpy(kept, piece, bytes);
    records->bytes += bytes;
    records->arena_at += (bytes + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT;
    return kept;
}

static const uint32_t *keep_ids(struct records *records, const uint32_t *ids, uint32_t count)
{
    if (ids == NULL)
        return NULL;
    return keep_piece(records, ids, (size_t)count * sizeof(*ids));
}

void records_add(struct records *records, const struct record *record)
{
    CHECK(records->count < records->records_max);
    struct record *kept = &records->list[records->count++];
    *kept = *record;
    switch (record->kind) {
    case RECORD_OPENED:
        kept->opened.roster = keep_ids(records, record->opened.roster, record->opened.roster_count);
        break;
    case RECORD_DECISION:
        kept->decision.members =
            keep_ids(records, record->decision.members, record->decision.members_count);
        break;
    case RECORD_FOUND:
        kept->found.body.data =
            keep_piece(records, record->found.body.data, record->found.body.bytes);
        break;
    case RECORD_STORE:
    case RECORD_PLAN:
    case RECORD_DECLARATION:
    case RECORD_SEALED:
    case RECORD_DROPPED:
    case RECORD_PUBLISHED:
    case RECORD_VOID:
    case RECORD_RECOVERED:
        break;
    }
}

size_t records_count(const struct records *records)
{
    return records->count;
}

const struct record *records_at(const struct records *records, size_t index)
{
    CHECK(index < records->count);
    return &records->list[index];
}

void records_reset(struct records *records)
{
    records->count = 0;
    records->arena_at = 0;
    records->bytes = 0;
}
