/* Tests of manifests that come in parts, and of what comes for a draw before it was read back. */
#include "worker/sealing.h"

#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

enum { NUMBER = 42, BATCHES = STEP_BATCHES_MAX + 10 /* read back in two steps */ };

static struct fixture world;
static struct made stored[BATCHES]; /* of draw 1, a bet each */
static struct manifest *small;

static const struct digest ZEROS;

static void set_up(void)
{
    fixture_begin(&world);
    fixture_register(&world);
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        stored[seq] = make_batch(1, 7, 1, seq, 1, NUMBER);
    small = make_manifest(&world, stored, BATCHES, NUMBER);
    sent_forget(&world);
}

static void tear_down(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        made_free(&stored[seq]);
    manifest_destroy(&small);
    fixture_end(&world);
}

TestSuite(worker_parts, .timeout = 10, .init = set_up, .fini = tear_down);

static void expect_one_sealed(uint32_t draw, const struct digest *root)
{
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    const struct message *message = &sent_last(&world, MESSAGE_SEALED)->message;
    cr_expect_eq(message->draw, draw);
    cr_expect(digest_is_equal(&message->sealed.root, root));
}

/* ---- parts ---- */

/* Of agency 7 so many batches that agency 8's entry comes in the second part. The root is that of
 * the digests; it does not tell the attempt. */
static struct manifest *make_two_parts(uint32_t attempt, uint8_t first_digest)
{
    enum { MANY = CHUNK_BYTES_MAX / DIGEST_BYTES };
    static struct digest digests[MANY];
    static uint32_t bets[MANY];
    struct manifest_entry entries[2];
    struct manifest *manifest;
    digests[0] = (struct digest){{first_digest}};
    const struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t batches = i == 0 ? MANY : 1;
        struct tree tree;
        tree_begin(&tree);
        for (uint32_t seq = 0; seq < batches; seq++) {
            bets[seq] = 1;
            tree_add(&tree, world.hasher, &digests[seq]);
        }
        entries[i] = (struct manifest_entry){.agency = 7 + i,
                                             .attempt = attempt,
                                             .plan = {1, BATCH_BYTES_MIN, false},
                                             .declaration = {.batches = batches, .bets = batches},
                                             .digests = digests,
                                             .bets = bets};
        tree_head(&tree, world.hasher, &entries[i].declaration.root);
    }
    cr_assert_eq(manifest_create(&terms, entries, 2, world.hasher, &manifest), STATUS_OK);
    return manifest;
}

static void expect_kept(const struct manifest *manifest)
{
    struct slice packed;
    cr_assert_eq(store_manifest(world.store, 1, &packed), STATUS_OK);
    cr_expect(slice_is_equal(packed, manifest_packed(manifest)));
}

static void expect_begins_anew(const struct manifest *other)
{
    struct manifest *manifest = make_two_parts(1, 0);
    fixture_come_back(&world);
    broker_seals_part(&world, manifest, 0);
    broker_seals_part(&world, other, 0);
    broker_seals_part(&world, manifest, 1);
    cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 0, "its first part was given up");
    cr_expect_eq(world.notes[NOTE_MANIFEST_REFUSED], 0);
    broker_seals_part(&world, manifest, 0);
    cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 1);
    fixture_settle(&world);
    expect_one_sealed(1, manifest_root(manifest));
    expect_kept(manifest);
    manifest_destroy(&manifest);
}

Test(worker_parts, begin_anew_with_a_part_of_a_manifest_of_another_length)
{
    struct manifest *other = make_two_parts(1000, 0);
    expect_begins_anew(other);
    manifest_destroy(&other);
}

Test(worker_parts, begin_anew_with_a_part_of_a_manifest_of_another_root)
{
    struct manifest *other = make_two_parts(1, 1);
    expect_begins_anew(other);
    manifest_destroy(&other);
}

/* `kept` is sealed, and after a restart `sealed`: it takes the other one's place. in: parts: of the
 * kept one, that are found to be rotten. */
static void expect_taken_in_place_of(struct manifest *kept, struct manifest *sealed, size_t parts)
{
    broker_seals(&world, kept);
    fixture_settle(&world);
    fixture_come_back(&world);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_MANIFEST_ROTTEN], parts);
    expect_one_sealed(1, manifest_root(sealed));
    expect_kept(sealed);
    manifest_destroy(&kept);
    manifest_destroy(&sealed);
}

/* The first part is not kept when the second one shows that it is to be taken again. */
Test(worker_parts, takes_one_part_of_a_manifest_that_has_rotted_again)
{
    struct manifest *sealed = make_two_parts(1, 0);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    fixture_come_back(&world);
    fixture_rot_attempt(&world, sealed, 8);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_MANIFEST_ROTTEN], 1);
    expect_one_sealed(1, manifest_root(sealed));
    expect_kept(sealed);
    manifest_destroy(&sealed);
}

