/* Tests of a full disk: what comes back, what is tried, and when it has room again; and of one that
 * fails a sync. */
#include "worker/intake.h"

#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

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

TestSuite(worker_disk, .timeout = 10, .init = set_up, .fini = tear_down);

static void forward(uint32_t agency, uint32_t attempt, uint32_t seq, uint32_t bets)
{
    struct made batch = make_batch(1, agency, attempt, seq, bets, 0);
    broker_forwards(&world, &batch, false);
    made_free(&batch);
}

static uint64_t admitted(void)
{
    return sent_last(&world, MESSAGE_CREDIT)->message.credit.admitted_bytes;
}

/* Room for one batch of three bets, and a half. */
static void fill_disk(void)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    store_memory_set_capacity(world.store, MEMORY_RESERVE_BYTES +
                                               3 * (batch.body.bytes + MEMORY_BATCH_BYTES) / 2);
    made_free(&batch);
}

Test(worker_disk, returns_the_whole_group_when_the_disk_is_full)
{
    fill_disk();
    forward(7, 1, 0, 3);
    forward(7, 1, 1, 3);
    cr_assert_eq(sent_of(&world, MESSAGE_RETURNED), 1);
    sent_expect_returned(sent_last(&world, MESSAGE_RETURNED), 0, 2);
    fixture_wait(&world, 100);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 0);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    cr_expect_eq(world.notes[NOTE_DISK_FULL], 1);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

Test(worker_disk, returns_what_still_comes_while_the_disk_is_full)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    sent_forget(&world);
    for (uint32_t seq = 4; seq < 7; seq++)
        forward(7, 1, seq, 3);
    forward(7, 1, 5, 3);
    fixture_wait(&world, 10);
    cr_assert_eq(sent_of(&world, MESSAGE_RETURNED), 1);
    sent_expect_returned(sent_last(&world, MESSAGE_RETURNED), 4, 3);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
}

Test(worker_disk, tries_one_batch_after_a_pause_that_grows)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, WAIT_MS_MIN - 1);
    cr_expect_eq(world.deadline, world.now_ms + 1, "it wakes for that by itself");
    fixture_wait(&world, 1);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + 1, "any credit left admits one batch");
    sent_forget(&world);
    store_memory_set_capacity(world.store, MEMORY_RESERVE_BYTES);
    struct made probe = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &probe, false);
    sent_expect_returned(sent_last(&world, MESSAGE_RETURNED), 0, 1);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, 2 * WAIT_MS_MIN - 1);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    fixture_wait(&world, 1);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + probe.body.bytes + BATCH_WEIGHT_EXTRA_BYTES + 1,
                 "the broker's sum has the whole weight of the batch that was tried");
    made_free(&probe);
}

/* The broker may forward one batch more than the credit that it has left. */
Test(worker_disk, tries_again_beyond_a_batch_that_passed_the_credit_and_came_late)
{
    fill_disk();
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    const uint64_t weight = batch.body.bytes + BATCH_WEIGHT_EXTRA_BYTES;
    forward(7, 1, 1, 3);
    uint64_t forwarded = weight;
    while (forwarded < CREDIT_BYTES_MAX) {
        broker_forwards(&world, &batch, false);
        sent_forget(&world);
        forwarded += weight;
    }
    cr_assert_gt(forwarded, CREDIT_BYTES_MAX);
    made_free(&batch);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, WAIT_MS_MIN);
    cr_expect_eq(admitted(), forwarded + 1);
}

Test(worker_disk, gives_its_whole_credit_when_there_is_room_again)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, WAIT_MS_MIN);
    store_memory_set_capacity(world.store, 0);
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &batch, false);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 1, "no credit is left: committed at once");
    cr_expect_eq(admitted(), 2 * CREDIT_BYTES_MAX + batch.body.bytes + BATCH_WEIGHT_EXTRA_BYTES);
    cr_expect_eq(world.notes[NOTE_DISK_HAS_ROOM], 1);
    made_free(&batch);
}

/* What is left may be room for the one batch that is tried, and for nothing behind it. */
Test(worker_disk, pauses_longer_where_one_batch_fits_and_no_more)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    cr_expect_eq(world.last_note[NOTE_DISK_FULL].other, WAIT_MS_MIN);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, WAIT_MS_MIN);
    forward(7, 1, 0, 3);
    cr_expect_eq(world.notes[NOTE_DISK_HAS_ROOM], 1);
    forward(7, 1, 1, 3);
    cr_expect_eq(world.notes[NOTE_DISK_FULL], 2);
    cr_expect_eq(world.last_note[NOTE_DISK_FULL].other, 2 * WAIT_MS_MIN);
}

