/* Tests of how batches come in: judged, committed in groups, acknowledged, and returned. */
#include "worker/intake.h"

#include <criterion/criterion.h>

#include "proto/wire/batch.h"
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

TestSuite(worker_intake, .timeout = 10, .init = set_up, .fini = tear_down);

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

static void expect_rejected(enum refusal reason, enum fault fault, uint32_t seq, uint32_t row)
{
    const struct message *message = &sent_last(&world, MESSAGE_REJECTED)->message;
    cr_expect_eq(message->draw, 1);
    cr_expect_eq(message->rejected.agency, 7);
    cr_expect_eq(message->rejected.attempt, 1);
    cr_expect_eq(message->rejected.seq, seq);
    cr_expect_eq(message->rejected.reason, reason);
    cr_expect_eq(message->rejected.fault, fault);
    cr_expect_eq(message->rejected.row, row);
}

/* ---- group commit ---- */

/* [M-50] */
Test(worker_intake, says_stored_only_after_the_commit)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &batch, false);
    fixture_wait(&world, 9);
    cr_expect_eq(world.sent_count, 0);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    cr_expect_eq(world.deadline, world.now_ms + 1, "it asks to be woken in time");
    fixture_wait(&world, 1);
    struct batch_record record = made_record(&batch);
    cr_expect(store_memory_has_durably(world.store, &record));
    const struct sent *stored = sent_last(&world, MESSAGE_STORED);
    cr_expect_eq(stored->message.draw, 1);
    cr_expect_eq(stored->message.stored.agency, 7);
    cr_expect_eq(stored->message.stored.attempt, 1);
    cr_expect_eq(stored->message.stored.items, 1);
    struct item_stored item;
    size_t at = 0;
    cr_assert_eq(item_next_stored(stored->body, &at, &item), STATUS_OK);
    cr_expect_eq(item.seq, 0);
    cr_expect_eq(item.bets, 3);
    cr_expect(digest_is_equal(&item.digest, &batch.header.digest));
    made_free(&batch);
}

Test(worker_intake, commits_a_group_at_once_when_it_is_large_enough)
{
    for (uint32_t seq = 0; seq < 3; seq++)
        forward(7, 1, seq, 12000);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 1, "1 MiB is passed by the third batch");
    cr_expect_eq(sent_last(&world, MESSAGE_STORED)->message.stored.items, 3);
    cr_expect_eq(store_memory_commits(world.store), 2, "the epoch, and one group");
}

Test(worker_intake, tells_a_group_for_each_agency_and_attempt_in_order_of_seq)
{
    static const uint32_t BATCHES[][3] = {{9, 1, 4}, {7, 2, 1}, {7, 1, 5}, {9, 1, 3},
                                          {7, 2, 0}, {9, 1, 2}, {7, 1, 0}};
    for (size_t i = 0; i < 7; i++)
        forward(BATCHES[i][0], BATCHES[i][1], BATCHES[i][2], 1);
    fixture_wait(&world, 10);
    cr_assert_eq(sent_of(&world, MESSAGE_STORED), 3);
    static const uint32_t GROUPS[][3] = {{7, 1, 2}, {7, 2, 2}, {9, 1, 3}};
    for (size_t i = 0; i < 3; i++) {
        const struct sent *stored = sent_get(&world, MESSAGE_STORED, i);
        cr_expect_eq(stored->message.stored.agency, GROUPS[i][0]);
        cr_expect_eq(stored->message.stored.attempt, GROUPS[i][1]);
        cr_expect_eq(stored->message.stored.items, GROUPS[i][2]);
        size_t at = 0;
        struct item_stored item;
        uint32_t last = 0;
        while (item_next_stored(stored->body, &at, &item) == STATUS_OK) {
            cr_expect(last == 0 || item.seq > last);
            last = item.seq;
        }
    }
    cr_expect_eq(world.last_note[NOTE_STORED].number, 7);
    cr_expect_eq(store_memory_commits(world.store), 2);
}

Test(worker_intake, acknowledges_again_what_is_stored_already)
{
    forward(7, 1, 0, 3);
    forward(7, 1, 0, 3);
    fixture_wait(&world, 10);
    cr_expect_eq(sent_last(&world, MESSAGE_STORED)->message.stored.items, 1, "once in a group");
    forward(7, 1, 0, 3);
    fixture_wait(&world, 10);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 2);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
}

Test(worker_intake, loses_nothing_acknowledged_when_it_dies)
{
    forward(7, 1, 0, 3);
    fixture_wait(&world, 10);
    forward(7, 1, 1, 3);
    fixture_restart(&world);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    fixture_register(&world);
    cr_expect_eq(sent_last(&world, MESSAGE_INVENTORY)->message.inventory.items, 1);
}

