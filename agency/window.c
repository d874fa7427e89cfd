/* Sets of seq and the round of each. */
#include "agency/window.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

enum { ROUNDS_FIRST = 256 };

void window_begin(struct window *window, uint32_t flying_max)
{
    *window = (struct window){.newest = 1, .flying_max = flying_max};
}

void window_clear(struct window *window)
{
    seqset_clear(&window->unsent);
    seqset_clear(&window->flying);
    seqset_clear(&window->durable);
    free(window->rounds);
    window->rounds = NULL;
    window->rounds_capacity = 0;
}

static enum status set_round(struct window *window, uint32_t seq, uint32_t round)
{
    CHECK(seq < BATCHES_MAX);
    if (seq >= window->rounds_capacity) {
        uint32_t capacity = window->rounds_capacity == 0 ? ROUNDS_FIRST : window->rounds_capacity;
        while (capacity <= seq)
            capacity *= 2;
        uint32_t *rounds = realloc(window->rounds, capacity * sizeof(*rounds));
        if (rounds == NULL)
            return STATUS_NO_MEMORY;
        window->rounds = rounds;
        window->rounds_capacity = capacity;
    }
    window->rounds[seq] = round;
    return STATUS_OK;
}

static enum status add_unsent(struct window *window, uint32_t seq)
{
    enum status status = seqset_add(&window->unsent, seq);
    if (status == STATUS_OK && seq < window->unsent_from)
        window->unsent_from = seq;
    return status;
}

enum status window_cut(struct window *window, uint32_t seq)
{
    if (seqset_has(&window->durable, seq) || seqset_has(&window->flying, seq))
        return STATUS_OK;
    return add_unsent(window, seq);
}

uint32_t window_next(const struct window *window)
{
    return seqset_next(&window->unsent, window->unsent_from);
}

bool window_has_room(const struct window *window, uint64_t weight)
{
    if (window->flying.members == 0)
        return true;
    if (window->flying_max != 0 && window->flying.members >= window->flying_max)
        return false;
    return window->flying_bytes + weight <= window->bytes;
}

enum status window_sent(struct window *window, uint32_t seq, uint64_t weight)
{
    CHECK(seqset_has(&window->unsent, seq));
    enum status status = seqset_add(&window->flying, seq);
    if (status == STATUS_OK)
        status = set_round(window, seq, window->newest + (window->is_marked ? 1 : 0));
    if (status != STATUS_OK)
        return status;
    seqset_remove(&window->unsent, seq);
    if (seq == window->unsent_from)
        window->unsent_from++; /* nothing below it is unsent */
    window->flying_bytes += weight;
    return STATUS_OK;
}

void window_marked(struct window *window)
{
    window->is_marked = true;
}

/* Seqs from `from` up to `beyond` are told not durable. */
static enum status lose(struct window *window, uint32_t from, uint32_t beyond,
                        struct window_change *change)
{
    uint32_t seq = seqset_next(&window->durable, from);
    while (seq < beyond) {
        enum status status = seqset_add(&window->flying, seq);
        if (status != STATUS_OK)
            return status;
        seqset_remove(&window->durable, seq);
        change->lost++;
        seq = seqset_next(&window->durable, seq + 1);
    }
    return STATUS_OK;
}

