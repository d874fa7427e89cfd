/* Tests of a store at its limits: tables that are full, steps that are long enough, the highest
 * identities; and of what no broker that keeps the protocol says. */
#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"
#include "worker/count.h"
#include "worker/forget.h"
#include "worker/seals.h"

enum { NUMBER = 42, LISTED = 256 /* in one listing, of the inventory and of a reading back */ };

static struct fixture world;

static void set_up(void)
{
    fixture_begin(&world);
    fixture_register(&world);
    sent_forget(&world);
}

static void tear_down(void)
{
    fixture_end(&world);
}

TestSuite(worker_limits, .timeout = 10, .init = set_up, .fini = tear_down);

/* ---- orders ---- */

Test(worker_limits, forgets_as_many_draws_at_once_as_can_wait)
{
    for (uint32_t draw = 1; draw <= FORGET_DRAWS_MAX + 1; draw++)
        broker_says_kind(&world, MESSAGE_FORGET, draw);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 1);
    cr_expect_eq(world.last_note[NOTE_MESSAGE_DROPPED].draw, FORGET_DRAWS_MAX + 1);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], FORGET_DRAWS_MAX);
    broker_says_kind(&world, MESSAGE_FORGET, FORGET_DRAWS_MAX + 1);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], FORGET_DRAWS_MAX + 1, "it is told again");
}

Test(worker_limits, a_draw_that_it_is_told_often_to_forget_waits_once)
{
    for (uint32_t i = 0; i <= FORGET_DRAWS_MAX; i++)
        broker_says_kind(&world, MESSAGE_FORGET, 1);
    broker_says_kind(&world, MESSAGE_FORGET, 2);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 0);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], 2);
}

Test(worker_limits, tells_of_each_draw_how_many_batches_it_has_forgotten)
{
    struct made made = make_batch(1, 7, 1, 0, 2, 0);
    broker_forwards(&world, &made, false);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    cr_expect_eq(world.last_note[NOTE_FORGOTTEN].number, 1);
    broker_says_kind(&world, MESSAGE_FORGET, 2);
    fixture_settle(&world);
    cr_expect_eq(world.last_note[NOTE_FORGOTTEN].draw, 2);
    cr_expect_eq(world.last_note[NOTE_FORGOTTEN].number, 0);
    made_free(&made);
}

/* The codec admits no order of draw 0; the draw is the fourth byte of these headers. */
Test(worker_limits, drops_orders_and_batches_of_draw_0)
{
    static const struct {
        struct message message;
        size_t frames;
    } SAID[] = {
        {{.kind = MESSAGE_SEAL_VOID, .draw = 1}, 1},
        {{.kind = MESSAGE_FORGET, .draw = 1}, 1},
        {{.kind = MESSAGE_MANIFEST, .draw = 1}, 1},
        {{.kind = MESSAGE_SEAL, .draw = 1, .part = {.parts = 1, .manifest_bytes = 1}}, 2},
        {{.kind = MESSAGE_COUNT, .draw = 1, .count = {.items = 1}}, 2},
        {{.kind = MESSAGE_FORWARD, .draw = 1}, 3},
    };
    enum { COUNT = sizeof SAID / sizeof SAID[0] };
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t header[HEADER_BYTES_MAX];
        struct slice frames[3] = {{header, 0},
                                  {(const uint8_t *)"?", 1},
                                  {(const uint8_t *)"?", 1}};
        struct message message = SAID[i].message;
        message.epoch = world.epoch;
        cr_assert_eq(message_encode(&message, header, sizeof header, &frames[0].bytes), STATUS_OK);
        cr_assert_eq(header[3], 1);
        header[3] = 0;
        worker_receive(world.worker, frames, SAID[i].frames, world.now_ms);
    }
    fixture_wait(&world, 20);
    cr_expect_eq(world.sent_count, 0, "a FORWARD without a readable header has no credit");
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], COUNT);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

Test(worker_limits, drops_a_forward_of_what_is_no_batch)
{
    uint8_t forward[64];
    uint8_t header[64];
    struct slice frames[3] = {{forward, 0}, {header, 0}, {(const uint8_t *)"0123456789", 10}};
    struct message message = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = world.epoch};
    cr_assert_eq(message_encode(&message, forward, sizeof forward, &frames[0].bytes), STATUS_OK);
    message = (struct message){.kind = MESSAGE_MARK, .draw = 1, .mark = {7, 1, 1, 1}};
    cr_assert_eq(message_encode(&message, header, sizeof header, &frames[1].bytes), STATUS_OK);
    worker_receive(world.worker, frames, 3, world.now_ms);
    fixture_wait(&world, 10);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 1);
    cr_expect_eq(sent_of(&world, MESSAGE_REJECTED), 0);
    cr_expect_eq(sent_last(&world, MESSAGE_CREDIT)->message.credit.admitted_bytes,
                 CREDIT_BYTES_MAX + 10 + BATCH_WEIGHT_EXTRA_BYTES, "what it weighed comes back");
}

