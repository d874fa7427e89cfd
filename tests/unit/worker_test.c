/* Tests of the worker's core: registration, lease, epochs, ends. */
#include "worker/worker.h"

#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

static struct fixture world;

static void set_up(void)
{
    fixture_begin(&world);
}

static void tear_down(void)
{
    fixture_end(&world);
}

TestSuite(worker, .timeout = 10, .init = set_up, .fini = tear_down);

static void dial(void)
{
    worker_dialed(world.worker, world.now_ms);
    fixture_settle(&world);
}

/* Gives the store `count` batches of a draw, without bodies that fit. */
static void fill_store(uint32_t draw, uint32_t count)
{
    cr_assert_eq(store_begin(world.store, STORE_COMMON), STATUS_OK);
    for (uint32_t seq = 0; seq < count; seq++) {
        struct batch_record batch = {.identity = {draw, 7, 1, seq}, .bets = 1};
        cr_assert_eq(store_put(world.store, &batch, (struct slice){(const uint8_t *)"x", 1}, false),
                     STATUS_OK);
    }
    cr_assert_eq(store_commit(world.store), STATUS_OK);
}

Test(worker, does_nothing_before_it_is_dialed)
{
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
    worker_tick(world.worker, world.now_ms);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(world.sent_count, 0);
}

Test(worker, registers_with_what_the_store_is)
{
    dial();
    const struct message *message = &sent_get(&world, MESSAGE_REGISTER, 0)->message;
    cr_expect_eq(message->registration.store.bytes[0], 0x5a);
    cr_expect_eq(message->registration.opening.number, 1);
    cr_expect_eq(message->registration.opening.id.bytes[0], 0xb7);
    cr_expect_eq(message->registration.epoch.number, 0);
    cr_expect_gt(message->registration.free_bytes, 0);
    const struct message *chunk = &sent_get(&world, MESSAGE_INVENTORY, 0)->message;
    cr_expect_eq(chunk->inventory.items, 0);
    cr_expect(chunk->inventory.is_last);
    cr_expect_eq(world.sent_count, 2);
    cr_expect_eq(worker_state(world.worker), WORKER_AWAITING);
}

Test(worker, tells_batches_seals_voids_and_what_it_forgot)
{
    fill_store(5, 3);
    struct seal_record seals[] = {
        {.draw = 1, .kind = SEAL_AS_VOID},
        {.draw = 2, .kind = SEAL_MANIFEST, .is_forgotten = true, .number = 77},
        {.draw = 3, .kind = SEAL_NONE, .is_forgotten = true},
    };
    cr_assert_eq(store_begin(world.store, STORE_RESERVE), STATUS_OK);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(store_record_seal(world.store, &seals[i], (struct slice){NULL, 0}), STATUS_OK);
    cr_assert_eq(store_commit(world.store), STATUS_OK);
    dial();
    const struct sent *chunk = sent_last(&world, MESSAGE_INVENTORY);
    cr_expect_eq(chunk->message.inventory.items, 7);
    size_t at = 0;
    struct item_inventory item;
    static const struct {
        enum inventory_kind kind;
        uint32_t draw;
    } EXPECTED[] = {{INVENTORY_VOID, 1},   {INVENTORY_SEAL, 2},  {INVENTORY_FORGOT, 2},
                    {INVENTORY_FORGOT, 3}, {INVENTORY_BATCH, 5}, {INVENTORY_BATCH, 5},
                    {INVENTORY_BATCH, 5}};
    for (size_t i = 0; i < 7; i++) {
        cr_assert_eq(item_next_inventory(chunk->body, &at, &item), STATUS_OK);
        cr_expect_eq(item.kind, EXPECTED[i].kind);
        cr_expect_eq(item.draw, EXPECTED[i].draw);
    }
    cr_expect_eq(item.batch.seq, 2);
    cr_expect_eq(item_next_inventory(chunk->body, &at, &item), STATUS_END);
}

