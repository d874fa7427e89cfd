/* Tests of the end of a draw at a store: seal, reading back, void, manifest, forgetting. */
#include "worker/sealing.h"

#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

enum { BATCHES = 5 };

static struct fixture world;
static struct made batches[BATCHES];
static struct manifest *sealed;

static const struct digest ZEROS;

static void set_up(void)
{
    fixture_begin(&world);
    fixture_register(&world);
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        batches[seq] = make_batch(1, 7, 1, seq, 10, 10 * seq);
    sealed = make_manifest(&world, batches, BATCHES, 7574);
    sent_forget(&world);
}

static void tear_down(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        made_free(&batches[seq]);
    manifest_destroy(&sealed);
    fixture_end(&world);
}

TestSuite(worker_sealing, .timeout = 10, .init = set_up, .fini = tear_down);

/* Stores the batches from first on, before the last. */
static void store_batches(uint32_t first, uint32_t last)
{
    for (uint32_t seq = first; seq < last; seq++)
        broker_forwards(&world, &batches[seq], false);
    fixture_wait(&world, 10);
}

static void expect_seal(enum seal_kind kind, bool is_forgotten)
{
    struct seal_record seal;
    size_t count;
    cr_assert_eq(store_list_seals(world.store, 1, &seal, 1, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    cr_expect_eq(seal.kind, kind);
    cr_expect_eq(seal.is_forgotten, is_forgotten);
}

static void expect_sealed(const struct digest *root)
{
    const struct message *message = &sent_last(&world, MESSAGE_SEALED)->message;
    cr_expect_eq(message->draw, 1);
    cr_expect(digest_is_equal(&message->sealed.root, root));
}

Test(worker_sealing, answers_sealed_once_recorded_and_read_back)
{
    store_batches(0, BATCHES);
    sent_forget(&world);
    broker_seals(&world, sealed);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0, "not before it has read its batches back");
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    expect_sealed(manifest_root(sealed));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, BATCHES);
    store_memory_crash(world.store, &(struct id){{1}});
    expect_seal(SEAL_MANIFEST, false);
    struct slice packed;
    cr_assert_eq(store_manifest(world.store, 1, &packed), STATUS_OK);
    cr_expect(slice_is_equal(packed, manifest_packed(sealed)));
}

Test(worker_sealing, answers_sealed_without_any_batch)
{
    broker_seals(&world, sealed);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, 0);
}

/* [M-45] PONG leaves between the steps, each of which takes a quarter of a lease here. */
Test(worker_sealing, reads_many_batches_back_in_steps)
{
    enum { MANY = 40 };
    struct made many[MANY];
    for (uint32_t seq = 0; seq < MANY; seq++) {
        many[seq] = make_batch(1, 7, 1, seq, 16000, seq);
        broker_forwards(&world, &many[seq], false);
    }
    fixture_wait(&world, 10);
    struct manifest *manifest = make_manifest(&world, many, MANY, 1);
    sent_forget(&world);
    broker_seals(&world, manifest);
    int steps = 0;
    while (sent_of(&world, MESSAGE_SEALED) == 0 && steps < 100) {
        world.now_ms += LEASE_MS / 4;
        worker_tick(world.worker, world.now_ms);
        steps++;
        broker_says_kind(&world, MESSAGE_PING, 0); /* collects what was sent */
    }
    cr_expect_eq(sent_of(&world, MESSAGE_PONG), (size_t)steps);
    cr_expect_gt(steps, 3, "19 MB are more than one step of 4 MiB");
    cr_expect_lt(steps, 10);
    for (uint32_t seq = 0; seq < MANY; seq++)
        made_free(&many[seq]);
    manifest_destroy(&manifest);
}

