/* Items of bodies: their form, packed by msgpack-c, and everything that a reader refuses. */
#include "proto/wire/item.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

#include "proto/wire/limits.h"

#define TEXT(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})
/* A digest of 32 sevens, packed. */
#define SEVENS  "\7\7\7\7\7\7\7\7"
#define PACKED7 "\xc4\x20" SEVENS SEVENS SEVENS SEVENS

/* The names A and B, a birthdate and one that is none, packed. */
#define NAMES  "\xa1\x41\xa1\x42"
#define DAY    "\2521999-03-17"
#define NO_DAY "\2521999-02-29"

static struct digest sevens(void)
{
    struct digest digest;
    memset(digest.bytes, 7, DIGEST_BYTES);
    return digest;
}

static struct item_winner winner_of(uint32_t seq, uint32_t row)
{
    return (
        struct item_winner){seq,
                            row,
                            {TEXT("Ana"), TEXT("Paz"), TEXT("30904465"), TEXT("1999-03-17"), 7574}};
}

static void assert_bytes(const uint8_t *buffer, size_t bytes, struct slice expected)
{
    cr_assert(slice_is_equal((struct slice){buffer, bytes}, expected));
}

/* A copy that ends where its bytes end, so that a sanitizer sees a read beyond. */
static struct slice copy_exactly(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.bytes > 0 ? bytes.bytes : 1);
    memcpy(copy, bytes.data, bytes.bytes);
    return (struct slice){copy, bytes.bytes};
}

/* ---- every item in one suit: read whatever stands there, and say only how that went ---- */

enum item_kind { STORED, WINNER, SHARE, INVENTORY };

static enum status next_item(enum item_kind kind, struct slice body, size_t *at)
{
    struct item_stored stored;
    struct item_winner winner;
    struct item_share share;
    struct item_inventory inventory;
    switch (kind) {
    case STORED:
        return item_next_stored(body, at, &stored);
    case WINNER:
        return item_next_winner(body, at, &winner);
    case SHARE:
        return item_next_share(body, at, &share);
    case INVENTORY:
        return item_next_inventory(body, at, &inventory);
    }
    abort();
}

static enum status read_alone(enum item_kind kind, struct slice bytes)
{
    struct slice body = copy_exactly(bytes);
    size_t at = 0;
    enum status status = next_item(kind, body, &at);
    cr_assert_eq(at, status == STATUS_OK ? body.bytes : 0, "moves behind what it read, or not");
    free((void *)(uintptr_t)body.data);
    return status;
}

Test(item, reads_what_is_specified_and_nothing_that_is_cut, .timeout = 10)
{
    const struct {
        enum item_kind kind;
        struct slice bytes;
    } good[] = {
        {STORED, TEXT("\x93\x05\x64" PACKED7)},
        {STORED, TEXT("\x93\xce\x00\x0f\xff\xff\xce\x00\x02\x00\x00" PACKED7)},
        {WINNER, TEXT("\x93\x05\x06\x95" NAMES "\xa1\x31" DAY "\x00")},
        {SHARE, TEXT("\x93\x00\x01\x90")},
        {SHARE, TEXT("\x93\xce\xff\xff\xff\xff\xce\xff\xff\xff\xff\x92\x00\xce\x00\x10\x00\x00")},
        {INVENTORY, TEXT("\x97\x00\x01\x00\x01\x00\x01" PACKED7)},
        {INVENTORY, TEXT("\x94\x01\x01" PACKED7 "\xce\xff\xff\xff\xff")},
        {INVENTORY, TEXT("\x92\x02\x01")},
        {INVENTORY, TEXT("\x92\x03\xce\xff\xff\xff\xff")},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(read_alone(good[i].kind, good[i].bytes), STATUS_OK, "case %zu", i);
        cr_assert_eq(read_alone(good[i].kind, TEXT("")), STATUS_END);
        for (size_t cut = 1; cut < good[i].bytes.bytes; cut++)
            cr_assert_eq(read_alone(good[i].kind, (struct slice){good[i].bytes.data, cut}),
                         STATUS_MALFORMED, "case %zu at %zu", i, cut);
    }
}

