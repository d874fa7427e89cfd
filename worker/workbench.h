/* What every part of the worker's core works with: the store, the outbox, a hasher and the
 * notes. Borrowed from the worker, who owns or borrows them himself. */
#ifndef SORTEO_WORKER_WORKBENCH_H
#define SORTEO_WORKER_WORKBENCH_H

#include "proto/wire/outbox.h"
#include "worker/notes.h"
#include "worker/store.h"

struct workbench {
    struct store *store;
    struct outbox *outbox;
    struct hasher *hasher;
    struct notes *notes;
};

/* Puts a message for the broker into the outbox. in: body: NULL where the kind has none. */
static inline void workbench_send(const struct workbench *bench, const struct message *message,
                                  const struct slice *body)
{
    outbox_send(bench->outbox, PORT_DISPATCH, 0, message, body);
}

#endif
