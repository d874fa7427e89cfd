/* Digests against published vectors: FIPS 180-4, RFC 4231, and the tree heads of RFC 6962's
 * reference implementation; and the peaks against the recursive definition of RFC 9162, 2.1.1. */
#include "proto/wire/digest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct hasher *hasher;

static void begin(void)
{
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
}

static void end(void)
{
    hasher_destroy(&hasher);
    cr_assert_null(hasher);
    hasher_destroy(&hasher);
}

TestSuite(digest, .init = begin, .fini = end);

static struct slice text(const char *string)
{
    return (struct slice){(const uint8_t *)string, strlen(string)};
}

static struct slice filled(uint8_t *buffer, uint8_t byte, size_t bytes)
{
    memset(buffer, byte, bytes);
    return (struct slice){buffer, bytes};
}

static void assert_hex(const struct digest *digest, const char *hex)
{
    char written[2 * DIGEST_BYTES + 1];
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(written + 2 * i, 3, "%02x", digest->bytes[i]);
    cr_assert_str_eq(written, hex);
}

Test(digest, sums_pieces_as_if_they_were_one, .timeout = 10)
{
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    struct digest digest;
    struct slice whole[] = {text("abc")};
    struct slice cut[] = {text("a"), text(""), text("b"), text("c")};
    hasher_sum(hasher, whole, 1, &digest);
    assert_hex(&digest, abc);
    hasher_sum(hasher, cut, 4, &digest);
    assert_hex(&digest, abc);
    struct slice none[] = {{NULL, 0}};
    hasher_sum(hasher, none, 1, &digest);
    assert_hex(&digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(digest, hmac_is_that_of_rfc_4231, .timeout = 10)
{
    uint8_t key[64], message[64], counting[25];
    for (size_t i = 0; i < sizeof counting; i++)
        counting[i] = (uint8_t)(i + 1);
    const struct {
        struct slice key, message;
        const char *hex;
    } cases[] = {
        {filled(key, 0x0b, 20), text("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {text("Jefe"), text("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{counting, sizeof counting},
         filled(message, 0xcd, 50),
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digest digest;
        hasher_hmac(hasher, cases[i].key, &cases[i].message, 1, &digest);
        assert_hex(&digest, cases[i].hex);
        struct slice cut[] = {{cases[i].message.data, 3},
                              {cases[i].message.data + 3, 2},
                              {cases[i].message.data + 5, cases[i].message.bytes - 5}};
        hasher_hmac(hasher, cases[i].key, cut, 3, &digest);
        assert_hex(&digest, cases[i].hex);
    }
}

/* RFC 4231's case 3; and a key of exactly one block, which has no case there: its sum was made with
 * another implementation (Python's hmac). */
Test(digest, hmac_takes_a_key_of_a_whole_block, .timeout = 10)
{
    uint8_t key[64], message[64];
    struct digest digest;
    struct slice piece = filled(message, 0xdd, 50);
    hasher_hmac(hasher, filled(key, 0xaa, 20), &piece, 1, &digest);
    assert_hex(&digest, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    hasher_hmac(hasher, filled(key, 0xaa, 64), &piece, 1, &digest);
    assert_hex(&digest, "e3b73eef0fe1ad930dfbe27c108d925234e64a5d9a8c6cf1a87abddc9511c42b");
}

Test(digest, is_read_as_a_bin_of_its_size_and_nothing_else, .timeout = 10)
{
    uint8_t packed[2 + DIGEST_BYTES + 1] = {0xc4, DIGEST_BYTES};
    memset(packed + 2, 7, DIGEST_BYTES);
    struct digest digest = {{0}}, expected;
    memset(expected.bytes, 7, DIGEST_BYTES);
    struct unpacker unpacker;
    unpack_begin(&unpacker, (struct slice){packed, 2 + DIGEST_BYTES});
    digest_unpack(&unpacker, &digest);
    cr_assert(unpack_is_complete(&unpacker));
    cr_assert(digest_is_equal(&digest, &expected));

    struct digest untouched = {{1, 2, 3}};
    for (int change = -1; change <= 1; change += 2) {
        packed[1] = (uint8_t)(DIGEST_BYTES + change);
        digest = untouched;
        unpack_begin(&unpacker, (struct slice){packed, sizeof packed});
        digest_unpack(&unpacker, &digest);
        cr_assert(unpacker.failed);
        cr_assert(digest_is_equal(&digest, &untouched));
    }
}

Test(digest, of_a_batch_is_the_leaf_that_the_protocol_describes, .timeout = 10)
{
    static const uint8_t entry[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 2, 'x', 'y'};
    struct digest digest, expected;
    digest_batch(hasher, 0x01020304, 0x05060708, 0x090a0b0c, 2, text("xy"), &digest);
    hasher_sum(hasher, &(struct slice){entry, sizeof entry}, 1, &expected);
    cr_assert(digest_is_equal(&digest, &expected));
}

Test(digest, of_a_batch_depends_on_every_part, .timeout = 10)
{
    struct digest digests[6];
    digest_batch(hasher, 1, 1, 1, 1, text("b"), &digests[0]);
    digest_batch(hasher, 2, 1, 1, 1, text("b"), &digests[1]);
    digest_batch(hasher, 1, 2, 1, 1, text("b"), &digests[2]);
    digest_batch(hasher, 1, 1, 2, 1, text("b"), &digests[3]);
    digest_batch(hasher, 1, 1, 1, 2, text("b"), &digests[4]);
    digest_batch(hasher, 1, 1, 1, 1, text("c"), &digests[5]);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            cr_assert_not(digest_is_equal(&digests[i], &digests[j]), "%d and %d", i, j);
}

/* Inputs and heads of the tests of certificate-transparency, RFC 6962's own implementation. */
Test(digest, tree_heads_are_those_of_rfc_6962, .timeout = 10)
{
    static const uint8_t inputs[] = {0x00, 0x10, 0x20, 0x21, 0x30, 0x31, 0x40, 0x41, 0x42,
                                     0x43, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57,
                                     0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
                                     0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f};
    static const struct {
        size_t bytes;
        const char *head;
    } leaves[] = {
        {0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {8, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {16, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct tree tree;
    struct digest head;
    tree_begin(&tree);
    tree_head(&tree, hasher, &head);
    assert_hex(&head, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const uint8_t *input = inputs;
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        struct digest leaf;
        struct slice pieces[] = {{(const uint8_t *)"\0", 1}, {input, leaves[i].bytes}};
        hasher_sum(hasher, pieces, 2, &leaf);
        tree_add(&tree, hasher, &leaf);
        input += leaves[i].bytes;
        cr_assert_eq(tree.leaves_count, i + 1);
        tree_head(&tree, hasher, &head);
        assert_hex(&head, leaves[i].head);
    }
}

/* The definition as it stands in RFC 9162: split at the largest power of two below n. */
static void naive_head(const struct digest *leaves, size_t count, struct digest *head)
{
    if (count == 1) {
        *head = *leaves;
        return;
    }
    size_t split = 1;
    while (split * 2 < count)
        split *= 2;
    struct digest left, right;
    naive_head(leaves, split, &left);
    naive_head(leaves + split, count - split, &right);
    struct slice pieces[] = {{(const uint8_t *)"\1", 1}, {left.bytes, 32}, {right.bytes, 32}};
    hasher_sum(hasher, pieces, 3, head);
}

Test(digest, peaks_give_the_head_of_the_recursive_definition, .timeout = 10)
{
    enum { LEAVES = 131 };
    struct digest leaves[LEAVES], head, expected;
    struct tree tree;
    tree_begin(&tree);
    for (uint32_t i = 0; i < LEAVES; i++) {
        digest_batch(hasher, 1, 2, i, 3, text("body"), &leaves[i]);
        tree_add(&tree, hasher, &leaves[i]);
        tree_head(&tree, hasher, &head);
        naive_head(leaves, i + 1, &expected);
        cr_assert(digest_is_equal(&head, &expected), "%u leaves", i + 1);
    }
}

Test(digest, tree_of_a_whole_draw_keeps_one_peak, .timeout = 20)
{
    struct tree tree;
    struct digest leaf = {{7}}, head;
    tree_begin(&tree);
    for (uint32_t i = 0; i < 1 << 16; i++)
        tree_add(&tree, hasher, &leaf);
    cr_assert_eq(tree.peaks_count, 1);
    for (int level = 0; level < 16; level++) {
        struct slice pieces[] = {{(const uint8_t *)"\1", 1}, {leaf.bytes, 32}, {leaf.bytes, 32}};
        hasher_sum(hasher, pieces, 3, &leaf);
    }
    tree_head(&tree, hasher, &head);
    cr_assert(digest_is_equal(&head, &leaf));
}
