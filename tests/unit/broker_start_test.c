/* Which flags a start goes on with: those that the draw opened with. */
#include <criterion/criterion.h>

#include "tests/unit/broker_bench.h"

static void begin(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    bench_open(bench, &options);
}

/* [M-60] */
Test(broker_start, other_flags_than_at_the_opening_are_refused, .timeout = 10)
{
    static const uint32_t roster[] = {1, 4};
    for (int flag = 0; flag < 13; flag++) {
        struct bench bench;
        const char *problem;
        struct broker_options options;
        bench_options(&options);
        options.terms.barrier_timeout_ms = 60000;
        bench_open(&bench, &options);
        struct terms *terms = &bench.options.terms;
        terms->agencies_required += flag == 0;
        terms->number.range_last += flag == 1;
        terms->number.given += flag == 2;
        terms->barrier_timeout_ms += flag == 3;
        terms->quorum += flag == 4;
        terms->on_timeout = flag == 5 ? TIMEOUT_DRAW : TIMEOUT_VOID;
        terms->number.range_first += flag == 6;
        terms->number.is_given = flag != 7;
        terms->agencies_required -= flag == 9;
        terms->number.range_last -= flag == 10;
        terms->barrier_timeout_ms -= flag == 11;
        terms->quorum -= flag == 12;
        if (flag == 8) {
            terms->roster = roster;
            terms->roster_count = 2;
        }
        cr_assert_eq(bench_restart(&bench), STATUS_CONFIG, "flag %d", flag);
        cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
        cr_assert_not_null(strstr(problem, "--"), "the flag is named: %s", problem);
        bench_close(&bench);
    }
}

Test(broker_start, another_roster_of_as_many_agencies_is_refused, .timeout = 10)
{
    static const uint32_t rosters[2][2] = {{1, 4}, {1, 5}};
    struct bench bench;
    struct broker_options options;
    const char *problem;
    bench_options(&options);
    options.terms.roster = rosters[0];
    options.terms.roster_count = 2;
    bench_open(&bench, &options);
    bench_hello(&bench, 4, 0);
    bench.options.terms.roster = rosters[1];
    cr_assert_eq(bench_restart(&bench), STATUS_CONFIG);
    cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
    cr_assert_not_null(strstr(problem, "--roster"), "%s", problem);
    bench.options.terms.roster = rosters[0];
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench_close(&bench);
}

Test(broker_start, with_another_draw_than_the_one_that_is_open_is_refused, .timeout = 10)
{
    struct bench bench;
    const char *problem;
    begin(&bench);
    bench.options.terms.number.draw = 2;
    cr_assert_eq(bench_restart(&bench), STATUS_CONFIG);
    cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
    cr_assert_not_null(strstr(problem, "start with --draw 1 to go on with it"), "%s", problem);
    bench_close(&bench);
}

Test(broker_start, may_void_a_draw_that_is_void_already, .timeout = 10)
{
    struct bench bench;
    begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench_hello(&bench, 4, 0);
    bench.options.void_draw = 1;
    for (int times = 0; times < 2; times++)
        cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 1), 1);
    bench_close(&bench);
}

Test(broker_start, refuses_more_agencies_than_a_draw_may_have, .timeout = 30)
{
    struct bench bench;
    struct message hello = {.kind = MESSAGE_HELLO,
                            .draw = 1,
                            .hello = {.agency = AGENCIES_MAX,
                                      .incarnation = 1,
                                      .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}}};
    begin(&bench);
    for (uint32_t agency = 0; agency < AGENCIES_MAX; agency++)
        bench_hello(&bench, agency, 0);
    struct message answer = bench_ask(&bench, &hello, NULL);
    cr_assert_eq(answer.refused.reason, REFUSAL_LIMIT);
    cr_assert_eq(answer.refused.number, AGENCIES_MAX);
    bench_close(&bench);
}

Test(broker_start, a_draw_that_has_not_opened_cannot_be_made_void, .timeout = 10)
{
    struct bench bench;
    const char *problem;
    begin(&bench);
    bench.options.void_draw = 2;
    cr_assert_eq(bench_restart(&bench), STATUS_CONFIG);
    cr_assert_eq(broker_verdict(bench.broker, &problem), STATUS_CONFIG);
    cr_assert_not_null(strstr(problem, "it has not opened"), "%s", problem);
    bench_close(&bench);
}