/* A listing that came full does not tell that it was the last one. */
Test(worker_sealing, reads_back_what_stands_behind_a_full_listing)
{
    enum { MANY = STEP_BATCHES_MAX + 1 };
    static struct made many[MANY];
    for (uint32_t seq = 0; seq < MANY; seq++) {
        many[seq] = make_batch(1, 7, 1, seq, 1, seq);
        broker_forwards(&world, &many[seq], false);
    }
    fixture_wait(&world, 10);
    struct manifest *manifest = make_manifest(&world, many, MANY, 1);
    struct batch_record last = made_record(&many[MANY - 1]);
    cr_assert(store_memory_rot(world.store, &last.identity));
    sent_forget(&world);
    broker_seals(&world, manifest);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
    cr_expect_eq(world.last_note[NOTE_ROTTEN].seq, MANY - 1);
    fixture_restart(&world);
    fixture_register(&world);
    broker_seals(&world, manifest);
    fixture_settle(&world);
    expect_sealed(manifest_root(manifest));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, STEP_BATCHES_MAX, "a full one ends it");
    for (uint32_t seq = 0; seq < MANY; seq++)
        made_free(&many[seq]);
    manifest_destroy(&manifest);
}

Test(worker_sealing, deletes_what_has_rotted_and_registers_again)
{
    store_batches(0, BATCHES);
    struct batch_record rotten = made_record(&batches[2]);
    cr_assert(store_memory_rot(world.store, &rotten.identity));
    sent_forget(&world);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 1);
    cr_expect_not(store_memory_has_durably(world.store, &rotten));
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES - 1);
    cr_expect_eq(world.last_note[NOTE_ROTTEN].seq, 2);
    /* The seal, and what is left. */
    cr_expect_eq(sent_last(&world, MESSAGE_INVENTORY)->message.inventory.items, BATCHES);
    fixture_welcome(&world);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
    broker_forwards(&world, &batches[2], false);
    fixture_wait(&world, 10);
    cr_expect(store_memory_has_durably(world.store, &rotten));
}

Test(worker_sealing, reads_back_again_after_a_restart)
{
    store_batches(0, BATCHES);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    fixture_come_back(&world);
    broker_seals(&world, sealed);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
    cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 0);
    sent_forget(&world);
    broker_seals(&world, sealed);
    expect_sealed(manifest_root(sealed));
}

Test(worker_sealing, takes_a_large_manifest_in_parts_in_any_order)
{
    enum { MANY = 20000 };
    struct digest *digests = calloc(MANY, sizeof *digests);
    uint32_t *bets = calloc(MANY, sizeof *bets);
    struct manifest_entry entry = {.agency = 7,
                                   .attempt = 1,
                                   .plan = {1, BATCH_BYTES_MIN, false},
                                   .declaration = {.batches = MANY, .bets = MANY},
                                   .digests = digests,
                                   .bets = bets};
    struct tree tree;
    tree_begin(&tree);
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy(digests[i].bytes, &i, sizeof i);
        bets[i] = 1;
        tree_add(&tree, world.hasher, &digests[i]);
    }
    tree_head(&tree, world.hasher, &entry.declaration.root);
    struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true};
    struct manifest *large;
    cr_assert_eq(manifest_create(&terms, &entry, 1, world.hasher, &large), STATUS_OK);
    struct slice packed = manifest_packed(large);
    static const uint32_t ORDER[] = {2, 0, 0, 0, 1};
    static const size_t SHORTENED[] = {0, 100, 0, 0, 0}; /* such a part is none */
    cr_assert_eq((packed.bytes + CHUNK_BYTES_MAX - 1) / CHUNK_BYTES_MAX, 3);
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 0);
        size_t begin = (size_t)ORDER[i] * CHUNK_BYTES_MAX;
        size_t left = packed.bytes - begin;
        struct slice body = {packed.data + begin, left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX};
        struct message message = {.kind = MESSAGE_SEAL,
                                  .draw = 1,
                                  .part = {ORDER[i], 3, packed.bytes, *manifest_root(large)}};
        body.bytes -= SHORTENED[i];
        broker_says(&world, message, &body);
    }
    cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 1);
    fixture_settle(&world);
    expect_sealed(manifest_root(large));
    /* And tells it again to a broker that recovers. */
    broker_says_kind(&world, MESSAGE_MANIFEST, 1);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_MANIFEST_PART), 3);
    size_t told = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct sent *part = sent_get(&world, MESSAGE_MANIFEST_PART, i);
        cr_expect_eq(part->message.part.part, i);
        cr_expect_eq(part->message.part.parts, 3);
        cr_expect_eq(part->message.part.manifest_bytes, packed.bytes);
        cr_expect_eq(memcmp(part->body.data, packed.data + told, part->body.bytes), 0);
        told += part->body.bytes;
    }
    cr_expect_eq(told, packed.bytes);
    manifest_destroy(&large);
    free(digests);
    free(bets);
}

