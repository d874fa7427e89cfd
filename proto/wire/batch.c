/* A batch's body by hand (batch.h): bets are packed behind room for the largest array header, which
 * is then written right in front of them. Reading knows the common forms itself, a short str and a
 * number of one or three bytes, and leaves every other one to pack.h, which refuses what is not
 * shortest. */
#include "proto/wire/batch.h"

#include "proto/wire/check.h"
#include "proto/wire/pack.h"

enum {
    BET_HEAD = 0x95, /* an array of five */
    SHORT_STR = 0xa0,
    SHORT_STR_BYTES_MAX = 31,
    STR_8 = 0xd9,
    NUMBER_BYTE_MAX = 0x7f, /* a number up to here is its own packed form */
    NUMBER_8 = 0xcc,
    NUMBER_16 = 0xcd,
    NUMBER_32 = 0xce,
    ANY_DAY = 99991231, /* for bet_check: what was valid when the agency read it stays valid */
};

bool plan_is_valid(const struct plan *plan)
{
    return plan->bets_max >= 1 && plan->bets_max <= BATCH_BETS_MAX &&
           plan->bytes_max >= BATCH_BYTES_MIN && plan->bytes_max <= BATCH_BYTES_MAX;
}

bool plan_is_equal(const struct plan *a, const struct plan *b)
{
    return a->bets_max == b->bets_max && a->bytes_max == b->bytes_max &&
           a->skips_bad_rows == b->skips_bad_rows;
}

/* ---- packing ---- */

static size_t head_bytes(uint32_t bets)
{
    return bets <= 15 ? 1 : bets <= UINT16_MAX ? 3 : BATCH_HEAD_BYTES;
}

void batch_begin(struct batch_builder *builder, const struct plan *plan, uint8_t *buffer)
{
    CHECK(plan_is_valid(plan));
    *builder = (struct batch_builder){.plan = *plan, .buffer = buffer};
}

/* Copies a text of up to NAME_BYTES_MAX bytes, a short one in two moves that overlap: a call of
 * memcpy for each text is what packing would mostly be (tests/bench/hot_path). */
