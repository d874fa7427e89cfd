/* Tests of a whole draw at a store whose disk or memory fails once: each operation and each
 * allocation in turn, with each answer that it may give. The worker ends for that very reason, or
 * goes on; started again it brings the draw to its end, and what it acknowledged is never gone. */
#include <criterion/criterion.h>

#include "tests/unit/worker_fixture.h"

enum {
    BATCHES = 5,
    ROTS_BEFORE_SEAL = 2, /* this batch rots */
    ROTS_BEFORE_COUNT = 3,
    BETS = 100,
    NUMBER = 42,
    TURNS_MAX = 200, /* of the broker, until the draw is over */
    TIMES_MAX = 500, /* more than operations of a draw */
};

/* What the broker played here knows of its store. */
static struct {
    bool is_stored[BATCHES];
    bool was_stored[BATCHES]; /* when it registered */
    bool is_lost[BATCHES];    /* it has rotted, and may be gone */
    bool is_sealed;           /* told since the last registration */
    size_t heard;             /* messages of those sent */
    uint32_t question;
    uint32_t endings; /* of its process, unasked */
} known;

static struct fixture world;
static struct made batches[BATCHES]; /* batch s has the numbers s × 10 to s × 10 + 99 */
static struct made other;            /* another one under the first one's identity */
static struct made next;             /* of the next draw */
static struct manifest *sealed;

static void set_up(void)
{
    fixture_begin(&world);
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        batches[seq] = make_batch(1, 7, 1, seq, BETS, 10 * seq);
    other = make_batch(1, 7, 1, 0, BETS, 5000);
    next = make_batch(2, 7, 1, 0, BETS, 0);
    sealed = make_manifest(&world, batches, BATCHES, NUMBER);
    memset(&known, 0, sizeof known);
}

static void tear_down(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        made_free(&batches[seq]);
    made_free(&other);
    made_free(&next);
    manifest_destroy(&sealed);
    fixture_end(&world);
}

TestSuite(worker_failures, .timeout = 60, .init = set_up, .fini = tear_down);

/* ---- what the store says ---- */

static const struct made *find_made(const struct message *stored, uint32_t seq)
{
    if (stored->draw == 2)
        return &next;
    cr_assert_lt(seq, BATCHES);
    return &batches[seq];
}

static void hear_stored(const struct sent *sent)
{
    struct item_stored item;
    for (size_t at = 0; item_next_stored(sent->body, &at, &item) == STATUS_OK;) {
        const struct made *made = find_made(&sent->message, item.seq);
        if (!digest_is_equal(&item.digest, &made->header.digest))
            continue; /* the other one, which gives way later */
        struct batch_record record = made_record(made);
        cr_assert(store_memory_has_durably(world.store, &record), "seq %u is told too early",
                  item.seq);
        if (sent->message.draw == 1)
            known.is_stored[item.seq] = true;
    }
}

/* An inventory takes the place of what was known. */
static void hear_inventory(const struct sent *sent)
{
    struct item_inventory item;
    for (size_t at = 0; item_next_inventory(sent->body, &at, &item) == STATUS_OK;) {
        if (item.kind == INVENTORY_BATCH && item.draw == 1)
            known.is_stored[item.batch.seq] =
                digest_is_equal(&item.batch.digest, &batches[item.batch.seq].header.digest);
    }
}

/* Takes what was sent, all but what the step that asked for it looks at itself. */
static void hear(void)
{
    for (; known.heard < world.sent_count; known.heard++) {
        const struct sent *sent = &world.sent[known.heard];
        if (sent->message.kind == MESSAGE_STORED)
            hear_stored(sent);
        if (sent->message.kind == MESSAGE_REGISTER) {
            memcpy(known.was_stored, known.is_stored, sizeof known.was_stored);
            memset(known.is_stored, 0, sizeof known.is_stored);
            known.is_sealed = false;
        }
        if (sent->message.kind == MESSAGE_INVENTORY)
            hear_inventory(sent);
        if (sent->message.kind == MESSAGE_SEALED && sent->message.draw == 1) {
            cr_assert(digest_is_equal(&sent->message.sealed.root, manifest_root(sealed)));
            cr_assert(store_memory_has_seal(world.store, 1, manifest_root(sealed)));
            known.is_sealed = true;
        }
    }
}