Test(worker, tells_a_large_inventory_in_numbered_chunks_that_wait_for_pings)
{
    enum { BATCHES = 40000 };
    fill_store(1, BATCHES);
    dial();
    cr_expect_eq(sent_of(&world, MESSAGE_INVENTORY), 4, "no more chunks unanswered");
    fixture_welcome(&world);
    size_t chunks = sent_of(&world, MESSAGE_INVENTORY);
    uint32_t items = 0;
    uint32_t next_seq = 0;
    for (size_t i = 0; i < chunks; i++) {
        const struct sent *chunk = sent_get(&world, MESSAGE_INVENTORY, i);
        cr_expect_eq(chunk->message.inventory.chunk, i);
        cr_expect_eq(chunk->message.inventory.is_last, i == chunks - 1);
        cr_expect_leq(chunk->body.bytes, CHUNK_BYTES_MAX);
        items += chunk->message.inventory.items;
        size_t at = 0;
        struct item_inventory item;
        while (item_next_inventory(chunk->body, &at, &item) == STATUS_OK)
            cr_assert_eq(item.batch.seq, next_seq++);
    }
    cr_expect_gt(chunks, 4);
    cr_expect_eq(items, BATCHES);
    cr_expect_eq(next_seq, BATCHES);
}

Test(worker, tells_the_marks_of_more_draws_than_one_listing_takes)
{
    enum { DRAWS = 600 };
    cr_assert_eq(store_begin(world.store, STORE_RESERVE), STATUS_OK);
    for (uint32_t draw = 1; draw <= DRAWS; draw++) {
        const struct seal_record seal = {.draw = draw, .kind = SEAL_AS_VOID};
        cr_assert_eq(store_record_seal(world.store, &seal, (struct slice){NULL, 0}), STATUS_OK);
    }
    cr_assert_eq(store_commit(world.store), STATUS_OK);
    dial();
    fixture_welcome(&world);
    uint32_t next_draw = 1;
    for (size_t i = 0; i < sent_of(&world, MESSAGE_INVENTORY); i++) {
        struct slice body = sent_get(&world, MESSAGE_INVENTORY, i)->body;
        struct item_inventory item;
        size_t at = 0;
        while (item_next_inventory(body, &at, &item) == STATUS_OK)
            cr_assert_eq(item.draw, next_draw++);
    }
    cr_expect_eq(next_draw, DRAWS + 1);
}

Test(worker, gives_its_whole_credit_once_welcome)
{
    fixture_register(&world);
    cr_expect_eq(sent_last(&world, MESSAGE_CREDIT)->message.credit.admitted_bytes,
                 CREDIT_BYTES_MAX);
    cr_expect_eq(world.notes[NOTE_WELCOMED], 1);
}

Test(worker, ignores_a_welcome_before_its_inventory_is_told)
{
    fill_store(1, 40000);
    dial();
    cr_assert_eq(worker_state(world.worker), WORKER_REGISTERING);
    broker_welcomes(&world);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    cr_expect_eq(world.notes[NOTE_UNEXPECTED], 1);
}

