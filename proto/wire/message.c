/* Packing and reading of every kind of message by its table of fields (schema.h), and the words for
 * kinds, phases and reasons. Which fields a kind has and which values are allowed stands in
 * schema.c. */
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/wire/check.h"
#include "proto/wire/limits.h"
#include "proto/wire/pack.h"
#include "proto/wire/schema.h"
#include "proto/wire/seqset.h"

enum {
    HEAD_ELEMENTS = 2, /* kind and version, in front of the fields */
    EXIT_CODE_UNKNOWN = 70,
};

/* -- words -- */

struct reason {
    const char *name;
    const char *text;
    int exit_code;
};

static const struct reason refusals[] = {
#define X(name, value, exit, text) [value] = {#name, text, exit},
    REFUSAL_TABLE(X)
#undef X
};

static const struct reason dismissals[] = {
#define X(name, value, exit, text) [value] = {#name, text, exit},
    DISMISSAL_TABLE(X)
#undef X
};

static const char *const phase_names[] = {
    [PHASE_OPEN] = "OPEN",
    [PHASE_SEALED] = "SEALED",
    [PHASE_PUBLISHED] = "PUBLISHED",
    [PHASE_VOID] = "VOID",
};

enum { NO_BODY = false, BODY = true };

static const struct {
    const char *name;
    bool has_body;
} kinds[] = {
#define X(name, number, body) [number] = {#name, body},
    MESSAGE_TABLE(X)
#undef X
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const struct reason *find_refusal(enum refusal refusal)
{
    static const struct reason unknown = {"UNKNOWN_REASON", "unknown reason", EXIT_CODE_UNKNOWN};
    bool is_known = (size_t)refusal < COUNT_OF(refusals) && refusals[refusal].name != NULL;
    return is_known ? &refusals[refusal] : &unknown;
}

static const struct reason *find_dismissal(enum dismissal dismissal)
{
    static const struct reason unknown = {"UNKNOWN_REASON", "unknown reason", EXIT_CODE_UNKNOWN};
    bool is_known = (size_t)dismissal < COUNT_OF(dismissals) && dismissals[dismissal].name != NULL;
    return is_known ? &dismissals[dismissal] : &unknown;
}

const char *refusal_text(enum refusal refusal)
{
    return find_refusal(refusal)->text;
}

const char *refusal_name(enum refusal refusal)
{
    return find_refusal(refusal)->name;
}

int refusal_exit_code(enum refusal refusal)
{
    return find_refusal(refusal)->exit_code;
}

const char *dismissal_text(enum dismissal dismissal)
{
    return find_dismissal(dismissal)->text;
}

int dismissal_exit_code(enum dismissal dismissal)
{
    return find_dismissal(dismissal)->exit_code;
}

const char *phase_name(enum phase phase)
{
    bool is_known = (size_t)phase < COUNT_OF(phase_names) && phase_names[phase] != NULL;
    return is_known ? phase_names[phase] : "unknown phase";
}

const char *message_name(enum message_kind kind)
{
    return schema_of(kind) != NULL ? kinds[kind].name : "unknown kind";
}

bool message_has_body(enum message_kind kind)
{
    return schema_of(kind) != NULL && kinds[kind].has_body;
}

size_t message_write_topic(uint32_t draw, uint32_t agency, char topic[TOPIC_BYTES_MAX])
{
    int bytes = snprintf(topic, TOPIC_BYTES_MAX, "winners/%" PRIu32 "/%" PRIu32 "/", draw, agency);
    CHECK(bytes > 0 && bytes < TOPIC_BYTES_MAX);
    return (size_t)bytes;
}

bool declaration_is_equal(const struct declaration *a, const struct declaration *b)
{
    return a->batches == b->batches && a->bets == b->bets && a->rejected == b->rejected &&
           digest_is_equal(&a->root, &b->root);
}

/* -- packing -- */

static uint64_t load_number(const uint8_t *member, size_t bytes)
{
    uint64_t number = 0;
    uint32_t narrow = 0;
    if (bytes == sizeof number) {
        memcpy(&number, member, sizeof number);
        return number;
    }
    CHECK(bytes == sizeof narrow);
    memcpy(&narrow, member, sizeof narrow);
    return narrow;
}

static void store_number(uint8_t *member, size_t bytes, uint64_t number)
{
    uint32_t narrow = (uint32_t)number;
    if (bytes == sizeof number)
        memcpy(member, &number, sizeof number);
    else
        memcpy(member, &narrow, sizeof narrow);
}

static bool is_choice(const struct field *field, uint64_t value)
{
    return value < 64 && (field->max >> value & 1) != 0;
}

/* A slice that holds nothing stands for the empty array. */
static void pack_list(struct packer *packer, struct slice list)
{
    if (list.bytes == 0)
        pack_array(packer, 0);
    else
        pack_raw(packer, list);
}

static void pack_field(struct packer *packer, const struct field *field, const uint8_t *member)
{
    struct slice slice;
    uint64_t number;
    switch (field->type) {
    case FIELD_NUMBER:
        number = load_number(member, field->bytes);
        CHECK(number >= field->min && number <= field->max);
        pack_unsigned(packer, number);
        break;
    case FIELD_CHOICE:
        number = load_number(member, field->bytes);
        CHECK(is_choice(field, number));
        pack_unsigned(packer, number);
        break;
    case FIELD_BOOL:
        pack_bool(packer, *(const bool *)member);
        break;
    case FIELD_FIXED:
        pack_bin(packer, member, field->bytes);
        break;
    case FIELD_OPTIONAL:
        memcpy(&slice, member, sizeof slice);
        CHECK(slice.bytes == 0 || slice.bytes == field->max);
        pack_bin(packer, slice.data, slice.bytes);
        break;
    case FIELD_RANGES:
        memcpy(&slice, member, sizeof slice);
        CHECK(slice.bytes <= field->max);
        pack_list(packer, slice);
        break;
    case FIELD_AGENCIES:
        memcpy(&slice, member, sizeof slice);
        pack_list(packer, slice);
        break;
    }
}

enum status message_encode(const struct message *message, uint8_t *buffer, size_t buffer_bytes,
                           size_t *bytes)
{
    const struct schema *schema = schema_of(message->kind);
    CHECK(schema != NULL);
    CHECK(schema->holds == NULL || schema->holds(message));
    struct packer packer;
    pack_begin(&packer, buffer, buffer_bytes);
    pack_array(&packer, HEAD_ELEMENTS + schema->fields_count);
    pack_unsigned(&packer, message->kind);
    pack_unsigned(&packer, PROTOCOL_VERSION);
    for (uint32_t i = 0; i < schema->fields_count; i++)
        pack_field(&packer, &schema->fields[i],
                   (const uint8_t *)message + schema->fields[i].offset);
    if (packer.overflowed)
        return STATUS_LIMIT;
    *bytes = packer.bytes;
    return STATUS_OK;
}

/* -- reading -- */

/* An array of strictly rising agency ids, still packed. */
static struct slice unpack_agencies(struct unpacker *unpacker, uint64_t agencies_max)
{
    size_t start = unpacker->at;
    uint32_t agencies = unpack_array(unpacker);
    bool is_valid = agencies <= agencies_max;
    uint64_t lowest = 0;
    for (uint32_t i = 0; i < agencies && is_valid; i++) {
        uint64_t agency = unpack_unsigned(unpacker, UINT32_MAX);
        is_valid = !unpacker->failed && agency >= lowest;
        lowest = agency + 1;
    }
    unpacker->failed = unpacker->failed || !is_valid;
    return (struct slice){unpacker->packed.data + start, unpacker->at - start};
}

static void unpack_field(struct unpacker *unpacker, const struct field *field, uint8_t *member)
{
    struct slice slice = {0};
    uint64_t number = 0;
    bool is_valid = true;
    switch (field->type) {
    case FIELD_NUMBER:
        number = unpack_unsigned(unpacker, field->max);
        is_valid = number >= field->min;
        store_number(member, field->bytes, number);
        break;
    case FIELD_CHOICE:
        number = unpack_unsigned(unpacker, UINT32_MAX);
        is_valid = is_choice(field, number);
        store_number(member, field->bytes, number);
        break;
    case FIELD_BOOL:
        *(bool *)member = unpack_bool(unpacker);
        break;
    case FIELD_FIXED:
        slice = unpack_bin(unpacker, field->bytes, field->bytes);
        if (!unpacker->failed)
            memcpy(member, slice.data, field->bytes);
        break;
    case FIELD_OPTIONAL:
        slice = unpack_bin(unpacker, 0, field->max);
        is_valid = slice.bytes == 0 || slice.bytes == field->max;
        memcpy(member, &slice, sizeof slice);
        break;
    case FIELD_RANGES:
        slice = ranges_unpack(unpacker, field->max);
        memcpy(member, &slice, sizeof slice);
        break;
    case FIELD_AGENCIES:
        slice = unpack_agencies(unpacker, field->max);
        memcpy(member, &slice, sizeof slice);
        break;
    }
    unpacker->failed = unpacker->failed || !is_valid;
}

static bool unpack_fields(struct unpacker *unpacker, const struct schema *schema,
                          struct message *message)
{
    for (uint32_t i = 0; i < schema->fields_count && !unpacker->failed; i++)
        unpack_field(unpacker, &schema->fields[i], (uint8_t *)message + schema->fields[i].offset);
    return unpack_is_complete(unpacker) && (schema->holds == NULL || schema->holds(message));
}

/* The draw as far as it can be read in a message that is not understood otherwise. */
static uint32_t peek_draw(const struct unpacker *unpacker, uint32_t elements)
{
    struct unpacker ahead = *unpacker;
    return elements > HEAD_ELEMENTS ? (uint32_t)unpack_unsigned(&ahead, UINT32_MAX) : 0;
}

enum status message_decode(struct slice frame, struct message *message)
{
    struct unpacker unpacker;
    unpack_begin(&unpacker, frame);
    uint32_t elements = unpack_array(&unpacker);
    uint32_t kind = (uint32_t)unpack_unsigned(&unpacker, UINT32_MAX);
    uint64_t version = unpack_unsigned(&unpacker, UINT64_MAX);
    uint32_t draw = peek_draw(&unpacker, elements);
    const struct schema *schema = schema_of(kind);
    if (schema == NULL)
        kind = 0;
    memset(message, 0, sizeof *message);
    message->kind = (enum message_kind)kind;
    message->draw = draw;

    if (elements < HEAD_ELEMENTS || unpacker.failed)
        return STATUS_MALFORMED;
    if (version != PROTOCOL_VERSION)
        return STATUS_VERSION;
    bool is_whole = frame.bytes <= HEADER_BYTES_MAX && schema != NULL &&
                    elements == HEAD_ELEMENTS + schema->fields_count;
    if (is_whole && unpack_fields(&unpacker, schema, message))
        return STATUS_OK;
    memset(message, 0, sizeof *message);
    message->kind = (enum message_kind)kind;
    message->draw = draw;
    return STATUS_MALFORMED;
}