/* Seqs from `from` up to `beyond` are told durable: that counts as sent in round 1. */
static enum status gain(struct window *window, uint32_t from, uint32_t beyond,
                        struct window_change *change)
{
    uint32_t seq = seqset_next_absent(&window->durable, from);
    while (seq < beyond) {
        enum status status = seqset_add(&window->durable, seq);
        if (status == STATUS_OK)
            status = set_round(window, seq, 1);
        if (status != STATUS_OK)
            return status;
        seqset_remove(&window->flying, seq);
        seqset_remove(&window->unsent, seq);
        change->gained++;
        seq = seqset_next_absent(&window->durable, seq + 1);
    }
    return STATUS_OK;
}

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static enum status take_durable(struct window *window, const struct window_told *told,
                                struct window_change *change)
{
    struct range_cursor cursor;
    struct range range;
    uint32_t at = told->from;
    enum status status = range_open(&cursor, told->durable);
    if (status != STATUS_OK)
        return status;
    while ((status = range_next(&cursor, &range)) == STATUS_OK) {
        uint32_t beyond = lower(range.first + range.count, told->upto);
        if (beyond <= at)
            continue;
        uint32_t first = range.first > at ? range.first : at;
        status = lose(window, at, lower(first, beyond), change);
        if (status == STATUS_OK)
            status = gain(window, first, beyond, change);
        if (status != STATUS_OK)
            return status;
        at = beyond;
    }
    if (status != STATUS_END)
        return status;
    return lose(window, at, told->upto, change);
}

/* Walks through held ranges in step with rising seqs. */
struct holder {
    struct range_cursor cursor;
    struct range range;
    bool has_range;
};

static enum status holder_open(struct holder *holder, struct slice held)
{
    *holder = (struct holder){0};
    if (held.bytes == 0)
        return STATUS_OK;
    if (!ranges_are_valid(held))
        return STATUS_MALFORMED;
    (void)range_open(&holder->cursor, held);
    holder->has_range = range_next(&holder->cursor, &holder->range) == STATUS_OK;
    return STATUS_OK;
}

static bool holder_has(struct holder *holder, uint32_t seq)
{
    while (holder->has_range && holder->range.first + holder->range.count <= seq)
        holder->has_range = range_next(&holder->cursor, &holder->range) == STATUS_OK;
    return holder->has_range && holder->range.first <= seq;
}

static enum status take_missing(struct window *window, const struct cuts *cuts,
                                const struct window_told *told, struct window_change *change)
{
    struct holder holder;
    enum status status = holder_open(&holder, told->held);
    uint32_t seq = seqset_next(&window->flying, told->from);
    while (status == STATUS_OK && seq < told->upto) {
        if (window->rounds[seq] <= told->round_seen && !holder_has(&holder, seq)) {
            seqset_remove(&window->flying, seq);
            change->missing++;
            if (seq < cuts->count) /* else it becomes unsent when it is cut */
                status = add_unsent(window, seq);
        }
        seq = seqset_next(&window->flying, seq + 1);
    }
    return status;
}

static void weigh(struct window *window, const struct cuts *cuts)
{
    window->flying_bytes = 0;
    uint32_t seq = seqset_next(&window->flying, 0);
    while (seq < cuts->count) {
        window->flying_bytes += cut_weight(cuts_at(cuts, seq));
        seq = seqset_next(&window->flying, seq + 1);
    }
}

enum status window_take(struct window *window, const struct cuts *cuts,
                        const struct window_told *told, struct window_change *change)
{
    *change = (struct window_change){0};
    enum status status = take_durable(window, told, change);
    if (status == STATUS_OK)
        status = take_missing(window, cuts, told, change);
    if (status != STATUS_OK)
        return status;
    weigh(window, cuts);
    if (told->round_seen >= window->newest) {
        window->newest++;
        window->is_marked = false;
    }
    return STATUS_OK;
}

bool window_is_clean(const struct window *window)
{
    return window->unsent.members == 0 && window->flying.members == 0;
}

uint64_t window_fingerprint(const struct window *window, uint64_t hash)
{
    const uint64_t numbers[] = {window->newest, window->is_marked, window->bytes};
    hash = fingerprint_set(hash, &window->unsent);
    hash = fingerprint_set(hash, &window->flying);
    for (uint32_t seq = seqset_next(&window->flying, 0); seq != SEQ_NONE;
         seq = seqset_next(&window->flying, seq + 1))
        hash = fingerprint_number(hash, window->rounds[seq]);
    hash = fingerprint_set(hash, &window->durable);
    return fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
}
