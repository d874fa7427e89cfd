/* One simulated world: a broker, some workers and agencies, made of the real cores; a network,
 * disks and a clock that are not real. One seed is one world, to the byte. */
#ifndef SORTEO_TESTS_SIM_WORLD_H
#define SORTEO_TESTS_SIM_WORLD_H

#include "agency/agency.h"
#include "tests/sim/journal_memory.h"
#include "tests/sim/network.h"
#include "worker/store.h"
#include "worker/worker.h"

enum {
    WORLD_AGENCIES_MAX = 6,
    WORLD_WORKERS_MAX = 4,
    WORLD_ROWS_MAX = 64,
    LOST_STORES_MAX = 40,
    ROTTEN_MAX = 40
};

/* What the world is made of. */
struct world_plan {
    uint64_t seed;
    uint32_t agencies;
    uint32_t workers;
    uint32_t rows_max;          /* of each agency's file */
    uint32_t draws;             /* from 1 on; the files are the same in each */
    int64_t barrier_timeout_ms; /* 0: none */
    enum timeout_action on_timeout;
    uint32_t quorum;
    bool loses_journal;
    bool is_lossy;      /* faults until faults_until_ms; then everything heals */
    uint32_t harshness; /* how many times as often as in the mildest world */
    int64_t faults_until_ms;
    int64_t ends_by_ms; /* every draw has to be over by then */
    bool traces;
};

/* How often each kind of fault happened. */
struct world_counts {
    uint64_t steps;
    uint64_t letters_lost;
    uint64_t broker_crashes;
    uint64_t worker_crashes;
    uint64_t agency_crashes;
    uint64_t cuts; /* connections broken */
    uint64_t failed_syncs;
    uint64_t full_disks;
    uint64_t pauses;
    uint64_t lost_stores;
    uint64_t rotten;
    uint64_t lost_journals;
};

/* A bet of a file of the world. */
struct sim_row {
    uint32_t document;
    uint32_t number;
};

struct broker_actor {
    bool is_up;
    int64_t paused_until_ms; /* stopped like by SIGSTOP */
    struct broker *broker;
    struct outbox *outbox;
    struct records *records;
    struct archive archive;
    uint64_t epoch;
    int64_t due_at_ms;
    struct letter **waiting; /* bets that it did not want yet, in order; owned */
    size_t waiting_count;
    size_t waiting_size;
};

struct worker_actor {
    bool is_up;
    int64_t paused_until_ms; /* stopped like by SIGSTOP */
    struct worker *worker;
    struct store *store; /* survives a crash, as far as it was synced */
    struct outbox *outbox;
    int64_t due_at_ms;
    int64_t starts_at_ms; /* while it is down */
};

struct agency_actor {
    bool is_up;
    int64_t paused_until_ms; /* stopped like by SIGSTOP */
    bool has_stored;         /* its winners are on disk */
    bool is_done;            /* and it has ended, in the last draw */
    uint32_t draw;
    struct agency *agency;
    struct outbox *outbox;
    struct hasher *hasher;
    int64_t due_at_ms;
    int64_t starts_at_ms;
    uint64_t incarnation;
    uint64_t token; /* of the request that is under way */
    struct sim_row rows[WORLD_ROWS_MAX];
    uint32_t rows_count;
    bool is_reading;
    uint32_t rows_read; /* rows that were cut */
    uint32_t batch_first_row[WORLD_ROWS_MAX + 1];
    struct item_place {
        uint32_t seq;
        uint32_t row;
        uint32_t document;
    } winners[WORLD_ROWS_MAX];
    uint32_t winners_count;
};

struct world {
    struct world_plan plan;
    struct dice dice;
    struct network *network;
    struct journal_memory *journal;
    struct broker_options options;
    struct broker_actor broker;
    int64_t broker_starts_at_ms;
    struct worker_actor workers[WORLD_WORKERS_MAX];
    struct agency_actor agencies[WORLD_AGENCIES_MAX];
    struct world_counts counts;
    struct store *lost[LOST_STORES_MAX];      /* owned: disks that never come back */
    struct batch_identity rotten[ROTTEN_MAX]; /* stored batches that have lost a bit, anywhere */
    int64_t now_ms;
    bool is_healed;
    struct {
        bool is_known;
        struct digest root;
        uint32_t number;
    } results[DRAWS_KEPT + 3]; /* what a draw was published with first, by draw */
    size_t records_checked;    /* of the journal, by invariants_check */
    char violation[512];       /* empty: none */
};

void world_create(struct world *world, const struct world_plan *plan);
void world_destroy(struct world *world);

/* Runs until every agency has its winners, something is violated, or the time is over.
 * returns false when something was violated: world->violation says what. */
bool world_run(struct world *world);

/* -- for the files of the simulator -- */

void world_violate(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_trace(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void broker_actor_start(struct world *world);
void broker_actor_crash(struct world *world);
/* It crashes, and its journal is gone. */
void broker_actor_lose_journal(struct world *world);
/* One turn: the letter (NULL: only time), tick, transaction, sending. Takes the letter over. */
void broker_actor_turn(struct world *world, struct letter *letter);

void worker_actor_start(struct world *world, uint32_t index);
void worker_actor_crash(struct world *world, uint32_t index);
/* It crashes, and its disk is gone for ever: it starts again with an empty one. */
void worker_actor_lose_store(struct world *world, uint32_t index);
void worker_actor_turn(struct world *world, uint32_t index, struct letter *letter);

void agency_actor_create(struct world *world, uint32_t index);
void agency_actor_start(struct world *world, uint32_t index);
/* This draw is over for it: the next one, if there is one. */
void agency_actor_go_on(struct world *world, uint32_t index);
void agency_actor_crash(struct world *world, uint32_t index);
void agency_actor_turn(struct world *world, uint32_t index, struct letter *letter);

/* After each step. */
void invariants_check(struct world *world);
/* What a WAIT or FINISHED tells as durable has to lie in a store's disk. */
void invariants_check_told(struct world *world, const struct message *told);
/* An agency gives up: its draw is void, or goes on without it. */
bool invariants_allow_end(const struct world *world, uint32_t index,
                          const struct agency_outcome *outcome);
/* An agency has its winners: they are its file's. */
void invariants_check_winners(struct world *world, uint32_t index);

#endif
