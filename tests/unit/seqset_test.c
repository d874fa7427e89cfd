/* A set of seq against a plain array of booleans, and its ranges against msgpack-c. */
#include "proto/wire/seqset.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

#include "proto/wire/limits.h"

enum { SPAN = 2000 }; /* seqs that the random tests move in */

/* xorshift64: the same numbers in every run */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(next_random(state) % bound);
}

static void assert_same(const struct seqset *set, const bool *model)
{
    uint32_t members = 0;
    for (uint32_t seq = 0; seq < SPAN; seq++) {
        cr_assert_eq(seqset_has(set, seq), model[seq], "seq %u", seq);
        members += model[seq];
    }
    cr_assert_eq(set->members, members);
}

static void assert_same_scan(const struct seqset *set, const bool *model)
{
    uint32_t member = UINT32_MAX;
    uint32_t absent = SPAN;
    for (uint32_t seq = SPAN; seq-- > 0;) {
        member = model[seq] ? seq : member;
        absent = model[seq] ? absent : seq;
        cr_assert_eq(seqset_next(set, seq), member, "from %u", seq);
        cr_assert_eq(seqset_next_absent(set, seq), absent, "from %u", seq);
    }
}

static void change(struct seqset *set, bool *model, uint64_t *state)
{
    uint32_t first = random_below(state, SPAN);
    uint32_t count = random_below(state, 2) ? 1 : random_below(state, 150);
    if (count > SPAN - first)
        count = SPAN - first;
    if (random_below(state, 3) > 0) {
        cr_assert_eq(seqset_add_range(set, first, count), STATUS_OK);
        memset(model + first, true, count);
        return;
    }
    for (uint32_t seq = first; seq < first + count; seq++) {
        seqset_remove(set, seq);
        model[seq] = false;
    }
}

Test(seqset, is_the_set_that_a_plain_array_is, .timeout = 10)
{
    uint64_t state = 0x5eed;
    struct seqset set = {0};
    bool model[SPAN] = {false};
    for (int step = 0; step < 400; step++) {
        change(&set, model, &state);
        assert_same(&set, model);
        if (step % 8 == 0)
            assert_same_scan(&set, model);
    }
    seqset_clear(&set);
    seqset_clear(&set);
    cr_assert_null(set.words);
    cr_assert_eq(set.members, 0);
}

Test(seqset, subtracts_copies_and_compares, .timeout = 10)
{
    uint64_t state = 0xcafe;
    for (int round = 0; round < 60; round++) {
        struct seqset a = {0}, b = {0}, c = {0};
        bool in_a[SPAN] = {false}, in_b[SPAN] = {false}, expected[SPAN];
        for (int step = 0; step < round / 2; step++)
            change(&a, in_a, &state);
        for (int step = 0; step < 20; step++)
            change(&b, in_b, &state);
        cr_assert_eq(seqset_copy(&c, &b), STATUS_OK);
        assert_same(&c, in_b);
        cr_assert(seqset_is_equal(&c, &b));
        cr_assert_eq(seqset_copy(&c, &a), STATUS_OK);
        assert_same(&c, in_a);
        cr_assert_eq(seqset_copy(&c, &c), STATUS_OK);
        seqset_subtract(&c, &b);
        for (int seq = 0; seq < SPAN; seq++)
            expected[seq] = in_a[seq] && !in_b[seq];
        assert_same(&c, expected);
        bool is_same = memcmp(in_a, in_b, sizeof in_a) == 0;
        cr_assert_eq(seqset_is_equal(&a, &b), is_same);
        seqset_clear(&a);
        seqset_clear(&b);
        seqset_clear(&c);
    }
}

