/* What the stores are told to forget, and when. */
#include <criterion/criterion.h>

#include "broker/stores.h"
#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* Draws without an end, of one agency each. */
static void begin(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    options.draws = 0;
    options.terms.agencies_required = 1;
    bench_open(bench, &options);
}

static struct message poll_of(struct bench *bench, uint32_t draw)
{
    return (struct message){
        .kind = MESSAGE_POLL,
        .draw = draw,
        .poll = {.agency = 4,
                 .incarnation = 1,
                 .attempt = 1,
                 .has_declaration = true,
                 .declaration = bench_declaration(bench, 4, 0)},
    };
}

static void join_draw(struct bench *bench, uint32_t draw)
{
    struct message hello = {
        .kind = MESSAGE_HELLO,
        .draw = draw,
        .hello = {.agency = 4,
                  .incarnation = 1,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    cr_assert_eq(bench_ask(bench, &hello, NULL).kind, MESSAGE_ADMITTED);
}

/* A draw without a bet. */
static void make_draw(struct bench *bench, uint32_t draw)
{
    struct message poll = poll_of(bench, draw);
    join_draw(bench, draw);
    cr_assert_eq(bench_ask(bench, &poll, NULL).kind, MESSAGE_FINISHED);
}

/* The seal of a forgotten draw stays for ever, with its mark behind it: it must not take the place
 * of a draw that has none. */
Test(broker_forget, a_store_is_told_of_a_draw_behind_many_that_it_has_forgotten, .timeout = 10)
{
    enum { DRAWS = 2 * OLD_DRAWS_MAX };
    struct bench bench;
    begin(&bench);
    for (uint32_t draw = 1; draw < DRAWS + DRAWS_KEPT; draw++)
        make_draw(&bench, draw);
    uint8_t buffer[2 * DRAWS * ITEM_BYTES_MAX];
    size_t bytes = 0;
    for (uint32_t draw = 1; draw <= DRAWS; draw++) {
        struct item_inventory seal = {.kind = INVENTORY_SEAL, .draw = draw, .number = 7};
        struct item_inventory mark = {.kind = INVENTORY_FORGOT, .draw = draw};
        struct archived_draw archived;
        cr_assert_eq(bench.archive.draw(bench.archive.owner, draw, &archived), STATUS_OK);
        seal.root = archived.root;
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &seal), STATUS_OK);
        if (draw < DRAWS)
            cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &mark), STATUS_OK);
    }
    struct message registration = {
        .kind = MESSAGE_REGISTER,
        .registration = {.store = {{2}}, .opening = {1, {{2, 1}}}},
    };
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 2 * DRAWS - 1}};
    bench_report(&bench, 51, &registration, (struct slice){0});
    bench_report(&bench, 51, &inventory, (struct slice){buffer, bytes});
    struct message forget;
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, 0, &forget, NULL));
    cr_assert_eq(forget.draw, DRAWS, "draw %u has its mark", forget.draw);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, 1, NULL, NULL));
    bench_close(&bench);
}
