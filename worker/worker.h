/* The worker's core: a store's side of the dispatch protocol (PROTOCOL.md, "Dispatch"). Pure:
 * what comes from the broker goes in with the time, messages for the broker come out in the
 * outbox, and what the shell has to do is a state. Joins intake, inventory, sealing, count and
 * forget; owns the registration, the lease and the epoch. The states are drawn in README.md. */
#ifndef SORTEO_WORKER_WORKER_H
#define SORTEO_WORKER_WORKER_H

#include "worker/intake.h"

enum {
    /* What one event or tick puts into the outbox at most: the shell and the simulator make it
     * this large and empty it after each. Every ack of a group a message of its own, a chunk,
     * pages of winners. */
    WORKER_OUTBOX_MESSAGES = ACKS_MAX + 256,
    WORKER_OUTBOX_BYTES = ACKS_MAX * ACK_BYTES_MAX + (8 << 20),
    DRAIN_QUIET_MS = 200, /* a draining worker leaves when nothing has come for so long, */
    DRAIN_MS_MAX = 3000,  /* and at the latest then */
};

enum worker_state {
    WORKER_APART,       /* no connection is wanted by now: the shell dials (anew) */
    WORKER_REGISTERING, /* REGISTER was sent, chunks of the inventory are leaving */
    WORKER_AWAITING,    /* the inventory is told, WELCOME is to come */
    WORKER_SERVING,     /* registered: batches, seals and questions are taken */
    WORKER_DRAINING,    /* told to end: everything goes back */
    WORKER_OVER,        /* nothing more is done: worker_ending says why */
};

/* How a worker ended. */
struct worker_ending {
    enum status status;       /* OK: it was told to; REFUSED: dismissed; else what failed */
    enum dismissal dismissal; /* with REFUSED */
};

struct worker;

/* in: store and outbox are borrowed and outlive the worker; the store is open. errors:
 * NO_MEMORY. */
enum status worker_create(const struct intake_settings *settings, struct store *store,
                          struct outbox *outbox, struct worker **worker);
void worker_destroy(struct worker **worker);

/* A fresh connection: whatever was said on the one before is gone. Registers. in: state APART. */
void worker_dialed(struct worker *worker, int64_t now_ms);

/* One message from the broker, as its frames. Borrowed until it returns. What is not of the
 * protocol is dropped and noted. cost: a batch: two headers decoded, one SHA-256, one check, one
 * put; allocates nothing. */
void worker_receive(struct worker *worker, const struct slice *frames, size_t frames_count,
                    int64_t now_ms);

/* Does what is due, and one step of what is under way.
 * returns when it wants to be called next, at the latest; now_ms where it has more to do
 * already. */
int64_t worker_tick(struct worker *worker, int64_t now_ms);

/* The shell could not send for a lease: the broker does not read, which is as good as silence.
 * The outbox is empty: what was in it is lost with the connection. */
void worker_hang_up(struct worker *worker, int64_t now_ms);

/* SIGTERM: commits and acknowledges what it has, gives back what still comes, and is then OVER. */
void worker_drain(struct worker *worker, int64_t now_ms);

enum worker_state worker_state(const struct worker *worker);

/* in: state OVER. */
struct worker_ending worker_ending(const struct worker *worker);

/* Takes out the oldest note. false: there is none. */
bool worker_take_note(struct worker *worker, struct note *note);

/* A number that is equal for equal states (times apart), for the simulator. */
uint64_t worker_fingerprint(const struct worker *worker);

#endif
