/* One specimen of every kind of message against the wire form that PROTOCOL.md gives it, written
 * here as text and packed by msgpack-c; and the words for kinds, phases and reasons. */
#include "proto/wire/message.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

#include "proto/wire/limits.h"
#include "proto/wire/schema.h"
#include "proto/wire/seqset.h"

#define ID(byte)                                                                                \
    {                                                                                           \
        {                                                                                       \
            byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, \
                byte, byte                                                                      \
        }                                                                                       \
    }
#define EIGHT(byte) byte, byte, byte, byte, byte, byte, byte, byte
#define DIGEST(byte)                                           \
    {                                                          \
        {                                                      \
            EIGHT(byte), EIGHT(byte), EIGHT(byte), EIGHT(byte) \
        }                                                      \
    }
#define EPOCH(number, byte) \
    {                       \
        number, ID(byte)    \
    }
#define BYTES(text)                               \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/* No two fields of a specimen have the same value, so that no two can change places unseen.
 * wire: numbers; t and f; iN and dN: an id and a digest full of N; e: an empty bin; [ ]: an
 * array. */
static const struct specimen {
    struct message message;
    const char *wire;
} specimens[] = {
    {{.kind = MESSAGE_BATCH, .draw = 7, .batch = {3, 2, 1000, 500, DIGEST(9)}},
     "1 1 7 3 2 1000 500 d9"},
    {{.kind = MESSAGE_MARK, .draw = 7, .mark = {3, 2, UINT64_C(1) << 40, 6}},
     "2 1 7 3 2 1099511627776 6"},
    {{.kind = MESSAGE_HELLO, .draw = 8, .hello = {3, 70000, 0, {100, 65536, true}, 17}},
     "10 1 8 3 70000 0 100 65536 t 17"},
    {{.kind = MESSAGE_POLL, .draw = 8, .poll = {3, 99, 2, 5, 17, true, {40, 4000, 6, DIGEST(1)}}},
     "11 1 8 3 99 2 5 17 t 40 4000 6 d1"},
    {{.kind = MESSAGE_POLL, .draw = 8, .poll = {.agency = 3, .attempt = 2, .round = 5}},
     "11 1 8 3 0 2 5 0 f 0 0 0 d0"},
    {{.kind = MESSAGE_WINNERS, .draw = 9, .winners = {3, 200}}, "12 1 9 3 200"},
    {{.kind = MESSAGE_DIGESTS, .draw = 9, .digests = {3, 2, 200}}, "13 1 9 3 2 200"},
    {{.kind = MESSAGE_BYE, .draw = 9, .bye = {3}}, "14 1 9 3"},
    {{.kind = MESSAGE_ADMITTED,
      .draw = 1,
      .admitted = {3,
                   2,
                   {100, 65536, true},
                   4,
                   UINT32_MAX,
                   BYTES("\x94\x00\x02\x05\x01"),
                   90000,
                   1048576,
                   524288,
                   77,
                   PHASE_PUBLISHED,
                   DIGEST(5),
                   61,
                   9998,
                   false}},
     "20 1 1 3 2 100 65536 t 4 4294967295 [ 0 2 5 1 ] 90000 1048576 524288 77 3 d5 61 9998 f"},
    {{.kind = MESSAGE_WAIT,
      .draw = 1,
      .wait = {3, 2, 6, 10, 300, BYTES("\x92\x0a\x05"), BYTES("\x92\x14\x01"), 512, PHASE_SEALED, 4,
               5, BYTES("\x92\x07\xcd\x01\x00")}},
     "21 1 1 3 2 6 10 300 [ 10 5 ] [ 20 1 ] 512 2 4 5 [ 7 256 ]"},
    {{.kind = MESSAGE_FINISHED,
      .draw = 1,
      .wait = {3, 2, 6, 0, 300, BYTES("\x90"), BYTES("\x92\x14\x01"), 512, PHASE_OPEN, 4, 5,
               BYTES("\x90")}},
     "22 1 1 3 2 6 0 300 [ ] [ 20 1 ] 512 1 4 5 [ ]"},
    {{.kind = MESSAGE_RESULT,
      .draw = 1,
      .result = {3, 7574, DIGEST(6),
                 BYTES("\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4"
                       "\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4"),
                 10, 20, 30}},
     "23 1 1 3 7574 d6 d4 10 20 30"},
    {{.kind = MESSAGE_RESULT, .draw = 1, .result = {3, 7574, DIGEST(6), {NULL, 0}, 0, 0, 0}},
     "23 1 1 3 7574 d6 e 0 0 0"},
    {{.kind = MESSAGE_NOT_YET, .draw = 1, .not_yet = {3, PHASE_VOID}}, "24 1 1 3 4"},
    {{.kind = MESSAGE_DIGEST_PAGE, .draw = 1, .digest_page = {3, 2, 10, 20, 15}},
     "25 1 1 3 2 10 20 15"},
    {{.kind = MESSAGE_OK, .draw = 1, .ok = {3}}, "26 1 1 3"},
    {{.kind = MESSAGE_REFUSED,
      .draw = 0,
      .refused = {3, REFUSAL_REJECTED, 6, 12, FAULT_NUL, UINT64_C(1) << 32}},
     "27 1 0 3 9 6 12 5 4294967296"},
    {{.kind = MESSAGE_REGISTER, .registration = {ID(1), EPOCH(4, 2), 900, EPOCH(5, 3)}},
     "40 1 0 i1 4 i2 900 5 i3"},
    {{.kind = MESSAGE_INVENTORY, .inventory = {2, true, 5}}, "41 1 0 2 t 5"},
    {{.kind = MESSAGE_CREDIT, .credit = {8388608}}, "42 1 0 8388608"},
    {{.kind = MESSAGE_STORED, .draw = 2, .stored = {3, 4, 5}}, "43 1 2 3 4 5"},
    {{.kind = MESSAGE_REJECTED,
      .draw = 2,
      .rejected = {3, 4, 50, 60, FAULT_NAME_LINE_BREAK, REFUSAL_REJECTED}},
     "44 1 2 3 4 50 60 23 9"},
    {{.kind = MESSAGE_REJECTED,
      .draw = 2,
      .rejected = {3, 4, 50, 60, FAULT_NONE, REFUSAL_CONFLICT}},
     "44 1 2 3 4 50 60 0 10"},
    {{.kind = MESSAGE_RETURNED, .draw = 2, .returned = {3, 4, BYTES("\x92\x05\x06")}},
     "45 1 2 3 4 [ 5 6 ]"},
    {{.kind = MESSAGE_SEALED, .draw = 2, .sealed = {DIGEST(8)}}, "46 1 2 d8"},
    {{.kind = MESSAGE_FOUND, .draw = 2, .found = {3, 4, 5, 6}}, "47 1 2 3 4 5 6"},
    {{.kind = MESSAGE_COUNTED, .draw = 2, .counted = {3, 4, 5, 6, 7}}, "48 1 2 3 4 5 6 7"},
    {{.kind = MESSAGE_PONG}, "49 1 0"},
    {{.kind = MESSAGE_FENCED, .fenced = {EPOCH(9, 4)}}, "50 1 0 9 i4"},
    {{.kind = MESSAGE_MANIFEST_PART, .draw = 2, .part = {3, 4, 1000000, DIGEST(7)}},
     "51 1 2 3 4 1000000 d7"},
    {{.kind = MESSAGE_WELCOME, .epoch = EPOCH(9, 4), .welcome = {3000, 1048576}},
     "60 1 0 9 i4 3000 1048576"},
    {{.kind = MESSAGE_DISMISSED, .epoch = EPOCH(9, 4), .dismissed = {DISMISSAL_STORES}},
     "61 1 0 9 i4 2"},
    {{.kind = MESSAGE_WHO, .epoch = EPOCH(9, 4)}, "62 1 0 9 i4"},
    {{.kind = MESSAGE_PING, .epoch = EPOCH(0, 0)}, "63 1 0 0 i0"},
    {{.kind = MESSAGE_FORWARD, .draw = 2, .epoch = EPOCH(9, 4), .forward = {true}},
     "64 1 2 9 i4 t"},
    {{.kind = MESSAGE_SEAL, .draw = 2, .epoch = EPOCH(9, 4), .part = {0, 1, 1000, DIGEST(7)}},
     "65 1 2 9 i4 0 1 1000 d7"},
    {{.kind = MESSAGE_SEAL_VOID, .draw = 2, .epoch = EPOCH(9, 4)}, "66 1 2 9 i4"},
    {{.kind = MESSAGE_COUNT, .draw = 2, .epoch = EPOCH(9, 4), .count = {DIGEST(7), 5, 6, 8}},
     "67 1 2 9 i4 d7 5 6 8"},
    {{.kind = MESSAGE_FORGET, .draw = 2, .epoch = EPOCH(9, 4)}, "68 1 2 9 i4"},
    {{.kind = MESSAGE_MANIFEST, .draw = 2, .epoch = EPOCH(9, 4)}, "69 1 2 9 i4"},
};

