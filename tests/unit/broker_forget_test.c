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
    struct message registration = bench_registration(2, 1);
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

/* Store 2 registers over `peer` with one batch of each of these draws. */
static void bring_draws(struct bench *bench, uint64_t peer, uint32_t first, uint32_t last)
{
    uint8_t buffer[2 * OLD_DRAWS_MAX * ITEM_BYTES_MAX];
    size_t bytes = 0;
    const struct message registration = bench_registration(2, 1);
    const struct message inventory = {
        .kind = MESSAGE_INVENTORY,
        .inventory = {.is_last = true, .items = last - first + 1},
    };
    for (uint32_t draw = first; draw <= last; draw++) {
        const struct item_inventory item = {.kind = INVENTORY_BATCH,
                                            .draw = draw,
                                            .agency = 4,
                                            .attempt = 1,
                                            .batch = {.bets = 1}};
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    }
    bench_report(bench, peer, &registration, (struct slice){0});
    bench_report(bench, peer, &inventory, (struct slice){buffer, bytes});
}

Test(broker_forget, of_too_many_old_draws_the_last_are_found_at_the_next_registration,
     .timeout = 10)
{
    struct bench bench;
    struct message forget;
    begin(&bench);
    for (uint32_t draw = 1; draw <= OLD_DRAWS_MAX + DRAWS_KEPT; draw++)
        make_draw(&bench, draw);
    bring_draws(&bench, 51, 1, OLD_DRAWS_MAX + 1);
    for (uint32_t i = 0; i < OLD_DRAWS_MAX; i++) {
        cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, i, &forget, NULL));
        cr_assert_eq(forget.draw, i + 1);
    }
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, OLD_DRAWS_MAX, NULL, NULL));
    bring_draws(&bench, 52, OLD_DRAWS_MAX + 1, OLD_DRAWS_MAX + 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 52, MESSAGE_FORGET, 0, &forget, NULL));
    cr_assert_eq(forget.draw, OLD_DRAWS_MAX + 1);
    bench_close(&bench);
}

static enum status count_many_winners(void *owner, uint32_t draw, uint32_t agency,
                                      struct archived_agency *archived)
{
    (void)owner;
    (void)draw;
    (void)agency;
    *archived = (struct archived_agency){.attempt = 1, .winners = 1000000};
    return STATUS_OK;
}

/* A page that is as full as pages are. */
static enum status fill_page(void *owner, uint32_t draw, uint32_t agency, uint32_t from,
                             uint8_t *body, size_t bytes_max, size_t *bytes, uint32_t *upto)
{
    (void)owner;
    (void)draw;
    (void)agency;
    memset(body, 0, bytes_max);
    *bytes = bytes_max;
    *upto = from + 1000;
    return STATUS_OK;
}

/* One turn that begins with this request, and in which pages of other agencies have left no more
 * than `room` bytes of the outbox. */
static void ask_with_little_room(struct bench *bench, const struct message *request, size_t room)
{
    outbox_reset(bench->outbox);
    bench_request(bench, 1, request);
    bench_fill_outbox(bench, room);
    bench_turn(bench);
}

/* The fast path may fill the outbox up to the last page that fits; what the stores are told next
 * has its place all the same. */
Test(broker_forget, pages_of_winners_leave_room_for_what_the_stores_are_to_forget, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    for (uint8_t store = 1; store <= STORES_MAX; store++)
        bench_store(&bench, 50U + store, store, 1);
    for (uint32_t draw = 1; draw < DRAWS_KEPT; draw++)
        make_draw(&bench, draw);
    join_draw(&bench, DRAWS_KEPT);
    struct message poll = poll_of(&bench, DRAWS_KEPT);
    bench.archive.agency = count_many_winners;
    bench.archive.page = fill_page;
    ask_with_little_room(&bench, &poll, PAGE_BYTES_MAX + 512);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 0, MESSAGE_FORGET, STORES_MAX - 1, NULL, NULL));
    bench_close(&bench);
}

Test(broker_forget, stores_forget_the_draw_that_is_older_than_those_kept, .timeout = 10)
{
    struct bench bench;
    struct message forget;
    uint32_t forgotten = 0;
    begin(&bench);
    bench_store(&bench, 50, 1, 1);
    for (uint32_t draw = 1; draw <= DRAWS_KEPT + 2; draw++) {
        make_draw(&bench, draw);
        if (!bench_sent(&bench, PORT_DISPATCH, 50, MESSAGE_FORGET, 0, &forget, NULL))
            continue;
        forgotten++;
        cr_assert_eq(forget.draw, forgotten);
        cr_assert_eq(draw + 1, forget.draw + DRAWS_KEPT, "draw %u is open", draw + 1);
    }
    cr_assert_eq(forgotten, 3);
    bench_close(&bench);
}

/* The store was away when it was told to forget, or died in the middle of it. */
Test(broker_forget, a_store_that_brings_a_draw_older_than_those_kept_is_told_to_forget,
     .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    bench_store(&bench, 50, 1, 1);
    for (uint32_t draw = 1; draw <= DRAWS_KEPT + 1; draw++)
        make_draw(&bench, draw);
    struct message registration = bench_registration(2, 1);
    struct item_inventory items[] = {
        {.kind = INVENTORY_BATCH, .draw = 1, .agency = 4, .attempt = 1},
        {.kind = INVENTORY_BATCH, .draw = 2, .agency = 4, .attempt = 1},
        {.kind = INVENTORY_BATCH, .draw = 2, .agency = 4, .attempt = 1, .batch = {.seq = 1}},
        {.kind = INVENTORY_FORGOT, .draw = 1},
        {.kind = INVENTORY_BATCH, .draw = 3, .agency = 4, .attempt = 1},
    };
    uint8_t buffer[5 * ITEM_BYTES_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < 5; i++) {
        items[i].batch.bets = 1;
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &items[i]), STATUS_OK);
    }
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 5}};
    bench_report(&bench, 51, &registration, (struct slice){0});
    bench_report(&bench, 51, &inventory, (struct slice){buffer, bytes});
    struct message forget;
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, 0, &forget, NULL));
    cr_assert_eq(forget.draw, 1);
    cr_assert(bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, 1, &forget, NULL));
    cr_assert_eq(forget.draw, 2);
    cr_assert(!bench_sent(&bench, PORT_DISPATCH, 51, MESSAGE_FORGET, 2, NULL, NULL));
    bench_close(&bench);
}
