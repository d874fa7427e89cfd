/* What the store knows about the ends of draws, with the last one looked at kept at hand: every
 * batch asks here whether it may still enter. */
#ifndef SORTEO_WORKER_SEALS_H
#define SORTEO_WORKER_SEALS_H

#include "proto/wire/manifest.h"
#include "worker/workbench.h"

/* Open for values: zeroed, then used; seals_clear at the end. */
struct seals {
    struct seal_record record; /* of the draw looked at last; draw 0: none */
    struct manifest *manifest; /* owned: of that draw, once it was asked for; else NULL */
};

void seals_clear(struct seals *seals);

/* The mark of a draw: one of kind SEAL_NONE where the store was told nothing. Borrowed until the
 * next call.
 * errors: IO, VERSION. */
enum status seals_look(struct seals *seals, const struct workbench *bench, uint32_t draw,
                       const struct seal_record **record);

/* The manifest of a draw that is sealed with one; read from the store and checked where it is
 * not at hand. Borrowed until the next call for another draw. errors: NOT_FOUND: there is none
 * (any more); IO: what the store has is no manifest; VERSION, NO_MEMORY. cost: once for each
 * draw O(batches) hashes and an allocation. */
enum status seals_manifest(struct seals *seals, const struct workbench *bench, uint32_t draw,
                           const struct manifest **manifest);

/* Records a mark durably, with a transaction of its own. in: none is open; manifest: taken over
 * with SEAL_MANIFEST (*manifest is NULL then), else NULL. errors: FULL (not even the reserve has
 * room), SYNC, IO. */
enum status seals_record(struct seals *seals, const struct workbench *bench,
                         const struct seal_record *record, struct manifest **manifest);

/* Whether a batch may enter. */
enum admission {
    ADMISSION_OPEN,   /* the draw is open: the first batch under an identity stays */
    ADMISSION_SEALED, /* it is the manifest's, which rules: another one gives way to it */
    ADMISSION_LATE,   /* the draw is over for it */
};

/* errors: IO, VERSION, NO_MEMORY. cost: O(log agencies) while draws do not alternate. */
enum status seals_admit(struct seals *seals, const struct workbench *bench,
                        const struct batch_identity *identity, const struct digest *digest,
                        enum admission *admission);

/* The digest that the manifest has for a batch, or NULL where it is not in it. */
const struct digest *seals_digest(const struct manifest *manifest,
                                  const struct batch_identity *identity);

#endif