Test(worker_disk, goes_back_to_the_shortest_pause_after_a_full_disk_had_room)
{
    for (int round = 0; round < 2; round++) {
        fill_disk();
        for (uint32_t seq = 0; seq < 3; seq++)
            forward(7, 2, seq, 3);
        broker_says_kind(&world, MESSAGE_PING, 0);
        cr_expect_eq(world.last_note[NOTE_DISK_FULL].other, WAIT_MS_MIN);
        fixture_wait(&world, WAIT_MS_MIN);
        store_memory_set_capacity(world.store, 0);
        forward(7, 2, 0, 3);
        forward(7, 2, 1, 3);
        fixture_wait(&world, 100);
    }
    cr_expect_eq(world.notes[NOTE_DISK_FULL], 2);
}

Test(worker_disk, pauses_no_longer_than_the_longest_pause_on_a_full_disk)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    store_memory_set_capacity(world.store, MEMORY_RESERVE_BYTES);
    for (int tries = 0; tries < 6; tries++) {
        int64_t pause_ms = (int64_t)world.last_note[NOTE_DISK_FULL].other;
        cr_expect_leq(pause_ms, WAIT_MS_MAX);
        for (; pause_ms > 0; pause_ms -= LEASE_MS / 2) {
            broker_says_kind(&world, MESSAGE_PING, 0);
            fixture_wait(&world, pause_ms < LEASE_MS / 2 ? pause_ms : LEASE_MS / 2);
        }
        forward(7, 1, 0, 3);
    }
    cr_expect_eq(world.last_note[NOTE_DISK_FULL].other, WAIT_MS_MAX);
}

Test(worker_disk, does_not_take_a_rejected_batch_for_room_on_a_full_disk)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    broker_says_kind(&world, MESSAGE_PING, 0);
    fixture_wait(&world, WAIT_MS_MIN);
    struct made batch = make_batch(1, 7, 1, 4, 3, 0);
    batch.header.digest.bytes[31] ^= 1;
    broker_forwards(&world, &batch, false);
    cr_expect_eq(sent_last(&world, MESSAGE_REJECTED)->message.rejected.fault, FAULT_DIGEST);
    cr_expect_lt(admitted(), 2 * CREDIT_BYTES_MAX);
    cr_expect_eq(world.notes[NOTE_DISK_HAS_ROOM], 0);
    made_free(&batch);
}

/* A CREDIT that reached the broker behind its WELCOME would count for the new registration, with
 * the sum of the old one, and no later CREDIT would be higher. */
Test(worker_disk, tells_no_credit_while_it_registers_anew)
{
    fill_disk();
    for (uint32_t seq = 0; seq < 2; seq++)
        forward(7, 1, seq, 3);
    cr_assert_eq(world.notes[NOTE_DISK_FULL], 1);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    sent_forget(&world);
    fixture_wait(&world, WAIT_MS_MIN + 1);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    cr_expect_gt(world.deadline, world.now_ms);
    fixture_welcome(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 1);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX);
}

Test(worker_disk, deletes_what_has_rotted_on_a_full_disk)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    struct batch_record rotten = made_record(&batch);
    struct manifest *sealed = make_manifest(&world, &batch, 1, 7574);
    broker_forwards(&world, &batch, false);
    fixture_wait(&world, 100);
    cr_assert_eq(store_memory_count_durable(world.store), 1);
    cr_assert(store_memory_rot(world.store, &rotten.identity));
    store_memory_set_capacity(world.store, MEMORY_RESERVE_BYTES); /* all of it but the reserve */
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 1);
    manifest_destroy(&sealed);
    made_free(&batch);
}

/* After a restart, since a manifest that was read once is kept at hand. */
static void restart_sealed_with_rotten_manifest(const struct manifest *sealed)
{
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    fixture_come_back(&world);
    cr_assert(store_memory_rot_manifest(world.store, 1, 4 * manifest_packed(sealed).bytes));
}

Test(worker_disk, takes_a_manifest_that_has_rotted_from_the_broker_again)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    struct manifest *sealed = make_manifest(&world, &batch, 1, 7574);
    broker_forwards(&world, &batch, false);
    fixture_wait(&world, 100);
    restart_sealed_with_rotten_manifest(sealed);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_neq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(world.notes[NOTE_MANIFEST_ROTTEN], 1);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1, "it has read its batch back");
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, 1);
    struct slice packed;
    cr_assert_eq(store_manifest(world.store, 1, &packed), STATUS_OK);
    cr_expect(slice_is_equal(packed, manifest_packed(sealed)));
    manifest_destroy(&sealed);
    made_free(&batch);
}