enum { SPECIMENS = sizeof specimens / sizeof *specimens };

static void pack_filled(msgpack_packer *packer, size_t bytes, const char *number)
{
    uint8_t filled[DIGEST_BYTES];
    memset(filled, (int)strtoul(number, NULL, 10), sizeof filled);
    msgpack_pack_bin(packer, bytes);
    msgpack_pack_bin_body(packer, filled, bytes);
}

/* The number of elements from `at` to the end of this array. */
static size_t count_elements(const char *at)
{
    size_t elements = 0;
    int depth = 0;
    for (; *at != '\0' && depth >= 0; at += strcspn(at, " "), at += strspn(at, " ")) {
        elements += depth == 0 && *at != ']';
        depth += (*at == '[') - (*at == ']');
    }
    return elements;
}

static void pack_text(const char *at, msgpack_sbuffer *buffer)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, count_elements(at));
    for (; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        if (*at == 't')
            msgpack_pack_true(&packer);
        else if (*at == 'f')
            msgpack_pack_false(&packer);
        else if (*at == 'i')
            pack_filled(&packer, ID_BYTES, at + 1);
        else if (*at == 'd')
            pack_filled(&packer, DIGEST_BYTES, at + 1);
        else if (*at == 'e')
            msgpack_pack_bin(&packer, 0);
        else if (*at == '[')
            msgpack_pack_array(&packer, count_elements(at + 2));
        else if (*at != ']')
            msgpack_pack_uint64(&packer, strtoull(at, NULL, 10));
    }
}

