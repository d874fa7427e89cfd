/* Every order of events, and every one or two faults at every place, in a small world: agencies
 * with one batch each, and stores (choices.h). What was reached before (states.h) is not gone
 * through again. Where a path has another choice left, a snapshot of the world's memory is
 * taken, and restored for it (arena.h).
 *
 *     exhaust FAULTS AGENCIES STORES     at most so many faults (0 to 2)
 *     exhaust parts                      barrier, ledger and count, each alone (parts.h)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/arena.h"
#include "tests/sim/choices.h"
#include "tests/sim/machine.h"
#include "tests/sim/parts.h"
#include "tests/sim/states.h"

enum {
    DEPTH_MAX = 4000,
    ENDS_BY_MS = 200000,
};

/* A place on the path that is gone. */
struct place {
    struct choices choices;
    uint32_t taken; /* which of them the path goes on with */
    uint32_t faults;
    uint64_t print;  /* of the state there */
    size_t snapshot; /* of the world there, where there are several choices */
};

struct search {
    struct world *world;
    struct states *states; /* owned */
    struct place *path;    /* DEPTH_MAX; owned */
    uint32_t depth;
    uint32_t agencies;
    uint32_t stores;
    uint32_t faults_max;
    bool has_led[ACTS]; /* to a state that was new */
    uint64_t steps;
    uint64_t ends;
};

static bool is_over(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (!world->agencies[i].is_done)
            return false;
    return true;
}

static void begin_world(struct search *search, uint64_t seed)
{
    struct world_plan plan = {
        .seed = seed,
        .agencies = search->agencies,
        .workers = search->stores,
        .rows_max = 1,
        .draws = 1,
        .quorum = 1,
        .faults_until_ms = INT64_MAX,
        .ends_by_ms = INT64_MAX,
        .is_scripted = true,
    };
    world_create(search->world, &plan);
}

/* A seed with which each agency has its one bet. */
static uint64_t find_seed(struct search *search)
{
    for (uint64_t seed = 1;; seed++) {
        begin_world(search, seed);
        bool has_bets = true;
        for (uint32_t i = 0; i < search->agencies; i++)
            has_bets = has_bets && search->world->agencies[i].file.versions[0].rows_count == 1;
        world_destroy(search->world);
        if (has_bets)
            return seed;
    }
}

static const struct choice *taken_at(const struct place *place)
{
    return &place->choices.all[place->taken];
}

static void apply(struct search *search, const struct choice *choice)
{
    choice_apply(search->world, choice);
    invariants_check(search->world);
    if (search->world->now_ms > ENDS_BY_MS)
        world_violate(search->world, "[ends] it does not end");
    search->steps++;
}

/* Takes places without another choice off the path. returns false when none is left; else the
 * world is as it was at the last one, and takes the next choice there. */
static bool turn_back(struct search *search)
{
    while (search->depth > 0) {
        struct place *place = &search->path[search->depth - 1];
        if (++place->taken < place->choices.count) {
            arena_restore(place->snapshot);
            return true;
        }
        if (place->choices.count > 1)
            arena_drop(place->snapshot);
        search->depth--;
    }
    return false;
}

static bool enter_state(struct search *search, uint64_t print, uint32_t faults)
{
    bool is_new = states_enter(search->states, print, faults);
    if (is_new && search->depth > 0)
        search->has_led[taken_at(&search->path[search->depth - 1])->act] = true;
    return is_new;
}

/* A fault that never leads to a new state is not gone on from: as good as left out. */
static bool every_fault_has_led(const struct search *search)
{
    bool is_fine = true;
    for (uint32_t act = 0; act < ACTS && search->faults_max > 0; act++) {
        if (search->has_led[act])
            continue;
        printf("nothing new comes of: %s\n", choice_name((enum act)act));
        is_fine = false;
    }
    return is_fine;
}

/* Where the path was in this state last; NULL: it was not. */
static const struct place *find_on_path(const struct search *search, uint64_t print,
                                        uint32_t faults)
{
    for (uint32_t i = search->depth; i > 0; i--)
        if (search->path[i - 1].print == print && search->path[i - 1].faults == faults)
            return &search->path[i - 1];
    return NULL;
}