/* It stands still for so long, then the broker says nothing until a lease has passed in all. */
static enum worker_state stand_still(int64_t gap_ms)
{
    world.now_ms += gap_ms;
    RUN_CORE(world.deadline = worker_tick(world.worker, world.now_ms));
    fixture_wait(&world, LEASE_MS - gap_ms);
    return worker_state(world.worker);
}

Test(worker_limits, takes_a_gap_of_half_a_lease_in_its_own_loop_for_silence)
{
    cr_expect_eq(stand_still(LEASE_MS / 2), WORKER_APART);
}

Test(worker_limits, takes_no_longer_gap_in_its_own_loop_for_silence)
{
    cr_expect_eq(stand_still(LEASE_MS / 2 + 1), WORKER_SERVING);
    fixture_wait(&world, LEASE_MS / 2 + 1);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

/* Whatever the lease that it had been told. */
Test(worker_limits, waits_for_its_welcome_as_long_as_the_protocol_says)
{
    const struct message welcome = {.kind = MESSAGE_WELCOME,
                                    .welcome = {4 * LEASE_MS, FRAME_BYTES_MAX}};
    fixture_restart(&world);
    fixture_dial(&world);
    fixture_settle(&world);
    broker_says(&world, welcome, NULL);
    cr_assert_eq(worker_state(world.worker), WORKER_SERVING);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    fixture_settle(&world);
    cr_expect_eq(worker_state(world.worker), WORKER_AWAITING);
    fixture_wait(&world, LEASE_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

/* Doubled, it is no surprise; credit and lease stay as they are. */
Test(worker_limits, takes_no_welcome_while_it_drains)
{
    struct message welcome = {.kind = MESSAGE_WELCOME, .welcome = {100000, FRAME_BYTES_MAX}};
    worker_drain(world.worker, world.now_ms);
    broker_says(&world, welcome, NULL);
    cr_expect_eq(world.notes[NOTE_UNEXPECTED], 0);
    cr_expect_eq(world.notes[NOTE_WELCOMED], 0);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    cr_expect_eq(worker_state(world.worker), WORKER_DRAINING);
    fixture_wait(&world, DRAIN_QUIET_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_OVER);
}

Test(worker_limits, takes_no_order_while_it_drains)
{
    worker_drain(world.worker, world.now_ms);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 1);
    cr_expect_eq(world.notes[NOTE_VOID_RECORDED], 0);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
}

Test(worker_limits, drains_once_however_often_it_is_told_to)
{
    for (int64_t ms = 0; ms < DRAIN_QUIET_MS; ms += DRAIN_QUIET_MS / 4) {
        worker_drain(world.worker, world.now_ms);
        cr_expect_eq(worker_state(world.worker), WORKER_DRAINING);
        fixture_wait(&world, DRAIN_QUIET_MS / 4);
    }
    cr_expect_eq(worker_state(world.worker), WORKER_OVER);
    worker_drain(world.worker, world.now_ms);
    broker_says_kind(&world, MESSAGE_PING, 0);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_OK);
    cr_expect_eq(world.notes[NOTE_UNEXPECTED], 0);
}

Test(worker_limits, returns_what_comes_as_soon_as_no_more_can_wait)
{
    struct made batch = make_batch(1, 7, 1, 5, 3, 0);
    worker_drain(world.worker, world.now_ms);
    for (int times = 0; times < 2; times++) {
        sent_forget(&world);
        for (uint32_t i = 1; i < ACKS_MAX; i++)
            broker_forwards(&world, &batch, false);
        cr_expect_eq(sent_of(&world, MESSAGE_RETURNED), 0);
        broker_forwards(&world, &batch, false);
        cr_assert_eq(sent_of(&world, MESSAGE_RETURNED), 1);
        sent_expect_returned(sent_last(&world, MESSAGE_RETURNED), 5, 1);
    }
    made_free(&batch);
}

/* ---- questions ---- */

enum { MANY = STEP_BATCHES_MAX + 10 };

/* Agency 7's batches of a draw, of a bet each, all of which win; stored and sealed. */
static struct manifest *seal_many(void)
{
    static struct made many[MANY];
    for (uint32_t seq = 0; seq < MANY; seq++) {
        many[seq] = make_batch(1, 7, 1, seq, 1, NUMBER);
        broker_forwards(&world, &many[seq], false);
    }
    struct manifest *sealed = make_manifest(&world, many, MANY, NUMBER);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    for (uint32_t seq = 0; seq < MANY; seq++)
        made_free(&many[seq]);
    sent_forget(&world);
    return sealed;
}

static void expect_counted(uint32_t batches)
{
    cr_assert_eq(sent_of(&world, MESSAGE_COUNTED), 1);
    const struct message *message = &sent_last(&world, MESSAGE_COUNTED)->message;
    cr_expect_eq(message->counted.bets, batches);
    cr_expect_eq(message->counted.winners, batches);
    uint32_t found = 0;
    for (size_t i = 0; i < sent_of(&world, MESSAGE_FOUND); i++)
        found += sent_get(&world, MESSAGE_FOUND, i)->message.found.items;
    cr_expect_eq(found, batches);
}

Test(worker_limits, counts_no_more_batches_in_one_step_than_it_may)
{
    struct manifest *sealed = seal_many();
    broker_asks(&world, sealed, 1, 7, 1, 0, MANY);
    fixture_turn(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0, "one step is not enough");
    fixture_turn(&world);
    expect_counted(MANY);
    manifest_destroy(&sealed);
}

Test(worker_limits, counts_on_when_its_outbox_has_room_again)
{
    struct manifest *sealed = seal_many();
    broker_asks(&world, sealed, 1, 7, 1, 0, 10);
    cr_assert_not_null(outbox_reserve(world.outbox, WORKER_OUTBOX_BYTES - 64));
    int64_t wanted_at = worker_tick(world.worker, world.now_ms);
    cr_expect_eq(outbox_count(world.outbox), 0);
    cr_expect_eq(wanted_at, world.now_ms);
    outbox_reset(world.outbox);
    fixture_settle(&world);
    expect_counted(10);
    manifest_destroy(&sealed);
}

static void ask_with(const struct manifest *sealed, struct slice shares)
{
    struct message message = {.kind = MESSAGE_COUNT,
                              .draw = 1,
                              .count = {*manifest_root(sealed), world.epoch.number, 5, 1}};
    broker_says(&world, message, &shares);
}

Test(worker_limits, drops_a_question_without_shares)
{
    struct manifest *sealed = seal_many();
    ask_with(sealed, (struct slice){NULL, 0});
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_QUESTION_DROPPED], 1);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    broker_asks(&world, sealed, 1, 7, 1, 0, MANY);
    fixture_settle(&world);
    expect_counted(MANY);
    manifest_destroy(&sealed);
}

