/* A store in memory that behaves like one on a disk which fails: what was not synced is lost in
 * a crash, the disk has an end, a sync can fail, bytes can rot. Keeps the contract of
 * worker/store.h to the letter, and stops (CHECK) a caller who does not: a second transaction, a
 * change after a failed sync. What it lends is freed at the next call, so that ASan finds
 * whoever keeps it. For unit tests and the simulator. */
#ifndef SORTEO_TESTS_SIM_STORE_MEMORY_H
#define SORTEO_TESTS_SIM_STORE_MEMORY_H

#include "worker/store.h"

enum {
    MEMORY_BATCH_BYTES = 64,    /* what a batch takes besides its body */
    MEMORY_RESERVE_BYTES = 4096 /* at the end of the capacity, for all that is no batch */
};

/* An empty store, opened for the first time. errors: NO_MEMORY. */
enum status store_memory_create(const struct id *id, const struct id *opening_id,
                                struct store **store);

/* The process dies and opens the store again: only what was synced is left, the opening is
 * raised. */
void store_memory_crash(struct store *store, const struct id *opening_id);

/* A copy of what is on the disk, opened: same id, and an opening that the original may have as
 * well. */
enum status store_memory_copy(const struct store *store, const struct id *opening_id,
                              struct store **copy);

/* The disk's end, counted over bodies, manifests and MEMORY_BATCH_BYTES for each; 0: none. */
void store_memory_set_capacity(struct store *store, uint64_t bytes);

/* The next commit answers SYNC. is_kept: what it held is on the disk nevertheless. */
void store_memory_fail_sync(struct store *store, bool is_kept);
/* It does not, if it has not yet. */
void store_memory_fail_no_sync(struct store *store);

/* From now on commits are (not) synced, as with a store whose author forgot to: to show that a
 * test of durability can fail. */
void store_memory_skip_sync(struct store *store, bool skips);

/* Turns one bit of a stored body. false: there is no such batch. */
bool store_memory_rot(struct store *store, const struct batch_identity *identity);
/* Turns that bit of the manifest of a sealed draw. false: none is kept, or it has no such bit. */
bool store_memory_rot_manifest(struct store *store, uint32_t draw, size_t bit);
/* The second half of a stored body is zeros, as of a write that a power loss has torn. false: there
 * is no such batch, or the half was zeros before. */
bool store_memory_tear(struct store *store, const struct batch_identity *identity);
/* True when the seal of a draw is synced, with this root (zeros: as void). */
bool store_memory_has_seal(const struct store *store, uint32_t draw, const struct digest *root);

/* What is durable: is this batch, with this digest; how many are. */
bool store_memory_has_durably(const struct store *store, const struct batch_record *batch);
size_t store_memory_count_durable(const struct store *store);

/* How often a commit was asked for. */
uint64_t store_memory_commits(const struct store *store);

/* Equal for equal contents, durable and not. */
uint64_t store_memory_fingerprint(const struct store *store);

#endif
