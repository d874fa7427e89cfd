/* What goes to the stores once everybody has finished: the declared batches alone, and the seal. */
#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* Agency 4 has finished with two batches in store 1 over peer 50; agency 10 still sends. */
static void begin(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    bench_open(bench, &options);
    bench_store(bench, 50, 1, 1);
    bench_hello(bench, 4, 0);
    bench_hello(bench, 10, 0);
    for (uint32_t seq = 0; seq < 2; seq++) {
        bench_batch(bench, 4, seq);
        bench_stored(bench, 50, 4, seq);
    }
    cr_assert_eq(bench_poll(bench, 4, 2).kind, MESSAGE_FINISHED);
}

static void finish_the_other(struct bench *bench)
{
    cr_assert_eq(bench_poll(bench, 10, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_SEALED, 1), 1);
}

static void lose_the_store(struct bench *bench)
{
    bench_pass(bench, LEASE_MS + bench->options.store_grace_ms + 1);
    cr_assert(!bench_ranges_have(bench_poll(bench, 4, 2).wait.durable, 0));
}

/* REGISTER and an empty inventory of one chunk; what the broker answers is in the outbox. */
static void register_store(struct bench *bench, uint64_t peer, uint8_t id, uint64_t opening)
{
    const struct message registration = bench_registration(id, opening);
    const struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    bench_report(bench, peer, &registration, (struct slice){0});
    bench_report(bench, peer, &inventory, (struct slice){0});
}

/* Another digest under an identity, and then the declared one: only that is sent on, marked. */
static void expect_only_the_declared(struct bench *bench, uint64_t peer)
{
    struct message forward;
    struct message other = {
        .kind = MESSAGE_BATCH,
        .draw = 1,
        .batch = {.agency = 4, .attempt = 1, .seq = 0, .count = 1, .digest = bench_digest(4, 9)},
    };
    int payloads = bench->payloads;
    bench_bets(bench, &other, 100);
    cr_assert(!bench_sent(bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    other.batch.seq = 2;
    bench_bets(bench, &other, 100);
    cr_assert(!bench_sent(bench, PORT_DISPATCH, 0, MESSAGE_FORWARD, 0, NULL, NULL));
    cr_assert_eq(bench_poll(bench, 4, 2).kind, MESSAGE_FINISHED, "and no CONFLICT");
    cr_assert_eq(bench->payloads, payloads, "what is dropped is released");
    bench_batch(bench, 4, 0);
    cr_assert(bench_sent(bench, PORT_DISPATCH, peer, MESSAGE_FORWARD, 0, &forward, NULL));
    cr_assert(forward.forward.is_declared);
}

/* [M-19] */
Test(broker_seal, a_finished_agencys_other_batches_are_dropped_before_the_seal, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    lose_the_store(&bench);
    bench_store(&bench, 51, 2, 1);
    expect_only_the_declared(&bench, 51);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 1), 0);
    bench_close(&bench);
}

/* What is declared stands: a store that cannot take a batch of it is no fault of the agency. */
Test(broker_seal, a_finished_agencys_rejected_batch_only_ends_its_flight, .timeout = 10)
{
    struct bench bench;
    const enum refusal reasons[] = {REFUSAL_REJECTED, REFUSAL_CONFLICT};
    begin(&bench);
    lose_the_store(&bench);
    bench_store(&bench, 51, 2, 1);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        const struct message rejected = {
            .kind = MESSAGE_REJECTED,
            .draw = 1,
            .rejected = {.agency = 4,
                         .attempt = 1,
                         .reason = reasons[i],
                         .fault = i == 0 ? FAULT_DIGEST : FAULT_NONE},
        };
        bench_batch(&bench, 4, 0);
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORWARD, 0, NULL, NULL), "again");
        bench_report(&bench, 51, &rejected, (struct slice){0});
        const struct message answer = bench_poll(&bench, 4, 2);
        cr_assert_eq(answer.kind, MESSAGE_FINISHED);
        cr_assert(!bench_ranges_have(answer.wait.held, 0));
    }
    bench_close(&bench);
}

/* [M-19] */
Test(broker_seal, batches_that_are_not_the_manifests_are_dropped_after_it, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    finish_the_other(&bench);
    lose_the_store(&bench);
    bench_store(&bench, 51, 2, 1);
    expect_only_the_declared(&bench, 51);
    bench_close(&bench);
}

