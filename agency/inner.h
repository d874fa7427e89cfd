/* The inside of the core, shared by the files that it is cut into: agency.c (its life, the reader's
 * and the socket's events, answers), asking.c (the one request that is out, and time), replies.c
 * (what the broker says). Of others only tests look inside. */
#ifndef SORTEO_AGENCY_INNER_H
#define SORTEO_AGENCY_INNER_H

#include "agency/agency.h"
#include "agency/pace.h"
#include "agency/window.h"

/* The request that is out. An agency has at most one. */
struct asked {
    bool is_open;
    enum message_kind kind;
    uint32_t from;
    bool has_declaration;
    int64_t due_at; /* unanswered from then on */
};

struct agency {
    struct agency_terms terms; /* incarnation: raised once when the clock has gone back */
    enum agency_state state;
    unsigned orders;
    struct agency_outcome outcome;

    /* The attempt, from ADMITTED. */
    uint32_t attempt; /* 0: none yet */
    struct plan plan;
    struct result_terms number_terms;
    uint32_t batches_max;  /* seqs are below */
    bool is_admitted;      /* once, ever */
    bool is_heard;         /* the first request was answered */
    bool has_started_over; /* HELLO of the new attempt was said */
    bool holds_back;       /* a declaration is journaled: declare before sending */
    bool has_result;       /* the result can be fetched */
    bool is_not_open;      /* the last answer to HELLO */
    bool has_order_read;   /* AGENCY_ORDER_READ was given */

    /* The file. */
    struct cuts cuts;
    bool has_ended;
    struct declaration declaration; /* once has_ended */

    struct window window;
    struct pace pace;
    struct agency_barrier barrier;
    struct result result;
    struct hasher *hasher; /* owned */

    /* Asking. */
    struct asked asked;
    int64_t ask_at;     /* when none is out */
    int64_t begun_at;   /* for the connect timeout */
    int64_t moved_at;   /* something moved: for the wait timeout */
    int64_t stalled_at; /* since when what is in flight arrives nowhere; INT64_MAX: it arrives */
    int64_t stalled_ms; /* how long that is borne: doubled by each dial that did not help */
    uint32_t unanswered;
    uint32_t hello_from;
    uint32_t poll_from;
    uint32_t digests_from;

    uint64_t batches_again;
    uint64_t bets_sent;  /* in the batches below sent_below */
    uint32_t sent_below; /* every seq below was sent or durable once */
    uint64_t ignored;
};

/* The event happens; one that the table does not list for this state is counted and changes
 * nothing.
 * returns whether it was listed. */
bool agency_enter(struct agency *agency, enum agency_event event);
void agency_fail(struct agency *agency, enum agency_cause cause);
/* SENDING and READING end when there is nothing left to send or read. */
void agency_advance(struct agency *agency, int64_t now_ms);
/* Closes the sockets and begins anew with HELLO. */
void agency_redial(struct agency *agency);
/* The request that was out is answered. */
void agency_close_asked(struct agency *agency);

#endif
