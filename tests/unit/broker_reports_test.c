/* What stores say about what is not, or not any more: it changes nothing, or ends what it is about.
 */
#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

static struct bench bench;

/* Agency 4's batch 0 is in flight to store 1 over peer 50. */
static void begin(void)
{
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_store(&bench, 50, 1, 1);
    bench_batch(&bench, 4, 0);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 0));
}

static void end(void)
{
    bench_close(&bench);
}

TestSuite(broker_reports, .init = begin, .fini = end, .timeout = 10);

static void report(const struct message *message)
{
    bench_report(&bench, 50, message, (struct slice){0});
}

static void expect_as_before(void)
{
    struct message wait = bench_poll(&bench, 4, -1);
    cr_assert_eq(wait.kind, MESSAGE_WAIT);
    cr_assert(bench_ranges_have(wait.wait.held, 0));
    cr_assert_not(bench_ranges_have(wait.wait.durable, 0));
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
}

/* A STORED of one batch with any digest. */
static void store(uint32_t draw, uint32_t agency, uint32_t attempt, uint32_t seq,
                  const struct digest *digest)
{
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    const struct item_stored item = {.seq = seq, .bets = 1, .digest = *digest};
    const struct message stored = {
        .kind = MESSAGE_STORED,
        .draw = draw,
        .stored = {.agency = agency, .attempt = attempt, .items = 1},
    };
    cr_assert_eq(item_pack_stored(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(&bench, 50, &stored, (struct slice){buffer, bytes});
}

Test(broker_reports, about_other_draws_agencies_and_attempts_change_nothing)
{
    static const uint8_t range[] = {0x92, 0, 1};
    static const struct {
        uint32_t draw, agency, attempt;
    } others[] = {{9, 4, 1}, {1, 77, 1}, {1, 4, 2}};
    struct digest digest = bench_digest(4, 0);
    for (size_t i = 0; i < 3; i++) {
        store(others[i].draw, others[i].agency, others[i].attempt, 0, &digest);
        const struct message rejected = {
            .kind = MESSAGE_REJECTED,
            .draw = others[i].draw,
            .rejected = {.agency = others[i].agency,
                         .attempt = others[i].attempt,
                         .reason = REFUSAL_CONFLICT},
        };
        report(&rejected);
        const struct message returned = {
            .kind = MESSAGE_RETURNED,
            .draw = others[i].draw,
            .returned = {.agency = others[i].agency,
                         .attempt = others[i].attempt,
                         .seqs = {range, sizeof range}},
        };
        report(&returned);
        expect_as_before();
    }
}

Test(broker_reports, about_a_seal_or_a_count_before_the_seal_change_nothing)
{
    const struct message sealed = {.kind = MESSAGE_SEALED, .draw = 1, .sealed = {.root = {{1}}}};
    const struct message found =
        {.kind = MESSAGE_FOUND,
         .draw = 1,
         .found = {.question_epoch = 1, .question = 1, .agency = 4, .items = 1}};
    const struct message counted = {.kind = MESSAGE_COUNTED,
                                    .draw = 1,
                                    .counted = {.question_epoch = 1, .question = 1, .items = 1}};
    report(&sealed);
    bench_report(&bench, 50, &found, (struct slice){(const uint8_t *)"", 0});
    bench_report(&bench, 50, &counted, (struct slice){(const uint8_t *)"", 0});
    expect_as_before();
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 0);
}

Test(broker_reports, what_only_a_broker_says_is_not_heard)
{
    const struct message kinds[] = {{.kind = MESSAGE_PING}, {.kind = MESSAGE_WHO}};
    for (size_t i = 0; i < 2; i++)
        report(&kinds[i]);
    expect_as_before();
}

Test(broker_reports, another_digest_of_a_durable_batch_ends_the_attempt)
{
    struct digest first = bench_digest(4, 0);
    struct digest other = bench_digest(4, 9);
    store(1, 4, 1, 0, &first);
    store(1, 4, 1, 0, &other);
    struct message answer = bench_poll(&bench, 4, -1);
    cr_assert_eq(answer.refused.reason, REFUSAL_CONFLICT);
    cr_assert_eq(answer.refused.seq, 0);
}

Test(broker_reports, a_batch_beyond_the_draws_limit_ends_the_attempt)
{
    struct digest digest = bench_digest(4, 0);
    bench_hello(&bench, 5, 0);
    store(1, 4, 1, BATCHES_MAX - 1, &digest);
    store(1, 5, 1, 0, &digest);
    cr_assert_eq(bench_poll(&bench, 5, -1).refused.reason, REFUSAL_LIMIT);
}

Test(broker_reports, a_batch_beyond_the_draws_limit_in_an_inventory_ends_the_attempt)
{
    struct digest digest = bench_digest(4, 0);
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    const struct message registration = bench_registration(2, 1);
    const struct message inventory = {.kind = MESSAGE_INVENTORY,
                                      .inventory = {.is_last = true, .items = 1}};
    const struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 5,
        .attempt = 1,
        .batch = {.seq = 0, .bets = 1, .digest = digest},
    };
    bench_hello(&bench, 5, 0);
    store(1, 4, 1, BATCHES_MAX - 1, &digest);
    bench_report(&bench, 51, &registration, (struct slice){0});
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(&bench, 51, &inventory, (struct slice){buffer, bytes});
    cr_assert_eq(bench_poll(&bench, 5, -1).refused.reason, REFUSAL_LIMIT);
}

