/* Sets of batches, rounds and what a reply changes. */
#include <criterion/criterion.h>

#include "agency/window.h"
#include "proto/wire/pack.h"

TestSuite(window, .timeout = 10);

enum { CUT_BYTES = 100, WEIGHT = CUT_BYTES + BATCH_WEIGHT_EXTRA_BYTES };

struct room {
    struct window window;
    struct cuts cuts;
    uint8_t durable[256];
    uint8_t held[256];
};

static void cut(struct room *room, uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++) {
        const struct cut item = {.bets = 1, .bytes = CUT_BYTES};
        uint32_t seq = room->cuts.count;
        cr_assert_eq(cuts_add(&room->cuts, &item), STATUS_OK);
        cr_assert_eq(window_cut(&room->window, seq), STATUS_OK);
    }
}

static struct room begin(uint32_t batches)
{
    struct room room = {0};
    window_begin(&room.window, 0);
    room.window.bytes = 1 << 20;
    cut(&room, batches);
    return room;
}

static void end(struct room *room)
{
    window_clear(&room->window);
    cuts_clear(&room->cuts);
}

static void send(struct room *room, uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++)
        cr_assert_eq(window_sent(&room->window, window_next(&room->window), WEIGHT), STATUS_OK);
}

/* Packs up to two ranges; a count of 0 leaves one out. */
static struct slice pack(uint8_t *buffer, uint32_t first, uint32_t count, uint32_t second,
                         uint32_t second_count)
{
    struct packer packer;
    pack_begin(&packer, buffer, 256);
    pack_array(&packer, (count > 0 ? 2U : 0U) + (second_count > 0 ? 2U : 0U));
    if (count > 0) {
        pack_unsigned(&packer, first);
        pack_unsigned(&packer, count);
    }
    if (second_count > 0) {
        pack_unsigned(&packer, second);
        pack_unsigned(&packer, second_count);
    }
    return (struct slice){.data = buffer, .bytes = packer.bytes};
}

static struct window_change take(struct room *room, uint32_t from, uint32_t upto,
                                 struct slice durable, struct slice held, uint32_t round_seen)
{
    const struct window_told told = {.from = from,
                                     .upto = upto,
                                     .durable = durable,
                                     .held = held,
                                     .round_seen = round_seen};
    struct window_change change;
    cr_assert_eq(window_take(&room->window, &room->cuts, &told, &change), STATUS_OK);
    return change;
}

static void assert_change(struct window_change change, uint32_t gained, uint32_t lost,
                          uint32_t missing)
{
    cr_assert_eq(change.gained, gained);
    cr_assert_eq(change.lost, lost);
    cr_assert_eq(change.missing, missing);
}

Test(window, sends_in_order_and_weighs_what_flies)
{
    struct room room = begin(3);
    cr_assert_eq(window_next(&room.window), 0);
    send(&room, 2);
    cr_assert_eq(window_next(&room.window), 2);
    cr_assert_eq(room.window.flying_bytes, 2 * WEIGHT);
    send(&room, 1);
    cr_assert_eq(window_next(&room.window), SEQ_NONE);
    cr_assert_not(window_is_clean(&room.window));
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 3, 0, 0), (struct slice){0}, 0);
    cr_assert(window_is_clean(&room.window));
    cr_assert_eq(room.window.flying_bytes, 0);
    end(&room);
}

Test(window, has_room_up_to_the_advice_and_always_for_one)
{
    struct room room = begin(4);
    room.window.bytes = 2 * WEIGHT;
    cr_assert(window_has_room(&room.window, WEIGHT));
    send(&room, 1);
    cr_assert(window_has_room(&room.window, WEIGHT));
    cr_assert_not(window_has_room(&room.window, WEIGHT + 1));
    send(&room, 1);
    cr_assert_not(window_has_room(&room.window, 1));
    room.window.bytes = 0;
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 2, 0, 0), (struct slice){0}, 0);
    cr_assert(window_has_room(&room.window, WEIGHT));
    end(&room);
}

/* [M-30] */
Test(window, gained_and_lost_are_told_within_the_page_only)
{
    struct room room = begin(10);
    send(&room, 10);
    assert_change(take(&room, 0, UINT32_MAX, pack(room.durable, 0, 4, 6, 2), (struct slice){0}, 0),
                  6, 0, 0);
    /* A page from 2 up to 7: 3 and 6 are gone in it, 5 has come; 0, 1, 7 are not spoken of. */
    assert_change(take(&room, 2, 7, pack(room.durable, 2, 1, 5, 1), (struct slice){0}, 0), 1, 2, 0);
    const uint32_t durable[] = {0, 1, 2, 5, 7};
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(seqset_has(&room.window.durable, durable[i]));
    cr_assert_eq(room.window.durable.members, 5);
    cr_assert_eq(room.window.flying.members, 5);
    end(&room);
}

Test(window, ranges_that_reach_over_a_page_are_cut_at_it)
{
    struct room room = begin(10);
    send(&room, 10);
    assert_change(take(&room, 2, 6, pack(room.durable, 0, 3, 5, 4), (struct slice){0}, 0), 2, 0, 0);
    cr_assert(seqset_has(&room.window.durable, 2));
    cr_assert(seqset_has(&room.window.durable, 5));
    cr_assert_eq(room.window.durable.members, 2);
    end(&room);
}

