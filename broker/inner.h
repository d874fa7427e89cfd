/* The inside of the broker's core, shared by the files that make it up; of others only the
 * simulator looks inside. From the bottom up: inner.c; upkeep.c (stores and dispatch in time),
 * waits.c (for whom it waits), phases.c (the draw's way), intake.c (batches and marks); start.c
 * (from the journal), known.c, recover.c (from the stores); workers.c (stores on dispatch),
 * requests.c and past.c (agencies on rendezvous); broker.c on top. */
#ifndef SORTEO_BROKER_INNER_H
#define SORTEO_BROKER_INNER_H

#include "broker/barrier.h"
#include "broker/broker.h"
#include "broker/dispatch.h"
#include "broker/draw.h"
#include "broker/ledger.h"
#include "broker/recovery.h"
#include "broker/results.h"
#include "broker/roll.h"
#include "broker/stores.h"

enum {
    EVENTS_MAX = 64,     /* log lines kept for one turn; the oldest goes first */
    CONTROL_BYTES = 512, /* a header without ranges: WELCOME, PING, SEAL, FORWARD, … */
};

struct broker {
    struct broker_options options;
    uint32_t roster[AGENCIES_MAX]; /* what options.terms.roster pointed to */
    struct outbox *outbox; /* borrowed, like the next two: they outlive us (broker_create) */
    struct records *records;
    const struct archive *archive;
    payload_release *release;
    struct hasher *hasher;     /* owned, like all that follows */
    struct epoch epoch;        /* told; number 0 while it recovers */
    struct epoch own;          /* journaled */
    struct recovery *recovery; /* NULL: done, or never asked for */
    uint32_t unknown_below;    /* older draws that the journal lacks are over (--recover) */
    struct stores *stores;
    struct dispatch *dispatch;

    /* The draw that runs, or the last one. draw 0: none has opened yet. */
    uint32_t draw;
    enum draw_state state;
    struct terms terms; /* what it opened with; roster points to the next, or is NULL */
    uint32_t draw_roster[AGENCIES_MAX];
    struct digest commitment;
    struct roll *roll;
    struct barrier *barrier;
    struct ledger *ledger;
    struct manifest *manifest; /* from the seal on */
    struct results *results;   /* likewise */
    uint32_t seal_parts_sent[STORES_MAX];
    bool is_decided; /* the barrier's timeout was decided */

    int64_t ticked_at;
    int64_t wanted_at;    /* bets were wanted then, the last time */
    int64_t served_at;    /* a batch was sent on, none waited, or it was said what they wait for */
    int64_t held_up_at;   /* no draw was held up by a store, or it was said by which */
    int64_t linger_until; /* INT64_MAX: draws are left */
    bool is_started;
    enum status verdict;
    char problem[2 * TEXT_BYTES_MAX];
    struct broker_event events[EVENTS_MAX];
    uint32_t events_first;
    uint32_t events_count;
};

/* -- inner.c -- */

/* Queues a log line. in: result: enum log_result's values 0 success, 1 fail, 2 in progress. */
void broker_note(struct broker *broker, const char *action, int result, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
enum { NOTE_SUCCESS = 0, NOTE_FAIL = 1, NOTE_IN_PROGRESS = 2 };

/* Where the draw stands: told at its opening, and when a start finds it. */
void broker_note_draw(struct broker *broker);

/* The broker cannot go on; the first reason stays. */
void broker_fail(struct broker *broker, enum status verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A final refusal of an agency's attempt; the first stays, and none comes after a declaration. */
void broker_set_verdict(struct broker *broker, struct member *member, enum refusal reason,
                        uint32_t seq, uint32_t row, enum fault fault);

/* A message to a store, with the epoch. in: body may be NULL. */
void broker_send_worker(struct broker *broker, uint64_t peer, struct message *message,
                        const struct slice *body);

/* Goes to the next state, noting it. */
void broker_advance(struct broker *broker, enum draw_event event);

/* Opens `draw`: fresh roll, barrier, ledger. in: terms with its seed; records OPENED unless
 * restoring. */
enum status broker_open_draw(struct broker *broker, const struct terms *terms, bool is_restored);

/* An attempt of an agency is in force (journaled, or restored). errors: INVALID, LIMIT: the barrier
 * does not take this agency, which a request has made sure of. */
enum status broker_begin_attempt(struct broker *broker, struct member *member, uint32_t attempt,
                                 const struct plan *plan, int64_t wall_ms);

/* A member has declared. in: entry: its declaration with digests and bets; what else is in it is
 * the member's own. errors: NO_MEMORY, LIMIT. */
enum status broker_finish_member(struct broker *broker, struct member *member,
                                 const struct manifest_entry *entry);
/* Its DECLARATION is to be journaled, with the ledger's digests, which are the declared ones. */
void broker_record_declaration(struct broker *broker, const struct member *member);

/* The manifest of the members that the barrier names, from declared digests. errors: NO_MEMORY,
 * LIMIT. */
enum status broker_build_manifest(struct broker *broker);

/* The last draw that these options run; UINT32_MAX: for ever. */
uint32_t broker_last_draw(const struct broker *broker);

/* Ends the draw's tables: roll, barrier, ledger, manifest, results. */
void broker_close_draw(struct broker *broker);

/* A store's registration is over: its flights and its live question die. */
void broker_close_store(struct broker *broker, uint32_t store);

/* -- upkeep.c -- */

/* Leases, graces and PINGs; moved when the broker itself slept. returns when to come again. */
int64_t upkeep_stores(struct broker *broker, int64_t now_ms);
/* Sends batches on as credit allows. returns true when some are left that could go at once, or the
 * outbox has no room for what may be left. */
bool upkeep_dispatch(struct broker *broker, int64_t now_ms);

/* -- waits.c -- */

/* Tells for whom batches wait that nobody takes: agencies know only that nothing is durable. */
void waits_note_batches(struct broker *broker, int64_t now_ms);
/* Tells for whom a draw waits when all have finished: whose declared batches no store has, or which
 * store has not come to an end with its own. */
void waits_note_draw(struct broker *broker, int64_t now_ms);

/* -- phases.c -- */

/* Timeout, seal, count, end of a void: whatever can happen by now. */
void phases_step(struct broker *broker, int64_t wall_ms);
/* The manifest to the stores, as far as the outbox has room. Before upkeep_dispatch. */
void phases_send_seals(struct broker *broker);
/* The result's record is durable: it is told. */
void phases_end_publishing(struct broker *broker);
/* After a draw that is over: the next one, or the end once everybody has what he came for. */
void phases_go_on(struct broker *broker, int64_t now_ms);
/* The draw is void from now on: records it, tells the stores. */
void phases_break(struct broker *broker);
/* When time alone may change something; INT64_MAX: never. */
int64_t phases_due_at(const struct broker *broker, int64_t now_ms, int64_t wall_ms);

/* -- start.c -- */

/* Goes on with what the journal has, or opens the first draw. */
enum status broker_start_from_journal(struct broker *broker);

/* -- recover.c -- */

/* Called in each turn while it recovers: decides as soon as enough stores have registered. */
void recover_step(struct broker *broker);

/* A part of the manifest that was asked for. */
void recover_take_part(struct broker *broker, uint32_t store, const struct message *message,
                       struct slice body);

#endif
