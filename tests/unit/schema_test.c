/* What the reader of messages takes and what it refuses, for every field of every kind. The bounds
 * stand here a second time, as PROTOCOL.md has them: a letter for a field's shape, a word for a
 * kind. */
#include "proto/wire/schema.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

enum { CHUNK_MAX = 360, FRAME_MAX = 2048, REFUSED_MAX = 96, FIELDS_MAX = 24 };

/* One packed element. */
struct chunk {
    uint8_t bytes[CHUNK_MAX];
    size_t size;
};

static const struct {
    enum message_kind kind;
    const char *shapes;
} kinds[] = {
    {MESSAGE_BATCH, "Duascd"},
    {MESSAGE_MARK, "DuaUa"},
    {MESSAGE_HELLO, "DuUuuubf"},
    {MESSAGE_POLL, "DuUaufbfUUd"},
    {MESSAGE_WINNERS, "Duu"},
    {MESSAGE_DIGESTS, "Duaf"},
    {MESSAGE_BYE, "Du"},
    {MESSAGE_ADMITTED, "DuacybfuRUnynpduub"},
    {MESSAGE_WAIT, "DuaufuRRUpggM"},
    {MESSAGE_FINISHED, "DuaufuRRUpggM"},
    {MESSAGE_RESULT, "DuudSuuu"},
    {MESSAGE_NOT_YET, "Dup"},
    {MESSAGE_DIGEST_PAGE, "Duafff"},
    {MESSAGE_OK, "Du"},
    {MESSAGE_REFUSED, "uuxsrFU"},
    {MESSAGE_REGISTER, "0iUiUUi"},
    {MESSAGE_INVENTORY, "0ubf"},
    {MESSAGE_CREDIT, "0U"},
    {MESSAGE_STORED, "Duan"},
    {MESSAGE_REJECTED, "DuasrFt"},
    {MESSAGE_RETURNED, "DuaR"},
    {MESSAGE_SEALED, "Dd"},
    {MESSAGE_FOUND, "DUuun"},
    {MESSAGE_COUNTED, "DUuUUn"},
    {MESSAGE_PONG, "0"},
    {MESSAGE_FENCED, "0Ui"},
    {MESSAGE_MANIFEST_PART, "DqQYd"},
    {MESSAGE_WELCOME, "0Uian"},
    {MESSAGE_DISMISSED, "0Uiz"},
    {MESSAGE_WHO, "0Ui"},
    {MESSAGE_PING, "0Ui"},
    {MESSAGE_FORWARD, "DUib"},
    {MESSAGE_SEAL, "DUiqQYd"},
    {MESSAGE_SEAL_VOID, "DUi"},
    {MESSAGE_COUNT, "DUidUun"},
    {MESSAGE_FORGET, "DUi"},
    {MESSAGE_MANIFEST, "DUi"},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* Numbers, both ends included. */
static const struct {
    char letter;
    uint64_t low, high;
} numbers[] = {
    {'D', 1, UINT32_MAX}, /* a draw */
    {'0', 0, 0},          /* no draw */
    {'a', 1, UINT32_MAX}, /* an attempt, a round, a lease */
    {'u', 0, UINT32_MAX}, /* anything of 32 bits */
    {'U', 0, UINT64_MAX}, /* anything of 64 bits */
    {'s', 0, 1048575},    /* a seq */
    {'f', 0, 1048576},    /* a number of batches or bytes that may be none */
    {'n', 1, 1048576},    /* one that may not */
    {'r', 0, 131071},     /* a row */
    {'c', 1, 131072},     /* bets of a batch */
    {'y', 512, 524288},   /* bytes of a batch */
    {'g', 0, 1024},       /* a number of agencies */
    {'q', 0, 255},        /* a part of a manifest */
    {'Q', 1, 256},        /* the number of its parts */
    {'Y', 1, 67108864},   /* its bytes */
};

/* Choices: every value up to 9 as a digit, then letters. The second and third stand for low and
 * high: those two agree with the extremes of the fields around them. */
static const struct {
    char letter;
    uint64_t low, high;
    const char *values;
} choices[] = {
    {'p', 1, 4, "1234"},                      /* a phase */
    {'x', 1, 16, "123456789abcdefg"},         /* a refusal */
    {'z', 1, 4, "1234"},                      /* a dismissal */
    {'F', 0, 23, "0123456789abcdefghijklmn"}, /* a fault */
    {'t', 2, 9, "29a"},                       /* LATE, REJECTED, CONFLICT */
};

/* ---- elements ---- */

static struct chunk chunk_of(const void *bytes, size_t size)
{
    struct chunk chunk = {.size = size};
    cr_assert_leq(size, CHUNK_MAX);
    memcpy(chunk.bytes, bytes, size);
    return chunk;
}

static struct chunk number(uint64_t value)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_uint64(&packer, value);
    struct chunk chunk = chunk_of(buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
    return chunk;
}

static struct chunk filled_bin(uint8_t bytes, uint8_t byte)
{
    struct chunk chunk = {.bytes = {0xc4, bytes}, .size = 2 + (size_t)bytes};
    memset(chunk.bytes + 2, byte, bytes);
    return chunk;
}

/* The highest agency ids that there are, as many as asked for. */
static struct chunk agencies(uint8_t count)
{
    struct chunk chunk = {.bytes = {0xdc, 0, count}, .size = 3};
    for (uint8_t i = 0; i < count; i++) {
        const uint8_t id[] = {0xce, 0xff, 0xff, 0xff, (uint8_t)(0xff - count + 1 + i)};
        memcpy(chunk.bytes + chunk.size, id, sizeof id);
        chunk.size += sizeof id;
    }
    return chunk;
}

#define CHUNK(text) chunk_of(text, sizeof(text) - 1)

/* The lowest or the highest value of a shape. */
static struct chunk extreme(char letter, bool is_high)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].letter == letter)
            return number(is_high ? numbers[i].high : numbers[i].low);
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (choices[i].letter == letter)
            return number(is_high ? choices[i].high : choices[i].low);
    switch (letter) {
    case 'b':
        return is_high ? CHUNK("\xc3") : CHUNK("\xc2");
    case 'i':
        return filled_bin(16, is_high ? 0xff : 0);
    case 'd':
        return filled_bin(32, is_high ? 0xff : 0);
    case 'S':
        return is_high ? filled_bin(32, 0xff) : filled_bin(0, 0);
    case 'R':
        return is_high ? CHUNK("\x92\x00\xce\x00\x10\x00\x00") : CHUNK("\x90");
    case 'M':
        return is_high ? agencies(64) : CHUNK("\x90");
    default:
        abort(); /* no shape has this letter */
    }
}

