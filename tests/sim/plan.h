/* What a world is made of, all of it drawn from its seed: how many of each, what the draws are
 * like, and which kinds of faults happen in it. */
#ifndef SORTEO_TESTS_SIM_PLAN_H
#define SORTEO_TESTS_SIM_PLAN_H

#include "broker/record.h"

enum {
    WORLD_AGENCIES_MAX = 6,
    WORLD_WORKERS_MAX = 4,
    WORLD_ROWS_MAX = 64,
    WORLD_DRAWS_MAX = DRAWS_KEPT + 2,
};

/* The kinds of faults.
 *    kind            name in FAULTS=     what is counted */
#define MISHAP_TABLE(X)                                                                       \
    X(LOSS, "loss", "requests, replies and publications lost")                                \
    X(TWICE, "twice", "messages of agencies, and publications, that came twice")              \
    X(CUT, "cut", "connections broken, with a tail of what they carried")                     \
    X(STALL, "stall", "links, one way or both, that carried nothing for a while")             \
    X(BROKER, "broker", "brokers crashed")                                                    \
    X(WORKER, "worker", "workers crashed")                                                    \
    X(AGENCY, "agency", "agencies crashed")                                                   \
    X(TERM, "term", "workers told to end, which gave back what they had")                     \
    X(PAUSE, "pause", "processes stopped, and continued later")                               \
    X(CLOCK, "clock", "agencies started by a clock that had gone back")                       \
    X(SYNC, "sync", "syncs of a store failed")                                                \
    X(JOURNAL, "journal", "transactions of a journal failed")                                 \
    X(FULL, "full", "disks of stores that ended")                                             \
    X(ROT, "rot", "stored batches that lost a bit")                                           \
    X(TEAR, "tear", "stored batches that lost their end")                                     \
    X(LOST_STORE, "lost-store", "stores lost, their workers back with an empty one")          \
    X(GONE, "gone", "workers that never came back")                                           \
    X(COPIED_STORE, "copied-store", "stores copied, and the copy opened too")                 \
    X(EDIT, "edit", "files edited between two starts of their agency")                        \
    X(LEAVE, "leave", "agencies that never came back")                                        \
    X(TIMEOUT, "timeout", "barriers that timed out")                                          \
    X(VOID, "void", "draws made void by the operator")                                        \
    X(SECOND_BROKER, "second-broker", "brokers replaced while they stood still, one journal") \
    X(COPIED_JOURNAL, "copied-journal", "brokers replaced on a copy of their journal")        \
    X(LOST_JOURNAL, "lost-journal", "journals lost")                                          \
    X(MEMORY, "memory", "allocations of cores that failed")                                   \
    X(DISK, "disk", "operations of disks that failed, of stores and journals")                \
    X(STRANGER, "stranger", "messages of a stranger who speaks nonsense")                     \
    X(HALF, "half-open", "connections that passed nothing on until they were dialed anew")    \
    X(ROT_MANIFEST, "rot-manifest", "stored manifests that lost a bit")                       \
    X(GARBLE, "garble", "letters of broken peers, with something wrong in them")              \
    X(MISTAKE, "mistake", "starts of a broker with other flags than its journal's draw has")

enum mishap {
#define X(kind, name, text) MISHAP_##kind,
    MISHAP_TABLE(X)
#undef X
        MISHAPS
};

/* A set of kinds. */
static inline uint64_t mishap_bit(enum mishap mishap)
{
    return UINT64_C(1) << mishap;
}

/* Every kind. */
static inline uint64_t mishaps_all(void)
{
    return UINT64_MAX >> (64 - MISHAPS);
}

const char *mishap_name(enum mishap mishap);
const char *mishap_text(enum mishap mishap);
/* Reads "cut,broker". returns NULL, or where the first name begins that is unknown, up to the next
 * comma. */
const char *mishaps_parse(const char *text, uint64_t *faults);

struct world_plan {
    uint64_t seed;
    uint32_t agencies;
    uint32_t workers;
    uint32_t rows_max; /* of each agency's file */
    uint32_t draws;    /* from 1 on; the files are the same in each, but for edits */
    bool draws_number; /* else it is given */
    bool has_roster;
    bool is_impatient;          /* agencies give up before the world does, and are started again */
    int64_t barrier_timeout_ms; /* 0: none */
    enum timeout_action on_timeout;
    uint32_t quorum;
    uint64_t faults;    /* what may happen until faults_until_ms; then everything heals */
    uint32_t harshness; /* how many times as often as in the mildest world */
    int64_t faults_until_ms;
    int64_t ends_by_ms; /* every draw has to be over by then */
    bool traces;
    bool is_scripted; /* nothing happens by chance (exhaust.c) */
};

/* in: allowed: kinds that may happen at all; every third world has none. */
struct world_plan plan_of_seed(uint64_t seed, uint64_t allowed, bool traces);

static inline bool plan_has(const struct world_plan *plan, enum mishap mishap)
{
    return (plan->faults & mishap_bit(mishap)) != 0;
}

#endif
