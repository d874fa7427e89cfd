#include <criterion/criterion.h>

#include "tests/unit/recover_bench.h"

Test(broker_recover, speaks_under_epoch_0_and_opens_nothing_until_its_stores_are_there,
     .timeout = 10)
{
    struct bench bench;
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4, .incarnation = 1}};
    struct message welcome;
    begin(&bench);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_NOT_OPEN);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 1), 0);
    bring(&bench, 50, 5, NULL, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WELCOME, 0, &welcome, NULL));
    cr_assert_eq(welcome.epoch.number, 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_WHO, 0, &welcome, NULL));
    cr_assert_eq(welcome.epoch.number, 6, "above all that a store has served");
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 1), 1);
    cr_assert_eq(bench_lines(&bench, "phase: OPEN | epoch: 6", "note"), 0, "no draw was before");
    bench_close(&bench);
}

/* What the stores have heard is what it is to raise its epoch above. */
Test(broker_recover, is_not_fenced_before_it_has_an_epoch, .timeout = 10)
{
    struct bench bench;
    const struct message fenced = {.kind = MESSAGE_FENCED, .fenced = {{41, {{7}}}}};
    begin(&bench);
    bench_report(&bench, 50, &fenced, (struct slice){0});
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    bench_close(&bench);
}

Test(broker_recover, makes_an_unsealed_draw_void, .timeout = 10)
{
    struct bench bench;
    struct item_inventory item = batch_item(3);
    begin(&bench);
    bring(&bench, 50, 5, &item, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 3), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 3), 1);
    cr_assert_eq(bench_lines(&bench,
                             "draw: 3 | phase: OPEN | epoch: 6 | note: a result of a draw "
                             "before 3 that this journal does not have is lost",
                             "unknown"),
                 1);
    bring(&bench, 51, 6, &item, 1);
    cr_assert_eq(bench_verdict(&bench), STATUS_CONFIG,
                 "another broker of epoch 6 would be a rival");
    bench_close(&bench);
}

Test(broker_recover, goes_on_with_a_sealed_draw_from_a_stores_manifest, .timeout = 10)
{
    struct bench bench;
    struct message sent;
    begin(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory items[] = {
        batch_item(2),
        {.kind = INVENTORY_SEAL, .draw = 2, .root = *manifest_root(manifest), .number = 7},
        {.kind = INVENTORY_SEAL, .draw = 1, .number = 3},
    };
    bring(&bench, 50, 5, items, 3);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, &sent, NULL));
    cr_assert_eq(sent.draw, 2);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 2), 0);
    send_manifest(&bench, 50, manifest);
    const struct record *sealed = journal_memory_last(bench.journal, RECORD_SEALED, 2);
    cr_assert_not_null(sealed);
    cr_assert(digest_is_equal(&sealed->sealed.root, manifest_root(manifest)));
    cr_assert_eq(sealed->sealed.number, 7);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_DECLARATION, 2), 1);
    cr_assert_eq(bench_lines(&bench,
                             "draw: 2 | phase: SEALED | epoch: 6 | note: a result of a draw "
                             "before 2 that",
                             ""),
                 1);

    struct epoch served = {6, {{1, 0xb0}}};
    bring_store(&bench, 52, 1, &served, items, 3);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "an older draw's seal is known to be over");
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_SEAL, 0, NULL, NULL));
    bench.options.recover_stores = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK, "and the journal has it from now on");
    bring_store(&bench, 53, 1, &served, items, 3);
    cr_assert_eq(bench_verdict(&bench), STATUS_OK, "what became unknown stays so");
    manifest_destroy(&manifest);
    bench_close(&bench);
}

Test(broker_recover, asks_nobody_twice_for_a_manifest_that_was_wrong, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct manifest *other = make_manifest(&bench, 1);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring(&bench, 50, 5, &item, 1);
    struct slice packed = manifest_packed(other);
    struct message part = {
        .kind = MESSAGE_MANIFEST_PART,
        .draw = 2,
        .part = {.parts = 1, .manifest_bytes = packed.bytes, .root = *manifest_root(manifest)},
    };
    bench_report(&bench, 50, &part, packed);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 1), 0, "nor the other draw");
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    manifest_destroy(&manifest);
    manifest_destroy(&other);
    bench_close(&bench);
}

/* Two stores that have the seal of this manifest; the one over peer 50 is asked. */
static void bring_two(struct bench *bench, const struct manifest *manifest)
{
    struct epoch served = {5, {{7}}};
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring_store(bench, 50, 1, &served, &item, 1);
    bring_store(bench, 51, 2, &served, &item, 1);
}

static void begin_for_two(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    options.recover_stores = 2;
    options.draws = 3;
    bench_open(bench, &options);
}

