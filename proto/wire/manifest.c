/* The manifest's packed form, its index, and what follows from it: root and number. The packed form
 * is a head and one entry for each agency, msgpack arrays one behind the other (manifest.h).
 * Everything lies in one block: the index, the bets of each batch as integers, the packed bytes. */
#include "proto/wire/manifest.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/limits.h"
#include "proto/wire/pack.h"

enum {
    HEAD_ELEMENTS = 10,
    ENTRY_ELEMENTS = 11,
    HEAD_BYTES_MAX = 128,  /* 2 * (2 + 32) + 6 * 5 + 3 = 101 */
    ENTRY_BYTES_MAX = 128, /* without its batches: 5 * 5 + 2 * 9 + (2 + 32) + 2 + 5 + 5 = 89 */
    BATCH_BYTES_PACKED_MIN = DIGEST_BYTES + 1,
    BATCH_BYTES_PACKED_MAX = DIGEST_BYTES + 5,
    LEAF_BYTES = 1 + 4 + 4 + 8 + 8 + DIGEST_BYTES,
};

_Static_assert((long long)BATCHES_MAX *BATCH_BYTES_PACKED_MAX + AGENCIES_MAX * ENTRY_BYTES_MAX +
                       HEAD_BYTES_MAX <=
                   MANIFEST_BYTES_MAX,
               "the largest manifest fits");

struct manifest {
    struct manifest_terms terms;
    struct digest root;
    uint32_t number;
    uint32_t batches;
    uint64_t bets;
    struct slice packed;
    size_t entries_count;
    struct manifest_entry entries[]; /* then uint32_t bets of each batch, then the packed bytes */
};

static void write_big_endian(uint8_t *target, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--, value >>= 8)
        target[i - 1] = (uint8_t)value;
}

/* -- what follows from the entries and the terms -- */

uint32_t manifest_derive_number(const struct manifest_terms *terms, const struct digest *root,
                                struct hasher *hasher)
{
    if (terms->is_given)
        return terms->given;
    CHECK(terms->range_first <= terms->range_last);
    uint64_t size = (uint64_t)terms->range_last - terms->range_first + 1;
    uint64_t excess = (0 - size) % size; /* 2^64 mod size: so many values at the top are rejected */
    struct slice seed = {terms->seed.bytes, DIGEST_BYTES};
    for (uint32_t i = 0;; i++) {
        uint8_t counter[4];
        write_big_endian(counter, i, sizeof counter);
        struct slice pieces[] = {{root->bytes, DIGEST_BYTES}, {counter, sizeof counter}};
        struct digest sum;
        hasher_hmac(hasher, seed, pieces, 2, &sum);
        uint64_t x = 0;
        for (size_t j = 0; j < sizeof x; j++)
            x = x << 8 | sum.bytes[j];
        if (x <= UINT64_MAX - excess)
            return terms->range_first + (uint32_t)(x % size);
    }
}

static void add_leaf(struct tree *tree, struct hasher *hasher, const struct manifest_entry *entry)
{
    uint8_t leaf[LEAF_BYTES] = {0x00};
    const struct declaration *declaration = &entry->declaration;
    write_big_endian(leaf + 1, entry->agency, 4);
    write_big_endian(leaf + 5, declaration->batches, 4);
    write_big_endian(leaf + 9, declaration->bets, 8);
    write_big_endian(leaf + 17, declaration->rejected, 8);
    memcpy(leaf + 25, declaration->root.bytes, DIGEST_BYTES);
    struct slice piece = {leaf, sizeof leaf};
    struct digest sum;
    hasher_sum(hasher, &piece, 1, &sum);
    tree_add(tree, hasher, &sum);
}

static void derive_root(const struct manifest_entry *entries, size_t entries_count,
                        struct hasher *hasher, struct digest *root)
{
    struct tree tree;
    tree_begin(&tree);
    for (size_t i = 0; i < entries_count; i++)
        add_leaf(&tree, hasher, &entries[i]);
    tree_head(&tree, hasher, root);
}