Test(broker_seal, lets_no_other_agency_in, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    finish_the_other(&bench);
    const struct message hello = {.kind = MESSAGE_HELLO,
                                  .draw = 1,
                                  .hello = {.agency = 11,
                                            .incarnation = 1,
                                            .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_LATE);
    bench_close(&bench);
}

/* [M-52]: a batch waits for it already. */
Test(broker_seal, goes_to_a_store_that_registers_later_before_anything_else, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    finish_the_other(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, NULL, NULL));
    lose_the_store(&bench);
    bench_batch(&bench, 4, 0);
    register_store(&bench, 51, 2, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WELCOME, 0, NULL, NULL));
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_SEAL, 0, NULL, NULL));
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORWARD, 0, NULL, NULL));
    const struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = 1 << 20}};
    bench_report(&bench, 51, &credit, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORWARD, 0, NULL, NULL));
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_SEAL, 0, NULL, NULL), "once");
    bench_close(&bench);
}

/* [M-52] */
Test(broker_seal, goes_again_to_a_store_that_registers_again, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    finish_the_other(&bench);
    register_store(&bench, 52, 1, 2);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_SEAL, 0, NULL, NULL));
    register_store(&bench, 52, 1, 2);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_SEAL, 0, NULL, NULL));
    bench_close(&bench);
}

/* Draw 2 is sealed with one batch of agency 4, in store 1 over peer 50; draw 1 had none. */
static void seal_a_second_draw(struct bench *bench, struct digest *root)
{
    struct broker_options options;
    struct message seal;
    uint8_t body[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_stored item = {.bets = 1, .digest = bench_digest(4, 0)};
    struct message hello = {
        .kind = MESSAGE_HELLO,
        .draw = 2,
        .hello = {.agency = 4,
                  .incarnation = 1,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    struct message stored = {
        .kind = MESSAGE_STORED,
        .draw = 2,
        .stored = {.agency = 4, .attempt = 1, .items = 1},
    };
    bench_options(&options);
    options.draws = 2;
    options.terms.agencies_required = 1;
    bench_open(bench, &options);
    bench_store(bench, 50, 1, 1);
    bench_hello(bench, 4, 0);
    cr_assert_eq(bench_poll(bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench_ask(bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    cr_assert_eq(item_pack_stored(body, sizeof body, &bytes, &item), STATUS_OK);
    bench_report(bench, 50, &stored, (struct slice){body, bytes});
    struct message poll = {
        .kind = MESSAGE_POLL,
        .draw = 2,
        .poll = {.agency = 4,
                 .incarnation = 1,
                 .attempt = 1,
                 .has_declaration = true,
                 .declaration = bench_declaration(bench, 4, 1)},
    };
    cr_assert_eq(bench_ask(bench, &poll, NULL).kind, MESSAGE_FINISHED);
    cr_assert(bench_sent(bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &seal, NULL));
    *root = seal.part.root;
}

/* A store that reads its batches back for long answers when the next draw is sealed already. */
Test(broker_seal, an_answer_for_the_draw_before_is_none_for_this_one, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    const struct digest other = bench_digest(9, 9);
    seal_a_second_draw(&bench, &root);
    bench_sealed(&bench, 50, &other);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "it is no seal of draw 2");
    bench_sealed(&bench, 50, &root);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, NULL, NULL));
    const struct message sealed = {.kind = MESSAGE_SEALED, .draw = 2, .sealed = {.root = root}};
    bench_report(&bench, 50, &sealed, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_seal, goes_out_in_all_its_parts, .timeout = 10)
{
    enum { MANY = 8000, AT_ONCE = 1000 };
    static uint8_t body[AT_ONCE * ITEM_BYTES_MAX];
    struct bench bench;
    struct broker_options options;
    struct message seal;
    struct slice part;
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    for (uint32_t first = 0; first < MANY; first += AT_ONCE) {
        const struct message stored = {
            .kind = MESSAGE_STORED,
            .draw = 1,
            .stored = {.agency = 4, .attempt = 1, .items = AT_ONCE},
        };
        size_t bytes = 0;
        for (uint32_t seq = first; seq < first + AT_ONCE; seq++) {
            struct item_stored item = {.seq = seq, .bets = 1, .digest = bench_digest(4, seq)};
            cr_assert_eq(item_pack_stored(body, sizeof body, &bytes, &item), STATUS_OK);
        }
        bench_report(&bench, 50, &stored, (struct slice){body, bytes});
    }
    cr_assert_eq(bench_poll(&bench, 4, MANY).kind, MESSAGE_FINISHED);
    uint64_t bytes = 0;
    uint32_t parts = 0;
    while (bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_SEAL, parts, &seal, &part)) {
        cr_assert_eq(seal.part.part, parts++);
        bytes += part.bytes;
    }
    cr_assert_eq(parts, 2);
    cr_assert_eq(seal.part.parts, 2);
    cr_assert_eq(bytes, seal.part.manifest_bytes);
    bench_close(&bench);
}
