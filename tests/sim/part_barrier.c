/* The barrier for two agencies: who takes part, who has finished, and a timeout that is decided. */
#include <stdlib.h>

#include "broker/barrier.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/parts.h"

enum {
    AGENCIES = 2,
    TIMEOUT_MS = 1000,
    OPERATION_JOIN = 0,               /* + agency */
    OPERATION_FINISH = AGENCIES,      /* + agency */
    OPERATION_TIMEOUT = 2 * AGENCIES, /* what is due is decided */
    OPERATIONS = 2 * AGENCIES + 1
};

struct modelled {
    struct barrier *barrier;
    bool takes_part[AGENCIES];
    bool has_finished[AGENCIES];
    bool is_decided;
    bool is_void;
    bool is_member[AGENCIES];
};

static void *create(void)
{
    struct modelled *modelled = calloc(1, sizeof *modelled);
    struct terms terms = {.agencies_required = AGENCIES,
                          .barrier_timeout_ms = TIMEOUT_MS,
                          .on_timeout = TIMEOUT_DRAW,
                          .quorum = 1};
    CHECK(modelled != NULL && barrier_create(&terms, &modelled->barrier) == STATUS_OK);
    return modelled;
}

static void destroy(void *part)
{
    struct modelled *modelled = part;
    barrier_destroy(&modelled->barrier);
    free(modelled);
}

static uint32_t count(const bool *of, const struct modelled *modelled)
{
    uint32_t counted = 0;
    for (uint32_t i = 0; i < AGENCIES; i++)
        counted += of[i] && (!modelled->is_decided || modelled->is_member[i]);
    return counted;
}

static bool decide(struct modelled *modelled)
{
    enum timeout_action action;
    uint32_t members[AGENCIES];
    if (!barrier_is_overdue(modelled->barrier, 2 * TIMEOUT_MS, &action))
        return false;
    uint32_t finished = count(modelled->has_finished, modelled);
    CHECK((action == TIMEOUT_DRAW) == (finished >= 1));
    uint32_t named = (uint32_t)barrier_finished(modelled->barrier, members, AGENCIES);
    CHECK(named == finished);
    barrier_decide(modelled->barrier, action, members, named);
    modelled->is_decided = true;
    modelled->is_void = action == TIMEOUT_VOID;
    for (uint32_t i = 0; i < AGENCIES; i++)
        modelled->is_member[i] = modelled->has_finished[i];
    return true;
}

static bool apply(void *part, uint32_t operation)
{
    struct modelled *modelled = part;
    uint32_t agency = operation % AGENCIES;
    if (operation == OPERATION_TIMEOUT)
        return decide(modelled);
    if (operation >= OPERATION_FINISH) {
        barrier_finish(modelled->barrier, agency + 1);
        modelled->has_finished[agency] =
            modelled->has_finished[agency] || modelled->takes_part[agency];
        return true;
    }
    bool may_join = !modelled->is_decided || (!modelled->is_void && modelled->is_member[agency]);
    CHECK((barrier_join(modelled->barrier, agency + 1, 0) == STATUS_OK) == may_join);
    modelled->takes_part[agency] = modelled->takes_part[agency] || may_join;
    return true;
}

static const char *check(void *part)
{
    const struct modelled *modelled = part;
    uint32_t missing[AGENCIES];
    uint32_t finished = count(modelled->has_finished, modelled);
    uint32_t expected = modelled->is_decided && !modelled->is_void
                            ? count(modelled->is_member, modelled)
                            : AGENCIES;
    enum barrier_outcome outcome = modelled->is_void      ? BARRIER_BROKEN
                                   : finished == expected ? BARRIER_RELEASED
                                                          : BARRIER_CLOSED;
    if (barrier_outcome(modelled->barrier) != outcome)
        return "the outcome differs";
    if (modelled->is_void)
        return NULL;
    if (barrier_finished_count(modelled->barrier) != finished ||
        barrier_expected_count(modelled->barrier) != expected)
        return "the numbers differ";
    uint32_t known = count(modelled->takes_part, modelled);
    if (barrier_missing(modelled->barrier, missing, AGENCIES) != known - finished)
        return "who is missing differs";
    for (uint32_t i = 0; i < AGENCIES; i++)
        if (barrier_excludes(modelled->barrier, i + 1) !=
            (modelled->is_decided && modelled->takes_part[i] && !modelled->is_member[i]))
            return "who is left out differs";
    return NULL;
}

static uint64_t print(const void *part)
{
    const struct modelled *modelled = part;
    return barrier_fingerprint(modelled->barrier, FINGERPRINT_BASIS);
}

const struct part part_barrier = {"barrier", OPERATIONS, create, destroy, apply, check, print};
