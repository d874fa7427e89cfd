/* What is more than one turn's outbox, records or share holds waits for the next one, and nothing
 * of it is lost. */
#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

enum {
    SHARE = 256,   /* batches that one turn sends on */
    NO_ROOM = 511, /* bytes: less than a header may take */
    TIMEOUT_MS = 60000,
    PUBLICATION = 4, /* records for which a turn that decides has to have room */
};

static struct bench bench;

static void begin(void)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.agencies_required = 1;
    options.terms.barrier_timeout_ms = TIMEOUT_MS;
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
}

static void end(void)
{
    bench_close(&bench);
}

TestSuite(broker_full, .init = begin, .fini = end, .timeout = 20);

static size_t count_sent(enum message_kind kind)
{
    size_t count = 0;
    while (bench_sent(&bench, PORT_DISPATCH, 0, kind, count, NULL, NULL))
        count++;
    return count;
}

static void take_next_turn(void)
{
    outbox_reset(bench.outbox);
    bench_turn(&bench);
}

/* Agency 4's one batch lies in store 1; it declares it inside this turn. */
static void declare(void)
{
    const struct message poll = bench_poll_of(&bench, 4, 1);
    bench_stored(&bench, 50, 4, 0);
    outbox_reset(bench.outbox);
    bench_request(&bench, 7, &poll);
}

/* The draw is sealed; inside this turn the store says that it has sealed it too. */
static void seal(void)
{
    struct message sent;
    declare();
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &sent, NULL));
    const struct message sealed = {.kind = MESSAGE_SEALED,
                                   .draw = 1,
                                   .sealed = {.root = sent.part.root}};
    outbox_reset(bench.outbox);
    bench_hear(&bench, 50, &sealed, (struct slice){0});
}

Test(broker_full, sends_on_so_many_batches_and_reads_its_sockets_before_the_rest)
{
    const struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = 2 << 20}};
    const uint8_t all[] = {0x92, 0, 0xcd, (SHARE + 44) >> 8, (SHARE + 44) & 0xff};
    const struct message returned = {.kind = MESSAGE_RETURNED,
                                     .draw = 1,
                                     .returned = {.agency = 4, .attempt = 1, .seqs = {all, 5}}};
    bench_report(&bench, 50, &returned, (struct slice){0}); /* it takes none now */
    for (uint32_t seq = 0; seq < SHARE + 44; seq++)
        bench_batch(&bench, 4, seq);
    cr_assert_gt(bench.next_at, bench.now_ms, "there is nothing to do");
    bench_report(&bench, 50, &credit, (struct slice){0});
    cr_assert_eq(count_sent(MESSAGE_FORWARD), SHARE);
    cr_assert_eq(bench.next_at, bench.now_ms, "it wants to go on at once");
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_FORWARD), 44);
    cr_assert_gt(bench.next_at, bench.now_ms);
}

Test(broker_full, a_batch_for_which_the_outbox_has_no_room_goes_in_the_next_turn)
{
    const struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = 2 << 20}};
    const uint8_t first[] = {0x92, 0, 1};
    const struct message returned = {.kind = MESSAGE_RETURNED,
                                     .draw = 1,
                                     .returned = {.agency = 4, .attempt = 1, .seqs = {first, 3}}};
    bench_report(&bench, 50, &returned, (struct slice){0});
    bench_batch(&bench, 4, 0);
    outbox_reset(bench.outbox);
    bench_hear(&bench, 50, &credit, (struct slice){0});
    bench_fill_outbox(&bench, NO_ROOM);
    bench_turn(&bench);
    cr_assert_eq(count_sent(MESSAGE_FORWARD), 0);
    cr_assert_eq(bench.next_at, bench.now_ms);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_FORWARD), 1);
}

