/* The inside of the core, shared by worker.c (life, states, time) and worker_receive.c (messages):
 * the worker itself and the ways from state to state. Of others only the simulator looks inside. */
#ifndef SORTEO_WORKER_INNER_H
#define SORTEO_WORKER_INNER_H

#include "worker/count.h"
#include "worker/forget.h"
#include "worker/inventory.h"
#include "worker/worker.h"

enum event {
    EVENT_DIALED,   /* the shell has a fresh connection */
    EVENT_TOLD,     /* the last chunk of the inventory is in the outbox */
    EVENT_WELCOME,  /* the broker takes us */
    EVENT_UNKNOWN,  /* WHO: the broker does not know us */
    EVENT_OUTDATED, /* what the broker believes of the store is not so any more */
    EVENT_SILENCE,  /* a lease without a word of the broker */
    EVENT_DRAIN,    /* the process is told to end */
    EVENT_END,      /* drained, dismissed, or something failed */
    EVENTS_COUNT,
};

enum { STATES_COUNT = WORKER_OVER + 1, LEASE_MS_MIN = 100 };

struct worker {
    enum worker_state state;
    struct worker_ending ending;
    struct workbench bench;
    struct notes notes;
    struct hasher *hasher; /* owned; the bench's */
    struct seals seals;
    struct intake intake;
    struct inventory inventory;
    struct sealing sealing;
    struct count count;
    struct forget forget;
    struct epoch epoch;    /* highest one that the store has recorded */
    int64_t lease_ms;      /* as WELCOME told; LEASE_MS before */
    int64_t registered_at; /* when REGISTER was sent last */
    int64_t heard_at;      /* when the broker was heard last */
    int64_t pong_at;       /* when the next PONG is due */
    int64_t ticked_at;     /* when the loop turned last */
    int64_t drained_at;    /* when draining began */
    int64_t batch_at;      /* while draining: when a batch came last */
};

static inline void worker_note(struct worker *worker, enum note_kind kind, uint64_t number,
                               uint64_t other)
{
    notes_add(&worker->notes, &(struct note){.kind = kind, .number = number, .other = other});
}

/* Goes to the event's next state. false: the pair is not in the table; it is noted and changes
 * nothing. */
bool worker_go(struct worker *worker, enum event event);

/* Ends the worker for a reason; an open transaction leaves no trace. in: it is not OVER. */
void worker_end(struct worker *worker, enum status status);

/* Everything that can fail for good comes by here. true: it did not; else the worker is OVER. */
bool worker_went_well(struct worker *worker, enum status status);

/* Commits and acknowledges the open group. false: the worker is OVER. */
bool worker_settle(struct worker *worker, int64_t now_ms);

/* The broker has to hear anew what this store holds; a worker that drains ends instead. in: state
 * SERVING or DRAINING; an event of that state. */
void worker_register_anew(struct worker *worker, enum event event, int64_t now_ms);

/* The connection is given up; the shell dials anew. */
void worker_part(struct worker *worker, enum event event, int64_t now_ms);

#endif
