#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

Test(broker_inventory, a_chunk_out_of_order_ends_the_registration, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.chunk = 1}};
    bench_report(&bench, 50, &inventory, (struct slice){0});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, NULL, NULL));
    bench_close(&bench);
}

Test(broker_inventory, nothing_of_a_chunk_is_believed_that_has_a_byte_too_many, .timeout = 10)
{
    struct bench bench;
    struct message dismissed;
    uint8_t buffer[ITEM_BYTES_MAX] = {0};
    size_t bytes = 0;
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 1}};
    const struct item_inventory item = {.kind = INVENTORY_SEAL, .draw = 1};
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(&bench, 50, &inventory, (struct slice){buffer, bytes + 1});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, &dismissed, NULL));
    cr_assert_eq(dismissed.dismissed.reason, DISMISSAL_INVENTORY);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    bench_close(&bench);
}

/* [M-72]: each item is right, and as many are there as the header says. */
Test(broker_inventory, a_chunk_above_its_maximum_ends_the_registration, .timeout = 10)
{
    static uint8_t buffer[FRAME_BYTES_MAX];
    struct bench bench;
    struct message dismissed;
    size_t bytes = 0;
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    const struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 1, .bets = 1, .digest = bench_digest(4, 1)},
    };
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    for (; bytes <= CHUNK_BYTES_MAX; inventory.inventory.items++)
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(&bench, 50, &inventory, (struct slice){buffer, bytes});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, &dismissed, NULL));
    cr_assert_eq(dismissed.dismissed.reason, DISMISSAL_INVENTORY);
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 1));
    bench_close(&bench);
}

/* [M-43] */
Test(broker_inventory, an_inventory_replaces_what_was_known, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 0);
    bench_stored(&bench, 50, 4, 1);
    bench_batch(&bench, 4, 2);
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.held, 2), "in flight");
    struct message registration = bench_registration(1, 2);
    bench_report(&bench, 51, &registration, (struct slice){0});
    cr_assert(bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0), "not complete yet");
    struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 1, .bets = 1, .digest = bench_digest(4, 1)},
    };
    bench_report_item(&bench, 51, &item);
    struct message wait = bench_poll(&bench, 4, -1);
    cr_assert(!bench_ranges_have(wait.wait.durable, 0));
    cr_assert(bench_ranges_have(wait.wait.durable, 1));
    cr_assert(!bench_ranges_have(wait.wait.held, 2));
    bench_close(&bench);
}

Test(broker_inventory, a_conflict_between_two_stores_ends_the_attempt, .timeout = 10)
{
    struct bench bench;
    bench_begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench_stored(&bench, 50, 4, 3);
    struct message registration = bench_registration(2, 1);
    bench_report(&bench, 51, &registration, (struct slice){0});
    struct item_inventory item = {
        .kind = INVENTORY_BATCH,
        .draw = 1,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 3, .bets = 1, .digest = bench_digest(4, 9)},
    };
    bench_report_item(&bench, 51, &item);
    bench_expect_conflict(&bench, 4, 3);
    bench_hello(&bench, 4, 2);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = 1,
                           .poll = {.agency = 4, .incarnation = 1, .attempt = 2}};
    cr_assert_eq(bench_ask(&bench, &poll, NULL).kind, MESSAGE_WAIT, "a new attempt is clean");
    bench_close(&bench);
}

Test(broker_inventory, what_the_journal_does_not_know_ends_the_broker, .timeout = 10)
{
    const struct item_inventory items[] = {
        {.kind = INVENTORY_BATCH, .draw = 1, .agency = 4, .attempt = 1, .batch = {.bets = 1}},
        {.kind = INVENTORY_BATCH, .draw = 9, .agency = 4, .attempt = 1, .batch = {.bets = 1}},
        {.kind = INVENTORY_SEAL, .draw = 1},
        {.kind = INVENTORY_SEAL, .draw = 7},
        {.kind = INVENTORY_VOID, .draw = 1},
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct bench bench;
        bench_begin(&bench);
        struct message registration = bench_registration(1, 1);
        bench_report(&bench, 50, &registration, (struct slice){0});
        bench_report_item(&bench, 50, &items[i]);
        cr_assert_eq(bench_verdict(&bench), STATUS_CONFIG, "item %zu", i);
        bench_close(&bench);
    }
}