Test(message, every_kind_has_its_specified_wire_form, .timeout = 10)
{
    for (size_t i = 0; i < SPECIMENS; i++) {
        uint8_t header[512];
        size_t bytes = 0;
        msgpack_sbuffer expected;
        msgpack_sbuffer_init(&expected);
        pack_text(specimens[i].wire, &expected);
        cr_assert_eq(message_encode(&specimens[i].message, header, sizeof header, &bytes),
                     STATUS_OK);
        cr_assert_eq(bytes, expected.size, "%s", specimens[i].wire);
        cr_assert_eq(memcmp(header, expected.data, bytes), 0, "%s", specimens[i].wire);
        msgpack_sbuffer_destroy(&expected);
    }
}

Test(message, every_kind_comes_back_as_it_was_sent, .timeout = 10)
{
    for (size_t i = 0; i < SPECIMENS; i++) {
        uint8_t header[512], again[512];
        size_t bytes = 0, again_bytes = 0;
        struct message message;
        message_encode(&specimens[i].message, header, sizeof header, &bytes);
        cr_assert_eq(message_decode((struct slice){header, bytes}, &message), STATUS_OK, "%s",
                     specimens[i].wire);
        cr_assert_eq(message.kind, specimens[i].message.kind);
        cr_assert_eq(message.draw, specimens[i].message.draw);
        cr_assert_eq(message.epoch.number, specimens[i].message.epoch.number);
        cr_assert_eq(message_encode(&message, again, sizeof again, &again_bytes), STATUS_OK);
        cr_assert_eq(again_bytes, bytes);
        cr_assert_eq(memcmp(again, header, bytes), 0, "%s", specimens[i].wire);
    }
}