Test(item, refuses_every_other_form, .timeout = 10)
{
    const struct {
        const char *why;
        enum item_kind kind;
        struct slice bytes;
    } cases[] = {
        {"not an array", STORED, TEXT("\x05")},
        {"an element less", STORED, TEXT("\x92\x05\x64")},
        {"an element more", STORED, TEXT("\x94\x05\x64" PACKED7 "\x00")},
        {"a long array header", STORED, TEXT("\xdc\x00\x03\x05\x64" PACKED7)},
        {"a seq beyond the last", STORED, TEXT("\x93\xce\x00\x10\x00\x00\x64" PACKED7)},
        {"a seq that is negative", STORED, TEXT("\x93\xff\x64" PACKED7)},
        {"a seq in a long form", STORED, TEXT("\x93\xcc\x05\x64" PACKED7)},
        {"no bets", STORED, TEXT("\x93\x05\x00" PACKED7)},
        {"more bets than a batch has", STORED, TEXT("\x93\x05\xce\x00\x02\x00\x01" PACKED7)},
        {"a digest of 31 bytes", STORED, TEXT("\x93\x05\x64\xc4\x1f" SEVENS SEVENS SEVENS SEVENS)},
        {"a digest that is text", STORED, TEXT("\x93\x05\x64\xd9\x20" SEVENS SEVENS SEVENS SEVENS)},
        {"a row beyond the last", WINNER,
         TEXT("\x93\x05\xce\x00\x02\x00\x00\x95" NAMES "\xa1\x31" DAY "\x00")},
        {"a seq beyond the last", WINNER,
         TEXT("\x93\xce\x00\x10\x00\x00\x06\x95" NAMES "\xa1\x31" DAY "\x00")},
        {"a bet of four that has five", WINNER,
         TEXT("\x93\x05\x06\x94" NAMES "\xa1\x31" DAY "\x00")},
        {"a bet of four", WINNER, TEXT("\x93\x05\x06\x94" NAMES "\xa1\x31" DAY)},
        {"a number of 33 bits", WINNER,
         TEXT("\x93\x05\x06\x95" NAMES "\xa1\x31" DAY "\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
        {"no first name", WINNER, TEXT("\x93\x05\x06\x95\xa0\xa1\x42\xa1\x31" DAY "\x00")},
        {"not UTF-8", WINNER, TEXT("\x93\x05\x06\x95\xa1\xff\xa1\x42\xa1\x31" DAY "\x00")},
        {"a document with a blank", WINNER, TEXT("\x93\x05\x06\x95" NAMES "\xa1\x20" DAY "\x00")},
        {"a day that is none", WINNER, TEXT("\x93\x05\x06\x95" NAMES "\xa1\x31" NO_DAY "\x00")},
        {"attempt 0", SHARE, TEXT("\x93\x00\x00\x90")},
        {"an agency of 33 bits", SHARE, TEXT("\x93\xcf\x00\x00\x00\x01\x00\x00\x00\x00\x01\x90")},
        {"ranges that touch", SHARE, TEXT("\x93\x00\x01\x94\x00\x01\x01\x01")},
        {"ranges that are none", SHARE, TEXT("\x93\x00\x01\xc0")},
        {"a kind that is none", INVENTORY, TEXT("\x92\x04\x01")},
        {"a batch as short as a void", INVENTORY, TEXT("\x92\x00\x01")},
        {"a void as long as a seal", INVENTORY, TEXT("\x94\x02\x01" PACKED7 "\x00")},
        {"a seal without its number", INVENTORY, TEXT("\x93\x01\x01" PACKED7)},
        {"a number of 33 bits in a seal", INVENTORY,
         TEXT("\x94\x01\x01" PACKED7 "\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
        {"draw 0", INVENTORY, TEXT("\x92\x03\x00")},
        {"attempt 0 in a batch", INVENTORY, TEXT("\x97\x00\x01\x00\x00\x00\x01" PACKED7)},
        {"no bets in a batch", INVENTORY, TEXT("\x97\x00\x01\x00\x01\x00\x00" PACKED7)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(read_alone(cases[i].kind, cases[i].bytes), STATUS_MALFORMED, "%s",
                     cases[i].why);
}

/* ---- packing ---- */

Test(item, stored_items_follow_each_other, .timeout = 10)
{
    uint8_t buffer[128];
    size_t bytes = 0, at = 0;
    struct item_stored in[] = {{5, 100, sevens()}, {BATCHES_MAX - 1, BATCH_BETS_MAX, sevens()}};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(item_pack_stored(buffer, sizeof buffer, &bytes, &in[i]), STATUS_OK);
    assert_bytes(buffer, bytes,
                 TEXT("\x93\x05\x64" PACKED7
                      "\x93\xce\x00\x0f\xff\xff\xce\x00\x02\x00\x00" PACKED7));
    struct slice body = {buffer, bytes};
    for (int i = 0; i < 2; i++) {
        struct item_stored out;
        cr_assert_eq(item_next_stored(body, &at, &out), STATUS_OK);
        cr_assert(out.seq == in[i].seq && out.bets == in[i].bets);
        cr_assert(digest_is_equal(&out.digest, &in[i].digest));
    }
    cr_assert_eq(at, bytes);
}

Test(item, winner_is_what_msgpack_c_makes_of_it, .timeout = 10)
{
    msgpack_sbuffer oracle;
    msgpack_packer packer;
    msgpack_sbuffer_init(&oracle);
    msgpack_packer_init(&packer, &oracle, msgpack_sbuffer_write);
    static const char *const texts[] = {"Ana", "Paz", "30904465", "1999-03-17"};
    msgpack_pack_array(&packer, 3);
    msgpack_pack_uint32(&packer, 1000);
    msgpack_pack_uint32(&packer, 77);
    msgpack_pack_array(&packer, 5);
    for (int i = 0; i < 4; i++)
        msgpack_pack_str_with_body(&packer, texts[i], strlen(texts[i]));
    msgpack_pack_uint32(&packer, 7574);

    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0, at = 0;
    struct item_winner in = winner_of(1000, 77), out;
    cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &in), STATUS_OK);
    assert_bytes(buffer, bytes, (struct slice){(const uint8_t *)oracle.data, oracle.size});
    msgpack_sbuffer_destroy(&oracle);
    cr_assert_eq(item_next_winner((struct slice){buffer, bytes}, &at, &out), STATUS_OK);
    cr_assert(out.seq == 1000 && out.row == 77 && out.bet.number == 7574);
    cr_assert(slice_is_equal(out.bet.first_name, TEXT("Ana")));
    cr_assert(slice_is_equal(out.bet.last_name, TEXT("Paz")));
    cr_assert(slice_is_equal(out.bet.document, TEXT("30904465")));
    cr_assert(slice_is_equal(out.bet.birthdate, TEXT("1999-03-17")));
    cr_assert(out.bet.first_name.data > buffer && out.bet.first_name.data < buffer + bytes);
}

Test(item, largest_winner_fits_and_may_be_born_on_any_day, .timeout = 10)
{
    static uint8_t name[NAME_BYTES_MAX], buffer[ITEM_BYTES_MAX];
    memset(name, 'n', sizeof name);
    struct slice longest = {name, sizeof name};
    struct item_winner in =
        {BATCHES_MAX - 1,
         BATCH_BETS_MAX - 1,
         {longest, longest, {name, DOCUMENT_BYTES_MAX}, TEXT("9999-12-31"), UINT32_MAX}};
    struct item_winner out;
    size_t bytes = 0, at = 0;
    cr_assert_eq(item_pack_winner(buffer, sizeof buffer, &bytes, &in), STATUS_OK);
    cr_assert_eq(item_next_winner((struct slice){buffer, bytes}, &at, &out), STATUS_OK);
    cr_assert_eq(out.row, BATCH_BETS_MAX - 1);
    cr_assert(slice_is_equal(out.bet.last_name, longest));
}

Test(item, share_names_its_ranges, .timeout = 10)
{
    uint8_t buffer[64];
    size_t bytes = 0, at = 0;
    struct item_share in[] = {{3, 2, TEXT("\x92\x05\x06")}, {4, 1, TEXT("\x90")}}, out;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(item_pack_share(buffer, sizeof buffer, &bytes, &in[i]), STATUS_OK);
    assert_bytes(buffer, bytes, TEXT("\x93\x03\x02\x92\x05\x06\x93\x04\x01\x90"));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(item_next_share((struct slice){buffer, bytes}, &at, &out), STATUS_OK);
        cr_assert(out.agency == in[i].agency && out.attempt == in[i].attempt);
        cr_assert(slice_is_equal(out.seqs, in[i].seqs));
    }
    cr_assert_eq(item_next_share((struct slice){buffer, bytes}, &at, &out), STATUS_END);
}

Test(item, inventory_has_four_kinds_in_one_body, .timeout = 10)
{
    uint8_t buffer[256];
    size_t bytes = 0, at = 0;
    const struct item_inventory in[] = {
        {.kind = INVENTORY_BATCH, .draw = 9, .agency = 3, .attempt = 2, .batch = {6, 8, sevens()}},
        {.kind = INVENTORY_SEAL, .draw = 10, .root = sevens(), .number = 7574},
        {.kind = INVENTORY_VOID, .draw = 11},
        {.kind = INVENTORY_FORGOT, .draw = 12},
    };
    for (int i = 0; i < 4; i++)
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &in[i]), STATUS_OK);
    assert_bytes(buffer, bytes,
                 TEXT("\x97\x00\x09\x03\x02\x06\x08" PACKED7 "\x94\x01\x0a" PACKED7
                      "\xcd\x1d\x96\x92\x02\x0b\x92\x03\x0c"));
    for (int i = 0; i < 4; i++) {
        struct item_inventory out;
        cr_assert_eq(item_next_inventory((struct slice){buffer, bytes}, &at, &out), STATUS_OK);
        cr_assert(out.kind == in[i].kind && out.draw == in[i].draw);
        cr_assert(out.agency == in[i].agency && out.attempt == in[i].attempt);
        cr_assert(out.batch.seq == in[i].batch.seq && out.batch.bets == in[i].batch.bets);
        cr_assert(digest_is_equal(&out.batch.digest, &in[i].batch.digest));
        cr_assert(digest_is_equal(&out.root, &in[i].root) && out.number == in[i].number);
    }
    cr_assert_eq(at, bytes);
}

static enum status pack_item(enum item_kind kind, uint8_t *buffer, size_t room, size_t *bytes)
{
    struct item_stored stored = {5, 100, sevens()};
    struct item_winner winner = winner_of(5, 6);
    struct item_share share = {3, 2, TEXT("\x92\x05\x06")};
    struct item_inventory inventory = {.kind = INVENTORY_SEAL, .draw = 9, .root = sevens()};
    switch (kind) {
    case STORED:
        return item_pack_stored(buffer, room, bytes, &stored);
    case WINNER:
        return item_pack_winner(buffer, room, bytes, &winner);
    case SHARE:
        return item_pack_share(buffer, room, bytes, &share);
    case INVENTORY:
        return item_pack_inventory(buffer, room, bytes, &inventory);
    }
    abort();
}

Test(item, is_packed_whole_or_not_at_all, .timeout = 10)
{
    for (int kind = STORED; kind <= INVENTORY; kind++) {
        uint8_t whole[128];
        size_t needed = 0;
        cr_assert_eq(pack_item((enum item_kind)kind, whole, sizeof whole, &needed), STATUS_OK);
        for (size_t room = 1; room <= 1 + needed; room++) {
            uint8_t *buffer = malloc(room); /* one byte is taken already */
            size_t bytes = 1;
            bool fits = room == 1 + needed;
            cr_assert_eq(pack_item((enum item_kind)kind, buffer, room, &bytes),
                         fits ? STATUS_OK : STATUS_LIMIT);
            cr_assert_eq(bytes, fits ? 1 + needed : 1);
            if (fits)
                cr_assert_eq(memcmp(buffer + 1, whole, needed), 0);
            free(buffer);
        }
    }
}

/* ---- bodies of every size ---- */

/* An inventory of void draws, items of three bytes, with this many of them a byte longer. */
static struct slice fill_inventory(uint8_t *buffer, uint32_t items, uint32_t longer)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < items; i++) {
        const struct item_inventory item = {.kind = INVENTORY_VOID, .draw = i < longer ? 200 : 1};
        cr_assert_eq(item_pack_inventory(buffer, FRAME_BYTES_MAX, &bytes, &item), STATUS_OK);
    }
    return (struct slice){buffer, bytes};
}

