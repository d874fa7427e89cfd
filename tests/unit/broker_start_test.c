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
    for (int flag = 0; flag < 9; flag++) {
        struct bench bench;
        const char *problem;
        begin(&bench);
        struct terms *terms = &bench.options.terms;
        terms->agencies_required += flag == 0;
        terms->number.range_last += flag == 1;
        terms->number.given += flag == 2;
        terms->barrier_timeout_ms += flag == 3;
        terms->quorum += flag == 4;
        terms->on_timeout = flag == 5 ? TIMEOUT_DRAW : TIMEOUT_VOID;
        terms->number.range_first += flag == 6;
        terms->number.is_given = flag != 7;
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
