/* What frame 0 of each kind of message consists of, as data: message.c packs and reads every kind
 * with one loop over these tables (PROTOCOL.md, "Messages", has the same tables for people). */
#ifndef SORTEO_PROTO_WIRE_SCHEMA_H
#define SORTEO_PROTO_WIRE_SCHEMA_H

#include "proto/wire/message.h"

enum field_type {
    FIELD_NUMBER,   /* unsigned, min to max; a member of 4 or 8 bytes */
    FIELD_CHOICE,   /* unsigned, one of the values whose bits are set in max; an enum of 4 bytes */
    FIELD_BOOL,     /* true or false */
    FIELD_FIXED,    /* bin of exactly the member's bytes: an id or a digest */
    FIELD_OPTIONAL, /* bin of 0 or of max bytes; a slice */
    FIELD_RANGES,   /* ranges (seqset.h) of max bytes at most; a slice */
    FIELD_AGENCIES, /* array of strictly rising agency ids, max of them at most; a slice */
};

struct field {
    enum field_type type;
    uint16_t offset; /* in struct message */
    uint16_t bytes;  /* of the member */
    uint64_t min;
    uint64_t max;
};

struct schema {
    const struct field *fields; /* behind kind and version; the first one is the draw */
    uint32_t fields_count;
    /* What must hold between the fields of a message, each in its own range; NULL: nothing. */
    bool (*holds)(const struct message *message);
};

/* The schema of a kind, or NULL for a number that is no kind. */
const struct schema *schema_of(uint32_t kind);

#endif
