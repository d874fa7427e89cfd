/* Bytes that somebody else owns. A slice is valid as long as the buffer that it was cut from; a
 * slice of length 0 may have a NULL pointer. It has no terminating NUL. */
#ifndef SORTEO_PROTO_WIRE_SLICE_H
#define SORTEO_PROTO_WIRE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* borrowed */
    size_t bytes;
};

static inline bool slice_is_equal(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

#endif
