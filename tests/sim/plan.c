#include "tests/sim/plan.h"

#include <string.h>

#include "tests/sim/dice.h"

static const struct {
    const char *name;
    const char *text;
} mishaps_known[MISHAPS] = {
#define X(kind, name, text) {name, text},
    MISHAP_TABLE(X)
#undef X
};

_Static_assert((int)MISHAPS <= 64, "a set of kinds has 64 bits (mishap_bit)");

const char *mishap_name(enum mishap mishap)
{
    return mishaps_known[mishap].name;
}

const char *mishap_text(enum mishap mishap)
{
    return mishaps_known[mishap].text;
}

static bool find_mishap(const char *name, size_t bytes, enum mishap *mishap)
{
    for (uint32_t i = 0; i < MISHAPS; i++)
        if (strlen(mishaps_known[i].name) == bytes &&
            memcmp(mishaps_known[i].name, name, bytes) == 0) {
            *mishap = (enum mishap)i;
            return true;
        }
    return false;
}

const char *mishaps_parse(const char *text, uint64_t *faults)
{
    *faults = 0;
    do {
        enum mishap mishap;
        size_t bytes = strcspn(text, ",");
        if (!find_mishap(text, bytes, &mishap))
            return text;
        *faults |= mishap_bit(mishap);
        text += bytes;
    } while (*text++ == ',');
    return NULL;
}

/* -- which kinds go together -- */

#define BIT(kind) (UINT64_C(1) << MISHAP_##kind)
/* What an acknowledged batch can be lost by: its agency has to be there to send it again. */
static const uint64_t LOSE_BATCHES =
    BIT(ROT) | BIT(TEAR) | BIT(LOST_STORE) | BIT(GONE) | BIT(COPIED_STORE);
static const uint64_t LOSE_JOURNAL = BIT(COPIED_JOURNAL) | BIT(LOST_JOURNAL);
/* What makes two brokers that do not know of each other decide in two ways. */
static const uint64_t DIVIDE = BIT(EDIT) | BIT(LEAVE) | BIT(TIMEOUT) | BIT(VOID);
#undef BIT

static bool one_in(struct dice *dice, uint32_t cases)
{
    return dice_below(dice, cases) == 0;
}

static uint64_t choose_mishaps(struct dice *dice)
{
    uint64_t faults = mishaps_all();
    if (one_in(dice, 4)) {
        faults &= ~(LOSE_BATCHES | DIVIDE);
        if (one_in(dice, 2))
            faults &= ~mishap_bit(one_in(dice, 2) ? MISHAP_COPIED_JOURNAL : MISHAP_LOST_JOURNAL);
        /* Where no journal has it, somebody has to have the manifest. */
        return faults & ~mishap_bit(MISHAP_ROT_MANIFEST);
    }
    faults &= ~LOSE_JOURNAL;
    if (!one_in(dice, 3))
        faults &= ~mishap_bit(MISHAP_TIMEOUT);
    if (!one_in(dice, 2))
        faults &= ~mishap_bit(MISHAP_EDIT);
    if (!one_in(dice, 4))
        faults &= ~mishap_bit(MISHAP_VOID);
    if (!one_in(dice, 2))
        faults &= ~mishap_bit(MISHAP_SECOND_BROKER);
    /* Whoever is away for good sends nothing again. */
    if (plan_has(&(struct world_plan){.faults = faults}, MISHAP_TIMEOUT) && one_in(dice, 2))
        faults &= ~LOSE_BATCHES;
    else
        faults &= ~mishap_bit(MISHAP_LEAVE);
    return faults;
}

/* Kinds that came later have dice of their own: the others are chosen as before. */
static uint64_t leave_some_out(uint64_t seed)
{
    struct dice dice = {seed ^ 0xa11};
    uint64_t left_out = 0;
    for (enum mishap mishap = MISHAP_MEMORY; mishap < MISHAPS; mishap++)
        if (!one_in(&dice, 4))
            left_out |= mishap_bit(mishap);
    return left_out;
}

/* Only a broker that recovers asks for a manifest, which a broken peer can spoil: more worlds with
 * `garble` lose their journal than others. Those without it are chosen as before. */
static uint64_t recover_more(uint64_t seed, uint64_t faults, uint64_t allowed)
{
    struct dice dice = {seed ^ 0x6a4b};
    uint64_t journal = mishap_bit(MISHAP_LOST_JOURNAL);
    if ((faults & mishap_bit(MISHAP_GARBLE)) == 0 || (allowed & journal) == 0 || !one_in(&dice, 4))
        return faults;
    return (faults & ~(LOSE_BATCHES | DIVIDE | mishap_bit(MISHAP_ROT_MANIFEST))) | journal;
}

/* Most worlds have one draw, some a few, and some so many that stores are told to forget. */
static uint32_t choose_draws(struct dice *dice)
{
    uint32_t face = dice_below(dice, 10);
    return face < 5 ? 1 : face < 9 ? 2 + dice_below(dice, 2) : WORLD_DRAWS_MAX;
}

struct world_plan plan_of_seed(uint64_t seed, uint64_t allowed, bool traces)
{
    struct dice dice = {seed ^ 0x5eed};
    struct world_plan plan = {
        .seed = seed,
        .agencies = 1 + dice_below(&dice, WORLD_AGENCIES_MAX),
        .workers = 1 + dice_below(&dice, WORLD_WORKERS_MAX),
        .rows_max = 1 + dice_below(&dice, WORLD_ROWS_MAX),
        .draws = choose_draws(&dice),
        .harshness = 1 + dice_below(&dice, 20),
        .faults_until_ms = 20000 + dice_below(&dice, 40000),
        .ends_by_ms = 1000000,
        .traces = traces,
        .quorum = 1,
    };
    plan.faults = choose_mishaps(&dice) & ~leave_some_out(seed) & allowed;
    plan.faults = recover_more(seed, plan.faults, allowed);
    if (seed % 3 == 0)
        plan.faults = 0;
    /* Stores are told to forget after most of many draws, and then something may be wrong still. */
    if (plan_has(&plan, MISHAP_GARBLE) && plan.draws == WORLD_DRAWS_MAX)
        plan.faults_until_ms *= 5;
    /* Two brokers that open a draw each on copies of one journal would draw two seeds. */
    plan.draws_number = one_in(&dice, 2) && !plan_has(&plan, MISHAP_COPIED_JOURNAL);
    plan.has_roster = one_in(&dice, 4);
    plan.is_impatient = plan.faults != 0 && one_in(&dice, 3);
    if (plan_has(&plan, MISHAP_TIMEOUT)) {
        plan.barrier_timeout_ms = 1000 + dice_below(&dice, 30000);
        plan.on_timeout = one_in(&dice, 3) ? TIMEOUT_VOID : TIMEOUT_DRAW;
        plan.quorum = 1 + dice_below(&dice, plan.agencies);
    }
    return plan;
}
