/* What the worker's core asks of the place where bets lie durably: a table of functions, so that
 * another store (a database) is one more file and one more choice in main.c, and nothing in the
 * core changes. The contract that every implementation keeps:
 * - A store is opened and closed by the shell. Opening raises the opening's number durably, with
 *   a new random id, and refuses a format version that it does not know (VERSION). One process
 *   has a store open.
 * - Changes are made in a transaction: begin, then put, erase or record, then commit. There is
 *   one at a time. Nothing of it is durable before commit has returned OK, and all of it is
 *   durable then.
 * - FULL from any of them ends the transaction: nothing of it is kept, and the store works on.
 *   SYNC from commit means that nobody knows what is on the disk: it is never tried again, the
 *   process exits. IO, VERSION: what is stored cannot be read or written; the process exits as
 *   well.
 * - Reading works inside a transaction (it sees the transaction's own changes) and outside of
 *   one. Slices that a call gives out are borrowed until the next call of any function of that
 *   store: copy what must live longer.
 * - No call keeps anything locked or pinned between two turns of the loop but an open
 *   transaction.
 * - Batches are listed in rising order of (draw, agency, attempt, seq). */
#ifndef SORTEO_WORKER_STORE_H
#define SORTEO_WORKER_STORE_H

#include "proto/wire/digest.h"
#include "proto/wire/identity.h"
#include "proto/wire/slice.h"
#include "proto/wire/status.h"

/* What a batch is known by. Attempts of one agency are different batches. A store is given, and
 * gives out, no others than the protocol has: draw and attempt from 1, seq below BATCHES_MAX. */
struct batch_identity {
    uint32_t draw;
    uint32_t agency;
    uint32_t attempt;
    uint32_t seq;
};

/* A stored batch without its body. */
struct batch_record {
    struct batch_identity identity;
    uint32_t bets; /* 1 to BATCH_BETS_MAX */
    struct digest digest;
};

/* How a draw ended, as far as this store was told. The values are stored: they never change. */
enum seal_kind {
    SEAL_NONE = 0,     /* it was not told */
    SEAL_MANIFEST = 1, /* sealed with a manifest */
    SEAL_AS_VOID = 2,  /* void: a seal without a manifest */
};

/* The mark of one draw. The first seal stays for ever, but that a void
 * replaces a manifest's; being forgotten is added to it. */
struct seal_record {
    uint32_t draw;
    enum seal_kind kind;
    bool is_forgotten;  /* its batches and its packed manifest were deleted */
    struct digest root; /* of the manifest; zeros without one */
    uint32_t number;    /* likewise 0 */
};

/* Who this store is, and what it has been told about brokers. */
struct store_about {
    struct id id;         /* made at the store's creation */
    struct epoch opening; /* this one */
    struct epoch epoch;   /* highest broker epoch recorded; zeros: none */
    uint64_t free_bytes;  /* that batches may still take, roughly */
};

/* Which space a transaction may use. */
enum store_space {
    STORE_COMMON,  /* for batches: the reserve stays untouched */
    STORE_RESERVE, /* for epochs, seals and deletions: the reserve too */
};

struct store;

/* One implementation. What each function does stands at the inline function below that calls it. */
struct store_table {
    void (*about)(struct store *store, struct store_about *about);
    enum status (*begin)(struct store *store, enum store_space space);
    enum status (*put)(struct store *store, const struct batch_record *batch, struct slice body,
                       bool replaces);
    enum status (*erase)(struct store *store, const struct batch_identity *identity);
    enum status (*record_epoch)(struct store *store, const struct epoch *epoch);
    enum status (*record_seal)(struct store *store, const struct seal_record *seal,
                               struct slice packed);
    enum status (*commit)(struct store *store);
    void (*abandon)(struct store *store);
    enum status (*get)(struct store *store, const struct batch_identity *identity,
                       struct batch_record *batch, struct slice *body);
    enum status (*list)(struct store *store, const struct batch_identity *from,
                        struct batch_record *batches, size_t batches_max, size_t *count);
    enum status (*list_seals)(struct store *store, uint32_t from_draw, struct seal_record *seals,
                              size_t seals_max, size_t *count);
    enum status (*manifest)(struct store *store, uint32_t draw, struct slice *packed);
    const char *(*problem)(const struct store *store);
    void (*close)(struct store **store);
};

/* Every implementation's own struct begins with this one. */
struct store {
    const struct store_table *table;
};

/* Copies what the store knows about itself. cost: may ask the file system for its free space. */
static inline void store_about(struct store *store, struct store_about *about)
{
    store->table->about(store, about);
}

