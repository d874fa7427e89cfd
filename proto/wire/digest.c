/* SHA-256 of pieces, HMAC, a batch's digest and tree heads. Owns the one OpenSSL context of a
 * thread; what is hashed in which order is specified in PROTOCOL.md, "Digests". */
#include "proto/wire/digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "proto/wire/check.h"

enum {
    PIECES_MAX = 4,
    HMAC_BLOCK_BYTES = 64, /* SHA-256's block, RFC 2104's B */
    HMAC_PIECES_MAX = PIECES_MAX - 1,
    BATCH_PREFIX_BYTES = 1 + 4 * 4,
};

struct hasher {
    EVP_MD *sha256;      /* owned */
    EVP_MD_CTX *context; /* owned */
};

enum status hasher_create(struct hasher **hasher)
{
    struct hasher *created = calloc(1, sizeof *created);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    created->context = EVP_MD_CTX_new();
    if (created->sha256 == NULL || created->context == NULL) {
        hasher_destroy(&created);
        return STATUS_NO_MEMORY;
    }
    *hasher = created;
    return STATUS_OK;
}

void hasher_destroy(struct hasher **hasher)
{
    if (*hasher == NULL)
        return;
    EVP_MD_CTX_free((*hasher)->context);
    EVP_MD_free((*hasher)->sha256);
    free(*hasher);
    *hasher = NULL;
}

/* With a fetched algorithm and a context that exists no input makes OpenSSL fail. */
void hasher_sum(struct hasher *hasher, const struct slice *pieces, size_t pieces_count,
                struct digest *digest)
{
    CHECK(pieces_count <= PIECES_MAX);
    CHECK(EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) == 1);
    for (size_t i = 0; i < pieces_count; i++)
        CHECK(EVP_DigestUpdate(hasher->context, pieces[i].data, pieces[i].bytes) == 1);
    CHECK(EVP_DigestFinal_ex(hasher->context, digest->bytes, NULL) == 1);
}

/* By hand from two sums and not EVP_MAC: the context that we have serves, nothing more is fetched,
 * set up or allocated for the handful of HMACs of a draw, and keys longer than a block do not
 * occur. */
void hasher_hmac(struct hasher *hasher, struct slice key, const struct slice *pieces,
                 size_t pieces_count, struct digest *digest)
{
    CHECK(key.bytes <= HMAC_BLOCK_BYTES);
    CHECK(pieces_count <= HMAC_PIECES_MAX);
    uint8_t inner_pad[HMAC_BLOCK_BYTES];
    uint8_t outer_pad[HMAC_BLOCK_BYTES];
    for (size_t i = 0; i < HMAC_BLOCK_BYTES; i++) {
        uint8_t byte = i < key.bytes ? key.data[i] : 0;
        inner_pad[i] = byte ^ 0x36;
        outer_pad[i] = byte ^ 0x5c;
    }
    struct slice inner[PIECES_MAX] = {{inner_pad, sizeof inner_pad}};
    for (size_t i = 0; i < pieces_count; i++)
        inner[1 + i] = pieces[i];
    struct digest inner_sum;
    hasher_sum(hasher, inner, 1 + pieces_count, &inner_sum);
    struct slice outer[] = {{outer_pad, sizeof outer_pad}, {inner_sum.bytes, DIGEST_BYTES}};
    hasher_sum(hasher, outer, 2, digest);
}

void digest_unpack(struct unpacker *unpacker, struct digest *digest)
{
    struct slice bytes = unpack_bin(unpacker, DIGEST_BYTES, DIGEST_BYTES);
    if (!unpacker->failed)
        memcpy(digest->bytes, bytes.data, DIGEST_BYTES);
}

static void write_u32(uint8_t *target, uint32_t value)
{
    target[0] = (uint8_t)(value >> 24);
    target[1] = (uint8_t)(value >> 16);
    target[2] = (uint8_t)(value >> 8);
    target[3] = (uint8_t)value;
}

void digest_batch(struct hasher *hasher, uint32_t draw, uint32_t agency, uint32_t seq,
                  uint32_t count, struct slice body, struct digest *digest)
{
    uint8_t prefix[BATCH_PREFIX_BYTES] = {0x00};
    write_u32(prefix + 1, draw);
    write_u32(prefix + 5, agency);
    write_u32(prefix + 9, seq);
    write_u32(prefix + 13, count);
    struct slice pieces[] = {{prefix, sizeof prefix}, body};
    hasher_sum(hasher, pieces, 2, digest);
}

static void sum_node(struct hasher *hasher, const struct digest *left, const struct digest *right,
                     struct digest *node)
{
    static const uint8_t prefix = 0x01;
    struct slice pieces[] = {{&prefix, 1},
                             {left->bytes, DIGEST_BYTES},
                             {right->bytes, DIGEST_BYTES}};
    hasher_sum(hasher, pieces, 3, node);
}

void tree_begin(struct tree *tree)
{
    tree->peaks_count = 0;
    tree->leaves_count = 0;
}

/* The peaks are the complete subtrees of n leaves, one for each one bit of n. A new leaf merges
 * with as many of them as n has ones at its low end, like a carry. */
void tree_add(struct tree *tree, struct hasher *hasher, const struct digest *leaf)
{
    CHECK(tree->leaves_count < UINT64_MAX >> 1);
    tree->peaks[tree->peaks_count++] = *leaf;
    for (uint64_t carry = tree->leaves_count; (carry & 1) != 0; carry >>= 1) {
        struct digest *left = &tree->peaks[tree->peaks_count - 2];
        sum_node(hasher, left, left + 1, left);
        tree->peaks_count--;
    }
    tree->leaves_count++;
}

/* RFC 9162 splits n leaves behind the largest power of two below n: the largest peak is the left
 * child, everything behind it the right one. So the peaks fold from the right. */
void tree_head(const struct tree *tree, struct hasher *hasher, struct digest *head)
{
    if (tree->peaks_count == 0) {
        hasher_sum(hasher, NULL, 0, head);
        return;
    }
    uint32_t at = tree->peaks_count - 1;
    *head = tree->peaks[at];
    while (at > 0)
        sum_node(hasher, &tree->peaks[--at], head, head);
}