Test(seqset, is_equal_looks_at_members_not_at_memory, .timeout = 10)
{
    struct seqset small = {0}, large = {0};
    cr_assert(seqset_is_equal(&small, &large));
    cr_assert_eq(seqset_add(&small, 3), STATUS_OK);
    cr_assert_eq(seqset_add_range(&large, 3, 5000), STATUS_OK);
    cr_assert_not(seqset_is_equal(&small, &large));
    for (uint32_t seq = 4; seq < 5003; seq++)
        seqset_remove(&large, seq);
    cr_assert(seqset_is_equal(&small, &large));
    cr_assert(seqset_is_equal(&large, &small));
    seqset_remove(&large, 3);
    cr_assert_eq(seqset_add(&large, 4000), STATUS_OK);
    cr_assert_not(seqset_is_equal(&small, &large));
    seqset_clear(&small);
    seqset_clear(&large);
}

Test(seqset, empty_set_answers_every_question, .timeout = 10)
{
    struct seqset set = {0};
    cr_assert_not(seqset_has(&set, 0));
    cr_assert_not(seqset_has(&set, UINT32_MAX));
    seqset_remove(&set, 7);
    seqset_subtract(&set, &set);
    cr_assert_eq(seqset_next(&set, 0), UINT32_MAX);
    cr_assert_eq(seqset_next_absent(&set, 5), 5);
    cr_assert_eq(seqset_next_absent(&set, UINT32_MAX), UINT32_MAX);
    cr_assert(seqset_is_full_below(&set, 0));
    cr_assert_not(seqset_is_full_below(&set, 1));
    cr_assert_null(set.words);
}

Test(seqset, rejects_what_lies_beyond_the_last_batch, .timeout = 10)
{
    struct seqset set = {0};
    cr_assert_eq(seqset_add(&set, BATCHES_MAX), STATUS_LIMIT);
    cr_assert_eq(seqset_add(&set, UINT32_MAX), STATUS_LIMIT);
    cr_assert_eq(seqset_add_range(&set, BATCHES_MAX - 1, 2), STATUS_LIMIT);
    cr_assert_eq(seqset_add_range(&set, 1, UINT32_MAX), STATUS_LIMIT);
    cr_assert_eq(set.members, 0);
    cr_assert_eq(seqset_add(&set, BATCHES_MAX - 1), STATUS_OK);
    cr_assert_eq(set.members, 1);
    cr_assert_eq(set.words_count, BATCHES_MAX / 64);
    cr_assert_eq(seqset_next(&set, 0), BATCHES_MAX - 1);
    cr_assert_eq(seqset_next(&set, BATCHES_MAX), UINT32_MAX);
    cr_assert_eq(seqset_add_range(&set, 0, BATCHES_MAX), STATUS_OK);
    cr_assert_eq(set.members, BATCHES_MAX);
    cr_assert_eq(seqset_next_absent(&set, 0), BATCHES_MAX);
    cr_assert(seqset_is_full_below(&set, BATCHES_MAX));
    seqset_clear(&set);
}

Test(seqset, is_full_below_exactly_its_count, .timeout = 10)
{
    struct seqset set = {0};
    cr_assert_eq(seqset_add_range(&set, 0, 130), STATUS_OK);
    cr_assert(seqset_is_full_below(&set, 130));
    cr_assert_not(seqset_is_full_below(&set, 129), "one is beyond");
    cr_assert_not(seqset_is_full_below(&set, 131), "one is missing");
    seqset_remove(&set, 64);
    cr_assert_eq(seqset_add(&set, 130), STATUS_OK);
    cr_assert_not(seqset_is_full_below(&set, 130), "as many, but with a gap");
    seqset_clear(&set);
}

/* The ranges that msgpack-c makes of a model: what ours must be to the byte. */
static void pack_model(const bool *model, uint32_t from, msgpack_sbuffer *buffer)
{
    uint32_t flat[2 * SPAN];
    uint32_t elements = 0;
    for (uint32_t seq = from; seq < SPAN; seq++) {
        if (!model[seq])
            continue;
        if (elements == 0 || flat[elements - 2] + flat[elements - 1] != seq) {
            flat[elements] = seq;
            flat[elements + 1] = 0;
            elements += 2;
        }
        flat[elements - 1]++;
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, elements);
    for (uint32_t i = 0; i < elements; i++)
        msgpack_pack_uint32(&packer, flat[i]);
}

