#include "proto/host/clock.h"

#include <time.h>

#include "proto/wire/check.h"

static struct timespec clock_read(clockid_t clock)
{
    struct timespec at;
    CHECK(clock_gettime(clock, &at) == 0); /* fails only for a clock that does not exist */
    return at;
}

int64_t clock_now_ms(void)
{
    struct timespec at = clock_read(CLOCK_MONOTONIC);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

uint64_t clock_wall_ns(void)
{
    struct timespec at = clock_read(CLOCK_REALTIME);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(clock_wall_ns() / 1000000u);
}

uint32_t clock_today(void)
{
    time_t now = clock_read(CLOCK_REALTIME).tv_sec;
    struct tm day;
    CHECK(localtime_r(&now, &day) != NULL); /* fails only for years that do not fit an int */
    return (uint32_t)((day.tm_year + 1900) * 10000 + (day.tm_mon + 1) * 100 + day.tm_mday);
}