/* PROTOCOL.md forbids it; what a page says of places before its own is not heard. */
Test(window, range_before_its_page_changes_nothing)
{
    struct room room = begin(10);
    send(&room, 10);
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 5, 0, 0), (struct slice){0}, 0);
    assert_change(take(&room, 5, 8, pack(room.durable, 0, 3, 6, 1), (struct slice){0}, 0), 1, 0, 0);
    cr_assert(seqset_has(&room.window.durable, 4), "nothing was said of it");
    cr_assert(seqset_has(&room.window.durable, 6));
    cr_assert_eq(room.window.durable.members, 6);
    end(&room);
}

/* [M-63] */
Test(window, missing_is_of_a_seen_round_and_neither_durable_nor_held)
{
    struct room room = begin(6);
    send(&room, 4);
    window_marked(&room.window);
    send(&room, 2); /* round 2 */
    assert_change(take(&room, 0, UINT32_MAX, pack(room.durable, 0, 1, 0, 0),
                       pack(room.held, 2, 1, 0, 0), 1),
                  1, 0, 2);
    cr_assert_eq(room.window.newest, 2);
    cr_assert_not(room.window.is_marked);
    cr_assert_eq(window_next(&room.window), 1);
    cr_assert(seqset_has(&room.window.unsent, 3));
    cr_assert_eq(room.window.flying.members, 3);
    cr_assert_eq(room.window.flying_bytes, 3 * WEIGHT);
    end(&room);
}

/* [M-63] */
Test(window, missing_in_no_page_is_not_missing)
{
    struct room room = begin(6);
    send(&room, 6);
    window_marked(&room.window);
    assert_change(take(&room, 2, 4, pack(room.durable, 0, 0, 0, 0), (struct slice){0}, 1), 0, 0, 2);
    cr_assert_eq(window_next(&room.window), 2);
    cr_assert_eq(room.window.flying.members, 4);
    end(&room);
}

Test(window, told_durable_counts_as_sent_in_round_1)
{
    struct room room = begin(2);
    for (uint32_t round = 1; round < 5; round++) {
        window_marked(&room.window);
        take(&room, 0, UINT32_MAX, pack(room.durable, 0, 0, 0, 0), (struct slice){0}, round);
    }
    send(&room, 2); /* round 5 */
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 1, 0, 0), (struct slice){0}, 0);
    assert_change(take(&room, 0, UINT32_MAX, pack(room.durable, 0, 0, 0, 0), (struct slice){0}, 1),
                  0, 1, 1);
    cr_assert_eq(window_next(&room.window), 0, "1 is of round 5");
    cr_assert_eq(room.window.flying.members, 1);
    end(&room);
}

Test(window, unsent_batch_that_is_told_durable_is_not_sent)
{
    struct room room = begin(3);
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 2, 0, 0), (struct slice){0}, 0);
    cr_assert_eq(window_next(&room.window), 2);
    end(&room);
}

Test(window, durable_beyond_what_was_cut_is_remembered)
{
    struct room room = begin(1);
    take(&room, 0, UINT32_MAX, pack(room.durable, 0, 1, 400, 2), (struct slice){0}, 0);
    assert_change(take(&room, 0, UINT32_MAX, pack(room.durable, 0, 1, 400, 1), (struct slice){0},
                       1),
                  0, 1, 1);
    cr_assert_eq(window_next(&room.window), SEQ_NONE, "missing, and not cut yet");
    cut(&room, 401);
    cr_assert_eq(window_next(&room.window), 1);
    cr_assert_not(seqset_has(&room.window.unsent, 400));
    cr_assert(seqset_has(&room.window.unsent, 401));
    end(&room);
}

Test(window, rejects_ranges_of_another_form)
{
    struct room room = begin(2);
    send(&room, 2);
    struct window_change change;
    struct window_told told = {
        .upto = UINT32_MAX,
        .durable = {.data = (const uint8_t *)"\x91\x01", .bytes = 2},
    };
    cr_assert_eq(window_take(&room.window, &room.cuts, &told, &change), STATUS_MALFORMED);
    told.durable = (struct slice){.data = (const uint8_t *)"\x92\x01\x00", .bytes = 3};
    cr_assert_eq(window_take(&room.window, &room.cuts, &told, &change), STATUS_MALFORMED);
    told.durable = pack(room.durable, 0, 1, 0, 0);
    told.held = (struct slice){.data = (const uint8_t *)"\x92\x01\x00", .bytes = 3};
    cr_assert_eq(window_take(&room.window, &room.cuts, &told, &change), STATUS_MALFORMED);
    end(&room);
}

Test(window, limit_on_batches_in_flight_holds)
{
    struct room room = begin(3);
    room.window.flying_max = 1;
    cr_assert(window_has_room(&room.window, WEIGHT));
    send(&room, 1);
    cr_assert_not(window_has_room(&room.window, WEIGHT));
    end(&room);
}

Test(window, fingerprint_sees_sets_rounds_and_marks)
{
    struct room room = begin(3);
    uint64_t before = window_fingerprint(&room.window, 0);
    send(&room, 1);
    uint64_t sent = window_fingerprint(&room.window, 0);
    cr_assert_neq(before, sent);
    window_marked(&room.window);
    cr_assert_neq(window_fingerprint(&room.window, 0), sent);
    end(&room);
}