Test(broker_recover, asks_another_store_when_a_part_is_longer_than_its_manifest, .timeout = 10)
{
    static const uint8_t zeros[CHUNK_BYTES_MAX];
    struct bench bench;
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct message part = {
        .kind = MESSAGE_MANIFEST_PART,
        .draw = 2,
        .part = {.parts = 1, .manifest_bytes = 10, .root = *manifest_root(manifest)},
    };
    bring_two(&bench, manifest);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    bench_report(&bench, 50, &part, (struct slice){zeros, sizeof zeros});
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_MANIFEST, 0, NULL, NULL));
    send_manifest(&bench, 51, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}

/* A worker that cannot read its manifest ends, is started again, and registers before the others
 * are asked: it must not be asked first each time. */
Test(broker_recover, asks_another_store_when_one_comes_back_without_an_answer, .timeout = 10)
{
    struct bench bench;
    struct epoch served = {5, {{7}}};
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring_two(&bench, manifest);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    bring_store(&bench, 52, 1, &served, &item, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_MANIFEST, 0, NULL, NULL));
    send_manifest(&bench, 51, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}

Test(broker_recover, takes_no_manifest_of_a_store_that_it_has_not_asked, .timeout = 10)
{
    struct bench bench;
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    bring_two(&bench, manifest);
    send_manifest(&bench, 51, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 0);
    send_manifest(&bench, 50, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}

Test(broker_recover, asks_no_store_that_has_left, .timeout = 10)
{
    struct bench bench;
    struct epoch served = {5, {{7}}};
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring_store(&bench, 50, 1, &served, &item, 1);
    bench_pass(&bench, LEASE_MS + 1);
    bring_store(&bench, 51, 2, &served, &item, 1);
    bring_store(&bench, 52, 3, &served, NULL, 0);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_MANIFEST, 0, NULL, NULL));
    manifest_destroy(&manifest);
    bench_close(&bench);
}

/* [P4] The store that recorded the seal is only away. */
Test(broker_recover, makes_no_draw_void_of_which_it_has_heard_a_seal, .timeout = 10)
{
    struct bench bench;
    struct epoch served = {5, {{7}}};
    struct item_inventory batch = batch_item(2);
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring_store(&bench, 50, 1, &served, &item, 1);
    bench_pass(&bench, LEASE_MS + 1);
    bring_store(&bench, 51, 2, &served, &batch, 1);
    bring_store(&bench, 52, 3, &served, &batch, 1);
    cr_assert_gt(bench_lines(&bench, "waiting_for: 2 stores", ""), 0);
    const struct message pong = {.kind = MESSAGE_PONG};
    for (int64_t passed = 0; passed <= WAIT_MS_MAX; passed += LEASE_MS / 4) {
        bench_report(&bench, 51, &pong, (struct slice){0});
        bench_report(&bench, 52, &pong, (struct slice){0});
        bench_pass(&bench, LEASE_MS / 4);
    }
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 2), 0);
    cr_assert_gt(bench_lines(&bench, "draw: 2 | waiting_for: a store that has its manifest", ""),
                 0);
    bring_store(&bench, 53, 1, &served, &item, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 53, MESSAGE_MANIFEST, 0, NULL, NULL));
    send_manifest(&bench, 53, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}

Test(broker_recover, keeps_a_void_and_opens_the_draw_after_a_forgotten_one, .timeout = 10)
{
    const struct item_inventory items[] = {
        {.kind = INVENTORY_VOID, .draw = 2},
        {.kind = INVENTORY_FORGOT, .draw = 2},
    };
    const struct item_inventory seal = {.kind = INVENTORY_SEAL, .draw = 2, .number = 3};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        begin(&bench);
        bring(&bench, 50, 5, &items[i], 1);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 2), i == 0);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 3), i == 1);
        struct epoch served = {6, {{1, 0xb0}}};
        bring_store(&bench, 51, 1, &served, &items[i], 1);
        bring_store(&bench, 52, 2, &served, &seal, i == 1);
        cr_assert_eq(bench_verdict(&bench), STATUS_OK,
                     "the seal of a forgotten draw is no surprise");
        bench_close(&bench);
    }
}

Test(broker_recover, leaves_a_journal_that_knows_more_as_it_is, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bring(&bench, 50, 5, NULL, 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 1), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 0);
    cr_assert_eq(bench_lines(&bench, "draw: 1 | phase: OPEN | epoch: 6 | note: the journal was not",
                             "nothing was recovered, only its epoch raised; leave --recover out"),
                 1);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    bench_close(&bench);
}

