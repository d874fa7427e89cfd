/* Tests of the count at a store: questions are answered whole, or not at all. */
#include "worker/count.h"

#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

enum { BATCHES = 4, BETS = 100, NUMBER = 42 };

static struct fixture world;
static struct made batches[BATCHES];
static struct manifest *sealed;

/* Batch s has the numbers s × 10 to s × 10 + 99: each has 42 once. */
static void set_up(void)
{
    fixture_begin(&world);
    fixture_register(&world);
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        batches[seq] = make_batch(1, 7, 1, seq, BETS, 10 * seq);
        broker_forwards(&world, &batches[seq], false);
    }
    sealed = make_manifest(&world, batches, BATCHES, NUMBER);
    broker_seals(&world, sealed);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    sent_forget(&world);
}

static void tear_down(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        made_free(&batches[seq]);
    manifest_destroy(&sealed);
    fixture_end(&world);
}

TestSuite(worker_count, .timeout = 10, .init = set_up, .fini = tear_down);

Test(worker_count, finds_the_winners_of_the_batches_that_were_asked_about)
{
    broker_asks(&world, sealed, 5, 7, 1, 1, 2);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_FOUND), 1);
    const struct sent *found = sent_last(&world, MESSAGE_FOUND);
    cr_expect_eq(found->message.draw, 1);
    cr_expect_eq(found->message.found.question_epoch, 3);
    cr_expect_eq(found->message.found.question, 5);
    cr_expect_eq(found->message.found.agency, 7);
    cr_expect_eq(found->message.found.items, 2);
    size_t at = 0;
    struct item_winner winner;
    for (uint32_t seq = 1; seq <= 2; seq++) {
        cr_assert_eq(item_next_winner(found->body, &at, &winner), STATUS_OK);
        cr_expect_eq(winner.seq, seq);
        cr_expect_eq(winner.row, NUMBER - 10 * seq);
        cr_expect_eq(winner.bet.number, NUMBER);
        cr_expect(slice_is_equal(winner.bet.last_name, (struct slice){(const uint8_t *)"Paz", 3}));
    }
    cr_expect_eq(item_next_winner(found->body, &at, &winner), STATUS_END);

    const struct sent *counted = sent_last(&world, MESSAGE_COUNTED);
    cr_expect_eq(counted->message.counted.question_epoch, 3);
    cr_expect_eq(counted->message.counted.question, 5);
    cr_expect_eq(counted->message.counted.bets, 2 * BETS);
    cr_expect_eq(counted->message.counted.winners, 2);
    cr_expect_eq(counted->message.counted.items, 1);
    cr_expect_eq(&world.sent[world.sent_count - 1], counted, "it is the last word");
    struct item_share share;
    at = 0;
    cr_assert_eq(item_next_share(counted->body, &at, &share), STATUS_OK);
    cr_expect_eq(share.agency, 7);
    cr_expect_eq(share.attempt, 1);
    cr_expect(slice_is_equal(share.seqs, (struct slice){(const uint8_t *)"\x92\x01\x02", 3}));
    cr_expect_eq(item_next_share(counted->body, &at, &share), STATUS_END);
}

/* Also of what the root does not say: the format's version, an attempt, a plan. */
/* Two thousand bits: seconds with sanitizers on a busy machine. */
Test(worker_count, counts_what_was_sealed_whichever_bit_of_its_manifest_has_rotted, .timeout = 60)
{
    struct slice packed = manifest_packed(sealed);
    for (size_t bit = 0; bit < 8 * packed.bytes; bit++) {
        fixture_restart(&world);
        fixture_register(&world);
        cr_assert(store_memory_rot_manifest(world.store, 1, bit));
        sent_forget(&world);
        broker_seals(&world, sealed);
        fixture_settle(&world);
        cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1, "bit %zu", bit);
        broker_asks(&world, sealed, 5, 7, 1, 0, BATCHES);
        fixture_settle(&world);
        cr_assert_eq(sent_of(&world, MESSAGE_COUNTED), 1, "bit %zu", bit);
        cr_assert_eq(sent_last(&world, MESSAGE_COUNTED)->message.counted.winners, BATCHES);
        struct slice kept;
        cr_assert_eq(store_manifest(world.store, 1, &kept), STATUS_OK);
        cr_assert(slice_is_equal(kept, packed), "bit %zu", bit);
    }
}