/* No socket lets such a frame in. */
Test(worker_limits, registers_again_at_a_question_larger_than_a_frame)
{
    static const uint8_t LARGE[FRAME_BYTES_MAX + 1];
    struct manifest *sealed = seal_many();
    ask_with(sealed, (struct slice){LARGE, FRAME_BYTES_MAX});
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    ask_with(sealed, (struct slice){LARGE, FRAME_BYTES_MAX + 1});
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING);
    manifest_destroy(&sealed);
}

/* ---- the highest identities ---- */

static void store_marks_up_to_the_highest_draw(void)
{
    cr_assert_eq(store_begin(world.store, STORE_RESERVE), STATUS_OK);
    for (uint32_t i = 0; i < LISTED; i++) {
        struct seal_record mark = {.draw = UINT32_MAX - i, .kind = SEAL_AS_VOID};
        cr_assert_eq(store_record_seal(world.store, &mark, (struct slice){NULL, 0}), STATUS_OK);
    }
    cr_assert_eq(store_commit(world.store), STATUS_OK);
}

static void store_batches_up_to_the_highest(void)
{
    const struct slice body = {(const uint8_t *)"x", 1};
    cr_assert_eq(store_begin(world.store, STORE_COMMON), STATUS_OK);
    for (uint32_t i = 0; i < LISTED; i++) {
        struct batch_record batch = {.identity = {UINT32_MAX, UINT32_MAX, UINT32_MAX,
                                                  BATCHES_MAX - 1 - i},
                                     .bets = 1};
        cr_assert_eq(store_put(world.store, &batch, body, false), STATUS_OK);
    }
    cr_assert_eq(store_commit(world.store), STATUS_OK);
}

static void expect_told_in_one_chunk(uint32_t items)
{
    fixture_restart(&world);
    fixture_register(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_INVENTORY), 1);
    const struct message *message = &sent_last(&world, MESSAGE_INVENTORY)->message;
    cr_expect(message->inventory.is_last);
    cr_expect_eq(message->inventory.items, items);
}

/* A listing that came full up to the highest one is the last. */
Test(worker_limits, tells_everything_once_up_to_the_highest_draw_and_batch)
{
    store_marks_up_to_the_highest_draw();
    expect_told_in_one_chunk(LISTED);
    store_batches_up_to_the_highest();
    expect_told_in_one_chunk(2 * LISTED);
}

Test(worker_limits, reads_back_up_to_the_highest_batch)
{
    struct made batch = make_batch(UINT32_MAX, 7, 1, 0, 3, 0);
    struct manifest *sealed = make_manifest(&world, &batch, 1, NUMBER);
    store_batches_up_to_the_highest();
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, 0, "none of them is the manifest's");
    cr_expect_eq(store_memory_count_durable(world.store), LISTED);
    manifest_destroy(&sealed);
    made_free(&batch);
}

/* ---- seals ---- */

Test(worker_limits, knows_the_last_batch_of_a_manifest_and_none_behind_it)
{
    struct made batch = make_batch(1, 7, 1, 0, 2, 0);
    struct manifest *manifest = make_manifest(&world, &batch, 1, NUMBER);
    struct batch_identity identity = {1, 7, 1, 0};
    cr_expect_not_null(seals_digest(manifest, &identity));
    identity.seq = 1;
    cr_expect_null(seals_digest(manifest, &identity));
    manifest_destroy(&manifest);
    made_free(&batch);
}
