/* --recover N: what a broker without its journal (lost, or older than the stores) does before
 * anything else. It waits until N stores have registered, looks at the newest draw that any of them
 * knows, and goes on with it: from a store's manifest where it is sealed, void where it is not.
 * While it waits its messages carry epoch 0, which a store neither refuses nor records. What older
 * draws ended with is UNKNOWN from then on. */
#ifndef SORTEO_BROKER_RECOVERY_H
#define SORTEO_BROKER_RECOVERY_H

#include "proto/wire/item.h"
#include "proto/wire/manifest.h"

struct recovery;

/* What the stores know of the newest draw. */
enum recovery_finding {
    RECOVERY_NOTHING,  /* no store knows any draw */
    RECOVERY_UNSEALED, /* batches, but no seal: it has to be void */
    RECOVERY_SEALED,   /* a store has its manifest */
    RECOVERY_VOID,     /* it is void already */
    RECOVERY_FORGOTTEN /* it is over, and the stores have forgotten its batches */
};

enum status recovery_create(uint32_t stores_needed, struct recovery **recovery);
void recovery_destroy(struct recovery **recovery);

/* A store registers (its highest broker epoch), and an item of its inventory; is_known: the journal
 * has it. */
void recovery_hear_epoch(struct recovery *recovery, uint64_t number);
void recovery_hear_item(struct recovery *recovery, uint32_t store,
                        const struct item_inventory *item, bool is_known);
/* A store's registration is over: it cannot be asked for a manifest. */
void recovery_forget_store(struct recovery *recovery, uint32_t store);

bool recovery_has_stores(const struct recovery *recovery, uint32_t registered);
/* The highest epoch that a store has served. */
uint64_t recovery_epoch_heard(const struct recovery *recovery);
/* True when a store brought something that the journal does not have. */
bool recovery_has_unknown(const struct recovery *recovery);

/* The newest draw and what is known of it. */
enum recovery_finding recovery_find(const struct recovery *recovery, uint32_t *draw);

/* A store that has the newest draw's manifest and is not asked yet; false: none, or one is being
 * asked. It counts as asked from now on, until it answers whole, wrongly, or is forgotten. They are
 * asked in turn: one that ends each time it is asked, and comes back, is not in the way. */
bool recovery_next_ask(struct recovery *recovery, uint32_t *store);

/* A part of the manifest. out: manifest, owned by the caller, once it is whole and right; else
 * NULL. errors: WRONG, MALFORMED: the parts do not belong together, or make no manifest: another
 * store is asked; NO_MEMORY. */
enum status recovery_take_part(struct recovery *recovery, uint32_t store, uint32_t draw,
                               const struct message_part *part, struct slice body,
                               struct hasher *hasher, struct manifest **manifest);

#endif