static enum status decode_text(const char *wire, struct message *message)
{
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    pack_text(wire, &frame);
    enum status status =
        message_decode((struct slice){(const uint8_t *)frame.data, frame.size}, message);
    msgpack_sbuffer_destroy(&frame);
    return status;
}

/* Each field is in its own range; the second form shows how little the first one is wrong. */
Test(message, refuses_fields_that_contradict_each_other, .timeout = 10)
{
    static const struct {
        const char *why, *bad, *good;
    } cases[] = {
        {"batches without a declaration", "11 1 8 3 0 2 5 0 f 1 0 0 d0",
         "11 1 8 3 0 2 5 0 t 1 0 0 d0"},
        {"bets without a declaration", "11 1 8 3 0 2 5 0 f 0 1 0 d0",
         "11 1 8 3 0 2 5 0 t 0 1 0 d0"},
        {"rejected without a declaration", "11 1 8 3 0 2 5 0 f 0 0 1 d0",
         "11 1 8 3 0 2 5 0 t 0 0 1 d0"},
        {"a root without a declaration", "11 1 8 3 0 2 5 0 f 0 0 0 d1",
         "11 1 8 3 0 2 5 0 t 0 0 0 d1"},
        {"ADMITTED upto below from", "20 1 1 3 2 1 512 f 9 8 [ ] 0 1 512 1 1 d0 5 5 f",
         "20 1 1 3 2 1 512 f 9 9 [ ] 0 1 512 1 1 d0 5 5 f"},
        {"ADMITTED range_last below range_first", "20 1 1 3 2 1 512 f 9 9 [ ] 0 1 512 1 1 d0 5 4 f",
         "20 1 1 3 2 1 512 f 9 9 [ ] 0 1 512 1 1 d0 5 5 f"},
        {"WAIT upto below from", "21 1 1 3 2 0 9 8 [ ] [ ] 0 1 0 0 [ ]",
         "21 1 1 3 2 0 9 9 [ ] [ ] 0 1 0 0 [ ]"},
        {"FINISHED upto below from", "22 1 1 3 2 0 9 8 [ ] [ ] 0 1 0 0 [ ]",
         "22 1 1 3 2 0 9 9 [ ] [ ] 0 1 0 0 [ ]"},
        {"RESULT upto below from", "23 1 1 3 0 d6 e 9 8 10", "23 1 1 3 0 d6 e 9 9 10"},
        {"RESULT total below upto", "23 1 1 3 0 d6 e 9 10 9", "23 1 1 3 0 d6 e 9 10 10"},
        {"DIGEST_PAGE upto below from", "25 1 1 3 2 9 8 10", "25 1 1 3 2 9 9 1"},
        {"a fault with LATE", "44 1 2 3 4 5 6 1 2", "44 1 2 3 4 5 6 0 2"},
        {"a fault with CONFLICT", "44 1 2 3 4 5 6 1 10", "44 1 2 3 4 5 6 0 10"},
        {"REJECTED without a fault", "44 1 2 3 4 5 6 0 9", "44 1 2 3 4 5 6 1 9"},
        {"part 1 of 1", "51 1 2 1 1 1 d7", "51 1 2 0 1 1 d7"},
        {"bytes that take two parts", "51 1 2 0 1 262145 d7", "51 1 2 0 1 262144 d7"},
        {"bytes that take one part", "65 1 2 9 i4 0 2 262144 d7", "65 1 2 9 i4 0 2 262145 d7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message message;
        cr_assert_eq(decode_text(cases[i].bad, &message), STATUS_MALFORMED, "%s", cases[i].why);
        cr_assert_eq(decode_text(cases[i].good, &message), STATUS_OK, "not %s", cases[i].why);
    }
}

Test(message, decode_gives_slices_of_the_frame, .timeout = 10)
{
    struct message message, wait;
    for (size_t i = 0; i < SPECIMENS; i++)
        if (specimens[i].message.kind == MESSAGE_WAIT)
            wait = specimens[i].message;
    uint8_t header[512];
    size_t bytes = 0;
    message_encode(&wait, header, sizeof header, &bytes);
    cr_assert_eq(message_decode((struct slice){header, bytes}, &message), STATUS_OK);
    cr_assert(slice_is_equal(message.wait.durable, wait.wait.durable));
    cr_assert(slice_is_equal(message.wait.held, wait.wait.held));
    cr_assert(slice_is_equal(message.wait.missing, wait.wait.missing));
    cr_assert(message.wait.durable.data > header && message.wait.durable.data < header + bytes);
}

Test(message, encode_says_when_the_buffer_is_too_small, .timeout = 10)
{
    for (size_t i = 0; i < SPECIMENS; i++) {
        uint8_t header[512];
        size_t bytes = 0, room_bytes = 0;
        message_encode(&specimens[i].message, header, sizeof header, &bytes);
        for (room_bytes = 0; room_bytes < bytes; room_bytes++) {
            uint8_t *room = malloc(room_bytes + 1);
            size_t written = 12345;
            cr_assert_eq(message_encode(&specimens[i].message, room, room_bytes, &written),
                         STATUS_LIMIT);
            cr_assert_eq(written, 12345, "untouched on failure");
            free(room);
        }
    }
}

Test(message, empty_slices_travel_as_empty_lists, .timeout = 10)
{
    struct message message = {.kind = MESSAGE_WAIT, .draw = 1};
    message.wait.attempt = 1;
    message.wait.phase = PHASE_OPEN;
    uint8_t header[128];
    size_t bytes = 0;
    cr_assert_eq(message_encode(&message, header, sizeof header, &bytes), STATUS_OK);
    cr_assert_eq(message_decode((struct slice){header, bytes}, &message), STATUS_OK);
    cr_assert(slice_is_equal(message.wait.durable, (struct slice)BYTES("\x90")));
    cr_assert(slice_is_equal(message.wait.missing, (struct slice)BYTES("\x90")));
}

Test(message, two_full_sets_fit_into_a_header, .timeout = 10)
{
    struct seqset every_other = {0};
    for (uint32_t seq = 65536; seq < 131072; seq += 2)
        cr_assert_eq(seqset_add(&every_other, seq), STATUS_OK);
    static uint8_t set[RANGES_BYTES_MAX], header[HEADER_BYTES_MAX];
    static uint8_t named[8 + 5 * MISSING_NAMED_MAX];
    struct message message = {.kind = MESSAGE_WAIT, .draw = UINT32_MAX};
    message.wait = (struct message_wait){.attempt = 1, .phase = PHASE_OPEN};
    seqset_pack(&every_other, 0, set, sizeof set, &message.wait.durable, &message.wait.upto);
    message.wait.held = message.wait.durable;
    cr_assert_gt(message.wait.durable.bytes, RANGES_BYTES_MAX - 8);
    named[0] = 0xdc;
    named[2] = MISSING_NAMED_MAX;
    for (uint8_t i = 0; i < MISSING_NAMED_MAX; i++)
        memcpy(named + 3 + 5 * i, (uint8_t[]){0xce, 0xff, 0xff, 0xff, i}, 5);
    message.wait.missing = (struct slice){named, 3 + 5 * MISSING_NAMED_MAX};
    size_t bytes = 0;
    cr_assert_eq(message_encode(&message, header, sizeof header, &bytes), STATUS_OK);
    cr_assert_eq(message_decode((struct slice){header, bytes}, &message), STATUS_OK);
    cr_assert_eq(message.wait.missing.bytes, 3 + 5 * MISSING_NAMED_MAX);
    seqset_clear(&every_other);
}

Test(message, words_are_those_of_the_tables, .timeout = 10)
{
    cr_assert_str_eq(refusal_name(REFUSAL_NOT_OPEN), "NOT_OPEN");
    cr_assert_str_eq(refusal_name(REFUSAL_VERSION), "VERSION");
    cr_assert_str_eq(refusal_text(REFUSAL_VOID), "the draw is void");
    cr_assert_eq(refusal_exit_code(REFUSAL_ROSTER), 78);
    cr_assert_str_eq(dismissal_text(DISMISSAL_INVENTORY),
                     "the inventory was not of the specified form");
    cr_assert_eq(dismissal_exit_code(DISMISSAL_OPENING), 78);
    cr_assert_str_eq(phase_name(PHASE_OPEN), "OPEN");
    cr_assert_str_eq(phase_name(PHASE_VOID), "VOID");
    cr_assert_str_eq(message_name(MESSAGE_HELLO), "HELLO");
    cr_assert_str_eq(message_name(MESSAGE_MANIFEST), "MANIFEST");
    cr_assert(message_has_body(MESSAGE_BATCH));
    cr_assert(message_has_body(MESSAGE_COUNT));
    cr_assert_not(message_has_body(MESSAGE_FORWARD));
    cr_assert_not(message_has_body(MESSAGE_HELLO));
}

Test(message, words_for_what_is_none_are_said_so, .timeout = 10)
{
    static const unsigned values[] = {0, 17, 99, UINT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_assert_str_eq(refusal_text((enum refusal)values[i]), "unknown reason");
        cr_assert_str_eq(refusal_name((enum refusal)values[i]), "UNKNOWN_REASON");
        cr_assert_eq(refusal_exit_code((enum refusal)values[i]), 70);
        cr_assert_str_eq(dismissal_text((enum dismissal)values[i]), "unknown reason");
        cr_assert_eq(dismissal_exit_code((enum dismissal)values[i]), 70);
        cr_assert_str_eq(phase_name((enum phase)values[i]), "unknown phase");
        cr_assert_str_eq(message_name((enum message_kind)values[i]), "unknown kind");
        cr_assert_not(message_has_body((enum message_kind)values[i]));
    }
}

Test(message, topic_of_one_agency_is_no_prefix_of_another_s, .timeout = 10)
{
    char topic[TOPIC_BYTES_MAX];
    char other[TOPIC_BYTES_MAX];
    cr_assert_eq(message_write_topic(7, 1, topic), 12);
    cr_assert_str_eq(topic, "winners/7/1/");
    (void)message_write_topic(7, 10, other);
    cr_assert_neq(strncmp(topic, other, strlen(topic)), 0);
    cr_assert_eq(message_write_topic(UINT32_MAX, UINT32_MAX, topic), strlen(topic));
    cr_assert_str_eq(topic, "winners/4294967295/4294967295/");
}

Test(message, declarations_are_equal_in_every_field, .timeout = 10)
{
    const struct declaration base = {1, 2, 3, DIGEST(4)};
    struct declaration others[] = {base, base, base, base};
    others[0].batches++;
    others[1].bets += UINT64_C(1) << 32;
    others[2].rejected++;
    others[3].root.bytes[31]++;
    cr_assert(declaration_is_equal(&base, &base));
    for (size_t i = 0; i < 4; i++)
        cr_assert_not(declaration_is_equal(&base, &others[i]), "field %zu", i);
}

/* What a new field would be forgotten in first. */
Test(message, declarations_differ_by_every_field_that_travels, .timeout = 10)
{
    const size_t begin = offsetof(struct message, poll.declaration);
    const struct schema *schema = schema_of(MESSAGE_POLL);
    const struct message one = {.kind = MESSAGE_POLL};
    int fields = 0;
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const size_t offset = schema->fields[i].offset;
        if (offset < begin || offset >= begin + sizeof one.poll.declaration)
            continue;
        struct message other = one;
        ((uint8_t *)&other)[offset] ^= 1;
        cr_assert_not(declaration_is_equal(&one.poll.declaration, &other.poll.declaration),
                      "field %u", i);
        fields++;
    }
    cr_assert_geq(fields, 4);
}