bool manifest_entry_follows(const struct manifest_entry *entry, struct hasher *hasher)
{
    struct tree tree;
    struct digest root;
    uint64_t bets = 0;
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < entry->declaration.batches; seq++) {
        tree_add(&tree, hasher, &entry->digests[seq]);
        bets += entry->bets[seq];
    }
    tree_head(&tree, hasher, &root);
    return bets == entry->declaration.bets && digest_is_equal(&root, &entry->declaration.root);
}

/* -- the block -- */

static struct manifest *allocate(size_t entries_count, size_t batches, size_t packed_bytes)
{
    size_t bytes = sizeof(struct manifest) + entries_count * sizeof(struct manifest_entry) +
                   batches * sizeof(uint32_t) + packed_bytes;
    struct manifest *manifest = calloc(1, bytes);
    if (manifest != NULL)
        manifest->entries_count = entries_count;
    return manifest;
}

static uint32_t *bets_of(struct manifest *manifest)
{
    return (uint32_t *)(manifest->entries + manifest->entries_count);
}

void manifest_destroy(struct manifest **manifest)
{
    free(*manifest);
    *manifest = NULL;
}

/* -- packing -- */

static void pack_head(struct packer *packer, const struct manifest *manifest)
{
    const struct manifest_terms *terms = &manifest->terms;
    pack_array(packer, HEAD_ELEMENTS);
    pack_unsigned(packer, MANIFEST_FORMAT);
    pack_unsigned(packer, terms->draw);
    pack_unsigned(packer, terms->range_first);
    pack_unsigned(packer, terms->range_last);
    pack_bool(packer, terms->is_given);
    pack_unsigned(packer, terms->given);
    pack_bin(packer, terms->seed.bytes, DIGEST_BYTES);
    pack_bin(packer, manifest->root.bytes, DIGEST_BYTES);
    pack_unsigned(packer, manifest->number);
    pack_unsigned(packer, manifest->entries_count);
}

static void pack_entry(struct packer *packer, const struct manifest_entry *entry)
{
    const struct declaration *declaration = &entry->declaration;
    pack_array(packer, ENTRY_ELEMENTS);
    pack_unsigned(packer, entry->agency);
    pack_unsigned(packer, entry->attempt);
    pack_unsigned(packer, entry->plan.bets_max);
    pack_unsigned(packer, entry->plan.bytes_max);
    pack_bool(packer, entry->plan.skips_bad_rows);
    pack_unsigned(packer, declaration->batches);
    pack_unsigned(packer, declaration->bets);
    pack_unsigned(packer, declaration->rejected);
    pack_bin(packer, declaration->root.bytes, DIGEST_BYTES);
    pack_bin(packer, entry->digests, (size_t)declaration->batches * DIGEST_BYTES);
    pack_array(packer, declaration->batches);
    for (uint32_t seq = 0; seq < declaration->batches; seq++)
        pack_unsigned(packer, entry->bets[seq]);
}

/* -- reading -- */

static void expect(struct unpacker *unpacker, bool holds)
{
    if (!holds)
        unpacker->failed = true;
}

static const struct digest no_seed;

static enum status unpack_head(struct unpacker *unpacker, struct manifest *head)
{
    struct manifest_terms *terms = &head->terms;
    uint32_t elements = unpack_array(unpacker);
    uint64_t format = unpack_unsigned(unpacker, UINT64_MAX);
    if (unpacker->failed)
        return STATUS_MALFORMED;
    if (format != MANIFEST_FORMAT)
        return STATUS_VERSION;
    expect(unpacker, elements == HEAD_ELEMENTS);
    terms->draw = unpack_between(unpacker, 1, UINT32_MAX);
    terms->range_first = unpack_between(unpacker, 0, UINT32_MAX);
    terms->range_last = unpack_between(unpacker, terms->range_first, UINT32_MAX);
    terms->is_given = unpack_bool(unpacker);
    terms->given = unpack_between(unpacker, 0, terms->is_given ? UINT32_MAX : 0);
    digest_unpack(unpacker, &terms->seed);
    expect(unpacker, !terms->is_given || digest_is_equal(&terms->seed, &no_seed));
    digest_unpack(unpacker, &head->root);
    head->number = unpack_between(unpacker, 0, UINT32_MAX);
    head->entries_count = unpack_between(unpacker, 0, AGENCIES_MAX);
    return unpacker->failed ? STATUS_MALFORMED : STATUS_OK;
}

