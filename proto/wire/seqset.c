/* A set of seq as a bitset, and its ranges on the wire. The words double up to the 16,384 that
 * BATCHES_MAX takes; bits beyond them are absent. */
#include "proto/wire/seqset.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/limits.h"

enum {
    WORD_BITS = 64,
    WORDS_MIN = 4,
    WORDS_MAX = BATCHES_MAX / WORD_BITS,
};

_Static_assert(BATCHES_MAX % WORD_BITS == 0, "the largest set ends at a word's end");
_Static_assert((WORDS_MAX & (WORDS_MAX - 1)) == 0, "doubling ends exactly at the largest set");

static uint32_t ones(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

/* The bits from..to-1 of one word; 0 <= from < to <= 64. */
static uint64_t mask(uint32_t from, uint32_t to)
{
    return (UINT64_MAX << from) & (UINT64_MAX >> (WORD_BITS - to));
}

static enum status grow(struct seqset *set, uint32_t words_needed)
{
    if (words_needed <= set->words_count)
        return STATUS_OK;
    CHECK(words_needed <= WORDS_MAX);
    uint32_t words_count = set->words_count > WORDS_MIN ? set->words_count : WORDS_MIN;
    while (words_count < words_needed)
        words_count *= 2;
    uint64_t *words = realloc(set->words, words_count * sizeof *words);
    if (words == NULL)
        return STATUS_NO_MEMORY;
    memset(words + set->words_count, 0, (words_count - set->words_count) * sizeof *words);
    set->words = words;
    set->words_count = words_count;
    return STATUS_OK;
}

void seqset_clear(struct seqset *set)
{
    free(set->words);
    *set = (struct seqset){0};
}

bool seqset_has(const struct seqset *set, uint32_t seq)
{
    uint32_t at = seq / WORD_BITS;
    return at < set->words_count && (set->words[at] >> (seq % WORD_BITS) & 1) != 0;
}

enum status seqset_add(struct seqset *set, uint32_t seq)
{
    return seqset_add_range(set, seq, 1);
}

enum status seqset_add_range(struct seqset *set, uint32_t first, uint32_t count)
{
    if (first > BATCHES_MAX || count > BATCHES_MAX - first)
        return STATUS_LIMIT;
    if (count == 0)
        return STATUS_OK;
    uint32_t end = first + count;
    enum status status = grow(set, (end - 1) / WORD_BITS + 1);
    if (status != STATUS_OK)
        return status;
    while (first < end) {
        uint64_t *word = &set->words[first / WORD_BITS];
        uint32_t from = first % WORD_BITS;
        uint32_t to = end - first < WORD_BITS - from ? from + (end - first) : WORD_BITS;
        uint64_t bits = mask(from, to);
        set->members += ones(bits & ~*word);
        *word |= bits;
        first += to - from;
    }
    return STATUS_OK;
}

void seqset_remove(struct seqset *set, uint32_t seq)
{
    if (!seqset_has(set, seq))
        return;
    set->words[seq / WORD_BITS] &= ~(UINT64_C(1) << (seq % WORD_BITS));
    set->members--;
}

void seqset_subtract(struct seqset *set, const struct seqset *other)
{
    for (uint32_t i = 0; i < set->words_count && i < other->words_count; i++) {
        uint64_t common = set->words[i] & other->words[i];
        set->members -= ones(common);
        set->words[i] ^= common;
    }
}

enum status seqset_copy(struct seqset *set, const struct seqset *other)
{
    if (set == other)
        return STATUS_OK;
    enum status status = grow(set, other->words_count);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < set->words_count; i++)
        set->words[i] = i < other->words_count ? other->words[i] : 0;
    set->members = other->members;
    return STATUS_OK;
}

/* Two sets with as many members that agree wherever both have words agree beyond as well. */
bool seqset_is_equal(const struct seqset *a, const struct seqset *b)
{
    if (a->members != b->members)
        return false;
    for (uint32_t i = 0; i < a->words_count && i < b->words_count; i++)
        if (a->words[i] != b->words[i])
            return false;
    return true;
}

/* The lowest bit at or after `from` that is set once each word was turned around by `flip`;
 * the end of the words where there is none. */
static uint32_t scan(const struct seqset *set, uint32_t from, uint64_t flip)
{
    uint32_t end = set->words_count * WORD_BITS;
    if (from >= end)
        return end;
    uint32_t at = from / WORD_BITS;
    uint64_t word = (set->words[at] ^ flip) & (UINT64_MAX << (from % WORD_BITS));
    while (word == 0 && ++at < set->words_count)
        word = set->words[at] ^ flip;
    return word == 0 ? end : at * WORD_BITS + (uint32_t)__builtin_ctzll(word);
}

uint32_t seqset_next(const struct seqset *set, uint32_t from)
{
    uint32_t found = scan(set, from, 0);
    return found == set->words_count * WORD_BITS ? UINT32_MAX : found;
}

