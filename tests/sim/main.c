/* Runs worlds: `sim FIRST COUNT` runs COUNT seeds from FIRST on, in as many processes as there are
 * processors; `sim SEED` runs one and prints what happens in it. A list of names behind either
 * narrows the kinds of faults. Exit 1 when something was violated, with the seeds that show it. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/garble.h"
#include "tests/sim/world.h"

enum {
    JOBS_MAX = 8,
    EXIT_USAGE = 64, /* as sysexits has it */
    VIOLATIONS_SHOWN = 20,
    ROWS_WORLDS = 10000, /* so many worlds of all kinds garble a letter in each way that there is */
};

/* What a process tells at its end. */
struct sum {
    uint64_t worlds;
    uint64_t violated;
    uint64_t steps;
    uint64_t counts[MISHAPS];
    uint64_t garbled[GARBLE_ROWS_MAX];
};

/* What is run. */
struct order {
    uint64_t first;
    uint64_t count;
    uint64_t allowed;
    bool traces;
};

static volatile uint64_t seed_under_way; /* for the signal's handler */

/* A CHECK failed, a pointer led nowhere, or a sanitizer found something: says in which world. */
static void on_abort(int signal_number)
{
    char text[64];
    int bytes = snprintf(text, sizeof text, "seed %" PRIu64 ": [check] the process aborts\n",
                         seed_under_way);
    (void)signal_number;
    if (bytes > 0)
        (void)!write(STDOUT_FILENO, text, (size_t)bytes);
    _exit(1);
}

static void run_one(uint64_t seed, const struct order *order, struct world *world, struct sum *sum)
{
    struct world_plan plan = plan_of_seed(seed, order->allowed, order->traces);
    seed_under_way = seed;
    world_create(world, &plan);
    sum->worlds++;
    if (!world_run(world)) {
        sum->violated++;
        if (sum->violated <= VIOLATIONS_SHOWN)
            printf("seed %" PRIu64 ": %u agencies, %u workers, at %lld ms: %s\n", seed,
                   plan.agencies, plan.workers, (long long)world->now_ms, world->violation);
        fflush(stdout);
    }
    sum->steps += world->steps;
    for (uint32_t i = 0; i < MISHAPS; i++)
        sum->counts[i] += world->counts[i];
    for (uint32_t i = 0; i < GARBLE_ROWS_MAX; i++)
        sum->garbled[i] += world->garbled[i];
    world_destroy(world);
}

/* Every `jobs`-th seed. */
static struct sum run_share(const struct order *order, uint64_t job, uint64_t jobs)
{
    struct sum sum = {0};
    struct world *world = malloc(sizeof *world);
    if (world == NULL)
        abort();
    for (uint64_t i = job; i < order->count; i += jobs)
        run_one(order->first + i, order, world, &sum);
    free(world);
    return sum;
}

static void add_sum(struct sum *sum, const struct sum *more)
{
    sum->worlds += more->worlds;
    sum->violated += more->violated;
    sum->steps += more->steps;
    for (uint32_t i = 0; i < MISHAPS; i++)
        sum->counts[i] += more->counts[i];
    for (uint32_t i = 0; i < GARBLE_ROWS_MAX; i++)
        sum->garbled[i] += more->garbled[i];
}

/* A process of its own for each share; what one that died did not tell counts as violated. */
static struct sum run_shares(const struct order *order, uint64_t jobs)
{
    struct sum sum = {0};
    int pipes[JOBS_MAX][2];
    pid_t children[JOBS_MAX];
    for (uint64_t job = 0; job < jobs; job++) {
        if (pipe(pipes[job]) != 0 || (children[job] = fork()) < 0)
            abort();
        if (children[job] > 0) {
            close(pipes[job][1]);
            continue;
        }
        struct sum share = run_share(order, job, jobs);
        bool is_told = write(pipes[job][1], &share, sizeof share) == sizeof share;
        exit(is_told ? 0 : 1);
    }
    for (uint64_t job = 0; job < jobs; job++) {
        struct sum share = {.violated = 1};
        if (read(pipes[job][0], &share, sizeof share) != sizeof share)
            share = (struct sum){.violated = 1};
        close(pipes[job][0]);
        (void)waitpid(children[job], NULL, 0);
        add_sum(&sum, &share);
    }
    return sum;
}