/* A broker whose draw 1 was published (or made void) and whose draw 2 runs. */
static void begin_after(struct bench *bench, bool is_void, struct digest *root)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.agencies_required = 1;
    options.draws = 2;
    bench_open(bench, &options);
    bench_hello(bench, 4, 0);
    bench->options.void_draw = is_void;
    if (is_void) {
        cr_assert_eq(bench_restart(bench), STATUS_OK);
        bench->options.void_draw = 0;
    } else {
        cr_assert_eq(bench_poll(bench, 4, 0).kind, MESSAGE_FINISHED);
        *root = journal_memory_last(bench->journal, RECORD_SEALED, 1)->sealed.root;
    }
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_OPENED, 2), 1);
}

Test(broker_inventory, what_was_left_of_a_draw_that_is_over_is_known, .timeout = 10)
{
    static const struct {
        enum inventory_kind kind;
        bool is_of_void;
        bool has_root;
        uint32_t number;
        bool is_known;
    } cases[] = {
        {INVENTORY_BATCH, false, false, 0, true},  {INVENTORY_BATCH, true, false, 0, true},
        {INVENTORY_FORGOT, false, false, 0, true}, {INVENTORY_FORGOT, true, false, 0, true},
        {INVENTORY_SEAL, false, true, 7, true},    {INVENTORY_SEAL, false, false, 7, false},
        {INVENTORY_SEAL, false, true, 8, false},   {INVENTORY_SEAL, true, false, 8, true},
        {INVENTORY_VOID, true, false, 0, true},    {INVENTORY_VOID, false, false, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        struct digest root = {{1}};
        begin_after(&bench, cases[i].is_of_void, &root);
        if (!cases[i].has_root)
            root.bytes[0] ^= 1;
        struct message registration = bench_registration(1, 1);
        bench_report(&bench, 50, &registration, (struct slice){0});
        struct item_inventory item = {.kind = cases[i].kind, .draw = 1, .agency = 4, .attempt = 1};
        if (item.kind == INVENTORY_BATCH)
            item.batch = (struct item_stored){.bets = 1, .digest = bench_digest(4, 0)};
        else if (item.kind == INVENTORY_SEAL) {
            item.root = root;
            item.number = cases[i].number;
        }
        bench_report_item(&bench, 50, &item);
        cr_assert_eq(bench_verdict(&bench), cases[i].is_known ? STATUS_OK : STATUS_CONFIG,
                     "case %zu", i);
        bench_close(&bench);
    }
}

Test(broker_inventory, a_chunk_behind_the_last_one_is_dropped, .timeout = 10)
{
    struct bench bench;
    struct item_inventory item = {.kind = INVENTORY_BATCH,
                                  .draw = 1,
                                  .agency = 4,
                                  .attempt = 1,
                                  .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)}};
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    bench_store(&bench, 50, 1, 1);
    bench_report_item(&bench, 50, &item);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_DISMISSED, 0, NULL, NULL));
    cr_assert(!bench_ranges_have(bench_poll(&bench, 4, -1).wait.durable, 0));
    bench_close(&bench);
}

Test(broker_inventory, a_newer_attempt_than_the_journals_ends_the_broker, .timeout = 10)
{
    struct bench bench;
    struct item_inventory item = {.kind = INVENTORY_BATCH,
                                  .draw = 1,
                                  .agency = 4,
                                  .attempt = 2,
                                  .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)}};
    bench_begin(&bench);
    bench_hello(&bench, 4, 0);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    bench_report_item(&bench, 50, &item);
    cr_assert_eq(bench_verdict(&bench), STATUS_CONFIG);
    bench_close(&bench);
}

Test(broker_inventory, a_mark_of_the_draw_that_runs_ends_the_broker, .timeout = 10)
{
    struct bench bench;
    struct item_inventory item = {.kind = INVENTORY_FORGOT, .draw = 1};
    bench_begin(&bench);
    struct message registration = bench_registration(1, 1);
    bench_report(&bench, 50, &registration, (struct slice){0});
    bench_report_item(&bench, 50, &item);
    cr_assert_eq(bench_verdict(&bench), STATUS_CONFIG);
    bench_close(&bench);
}