Test(broker_full, a_seal_for_which_the_outbox_has_no_room_goes_in_the_next_turn)
{
    declare();
    bench_fill_outbox(&bench, NO_ROOM);
    bench_turn(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 1);
    cr_assert_eq(count_sent(MESSAGE_SEAL), 0);
    cr_assert_eq(bench.next_at, bench.now_ms);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_SEAL), 1);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_SEAL), 0, "once");
}

Test(broker_full, a_question_for_which_the_outbox_has_no_room_is_asked_in_the_next_turn)
{
    seal();
    bench_fill_outbox(&bench, CHUNK_BYTES_MAX);
    bench_turn(&bench);
    cr_assert_eq(count_sent(MESSAGE_COUNT), 0);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_COUNT), 1);
}

/* In the very turn in which it would be said for whom the draw waits. */
Test(broker_full, a_draw_does_not_wait_for_a_store_that_is_to_be_asked_next)
{
    seal();
    (void)bench_lines(&bench, "", "");
    bench_fill_outbox(&bench, CHUNK_BYTES_MAX);
    bench.now_ms += LEASE_MS;
    bench_turn(&bench);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_COUNT), 1);
}

Test(broker_full, a_ping_for_which_the_outbox_has_no_room_goes_in_the_next_turn)
{
    bench.now_ms += LEASE_MS / 4;
    outbox_reset(bench.outbox);
    bench_fill_outbox(&bench, NO_ROOM);
    bench_turn(&bench);
    cr_assert_eq(count_sent(MESSAGE_PING), 0);
    cr_assert_leq(bench.next_at, bench.now_ms);
    take_next_turn();
    cr_assert_eq(count_sent(MESSAGE_PING), 1);
    cr_assert_gt(bench.next_at, bench.now_ms);
}

Test(broker_full, a_silent_store_is_noticed_when_the_records_have_room)
{
    bench_pass(&bench, LEASE_MS - 1);
    bench_fill_records(&bench, 0);
    bench.now_ms++;
    bench_turn(&bench);
    cr_assert_eq(bench_lines(&bench, "silent for a lease", ""), 0);
    take_next_turn();
    cr_assert_eq(bench_lines(&bench, "silent for a lease", ""), 1);
}

Test(broker_full, a_timeout_is_decided_when_the_records_have_room)
{
    bench.wall_ms += TIMEOUT_MS;
    bench_fill_records(&bench, PUBLICATION - 1);
    bench_turn(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 0);
    take_next_turn();
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
}

/* A decision names every agency that has finished, and there may be as many as are admitted. */
Test(broker_full, a_timeout_is_decided_when_the_records_have_room_for_all_members)
{
    bench.wall_ms += TIMEOUT_MS;
    bench_fill_record_bytes(&bench, AGENCIES_MAX * sizeof(uint32_t) - 1);
    bench_turn(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 0);
    bench_fill_record_bytes(&bench, AGENCIES_MAX * sizeof(uint32_t));
    outbox_reset(bench.outbox);
    bench_turn(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECISION, 1), 1);
}

/* Until then nobody is waited for: the store that is away had nothing to count. */
Test(broker_full, a_draw_is_published_when_the_records_have_room)
{
    struct message count;
    struct slice shares;
    bench_store(&bench, 51, 2, 1);
    bench_pass_heard(&bench, 50, LEASE_MS);
    seal();
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, &shares));
    uint8_t answer[64];
    cr_assert_leq(shares.bytes, sizeof answer);
    memcpy(answer, shares.data, shares.bytes);
    const struct message counted = bench_counted(&count, 1, 0);
    (void)bench_lines(&bench, "", "");
    outbox_reset(bench.outbox);
    bench_hear(&bench, 50, &counted, (struct slice){answer, shares.bytes});
    bench_fill_records(&bench, PUBLICATION - 1);
    bench.now_ms += LEASE_MS;
    bench_turn(&bench);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 0);
    cr_assert_eq(bench_lines(&bench, "waiting_for", ""), 0);
    take_next_turn();
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    cr_assert_eq(bench_poll(&bench, 4, 1).kind, MESSAGE_RESULT);
}
