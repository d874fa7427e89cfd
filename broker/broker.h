/* The broker's core: every decision, no I/O. It joins the roll of agencies, the stores, the ledger,
 * the dispatch, the barrier, the draw and the count. Events and the time come in; messages leave
 * through an outbox (proto/wire/outbox.h), decisions through records (record.h). The shell keeps
 * one promise: within a turn it first makes the records durable, then calls broker_committed, and
 * only then sends. Rules: PROTOCOL.md and broker/README.md. */
#ifndef SORTEO_BROKER_BROKER_H
#define SORTEO_BROKER_BROKER_H

#include "broker/record.h"
#include "proto/wire/outbox.h"

/* Given at the start and never changed. */
struct broker_options {
    struct terms terms; /* of every draw that opens; its draw id is the first draw's (--draw) */
    uint32_t draws;     /* how many draws, 0 = for ever */
    int64_t linger_ms;  /* after the last draw is over */
    int64_t store_grace_ms;
    int64_t lease_ms; /* LEASE_MS */
    size_t queue_bytes;
    uint32_t recover_stores; /* --recover N; 0: no recovery */
    uint32_t void_draw;      /* --void ID; 0: none */
    struct digest secret; /* 32 random bytes of this process: a draw's seed is HMAC(secret, draw) */
};

/* How a draw that is over ended. */
struct archived_draw {
    enum phase phase;
    struct digest root;
    uint32_t number;
    uint32_t range_first; /* of the number, range_first <= range_last */
    uint32_t range_last;
    bool is_given;
    struct digest seed;
};

struct archived_agency {
    uint32_t attempt;
    struct plan plan;
    uint32_t winners;
};

/* What the core reads back of what it journaled. The owner is the shell's journal or the
 * simulator's. */
struct archive {
    void *owner;
    /* How a draw that is over ended. out: phase PUBLISHED or VOID; of a published one all the rest.
     * errors: NOT_FOUND: the journal does not have it, or it is not over. */
    enum status (*draw)(void *owner, uint32_t draw, struct archived_draw *archived);
    /* An agency that took part in a published draw: the attempt and plan that its winners' rows
     * belong to, and how many winners it has. errors: NOT_FOUND: it took no part, or the draw is
     * not published. */
    enum status (*agency)(void *owner, uint32_t draw, uint32_t agency,
                          struct archived_agency *archived);
    /* A page of winner items in (seq, row) order from index `from`, at most bytes_max long.
     * out: body bytes written, index behind the last. errors: NOT_FOUND. */
    enum status (*page)(void *owner, uint32_t draw, uint32_t agency, uint32_t from, uint8_t *body,
                        size_t bytes_max, size_t *bytes, uint32_t *upto);
};

/* Lets go of a batch that the shell holds for the core. */
typedef void payload_release(void *payload);

struct broker;

/* in: options are copied; outbox, records, archive are borrowed and outlive the broker.
 * errors: NO_MEMORY. */
enum status broker_create(const struct broker_options *options, struct outbox *outbox,
                          struct records *records, const struct archive *archive,
                          payload_release *release, struct broker **broker);
void broker_destroy(struct broker **broker);

/* Before broker_start: what the journal has, in the order in which it was written; FOUND, DROPPED
 * and finished draws' inner records are left out (the journal deletes pages of an unpublished count
 * itself). errors: CONFIG: the records contradict one another; LIMIT, NO_MEMORY.
 * broker_verdict says of which draw. */
enum status broker_restore(struct broker *broker, const struct record *record);

/* Begins: opens the first draw or goes on with the restored one, voids what --void names.
 * in: epoch: journaled, this process's own. errors: CONFIG: the draw opened with other flags than
 * these (broker_verdict says which), --void names a published draw or so. */
enum status broker_start(struct broker *broker, const struct epoch *epoch, int64_t now_ms);

/* A request on rendezvous. in: peer: the shell's token for its envelope; answered at once, exactly
 * once. */
void broker_on_request(struct broker *broker, uint64_t peer, struct slice header, int64_t now_ms,
                       int64_t wall_ms);

/* A message on bets. in: payload: the batch as received, given away when the header is a BATCH;
 * body_bytes: its body's length. */
void broker_on_bets(struct broker *broker, struct slice header, size_t body_bytes, void *payload,
                    int64_t now_ms);

/* A message on dispatch. in: peer: the worker's routing id as a number. */
void broker_on_worker(struct broker *broker, uint64_t peer, struct slice header, struct slice body,
                      int64_t now_ms);

/* Timed work: leases, graces, dispatch, barrier timeout, questions, phases. returns: when to call
 * again at the latest. Called in every turn, after the messages. */
int64_t broker_tick(struct broker *broker, int64_t now_ms, int64_t wall_ms);

/* The turn's records are durable: decisions among them hold from now on (a result is told, the next
 * draw opens). May send and record more: the shell calls it after each transaction until no record
 * is left. */
void broker_committed(struct broker *broker, int64_t now_ms);

/* True while the queue is under its budget: only then the shell reads bets. */
bool broker_wants_bets(const struct broker *broker);

/* Why the broker should end, with what to print; STATUS_OK: it goes on; STATUS_END: all draws are
 * over and every agency said BYE, or the linger has passed. Else FENCED, CONFIG, … */
enum status broker_verdict(const struct broker *broker, const char **problem);

/* A line for the log when something changed since the last call (who is missing, phases, stores):
 * the shell writes them once the turn's records are durable, and drops them where they cannot be.
 * returns false when there is none. */
struct broker_event {
    const char *action;        /* "sorteo" */
    int result;                /* enum log_result */
    char text[TEXT_BYTES_MAX]; /* "draw: 1 | number: 7574" */
};
bool broker_next_event(struct broker *broker, struct broker_event *event);

/* A number that is equal for equal states (proto/wire/fingerprint.h), for the simulator. */
uint64_t broker_fingerprint(const struct broker *broker);

#endif
