#include "proto/host/clock.h"

#include <criterion/criterion.h>
#include <time.h>

#include "proto/host/random.h"

TestSuite(clock, .timeout = 10);
TestSuite(random, .timeout = 10);

Test(clock, now_never_goes_back_and_goes_on)
{
    int64_t begin_at = clock_now_ms();
    int64_t last_at = begin_at;
    while (last_at <
           begin_at + 3) { /* turns until the clock has moved; the suite's timeout ends it */
        int64_t now_ms = clock_now_ms();
        cr_assert_geq(now_ms, last_at);
        last_at = now_ms;
    }
}

/* The wall clock is set while we run; the monotonic one counts from the machine's start. */
Test(clock, now_is_not_the_wall_clock)
{
    struct timespec monotonic;
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &monotonic), 0);
    int64_t now_ms = clock_now_ms();
    cr_assert_geq(now_ms, (int64_t)monotonic.tv_sec * 1000);
    cr_assert_lt(now_ms, ((int64_t)monotonic.tv_sec + 60) * 1000);
}

Test(clock, wall_clock_tells_the_same_in_ms_and_ns)
{
    int64_t before_s = (int64_t)time(NULL);
    int64_t wall_ms = clock_wall_ms();
    uint64_t wall_ns = clock_wall_ns();
    int64_t after_s = (int64_t)time(NULL);
    cr_assert_geq(wall_ms, before_s * 1000 - 1000); /* time() may lag by a tick */
    cr_assert_leq(wall_ms, (after_s + 1) * 1000);
    cr_assert_geq(wall_ns, (uint64_t)wall_ms * 1000000u);
    cr_assert_leq(wall_ns, (uint64_t)(after_s + 1) * 1000000000u);
}

Test(clock, today_is_a_date_as_a_number_in_local_time)
{
    char before[16];
    char after[16];
    time_t now = time(NULL);
    strftime(before, sizeof before, "%Y%m%d", localtime(&now));
    uint32_t today = clock_today();
    now = time(NULL);
    strftime(after, sizeof after, "%Y%m%d", localtime(&now));
    cr_assert_geq(today, (uint32_t)strtoul(before, NULL, 10));
    cr_assert_leq(today, (uint32_t)strtoul(after, NULL, 10));
}

Test(random, ids_differ)
{
    struct id a = {{0}};
    struct id b = {{0}};
    random_id(&a);
    random_id(&b);
    cr_assert_not(id_is_equal(&a, &b));
}

Test(random, fills_every_byte_and_not_one_more)
{
    enum { BYTES = 1000, ROUNDS = 16 };
    unsigned char seen[BYTES + 1] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char bytes[BYTES + 1] = {0};
        random_fill(bytes, BYTES);
        for (int i = 0; i <= BYTES; i++)
            seen[i] |= bytes[i];
    }
    for (int i = 0; i < BYTES; i++)
        cr_assert_neq(seen[i], 0, "byte %d stayed zero in 16 rounds", i);
    cr_assert_eq(seen[BYTES], 0);
}