Test(worker, ignores_a_second_welcome)
{
    fixture_register(&world);
    sent_forget(&world);
    broker_welcomes(&world);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

/* [M-45] */
Test(worker, says_pong_every_quarter_of_a_lease_unasked)
{
    fixture_register(&world);
    sent_forget(&world);
    for (int quarter = 0; quarter < 20; quarter++) {
        fixture_wait(&world, LEASE_MS / 4);
        broker_says_kind(&world, MESSAGE_PING, 0);
    }
    cr_expect_eq(sent_of(&world, MESSAGE_PONG), 20);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

/* [M-39] */
Test(worker, says_nothing_but_chunks_before_it_is_welcome)
{
    dial();
    sent_forget(&world);
    fixture_wait(&world, LEASE_MS - 1);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_AWAITING);
}

/* [M-39] */
Test(worker, says_nothing_but_chunks_while_they_are_answered)
{
    fill_store(1, 40000);
    dial();
    for (int quarter = 0; quarter < 8; quarter++) {
        fixture_wait(&world, LEASE_MS / 4);
        broker_says_kind(&world, MESSAGE_PING, 0);
    }
    fixture_settle(&world);
    cr_expect_gt(sent_of(&world, MESSAGE_INVENTORY), 4);
    cr_expect_eq(sent_of(&world, MESSAGE_INVENTORY) + sent_of(&world, MESSAGE_REGISTER),
                 world.sent_count);
}

Test(worker, parts_after_a_lease_without_welcome)
{
    dial();
    fixture_wait(&world, LEASE_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
    cr_expect_eq(world.notes[NOTE_LOST], 1);
    sent_forget(&world);
    fixture_register(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 1);
}

Test(worker, parts_after_a_lease_without_a_word)
{
    fixture_register(&world);
    fixture_wait(&world, LEASE_MS - 1);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    fixture_wait(&world, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

Test(worker, keeps_to_the_lease_that_it_was_told)
{
    dial();
    struct message welcome = {.kind = MESSAGE_WELCOME, .welcome = {1000, FRAME_BYTES_MAX}};
    broker_says(&world, welcome, NULL);
    fixture_wait(&world, 999);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_eq(sent_of(&world, MESSAGE_PONG), 3);
    fixture_wait(&world, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

Test(worker, takes_a_lease_that_is_too_short_as_the_shortest)
{
    dial();
    struct message welcome = {.kind = MESSAGE_WELCOME, .welcome = {1, FRAME_BYTES_MAX}};
    broker_says(&world, welcome, NULL);
    fixture_wait(&world, 99);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    fixture_wait(&world, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

Test(worker, does_not_take_its_own_pause_for_silence)
{
    fixture_register(&world);
    fixture_wait(&world, 100);
    world.now_ms += 10 * LEASE_MS; /* stopped, and going on */
    fixture_settle(&world);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    fixture_wait(&world, LEASE_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

Test(worker, lengthens_no_lease_that_began_after_its_pause)
{
    fixture_register(&world);
    fixture_wait(&world, 100);
    world.now_ms += 1000 * LEASE_MS;
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_settle(&world);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    fixture_wait(&world, LEASE_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_APART, "the broker said nothing any more");
}

Test(worker, parts_when_the_shell_hangs_up)
{
    fixture_register(&world);
    worker_hang_up(world.worker, world.now_ms);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
    worker_hang_up(world.worker, world.now_ms);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
    worker_drain(world.worker, world.now_ms);
    worker_hang_up(world.worker, world.now_ms);
    cr_expect_eq(worker_state(world.worker), WORKER_OVER);
}

Test(worker, registers_again_when_asked_who_it_is)
{
    fixture_register(&world);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 1);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING);
    fixture_welcome(&world);
    cr_expect_eq(sent_last(&world, MESSAGE_CREDIT)->message.credit.admitted_bytes,
                 CREDIT_BYTES_MAX);
}

/* [M-39] */
Test(worker, ignores_who_for_a_lease_while_it_registers)
{
    fill_store(1, 40000);
    dial();
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 0);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING);
    fixture_wait(&world, LEASE_MS - 1);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING, "WHO is a word of the broker");
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING, "not a lease yet");
    world.now_ms++;
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

/* ---- epochs ---- */

/* [M-44] [M-66] */
Test(worker, records_a_higher_epoch_before_it_obeys)
{
    fixture_register(&world);
    store_memory_crash(world.store, &(struct id){{1}});
    struct store_about about;
    store_about(world.store, &about);
    cr_expect_eq(epoch_compare(&about.epoch, &world.epoch), EPOCH_SAME);
}

static void expect_refused(struct epoch told)
{
    fixture_register(&world);
    sent_forget(&world);
    struct epoch known = world.epoch;
    world.epoch = told;
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_assert_eq(world.sent_count, 1);
    cr_expect_eq(epoch_compare(&sent_last(&world, MESSAGE_FENCED)->message.fenced.epoch, &known),
                 EPOCH_SAME);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_eq(world.notes[NOTE_EPOCH_REFUSED], 1);
}

/* [M-65] */
Test(worker, refuses_a_lower_epoch)
{
    expect_refused((struct epoch){.number = 2, .id = {{0xe0}}});
}

/* [M-65] */
Test(worker, refuses_a_rival_of_its_epoch)
{
    expect_refused((struct epoch){.number = 3, .id = {{0xe1}}});
}

Test(worker, does_not_take_a_refused_broker_for_a_living_one)
{
    fixture_register(&world);
    world.epoch.number = 2;
    fixture_wait(&world, LEASE_MS - 1);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_APART);
}

Test(worker, refuses_a_lower_epoch_after_a_restart)
{
    fixture_register(&world);
    fixture_restart(&world);
    world.epoch.number = 2;
    dial();
    cr_expect_eq(sent_last(&world, MESSAGE_REGISTER)->message.registration.epoch.number, 3);
    cr_expect_eq(sent_last(&world, MESSAGE_REGISTER)->message.registration.opening.number, 2);
    broker_says_kind(&world, MESSAGE_PING, 0);
    cr_expect_eq(sent_of(&world, MESSAGE_FENCED), 1);
}

Test(worker, neither_refuses_nor_records_epoch_zero)
{
    fixture_register(&world);
    struct epoch known = world.epoch;
    world.epoch = (struct epoch){.number = 0};
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    fixture_welcome(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_FENCED), 0);
    struct store_about about;
    store_about(world.store, &about);
    cr_expect_eq(epoch_compare(&about.epoch, &known), EPOCH_SAME);
}

Test(worker, ends_when_an_epoch_cannot_be_made_durable)
{
    fixture_register(&world);
    store_memory_fail_sync(world.store, false);
    world.epoch.number = 4;
    broker_says_kind(&world, MESSAGE_PING, 0);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_SYNC);
}

/* ---- ends ---- */

Test(worker, ends_when_it_is_dismissed)
{
    dial();
    struct message message = {.kind = MESSAGE_DISMISSED, .dismissed = {DISMISSAL_OPENING}};
    broker_says(&world, message, NULL);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    struct worker_ending ending = worker_ending(world.worker);
    cr_expect_eq(ending.status, STATUS_REFUSED);
    cr_expect_eq(ending.dismissal, DISMISSAL_OPENING);
    cr_expect_eq(dismissal_exit_code(ending.dismissal), 78);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    worker_tick(world.worker, world.now_ms + 100000);
    cr_expect_eq(world.sent_count, 0);
}

Test(worker, ends_at_once_when_drained_before_it_is_welcome)
{
    dial();
    worker_drain(world.worker, world.now_ms);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_OK);
}

Test(worker, ends_when_nothing_has_come_for_a_while_after_drain)
{
    fixture_register(&world);
    worker_drain(world.worker, world.now_ms);
    cr_expect_eq(worker_state(world.worker), WORKER_DRAINING);
    fixture_wait(&world, DRAIN_QUIET_MS - 1);
    cr_expect_eq(worker_state(world.worker), WORKER_DRAINING);
    fixture_wait(&world, 1);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_OK);
    worker_drain(world.worker, world.now_ms);
}

/* ---- what is not of the protocol ---- */

Test(worker, drops_what_it_cannot_read)
{
    fixture_register(&world);
    sent_forget(&world);
    struct slice frames[2] = {{(const uint8_t *)"\xff\xff", 2}, {(const uint8_t *)"x", 1}};
    worker_receive(world.worker, frames, 1, world.now_ms);
    worker_receive(world.worker, frames, 0, world.now_ms);
    broker_says_kind(&world, MESSAGE_PONG, 0);
    struct slice body = {(const uint8_t *)"x", 1};
    broker_says(&world, (struct message){.kind = MESSAGE_WHO}, &body);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 3);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

Test(worker, drops_orders_before_it_is_welcome)
{
    dial();
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &batch, false);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 3);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    made_free(&batch);
}

Test(worker, has_equal_fingerprints_for_equal_states)
{
    uint64_t apart = worker_fingerprint(world.worker);
    fixture_register(&world);
    uint64_t serving = worker_fingerprint(world.worker);
    cr_expect_neq(apart, serving);
    fixture_wait(&world, 100);
    cr_expect_eq(worker_fingerprint(world.worker), serving);
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &batch, false);
    cr_expect_neq(worker_fingerprint(world.worker), serving);
    made_free(&batch);
}