/* ---- what no field of a shape may be ---- */

struct refused {
    struct chunk chunks[REFUSED_MAX];
    size_t count;
};

static void refuse(struct refused *refused, struct chunk chunk)
{
    cr_assert_lt(refused->count, REFUSED_MAX);
    refused->chunks[refused->count++] = chunk;
}

static void refuse_long_forms(struct refused *refused, uint64_t value)
{
    struct chunk chunk = {.bytes = {0}};
    for (size_t width = 1; width <= 8; width *= 2) {
        bool fits_less = width == 1 ? value < 0x80 : value < UINT64_C(1) << (4 * width);
        chunk.bytes[0] = (uint8_t)(0xcc + (width > 1) + (width > 2) + (width > 4));
        for (size_t i = 0; i < width; i++)
            chunk.bytes[1 + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
        chunk.size = 1 + width;
        if (fits_less)
            refuse(refused, chunk);
    }
}

static void refuse_other_types(struct refused *refused)
{
    refuse(refused, CHUNK("\xc0"));
    refuse(refused, CHUNK("\xff")); /* -1 */
    refuse(refused, CHUNK("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"));
    refuse(refused, CHUNK("\xa1\x31"));
    refuse(refused, CHUNK("\x80"));
    refuse(refused, CHUNK("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"));
    refuse(refused, CHUNK("\xc1"));
}

static void refuse_for_numbers(char letter, struct refused *refused)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].letter != letter)
            continue;
        if (numbers[i].low > 0)
            refuse(refused, number(numbers[i].low - 1));
        if (numbers[i].high < UINT64_MAX) {
            refuse(refused, number(numbers[i].high + 1));
            refuse(refused, number(UINT64_MAX));
        }
        refuse_long_forms(refused, numbers[i].low);
        refuse(refused, CHUNK("\xc3"));
        refuse(refused, CHUNK("\xc4\x01\x01"));
    }
}