/* What a broken peer can say, and none has: tests/sim/coverage fails for it. */
static void print_rows_left_out(const struct sum *sum)
{
    const struct garble_row *row;
    for (size_t i = 0; (row = garble_row(i)) != NULL; i++)
        if (sum->garbled[i] == 0)
            printf("never garbled: %s with %s\n",
                   row->kind == 0 ? "a letter" : message_name((enum message_kind)row->kind),
                   row->what);
}

static void print_sum(const struct order *order, const struct sum *sum)
{
    printf("%" PRIu64 " worlds from seed %" PRIu64 ", %" PRIu64 " steps\n", sum->worlds,
           order->first, sum->steps);
    for (uint32_t i = 0; i < MISHAPS; i++)
        if (order->allowed & mishap_bit((enum mishap)i))
            printf("    %-15s %10" PRIu64 "  %s\n", mishap_name((enum mishap)i), sum->counts[i],
                   mishap_text((enum mishap)i));
    if ((order->allowed & mishap_bit(MISHAP_GARBLE)) && sum->worlds >= ROWS_WORLDS)
        print_rows_left_out(sum);
    printf("%" PRIu64 " worlds violated something\n", sum->violated);
}

static void print_faults(void)
{
    fprintf(stderr, "FAULTS: names with commas between them, of\n");
    for (uint32_t i = 0; i < MISHAPS; i++)
        fprintf(stderr, "    %-15s %s\n", mishap_name((enum mishap)i), mishap_text((enum mishap)i));
}

/* in: least: the least that it may be. returns false, and says why, where it is no such number. */
static bool read_number(const char *name, const char *text, uint64_t least, uint64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    *number = strtoull(text, NULL, 10);
    if (digits > 0 && text[digits] == '\0' && errno == 0 && *number >= least)
        return true;
    fprintf(stderr, "sim: %s is not one whole number from %" PRIu64 " to %" PRIu64 ": '%s'\n", name,
            least, UINT64_MAX, text);
    return false;
}

static bool read_faults(const char *text, uint64_t *faults)
{
    const char *unknown = mishaps_parse(text, faults);
    if (unknown == NULL)
        return true;
    fprintf(stderr, "sim: no kind of fault is called '%.*s'\n", (int)strcspn(unknown, ","),
            unknown);
    print_faults();
    return false;
}

/* returns false, and says why, where they are no order. */
static bool read_order(int argc, char **argv, struct order *order)
{
    *order = (struct order){.count = 1, .allowed = mishaps_all()};
    /* The names of faults begin with a letter. */
    bool has_count = argc == 4 || (argc == 3 && (argv[2][0] < 'a' || argv[2][0] > 'z'));
    int at = has_count ? 3 : 2;
    order->traces = !has_count;
    return read_number("the seed", argv[1], 0, &order->first) &&
           (!has_count || read_number("the count of worlds", argv[2], 1, &order->count)) &&
           (at >= argc || read_faults(argv[at], &order->allowed));
}

int main(int argc, char **argv)
{
    struct order order;
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: sim SEED [FAULTS] | sim FIRST_SEED COUNT [FAULTS]\n");
        print_faults();
        return EXIT_USAGE;
    }
    if (!read_order(argc, argv, &order))
        return EXIT_USAGE;
    struct sigaction aborts = {.sa_handler = on_abort};
    sigaction(SIGABRT, &aborts, NULL);
    sigaction(SIGSEGV, &aborts, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t jobs = processors < 1 ? 1 : processors > JOBS_MAX ? JOBS_MAX : (uint64_t)processors;
    if (jobs > order.count)
        jobs = order.count;
    struct sum sum = jobs > 1 ? run_shares(&order, jobs) : run_share(&order, 0, 1);
    print_sum(&order, &sum);
    return sum.violated == 0 ? 0 : 1;
}
