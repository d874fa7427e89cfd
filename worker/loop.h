/* The worker's shell: one socket to the broker, the core, its store, and the turns between them.
 * Decides nothing but when to dial. */
#ifndef SORTEO_WORKER_LOOP_H
#define SORTEO_WORKER_LOOP_H

#include "proto/host/socket.h"
#include "worker/intake.h"

struct loop_settings {
    struct address broker;
    struct intake_settings intake;
    int stop_descriptor;
};

/* Serves the broker until SIGTERM, or until the core ends. in: an open store, lent.
 * returns the process's exit code. */
int worker_loop_run(const struct loop_settings *settings, struct store *store);

#endif
