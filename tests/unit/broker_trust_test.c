/* What a store says after the seal is believed as far as it can be checked. */
#include <criterion/criterion.h>

#include "broker/stores.h"
#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* Agency 4's one batch lies in store 1 over peer 50; the draw is sealed. out: its root. */
static void seal(struct bench *bench, struct digest *root)
{
    struct broker_options options;
    struct message sent;
    bench_options(&options);
    options.terms.agencies_required = 1;
    bench_open(bench, &options);
    bench_store(bench, 50, 1, 1);
    bench_hello(bench, 4, 0);
    bench_stored(bench, 50, 4, 0);
    cr_assert_eq(bench_poll(bench, 4, 1).kind, MESSAGE_FINISHED);
    cr_assert(bench_sent(bench, PORT_DISPATCH, 50, MESSAGE_SEAL, 0, &sent, NULL));
    *root = sent.part.root;
}

static void find_one(struct bench *bench, const struct message *count, uint32_t items)
{
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_winner item = {
        .bet = {.first_name = {(const uint8_t *)"A", 1},
                .last_name = {(const uint8_t *)"B", 1},
                .document = {(const uint8_t *)"1", 1},
                .birthdate = {(const uint8_t *)"2000-01-01", 10},
                .number = 7},
    };
    struct message found = {
        .kind = MESSAGE_FOUND,
        .draw = 1,
        .found = {.question_epoch = count->count.question_epoch,
                  .question = count->count.question,
                  .agency = 4,
                  .items = items},
    };
    cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(bench, 50, &found, (struct slice){buffer, bytes});
}

Test(broker_trust, another_seal_ends_the_broker, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    const char *problem;
    seal(&bench, &root);
    root.bytes[0] ^= 1;
    bench_sealed(&bench, 50, &root);
    cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_COUNT, 0, NULL, NULL));
    bench_close(&bench);
}

/* A store that was away while these bets, or others, were sealed by a broker with another seed. */
Test(broker_trust, a_seal_with_another_number_or_root_ends_the_broker, .timeout = 10)
{
    static const struct {
        uint32_t number;
        uint8_t root_changed;
    } rows[] = {{7, 0}, {8, 0}, {7, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        const char *problem;
        uint8_t buffer[ITEM_BYTES_MAX];
        size_t bytes = 0;
        struct item_inventory item = {.kind = INVENTORY_SEAL, .draw = 1, .number = rows[i].number};
        struct message inventory = {.kind = MESSAGE_INVENTORY,
                                    .inventory = {.is_last = true, .items = 1}};
        struct message registration = bench_registration(2, 1);
        seal(&bench, &item.root);
        item.root.bytes[0] ^= rows[i].root_changed;
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
        bench_report(&bench, 51, &registration, (struct slice){0});
        bench_report(&bench, 51, &inventory, (struct slice){buffer, bytes});
        cr_assert_eq(broker_verdict(bench.broker, &problem), i == 0 ? STATUS_OK : STATUS_CONFIG,
                     "row %zu", i);
        bench_close(&bench);
    }
}

/* Peer 50 answers what it was asked last with a winner that it does not show. */
static void count_wrongly(struct bench *bench, const struct message *count)
{
    struct message counted = bench_counted(count, 1, 1);
    bench_report(bench, 50, &counted, (struct slice){0});
}

Test(broker_trust, a_store_that_answers_wrongly_each_time_is_asked_no_more, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    struct message count;
    seal(&bench, &root);
    bench_sealed(&bench, 50, &root);
    for (uint32_t i = 0; i < WRONG_ANSWERS_MAX; i++) {
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL), "%u", i);
        count_wrongly(&bench, &count);
    }
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_COUNT, 0, NULL, NULL));
    bench_store(&bench, 51, 1, 1); /* the same process dials again */
    bench_stored(&bench, 51, 4, 0);
    bench_sealed(&bench, 51, &root);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_COUNT, 0, NULL, NULL));
    bench_store(&bench, 52, 1, 2); /* its worker was started again */
    bench_stored(&bench, 52, 4, 0);
    bench_sealed(&bench, 52, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_COUNT, 0, NULL, NULL));
    bench_close(&bench);
}

/* Whatever the store over peer 50 says: the other one that has the batch is asked, and it ends. */
Test(broker_trust, a_store_that_answers_wrongly_holds_up_no_other, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    struct message count;
    struct slice shares;
    uint8_t buffer[ITEM_BYTES_MAX];
    seal(&bench, &root);
    bench_store(&bench, 60, 2, 1);
    bench_stored(&bench, 60, 4, 0);
    bench_sealed(&bench, 50, &root);
    for (uint32_t i = 0; i < WRONG_ANSWERS_MAX; i++) {
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL), "%u", i);
        if (i == 1)
            bench_sealed(&bench, 60, &root); /* has nothing to count as long as 50 is asked */
        count_wrongly(&bench, &count);
    }
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 60, MESSAGE_COUNT, 0, &count, &shares));
    count_wrongly(&bench, &count); /* late, of a question that was another's */
    memcpy(buffer, shares.data, shares.bytes);
    struct message counted = bench_counted(&count, 1, 0);
    bench_report(&bench, 60, &counted, (struct slice){buffer, shares.bytes});
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 1);
    bench_close(&bench);
}

/* [M-58] */
Test(broker_trust, a_wrong_answers_pages_are_deleted_and_its_batches_asked_again, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    struct message count;
    struct message again;
    struct slice shares;
    uint8_t buffer[ITEM_BYTES_MAX];
    seal(&bench, &root);
    bench_sealed(&bench, 50, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, &shares));
    memcpy(buffer, shares.data, shares.bytes);
    find_one(&bench, &count, 1);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 1);
    struct message counted = bench_counted(&count, 1, 2); /* one page is missing */
    bench_report(&bench, 50, &counted, (struct slice){buffer, shares.bytes});
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 0);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_PUBLISHED, 1), 0);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &again, NULL));
    cr_assert_neq(again.count.question, count.count.question);
    bench_close(&bench);
}

Test(broker_trust, a_page_of_fewer_winners_than_it_says_is_not_journaled, .timeout = 10)
{
    struct bench bench;
    struct digest root;
    struct message count;
    seal(&bench, &root);
    bench_sealed(&bench, 50, &root);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_COUNT, 0, &count, NULL));
    find_one(&bench, &count, 2);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_FOUND, 1), 0);
    bench_close(&bench);
}