Test(worker_intake, ends_without_a_word_when_a_sync_fails)
{
    forward(7, 1, 0, 3);
    store_memory_fail_sync(world.store, true);
    fixture_wait(&world, 10);
    cr_assert_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(worker_ending(world.worker).status, STATUS_SYNC);
    cr_expect_eq(status_exit_code(STATUS_SYNC), 74);
    cr_expect_eq(world.sent_count, 0);
}

Test(worker_intake, commits_before_it_registers_again)
{
    forward(7, 1, 0, 3);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    fixture_settle(&world);
    cr_expect_eq(sent_last(&world, MESSAGE_INVENTORY)->message.inventory.items, 1);
}

Test(worker_intake, commits_before_it_records_a_higher_epoch)
{
    forward(7, 1, 0, 3);
    world.epoch.number++;
    broker_says_kind(&world, MESSAGE_PING, 0);
    cr_expect_eq(worker_state(world.worker), WORKER_SERVING);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    cr_expect_eq(store_memory_commits(world.store), 3, "epoch, group, epoch");
}

/* ---- credit ---- */

/* [M-48] */
Test(worker_intake, raises_the_credit_by_what_is_settled)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    broker_forwards(&world, &batch, false);
    fixture_wait(&world, 10);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + batch.body.bytes + BATCH_WEIGHT_EXTRA_BYTES);
    made_free(&batch);
}

Test(worker_intake, begins_its_credit_anew_with_each_welcome)
{
    forward(7, 1, 0, 3);
    broker_says_kind(&world, MESSAGE_WHO, 0);
    fixture_welcome(&world);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX);
}

Test(worker_intake, gives_back_the_credit_of_rejected_batches)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    batch.header.digest.bytes[0] ^= 1;
    broker_forwards(&world, &batch, false);
    fixture_wait(&world, 10);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + batch.body.bytes + BATCH_WEIGHT_EXTRA_BYTES);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 0);
    made_free(&batch);
}

Test(worker_intake, gives_back_the_credit_of_batches_that_it_cannot_read)
{
    uint8_t header[256];
    size_t bytes;
    struct message forward_message = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = world.epoch};
    cr_assert_eq(message_encode(&forward_message, header, sizeof header, &bytes), STATUS_OK);
    struct slice frames[3] = {{header, bytes},
                              {(const uint8_t *)"?", 1},
                              {(const uint8_t *)"0123456789", 10}};
    worker_receive(world.worker, frames, 3, world.now_ms);
    fixture_wait(&world, 10);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + 10 + BATCH_WEIGHT_EXTRA_BYTES);
    cr_expect_eq(world.notes[NOTE_MESSAGE_DROPPED], 1);
}

Test(worker_intake, takes_no_batch_of_another_draw_than_it_was_forwarded_for)
{
    struct made batch = make_batch(2, 7, 1, 0, 3, 0);
    uint8_t forward_header[256];
    uint8_t header[256];
    struct slice frames[3] = {{forward_header, 0}, {header, 0}, batch.body};
    struct message message = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = world.epoch};
    cr_assert_eq(message_encode(&message, forward_header, sizeof forward_header, &frames[0].bytes),
                 STATUS_OK);
    message = (struct message){.kind = MESSAGE_BATCH, .draw = 2, .batch = batch.header};
    cr_assert_eq(message_encode(&message, header, sizeof header, &frames[1].bytes), STATUS_OK);
    worker_receive(world.worker, frames, 3, world.now_ms);
    fixture_wait(&world, 10);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    cr_expect_eq(admitted(), CREDIT_BYTES_MAX + batch.body.bytes + BATCH_WEIGHT_EXTRA_BYTES);
    made_free(&batch);
}

/* ---- judgement ---- */

Test(worker_intake, rejects_a_body_that_is_not_its_digest)
{
    struct made batch = make_batch(1, 7, 1, 4, 3, 0);
    batch.header.digest.bytes[31] ^= 1;
    broker_forwards(&world, &batch, false);
    expect_rejected(REFUSAL_REJECTED, FAULT_DIGEST, 4, 0);
    fixture_wait(&world, 10);
    cr_expect_eq(store_memory_count_durable(world.store), 0);
    made_free(&batch);
}

/* The digest is made anew over what the test spoilt. */
static void forward_spoilt(struct made *batch)
{
    digest_batch(world.hasher, 1, 7, batch->header.seq, batch->header.count, batch->body,
                 &batch->header.digest);
    broker_forwards(&world, batch, false);
}

Test(worker_intake, rejects_an_invalid_bet_with_its_row)
{
    struct made batch = make_batch(1, 7, 1, 4, 3, 0);
    uint8_t *body = (uint8_t *)(uintptr_t)batch.body.data;
    size_t third = batch.body.bytes - 3;
    while (memcmp(body + third, "1990-02-03", 10) != 0)
        third--;
    memcpy(body + third, "1990-02-30", 10);
    forward_spoilt(&batch);
    expect_rejected(REFUSAL_REJECTED, FAULT_BIRTHDATE_UNREAL, 4, 2);
    made_free(&batch);
}

