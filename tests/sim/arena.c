/* Small blocks come from lists by their size, large ones are pages of their own. A page can be read
 * but not written until somebody tries (SIGSEGV): then it is noted and opened. So it is known which
 * of all the pages can hold anything but zeros, and a snapshot copies these. */
#include "tests/sim/arena.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/wire/check.h"

enum {
    PAGE_BYTES = 4096,
    UNIT_BYTES = 16,
    ORDERS = 11,             /* of 16, 32, 64, ... 16384 bytes */
    LARGE_BYTES_MIN = 16384, /* above this */
    LARGE_MAX = 256,
    PAGES_MAX = 1 << 14,
};

#define SMALL_BYTES     ((size_t)64 << 20)
#define ALL_BYTES       ((size_t)16 << 30)
#define SNAPSHOTS_BYTES ((size_t)64 << 30)

/* Before each small block. */
struct header {
    size_t order;        /* it has UNIT_BYTES << order */
    struct header *next; /* while it is free */
};

struct large {
    uint8_t *start;
    size_t bytes; /* whole pages */
    bool is_taken;
};

/* Lies in the arena's first pages, and so in each snapshot. */
struct heap {
    _Alignas(UNIT_BYTES) uint8_t *small_end;
    uint8_t *large_end;
    struct header *free[ORDERS];
    struct large large[LARGE_MAX];
    uint32_t large_count;
};

/* Before the copies of the pages. */
struct snapshot {
    uint32_t count;           /* of pages that it has */
    uint32_t known;           /* of pages that had ever been written */
    uint16_t kept[PAGES_MAX]; /* which of them it has */
};
_Static_assert(PAGES_MAX <= UINT16_MAX + 1, "an index of a page fits");

static struct {
    uint8_t *start; /* NULL: not open */
    struct heap *heap;
    uint8_t *pages[PAGES_MAX]; /* that were ever written, in that order */
    uint32_t pages_count;
    uint8_t *snapshots;
    size_t snapshots_end;
} arena;

/* -- pages -- */

static size_t round_up(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void on_first_write(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    uint8_t *at = info->si_addr;
    if (at < arena.start || at >= arena.start + ALL_BYTES) {
        const struct sigaction end = {.sa_handler = SIG_DFL};
        (void)sigaction(signal_number, &end, NULL); /* it is tried again, and ends the process */
        return;
    }
    uint8_t *page = at - (size_t)(at - arena.start) % PAGE_BYTES;
    CHECK(arena.pages_count < PAGES_MAX);
    arena.pages[arena.pages_count++] = page;
    CHECK(mprotect(page, PAGE_BYTES, PROT_READ | PROT_WRITE) == 0);
}

static uint8_t *reserve(size_t bytes, int protection)
{
    void *start = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(start != MAP_FAILED);
    return start;
}

void arena_open(void)
{
    struct sigaction action = {.sa_sigaction = on_first_write, .sa_flags = SA_SIGINFO};
    CHECK(arena.start == NULL);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    arena.snapshots = reserve(SNAPSHOTS_BYTES, PROT_READ | PROT_WRITE);
    arena.start = reserve(ALL_BYTES, PROT_READ);
    arena.heap = (struct heap *)arena.start;
    arena.heap->small_end = arena.start + sizeof *arena.heap;
    arena.heap->large_end = arena.start + SMALL_BYTES;
}

void arena_close(void)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    CHECK(munmap(arena.start, ALL_BYTES) == 0);
    CHECK(munmap(arena.snapshots, SNAPSHOTS_BYTES) == 0);
    CHECK(sigaction(SIGSEGV, &usual, NULL) == 0);
    memset(&arena, 0, sizeof arena);
}

bool arena_is_open(void)
{
    return arena.start != NULL;
}

static bool is_in(const uint8_t *page, const struct large *block)
{
    return page >= block->start && page < block->start + block->bytes;
}

static bool is_taken(const uint8_t *page)
{
    const struct heap *heap = arena.heap;
    if (page < arena.start + SMALL_BYTES)
        return page < heap->small_end;
    for (uint32_t i = 0; i < heap->large_count; i++)
        if (is_in(page, &heap->large[i]))
            return heap->large[i].is_taken;
    return false;
}

/* -- blocks -- */

static size_t order_of(size_t bytes)
{
    size_t order = 0;
    while ((size_t)UNIT_BYTES << order < bytes)
        order++;
    return order;
}