Test(worker_sealing, refuses_parts_that_make_no_manifest)
{
    struct slice packed = manifest_packed(sealed);
    static uint8_t spoilt[4096];
    cr_assert_leq(packed.bytes, sizeof spoilt);
    memcpy(spoilt, packed.data, packed.bytes);
    spoilt[packed.bytes - 40] ^= 1;
    struct slice body = {spoilt, packed.bytes};
    struct message good = {.kind = MESSAGE_SEAL,
                           .draw = 1,
                           .part = {0, 1, packed.bytes, *manifest_root(sealed)}};
    broker_says(&world, good, &body);
    struct message message = good;
    message.draw = 2;
    broker_says(&world, message, &packed);
    message = good;
    message.part.root.bytes[0] ^= 1;
    broker_says(&world, message, &packed);
    message = good;
    message.part.manifest_bytes++;
    broker_says(&world, message, &packed);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_MANIFEST_REFUSED], 4);
    cr_expect_eq(world.sent_count, 0);
    struct seal_record seal;
    size_t count;
    cr_assert_eq(store_list_seals(world.store, 0, &seal, 1, &count), STATUS_OK);
    cr_expect_eq(count, 0);
    broker_says(&world, good, &packed);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
}

Test(worker_sealing, keeps_its_first_seal_and_tells_which)
{
    broker_seals(&world, sealed);
    fixture_settle(&world);
    struct manifest *other = make_manifest(&world, batches, 2, 7574);
    sent_forget(&world);
    broker_seals(&world, other);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
    cr_expect_eq(world.notes[NOTE_SEAL_DIFFERS], 1);
    expect_seal(SEAL_MANIFEST, false);
    manifest_destroy(&other);
}

Test(worker_sealing, records_a_void_and_keeps_it)
{
    store_batches(0, 1);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    expect_sealed(&ZEROS);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    expect_sealed(&ZEROS);
    cr_expect_eq(world.notes[NOTE_SEAL_DIFFERS], 1);
    store_memory_crash(world.store, &(struct id){{1}});
    expect_seal(SEAL_AS_VOID, false);
}

Test(worker_sealing, lets_a_void_replace_a_seal)
{
    store_batches(0, 1);
    sent_forget(&world);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    expect_sealed(&ZEROS);
    store_memory_crash(world.store, &(struct id){{1}});
    expect_seal(SEAL_AS_VOID, false);
}

Test(worker_sealing, ends_when_a_seal_cannot_be_made_durable)
{
    store_memory_fail_sync(world.store, false);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_SYNC);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
}

/* ---- batches after the end ---- */

static void expect_late(const struct made *batch)
{
    sent_forget(&world);
    broker_forwards(&world, batch, false);
    cr_expect_eq(sent_last(&world, MESSAGE_REJECTED)->message.rejected.reason, REFUSAL_LATE);
    fixture_wait(&world, 10);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 0);
}

Test(worker_sealing, lets_only_the_manifests_batches_in)
{
    broker_seals(&world, sealed);
    fixture_settle(&world);
    struct made other = make_batch(1, 7, 1, 0, 10, 5000);
    struct made beyond = make_batch(1, 7, 1, BATCHES, 10, 0);
    struct made attempt = make_batch(1, 7, 2, 0, 10, 0);
    struct made agency = make_batch(1, 8, 1, 0, 10, 0);
    expect_late(&other);
    expect_late(&beyond);
    expect_late(&attempt);
    expect_late(&agency);
    store_batches(0, BATCHES);
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES);
    struct made next_draw = make_batch(2, 8, 1, 0, 10, 0);
    broker_forwards(&world, &next_draw, false);
    fixture_wait(&world, 10);
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES + 1);
    expect_late(&other);
    struct made *made[] = {&other, &beyond, &attempt, &agency, &next_draw};
    for (size_t i = 0; i < 5; i++)
        made_free(made[i]);
}

Test(worker_sealing, lets_the_manifests_batch_replace_another)
{
    struct made other = make_batch(1, 7, 1, 0, 10, 5000);
    broker_forwards(&world, &other, false);
    fixture_wait(&world, 10);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, 0, "it counts for nothing");
    store_batches(0, 1);
    struct batch_record record = made_record(&batches[0]);
    cr_expect(store_memory_has_durably(world.store, &record));
    made_free(&other);
}

