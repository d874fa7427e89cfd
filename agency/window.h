/* Which batches have to be sent, which are on their way, which are durable, and what a reply tells
 * about them (PROTOCOL.md, "Rounds" and "Window"). Every batch that was cut is in exactly one of
 * three sets: unsent, flying, durable. A set may also know of durable batches that this process has
 * not cut yet.
 *
 * Rounds: MARK(newest) goes before every POLL. A batch belongs to the round whose first MARK
 * follows it: to the newest as long as that was not marked, else to the one after it. When a reply
 * tells the newest round as seen, the next one begins. A batch of a round up to the last one seen
 * that is neither durable nor held is missing: it leaves the window and is to be sent again. */
#ifndef SORTEO_AGENCY_WINDOW_H
#define SORTEO_AGENCY_WINDOW_H

#include "agency/cuts.h"
#include "proto/wire/seqset.h"

#define SEQ_NONE UINT32_MAX

struct window {
    struct seqset unsent;  /* cut, and to be sent (again) */
    struct seqset flying;  /* sent and not durable; or told durable once, and no more */
    struct seqset durable; /* as last told */
    uint32_t *rounds;      /* owned; of each flying or durable seq */
    uint32_t rounds_capacity;
    uint32_t newest; /* round, from 1 */
    bool is_marked;  /* a MARK of the newest was sent */
    uint32_t unsent_from;
    uint32_t flying_max;   /* batches in flight at most; 0: as many as the window allows */
    uint64_t bytes;        /* the broker's advice: weight in flight at most */
    uint64_t flying_bytes; /* weight */
};

/* What a reply says about seqs from `from` up to `upto`. */
struct window_told {
    uint32_t from;
    uint32_t upto;
    struct slice durable; /* ranges */
    struct slice held;    /* ranges; no bytes: none */
    uint32_t round_seen;  /* 0: none */
};

/* What a reply changed. */
struct window_change {
    uint32_t gained;  /* durable now, and were not */
    uint32_t lost;    /* durable no more */
    uint32_t missing; /* to be sent again */
};

void window_begin(struct window *window, uint32_t flying_max);
/* Frees what the window owns; safe twice. */
void window_clear(struct window *window);

/* A batch was cut. errors: NO_MEMORY. */
enum status window_cut(struct window *window, uint32_t seq);

/* The lowest unsent seq; SEQ_NONE when there is none. */
uint32_t window_next(const struct window *window);

/* True when a batch of that weight may be sent now: always when nothing is in flight. */
bool window_has_room(const struct window *window, uint64_t weight);

/* The socket has taken an unsent batch / a MARK of the newest round. errors: NO_MEMORY. */
enum status window_sent(struct window *window, uint32_t seq, uint64_t weight);
void window_marked(struct window *window);

/* Takes what a reply tells. out: change. errors: MALFORMED (ranges), NO_MEMORY: the window may hold
 * a part of it then. cost: O(words of the sets + batches in flight). */
enum status window_take(struct window *window, const struct cuts *cuts,
                        const struct window_told *told, struct window_change *change);

/* True when every batch that was cut is durable as last told. */
bool window_is_clean(const struct window *window);

/* A number that differs, but for hash collisions, where two windows would behave differently. */
uint64_t window_fingerprint(const struct window *window, uint64_t hash);

#endif
