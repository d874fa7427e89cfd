/* FNV-1a by its published values, and what the parts of a state add to it. */
#include "proto/wire/fingerprint.h"

#include <criterion/criterion.h>

TestSuite(fingerprint, .timeout = 10);

Test(fingerprint, bytes_have_the_published_values)
{
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "", 0), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    cr_assert_eq(fingerprint_bytes(FINGERPRINT_BASIS, "foobar", 6), UINT64_C(0x85944171f73967e8));
}

Test(fingerprint, number_is_its_bytes_lowest_first)
{
    static const uint8_t bytes[] = {8, 7, 6, 5, 4, 3, 2, 1};
    cr_assert_eq(fingerprint_number(7, UINT64_C(0x0102030405060708)),
                 fingerprint_bytes(7, bytes, sizeof bytes));
}

Test(fingerprint, numbers_are_told_apart_by_their_order)
{
    static const uint64_t rising[] = {1, 2};
    static const uint64_t falling[] = {2, 1};
    cr_assert_eq(fingerprint_numbers(7, rising, 2),
                 fingerprint_number(fingerprint_number(7, 1), 2));
    cr_assert_neq(fingerprint_numbers(7, rising, 2), fingerprint_numbers(7, falling, 2));
}

Test(fingerprint, set_is_its_members_whatever_room_it_has)
{
    struct seqset small = {0};
    struct seqset large = {0};
    cr_assert_eq(seqset_add(&large, 5000), STATUS_OK);
    seqset_remove(&large, 5000);
    cr_assert_eq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&large, 3), STATUS_OK);
    cr_assert_neq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&small, 3), STATUS_OK);
    cr_assert_eq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    cr_assert_eq(seqset_add(&large, 4), STATUS_OK);
    cr_assert_neq(fingerprint_set(7, &small), fingerprint_set(7, &large));
    seqset_clear(&small);
    seqset_clear(&large);
}
