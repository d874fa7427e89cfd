/* Which draw, and under which epoch, a broker with --recover goes on with. */
#include "tests/sim/machine.h"
#include "tests/unit/recover_bench.h"

Test(broker_recover_draws, opens_its_first_draw_where_that_is_beyond_a_forgotten_one, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    const struct item_inventory item = {.kind = INVENTORY_FORGOT, .draw = 2};
    bench_options(&options);
    options.recover_stores = 1;
    options.terms.number.draw = 7;
    bench_open(&bench, &options);
    bring(&bench, 50, 5, &item, 1);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 3), 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 7), 1);
    bench_close(&bench);
}

/* The ones before the draw that it found are over, and none of those in between has opened. */
Test(broker_recover_draws, knows_nothing_of_the_draws_that_it_has_left_out, .timeout = 10)
{
    const struct item_inventory mark = {.kind = INVENTORY_FORGOT, .draw = 2};
    for (uint32_t draw = 1; draw < 5; draw++) {
        struct bench bench;
        struct broker_options options;
        const struct item_inventory item = batch_item(draw);
        bench_options(&options);
        options.recover_stores = 1;
        options.terms.number.draw = 7;
        bench_open(&bench, &options);
        bring(&bench, 50, 5, &mark, 1);
        const struct epoch served = {6, {{1, 0xb0}}};
        bring_store(&bench, 51, 2, &served, &item, 1);
        cr_assert_eq(bench_verdict(&bench), draw < 3 ? STATUS_OK : STATUS_CONFIG, "draw %u", draw);
        bench_close(&bench);
    }
}

/* The journal's own epoch may be higher than all that its stores have heard. */
Test(broker_recover_draws, takes_an_epoch_above_its_own_as_well, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message who;
    bench_options(&options);
    options.recover_stores = 1;
    bench_open(&bench, &options);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(bench_restart(&bench), STATUS_OK);
    const uint64_t own = bench.epoch;
    bring(&bench, 50, 1, NULL, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WHO, 0, &who, NULL));
    cr_assert_eq(who.epoch.number, own + 1);
    bench_close(&bench);
}

Test(broker_recover_draws, ends_where_it_has_no_memory_for_a_draw_to_make_void, .timeout = 20)
{
    const struct item_inventory item = batch_item(3);
    const struct message registration = {
        .kind = MESSAGE_REGISTER,
        .registration = {.store = {{1, 2, 3, 4}}, .opening = {1, {{1}}}, .epoch = {5, {{7}}}},
    };
    const struct message inventory = {.kind = MESSAGE_INVENTORY,
                                      .inventory = {.is_last = true, .items = 1}};
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    enum status status = STATUS_NO_MEMORY;
    for (uint32_t turn = 1; status == STATUS_NO_MEMORY; turn++) {
        struct bench bench;
        begin(&bench);
        bench_report(&bench, 50, &registration, (struct slice){0});
        outbox_reset(bench.outbox);
        bench_hear(&bench, 50, &inventory, (struct slice){buffer, bytes});
        machine_reset();
        machine_fail_memory(turn, 1);
        RUN_CORE(bench.next_at = broker_tick(bench.broker, bench.now_ms, bench.wall_ms));
        status = bench_verdict(&bench);
        cr_assert_eq(status, machine_memory_failures() > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        bench_close(&bench);
    }
}

/* At each allocation that taking its manifest makes: nothing half of it is journaled. */
Test(broker_recover_draws, ends_where_it_has_no_memory_for_a_sealed_draw, .timeout = 20)
{
    enum status status = STATUS_NO_MEMORY;
    uint32_t turn = 0;
    while (status == STATUS_NO_MEMORY) {
        struct bench bench;
        begin(&bench);
        struct manifest *manifest = make_manifest_of(&bench, 2, 2);
        const struct item_inventory item = {.kind = INVENTORY_SEAL,
                                            .draw = 2,
                                            .root = *manifest_root(manifest),
                                            .number = 7};
        struct slice packed = manifest_packed(manifest);
        const struct message part = {
            .kind = MESSAGE_MANIFEST_PART,
            .draw = 2,
            .part = {.parts = 1, .manifest_bytes = packed.bytes, .root = *manifest_root(manifest)},
        };
        bring(&bench, 50, 5, &item, 1);
        outbox_reset(bench.outbox);
        machine_reset();
        machine_fail_memory(++turn, 1);
        RUN_CORE(bench_hear(&bench, 50, &part, packed));
        status = bench_verdict(&bench);
        cr_assert_eq(status, machine_memory_failures() > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        machine_reset();
        if (status == STATUS_OK)
            bench_turn(&bench);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), status == STATUS_OK);
        manifest_destroy(&manifest);
        bench_close(&bench);
    }
    cr_assert_gt(turn, 10, "%u allocations were to fail", turn);
}

/* Published with this journal, void or sealed otherwise with another one: no recovery joins them,
 * so that none is advised. */
Test(broker_recover_draws, ends_where_a_store_has_another_end_of_a_draw_that_is_over, .timeout = 10)
{
    const struct item_inventory ends[] = {
        {.kind = INVENTORY_VOID, .draw = 1},
        {.kind = INVENTORY_SEAL, .draw = 1, .root = {{9}}, .number = 7},
    };
    for (uint32_t i = 0; i < 4; i++) {
        struct bench bench;
        struct broker_options options;
        const char *problem;
        bench_options(&options);
        options.terms.agencies_required = 1;
        bench_open(&bench, &options);
        bench_hello(&bench, 4, 0);
        cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
        bench.options.recover_stores = i / 2;
        cr_assert_eq(bench_restart(&bench), STATUS_OK);
        bring(&bench, 50, 0, &ends[i % 2], 1);
        cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG, "case %u", i);
        cr_assert_not_null(strstr(problem, "store 01020304 holds "), "%s", problem);
        cr_assert_not_null(strstr(problem, " of draw 1, which ended otherwise"), "%s", problem);
        cr_assert_not_null(strstr(problem, ": a broker with another journal has served it, or this "
                                           "one is damaged; start with the right journal"),
                           "%s", problem);
        cr_assert_null(strstr(problem, "--recover"), "%s", problem);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
        bench_close(&bench);
    }
}