static void refuse_for_choices(char letter, struct refused *refused)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (choices[i].letter != letter)
            continue;
        for (uint64_t value = 0; value < 36; value++)
            if (strchr(choices[i].values, digits[value]) == NULL)
                refuse(refused, number(value));
        for (uint64_t bit = 6; bit < 64; bit += 6) /* that shifts by these would let in */
            refuse(refused, number((UINT64_C(1) << bit) + choices[i].low));
        refuse_long_forms(refused, choices[i].low);
        refuse(refused, CHUNK("\xc3"));
    }
}

static void refuse_for_bins(char letter, struct refused *refused)
{
    uint8_t bytes = letter == 'i' ? 16 : 32;
    refuse(refused, filled_bin((uint8_t)(bytes - 1), 0));
    refuse(refused, filled_bin((uint8_t)(bytes + 1), 0));
    refuse(refused, filled_bin(1, 0));
    struct chunk chunk = {.bytes = {0xc5, 0, bytes}, .size = 3 + (size_t)bytes};
    refuse(refused, chunk);
    chunk = (struct chunk){.bytes = {0xd9, bytes}, .size = 2 + (size_t)bytes};
    refuse(refused, chunk);
    if (letter != 'S')
        refuse(refused, filled_bin(0, 0));
    else
        refuse(refused, CHUNK("\xc5\x00\x00"));
}

static void refuse_for_lists(char letter, struct refused *refused)
{
    refuse(refused, CHUNK("\x05"));
    refuse(refused, CHUNK("\xdc\x00\x00"));
    refuse(refused, CHUNK("\xdd\xff\xff\xff\xff"));
    refuse(refused, CHUNK("\x92\xc3\x01"));
    refuse(refused, CHUNK("\x92\x00\xcc\x05"));
    if (letter == 'R') {
        refuse(refused, CHUNK("\x91\x00"));
        refuse(refused, CHUNK("\x92\x00\x00"));
        refuse(refused, CHUNK("\x94\x00\x01\x01\x01"));
        refuse(refused, CHUNK("\x92\x00\xce\x00\x10\x00\x01"));
        return;
    }
    refuse(refused, CHUNK("\x92\x02\x01"));
    refuse(refused, CHUNK("\x92\x02\x02"));
    refuse(refused, CHUNK("\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x00"));
    refuse(refused, agencies(65));
}

static void find_refused(char letter, struct refused *refused)
{
    refused->count = 0;
    refuse_other_types(refused);
    refuse_for_numbers(letter, refused);
    refuse_for_choices(letter, refused);
    if (letter == 'i' || letter == 'd' || letter == 'S')
        refuse_for_bins(letter, refused);
    if (letter == 'R' || letter == 'M')
        refuse_for_lists(letter, refused);
    if (letter == 'b') {
        refuse(refused, CHUNK("\x00"));
        refuse(refused, CHUNK("\x01"));
    }
}

/* ---- frames ---- */

struct header {
    struct chunk elements[FIELDS_MAX];
    size_t count;
};