Test(worker_sealing, answers_a_void_again_and_drops_the_parts_of_a_manifest_for_it)
{
    struct slice packed = manifest_packed(sealed);
    struct message part = {.kind = MESSAGE_SEAL,
                           .draw = 1,
                           .part = {.parts = 2,
                                    .manifest_bytes = CHUNK_BYTES_MAX + 1,
                                    .root = *manifest_root(sealed)}};
    static uint8_t chunk[CHUNK_BYTES_MAX];
    memcpy(chunk, packed.data, packed.bytes);
    const struct slice first = {chunk, sizeof chunk};
    const struct slice last = {chunk, 1};
    broker_says(&world, part, &first);
    for (int times = 0; times < 2; times++) {
        broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
        fixture_settle(&world);
        expect_sealed(&ZEROS);
    }
    cr_expect_eq(world.notes[NOTE_VOID_RECORDED], 1);
    part.part.part = 1;
    broker_says(&world, part, &last);
    fixture_settle(&world);
    expect_sealed(&ZEROS);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 3);
    cr_expect_eq(world.notes[NOTE_SEAL_DIFFERS], 1);
}

Test(worker_sealing, lets_nothing_into_a_void_draw)
{
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    expect_late(&batches[0]);
}

Test(worker_sealing, takes_no_other_draws_seal_for_the_one_that_it_looks_for)
{
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 5);
    fixture_restart(&world); /* nothing is remembered: it looks in its store */
    fixture_register(&world);
    store_batches(0, BATCHES);
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    expect_sealed(manifest_root(sealed));
}

Test(worker_sealing, judges_by_its_seal_after_a_restart)
{
    broker_seals(&world, sealed);
    fixture_settle(&world);
    fixture_restart(&world);
    fixture_register(&world);
    struct made other = make_batch(1, 7, 1, 0, 10, 5000);
    expect_late(&other);
    store_batches(0, 1);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    made_free(&other);
}

/* ---- forgetting ---- */

Test(worker_sealing, forgets_a_draws_batches_and_keeps_the_seal)
{
    store_batches(0, BATCHES);
    struct made next_draw = make_batch(2, 8, 1, 0, 10, 0);
    broker_forwards(&world, &next_draw, false);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    expect_seal(SEAL_MANIFEST, true);
    cr_expect_eq(world.last_note[NOTE_FORGOTTEN].number, BATCHES);
    cr_expect_eq(world.notes[NOTE_FORGOTTEN], 1);
    expect_late(&batches[0]);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_MANIFEST, 1);
    fixture_settle(&world);
    cr_expect_eq(world.sent_count, 0, "there is no manifest any more");
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    expect_seal(SEAL_AS_VOID, true);
    made_free(&next_draw);
}

Test(worker_sealing, forgets_many_batches_in_steps_with_the_mark_last)
{
    cr_assert_eq(store_begin(world.store, STORE_COMMON), STATUS_OK);
    for (uint32_t seq = 0; seq < 1000; seq++) {
        struct batch_record batch = {.identity = {1, 7, 1, seq}, .bets = 1};
        cr_assert_eq(store_put(world.store, &batch, (struct slice){(const uint8_t *)"x", 1}, false),
                     STATUS_OK);
    }
    cr_assert_eq(store_commit(world.store), STATUS_OK);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    worker_tick(world.worker, world.now_ms);
    cr_expect_eq(store_memory_count_durable(world.store), 744);
    struct seal_record seal;
    size_t count;
    cr_assert_eq(store_list_seals(world.store, 0, &seal, 1, &count), STATUS_OK);
    cr_expect_eq(count, 0);
    fixture_restart(&world);
    fixture_register(&world);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    expect_seal(SEAL_NONE, true);
}

Test(worker_sealing, commits_batches_of_the_next_draw_between_the_steps_of_forgetting)
{
    store_batches(0, BATCHES);
    struct made next_draw = make_batch(2, 8, 1, 0, 10, 0);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    broker_forwards(&world, &next_draw, false);
    fixture_settle(&world);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    struct batch_record record = made_record(&next_draw);
    cr_expect(store_memory_has_durably(world.store, &record));
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    made_free(&next_draw);
}
