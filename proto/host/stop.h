/* An orderly end: SIGTERM and SIGINT become a descriptor in the poll set instead of an
 * interruption. */
#ifndef SORTEO_PROTO_HOST_STOP_H
#define SORTEO_PROTO_HOST_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/status.h"

/* First thing in main(), before any thread, socket or fork: blocks SIGINT and SIGTERM, ignores
 * SIGPIPE. Of standard input, output and error none is closed afterwards, so no file can be opened
 * in the place of one and get what is logged; reading one that was closed still fails.
 * out: descriptor: readable once one of them arrived (signalfd, close-on-exec). A child made by
 * fork inherits the mask and begins anew for a descriptor of its own. errors: IO. */
enum status stop_begin(int *descriptor);

/* Takes what arrived. returns the signal's number, 0 when there is none. Never waits. */
int stop_take(int descriptor);

/* Waits for one of them, wait_ms at most. returns true once one has arrived, which is still to be
 * taken. */
bool stop_wait(int descriptor, int64_t wait_ms);

/* Raises RLIMIT_NOFILE's soft limit as far as needed. errors: CONFIG: the hard limit is below
 * `needed`. */
enum status stop_raise_descriptors(uint64_t needed);

#endif