static struct header header_of(size_t at, bool is_high)
{
    struct header header = {.count = 2 + strlen(kinds[at].shapes)};
    header.elements[0] = number(kinds[at].kind);
    header.elements[1] = number(1);
    for (size_t i = 2; i < header.count; i++)
        header.elements[i] = extreme(kinds[at].shapes[i - 2], is_high);
    return header;
}

static size_t write_frame(const struct header *header, uint8_t *frame)
{
    size_t size = 0;
    if (header->count < 16) {
        frame[size++] = (uint8_t)(0x90 + header->count);
    } else {
        memcpy(frame, (uint8_t[]){0xdc, 0, (uint8_t)header->count}, 3);
        size = 3;
    }
    for (size_t i = 0; i < header->count; i++) {
        memcpy(frame + size, header->elements[i].bytes, header->elements[i].size);
        size += header->elements[i].size;
    }
    return size;
}

/* Decodes a copy that ends where the frame ends, so that a sanitizer sees a read beyond. */
static enum status decode_bytes(const uint8_t *frame, size_t size, struct message *message)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    memcpy(exact, frame, size);
    enum status status = message_decode((struct slice){exact, size}, message);
    free(exact);
    return status;
}

static enum status decode_header(const struct header *header, struct message *message)
{
    uint8_t frame[FRAME_MAX];
    return decode_bytes(frame, write_frame(header, frame), message);
}

Test(schema, every_kind_has_a_schema_and_a_row_here, .timeout = 10)
{
    static const enum message_kind all[] = {
#define X(name, number, body) MESSAGE_##name,
        MESSAGE_TABLE(X)
#undef X
    };
    cr_assert_eq(sizeof all / sizeof *all, KINDS);
    for (size_t i = 0; i < KINDS; i++) {
        cr_assert_eq(kinds[i].kind, all[i]);
        cr_assert_not_null(schema_of(all[i]), "%s", message_name(all[i]));
        cr_assert_eq(schema_of(all[i])->fields_count, strlen(kinds[i].shapes));
    }
    cr_assert_null(schema_of(0));
    cr_assert_null(schema_of(3));
    cr_assert_null(schema_of(70));
    cr_assert_null(schema_of(UINT32_MAX));
}

Test(schema, extremes_of_every_kind_come_and_go_unchanged, .timeout = 10)
{
    for (size_t i = 0; i < 2 * KINDS; i++) {
        uint8_t frame[FRAME_MAX], again[FRAME_MAX];
        struct header header = header_of(i / 2, i % 2 != 0);
        size_t size = write_frame(&header, frame), again_size = 0;
        struct message message;
        cr_assert_eq(message_decode((struct slice){frame, size}, &message), STATUS_OK, "%s",
                     message_name(kinds[i / 2].kind));
        cr_assert_eq(message.kind, kinds[i / 2].kind);
        cr_assert_eq(message_encode(&message, again, sizeof again, &again_size), STATUS_OK);
        cr_assert_eq(again_size, size);
        cr_assert_eq(memcmp(again, frame, size), 0, "%s", message_name(kinds[i / 2].kind));

        msgpack_unpacked oracle;
        msgpack_unpacked_init(&oracle);
        size_t read = 0;
        cr_assert_eq(msgpack_unpack_next(&oracle, (char *)again, again_size, &read),
                     MSGPACK_UNPACK_SUCCESS);
        cr_assert_eq(read, size);
        cr_assert_eq(oracle.data.type, MSGPACK_OBJECT_ARRAY);
        cr_assert_eq(oracle.data.via.array.size, header.count);
        msgpack_unpacked_destroy(&oracle);
    }
}