static inline void copy_text(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t at = 0;
    if (bytes >= 8) {
        for (; at < bytes - 8; at += 8)
            memcpy(to + at, from + at, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
    } else if (bytes >= 4) {
        memcpy(to, from, 4);
        memcpy(to + bytes - 4, from + bytes - 4, 4);
    } else {
        for (; at < bytes; at++)
            to[at] = from[at];
    }
}

/* Both answer the place behind what they wrote. */
static inline uint8_t *put_text(uint8_t *to, struct slice text)
{
    if (text.bytes <= SHORT_STR_BYTES_MAX) {
        *to++ = (uint8_t)(SHORT_STR | text.bytes);
    } else {
        *to++ = STR_8;
        *to++ = (uint8_t)text.bytes;
    }
    copy_text(to, text.data, text.bytes);
    return to + text.bytes;
}

static inline uint8_t *put_number(uint8_t *to, uint32_t number)
{
    if (number <= NUMBER_BYTE_MAX) {
        *to++ = (uint8_t)number;
    } else if (number <= UINT8_MAX) {
        *to++ = NUMBER_8;
        *to++ = (uint8_t)number;
    } else if (number <= UINT16_MAX) {
        *to++ = NUMBER_16;
        *to++ = (uint8_t)(number >> 8);
        *to++ = (uint8_t)number;
    } else {
        *to++ = NUMBER_32;
        for (int shift = 24; shift >= 0; shift -= 8)
            *to++ = (uint8_t)(number >> shift);
    }
    return to;
}

enum status batch_add(struct batch_builder *builder, const struct bet *bet)
{
    CHECK(bet->first_name.bytes <= NAME_BYTES_MAX && bet->last_name.bytes <= NAME_BYTES_MAX);
    CHECK(bet->document.bytes <= DOCUMENT_BYTES_MAX && bet->birthdate.bytes == BIRTHDATE_BYTES);
    if (builder->bets == builder->plan.bets_max)
        return STATUS_LIMIT;
    uint8_t *start = builder->buffer + BATCH_HEAD_BYTES + builder->bytes, *to = start;
    *to++ = BET_HEAD;
    to = put_text(to, bet->first_name);
    to = put_text(to, bet->last_name);
    to = put_text(to, bet->document);
    to = put_text(to, bet->birthdate);
    to = put_number(to, bet->number);
    size_t bytes = builder->bytes + (size_t)(to - start);
    if (head_bytes(builder->bets + 1) + bytes > builder->plan.bytes_max)
        return STATUS_LIMIT; /* what was written lies in the slack */
    builder->bytes = bytes;
    builder->bets++;
    return STATUS_OK;
}

struct slice batch_end(struct batch_builder *builder)
{
    size_t head = head_bytes(builder->bets);
    uint8_t *body = builder->buffer + BATCH_HEAD_BYTES - head;
    struct packer packer;
    pack_begin(&packer, body, head);
    pack_array(&packer, builder->bets);
    CHECK(packer.bytes == head);
    return (struct slice){body, head + builder->bytes};
}

/* ---- reading ---- */

enum status batch_open(struct batch_cursor *cursor, struct slice body)
{
    struct unpacker unpacker;
    unpack_begin(&unpacker, body);
    uint32_t bets = unpack_array(&unpacker);
    if (unpacker.failed)
        return STATUS_MALFORMED;
    *cursor = (struct batch_cursor){.body = body, .at = unpacker.at, .bets_left = bets};
    return STATUS_OK;
}

static inline struct slice next_text(struct unpacker *unpacker)
{
    const uint8_t *from = unpacker->packed.data + unpacker->at;
    size_t left = unpacker->packed.bytes - unpacker->at;
    if (left == 0 || (*from & ~SHORT_STR_BYTES_MAX) != SHORT_STR ||
        (*from & SHORT_STR_BYTES_MAX) >= left)
        return unpack_str(unpacker, 0, UINT32_MAX);
    size_t bytes = *from & SHORT_STR_BYTES_MAX;
    unpacker->at += 1 + bytes;
    return (struct slice){from + 1, bytes};
}

static inline uint32_t next_number(struct unpacker *unpacker)
{
    const uint8_t *from = unpacker->packed.data + unpacker->at;
    size_t left = unpacker->packed.bytes - unpacker->at;
    if (left < 3 || from[0] != NUMBER_16 || from[1] == 0)
        return (uint32_t)unpack_unsigned(unpacker, UINT32_MAX);
    unpacker->at += 3;
    return (uint32_t)from[1] << 8 | from[2];
}

/* Reads a bet at the cursor, which has one left, and moves behind it. Once something has failed,
 * what is read after it does not matter: `failed` stays. */
static inline bool read_bet(struct batch_cursor *cursor, struct bet *bet)
{
    if (cursor->at == cursor->body.bytes || cursor->body.data[cursor->at] != BET_HEAD)
        return false;
    struct unpacker unpacker = {.packed = cursor->body, .at = cursor->at + 1};
    struct bet read;
    read.first_name = next_text(&unpacker);
    read.last_name = next_text(&unpacker);
    read.document = next_text(&unpacker);
    read.birthdate = next_text(&unpacker);
    read.number = next_number(&unpacker);
    if (unpacker.failed)
        return false;
    *bet = read;
    cursor->at = unpacker.at;
    cursor->bets_left--;
    cursor->row++;
    return true;
}

enum status batch_next(struct batch_cursor *cursor, struct bet *bet)
{
    if (cursor->bets_left == 0)
        return cursor->at == cursor->body.bytes ? STATUS_END : STATUS_MALFORMED;
    return read_bet(cursor, bet) ? STATUS_OK : STATUS_MALFORMED;
}

enum fault batch_check(struct slice body, uint32_t count, uint32_t *row)
{
    struct batch_cursor cursor;
    *row = 0;
    if (batch_open(&cursor, body) != STATUS_OK)
        return FAULT_ENCODING;
    if (count < 1 || count > BATCH_BETS_MAX || cursor.bets_left != count)
        return FAULT_COUNT;
    while (cursor.bets_left > 0) {
        struct bet bet;
        uint32_t here = cursor.row;
        enum fault fault = read_bet(&cursor, &bet) ? bet_check(&bet, ANY_DAY) : FAULT_ENCODING;
        if (fault != FAULT_NONE) {
            *row = here;
            return fault;
        }
    }
    return cursor.at == body.bytes ? FAULT_NONE : FAULT_ENCODING;
}

/* ---- looking for a number ---- */

static inline size_t skip_text(struct slice body, size_t at)
{
    CHECK(at + 1 < body.bytes);
    uint8_t first = body.data[at];
    return first == STR_8 ? at + 2 + body.data[at + 1] : at + 1 + (first & SHORT_STR_BYTES_MAX);
}

enum status batch_find_number(struct batch_cursor *cursor, uint32_t number, uint32_t *row,
                              struct bet *bet)
{
    for (; cursor->bets_left > 0; cursor->bets_left--, cursor->row++) {
        size_t at = cursor->at + 1;
        for (int i = 0; i < CSV_FIELDS - 1; i++)
            at = skip_text(cursor->body, at);
        CHECK(at < cursor->body.bytes);
        struct unpacker unpacker = {.packed = cursor->body, .at = at};
        if (next_number(&unpacker) == number) {
            *row = cursor->row;
            bool was_read = read_bet(cursor, bet);
            CHECK(was_read);
            return STATUS_OK;
        }
        cursor->at = unpacker.at;
    }
    return STATUS_END;
}
