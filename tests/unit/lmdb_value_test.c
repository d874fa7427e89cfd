/* Tests of the bytes that stand in a store's tables. */
#include "worker/lmdb_value.h"

#include <criterion/criterion.h>

#include "proto/wire/limits.h"

TestSuite(lmdb_value, .timeout = 10);

#define SLICE(array) ((struct slice){(array), sizeof(array)})

Test(lmdb_value, keeps_an_identity_in_the_order_of_numbers)
{
    struct batch_identity low = {1, 0xfe, 3, BATCHES_MAX - 1};
    struct batch_identity high = {1, 0x100, 1, 0};
    uint8_t low_key[IDENTITY_KEY_BYTES];
    uint8_t high_key[IDENTITY_KEY_BYTES];
    value_pack_identity(&low, low_key);
    value_pack_identity(&high, high_key);
    cr_expect_lt(memcmp(low_key, high_key, sizeof low_key), 0);
    struct batch_identity read;
    cr_assert_eq(value_read_identity(SLICE(low_key), &read), STATUS_OK);
    cr_expect_eq(batch_identity_compare(&read, &low), 0);
    cr_expect_eq(value_read_identity((struct slice){low_key, 15}, &read), STATUS_IO);
}

/* Whoever packs it into a message relies on that. */
Test(lmdb_value, reads_no_identity_that_no_batch_has)
{
    static const struct {
        struct batch_identity identity;
        enum status status;
    } KEPT[] = {
        {{1, 0, 1, 0}, STATUS_OK},
        {{UINT32_MAX, UINT32_MAX, UINT32_MAX, BATCHES_MAX - 1}, STATUS_OK},
        {{0, 7, 1, 0}, STATUS_IO},
        {{1, 7, 0, 0}, STATUS_IO},
        {{1, 7, 1, BATCHES_MAX}, STATUS_IO},
    };
    for (size_t i = 0; i < sizeof KEPT / sizeof KEPT[0]; i++) {
        uint8_t key[IDENTITY_KEY_BYTES];
        struct batch_identity read;
        value_pack_identity(&KEPT[i].identity, key);
        cr_expect_eq(value_read_identity(SLICE(key), &read), KEPT[i].status, "row %zu", i);
    }
}

Test(lmdb_value, reads_no_batch_of_no_bets_or_of_more_than_it_may_have)
{
    static const uint32_t BETS[] = {1, BATCH_BETS_MAX, 0, BATCH_BETS_MAX + 1};
    for (size_t i = 0; i < 4; i++) {
        uint8_t value[BATCH_VALUE_BYTES];
        struct batch_record read;
        uint64_t arrival;
        value_pack_batch(&(struct batch_record){.bets = BETS[i]}, 1, value);
        cr_expect_eq(value_read_batch(SLICE(value), &read, &arrival),
                     i < 2 ? STATUS_OK : STATUS_IO);
    }
}

Test(lmdb_value, keeps_a_batch)
{
    struct batch_record batch = {.bets = 0x00010203, .digest = {{9, 8, 7}}};
    uint8_t value[BATCH_VALUE_BYTES];
    value_pack_batch(&batch, UINT64_C(0x1122334455667788), value);
    struct batch_record read;
    uint64_t arrival;
    cr_assert_eq(value_read_batch(SLICE(value), &read, &arrival), STATUS_OK);
    cr_expect_eq(read.bets, batch.bets);
    cr_expect_eq(arrival, UINT64_C(0x1122334455667788));
    cr_expect(digest_is_equal(&read.digest, &batch.digest));
    cr_expect_eq(value_read_batch((struct slice){value, sizeof value - 1}, &read, &arrival),
                 STATUS_IO);
    cr_expect_eq(value_read_batch((struct slice){value, 0}, &read, &arrival), STATUS_IO);
    value[0]++;
    cr_expect_eq(value_read_batch(SLICE(value), &read, &arrival), STATUS_VERSION);
}

Test(lmdb_value, keeps_a_seal)
{
    struct seal_record seal = {.draw = 77,
                               .kind = SEAL_MANIFEST,
                               .is_forgotten = true,
                               .root = {{1, 2}},
                               .number = 7574};
    uint8_t key[SEAL_KEY_BYTES];
    uint8_t value[SEAL_VALUE_BYTES];
    value_pack_draw(seal.draw, key);
    value_pack_seal(&seal, value);
    struct seal_record read;
    cr_assert_eq(value_read_seal(SLICE(key), SLICE(value), &read), STATUS_OK);
    cr_expect_eq(read.draw, 77);
    cr_expect_eq(read.kind, SEAL_MANIFEST);
    cr_expect(read.is_forgotten);
    cr_expect_eq(read.number, 7574);
    cr_expect(digest_is_equal(&read.root, &seal.root));
    cr_expect_eq(value_read_seal((struct slice){key, 3}, SLICE(value), &read), STATUS_IO);
    uint8_t of_none[SEAL_KEY_BYTES] = {0};
    cr_expect_eq(value_read_seal(SLICE(of_none), SLICE(value), &read), STATUS_IO);
    value[1] = SEAL_AS_VOID + 1;
    cr_expect_eq(value_read_seal(SLICE(key), SLICE(value), &read), STATUS_IO);
    value[1] = SEAL_AS_VOID;
    value[2] = 2;
    cr_expect_eq(value_read_seal(SLICE(key), SLICE(value), &read), STATUS_IO);
    value[0]++;
    cr_expect_eq(value_read_seal(SLICE(key), SLICE(value), &read), STATUS_VERSION);
}

Test(lmdb_value, keeps_lives)
{
    struct epoch epoch = {.number = UINT64_C(1) << 60, .id = {{4, 5}}};
    struct id id = {{6, 7}};
    uint8_t epoch_value[EPOCH_VALUE_BYTES];
    uint8_t id_value[ID_VALUE_BYTES];
    value_pack_epoch(&epoch, epoch_value);
    value_pack_id(&id, id_value);
    struct epoch read_epoch;
    struct id read_id;
    cr_assert_eq(value_read_epoch(SLICE(epoch_value), &read_epoch), STATUS_OK);
    cr_expect_eq(epoch_compare(&epoch, &read_epoch), EPOCH_SAME);
    cr_assert_eq(value_read_id(SLICE(id_value), &read_id), STATUS_OK);
    cr_expect(id_is_equal(&id, &read_id));
    cr_expect_eq(value_read_id(SLICE(epoch_value), &read_id), STATUS_IO);
    epoch_value[0]++;
    cr_expect_eq(value_read_epoch(SLICE(epoch_value), &read_epoch), STATUS_VERSION);
}

Test(lmdb_value, takes_the_version_off_bytes)
{
    uint8_t value[] = {VALUE_FORMAT, 1, 2};
    struct slice bytes;
    cr_assert_eq(value_read_bytes(SLICE(value), &bytes), STATUS_OK);
    cr_expect_eq(bytes.bytes, 2);
    cr_expect_eq(bytes.data, value + 1);
    cr_expect_eq(value_read_bytes((struct slice){value, 0}, &bytes), STATUS_IO);
    value[0]++;
    cr_expect_eq(value_read_bytes(SLICE(value), &bytes), STATUS_VERSION);
}