/* Reads an entry; `bets` has room for as many batches as the unpacker's bytes can hold. */
static void unpack_entry(struct unpacker *unpacker, uint32_t batches_max, uint32_t *bets,
                         struct manifest_entry *entry)
{
    struct declaration *declaration = &entry->declaration;
    expect(unpacker, unpack_array(unpacker) == ENTRY_ELEMENTS);
    entry->agency = unpack_between(unpacker, 0, UINT32_MAX);
    entry->attempt = unpack_between(unpacker, 1, UINT32_MAX);
    entry->plan.bets_max = unpack_between(unpacker, 1, BATCH_BETS_MAX);
    entry->plan.bytes_max = unpack_between(unpacker, BATCH_BYTES_MIN, BATCH_BYTES_MAX);
    entry->plan.skips_bad_rows = unpack_bool(unpacker);
    declaration->batches = unpack_between(unpacker, 0, batches_max);
    declaration->bets = unpack_unsigned(unpacker, UINT64_MAX);
    declaration->rejected = unpack_unsigned(unpacker, UINT64_MAX);
    digest_unpack(unpacker, &declaration->root);
    size_t digests_bytes = (size_t)declaration->batches * DIGEST_BYTES;
    struct slice digests = unpack_bin(unpacker, digests_bytes, digests_bytes);
    expect(unpacker, unpack_array(unpacker) == declaration->batches);
    for (uint32_t seq = 0; seq < declaration->batches && !unpacker->failed; seq++)
        bets[seq] = unpack_between(unpacker, 1, BATCH_BETS_MAX);
    entry->digests = (const struct digest *)digests.data; /* bytes: any address will do */
    entry->bets = bets;
}

/* Fills the index from the packed bytes behind the head. */
static bool unpack_entries(struct unpacker *unpacker, struct manifest *manifest)
{
    uint32_t *bets = bets_of(manifest);
    for (size_t i = 0; i < manifest->entries_count && !unpacker->failed; i++) {
        struct manifest_entry *entry = &manifest->entries[i];
        unpack_entry(unpacker, BATCHES_MAX - manifest->batches, bets + manifest->batches, entry);
        expect(unpacker, i == 0 || entry->agency > entry[-1].agency);
        manifest->batches += entry->declaration.batches;
        manifest->bets += entry->declaration.bets;
    }
    return unpack_is_complete(unpacker);
}

enum status manifest_parse(struct slice packed, struct hasher *hasher, struct manifest **manifest)
{
    if (packed.bytes > MANIFEST_BYTES_MAX)
        return STATUS_LIMIT;
    struct manifest head = {0};
    struct unpacker unpacker;
    unpack_begin(&unpacker, packed);
    enum status status = unpack_head(&unpacker, &head);
    if (status != STATUS_OK)
        return status;
    size_t batches_max = packed.bytes / BATCH_BYTES_PACKED_MIN;
    struct manifest *parsed = allocate(head.entries_count, batches_max, packed.bytes);
    if (parsed == NULL)
        return STATUS_NO_MEMORY;
    parsed->terms = head.terms;
    parsed->root = head.root;
    parsed->number = head.number;
    uint8_t *copy = (uint8_t *)(bets_of(parsed) + batches_max);
    memcpy(copy, packed.data, packed.bytes);
    parsed->packed = unpacker.packed = (struct slice){copy, packed.bytes};