Test(worker_count, answers_several_questions_in_turn)
{
    for (uint32_t question = 0; question < BATCHES; question++)
        broker_asks(&world, sealed, question, 7, 1, 0, question + 1);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_COUNTED), BATCHES);
    for (uint32_t question = 0; question < BATCHES; question++) {
        const struct sent *counted = sent_get(&world, MESSAGE_COUNTED, question);
        cr_expect_eq(counted->message.counted.question, question);
        cr_expect_eq(counted->message.counted.bets, BETS * (question + 1));
        cr_expect_eq(counted->message.counted.winners, question + 1);
    }
}

Test(worker_count, registers_again_when_more_questions_come_than_can_wait)
{
    for (uint32_t question = 0; question < COUNT_QUESTIONS_MAX; question++)
        broker_asks(&world, sealed, question, 7, 1, 0, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    broker_asks(&world, sealed, COUNT_QUESTIONS_MAX, 7, 1, 0, 1);
    cr_expect_eq(worker_state(world.worker), WORKER_REGISTERING);
    fixture_welcome(&world);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0, "questions die with the registration");
}

/* [M-45] PONG leaves between the steps, each of which takes a quarter of a lease here. */
Test(worker_count, counts_many_batches_in_steps)
{
    enum { MANY = 40 };
    struct made many[MANY];
    for (uint32_t seq = 0; seq < MANY; seq++) {
        many[seq] = make_batch(2, 9, 1, seq, 16000, 1);
        broker_forwards(&world, &many[seq], false);
    }
    fixture_wait(&world, 10);
    struct manifest *manifest = make_manifest(&world, many, MANY, 0);
    broker_seals(&world, manifest);
    fixture_settle(&world);
    broker_asks(&world, manifest, 1, 9, 1, 0, MANY);
    sent_forget(&world);
    int steps = 0;
    while (sent_of(&world, MESSAGE_COUNTED) == 0 && steps < 100) {
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

Test(worker_count, pages_many_winners)
{
    enum { MANY = 3, ROWS = 12000 };
    struct made many[MANY];
    for (uint32_t seq = 0; seq < MANY; seq++) {
        many[seq] = make_batch(2, 9, 1, seq, 1, 0);
        made_free(&many[seq]);
        /* Every bet has the same number: one batch of a bet each would be too slow. */
        many[seq] = make_batch(2, 9, 1, seq, ROWS, UINT32_MAX - ROWS);
        uint8_t *body = (uint8_t *)(uintptr_t)many[seq].body.data;
        for (size_t at = 3; at + 5 <= many[seq].body.bytes; at++) {
            if (body[at] != 0xce || body[at + 1] != 0xff || body[at + 2] != 0xff)
                continue;
            memcpy(body + at + 1, "\x01\x02\x03\x04", 4);
        }
        digest_batch(world.hasher, 2, 9, seq, ROWS, many[seq].body, &many[seq].header.digest);
        broker_forwards(&world, &many[seq], false);
    }
    fixture_wait(&world, 10);
    cr_assert_eq(sent_of(&world, MESSAGE_REJECTED), 0);
    struct manifest *manifest = make_manifest(&world, many, MANY, 0x01020304);
    broker_seals(&world, manifest);
    fixture_settle(&world);
    sent_forget(&world);
    broker_asks(&world, manifest, 1, 9, 1, 0, MANY);
    fixture_settle(&world);
    size_t pages = sent_of(&world, MESSAGE_FOUND);
    cr_expect_gt(pages, 10);
    uint32_t winners = 0;
    for (size_t i = 0; i < pages; i++) {
        const struct sent *page = sent_get(&world, MESSAGE_FOUND, i);
        cr_expect_leq(page->body.bytes, PAGE_BYTES_MAX);
        size_t at = 0;
        struct item_winner winner;
        while (item_next_winner(page->body, &at, &winner) == STATUS_OK) {
            cr_assert_eq(winner.seq, winners / ROWS);
            cr_assert_eq(winner.row, winners % ROWS);
            winners++;
        }
    }
    cr_expect_eq(winners, MANY * ROWS);
    cr_expect_eq(sent_last(&world, MESSAGE_COUNTED)->message.counted.winners, MANY * ROWS);
    for (uint32_t seq = 0; seq < MANY; seq++)
        made_free(&many[seq]);
    manifest_destroy(&manifest);
}

static void expect_no_answer_but_register(void)
{
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0);
    cr_expect_eq(sent_of(&world, MESSAGE_REGISTER), 1);
}

Test(worker_count, deletes_what_has_rotted_since_and_registers_again)
{
    struct batch_record rotten = made_record(&batches[3]);
    cr_assert(store_memory_rot(world.store, &rotten.identity));
    broker_asks(&world, sealed, 5, 7, 1, 0, BATCHES);
    expect_no_answer_but_register();
    cr_expect_not(store_memory_has_durably(world.store, &rotten));
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES - 1);
}