static void expect_everything_told(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        cr_assert(!known.was_stored[seq] || known.is_lost[seq] || known.is_stored[seq]);
}

static void expect_nothing_lost(void)
{
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        struct batch_record record = made_record(&batches[seq]);
        cr_assert(!known.is_stored[seq] || known.is_lost[seq] ||
                      store_memory_has_durably(world.store, &record),
                  "seq %u was acknowledged, and is gone", seq);
    }
}

/* ---- the broker's steps: each goes on where it was, and answers whether it is done ---- */

/* The time until a full disk is tried again. */
static void wait_for_credit(void)
{
    for (int64_t ms = 0; ms <= WAIT_MS_MIN; ms += LEASE_MS / 4) {
        broker_says_kind(&world, MESSAGE_PING, 0);
        fixture_wait(&world, LEASE_MS / 4);
    }
    hear();
}

static bool store_missing(void)
{
    bool is_complete = true;
    if (!known.is_stored[0])
        broker_forwards(&world, &other, false); /* in one group with the one that replaces it */
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        if (!known.is_stored[seq])
            broker_forwards(&world, &batches[seq], true);
    }
    fixture_wait(&world, 20);
    hear();
    for (uint32_t seq = 0; seq < BATCHES; seq++)
        is_complete = is_complete && known.is_stored[seq];
    if (!is_complete)
        wait_for_credit();
    return is_complete;
}

static bool raise_epoch(void)
{
    struct store_about about;
    world.epoch.number = 4;
    broker_says_kind(&world, MESSAGE_PING, 0);
    store_about(world.store, &about);
    return about.epoch.number == 4;
}

static void rot(uint32_t seq)
{
    struct batch_record record = made_record(&batches[seq]);
    if (!known.is_lost[seq])
        cr_assert(store_memory_rot(world.store, &record.identity));
    known.is_lost[seq] = true;
}

static bool seal(void)
{
    broker_seals(&world, sealed);
    broker_forwards(&world, &next, false); /* a group is open before the first step */
    fixture_settle(&world);
    hear();
    return known.is_sealed;
}

static bool seal_with_a_rotten_batch(void)
{
    rot(ROTS_BEFORE_SEAL);
    return seal();
}

static void restart(void)
{
    hear();
    fixture_restart(&world);
    known.heard = 0;
    expect_nothing_lost();
}

static bool start_again(void)
{
    restart();
    return true;
}

static bool start_with_a_rotten_manifest(void)
{
    restart();
    fixture_rot_attempt(&world, sealed, 7);
    return true;
}

/* Of a store that may have registered since: the draw is sealed for it first. */
static bool seal_and_store(void)
{
    return (known.is_sealed || seal()) && store_missing();
}

static bool ask(void)
{
    if (!seal_and_store())
        return false;
    size_t answers = sent_of(&world, MESSAGE_COUNTED);
    broker_forwards(&world, &next, false); /* its draw's seal is at hand then, not this one's */
    broker_asks(&world, sealed, ++known.question, 7, 1, 0, BATCHES);
    fixture_settle(&world);
    hear();
    if (sent_of(&world, MESSAGE_COUNTED) == answers)
        return false;
    const struct message_counted *counted = &sent_last(&world, MESSAGE_COUNTED)->message.counted;
    cr_assert_eq(counted->question, known.question);
    cr_assert_eq(counted->bets, BATCHES * BETS);
    cr_assert_eq(counted->winners, BATCHES);
    return true;
}

static bool ask_with_a_rotten_batch(void)
{
    rot(ROTS_BEFORE_COUNT);
    return ask();
}