static void *take_small(size_t bytes)
{
    struct heap *heap = arena.heap;
    size_t order = order_of(bytes);
    struct header *header = heap->free[order];
    if (header != NULL) {
        heap->free[order] = header->next;
        return header + 1;
    }
    header = (struct header *)heap->small_end;
    heap->small_end += sizeof *header + ((size_t)UNIT_BYTES << order);
    CHECK(heap->small_end <= arena.start + SMALL_BYTES);
    header->order = order;
    return header + 1;
}

/* It holds zeros: whatever was there before it, on this path or another, is wiped out. */
static void *take_large(size_t bytes)
{
    struct heap *heap = arena.heap;
    bytes = round_up(bytes);
    struct large *block = heap->large;
    while (block < heap->large + heap->large_count && (block->is_taken || block->bytes != bytes))
        block++;
    if (block == heap->large + heap->large_count) {
        CHECK(heap->large_count < LARGE_MAX);
        *block = (struct large){heap->large_end, bytes, true};
        heap->large_count++;
        heap->large_end += bytes;
        CHECK(heap->large_end <= arena.start + ALL_BYTES);
    }
    block->is_taken = true;
    for (uint32_t i = 0; i < arena.pages_count; i++)
        if (is_in(arena.pages[i], block))
            memset(arena.pages[i], 0, PAGE_BYTES);
    return block->start;
}

static struct large *find_large(const void *place)
{
    struct heap *heap = arena.heap;
    for (uint32_t i = 0; i < heap->large_count; i++)
        if (heap->large[i].start == place)
            return &heap->large[i];
    CHECK(false);
}

static bool is_small(const void *place)
{
    return (const uint8_t *)place < arena.start + SMALL_BYTES;
}

static size_t room_of(const void *place)
{
    return is_small(place) ? (size_t)UNIT_BYTES << ((const struct header *)place)[-1].order
                           : find_large(place)->bytes;
}

void *arena_alloc(size_t bytes)
{
    return bytes > LARGE_BYTES_MIN ? take_large(bytes) : take_small(bytes);
}

void *arena_calloc(size_t bytes)
{
    return bytes > LARGE_BYTES_MIN ? take_large(bytes) : memset(take_small(bytes), 0, bytes);
}

void *arena_realloc(void *place, size_t bytes)
{
    if (place != NULL && bytes <= room_of(place))
        return place;
    void *larger = arena_alloc(bytes);
    if (place != NULL) {
        memcpy(larger, place, room_of(place));
        (void)arena_free(place);
    }
    return larger;
}

bool arena_free(void *place)
{
    uint8_t *at = place;
    if (arena.start == NULL || at < arena.start || at >= arena.start + ALL_BYTES)
        return false;
    if (is_small(place)) {
        struct header *header = (struct header *)place - 1;
        header->next = arena.heap->free[header->order];
        arena.heap->free[header->order] = header;
    } else {
        find_large(place)->is_taken = false;
    }
    return true;
}

/* -- snapshots -- */

static size_t head_bytes(uint32_t pages)
{
    return round_up(offsetof(struct snapshot, kept) + pages * sizeof(uint16_t));
}

size_t arena_snapshot(void)
{
    size_t start = arena.snapshots_end;
    struct snapshot *snapshot = (struct snapshot *)(arena.snapshots + start);
    snapshot->known = arena.pages_count;
    snapshot->count = 0;
    uint8_t *copy = arena.snapshots + start + head_bytes(snapshot->known);
    for (uint32_t i = 0; i < snapshot->known; i++) {
        if (!is_taken(arena.pages[i]))
            continue;
        snapshot->kept[snapshot->count++] = (uint16_t)i;
        memcpy(copy, arena.pages[i], PAGE_BYTES);
        copy += PAGE_BYTES;
    }
    arena.snapshots_end = (size_t)(copy - arena.snapshots);
    CHECK(arena.snapshots_end <= SNAPSHOTS_BYTES / 2);
    return start;
}

void arena_restore(size_t at)
{
    const struct snapshot *snapshot = (const struct snapshot *)(arena.snapshots + at);
    const uint8_t *copy = arena.snapshots + at + head_bytes(snapshot->known);
    for (uint32_t i = 0; i < snapshot->count; i++)
        memcpy(arena.pages[snapshot->kept[i]], copy + (size_t)i * PAGE_BYTES, PAGE_BYTES);
    for (uint32_t i = snapshot->known; i < arena.pages_count; i++)
        if (!is_small(arena.pages[i]) && is_taken(arena.pages[i]))
            memset(arena.pages[i], 0, PAGE_BYTES);
}

void arena_drop(size_t snapshot)
{
    arena.snapshots_end = snapshot;
}