Test(worker_intake, rejects_another_count_than_the_header_says)
{
    struct made batch = make_batch(1, 7, 1, 0, 3, 0);
    batch.header.count = 4;
    forward_spoilt(&batch);
    expect_rejected(REFUSAL_REJECTED, FAULT_COUNT, 0, 0);
    made_free(&batch);
}

/* So many copies of one bet that the body is valid and only too large. */
Test(worker_intake, rejects_a_body_that_is_too_large)
{
    static uint8_t large[BATCH_BYTES_MAX + BET_PACKED_BYTES_MAX];
    struct made batch = make_batch(1, 7, 1, 0, 1, 0);
    struct slice one = batch.body;
    uint32_t bets = 0;
    size_t bytes = 3;
    for (; bytes <= BATCH_BYTES_MAX; bytes += one.bytes - 1, bets++)
        memcpy(large + bytes, one.data + 1, one.bytes - 1);
    large[0] = 0xdc; /* an array of up to 65,535 */
    large[1] = (uint8_t)(bets >> 8);
    large[2] = (uint8_t)bets;
    batch.body = (struct slice){large, bytes};
    batch.header.count = bets;
    uint32_t row;
    cr_assert_eq(batch_check(batch.body, bets, &row), FAULT_NONE);
    forward_spoilt(&batch);
    expect_rejected(REFUSAL_REJECTED, FAULT_ENCODING, 0, 0);
    batch.body = one;
    made_free(&batch);
}

Test(worker_intake, answers_conflict_and_keeps_the_first)
{
    struct made first = make_batch(1, 7, 1, 0, 3, 0);
    struct made other = make_batch(1, 7, 1, 0, 3, 100);
    struct batch_record record = made_record(&first);
    broker_forwards(&world, &first, false);
    broker_forwards(&world, &other, false);
    expect_rejected(REFUSAL_CONFLICT, FAULT_NONE, 0, 0);
    fixture_wait(&world, 10);
    cr_expect(store_memory_has_durably(world.store, &record));
    cr_expect_eq(sent_last(&world, MESSAGE_STORED)->message.stored.items, 1);
    made_free(&first);
    made_free(&other);
}

static void expect_replaced(bool in_one_group)
{
    struct made first = make_batch(1, 7, 1, 0, 3, 0);
    struct made other = make_batch(1, 7, 1, 0, 3, 100);
    struct batch_record record = made_record(&other);
    forward(7, 1, 1, 3); /* so that their order in the group is another than that of arrival */
    if (!in_one_group)
        fixture_wait(&world, 10);
    broker_forwards(&world, &first, false);
    if (!in_one_group)
        fixture_wait(&world, 10);
    sent_forget(&world);
    broker_forwards(&world, &other, true);
    fixture_wait(&world, 10);
    cr_expect(store_memory_has_durably(world.store, &record));
    cr_expect_eq(store_memory_count_durable(world.store), 2);
    const struct sent *stored = sent_last(&world, MESSAGE_STORED);
    cr_expect_eq(stored->message.stored.items, in_one_group ? 2 : 1);
    size_t at = 0;
    struct item_stored item;
    cr_assert_eq(item_next_stored(stored->body, &at, &item), STATUS_OK);
    cr_expect(digest_is_equal(&item.digest, &other.header.digest));
    made_free(&first);
    made_free(&other);
}

Test(worker_intake, lets_a_declared_batch_replace_another)
{
    expect_replaced(false);
}

Test(worker_intake, tells_only_the_later_one_when_it_replaces_in_one_group)
{
    expect_replaced(true);
}

/* ---- draining ---- */

Test(worker_intake, commits_what_it_has_and_returns_what_comes_when_it_drains)
{
    forward(7, 1, 0, 3);
    worker_drain(world.worker, world.now_ms);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
    fixture_settle(&world);
    cr_expect_eq(sent_of(&world, MESSAGE_STORED), 1);
    sent_forget(&world);
    forward(7, 1, 1, 3);
    forward(7, 1, 2, 3);
    fixture_wait(&world, 10);
    sent_expect_returned(sent_last(&world, MESSAGE_RETURNED), 1, 2);
    cr_expect_eq(sent_of(&world, MESSAGE_CREDIT), 0);
    fixture_wait(&world, DRAIN_QUIET_MS);
    cr_expect_eq(worker_state(world.worker), WORKER_OVER);
    cr_expect_eq(store_memory_count_durable(world.store), 1);
}

Test(worker_intake, leaves_in_time_however_much_comes)
{
    worker_drain(world.worker, world.now_ms);
    for (int64_t ms = 0; ms < DRAIN_MS_MAX; ms += 100) {
        cr_expect_eq(worker_state(world.worker), WORKER_DRAINING);
        forward(7, 1, 1, 3);
        broker_says_kind(&world, MESSAGE_PING, 0);
        fixture_wait(&world, 100);
    }
    cr_expect_eq(worker_state(world.worker), WORKER_OVER);
}
