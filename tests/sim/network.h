/* The simulated network. It loses, delays and reorders as the real one does: a connection leads to
 * one broker, keeps order and loses a tail when it breaks; what still comes from a broken one may
 * come after what a newer one brings; a message to a connection that is gone vanishes silently; a
 * link that is stalled carries nothing, and then all of it. Requests, replies and publications may
 * each be lost, and what agencies send, and publications, may come twice. Letters are bytes: the
 * real codec stands between the cores. */
#ifndef SORTEO_TESTS_SIM_NETWORK_H
#define SORTEO_TESTS_SIM_NETWORK_H

#include "proto/wire/slice.h"
#include "tests/sim/dice.h"

enum line {
    LINE_BETS,    /* agency → broker */
    LINE_REQUEST, /* agency → broker */
    LINE_REPLY,   /* broker → agency */
    LINE_WINNERS, /* broker → agency */
    LINE_UP,      /* worker → broker */
    LINE_DOWN,    /* broker → worker */
    LINES
};

struct garble_row;

enum { LETTER_FRAMES = 3, PARTIES_MAX = 16 };

/* One message on its way. */
struct letter {
    int64_t at_ms;  /* when it arrives */
    uint64_t order; /* breaks ties: sent earlier, arrives earlier */
    enum line line;
    uint32_t party;                   /* which agency or worker */
    uint64_t connection;              /* of that party on that line */
    uint32_t broker;                  /* which one the connection leads to */
    uint64_t token;                   /* REQUEST, REPLY: which request */
    bool is_strange;                  /* it came over no connection: a stranger says it */
    bool is_nonsense;                 /* and it must not change the broker */
    const struct garble_row *garbled; /* what is wrong with it; NULL: nothing (garble.h) */
    struct slice frames[LETTER_FRAMES];
    uint32_t frames_count;
    uint8_t *bytes; /* owned: what the frames lead into */
};

struct network_faults {
    uint32_t lost_millionths;  /* requests, replies, publications */
    uint32_t twice_millionths; /* bets, requests, publications */
    uint32_t delay_ms_max;
};

struct network;

struct network *network_create(struct dice *dice, const struct network_faults *faults);
void network_destroy(struct network **network);
void network_heal(struct network *network);

/* The connection that a party has now on a line; 0: none. */
uint64_t network_connection(const struct network *network, enum line line, uint32_t party);
/* True when there is a connection and it leads to that broker. */
bool network_leads_to(const struct network *network, enum line line, uint32_t party,
                      uint32_t broker);
/* A new connection to a broker; what was on the way on the old one loses a tail (all: nothing of it
 * survives). */
void network_dial(struct network *network, enum line line, uint32_t party, uint32_t broker,
                  bool loses_all, int64_t now_ms);
void network_hang_up(struct network *network, enum line line, uint32_t party, bool loses_all,
                     int64_t now_ms);

/* The link carries nothing until then. */
void network_stall(struct network *network, enum line line, uint32_t party, int64_t until_ms);

/* The connection that a party has on a line passes nothing on any more, neither what is on its way,
 * and nobody is told: until it is dialed anew. returns false when there is none. */
bool network_swallow(struct network *network, enum line line, uint32_t party, int64_t now_ms);

/* Copies the frames and sends them over the party's current connection, if it has one. */
void network_send(struct network *network, enum line line, uint32_t party, uint64_t token,
                  const struct slice *frames, uint32_t frames_count, int64_t now_ms);

/* When the next letter arrives; INT64_MAX: none is on the way. */
int64_t network_due_at(const struct network *network);
/* Takes it out; the caller frees it with letter_free. NULL: nothing is due. */
struct letter *network_take(struct network *network, int64_t now_ms);
void letter_free(struct letter *letter);
struct letter *letter_copy(const struct slice *frames, uint32_t frames_count);
/* Gives back what was taken: it arrives at that time, in the order in which it was sent. */
void network_postpone(struct network *network, struct letter *letter, int64_t at_ms);

uint64_t network_lost(const struct network *network);
uint64_t network_twice(const struct network *network);

/* -- for the exhaustive run, which chooses what comes next -- */

/* The first letter on its way over a connection or a former one, in order of sending, or NULL. */
const struct letter *network_first(const struct network *network, enum line line, uint32_t party);
/* Takes that letter out, whenever it is due; the caller frees it. */
struct letter *network_take_first(struct network *network, enum line line, uint32_t party);
/* Mixes what is on its way into a number that is equal for equal networks. */
uint64_t network_fingerprint(const struct network *network, uint64_t hash);

#endif
