/* The stores that the broker knows, and in which state each is: registered over which routing
 * id, when last heard, given up or not. Leases, graces and openings are decided here; what they
 * hold is the ledger's. */
#ifndef SORTEO_BROKER_STORES_H
#define SORTEO_BROKER_STORES_H

#include "proto/wire/message.h"

enum store_state {
    STORE_AWAITED,     /* known from the journal, not heard since this broker started */
    STORE_REGISTERING, /* its inventory is coming in */
    STORE_REGISTERED,  /* welcomed; its lease runs */
    STORE_SILENT,      /* no lease; its set still counts until the grace is over */
    STORE_GIVEN_UP,    /* counts for nothing until it registers again */
};

enum {
    OLD_DRAWS_MAX = 16,    /* as many as a worker keeps in mind (FORGET) */
    WRONG_ANSWERS_MAX = 3, /* after so many nothing is asked of a store until it is opened anew */
};

/* A draw older than those that are kept, of which an inventory has something. */
struct old_draw {
    uint32_t draw;
    bool has_batches;
};

struct store {
    struct id id;
    struct epoch opening; /* highest seen; number 0: none yet */
    uint64_t peer; /* routing id of the registration; valid while registering or registered */
    enum store_state state;
    enum store_state before; /* registering: AWAITED, SILENT or GIVEN_UP, what it is without */
    int64_t heard_at;        /* any message of it */
    int64_t silent_at;       /* when its lease ended; awaited: when the broker began to wait */
    int64_t pinged_at;
    uint32_t chunks; /* of the inventory that is coming in: number of the next one */
    struct old_draw old_draws[OLD_DRAWS_MAX]; /* of that inventory: to be forgotten */
    uint32_t old_draws_count;
    uint64_t free_bytes;
    bool has_sealed;        /* it answered SEALED with the draw's root in this registration */
    uint32_t wrong_answers; /* to COUNT, since its opening */
};

struct stores;

enum status stores_create(int64_t lease_ms, int64_t grace_ms, struct stores **stores);
void stores_destroy(struct stores **stores);

/* A store id that the journal has: it is awaited from now on. Again: no change. errors: LIMIT. */
enum status stores_restore(struct stores *stores, const struct id *id, int64_t now_ms);

/* REGISTER. A registration that is already there (or half there) under the same or an older opening
 * of the same store is replaced; a store that was registered is silent from now on, if its new
 * inventory is never completed.
 * out: slot; is_new: its id has to be journaled.
 * errors: STALE: a lower opening, or an equal one with another id (a copied store), or the peer is
 * registered as another store: DISMISSED OPENING; LIMIT: STORES_MAX: DISMISSED STORES. */
enum status stores_register(struct stores *stores, uint64_t peer,
                            const struct message_register *message, int64_t now_ms, uint32_t *slot,
                            bool *is_new);
/* Its inventory is complete: it is registered. in: a slot that is registering. */
void stores_welcome(struct stores *stores, uint32_t slot, int64_t now_ms);

/* The slot that registers or is registered over this routing id; -1: none. cost: O(stores) */
int stores_find(const struct stores *stores, uint64_t peer);
/* A message of it arrived. Neither registering nor registered: no change. */
void stores_heard(struct stores *stores, uint32_t slot, int64_t now_ms);

uint32_t stores_count(const struct stores *stores);
struct store *stores_at(struct stores *stores, uint32_t slot);

/* No store is awaited or registering: what each holds is known, or it is given up. Of a silent one
 * it is known as well, and what was in flight to it is over. */
bool stores_are_settled(const struct stores *stores);
uint32_t stores_registered_count(const struct stores *stores);

enum store_change { STORE_UNCHANGED, STORE_FELL_SILENT, STORE_WAS_GIVEN_UP, STORE_HALF_FORGOTTEN };
/* Takes the next change that time has made: a lease that ended (registered → silent), a grace
 * that ended (awaited or silent → given up), a half inventory without a chunk for a lease (→ what
 * it was before, with the silence that it had). Call until UNCHANGED. */
enum store_change stores_next_change(struct stores *stores, int64_t now_ms, uint32_t *slot);
/* When the next change would come; INT64_MAX: none. */
int64_t stores_due_at(const struct stores *stores);
/* What has registered so far counts for nothing: each store that is not given up is awaited anew,
 * from now on. */
void stores_await_anew(struct stores *stores, int64_t now_ms);
/* The broker itself slept: all leases and graces move by that much, but none beyond what it would
 * be if it began now: what was heard since is not older than the sleep. */
void stores_shift(struct stores *stores, int64_t by_ms, int64_t now_ms);

uint64_t stores_fingerprint(const struct stores *stores, uint64_t hash);

#endif