/* [M-10] */
Test(seqset, packs_the_fewest_ranges_as_msgpack_c_does, .timeout = 10)
{
    uint64_t state = 0xbee;
    uint8_t buffer[RANGES_BYTES_MAX];
    for (int round = 0; round < 100; round++) {
        struct seqset set = {0}, again = {0};
        bool model[SPAN] = {false};
        for (int step = 0; step < 3 * round; step++)
            change(&set, model, &state);
        uint32_t from = round % 3 == 0 ? 0 : random_below(&state, SPAN);
        struct slice ranges;
        uint32_t upto = 0;
        seqset_pack(&set, from, buffer, sizeof buffer, &ranges, &upto);
        cr_assert_eq(upto, UINT32_MAX);
        msgpack_sbuffer oracle;
        msgpack_sbuffer_init(&oracle);
        pack_model(model, from, &oracle);
        cr_assert(slice_is_equal(ranges, (struct slice){(uint8_t *)oracle.data, oracle.size}));
        msgpack_sbuffer_destroy(&oracle);
        cr_assert(ranges_are_valid(ranges));
        memset(model, false, from);
        cr_assert_eq(seqset_add_ranges(&again, ranges), STATUS_OK);
        assert_same(&again, model);
        seqset_clear(&set);
        seqset_clear(&again);
    }
}

Test(seqset, pages_of_any_size_put_the_set_together, .timeout = 10)
{
    uint64_t state = 0xfeed;
    struct seqset set = {0};
    bool model[SPAN] = {false};
    for (int step = 0; step < 60; step++)
        change(&set, model, &state);
    for (uint32_t seq = 0; seq < SPAN; seq += 3)
        cr_assert_eq(seqset_add(&set, seq), STATUS_OK);
    for (size_t page_bytes = 9; page_bytes < 300; page_bytes += 7) {
        struct seqset again = {0};
        uint8_t *page = malloc(page_bytes); /* its end is watched by the sanitizer */
        for (uint32_t from = 0; from != UINT32_MAX;) {
            struct slice ranges;
            uint32_t upto = 0;
            seqset_pack(&set, from, page, page_bytes, &ranges, &upto);
            cr_assert_leq(ranges.bytes, page_bytes);
            cr_assert_gt(upto, from);
            cr_assert_eq(seqset_add_ranges(&again, ranges), STATUS_OK);
            uint32_t behind = seqset_next(&again, upto);
            cr_assert_eq(behind, UINT32_MAX, "a page says nothing beyond upto");
            from = upto;
        }
        cr_assert(seqset_is_equal(&set, &again));
        seqset_clear(&again);
        free(page);
    }
    seqset_clear(&set);
}

Test(seqset, pack_tells_how_far_it_came, .timeout = 10)
{
    struct seqset set = {0};
    uint8_t buffer[8];
    struct slice ranges;
    uint32_t upto = 0;
    cr_assert_eq(seqset_add_range(&set, 10, 5), STATUS_OK);
    cr_assert_eq(seqset_add_range(&set, 20, 5), STATUS_OK);
    seqset_pack(&set, 0, buffer, 1, &ranges, &upto);
    cr_assert_eq(upto, 0, "not even one range fits");
    cr_assert_eq(ranges.bytes, 1);
    cr_assert_eq(buffer[0], 0x90);
    seqset_pack(&set, 0, buffer, 4, &ranges, &upto);
    cr_assert_eq(upto, 15);
    cr_assert(slice_is_equal(ranges, (struct slice){(const uint8_t *)"\x92\x0a\x05", 3}));
    seqset_pack(&set, 12, buffer, 5, &ranges, &upto);
    cr_assert_eq(upto, UINT32_MAX, "all of it, to the last byte");
    cr_assert(slice_is_equal(ranges, (struct slice){(const uint8_t *)"\x94\x0c\x03\x14\x05", 5}));
    seqset_pack(&set, 25, buffer, 1, &ranges, &upto);
    cr_assert_eq(upto, UINT32_MAX, "nothing is left to say");
    cr_assert_eq(ranges.bytes, 1);
    seqset_clear(&set);
}