/* Begins a transaction. in: none is open. errors: FULL, IO. cost: may allocate disk space ahead. */
static inline enum status store_begin(struct store *store, enum store_space space)
{
    return store->table->begin(store, space);
}

/* Adds a batch to the transaction. in: a body that is checked and is the digest's; `replaces`:
 * another batch under the same identity gives way.
 * errors: EXISTS: it is there already, with this digest; CONFLICT: another digest is there and
 * stays: both leave the transaction as it is; FULL, IO, VERSION. cost: O(log batches) + one copy
 * of the body. */
static inline enum status store_put(struct store *store, const struct batch_record *batch,
                                    struct slice body, bool replaces)
{
    return store->table->put(store, batch, body, replaces);
}

/* Deletes a batch in the transaction. errors: NOT_FOUND (the transaction stays), FULL, IO,
 * VERSION. */
static inline enum status store_erase(struct store *store, const struct batch_identity *identity)
{
    return store->table->erase(store, identity);
}

/* Records the highest broker epoch in the transaction. errors: FULL, IO. */
static inline enum status store_record_epoch(struct store *store, const struct epoch *epoch)
{
    return store->table->record_epoch(store, epoch);
}

/* Writes a draw's mark in the transaction, in place of the one that was there: the core sees to
 * it that the first seal stays. in: packed: the manifest with SEAL_MANIFEST unless forgotten,
 * else empty, which deletes the one that was kept. errors: FULL, IO. */
static inline enum status store_record_seal(struct store *store, const struct seal_record *seal,
                                            struct slice packed)
{
    return store->table->record_seal(store, seal, packed);
}

/* Makes the transaction durable and ends it, whatever it answers. errors: FULL: nothing was
 * written; SYNC. */
static inline enum status store_commit(struct store *store)
{
    return store->table->commit(store);
}

/* Ends the transaction without a trace. Fine when none is open. */
static inline void store_abandon(struct store *store)
{
    store->table->abandon(store);
}

/* Reads a batch. out: batch, and body (may be NULL where only the record is wanted).
 * errors: NOT_FOUND, IO, VERSION. cost: O(log batches), copies nothing of the body. */
static inline enum status store_get(struct store *store, const struct batch_identity *identity,
                                    struct batch_record *batch, struct slice *body)
{
    return store->table->get(store, identity, batch, body);
}

/* Copies up to batches_max records at or after `from` in rising order. A caller goes on in a
 * later turn with batch_identity_next() of the last one; what was added or deleted meanwhile
 * does no harm.
 * out: count: fewer than batches_max: there are no more. errors: IO, VERSION. cost: O(log
 * batches + count). */
static inline enum status store_list(struct store *store, const struct batch_identity *from,
                                     struct batch_record *batches, size_t batches_max,
                                     size_t *count)
{
    return store->table->list(store, from, batches, batches_max, count);
}

/* The same for the marks of draws at or after `from_draw`, in rising order. */
static inline enum status store_list_seals(struct store *store, uint32_t from_draw,
                                           struct seal_record *seals, size_t seals_max,
                                           size_t *count)
{
    return store->table->list_seals(store, from_draw, seals, seals_max, count);
}

/* The packed manifest that was recorded with a draw's seal. errors: NOT_FOUND, IO, VERSION. */
static inline enum status store_manifest(struct store *store, uint32_t draw, struct slice *packed)
{
    return store->table->manifest(store, draw, packed);
}

/* What the last FULL, SYNC, IO or VERSION was about, in one sentence for the operator: "" when
 * there was none. Borrowed until the next call. */
static inline const char *store_problem(const struct store *store)
{
    return store->table->problem(store);
}

/* Closes and frees the store; an open transaction leaves no trace. NULL is fine, twice as well. */
static inline void store_close(struct store **store)
{
    if (*store != NULL)
        (*store)->table->close(store);
}

/* The order of batches: negative, 0 or positive like memcmp. */
static inline int batch_identity_compare(const struct batch_identity *a,
                                         const struct batch_identity *b)
{
    if (a->draw != b->draw)
        return a->draw < b->draw ? -1 : 1;
    if (a->agency != b->agency)
        return a->agency < b->agency ? -1 : 1;
    if (a->attempt != b->attempt)
        return a->attempt < b->attempt ? -1 : 1;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return 0;
}

/* The lowest identity behind a batch's. */
static inline void batch_identity_next(struct batch_identity *identity)
{
    identity->seq++;
}

#endif
