/* Tests of how acknowledgements are put in order and cut into messages. */
#include "worker/acks.h"

#include <criterion/criterion.h>

#include "proto/wire/seqset.h"
#include "tests/unit/worker_fixture.h"

static struct fixture world;
static struct notes notes;
static struct acks acks;
static struct workbench bench;

static void set_up(void)
{
    fixture_begin(&world);
    cr_assert_eq(acks_create(&acks), STATUS_OK);
    bench = (struct workbench){world.store, world.outbox, world.hasher, &notes};
}

static void tear_down(void)
{
    acks_destroy(&acks);
    acks_destroy(&acks);
    fixture_end(&world);
}

TestSuite(worker_acks, .timeout = 10, .init = set_up, .fini = tear_down);

static void add_one(uint32_t draw, uint32_t agency, uint32_t seq, uint8_t digest)
{
    struct batch_record batch = {.identity = {draw, agency, 1, seq},
                                 .bets = 2,
                                 .digest = {{digest}}};
    acks_add(&acks, &batch);
}

static void add(uint32_t agency, uint32_t seq)
{
    add_one(1, agency, seq, 0);
}

static struct message decoded(size_t index)
{
    struct message message;
    cr_assert_eq(message_decode(outbox_at(world.outbox, index)->header, &message), STATUS_OK);
    return message;
}

Test(worker_acks, hold_as_many_batches_as_the_credit_admits)
{
    /* In an order that no sort may take for sorted. */
    for (uint32_t i = 0; !acks_is_full(&acks); i++)
        add(i * 7919 % 3, i * 5003 % ACKS_MAX);
    cr_expect_eq(acks.count, ACKS_MAX);
    uint64_t bets;
    cr_expect_eq(acks_send_stored(&acks, &bench, &bets), ACKS_MAX);
    cr_expect_eq(acks.count, 0);
    uint64_t items = 0;
    struct batch_identity last = {0, 0, 0, 0};
    for (size_t i = 0; i < outbox_count(world.outbox); i++) {
        struct message message = decoded(i);
        struct slice body = outbox_at(world.outbox, i)->body;
        cr_expect_eq(message.kind, MESSAGE_STORED);
        cr_expect_leq(body.bytes, CHUNK_BYTES_MAX);
        items += message.stored.items;
        struct item_stored item;
        for (size_t at = 0; item_next_stored(body, &at, &item) == STATUS_OK;) {
            struct batch_identity told = {1, message.stored.agency, 1, item.seq};
            cr_assert_lt(batch_identity_compare(&last, &told), 0);
            last = told;
        }
    }
    cr_expect_eq(items, ACKS_MAX);
    cr_expect_eq(bets, 2 * items);
    cr_expect_gt(outbox_count(world.outbox), 3, "an agency's share is cut into chunks");
}

Test(worker_acks, fit_into_the_outbox_when_each_needs_a_message)
{
    for (uint32_t agency = 0; !acks_is_full(&acks); agency++)
        add(agency, 0);
    uint64_t bets;
    cr_expect_eq(acks_send_stored(&acks, &bench, &bets), ACKS_MAX);
    cr_expect_eq(outbox_count(world.outbox), ACKS_MAX);
    outbox_reset(world.outbox);
    for (uint32_t agency = 0; !acks_is_full(&acks); agency++)
        add(agency, 0);
    cr_expect_eq(acks_send_returned(&acks, &bench), ACKS_MAX);
    cr_expect_eq(outbox_count(world.outbox), ACKS_MAX);
}

Test(worker_acks, cut_returned_where_its_ranges_would_be_too_long)
{
    enum { BATCHES = 8000, FIRST = 1 << 16 }; /* seqs as long as they can be */
    for (uint32_t i = 0; i < BATCHES; i++)
        add(7, FIRST + 2 * (BATCHES - i));
    cr_expect_eq(acks_send_returned(&acks, &bench), BATCHES);
    uint32_t told = 0;
    uint32_t beyond = 0;
    for (size_t i = 0; i < outbox_count(world.outbox); i++) {
        struct message message = decoded(i);
        cr_expect_leq(message.returned.seqs.bytes, RANGES_BYTES_MAX);
        struct range_cursor cursor;
        struct range range;
        cr_assert_eq(range_open(&cursor, message.returned.seqs), STATUS_OK);
        while (range_next(&cursor, &range) == STATUS_OK) {
            cr_assert_geq(range.first, beyond);
            beyond = range.first + range.count;
            told += range.count;
        }
    }
    cr_expect_gt(outbox_count(world.outbox), 1);
    cr_expect_eq(told, BATCHES);
}

Test(worker_acks, return_each_batch_once)
{
    for (int i = 0; i < 3; i++) {
        add(7, 4);
        add(7, 5);
        add(7, 9);
    }
    cr_expect_eq(acks_send_returned(&acks, &bench), 3);
    struct message message = decoded(0);
    struct range_cursor cursor;
    struct range range;
    cr_assert_eq(range_open(&cursor, message.returned.seqs), STATUS_OK);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_expect_eq(range.first, 4);
    cr_expect_eq(range.count, 2);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_expect_eq(range.first, 9);
    cr_expect_eq(range_next(&cursor, &range), STATUS_END);
}

/* Each of them took the place of the one before. */
Test(worker_acks, tell_of_each_batch_the_one_that_came_last)
{
    enum { SEQS = 7, TIMES = 50 };
    for (uint32_t i = 0; i < SEQS * TIMES; i++)
        add_one(1, 7, i * 3 % SEQS, (uint8_t)(1 + i / SEQS));
    uint64_t bets;
    cr_expect_eq(acks_send_stored(&acks, &bench, &bets), SEQS);
    cr_expect_eq(bets, 2 * SEQS);
    cr_assert_eq(outbox_count(world.outbox), 1);
    size_t at = 0;
    for (uint32_t seq = 0; seq < SEQS; seq++) {
        struct item_stored item;
        cr_assert_eq(item_next_stored(outbox_at(world.outbox, 0)->body, &at, &item), STATUS_OK);
        cr_expect_eq(item.seq, seq);
        cr_expect_eq(item.digest.bytes[0], TIMES);
    }
}

Test(worker_acks, are_a_message_for_each_draw)
{
    for (uint32_t draw = 3; draw > 0; draw--)
        add_one(draw, 7, draw, 0);
    uint64_t bets;
    cr_expect_eq(acks_send_stored(&acks, &bench, &bets), 3);
    cr_assert_eq(outbox_count(world.outbox), 3);
    for (uint32_t draw = 1; draw <= 3; draw++) {
        cr_expect_eq(decoded(draw - 1).draw, draw);
        cr_expect_eq(decoded(draw - 1).stored.items, 1);
    }
}