/* It has two bytes more. */
Test(worker_parts, takes_all_parts_of_a_manifest_of_another_length_again)
{
    expect_taken_in_place_of(make_two_parts(1, 0), make_two_parts(1000, 0), 1);
}

/* Each of them, beside what is kept of the other. */
Test(worker_parts, takes_both_parts_of_a_manifest_that_has_rotted_in_both_again)
{
    expect_taken_in_place_of(make_two_parts(1, 0), make_two_parts(2, 0), 2);
}

Test(worker_parts, are_given_up_when_their_draw_is_forgotten)
{
    struct manifest *manifest = make_two_parts(1, 0);
    struct seal_record mark;
    size_t count;
    broker_seals_part(&world, manifest, 0);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    fixture_settle(&world);
    broker_seals_part(&world, manifest, 1);
    fixture_settle(&world);
    cr_expect_eq(world.notes[NOTE_SEAL_RECORDED], 0);
    cr_expect_eq(world.notes[NOTE_SEAL_DIFFERS], 1);
    expect_one_sealed(1, &ZEROS);
    cr_assert_eq(store_list_seals(world.store, 1, &mark, 1, &count), STATUS_OK);
    cr_expect_eq(mark.kind, SEAL_NONE);
    cr_expect(mark.is_forgotten);
    broker_forwards(&world, &stored[0], false);
    cr_expect_eq(sent_last(&world, MESSAGE_REJECTED)->message.rejected.reason, REFUSAL_LATE);
    manifest_destroy(&manifest);
}

Test(worker_parts, are_not_told_of_a_draw_without_a_seal)
{
    broker_says_kind(&world, MESSAGE_MANIFEST, 1);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 2);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_MANIFEST, 2);
    fixture_settle(&world);
    broker_says_kind(&world, MESSAGE_MANIFEST, 1);
    fixture_settle(&world);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 2);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

Test(worker_parts, of_a_seal_that_is_kept_are_answered_with_the_last)
{
    struct manifest *manifest = make_two_parts(1, 0);
    broker_seals_part(&world, manifest, 0);
    broker_seals_part(&world, manifest, 1);
    fixture_settle(&world);
    expect_one_sealed(1, manifest_root(manifest));
    sent_forget(&world);
    broker_seals_part(&world, manifest, 0);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0);
    broker_seals_part(&world, manifest, 1);
    expect_one_sealed(1, manifest_root(manifest));
    manifest_destroy(&manifest);
}

/* ---- before a draw was read back ---- */

static void seal_many(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        broker_forwards(&world, &stored[seq], false);
    broker_seals(&world, small);
    sent_forget(&world);
}

Test(worker_parts, that_come_again_do_not_begin_the_reading_back_anew)
{
    seal_many();
    fixture_turn(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_SEALED), 0, "one step is not enough");
    broker_seals(&world, small);
    fixture_turn(&world);
    expect_one_sealed(1, manifest_root(small));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, BATCHES);
}

/* The broker goes from draw to draw: it waits for no other one. */
Test(worker_parts, of_another_draw_have_that_one_read_back)
{
    struct made batch = make_batch(2, 7, 1, 0, 3, 0);
    struct manifest *next = make_manifest(&world, &batch, 1, NUMBER);
    seal_many();
    fixture_turn(&world);
    broker_forwards(&world, &batch, false);
    broker_seals(&world, next);
    fixture_settle(&world);
    expect_one_sealed(2, manifest_root(next));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, 1);
    sent_forget(&world);
    broker_seals(&world, small);
    fixture_settle(&world);
    expect_one_sealed(1, manifest_root(small));
    cr_expect_eq(world.last_note[NOTE_READ_BACK].number, BATCHES, "it begins at the first batch");
    manifest_destroy(&next);
    made_free(&batch);
}

Test(worker_parts, are_read_back_no_further_once_their_draw_is_void)
{
    seal_many();
    fixture_turn(&world);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    fixture_settle(&world);
    expect_one_sealed(1, &ZEROS);
    cr_expect_eq(world.notes[NOTE_READ_BACK], 0);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_gt(world.deadline, world.now_ms, "nothing is left to do");
}

Test(worker_parts, are_counted_no_further_once_their_draw_is_void)
{
    seal_many();
    fixture_settle(&world);
    expect_one_sealed(1, manifest_root(small));
    broker_asks(&world, small, 5, 7, 1, 0, BATCHES);
    fixture_turn(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0);
    sent_forget(&world);
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 1);
    fixture_settle(&world);
    expect_one_sealed(1, &ZEROS);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_gt(world.deadline, world.now_ms, "nothing is left to do");
}