static struct message hello_of(uint32_t draw)
{
    return (struct message){
        .kind = MESSAGE_HELLO,
        .draw = draw,
        .hello = {.agency = 4,
                  .incarnation = 1,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
}

static enum refusal ask_for(struct bench *bench, uint32_t draw)
{
    const struct message hello = hello_of(draw);
    struct message answer = bench_ask(bench, &hello, NULL);
    return answer.kind == MESSAGE_REFUSED ? answer.refused.reason : 0;
}

/* The only draw, of this id and of one agency without a bet, is published. */
static void publish(struct bench *bench, uint32_t draw)
{
    struct broker_options options;
    bench_options(&options);
    options.terms.number.draw = draw;
    options.terms.agencies_required = 1;
    bench_open(bench, &options);
    struct message poll = {.kind = MESSAGE_POLL,
                           .draw = draw,
                           .poll = {.agency = 4,
                                    .incarnation = 1,
                                    .attempt = 1,
                                    .has_declaration = true,
                                    .declaration = bench_declaration(bench, 4, 0)}};
    bench_hello(bench, 4, 0);
    cr_assert_eq(bench_ask(bench, &poll, NULL).kind, MESSAGE_FINISHED);
    cr_assert_eq(journal_memory_count(bench->journal, RECORD_PUBLISHED, draw), 1);
}

Test(broker_start, opens_a_later_draw_than_the_one_that_is_over, .timeout = 10)
{
    struct bench bench;
    publish(&bench, 1);
    bench.options.terms.number.draw = 5;
    bench.options.terms.quorum = 3; /* other flags than those of a draw that is over */
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, 5), 1);
    cr_assert_eq(ask_for(&bench, 1), 0, "its result is told for ever");
    cr_assert_eq(ask_for(&bench, 5), 0);
    bench_close(&bench);
}

Test(broker_start, may_void_the_draw_that_it_opens, .timeout = 10)
{
    struct bench bench;
    publish(&bench, 1);
    bench.options.terms.number.draw = 5;
    bench.options.void_draw = 5;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(journal_memory_count(bench.journal, RECORD_VOID, 5), 1);
    bench_close(&bench);
}

/* An id is used once, and draws go upwards: there is nothing left to do. */
Test(broker_start, with_draws_before_the_one_that_is_over_only_tells_its_result, .timeout = 10)
{
    struct bench bench;
    publish(&bench, 5);
    bench.options.terms.number.draw = 1;
    bench.options.draws = 2;
    bench.options.terms.quorum = 3;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    for (uint32_t draw = 1; draw <= 2; draw++) {
        cr_assert_eq(ask_for(&bench, draw), REFUSAL_UNKNOWN);
        cr_assert_eq(journal_memory_count(bench.journal, RECORD_OPENED, draw), 0);
    }
    cr_assert_eq(ask_for(&bench, 5), 0);
    bench_pass(&bench, bench.options.linger_ms + 1);
    cr_assert_eq(bench_verdict(&bench), STATUS_END);
    bench_close(&bench);
}

Test(broker_start, with_draws_before_the_one_that_is_open_is_refused, .timeout = 10)
{
    for (uint32_t draws = 4; draws <= 5; draws++) {
        struct bench bench;
        struct broker_options options;
        const char *problem;
        bench_options(&options);
        options.terms.number.draw = 5;
        bench_open(&bench, &options);
        bench.options.terms.number.draw = 1;
        bench.options.draws = draws;
        cr_assert_eq(bench_restart(&bench), draws == 5 ? STATUS_OK : STATUS_CONFIG);
        broker_verdict(bench.broker, &problem);
        if (draws == 4)
            cr_assert_not_null(strstr(problem, "start with --draw 5 to go on with it"), "%s",
                               problem);
        bench_close(&bench);
    }
}

/* The stores have to be told first; so the draw that is void is not passed over. */
Test(broker_start, with_a_later_draw_ends_the_void_of_the_one_before, .timeout = 10)
{
    static const struct digest zeros;
    struct bench bench;
    begin(&bench);
    bench_store(&bench, 50, 1, 1);
    bench.options.void_draw = 1;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    bench.options.void_draw = 0;
    bench.options.terms.number.draw = 5;
    cr_assert_eq(bench_restart(&bench), STATUS_OK);
    cr_assert_eq(ask_for(&bench, 5), REFUSAL_NOT_OPEN);
    bench_store(&bench, 51, 1, 2);
    bench_sealed(&bench, 51, &zeros);
    cr_assert_eq(ask_for(&bench, 1), REFUSAL_VOID);
    cr_assert_eq(ask_for(&bench, 5), 0);
    bench_close(&bench);
}

Test(broker_start, draws_that_lead_beyond_the_highest_id_end_with_it, .timeout = 10)
{
    static const struct {
        uint32_t draw;
        uint32_t draws;
        uint32_t unknown; /* the lowest id that no draw will have; 0: all are to come */
    } rows[] = {{5, 2, 7},
                {5, UINT32_MAX, 0},
                {5, UINT32_MAX - 4, 0},
                {5, UINT32_MAX - 5, UINT32_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        struct broker_options options;
        bench_options(&options);
        options.terms.number.draw = rows[i].draw;
        options.draws = rows[i].draws;
        bench_open(&bench, &options);
        cr_assert_eq(ask_for(&bench, rows[i].draw + 1), REFUSAL_NOT_OPEN, "row %zu", i);
        cr_assert_eq(ask_for(&bench, rows[i].unknown - 1), REFUSAL_NOT_OPEN, "row %zu", i);
        if (rows[i].unknown != 0)
            cr_assert_eq(ask_for(&bench, rows[i].unknown), REFUSAL_UNKNOWN, "row %zu", i);
        bench_close(&bench);
    }
}