/* The journal is a copy then: another broker has gone on under the number that is taken here. */
Test(broker_recover, does_not_trust_a_journal_whose_next_epoch_was_served, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    const struct item_inventory item = batch_item(1);
    bring(&bench, 50, bench.epoch, &item, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    bench_close(&bench);
}

Test(broker_recover, tells_no_round_as_seen_until_the_stores_have_registered_again, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct message mark = {.kind = MESSAGE_MARK,
                           .draw = 1,
                           .mark = {.agency = 4, .attempt = 1, .incarnation = 1, .round = 1}};
    bench_options(&options);
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bring(&bench, 50, 5, NULL, 0);
    bench_bets(&bench, &mark, 0);
    cr_expect_eq(bench_poll(&bench, 4, -1).wait.round_seen, 0);
    bring(&bench, 51, 5, NULL, 0);
    cr_expect_eq(bench_poll(&bench, 4, -1).wait.round_seen, 1);
    bench_close(&bench);
}

Test(broker_recover, replaces_an_open_draw_of_an_older_journal_by_its_seal, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    bench_options(&options);
    options.terms.number.draw = 2;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench_hello(&bench, 10, 0); /* and is not in the manifest */
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring(&bench, 50, 5, &item, 1);
    send_manifest(&bench, 50, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PLAN, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}

/* A copy of the journal that is older than the stores: what runs in it is over, and stays in it
 * without an end. */
Test(broker_recover, starts_again_on_a_journal_whose_running_draw_was_passed_over, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct item_inventory item = batch_item(2);
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = 4,
                                      .incarnation = 1,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    bench_options(&options);
    options.draws = 3;
    bench_open(&bench, &options);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).kind, MESSAGE_ADMITTED);
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bring(&bench, 50, 5, &item, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 2), 1);
    bench.options.recover_stores = 0;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(bench_ask(&bench, &hello, NULL).refused.reason, REFUSAL_UNKNOWN);
    bench_close(&bench);
}

/* The draw opened with another roster than the one that is given now. */
Test(broker_recover, ends_where_the_roster_lacks_an_agency_that_has_finished, .timeout = 10)
{
    static const uint32_t roster[] = {4, 5};
    for (uint32_t lacking = 0; lacking < 2; lacking++) {
        struct bench bench;
        struct broker_options options;
        const char *problem;
        bench_options(&options);
        options.recover_stores = 1;
        options.draws = 3;
        options.terms.roster = roster + lacking;
        options.terms.roster_count = 2 - lacking;
        bench_open(&bench, &options);
        struct manifest *manifest = make_manifest_of(&bench, 2, 2);
        struct item_inventory item = {.kind = INVENTORY_SEAL,
                                      .draw = 2,
                                      .root = *manifest_root(manifest),
                                      .number = 7};
        bring(&bench, 50, 5, &item, 1);
        send_manifest(&bench, 50, manifest);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1 - lacking);
        cr_assert_eq(broker_verdict(bench.broker, &problem), lacking ? STATUS_CONFIG : STATUS_OK);
        cr_assert_not_null(strstr(problem, lacking ? "agency 4 has finished in draw 2" : ""), "%s",
                           problem);
        manifest_destroy(&manifest);
        bench_close(&bench);
    }
}

/* Draw 1 is over: in the journal, and in a store that has sealed it. */
Test(broker_recover, leaves_a_journal_whose_newest_draw_is_over_as_it_is, .timeout = 10)
{
    struct bench bench;
    struct broker_options options;
    struct archived_draw archived;
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_FINISHED);
    cr_assert_eq(bench.archive.draw(bench.archive.owner, 1, &archived), STATUS_OK);
    const struct item_inventory item = {.kind = INVENTORY_SEAL,
                                        .draw = 1,
                                        .root = archived.root,
                                        .number = archived.number};
    bench.options.recover_stores = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bring(&bench, 50, 41, &item, 1);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    cr_assert_eq(bench_verdict(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    cr_assert_eq(bench_poll(&bench, 4, 0).kind, MESSAGE_RESULT);
    bench_close(&bench);
}

Test(broker_recover, asks_for_the_manifest_in_the_next_turn_when_this_one_is_full, .timeout = 10)
{
    struct bench bench;
    const struct message registration = bench_registration(2, 1);
    const struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    begin_for_two(&bench);
    struct manifest *manifest = make_manifest(&bench, 2);
    struct item_inventory item = {.kind = INVENTORY_SEAL,
                                  .draw = 2,
                                  .root = *manifest_root(manifest),
                                  .number = 7};
    bring(&bench, 50, 5, &item, 1);
    bench_report(&bench, 51, &registration, (struct slice){0});
    bench_hear(&bench, 51, &inventory, (struct slice){0});
    bench_fill_outbox(&bench, 511);
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_WELCOME, 0, NULL, NULL));
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_MANIFEST, 0, NULL, NULL));
    outbox_reset(bench.outbox);
    bench_turn(&bench);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_MANIFEST, 0, NULL, NULL));
    send_manifest(&bench, 50, manifest);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_SEALED, 2), 1);
    manifest_destroy(&manifest);
    bench_close(&bench);
}
