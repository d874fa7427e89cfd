/* Runs worlds: `sim FIRST COUNT` runs COUNT seeds from FIRST on, every third without faults; `sim
 * SEED` runs one and prints what happens in it. Exit 1 at the first violation, with the seed that
 * shows it again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/world.h"

/* Most worlds have one draw, some a few, and some so many that stores are told to forget. */
static uint32_t draws_of(struct dice *dice)
{
    uint32_t face = dice_below(dice, 10);
    return face < 5 ? 1 : face < 9 ? 2 + dice_below(dice, 2) : DRAWS_KEPT + 2;
}

static struct world_plan plan_of(uint64_t seed, bool traces)
{
    struct dice dice = {seed ^ 0x5eed};
    struct world_plan plan = {
        .seed = seed,
        .agencies = 1 + dice_below(&dice, WORLD_AGENCIES_MAX),
        .workers = 1 + dice_below(&dice, WORLD_WORKERS_MAX),
        .rows_max = 1 + dice_below(&dice, WORLD_ROWS_MAX),
        .draws = draws_of(&dice),
        .is_lossy = seed % 3 != 0,
        .harshness = 1 + dice_below(&dice, 20),
        .faults_until_ms = 20000 + dice_below(&dice, 40000),
        .ends_by_ms = 1000000,
        .traces = traces,
        .quorum = 1,
    };
    if (dice_below(&dice, 3) == 0) {
        plan.barrier_timeout_ms = 1000 + dice_below(&dice, 30000);
        plan.on_timeout = dice_below(&dice, 3) == 0 ? TIMEOUT_VOID : TIMEOUT_DRAW;
        plan.quorum = 1 + dice_below(&dice, plan.agencies);
    }
    plan.loses_journal = plan.barrier_timeout_ms == 0 && dice_below(&dice, 4) == 0;
    return plan;
}

static bool run_one(uint64_t seed, bool traces, struct world_counts *sum)
{
    struct world *world = malloc(sizeof *world);
    if (world == NULL)
        abort();
    struct world_plan plan = plan_of(seed, traces);
    world_create(world, &plan);
    bool is_fine = world_run(world);
    if (!is_fine)
        printf("seed %" PRIu64 ": %u agencies, %u workers, %s, at %lld ms: %s\n", seed,
               plan.agencies, plan.workers, plan.is_lossy ? "lossy" : "lossless",
               (long long)world->now_ms, world->violation);
    sum->steps += world->counts.steps;
    sum->letters_lost += world->counts.letters_lost;
    sum->broker_crashes += world->counts.broker_crashes;
    sum->worker_crashes += world->counts.worker_crashes;
    sum->agency_crashes += world->counts.agency_crashes;
    sum->cuts += world->counts.cuts;
    sum->failed_syncs += world->counts.failed_syncs;
    sum->full_disks += world->counts.full_disks;
    sum->pauses += world->counts.pauses;
    sum->lost_stores += world->counts.lost_stores;
    sum->rotten += world->counts.rotten;
    sum->lost_journals += world->counts.lost_journals;
    world_destroy(world);
    free(world);
    return is_fine;
}

int main(int argc, char **argv)
{
    struct world_counts sum = {0};
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: sim SEED | sim FIRST_SEED COUNT\n");
        return 64;
    }
    uint64_t first = strtoull(argv[1], NULL, 10);
    uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t violated = 0;
    for (uint64_t seed = first; seed < first + count; seed++)
        violated += !run_one(seed, argc == 2, &sum);
    printf("%" PRIu64 " worlds from seed %" PRIu64 ": %" PRIu64 " violated; steps %" PRIu64
           ", letters lost %" PRIu64 ", cuts %" PRIu64 ", crashes of broker %" PRIu64
           ", workers %" PRIu64 ", agencies %" PRIu64 ", failed syncs %" PRIu64
           ", full disks %" PRIu64 ", pauses %" PRIu64 ", lost stores %" PRIu64
           ", rotten batches %" PRIu64 ", lost journals %" PRIu64 "\n",
           count, first, violated, sum.steps, sum.letters_lost, sum.cuts, sum.broker_crashes,
           sum.worker_crashes, sum.agency_crashes, sum.failed_syncs, sum.full_disks, sum.pauses,
           sum.lost_stores, sum.rotten, sum.lost_journals);
    return violated == 0 ? 0 : 1;
}
