/* msgpack in shortest form, by hand: the few types that the protocol has (unsigned integers,
 * booleans, bin, str, array headers). A writer that never passes its buffer's end and a reader of
 * bytes from outside that refuses every other form; no allocation, no recursion. msgpack-c is the
 * oracle of its tests. */
#ifndef SORTEO_PROTO_WIRE_PACK_H
#define SORTEO_PROTO_WIRE_PACK_H

#include "proto/wire/slice.h"
#include "proto/wire/status.h"

/* Once something did not fit, `overflowed` is set and nothing more is written. */
struct packer {
    uint8_t *buffer; /* borrowed */
    size_t buffer_bytes;
    size_t bytes;
    bool overflowed;
};

void pack_begin(struct packer *packer, uint8_t *buffer, size_t buffer_bytes);
void pack_array(struct packer *packer, uint32_t elements);
void pack_unsigned(struct packer *packer, uint64_t value);
void pack_bool(struct packer *packer, bool value);
void pack_bin(struct packer *packer, const void *data, size_t bytes);
void pack_str(struct packer *packer, struct slice text);
void pack_raw(struct packer *packer, struct slice packed); /* bytes that are msgpack already */

/* Once something was not of the form, `failed` is set and every further read answers zeros. */
struct unpacker {
    struct slice packed; /* borrowed */
    size_t at;
    bool failed;
};

void unpack_begin(struct unpacker *unpacker, struct slice packed);
/* fails when fewer bytes are left than elements */
uint32_t unpack_array(struct unpacker *unpacker);
/* fails above `max` */
uint64_t unpack_unsigned(struct unpacker *unpacker, uint64_t max);
/* fails below `min` and above `max` */
uint32_t unpack_between(struct unpacker *unpacker, uint32_t min, uint32_t max);
bool unpack_bool(struct unpacker *unpacker);
/* fails when the length is not in bytes_min..bytes_max; a slice of the input */
struct slice unpack_bin(struct unpacker *unpacker, size_t bytes_min, size_t bytes_max);
struct slice unpack_str(struct unpacker *unpacker, size_t bytes_min, size_t bytes_max);
/* True when nothing failed and every byte was read. */
bool unpack_is_complete(const struct unpacker *unpacker);

#endif
