/* The agency's core: from HELLO to BYE (PROTOCOL.md, "Agency"; README.md draws the states). Pure:
 * an event and the time go in; messages come out through the outbox, the rest as orders and answers
 * to questions. It holds digests and sets, never a bet: the shell (loop.c) or a simulator has the
 * bodies and hands over the one whose seq the core names.
 *
 * After the events of a turn the shell calls agency_tick, takes the orders, empties the outbox
 * (telling agency_on_marked when a MARK was taken by its socket), then sends batches as long as
 * agency_next_batch names one that it has. */
#ifndef SORTEO_AGENCY_AGENCY_H
#define SORTEO_AGENCY_AGENCY_H

#include "agency/cuts.h"
#include "agency/result.h"
#include "agency/states.h"
#include "proto/wire/outbox.h"

struct agency;

/* Who it is and how patient. */
struct agency_terms {
    uint32_t draw;
    uint32_t id;
    uint64_t incarnation; /* start of the process in ns since 1970 */
    struct plan plan;     /* wished for; the one in force wins */
    bool starts_over;
    uint32_t in_flight_batches_max; /* 0: as many as the window allows */
    uint32_t retries_max;           /* unanswered requests in a row */
    int64_t connect_timeout_ms;     /* for the first answer */
    int64_t wait_timeout_ms;        /* without anything moving; 0: as long as it takes */
    uint64_t jitter_seed;
};

/* What the shell has to do besides sending, in this order; a set of bits. */
enum agency_order {
    AGENCY_ORDER_DIAL = 1,  /* close the sockets, resolve, dial, subscribe; then empty the outbox */
    AGENCY_ORDER_READ = 2,  /* start to cut the file under agency_plan(); given once */
    AGENCY_ORDER_PAGE = 4,  /* write the winners of the RESULT just taken behind the others */
    AGENCY_ORDER_STORE = 8, /* make the winners' file durable, then agency_on_stored() */
    AGENCY_ORDER_TELL_STALLED = 16, /* beside DIAL: replies came, and nothing that was sent did */
};

/* Why an agency ended. */
enum agency_cause {
    AGENCY_CAUSE_NONE,
    AGENCY_CAUSE_REFUSED,    /* by the broker: refused */
    AGENCY_CAUSE_VOID,       /* the draw is void */
    AGENCY_CAUSE_CONNECT,    /* never an answer within the connect timeout */
    AGENCY_CAUSE_UNANSWERED, /* too many requests in a row without an answer */
    AGENCY_CAUSE_WAITED,     /* nothing moved for the wait timeout */
    AGENCY_CAUSE_PROTOCOL,   /* the broker's answers contradict each other */
    AGENCY_CAUSE_COMMITMENT, /* commitment to the seed, or range, changed while the draw was open */
    AGENCY_CAUSE_RESULT,     /* result_fault */
    AGENCY_CAUSE_BATCHES,    /* the file makes more batches than a draw may have */
    AGENCY_CAUSE_MEMORY,
};

struct agency_outcome {
    enum agency_cause cause;
    struct message_refused refused; /* with REFUSED */
    bool names_batch;               /* refused.seq is the batch that differs */
    bool is_final;                  /* HELLO told FINISHED: nothing can start over */
    enum result_fault result_fault;
};

/* The barrier as the last reply told it. */
struct agency_barrier {
    uint32_t finished;
    uint32_t expected;
    uint32_t missing[MISSING_NAMED_MAX]; /* ids, lowest first */
    uint32_t missing_count;
};

/* For progress lines. */
struct agency_counts {
    uint32_t batches_cut;
    uint32_t batches_sent; /* once at least, by this process or one before */
    uint32_t batches_durable;
    uint32_t batches_in_flight;
    uint64_t batches_again; /* sent more than once, in all */
    uint64_t bets_sent;     /* in batches_sent */
    uint32_t unanswered;    /* requests in a row */
    uint64_t ignored;       /* replies and events that fitted nothing */
};

