/* The bytes of keys and values in a store's LMDB tables. Keys are big-endian, so that LMDB's
 * order is the order of numbers; each value begins with the format's version, which is checked
 * whenever it is read. */
#ifndef SORTEO_WORKER_LMDB_VALUE_H
#define SORTEO_WORKER_LMDB_VALUE_H

#include "worker/store.h"

enum {
    VALUE_FORMAT = 1,
    IDENTITY_KEY_BYTES = 16,               /* draw, agency, attempt, seq */
    BATCH_VALUE_BYTES = 1 + 4 + 8 + 32,    /* format, bets, arrival, digest */
    BODY_HEAD_BYTES = 1,                   /* format; the body follows */
    SEAL_KEY_BYTES = 4,                    /* draw */
    SEAL_VALUE_BYTES = 1 + 1 + 1 + 32 + 4, /* format, kind, forgotten, root, number */
    EPOCH_VALUE_BYTES = 1 + 8 + ID_BYTES,  /* format, number, id */
    ID_VALUE_BYTES = 1 + ID_BYTES,         /* format, id */
};

void value_pack_identity(const struct batch_identity *identity, uint8_t key[IDENTITY_KEY_BYTES]);
void value_pack_batch(const struct batch_record *batch, uint64_t arrival,
                      uint8_t value[BATCH_VALUE_BYTES]);
void value_pack_draw(uint32_t draw, uint8_t key[SEAL_KEY_BYTES]);
void value_pack_seal(const struct seal_record *seal, uint8_t value[SEAL_VALUE_BYTES]);
void value_pack_epoch(const struct epoch *epoch, uint8_t value[EPOCH_VALUE_BYTES]);
void value_pack_id(const struct id *id, uint8_t value[ID_VALUE_BYTES]);

/* Each reads what the function of the same name packed.
 * errors: VERSION: another format; IO: not of the format's length, or a value that it cannot
 * have. */
enum status value_read_identity(struct slice key, struct batch_identity *identity);
enum status value_read_batch(struct slice value, struct batch_record *batch, uint64_t *arrival);
enum status value_read_seal(struct slice key, struct slice value, struct seal_record *seal);
enum status value_read_epoch(struct slice value, struct epoch *epoch);
enum status value_read_id(struct slice value, struct id *id);

/* Takes the version off a value that is followed by bytes: a body, a packed manifest. */
enum status value_read_bytes(struct slice value, struct slice *bytes);

#endif