Test(seqset, reads_ranges_one_by_one, .timeout = 10)
{
    static const uint8_t packed[] = {0x94, 0x00, 0x02, 0x05, 0x01};
    struct range_cursor cursor;
    struct range range = {0};
    cr_assert_eq(range_open(&cursor, (struct slice){packed, sizeof packed}), STATUS_OK);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_assert(range.first == 0 && range.count == 2);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_assert(range.first == 5 && range.count == 1);
    cr_assert_eq(range_next(&cursor, &range), STATUS_END);
    cr_assert_eq(range_next(&cursor, &range), STATUS_END);
}

/* Bytes as a string literal with their length. */
#define BYTES(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

/* [M-10] */
Test(seqset, rejects_ranges_of_any_other_form, .timeout = 10)
{
    const struct {
        const char *why;
        struct slice packed;
    } cases[] = {
        {"nothing at all", BYTES("")},
        {"not an array", BYTES("\x05")},
        {"an odd number of elements", BYTES("\x93\x00\x02\x05")},
        {"cut inside an element", BYTES("\x92\x00\xcd\x01")},
        {"cut between elements", BYTES("\x92\x00")},
        {"more elements than bytes", BYTES("\xdd\xff\xff\xff\xfe\x00\x01")},
        {"an array header that is too long", BYTES("\xdc\x00\x02\x00\x02")},
        {"a number that is too long", BYTES("\x92\xcc\x05\x02")},
        {"an element that is no number", BYTES("\x92\x00\xc3")},
        {"a negative number", BYTES("\x92\xff\x01")},
        {"an empty range", BYTES("\x92\x04\x00")},
        {"ranges out of order", BYTES("\x94\x05\x01\x01\x01")},
        {"ranges that overlap", BYTES("\x94\x01\x05\x03\x05")},
        {"ranges that touch", BYTES("\x94\x01\x02\x03\x01")},
        {"touching after the very first seq", BYTES("\x94\x00\x01\x01\x01")},
        {"a first beyond the last batch", BYTES("\x92\xce\x00\x10\x00\x00\x01")},
        {"an end beyond the last batch", BYTES("\x92\xce\x00\x0f\xff\xff\x02")},
        {"an end beyond 32 bits", BYTES("\x92\x01\xce\xff\xff\xff\xff")},
        {"trailing bytes", BYTES("\x92\x00\x01\x00")},
        {"bytes behind nothing", BYTES("\x90\x00")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seqset set = {0};
        cr_assert_not(ranges_are_valid(cases[i].packed), "%s", cases[i].why);
        cr_assert_eq(seqset_add_ranges(&set, cases[i].packed), STATUS_MALFORMED, "%s",
                     cases[i].why);
        seqset_clear(&set);
    }
    cr_assert(ranges_are_valid(BYTES("\x90")));
    cr_assert(ranges_are_valid(BYTES("\x92\xce\x00\x0f\xff\xff\x01")), "the last batch");
    cr_assert(ranges_are_valid(BYTES("\x92\x00\xce\x00\x10\x00\x00")), "all of them");
}

Test(seqset, reads_ranges_inside_something_larger, .timeout = 10)
{
    struct unpacker unpacker;
    struct slice expected = BYTES("\x94\x00\x02\x05\x01");
    unpack_begin(&unpacker, BYTES("\x94\x00\x02\x05\x01\x07"));
    cr_assert(slice_is_equal(ranges_unpack(&unpacker, 5), expected));
    cr_assert_eq(unpack_unsigned(&unpacker, 7), 7, "what follows is read next");
    cr_assert(unpack_is_complete(&unpacker));

    const struct slice refused[] = {
        BYTES("\x94\x00\x02\x05\x01"), /* takes a byte more than allowed */
        BYTES("\x92\x05\x00"),         /* empty range */
        BYTES("\x92\x05"),             /* cut */
        BYTES("\x05"),                 /* no array */
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        unpack_begin(&unpacker, refused[i]);
        cr_assert_eq(ranges_unpack(&unpacker, 4).bytes, 0);
        cr_assert(unpacker.failed, "case %zu", i);
    }
}
