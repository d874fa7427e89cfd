/* Pauses and their jitter. The generator is splitmix64: any seed is fine, and it costs nothing. */
#include "agency/pace.h"

static uint64_t next_random(struct pace *pace)
{
    pace->random += 0x9e3779b97f4a7c15U;
    uint64_t mixed = pace->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

/* pause_ms with up to a quarter more. */
static int64_t with_jitter(struct pace *pace, int64_t pause_ms)
{
    uint64_t choices = (uint64_t)(pause_ms / 4) + 1;
    return pause_ms + (int64_t)(next_random(pace) % choices);
}

void pace_begin(struct pace *pace, uint64_t seed)
{
    *pace = (struct pace){
        .random = seed,
        .quick_ms = PACE_QUICK_MS_MIN,
        .barrier_ms = WAIT_MS_MIN,
        .reply_ms = RETRY_MS,
    };
}

int64_t pace_quick(struct pace *pace, bool has_changed)
{
    int64_t pause_ms = has_changed ? pace->quick_ms / 4 : pace->quick_ms * 2;
    if (pause_ms < PACE_QUICK_MS_MIN)
        pause_ms = PACE_QUICK_MS_MIN;
    if (pause_ms > PACE_QUICK_MS_MAX)
        pause_ms = PACE_QUICK_MS_MAX;
    pace->quick_ms = pause_ms;
    return pause_ms;
}

int64_t pace_barrier(struct pace *pace)
{
    int64_t pause_ms = with_jitter(pace, pace->barrier_ms);
    pace->barrier_ms *= 2;
    if (pace->barrier_ms > PACE_BARRIER_STEP_MS_MAX)
        pace->barrier_ms = PACE_BARRIER_STEP_MS_MAX;
    return pause_ms;
}

void pace_reset_barrier(struct pace *pace)
{
    pace->barrier_ms = WAIT_MS_MIN;
}

int64_t pace_reply(struct pace *pace)
{
    return with_jitter(pace, pace->reply_ms);
}

void pace_redialled(struct pace *pace)
{
    pace->reply_ms *= 2;
    if (pace->reply_ms > PACE_REPLY_MS_MAX)
        pace->reply_ms = PACE_REPLY_MS_MAX;
}

void pace_answered(struct pace *pace)
{
    pace->reply_ms = RETRY_MS;
}