static bool ask_manifest(void)
{
    broker_says_kind(&world, MESSAGE_MANIFEST, 1);
    fixture_settle(&world);
    if (sent_of(&world, MESSAGE_MANIFEST_PART) == 0)
        return false;
    struct slice told = sent_last(&world, MESSAGE_MANIFEST_PART)->body;
    cr_assert(slice_is_equal(told, manifest_packed(sealed)));
    return true;
}

static bool void_another_draw(void)
{
    static const struct digest ZEROS;
    broker_says_kind(&world, MESSAGE_SEAL_VOID, 9);
    bool is_told =
        sent_of(&world, MESSAGE_SEALED) > 0 && sent_last(&world, MESSAGE_SEALED)->message.draw == 9;
    cr_assert(!is_told || store_memory_has_seal(world.store, 9, &ZEROS));
    return is_told;
}

static bool forget(void)
{
    struct seal_record mark;
    size_t count;
    memset(known.is_lost, true, sizeof known.is_lost);
    broker_says_kind(&world, MESSAGE_FORGET, 1);
    broker_forwards(&world, &next, false);
    fixture_settle(&world);
    cr_assert_eq(store_list_seals(world.store, 1, &mark, 1, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    struct batch_record record = made_record(&next);
    size_t others = store_memory_has_durably(world.store, &record) ? 1 : 0;
    cr_assert(!mark.is_forgotten || store_memory_count_durable(world.store) == others,
              "the mark comes last");
    return mark.is_forgotten;
}

/* What it holds is committed, or goes back. */
static bool drain(void)
{
    broker_forwards(&world, &next, false);
    RUN_CORE(worker_drain(world.worker, world.now_ms));
    fixture_wait(&world, DRAIN_QUIET_MS);
    hear();
    return true;
}

static bool (*const STEPS[])(void) = {
    store_missing,
    raise_epoch,
    seal_with_a_rotten_batch,
    store_missing,
    start_with_a_rotten_manifest,
    ask_with_a_rotten_batch,
    start_again,
    store_missing, /* judged by the seal that is read from the disk, and there already */
    start_again,
    ask_manifest,
    ask,
    void_another_draw,
    forget,
    drain,
};

/* ---- the draw ---- */

/* One turn of a broker that wants a registered store. true: it is. */
static bool is_serving(enum status expected)
{
    switch (worker_state(world.worker)) {
    case WORKER_APART:
        fixture_dial(&world);
        return false;
    case WORKER_REGISTERING:
        broker_says_kind(&world, MESSAGE_PING, 0);
        fixture_settle(&world);
        return false;
    case WORKER_AWAITING:
        broker_welcomes(&world);
        hear();
        expect_everything_told();
        sent_forget(&world);
        known.heard = 0;
        return false;
    case WORKER_OVER:
        if (expected == STATUS_OK)
            expected = machine_disk_answer();
        cr_assert_eq(worker_ending(world.worker).status, expected);
        known.endings++;
        restart();
        return false;
    case WORKER_SERVING:
    case WORKER_DRAINING:
        break;
    }
    return true;
}

/* Draw 1 is sealed and forgotten, draw 9 void; nothing was told of others. */
static void expect_the_marks_of_two_draws(void)
{
    struct seal_record marks[3];
    size_t count;
    cr_assert_eq(store_list_seals(world.store, 0, marks, 3, &count), STATUS_OK);
    cr_assert_eq(count, 2);
    cr_expect_eq(marks[0].draw, 1);
    cr_expect_eq(marks[0].kind, SEAL_MANIFEST);
    cr_expect(marks[0].is_forgotten);
    cr_expect_eq(marks[1].draw, 9);
    cr_expect_eq(marks[1].kind, SEAL_AS_VOID);
    cr_expect_not(marks[1].is_forgotten);
}

/* in: expected: what a process that fails ends by; OK: what its disk has answered. */
static void run_draw(enum status expected)
{
    size_t step = 0;
    for (int turns = 0; step < sizeof STEPS / sizeof STEPS[0]; turns++) {
        cr_assert_lt(turns, TURNS_MAX, "step %zu never ends", step);
        if (!is_serving(expected))
            continue;
        if (STEPS[step]())
            step++;
        expect_nothing_lost();
    }
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    struct batch_record record = made_record(&next);
    if (worker_ending(world.worker).status == STATUS_OK)
        cr_expect(store_memory_has_durably(world.store, &record) ||
                  sent_of(&world, MESSAGE_RETURNED) > 0);
    else
        known.endings++;
    cr_expect_leq(known.endings, 1);
    expect_the_marks_of_two_draws();
}

Test(worker_failures, has_a_draw_that_ends_when_nothing_fails)
{
    run_draw(STATUS_OK);
    cr_expect_eq(known.endings, 0);
}

/* returns how many operations there are that may answer so. out: went_on: after how many of them
 * the process did. */
static uint32_t fail_disk_in_turn(enum status status, uint32_t *went_on)
{
    *went_on = 0;
    for (uint32_t turn = 1;; turn++) {
        cr_assert_lt(turn, TIMES_MAX);
        tear_down();
        set_up();
        machine_fail_disk(turn, status);
        run_draw(STATUS_OK);
        if (machine_disk_failures() == 0)
            return turn - 1;
        if (known.endings == 0 && machine_disk_answer() == status)
            ++*went_on;
        bool was_full = world.last_note[NOTE_DISK_FULL].other > 0;
        cr_expect_eq(was_full, known.endings == 0 && machine_disk_answer() == STATUS_FULL,
                     "operation %u", turn);
    }
}

Test(worker_failures, ends_when_its_disk_cannot_be_read_or_written)
{
    uint32_t went_on;
    cr_expect_gt(fail_disk_in_turn(STATUS_IO, &went_on), 50);
    cr_expect_eq(went_on, 1, "all but where the broker has the manifest that cannot be read");
    cr_expect_gt(fail_disk_in_turn(STATUS_VERSION, &went_on), 50);
    cr_expect_eq(went_on, 1);
}

Test(worker_failures, ends_when_a_sync_fails)
{
    uint32_t went_on;
    cr_expect_gt(fail_disk_in_turn(STATUS_SYNC, &went_on), 5);
    cr_expect_eq(went_on, 0);
}

Test(worker_failures, goes_on_when_its_disk_is_full_for_batches)
{
    uint32_t went_on;
    cr_expect_gt(fail_disk_in_turn(STATUS_FULL, &went_on), 50);
    cr_expect_gt(went_on, 10);
}

Test(worker_failures, is_not_made_without_the_memory_that_it_needs)
{
    const struct intake_settings settings = {.commit_bytes = 1 << 20, .commit_ms = 10};
    enum status status = STATUS_NO_MEMORY;
    for (uint32_t turn = 1; status == STATUS_NO_MEMORY; turn++) {
        struct worker *worker = NULL;
        machine_reset();
        machine_fail_memory(turn, 1);
        RUN_CORE(status = worker_create(&settings, world.store, world.outbox, &worker));
        cr_assert_eq(status, machine_memory_failures() > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        cr_assert_eq(worker == NULL, status == STATUS_NO_MEMORY);
        worker_destroy(&worker);
    }
    cr_expect_eq(status, STATUS_OK);
}

Test(worker_failures, ends_for_want_of_memory_and_begins_anew)
{
    uint32_t turn = 0;
    do {
        cr_assert_lt(++turn, TIMES_MAX);
        tear_down();
        set_up();
        machine_fail_memory(turn, 1);
        run_draw(STATUS_NO_MEMORY);
        cr_expect_eq(known.endings, machine_memory_failures());
    } while (machine_memory_failures() > 0);
    cr_expect_gt(turn, 5);
}