/* Winners in so many bytes: the names take what is over. */
static struct slice fill_winners(uint8_t *buffer, size_t wanted)
{
    static const uint8_t name[NAME_BYTES_MAX] = "Ana Ana Ana Ana Ana Ana Ana Ana Ana Ana Ana Ana ";
    const size_t item_bytes = 64;
    size_t bytes = 0;
    while (bytes < wanted) {
        struct item_winner item = winner_of(5, 6);
        const size_t rest = wanted - bytes < 2 * item_bytes ? wanted - bytes : item_bytes;
        item.bet.first_name = (struct slice){name, 3};
        size_t least = bytes;
        cr_assert_eq(item_pack_winner(buffer, FRAME_BYTES_MAX, &least, &item), STATUS_OK);
        item.bet.first_name.bytes = 3 + rest - (least - bytes);
        item.bet.first_name.bytes -= item.bet.first_name.bytes > 31; /* a longer head */
        cr_assert_eq(item_pack_winner(buffer, FRAME_BYTES_MAX, &bytes, &item), STATUS_OK);
    }
    return (struct slice){buffer, bytes};
}

static uint32_t count_items(enum item_kind kind, struct slice body, enum status *status)
{
    uint32_t items = 0;
    for (size_t at = 0; (*status = next_item(kind, body, &at)) == STATUS_OK;)
        items++;
    return items;
}