/* One more place, with the world as it is now. returns false when the path ends here. A state that
 * the path was in already is one in which somebody waits: nothing but time has passed, and it goes
 * on as it did there, without another fault, until something else is so, or it never ends. */
static bool go_on(struct search *search)
{
    uint32_t faults = 0;
    if (search->depth > 0) {
        const struct place *last = &search->path[search->depth - 1];
        faults = last->faults + choice_is_fault(taken_at(last));
    }
    uint64_t print = states_print(search->world);
    bool is_new = enter_state(search, print, faults);
    const struct place *before = is_new ? NULL : find_on_path(search, print, faults);
    if (!is_new && before == NULL)
        return false;
    if (is_over(search->world)) {
        search->ends++;
        return false;
    }
    CHECK(search->depth < DEPTH_MAX);
    struct place *place = &search->path[search->depth++];
    place->faults = faults;
    place->print = print;
    place->taken = 0;
    if (is_new)
        choices_offer(search->world, faults < search->faults_max, &place->choices);
    else
        choices_offer_one(search->world, taken_at(before), &place->choices);
    if (place->choices.count > 1)
        place->snapshot = arena_snapshot();
    return true;
}

static bool run(struct search *search, uint64_t seed)
{
    begin_world(search, seed);
    bool goes_on = go_on(search);
    while (search->depth > 0) {
        if (!goes_on && !turn_back(search))
            break;
        apply(search, taken_at(&search->path[search->depth - 1]));
        if (search->world->violation[0] != '\0') {
            printf("after %u steps: %s\n", search->depth, search->world->violation);
            for (uint32_t i = 0; i < search->depth; i++)
                choice_print(taken_at(&search->path[i]));
            return false;
        }
        goes_on = go_on(search);
    }
    world_destroy(search->world);
    return true;
}

static bool explore_parts(void)
{
    static const struct part *const parts[] = {&part_barrier, &part_ledger, &part_count};
    bool is_fine = true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t states = 0;
        is_fine = parts_explore(parts[i], &states) && is_fine;
        printf("%s alone, 2 agencies, 2 batches each, 2 stores: %" PRIu64 " states\n",
               parts[i]->name, states);
        fflush(stdout);
    }
    return is_fine;
}

static bool explore(uint32_t faults, uint32_t agencies, uint32_t stores)
{
    struct search search = {
        .path = calloc(DEPTH_MAX, sizeof(struct place)),
        .states = states_create(),
        .faults_max = faults,
        .agencies = agencies,
        .stores = stores,
    };
    machine_open_arena();
    search.world = calloc(1, sizeof *search.world);
    CHECK(search.world != NULL && search.path != NULL);
    bool is_fine = run(&search, find_seed(&search)) && every_fault_has_led(&search);
    printf("%u agencies with 1 batch each, %u stores, at most %u faults: %" PRIu64
           " states, %" PRIu64 " steps, %" PRIu64 " ends\n",
           agencies, stores, faults, states_count(search.states), search.steps, search.ends);
    fflush(stdout);
    machine_close_arena();
    free(search.path);
    states_destroy(&search.states);
    return is_fine;
}

static uint32_t read_number(const char *text, uint32_t least, uint32_t most)
{
    unsigned long number = strtoul(text, NULL, 10);
    if (number >= least && number <= most)
        return (uint32_t)number;
    fprintf(stderr, "exhaust: %s is not from %u to %u\n", text, least, most);
    exit(64);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "parts") == 0)
        return explore_parts() ? 0 : 1;
    if (argc != 4) {
        fprintf(stderr, "usage: exhaust FAULTS AGENCIES STORES | exhaust parts\n");
        return 64;
    }
    uint32_t faults = read_number(argv[1], 0, 2);
    uint32_t agencies = read_number(argv[2], 1, WORLD_AGENCIES_MAX);
    uint32_t stores = read_number(argv[3], 1, WORLD_WORKERS_MAX);
    return explore(faults, agencies, stores) ? 0 : 1;
}
