/* Pauses: bounds, growth, jitter from a seed. */
#include <criterion/criterion.h>

#include "agency/pace.h"

TestSuite(pace, .timeout = 10);

Test(pace, quick_doubles_without_change_and_quarters_with_one)
{
    struct pace pace;
    pace_begin(&pace, 1);
    int64_t last_ms = PACE_QUICK_MS_MIN;
    for (int i = 0; i < 7; i++) {
        int64_t pause_ms = pace_quick(&pace, false);
        cr_assert_eq(pause_ms, last_ms * 2);
        last_ms = pause_ms;
    }
    cr_assert_eq(pace_quick(&pace, false), PACE_QUICK_MS_MAX);
    cr_assert_eq(pace_quick(&pace, false), PACE_QUICK_MS_MAX);
    cr_assert_eq(pace_quick(&pace, true), PACE_QUICK_MS_MAX / 4);
    for (int i = 0; i < 4; i++)
        last_ms = pace_quick(&pace, true);
    cr_assert_eq(last_ms, PACE_QUICK_MS_MIN);
}

Test(pace, barrier_grows_to_its_maximum_with_jitter_and_can_be_reset)
{
    struct pace pace;
    pace_begin(&pace, 2);
    const int64_t steps[] = {1000, 2000, 4000, 8000, 12000, 12000, 12000};
    for (int i = 0; i < 7; i++) {
        int64_t pause_ms = pace_barrier(&pace);
        cr_assert_geq(pause_ms, steps[i]);
        cr_assert_leq(pause_ms, steps[i] * 5 / 4);
        cr_assert_leq(pause_ms, WAIT_MS_MAX);
    }
    pace_reset_barrier(&pace);
    cr_assert_leq(pace_barrier(&pace), 1250);
}

Test(pace, jitter_differs_between_seeds_and_repeats_for_one)
{
    struct pace one, same, other;
    pace_begin(&one, 3);
    pace_begin(&same, 3);
    pace_begin(&other, 4);
    int differences = 0;
    for (int i = 0; i < 20; i++) {
        int64_t pause_ms = pace_barrier(&one);
        cr_assert_eq(pause_ms, pace_barrier(&same));
        differences += pause_ms != pace_barrier(&other);
    }
    cr_assert_gt(differences, 10);
}

Test(pace, patience_doubles_with_each_dial_and_ends_with_an_answer)
{
    struct pace pace;
    pace_begin(&pace, 5);
    const int64_t steps[] = {1000, 2000, 4000, 8000, 8000};
    for (int i = 0; i < 5; i++) {
        int64_t pause_ms = pace_reply(&pace);
        cr_assert_geq(pause_ms, steps[i]);
        cr_assert_leq(pause_ms, steps[i] * 5 / 4);
        pace_redialled(&pace);
    }
    pace_answered(&pace);
    cr_assert_leq(pace_reply(&pace), RETRY_MS * 5 / 4);
}
