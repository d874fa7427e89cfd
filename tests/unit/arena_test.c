/* Tests of the arena: after a restore everything is as it was, and what was not there then is not
 * seen any more. */
#include "tests/sim/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { LARGE_BYTES = 1 << 20, FULL_BYTES = 1024 /* no room is left in its block */ };

TestSuite(arena, .timeout = 10, .init = arena_open);

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

Test(arena, knows_what_is_its_own)
{
    int elsewhere;
    cr_assert(arena_is_open());
    cr_assert(arena_free(arena_alloc(1)));
    cr_assert(arena_free(arena_alloc(LARGE_BYTES)));
    cr_assert_not(arena_free(&elsewhere));
    cr_assert_not(arena_free(NULL));
}

Test(arena, blocks_do_not_overlap)
{
    enum { BLOCKS = 200 };
    uint8_t *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = arena_alloc(i * i);
        memset(blocks[i], (int)i, i * i);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t at = 0; at < i * i; at++)
            cr_assert_eq(blocks[i][at], i);
}

Test(arena, restores_what_was_overwritten)
{
    char *small = arena_calloc(10);
    char *large = arena_calloc(LARGE_BYTES);
    memcpy(small, "before", sizeof "before");
    memcpy(large + LARGE_BYTES / 2, "before", sizeof "before");
    size_t snapshot = arena_snapshot();
    memcpy(small, "after", sizeof "after");
    memcpy(large + LARGE_BYTES / 2, "after", sizeof "after");
    arena_restore(snapshot);
    cr_assert_str_eq(small, "before");
    cr_assert_str_eq(large + LARGE_BYTES / 2, "before");
}

Test(arena, restores_several_times_and_in_order)
{
    uint8_t *large = arena_calloc(LARGE_BYTES);
    large[0] = 1;
    size_t first = arena_snapshot();
    large[0] = 2;
    size_t second = arena_snapshot();
    for (uint32_t i = 0; i < 3; i++) {
        large[0] = 3;
        arena_restore(second);
        cr_assert_eq(large[0], 2);
    }
    arena_drop(second);
    arena_restore(first);
    cr_assert_eq(large[0], 1);
}

Test(arena, restores_zeros_where_nothing_was_written_yet)
{
    uint8_t *large = arena_calloc(LARGE_BYTES);
    size_t snapshot = arena_snapshot();
    memset(large, 1, LARGE_BYTES);
    arena_restore(snapshot);
    cr_assert(is_zero(large, LARGE_BYTES));
}

Test(arena, gives_back_what_was_freed_in_between)
{
    uint8_t *small = arena_alloc(100);
    uint8_t *large = arena_alloc(LARGE_BYTES);
    memset(small, 7, 100);
    memset(large, 7, LARGE_BYTES);
    size_t snapshot = arena_snapshot();
    cr_assert(arena_free(small));
    cr_assert(arena_free(large));
    memset(arena_alloc(100), 8, 100);
    memset(arena_alloc(LARGE_BYTES), 8, LARGE_BYTES);
    arena_restore(snapshot);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        cr_assert(large[i] == 7 && small[i % 100] == 7);
    cr_assert_neq(arena_alloc(100), small);
    cr_assert_neq(arena_alloc(LARGE_BYTES), large);
}

Test(arena, a_block_that_was_only_freed_in_between_is_taken_again)
{
    uint8_t *small = arena_alloc(100);
    uint8_t *large = arena_alloc(LARGE_BYTES);
    size_t snapshot = arena_snapshot();
    cr_assert(arena_free(small));
    cr_assert(arena_free(large));
    arena_restore(snapshot);
    cr_assert_neq(arena_alloc(100), small);
    cr_assert_neq(arena_alloc(LARGE_BYTES), large);
}

Test(arena, a_block_of_another_path_leaves_nothing_behind)
{
    size_t snapshot = arena_snapshot();
    memset(arena_alloc(100), 9, 100);
    memset(arena_alloc(LARGE_BYTES), 9, LARGE_BYTES);
    arena_restore(snapshot);
    cr_assert(is_zero(arena_calloc(100), 100));
    cr_assert(is_zero(arena_calloc(LARGE_BYTES), LARGE_BYTES));
}

Test(arena, a_freed_block_is_used_again_and_zeroed)
{
    uint8_t *first = arena_calloc(LARGE_BYTES);
    memset(first, 9, LARGE_BYTES);
    cr_assert(arena_free(first));
    uint8_t *second = arena_calloc(LARGE_BYTES);
    cr_assert_eq(first, second);
    cr_assert(is_zero(second, LARGE_BYTES));
}

Test(arena, realloc_keeps_what_a_block_holds)
{
    char *text = arena_realloc(NULL, 5);
    memcpy(text, "text", sizeof "text");
    text = arena_realloc(text, 1000);
    cr_assert_str_eq(text, "text");
    text = arena_realloc(text, LARGE_BYTES);
    cr_assert_str_eq(text, "text");
    cr_assert_eq(arena_realloc(text, LARGE_BYTES / 2), text);
    char *full = memset(arena_alloc(FULL_BYTES), 7, FULL_BYTES);
    full = arena_realloc(full, 2 * FULL_BYTES);
    for (size_t i = 0; i < FULL_BYTES; i++)
        cr_assert_eq(full[i], 7);
}