Test(worker_count, registers_again_when_it_has_not_what_it_is_asked_about)
{
    broker_asks(&world, sealed, 5, 7, 1, 0, BATCHES + 1);
    expect_no_answer_but_register();
    cr_expect_eq(store_memory_count_durable(world.store), BATCHES);
}

/* It has not rotted: it is another batch, which the read-back left alone too. */
Test(worker_count, leaves_a_batch_alone_that_is_not_the_manifests)
{
    struct made other = make_batch(2, 7, 1, 0, BETS, 5);
    struct made declared = make_batch(2, 7, 1, 0, BETS, 0);
    struct manifest *manifest = make_manifest(&world, &declared, 1, NUMBER);
    struct batch_record kept = made_record(&other);
    broker_forwards(&world, &other, false);
    broker_seals(&world, manifest);
    fixture_settle(&world);
    cr_assert_eq(sent_of(&world, MESSAGE_SEALED), 1);
    broker_asks(&world, manifest, 5, 7, 1, 0, 1);
    expect_no_answer_but_register();
    cr_expect(store_memory_has_durably(world.store, &kept));
    manifest_destroy(&manifest);
    made_free(&declared);
    made_free(&other);
}

static void expect_dropped(void)
{
    fixture_settle(&world);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(world.notes[NOTE_QUESTION_DROPPED], 1);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
}

Test(worker_count, drops_a_question_about_a_draw_that_is_not_sealed)
{
    struct manifest *other = make_manifest(&world, batches, 2, NUMBER);
    broker_asks(&world, other, 5, 7, 1, 0, 1);
    expect_dropped();
    manifest_destroy(&other);
}

Test(worker_count, drops_a_question_before_it_has_read_back)
{
    fixture_come_back(&world);
    broker_asks(&world, sealed, 5, 7, 1, 0, 1);
    expect_dropped();
}

Test(worker_count, drops_a_question_whose_shares_are_not_as_many_as_it_says)
{
    struct item_share share = {7, 1, {(const uint8_t *)"\x92\x00\x01", 3}};
    uint8_t buffer[64];
    struct slice body = {buffer, 0};
    cr_assert_eq(item_pack_share(buffer, sizeof buffer, &body.bytes, &share), STATUS_OK);
    struct message message = {.kind = MESSAGE_COUNT,
                              .draw = 1,
                              .count = {*manifest_root(sealed), 3, 5, 2}};
    broker_says(&world, message, &body);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0);
    cr_expect_eq(world.notes[NOTE_QUESTION_DROPPED], 1);
}

Test(worker_count, forgets_its_questions_when_it_registers_again)
{
    broker_asks(&world, sealed, 5, 7, 1, 0, BATCHES);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    fixture_welcome(&world);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_COUNTED), 0);
}
