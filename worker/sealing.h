/* The end of a draw at a store: the manifest's parts are put together, checked and recorded as
 * the first and only seal; every batch of the draw is read back from disk in steps; then the
 * broker is told SEALED. Owns the parts and the reading back. The rules stand in PROTOCOL.md,
 * "Sealing". */
#ifndef SORTEO_WORKER_SEALING_H
#define SORTEO_WORKER_SEALING_H

#include "worker/seals.h"

enum {
    PARTS_MAX = MANIFEST_BYTES_MAX / CHUNK_BYTES_MAX,
    STEP_BYTES_MAX = 4 << 20, /* read in one step: a few ms of hashing (tests/bench/hot_path) */
    STEP_BATCHES_MAX = 256,   /* looked at in one step */
};

/* A manifest whose parts are coming. */
struct assembly {
    uint32_t draw; /* 0: none */
    struct digest root;
    uint32_t parts;
    uint32_t parts_come;
    bool has[PARTS_MAX];
    uint8_t *packed; /* owned, packed_bytes long */
    size_t packed_bytes;
};

/* A draw's batches being read back. */
struct read_back {
    bool is_running;
    uint32_t draw;
    struct batch_identity next;
    uint64_t batches; /* verified so far */
    uint64_t bytes;
    bool found_rot; /* at least one batch was deleted: register again at the end */
};

/* Open for values: zeroed; sealing_clear at the end. */
struct sealing {
    struct assembly assembly;
    struct read_back read_back;
    uint32_t verified_draw; /* every batch of it was read back in this process's life; 0: none */
    uint32_t answer_draw;   /* whose manifest is being told to a broker that recovers; 0: none */
    uint32_t answer_part;
};

void sealing_clear(struct sealing *sealing);

/* The registration is over: parts, a reading back and an answer that are under way are given up.
 * What was recorded or verified stays so. */
void sealing_interrupt(struct sealing *sealing);

/* Takes a part of SEAL. The last missing one is followed by checking and recording, and the
 * reading back begins. A draw that has a seal keeps it, and the broker is told which.
 * in: no transaction is open, here and below. errors: FULL, SYNC, IO, NO_MEMORY: the worker
 * ends. */
enum status sealing_take_part(struct sealing *sealing, const struct workbench *bench,
                              struct seals *seals, uint32_t draw, const struct message_part *part,
                              struct slice body);

/* SEAL_VOID: records it, unless the draw has a seal, and answers with what is kept. errors: as
 * above. */
enum status sealing_take_void(struct sealing *sealing, const struct workbench *bench,
                              struct seals *seals, uint32_t draw);

/* MANIFEST: from now on sealing_step sends the parts of that draw's manifest, if there is one. */
void sealing_ask_manifest(struct sealing *sealing, uint32_t draw);

bool sealing_is_busy(const struct sealing *sealing);

/* One step of what is under way. out: has_found_rot: set when the reading back is over and
 * batches had to be deleted: the worker registers again. errors: as above. */
enum status sealing_step(struct sealing *sealing, const struct workbench *bench,
                         struct seals *seals, bool *has_found_rot);

/* True when every batch of a draw was read back since this process began: it may be counted. */
static inline bool sealing_has_verified(const struct sealing *sealing, uint32_t draw)
{
    return draw != 0 && sealing->verified_draw == draw;
}

/* Deletes a rotten batch durably and notes it. errors: FULL, SYNC, IO. */
enum status sealing_delete_rotten(const struct workbench *bench,
                                  const struct batch_identity *identity);

#endif
