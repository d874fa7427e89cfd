/* Several workers from one command: a process for each, forked before any socket, thread or
 * store is opened. The parent only waits: it starts a worker that died again, with a pause that
 * grows, hands on SIGTERM, and ends when all of them have ended for good. The workers end when
 * the parent dies. */
#ifndef SORTEO_WORKER_POOL_H
#define SORTEO_WORKER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/limits.h"

enum {
    POOL_WORKERS_MAX = STORES_MAX,
    RESTART_MS_MIN = 200, /* pause before a worker is started again, doubled each time */
    RESTART_MS_MAX = 15000,
    RESTART_FORGIVEN_MS = 60000, /* who lived this long begins with the shortest pause again */
    POOL_STOP_MS = 6000,         /* after SIGTERM: a worker drains within 5 s; then SIGKILL */
};

/* What becomes of a worker process that has ended. in: wait_status: of waitpid.
 * returns true when it is to be started again: it was killed, or failed in a way that may pass.
 * One that was told to end (0), has no folder to work in (73), or must not be run again unasked
 * (64, 76, 77, 78) is not. out: code: its exit code, 128 + the signal's number where it was
 * killed. */
bool pool_restarts(int wait_status, int *code);

/* Pause before the next start of a worker whose last pause was `pause_ms` and who lived
 * `lived_ms`. */
int64_t pool_next_pause(int64_t pause_ms, int64_t lived_ms);

/* Runs `work` in `workers` processes (1 to POOL_WORKERS_MAX), each with its number from 0 on, which
 * it has again when it is started again; its result is the process's exit code. Called from the
 * main thread.
 * returns the parent's exit code: the first one that was not 0 of those that ended for good,
 * else 0. */
int pool_run(uint32_t workers, int stop_descriptor, int (*work)(uint32_t number, void *argument),
             void *argument);

#endif