/* [M-9] */
Test(schema, refuses_every_field_of_another_form, .timeout = 60)
{
    static struct refused refused;
    for (size_t at = 0; at < KINDS; at++) {
        struct header good = header_of(at, false);
        for (size_t i = 2; i < good.count; i++) {
            find_refused(kinds[at].shapes[i - 2], &refused);
            for (size_t j = 0; j < refused.count; j++) {
                struct header bad = good;
                bad.elements[i] = refused.chunks[j];
                struct message message;
                cr_assert_eq(decode_header(&bad, &message), STATUS_MALFORMED,
                             "%s: element %zu as case %zu", message_name(kinds[at].kind), i, j);
                cr_assert_eq(message.kind, kinds[at].kind);
                if (i > 2)
                    cr_assert_eq(message.draw, kinds[at].shapes[0] == 'D');
            }
        }
    }
}

Test(schema, refuses_a_frame_cut_at_any_byte, .timeout = 60)
{
    for (size_t i = 0; i < 2 * KINDS; i++) {
        uint8_t frame[FRAME_MAX];
        struct header header = header_of(i / 2, i % 2 != 0);
        size_t size = write_frame(&header, frame);
        struct message message;
        for (size_t cut = 0; cut < size; cut++)
            cr_assert_eq(decode_bytes(frame, cut, &message), STATUS_MALFORMED, "%s at %zu",
                         message_name(kinds[i / 2].kind), cut);
        frame[size] = 0;
        cr_assert_eq(decode_bytes(frame, size + 1, &message), STATUS_MALFORMED, "a trailing byte");
        cr_assert_eq(message.kind, kinds[i / 2].kind);
    }
}

/* [M-9] */
Test(schema, refuses_a_field_more_or_less, .timeout = 10)
{
    for (size_t i = 0; i < 2 * KINDS; i++) {
        struct header header = header_of(i / 2, i % 2 != 0);
        struct message message;
        header.elements[header.count++] = CHUNK("\x00");
        cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
        cr_assert_eq(message.kind, kinds[i / 2].kind);
        header.count -= 2;
        cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
        cr_assert_eq(message.kind, kinds[i / 2].kind);
        header.count = 2;
        cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
        cr_assert_eq(message.draw, 0);
    }
}

Test(schema, tells_another_version_apart_from_garbage, .timeout = 10)
{
    static const uint64_t versions[] = {0, 2, 127, 128, UINT32_MAX, UINT64_MAX};
    for (size_t at = 0; at < KINDS; at++) {
        for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
            struct header header = header_of(at, true);
            struct message message;
            header.elements[1] = number(versions[i]);
            cr_assert_eq(decode_header(&header, &message), STATUS_VERSION);
            cr_assert_eq(message.kind, kinds[at].kind);
            cr_assert_eq(message.draw, kinds[at].shapes[0] == '0' ? 0 : UINT32_MAX);
            header.count = 2; /* a later version may have any other fields, or none */
            cr_assert_eq(decode_header(&header, &message), STATUS_VERSION);
            header.elements[1] = CHUNK("\xc3");
            cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
        }
    }
}

Test(schema, refuses_kinds_that_are_none, .timeout = 10)
{
    static const uint64_t numbers_of_none[] = {0, 3, 9, 15, 28, 39, 52, 70, UINT32_MAX};
    struct header header = header_of(0, true);
    struct message message;
    for (size_t i = 0; i < sizeof numbers_of_none / sizeof *numbers_of_none; i++) {
        header.elements[0] = number(numbers_of_none[i]);
        cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
        cr_assert_eq(message.kind, 0);
        cr_assert_eq(message.draw, UINT32_MAX);
    }
    header.elements[0] = CHUNK("\xa1\x31");
    cr_assert_eq(decode_header(&header, &message), STATUS_MALFORMED);
    cr_assert_eq(decode_bytes((const uint8_t *)"\xc0", 1, &message), STATUS_MALFORMED);
    cr_assert_eq(decode_bytes((const uint8_t *)"\x90", 1, &message), STATUS_MALFORMED);
    cr_assert_eq(decode_bytes((const uint8_t *)"\x91\x01", 2, &message), STATUS_MALFORMED);
}