/* [M-72] */
Test(item, nothing_is_read_of_a_body_above_the_maximum_of_its_kind, .timeout = 10)
{
    static uint8_t buffer[FRAME_BYTES_MAX];
    const uint32_t items = CHUNK_BYTES_MAX / 3;
    enum status status;
    struct slice body = fill_inventory(buffer, items, 1);
    cr_assert_eq(body.bytes, CHUNK_BYTES_MAX);
    cr_assert_eq(count_items(INVENTORY, body, &status), items);
    cr_assert_eq(status, STATUS_END);
    body = fill_inventory(buffer, items, 2);
    cr_assert_eq(body.bytes, CHUNK_BYTES_MAX + 1);
    cr_assert_eq(count_items(INVENTORY, body, &status), 0);
    cr_assert_eq(status, STATUS_MALFORMED);

    body = fill_winners(buffer, PAGE_BYTES_MAX);
    cr_assert_eq(body.bytes, PAGE_BYTES_MAX);
    cr_assert_gt(count_items(WINNER, body, &status), 0);
    cr_assert_eq(status, STATUS_END);
    body = fill_winners(buffer, PAGE_BYTES_MAX + 1);
    cr_assert_eq(body.bytes, PAGE_BYTES_MAX + 1);
    cr_assert_eq(count_items(WINNER, body, &status), 0);
    cr_assert_eq(status, STATUS_MALFORMED);
}