/* The seal stays: only what it stands for is taken again. */
Test(worker_disk, takes_no_other_manifest_for_one_that_has_rotted)
{
    struct made batches[] = {make_batch(1, 7, 1, 0, 3, 0), make_batch(1, 7, 1, 1, 3, 3)};
    struct manifest *sealed = make_manifest(&world, batches, 1, 7574);
    struct manifest *other = make_manifest(&world, batches, 2, 7574);
    restart_sealed_with_rotten_manifest(sealed);
    broker_seals(&world, other);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_SEAL_DIFFERS], 1);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    cr_expect(digest_is_equal(&sent_last(&world, MESSAGE_SEALED)->message.sealed.root,
                              manifest_root(sealed)));
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_MANIFEST_ROTTEN], 1);
    manifest_destroy(&sealed);
    manifest_destroy(&other);
    made_free(&batches[0]);
    made_free(&batches[1]);
}

/* The number does not follow from the root alone, and is kept beside the manifest as well. */
Test(worker_disk, takes_no_manifest_with_another_number_for_one_that_has_rotted)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    struct manifest *sealed = make_manifest(&world, &batch, 1, 7574);
    struct manifest *other = make_manifest(&world, &batch, 1, 7575);
    struct seal_record seal;
    size_t count;
    restart_sealed_with_rotten_manifest(sealed);
    broker_seals(&world, other);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_MANIFEST_REFUSED], 1);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 0);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    cr_assert_eq(store_list_seals(world.store, 1, &seal, 1, &count), STATUS_OK);
    cr_expect_eq(seal.number, 7574);
    manifest_destroy(&sealed);
    manifest_destroy(&other);
    made_free(&batch);
}

/* It has no manifest any more, and none has rotted. */
Test(worker_disk, answers_the_seal_of_a_draw_that_it_forgot_before_a_restart)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    struct manifest *sealed = make_manifest(&world, &batch, 1, 7574);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    fixture_come_back(&world);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_eq(world.notes[NOTE_MANIFEST_ROTTEN], 0);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    cr_expect(digest_is_equal(&sent_last(&world, MESSAGE_SEALED)->message.sealed.root,
                              manifest_root(sealed)));
    manifest_destroy(&sealed);
    made_free(&batch);
}

static void expect_failed_sync(const char *what)
{
    cr_assert_eq(worker_state(world.worker), WORKER_OVER, "%s", what);
    cr_assert_eq(worker_ending(world.worker).status, STATUS_SYNC, "%s", what);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 0, "%s", what);
}

static void begin_group(void)
{
    tear_down();
    set_up();
    forward(7, 1, 0, 3);
    store_memory_fail_sync(world.store, false);
}

/* What is not a batch settles the open group first. */
Test(worker_disk, ends_by_a_failed_sync_whatever_made_the_group_settle)
{
    begin_group();
    world.epoch.number++;
    broker_says_kind(&world, MESSAGE_PING, 0);
    expect_failed_sync("a newer epoch");
    begin_group();
    worker_hang_up(world.worker, world.now_ms);
    expect_failed_sync("the shell hangs up");
    begin_group();
    broker_says_kind(&world, MESSAGE_WHO, 0);
    expect_failed_sync("it is asked who it is");
    begin_group();
    broker_says_kind(&world, MESSAGE_FORGET, 2);
    expect_failed_sync("it is told to forget a draw");
    begin_group();
    worker_drain(world.worker, world.now_ms);
    expect_failed_sync("it is told to end");
}

Test(worker_disk, ends_by_a_failed_sync_of_what_it_forgets)
{
    forward(7, 1, 0, 3);
    fixture_wait(&world, 100);
    sent_forget(&world);
    store_memory_fail_sync(world.store, false);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    expect_failed_sync("the batches");
    tear_down();
    set_up();
    store_memory_fail_sync(world.store, false);
    broker_says_kind(&world, MESSAGE_FORGET, 2);
    fixture_settle(&world);
    expect_failed_sync("the mark");
}

Test(worker_disk, marks_a_forgotten_draw_once)
{
    for (int times = 0; times < 2; times++) {
        broker_says_kind(&world, MESSAGE_FORGET, 2);
        fixture_settle(&world);
    }
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], 1);
}

Test(worker_disk, forgets_each_of_two_draws_that_it_is_told_together)
{
    forward(7, 1, 0, 3);
    fixture_wait(&world, 100);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    broker_says_kind(&world, MESSAGE_FORGET, 2);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], 2);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
}