    status = STATUS_MALFORMED;
    if (!unpack_entries(&unpacker, parsed))
        goto fail;
    status = STATUS_WRONG;
    for (size_t i = 0; i < parsed->entries_count; i++)
        if (!manifest_entry_follows(&parsed->entries[i], hasher))
            goto fail;
    struct digest root;
    derive_root(parsed->entries, parsed->entries_count, hasher, &root);
    if (!digest_is_equal(&root, &parsed->root) ||
        manifest_derive_number(&parsed->terms, &root, hasher) != parsed->number)
        goto fail;
    *manifest = parsed;
    return STATUS_OK;
fail:
    manifest_destroy(&parsed);
    return status;
}

/* -- building -- */

static uint64_t count_batches(const struct manifest_entry *entries, size_t entries_count)
{
    uint64_t batches = 0;
    for (size_t i = 0; i < entries_count; i++)
        batches += entries[i].declaration.batches;
    return batches;
}

enum status manifest_create(const struct manifest_terms *terms,
                            const struct manifest_entry *entries, size_t entries_count,
                            struct hasher *hasher, struct manifest **manifest)
{
    uint64_t batches = count_batches(entries, entries_count);
    if (entries_count > AGENCIES_MAX || batches > BATCHES_MAX)
        return STATUS_LIMIT;
    size_t packed_max =
        HEAD_BYTES_MAX + entries_count * ENTRY_BYTES_MAX + (size_t)batches * BATCH_BYTES_PACKED_MAX;
    struct manifest *created = allocate(entries_count, (size_t)batches, packed_max);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->terms = *terms;
    if (terms->is_given)
        created->terms.seed = no_seed;
    else
        created->terms.given = 0;
    derive_root(entries, entries_count, hasher, &created->root);
    created->number = manifest_derive_number(&created->terms, &created->root, hasher);

    struct packer packer;
    uint8_t *packed = (uint8_t *)(bets_of(created) + batches);
    pack_begin(&packer, packed, packed_max);
    pack_head(&packer, created);
    for (size_t i = 0; i < entries_count; i++)
        pack_entry(&packer, &entries[i]);
    CHECK(!packer.overflowed);
    created->packed = (struct slice){packed, packer.bytes};

    struct unpacker unpacker;
    struct manifest head = {0};
    unpack_begin(&unpacker, created->packed);
    CHECK(unpack_head(&unpacker, &head) == STATUS_OK); /* the terms are in range */
    CHECK(unpack_entries(&unpacker, created));         /* so are the entries, in rising order */
    *manifest = created;
    return STATUS_OK;
}

/* -- asking -- */

struct slice manifest_packed(const struct manifest *manifest)
{
    return manifest->packed;
}

const struct manifest_terms *manifest_terms(const struct manifest *manifest)
{
    return &manifest->terms;
}

const struct digest *manifest_root(const struct manifest *manifest)
{
    return &manifest->root;
}

uint32_t manifest_number(const struct manifest *manifest)
{
    return manifest->number;
}

uint64_t manifest_bets(const struct manifest *manifest)
{
    return manifest->bets;
}

uint32_t manifest_batches(const struct manifest *manifest)
{
    return manifest->batches;
}

size_t manifest_agencies_count(const struct manifest *manifest)
{
    return manifest->entries_count;
}

const struct manifest_entry *manifest_agency(const struct manifest *manifest, size_t index)
{
    CHECK(index < manifest->entries_count);
    return &manifest->entries[index];
}

const struct manifest_entry *manifest_find(const struct manifest *manifest, uint32_t agency)
{
    size_t low = 0, high = manifest->entries_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (manifest->entries[middle].agency < agency)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_there = low < manifest->entries_count && manifest->entries[low].agency == agency;
    return is_there ? &manifest->entries[low] : NULL;
}
