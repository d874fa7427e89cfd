/* One simulated world: brokers, workers and agencies, made of the real cores; a network, disks and
 * a clock that are not real. One seed is one world, to the byte. */
#ifndef SORTEO_TESTS_SIM_WORLD_H
#define SORTEO_TESTS_SIM_WORLD_H

#include "agency/agency.h"
#include "tests/sim/file.h"
#include "tests/sim/journal_memory.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "worker/store.h"
#include "worker/worker.h"

enum {
    BROKERS_MAX = 2,                           /* at once: one, and the one that it replaces */
    WORLD_WORKERS_ALL = WORLD_WORKERS_MAX + 1, /* with one on a copied store */
    JOURNALS_MAX = 64,
    LOST_STORES_MAX = 64,
    REGISTRATIONS_MAX = 32,
    SPOILED_MAX = 64,
    QUESTIONS_ASKED_MAX = 4096,
    OVERHEARD_MAX = 16,
    GARBLE_ROWS_MAX = 256, /* of garbled_to_broker and garbled_from_broker */
    WORLD_GRACE_MS = 10000,
    WORLD_QUEUE_BYTES = 16384,
};

/* A store's registration over one connection, as the world saw it. */
struct registration {
    bool is_welcome;
    uint64_t peer;
    struct id store;
    struct epoch opening;
    uint32_t sealed_draw;   /* SEAL of that draw went to it */
    uint32_t question;      /* the last one that it was asked */
    uint32_t manifest_draw; /* whose manifest it was asked for, and has told no part of; 0: none */
    int64_t heard_at_awake; /* on the broker's clock of waking hours */
};

struct question_asked {
    uint32_t draw;
    uint64_t epoch; /* its number begins with it */
    uint32_t number;
    struct epoch own; /* of the broker that asked */
};

/* A broker's process, and the place where it runs. */
struct broker_actor {
    bool is_up;
    int64_t paused_until_ms;  /* stopped like by SIGSTOP */
    int64_t starts_at_ms;     /* while it is down; INT64_MAX: never */
    uint32_t journal;         /* which one it has */
    uint32_t twin_journal;    /* a copy made right before it opened its own; 0: none */
    bool needs_recovery;      /* is started with --recover */
    uint32_t recovers;        /* or by mistake, for so many stores; 0: it is not */
    uint32_t voids;           /* is started with --void; 0: without */
    bool dies_before_sending; /* in this turn (exhaust.c) */
    bool is_misled;           /* a store has told it of another seal: garbled */
    struct broker_options options;
    struct broker *broker;
    struct outbox *outbox;
    struct records *records;
    struct archive_disk disk; /* of its journal, which the archive reads */
    struct archive archive;
    bool journal_has_failed; /* in this turn: nothing of it leaves */
    struct epoch epoch;
    int64_t due_at_ms;
    int64_t started_at_ms;
    int64_t turned_at_ms;
    int64_t awake_ms; /* waking hours: gaps of more than half a lease are left out */
    struct registration registrations[REGISTRATIONS_MAX]; /* the last ones; a ring */
    uint32_t registrations_count;
    struct {
        struct id store;
        struct epoch opening;
    } welcomed[STORES_MAX]; /* since its start */
    uint32_t welcomed_count;
    size_t records_before;   /* in its journal, when its turn's transaction began */
    struct letter **waiting; /* bets that it did not want yet, in order; owned */
    size_t waiting_count;
    size_t waiting_size;
};

struct worker_actor {
    bool is_up;
    bool is_gone;            /* for good */
    int64_t paused_until_ms; /* stopped like by SIGSTOP */
    struct worker *worker;
    struct store *store; /* survives a crash, as far as it was synced */
    struct disk disk;    /* of that store, as the core sees it */
    struct outbox *outbox;
    int64_t due_at_ms;
    int64_t starts_at_ms; /* while it is down */
    bool is_misled;       /* since its start a letter from or to it was garbled */
    bool is_asked_twice;  /* a COUNT was: it may tell the same pages again */
    uint64_t commits_seen;
    uint32_t sealed_before; /* draws that had a seal when its turn began: bits */
};