/* [M-67] */
Test(broker_reports, another_version_is_dismissed_by_name)
{
    static const uint8_t pong[] = {0x93, 49, 2, 0};
    struct message dismissed;
    outbox_reset(bench.outbox);
    broker_on_worker(bench.broker, 50, (struct slice){pong, sizeof pong}, (struct slice){0},
                     bench.now_ms);
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, &dismissed, NULL));
    cr_assert_eq(dismissed.dismissed.reason, DISMISSAL_VERSION);
    expect_as_before();
}

Test(broker_reports, an_inventory_that_stops_half_way_is_forgotten_after_a_lease)
{
    const struct message registration = bench_registration(2, 1);
    const struct message chunk = {.kind = MESSAGE_INVENTORY};
    struct message last = {.kind = MESSAGE_INVENTORY, .inventory = {.chunk = 1, .is_last = true}};
    const struct message pong = {.kind = MESSAGE_PONG};
    bench_report(&bench, 51, &registration, (struct slice){0});
    bench_report(&bench, 51, &chunk, (struct slice){0});
    for (int i = 0; i < 5; i++) {
        bench_pass(&bench, LEASE_MS / 4);
        report(&pong);
    }
    bench_report(&bench, 51, &last, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WHO, 0, NULL, NULL));
    cr_assert_not(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WELCOME, 0, NULL, NULL));
    expect_as_before();
}

/* Store 1 takes no more, and the queue is full. */
static void fill_queue(void)
{
    const uint8_t nothing[] = {0x90};
    const struct message returned = {
        .kind = MESSAGE_RETURNED,
        .draw = 1,
        .returned = {.agency = 4, .attempt = 1, .seqs = {nothing, sizeof nothing}},
    };
    report(&returned);
    uint32_t seq = 1;
    while (broker_wants_bets(bench.broker) && seq < 5000)
        bench_batch(&bench, 4, seq++);
    cr_assert_lt(seq, 5000);
}

Test(broker_reports, bets_are_wanted_while_the_queue_is_under_its_budget)
{
    cr_assert(broker_wants_bets(bench.broker));
    fill_queue();
    cr_assert_geq(bench.payloads, (int)(bench.options.queue_bytes / 1024));
}

Test(broker_reports, an_agency_has_its_share_of_the_window_from_hello_on_for_a_lease)
{
    bench_pass(&bench, LEASE_MS + 1);
    const uint64_t alone = bench_poll(&bench, 4, -1).wait.window_bytes;
    bench_hello(&bench, 5, 0);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.window_bytes, alone / 2);
    bench_pass(&bench, LEASE_MS + 1);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.window_bytes, alone);
}

/* [M-71] */
Test(broker_reports, the_window_is_0_while_no_bets_were_read_for_a_lease)
{
    const struct message hello = {
        .kind = MESSAGE_HELLO,
        .draw = 1,
        .hello = {.agency = 4,
                  .incarnation = 1,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    fill_queue();
    bench_pass(&bench, LEASE_MS - 1);
    cr_assert_gt(bench_poll(&bench, 4, -1).wait.window_bytes, 0, "it may be about to read on");
    bench_pass(&bench, LEASE_MS / 4);
    cr_assert_eq(bench_poll(&bench, 4, -1).wait.window_bytes, 0);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).admitted.window_bytes, 0);
    bench_store(&bench, 51, 2, 1);
    cr_assert(broker_wants_bets(bench.broker));
    cr_assert_gt(bench_poll(&bench, 4, -1).wait.window_bytes, 0);
}

/* A batch beyond them may still be in flight: the room that it took is the draw's again. */
Test(broker_reports, a_finished_agency_takes_no_more_room_than_its_batches)
{
    bench_hello(&bench, 5, 0);
    bench_stored(&bench, 50, 4, 0);
    bench_batch(&bench, 4, BATCHES_MAX - 1);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_FINISHED);
    bench_batch(&bench, 5, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORWARD, 0, NULL, NULL));
}
