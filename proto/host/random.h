/* The one place that asks the kernel for randomness: ids, seeds, jitter's first state. */
#ifndef SORTEO_PROTO_HOST_RANDOM_H
#define SORTEO_PROTO_HOST_RANDOM_H

#include <stddef.h>

#include "proto/wire/identity.h"

/* Fills `bytes` bytes; ends the program where the kernel cannot (getrandom does not fail once
 * started). */
void random_fill(void *buffer, size_t bytes);
void random_id(struct id *id);

#endif