struct agency_actor {
    bool is_up;
    bool is_gone;            /* for good */
    int64_t paused_until_ms; /* stopped like by SIGSTOP */
    bool has_stored;         /* its winners are on disk */
    bool is_done;            /* and it has ended, in the last draw */
    bool is_misled;          /* since its start a letter from or to it was garbled */
    uint32_t draw;
    struct agency *agency;
    struct outbox *outbox;
    struct hasher *hasher;
    int64_t due_at_ms;
    int64_t starts_at_ms;
    uint64_t token; /* of the request that is under way */
    uint64_t starts;
    struct file file;
    uint32_t version;     /* of the file that it reads */
    bool must_start_over; /* its next start */
    bool is_reading;
    uint32_t rows_read; /* rows that were cut */
    uint32_t batch_first_row[WORLD_ROWS_MAX + 1];
    uint32_t declared[WORLD_DRAWS_MAX + 1]; /* version that was journaled, + 1; 0: none */
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
    struct dice machine_dice;  /* its own, so that a world of other kinds stays as it was */
    struct dice strange_dice;  /* likewise */
    struct dice half_dice;     /* likewise */
    struct dice manifest_dice; /* likewise */
    struct dice garble_dice;   /* likewise */
    struct dice mistake_dice;  /* likewise */
    struct letter *overheard[OVERHEARD_MAX]; /* owned; by the stranger */
    uint32_t overheard_count;
    struct network *network;
    struct journal_memory *journals[JOURNALS_MAX]; /* owned; a lost one is kept for what it said */
    size_t records_checked[JOURNALS_MAX];
    uint32_t journals_count;
    struct broker_actor brokers[BROKERS_MAX];
    uint32_t address; /* which broker one reaches who dials */
    struct worker_actor workers[WORLD_WORKERS_ALL];
    uint32_t workers_count;
    struct agency_actor agencies[WORLD_AGENCIES_MAX];
    uint64_t steps;
    uint64_t counts[MISHAPS];            /* how often each kind happened */
    uint32_t garbled[GARBLE_ROWS_MAX];   /* how often each row of garble_row() was made */
    struct store *lost[LOST_STORES_MAX]; /* owned: disks that never come back */
    uint32_t lost_count;
    struct batch_identity spoiled[SPOILED_MAX]; /* stored batches that have rotted, anywhere */
    uint32_t spoiled_count;
    struct question_asked questions[QUESTIONS_ASKED_MAX];
    uint32_t questions_count;
    int64_t now_ms;
    bool is_healed;
    struct {
        bool is_known;
        struct digest root;
        uint32_t number;
    } results[WORLD_DRAWS_MAX + 2]; /* what a draw was published with first, by draw */
    char violation[512];            /* empty: none */
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
/* Says what a message is, in short. */
void world_trace_message(const struct world *world, const char *who, uint32_t index,
                         const struct message *message);

/* True when this kind may happen now. */
bool world_may(const struct world *world, enum mishap mishap);
/* Rolls for it, in so many millionths of cases in the mildest world. */
bool world_strikes(struct world *world, enum mishap mishap, uint32_t millionths);
/* A turn of a loop takes several messages now and then before it goes on: true when this one waits
 * for more. out: due_at_ms: it goes on at once when nothing more is there. */
bool world_has_more(struct world *world, int64_t *due_at_ms);
/* Gives a letter to the one that it is for, unless he is stopped. */
void world_deliver(struct world *world, struct letter *letter);

/* Whoever is there takes it; in: he is not stopped. */
void world_hand_over(struct world *world, struct letter *letter);

/* When it has something to do besides reading letters, or is started. INT64_MAX: never. */
int64_t world_broker_due(const struct world *world, uint32_t index);
int64_t world_worker_due(const struct world *world, uint32_t index);
int64_t world_agency_due(const struct world *world, uint32_t index);
/* To the next moment at which somebody has something to do besides reading letters: he does it. */
void world_pass_time(struct world *world);

/* Says when the machine fails the next time, where it may. */
void world_wear_out(struct world *world);
/* mishaps.c: now and then something breaks. */
void world_suffer(struct world *world);
/* Everything heals: an old broker that nobody could reach is ended. */
void world_heal(struct world *world);

static inline struct journal_memory *world_journal(const struct world *world, uint32_t broker)
{
    return world->journals[world->brokers[broker].journal];
}

/* A journal of the world from now on; returns its index. */
uint32_t world_add_journal(struct world *world, struct journal_memory *journal);
/* True where journals were lost or copied: then a broker may find itself contradicted. */
bool world_has_two_truths(const struct world *world);

void broker_actor_start(struct world *world, uint32_t index);
/* The flags that it has to be started with; without a secret. */
struct broker_options broker_actor_options(const struct world *world,
                                           const struct broker_actor *actor);
/* mistake.c: now and then it is started with other flags before. */
void mistake_start(struct world *world, uint32_t index);
/* returns false when it is down already. */
bool broker_actor_crash(struct world *world, uint32_t index);
/* One turn: the letter (NULL: only time), tick, transaction, sending. Takes the letter over. */
void broker_actor_turn(struct world *world, uint32_t index, struct letter *letter);
/* The routing id of a worker's connection; the answer's token of a request. */
uint64_t broker_actor_peer(const struct letter *letter);
/* broker_post.c: connects to the address whoever has no connection; a message leaves a broker. */
void broker_actor_connect_all(struct world *world);
void broker_actor_send(struct world *world, uint32_t index, const struct outbound *sent);

/* stranger.c: keeps what he overhears; speaks now and then; forgets at the end. */
void stranger_hear(struct world *world, const struct letter *letter);
void stranger_speak(struct world *world);
void stranger_forget(struct world *world);
/* A broker before it takes a letter, if a stranger says it or it is garbled; and what it made of
 * it. */
struct broker_before {
    size_t records;
    size_t outbox;
    uint64_t fingerprint;
    enum status verdict;
    bool is_registering; /* the store that sent a garbled one */
    bool has_manifest;   /* of the draw that it is about */
    uint32_t question;   /* that it answers; 0: none that is live */
    bool asks_manifest; /* it recovers the draw that it is about, and has asked this store for it */
    uint32_t notes;
};
void stranger_look(const struct broker_actor *actor, const struct letter *letter,
                   struct broker_before *before);
void stranger_judge(struct world *world, const struct broker_actor *actor,
                    const struct letter *letter, const struct broker_before *before);

/* garble.c: hands the letter over, and a garbled one beside it or in its place. returns false when
 * nothing is garbled: then nobody has it yet. */
bool garble_deliver(struct world *world, struct letter *letter);
/* Starts all workers and agencies anew, once a letter was garbled. */
void garble_heal(struct world *world);
/* garble_fate.c: a receiver before it takes a garbled letter, and what it made of it. */
void garble_look_at_broker(struct broker_actor *actor, const struct letter *letter,
                           struct broker_before *before);
void garble_judge_broker(struct world *world, struct broker_actor *actor,
                         const struct letter *letter, const struct broker_before *before);
struct worker_before {
    uint64_t fingerprint;
    size_t outbox;
    size_t seals;
    uint32_t questions;
    uint32_t puts;
    bool reads_back;
};
void garble_look_at_worker(const struct worker_actor *actor, const struct letter *letter,
                           struct worker_before *before);
void garble_judge_worker(struct world *world, const struct worker_actor *actor,
                         const struct letter *letter, const struct worker_before *before);
struct agency_before {
    uint64_t fingerprint;
    bool is_awaited; /* the agency waits for it */
};
void garble_look_at_agency(const struct agency_actor *actor, const struct letter *letter,
                           struct agency_before *before);
void garble_judge_agency(struct world *world, const struct agency_actor *actor,
                         const struct letter *letter, const struct agency_before *before);

void worker_actor_start(struct world *world, uint32_t index);
bool worker_actor_crash(struct world *world, uint32_t index);
/* The disk of one that is down never comes back: it starts with an empty one. in: fewer than
 * LOST_STORES_MAX are lost. */
void worker_actor_lose_store(struct world *world, uint32_t index);
/* A broker has ended, and names a store that has brought a draw to another end than its journal:
 * the operator starts that worker with another folder. returns false: it names none. */
bool worker_actor_leave_store_aside(struct world *world, const char *problem);
void worker_actor_turn(struct world *world, uint32_t index, struct letter *letter);

void agency_actor_create(struct world *world, uint32_t index);
void agency_actor_start(struct world *world, uint32_t index);
/* This draw is over for it: the next one, if there is one. */
void agency_actor_go_on(struct world *world, uint32_t index);
bool agency_actor_crash(struct world *world, uint32_t index);
void agency_actor_turn(struct world *world, uint32_t index, struct letter *letter);

/* -- invariants -- */

/* After each step: what the journals say. */
void invariants_check(struct world *world);
/* The registration over that routing id; NULL: none that is remembered. */
struct registration *world_registration(struct broker_actor *actor, uint64_t peer);
/* A message leaves a broker, whose records are durable. */
void told_by_broker(struct world *world, uint32_t index, const struct outbound *sent);
/* A broker's turn is over. */
void told_after_turn(struct world *world, uint32_t index);
/* A broker has closed a store's registration, since it was silent. in: four bytes of its id. */
void told_silent(struct world *world, uint32_t index, const uint8_t *store);
/* A message leaves a worker. */
void told_by_worker(struct world *world, uint32_t index, const struct outbound *sent);
/* An agency gives up: its draw is void, or goes on without it. */
bool invariants_allow_end(struct world *world, uint32_t index,
                          const struct agency_outcome *outcome);
/* An agency has its winners: they are its file's. returns false when the file is another one than
 * the declared one: then nothing was violated, it is the agency that must find it. */
bool invariants_check_winners(struct world *world, uint32_t index);
/* A batch is stored durably, or was until it rotted. */
bool invariants_is_durable(const struct world *world, const struct batch_record *batch);

#endif