/* errors: NO_MEMORY. */
enum status agency_create(const struct agency_terms *terms, struct agency **agency);
void agency_destroy(struct agency **agency);

/* The most that one tick puts into the outbox. */
enum { AGENCY_OUTBOX_MESSAGES = 2, AGENCY_OUTBOX_BYTES = 1024 };

/* -- events -- */

void agency_begin(struct agency *agency, int64_t now_ms);
/* Asks what is due: the one event that sends. Call it after the others, and at agency_deadline().
 * in: an outbox with room for AGENCY_OUTBOX_*. */
void agency_tick(struct agency *agency, int64_t now_ms, struct outbox *outbox);
/* A reply came on rendezvous. in: a decoded message of any kind; body: its second frame or
 * nothing. */
void agency_on_reply(struct agency *agency, int64_t now_ms, const struct message *reply,
                     struct slice body);
/* Something came on winners: a hint that the result can be fetched. */
void agency_on_published(struct agency *agency, int64_t now_ms, const struct message *hint);
/* The reader has cut the next batch / has read the file to its end. */
void agency_on_cut(struct agency *agency, int64_t now_ms, const struct cut *cut);
void agency_on_end(struct agency *agency, int64_t now_ms, const struct declaration *declaration);
/* The bets socket has taken batch seq, the one that agency_next_batch named. */
void agency_on_sent(struct agency *agency, int64_t now_ms, uint32_t seq);
/* The bets socket has taken a MARK of the outbox. One that would block is dropped and not told. */
void agency_on_marked(struct agency *agency);
/* The winners' file is on disk. */
void agency_on_stored(struct agency *agency, int64_t now_ms);

/* BYE is not waited for any longer. in: a state that says it. */
void agency_skip_bye(struct agency *agency);

/* -- answers -- */

/* The orders given since the last call: a set of enum agency_order. */
unsigned agency_take_orders(struct agency *agency);

/* The batch to send now; false when there is none, or the window is full. */
bool agency_next_batch(const struct agency *agency, uint32_t *seq);
/* True when the body of a batch that was cut is worth keeping, since it is to be sent. */
bool agency_wants(const struct agency *agency, uint32_t seq);
/* False once it is known how it ends: what is still read of the file changes nothing. */
bool agency_needs_file(const struct agency *agency);
/* The header of a batch that was cut. */
void agency_describe_batch(const struct agency *agency, uint32_t seq, struct message *batch);

/* When to call agency_tick at the latest; INT64_MAX: never. */
int64_t agency_deadline(const struct agency *agency);

enum agency_state agency_state(const struct agency *agency);
const struct agency_terms *agency_terms(const struct agency *agency);
uint32_t agency_batches_max(const struct agency *agency);        /* of a draw, as told */
uint32_t agency_attempt(const struct agency *agency);            /* 0: not admitted yet */
const struct plan *agency_plan(const struct agency *agency);     /* in force, once admitted */
const struct cuts *agency_cuts(const struct agency *agency);     /* what was cut so far */
const struct result *agency_result(const struct agency *agency); /* pages so far */
const struct agency_barrier *agency_barrier(const struct agency *agency);
const struct declaration *agency_declared(const struct agency *agency); /* NULL until all is read */
bool agency_has_result(const struct agency *agency); /* published: nothing is sent any more */
/* HELLO told that the agency has finished, and no answer yet that it was with this file. */
bool agency_holds_back(const struct agency *agency);
bool agency_is_refused_for_now(const struct agency *agency); /* the draw is not open yet */
const struct agency_outcome *agency_outcome(const struct agency *agency);
void agency_count(const struct agency *agency, struct agency_counts *counts);

/* sysexits: 0 in DONE; meaningful in a final state only. */
int agency_exit_code(const struct agency *agency);

/* A number that differs, but for hash collisions, where two agencies would behave differently; the
 * time and the jitter are left out. */
uint64_t agency_fingerprint(const struct agency *agency);

#endif