uint32_t seqset_next_absent(const struct seqset *set, uint32_t from)
{
    uint32_t found = scan(set, from, UINT64_MAX);
    return found > from ? found : from;
}

/* As many members as `count` and none at or beyond it leave no gap below it. */
bool seqset_is_full_below(const struct seqset *set, uint32_t count)
{
    return set->members == count && seqset_next(set, count) == UINT32_MAX;
}

/* -- ranges -- */

static size_t unsigned_bytes(uint32_t value)
{
    if (value < 0x80)
        return 1;
    if (value <= UINT8_MAX)
        return 2;
    return value <= UINT16_MAX ? 3 : 5;
}

static size_t array_head_bytes(uint32_t elements)
{
    if (elements < 16)
        return 1;
    return elements <= UINT16_MAX ? 3 : 5;
}

/* The first run of members at or after `from`; false where there is none. */
static bool next_run(const struct seqset *set, uint32_t from, struct range *run)
{
    uint32_t first = seqset_next(set, from);
    if (first == UINT32_MAX)
        return false;
    run->first = first;
    run->count = seqset_next_absent(set, first) - first;
    return true;
}

/* The array's header comes first and tells the number of ranges, so they are counted before they
 * are packed. */
void seqset_pack(const struct seqset *set, uint32_t from, uint8_t *buffer, size_t buffer_bytes,
                 struct slice *ranges, uint32_t *upto)
{
    CHECK(buffer_bytes >= 1);
    uint32_t runs_fit = 0;
    size_t runs_bytes = 0;
    struct range run = {from, 0};
    *upto = from;
    while (next_run(set, *upto, &run)) {
        runs_bytes += unsigned_bytes(run.first) + unsigned_bytes(run.count);
        if (array_head_bytes(2 * (runs_fit + 1)) + runs_bytes > buffer_bytes)
            break;
        runs_fit++;
        *upto = run.first + run.count;
    }
    bool is_all = seqset_next(set, *upto) == UINT32_MAX;

    struct packer packer;
    pack_begin(&packer, buffer, buffer_bytes);
    pack_array(&packer, 2 * runs_fit);
    for (uint32_t at = from; runs_fit > 0; runs_fit--) {
        CHECK(next_run(set, at, &run));
        pack_unsigned(&packer, run.first);
        pack_unsigned(&packer, run.count);
        at = run.first + run.count;
    }
    CHECK(!packer.overflowed);
    *ranges = (struct slice){buffer, packer.bytes};
    if (is_all)
        *upto = UINT32_MAX;
}

enum status range_open(struct range_cursor *cursor, struct slice packed)
{
    struct unpacker unpacker;
    unpack_begin(&unpacker, packed);
    uint32_t elements = unpack_array(&unpacker);
    if (unpacker.failed || elements % 2 != 0)
        return STATUS_MALFORMED;
    *cursor = (struct range_cursor){packed, unpacker.at, elements / 2, 0};
    return STATUS_OK;
}

enum status range_next(struct range_cursor *cursor, struct range *range)
{
    if (cursor->ranges_left == 0)
        return cursor->at == cursor->packed.bytes ? STATUS_END : STATUS_MALFORMED;
    struct unpacker unpacker = {.packed = cursor->packed, .at = cursor->at};
    uint32_t first = (uint32_t)unpack_unsigned(&unpacker, BATCHES_MAX - 1);
    uint32_t count = (uint32_t)unpack_unsigned(&unpacker, BATCHES_MAX - first);
    bool touches = cursor->beyond > 0 && first <= cursor->beyond;
    if (unpacker.failed || count == 0 || touches)
        return STATUS_MALFORMED;
    cursor->at = unpacker.at;
    cursor->ranges_left--;
    cursor->beyond = first + count;
    *range = (struct range){first, count};
    return STATUS_OK;
}

bool ranges_are_valid(struct slice packed)
{
    struct range_cursor cursor;
    struct range range;
    enum status status = range_open(&cursor, packed);
    while (status == STATUS_OK)
        status = range_next(&cursor, &range);
    return status == STATUS_END;
}

struct slice ranges_unpack(struct unpacker *unpacker, size_t bytes_max)
{
    size_t start = unpacker->at;
    uint32_t elements = unpack_array(unpacker);
    for (uint32_t i = 0; i < elements && !unpacker->failed; i++)
        unpack_unsigned(unpacker, BATCHES_MAX);
    struct slice ranges = {unpacker->packed.data + start, unpacker->at - start};
    if (unpacker->failed || ranges.bytes > bytes_max || !ranges_are_valid(ranges)) {
        unpacker->failed = true;
        return (struct slice){0};
    }
    return ranges;
}

enum status seqset_add_ranges(struct seqset *set, struct slice packed)
{
    struct range_cursor cursor;
    struct range range;
    enum status status = range_open(&cursor, packed);
    while (status == STATUS_OK) {
        status = range_next(&cursor, &range);
        if (status == STATUS_OK)
            status = seqset_add_range(set, range.first, range.count);
    }
    return status == STATUS_END ? STATUS_OK : status;
}
