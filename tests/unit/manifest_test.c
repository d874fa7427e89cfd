/* The manifest: what it packs against msgpack-c, what it refuses, and its number against a
 * computation of its own with OpenSSL's HMAC and 128-bit integers. */
#include "proto/wire/manifest.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "proto/wire/limits.h"

enum { AGENCIES = 4, BATCHES = 40 };

/* Everything that a packed manifest says, so that a test can say it wrongly. */
struct story {
    uint64_t format, elements;
    struct manifest_terms terms;
    struct digest root;
    uint32_t number;
    uint64_t agencies; /* as the head counts them */
    struct manifest_entry entries[AGENCIES];
    struct digest digests[AGENCIES][BATCHES];
    uint32_t bets[AGENCIES][BATCHES];
    size_t digests_bytes[AGENCIES], counts[AGENCIES];
};

static struct hasher *hasher;
static struct story story;

static void declare(struct story *told, uint32_t at, uint32_t agency, uint32_t batches)
{
    struct manifest_entry *entry = &told->entries[at];
    struct tree tree;
    tree_begin(&tree);
    *entry = (struct manifest_entry){
        .agency = agency,
        .attempt = 1 + at,
        .plan = {100 * (at + 1), 65536, at % 2 == 0},
        .declaration = {.batches = batches, .rejected = (uint64_t)at << 33},
        .digests = told->digests[at],
        .bets = told->bets[at],
    };
    for (uint32_t seq = 0; seq < batches; seq++) {
        uint32_t bets = 1 + seq * seq * 97 % BATCH_BETS_MAX;
        struct slice body = {(const uint8_t *)&bets, sizeof bets};
        digest_batch(hasher, 7, agency, seq, bets, body, &told->digests[at][seq]);
        tree_add(&tree, hasher, &told->digests[at][seq]);
        told->bets[at][seq] = bets;
        entry->declaration.bets += bets;
    }
    tree_head(&tree, hasher, &entry->declaration.root);
    told->digests_bytes[at] = (size_t)batches * DIGEST_BYTES;
    told->counts[at] = batches;
}

/* The root as PROTOCOL.md describes it, for four leaves. */
static void find_root(struct story *told)
{
    struct digest leaves[AGENCIES], nodes[2];
    for (size_t i = 0; i < AGENCIES; i++) {
        const struct manifest_entry *entry = &told->entries[i];
        const struct declaration *said = &entry->declaration;
        uint8_t leaf[57] = {0};
        for (size_t j = 0; j < 4; j++) {
            leaf[4 - j] = (uint8_t)(entry->agency >> (8 * j));
            leaf[8 - j] = (uint8_t)(said->batches >> (8 * j));
        }
        for (size_t j = 0; j < 8; j++) {
            leaf[16 - j] = (uint8_t)(said->bets >> (8 * j));
            leaf[24 - j] = (uint8_t)(said->rejected >> (8 * j));
        }
        memcpy(leaf + 25, said->root.bytes, DIGEST_BYTES);
        hasher_sum(hasher, &(struct slice){leaf, sizeof leaf}, 1, &leaves[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct digest *left = i < 2 ? &leaves[2 * i] : nodes;
        struct slice pieces[] = {{(const uint8_t *)"\1", 1},
                                 {left[0].bytes, DIGEST_BYTES},
                                 {left[1].bytes, DIGEST_BYTES}};
        hasher_sum(hasher, pieces, 3, i < 2 ? &nodes[i] : &told->root);
    }
}

static uint32_t derive_independently(const struct manifest_terms *terms, const struct digest *root)
{
    __extension__ typedef unsigned __int128 wide;
    wide size = (wide)terms->range_last - terms->range_first + 1;
    wide limit = ((wide)1 << 64) / size * size;
    uint8_t message[DIGEST_BYTES + 4] = {0}, sum[DIGEST_BYTES];
    memcpy(message, root->bytes, DIGEST_BYTES);
    for (;; message[sizeof message - 1]++) {
        wide x = 0;
        HMAC(EVP_sha256(), terms->seed.bytes, DIGEST_BYTES, message, sizeof message, sum, NULL);
        for (int i = 0; i < 8; i++)
            x = x * 256 + sum[i];
        if (x < limit)
            return terms->range_first + (uint32_t)(x % size);
    }
}

static void begin(void)
{
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    story = (struct story){.format = 1, .elements = 10, .agencies = AGENCIES};
    story.terms = (struct manifest_terms){.draw = 7, .range_first = 100, .range_last = 9999};
    memset(story.terms.seed.bytes, 0x5e, DIGEST_BYTES);
    declare(&story, 0, 0, 1);
    declare(&story, 1, 5, BATCHES);
    declare(&story, 2, 6, 0);
    declare(&story, 3, UINT32_MAX, 3);
    find_root(&story);
    story.number = derive_independently(&story.terms, &story.root);
}

static void end(void)
{
    hasher_destroy(&hasher);
}

TestSuite(manifest, .init = begin, .fini = end);

/* ---- the packed form as msgpack-c makes it ---- */

static void tell_bin(msgpack_packer *packer, const void *bytes, size_t size)
{
    msgpack_pack_bin(packer, size);
    msgpack_pack_bin_body(packer, bytes, size);
}

static void tell_bool(msgpack_packer *packer, bool value)
{
    if (value)
        msgpack_pack_true(packer);
    else
        msgpack_pack_false(packer);
}

static void tell_entry(msgpack_packer *packer, const struct story *told, size_t at)
{
    const struct manifest_entry *entry = &told->entries[at];
    msgpack_pack_array(packer, 11);
    msgpack_pack_uint32(packer, entry->agency);
    msgpack_pack_uint32(packer, entry->attempt);
    msgpack_pack_uint32(packer, entry->plan.bets_max);
    msgpack_pack_uint32(packer, entry->plan.bytes_max);
    tell_bool(packer, entry->plan.skips_bad_rows);
    msgpack_pack_uint32(packer, entry->declaration.batches);
    msgpack_pack_uint64(packer, entry->declaration.bets);
    msgpack_pack_uint64(packer, entry->declaration.rejected);
    tell_bin(packer, entry->declaration.root.bytes, DIGEST_BYTES);
    tell_bin(packer, told->digests[at], told->digests_bytes[at]);
    msgpack_pack_array(packer, told->counts[at]);
    for (size_t i = 0; i < told->counts[at]; i++)
        msgpack_pack_uint32(packer, told->bets[at][i]);
}

static void tell(const struct story *told, msgpack_sbuffer *buffer)
{
    msgpack_packer packer;
    msgpack_sbuffer_init(buffer);
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, told->elements);
    msgpack_pack_uint64(&packer, told->format);
    msgpack_pack_uint32(&packer, told->terms.draw);
    msgpack_pack_uint32(&packer, told->terms.range_first);
    msgpack_pack_uint32(&packer, told->terms.range_last);
    tell_bool(&packer, told->terms.is_given);
    msgpack_pack_uint32(&packer, told->terms.given);
    tell_bin(&packer, told->terms.seed.bytes, DIGEST_BYTES);
    tell_bin(&packer, told->root.bytes, DIGEST_BYTES);
    msgpack_pack_uint32(&packer, told->number);
    msgpack_pack_uint64(&packer, told->agencies);
    for (size_t i = 0; i < AGENCIES; i++)
        tell_entry(&packer, told, i);
}

static enum status parse_story(const struct story *told)
{
    msgpack_sbuffer buffer;
    struct manifest *manifest = NULL;
    tell(told, &buffer);
    struct slice packed = {(const uint8_t *)buffer.data, buffer.size};
    enum status status = manifest_parse(packed, hasher, &manifest);
    cr_assert_eq(manifest != NULL, status == STATUS_OK);
    manifest_destroy(&manifest);
    msgpack_sbuffer_destroy(&buffer);
    return status;
}

static void assert_tells(const struct manifest *manifest, const struct story *told)
{
    cr_assert_eq(manifest_terms(manifest)->draw, told->terms.draw);
    cr_assert_eq(manifest_terms(manifest)->range_first, told->terms.range_first);
    cr_assert_eq(manifest_terms(manifest)->range_last, told->terms.range_last);
    cr_assert(digest_is_equal(&manifest_terms(manifest)->seed, &told->terms.seed));
    cr_assert(digest_is_equal(manifest_root(manifest), &told->root));
    cr_assert_eq(manifest_number(manifest), told->number);
    cr_assert_eq(manifest_batches(manifest), 1 + BATCHES + 0 + 3);
    cr_assert_eq(manifest_agencies_count(manifest), AGENCIES);
    uint64_t bets = 0;
    for (size_t i = 0; i < AGENCIES; i++) {
        const struct manifest_entry *entry = manifest_agency(manifest, i);
        const struct manifest_entry *expected = &told->entries[i];
        cr_assert_eq(entry->agency, expected->agency);
        cr_assert_eq(entry->attempt, expected->attempt);
        cr_assert(plan_is_equal(&entry->plan, &expected->plan));
        cr_assert(declaration_is_equal(&entry->declaration, &expected->declaration));
        for (uint32_t seq = 0; seq < entry->declaration.batches; seq++) {
            cr_assert(digest_is_equal(&entry->digests[seq], &told->digests[i][seq]));
            cr_assert_eq(entry->bets[seq], told->bets[i][seq]);
        }
        cr_assert_eq(manifest_find(manifest, expected->agency), entry);
        bets += expected->declaration.bets;
    }
    cr_assert_eq(manifest_bets(manifest), bets);
}

Test(manifest, packs_what_msgpack_c_packs_and_reads_it_back, .timeout = 10)
{
    struct manifest *created = NULL, *parsed = NULL;
    msgpack_sbuffer buffer;
    cr_assert_eq(manifest_create(&story.terms, story.entries, AGENCIES, hasher, &created),
                 STATUS_OK);
    assert_tells(created, &story);
    tell(&story, &buffer);
    struct slice expected = {(const uint8_t *)buffer.data, buffer.size};
    cr_assert(slice_is_equal(manifest_packed(created), expected));
    cr_assert_eq(manifest_parse(expected, hasher, &parsed), STATUS_OK);
    memset(buffer.data, 0, buffer.size); /* it keeps a copy */
    msgpack_sbuffer_destroy(&buffer);
    assert_tells(parsed, &story);
    cr_assert(slice_is_equal(manifest_packed(created), manifest_packed(parsed)));
    cr_assert_null(manifest_find(parsed, 1));
    cr_assert_null(manifest_find(parsed, 7));
    cr_assert_null(manifest_find(parsed, UINT32_MAX - 1));
    manifest_destroy(&created);
    manifest_destroy(&parsed);
    cr_assert_null(parsed);
    manifest_destroy(&parsed);
}

Test(manifest, of_nobody_has_the_root_of_nothing, .timeout = 10)
{
    struct manifest *created = NULL, *parsed = NULL;
    struct digest nothing;
    hasher_sum(hasher, NULL, 0, &nothing);
    cr_assert_eq(manifest_create(&story.terms, NULL, 0, hasher, &created), STATUS_OK);
    cr_assert(digest_is_equal(manifest_root(created), &nothing));
    cr_assert_eq(manifest_batches(created), 0);
    cr_assert_null(manifest_find(created, 0));
    cr_assert_eq(manifest_parse(manifest_packed(created), hasher, &parsed), STATUS_OK);
    cr_assert_eq(manifest_number(parsed), derive_independently(&story.terms, &nothing));
    manifest_destroy(&created);
    manifest_destroy(&parsed);
}

Test(manifest, keeps_a_given_number_and_no_seed, .timeout = 10)
{
    struct manifest *created = NULL, *parsed = NULL;
    struct digest zeros = {{0}};
    story.terms.is_given = true;
    story.terms.given = 7574000; /* outside the range: a given number stands */
    cr_assert_eq(manifest_create(&story.terms, story.entries, AGENCIES, hasher, &created),
                 STATUS_OK);
    cr_assert_eq(manifest_parse(manifest_packed(created), hasher, &parsed), STATUS_OK);
    cr_assert_eq(manifest_number(parsed), 7574000);
    cr_assert(digest_is_equal(&manifest_terms(created)->seed, &zeros), "the seed stays secret");
    cr_assert(digest_is_equal(&manifest_terms(parsed)->seed, &zeros));
    manifest_destroy(&created);
    manifest_destroy(&parsed);
}

/* ---- the number ---- */

Test(manifest, number_is_that_of_an_independent_computation, .timeout = 10)
{
    static const uint32_t ranges[][2] = {
        {0, 9999}, {0, UINT32_MAX}, {1, UINT32_MAX}, {5, 5},
        {0, 0},    {7, 12},         {0, 1},          {UINT32_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        for (uint8_t n = 0; n < 50; n++) {
            struct manifest_terms terms = {.draw = 1,
                                           .range_first = ranges[i][0],
                                           .range_last = ranges[i][1]};
            struct digest root = {{n, 1}};
            terms.seed.bytes[31] = n;
            uint32_t number = manifest_derive_number(&terms, &root, hasher);
            cr_assert_eq(number, derive_independently(&terms, &root));
            cr_assert(number >= ranges[i][0] && number <= ranges[i][1]);
        }
    }
}

/* Computed by hand (Python: hmac, int.from_bytes): a client in another language must get the
 * same. */
Test(manifest, number_of_a_known_seed_and_root, .timeout = 10)
{
    struct manifest_terms terms = {.draw = 1, .range_first = 0, .range_last = 9999};
    struct digest root;
    for (uint8_t i = 0; i < DIGEST_BYTES; i++) {
        terms.seed.bytes[i] = i;
        root.bytes[i] = (uint8_t)(255 - i);
    }
    cr_assert_eq(manifest_derive_number(&terms, &root, hasher), 4088);
    terms.range_first = 1000;
    terms.range_last = UINT32_MAX;
    cr_assert_eq(manifest_derive_number(&terms, &root, hasher), 3224760448);
}

/* ---- what is refused ---- */

Test(manifest, refuses_bytes_cut_or_added_anywhere, .timeout = 10)
{
    msgpack_sbuffer buffer;
    struct manifest *manifest = NULL;
    tell(&story, &buffer);
    for (size_t cut = 0; cut < buffer.size; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, buffer.data, cut);
        cr_assert_eq(manifest_parse((struct slice){exact, cut}, hasher, &manifest),
                     STATUS_MALFORMED, "at %zu", cut);
        free(exact);
    }
    msgpack_sbuffer_write(&buffer, "\0", 1);
    struct slice longer = {(const uint8_t *)buffer.data, buffer.size};
    cr_assert_eq(manifest_parse(longer, hasher, &manifest), STATUS_MALFORMED);
    msgpack_sbuffer_destroy(&buffer);
    cr_assert_null(manifest);
}

/* Sets one member of a copy of the story and parses what that tells. */
#define REFUSED(expected, member, value)                                           \
    do {                                                                           \
        struct story other = story;                                                \
        other.member = (value);                                                    \
        cr_assert_eq(parse_story(&other), (expected), "%s = %s", #member, #value); \
    } while (0)

Test(manifest, refuses_every_field_out_of_its_range, .timeout = 10)
{
    cr_assert_eq(parse_story(&story), STATUS_OK);
    REFUSED(STATUS_VERSION, format, 0);
    REFUSED(STATUS_VERSION, format, 2);
    REFUSED(STATUS_VERSION, format, UINT64_MAX);
    REFUSED(STATUS_MALFORMED, elements, 9);
    REFUSED(STATUS_MALFORMED, elements, 11);
    REFUSED(STATUS_MALFORMED, terms.draw, 0);
    REFUSED(STATUS_MALFORMED, terms.range_first, 10000);
    REFUSED(STATUS_MALFORMED, terms.given, 1);
    REFUSED(STATUS_MALFORMED, terms.is_given, true); /* with a seed */
    REFUSED(STATUS_MALFORMED, agencies, AGENCIES - 1);
    REFUSED(STATUS_MALFORMED, agencies, AGENCIES + 1);
    REFUSED(STATUS_MALFORMED, agencies, AGENCIES_MAX + 1);
    REFUSED(STATUS_MALFORMED, agencies, (uint64_t)UINT32_MAX + 1 + AGENCIES);
    REFUSED(STATUS_MALFORMED, entries[0].agency, 5); /* twice the same */
    REFUSED(STATUS_MALFORMED, entries[0].agency, 6); /* falling */
    REFUSED(STATUS_MALFORMED, entries[1].attempt, 0);
    REFUSED(STATUS_MALFORMED, entries[1].plan.bets_max, 0);
    REFUSED(STATUS_MALFORMED, entries[1].plan.bets_max, BATCH_BETS_MAX + 1);
    REFUSED(STATUS_MALFORMED, entries[1].plan.bytes_max, BATCH_BYTES_MIN - 1);
    REFUSED(STATUS_MALFORMED, entries[1].plan.bytes_max, BATCH_BYTES_MAX + 1);
    REFUSED(STATUS_MALFORMED, entries[1].declaration.batches, BATCHES - 1);
    REFUSED(STATUS_MALFORMED, entries[1].declaration.batches, BATCHES_MAX);
    REFUSED(STATUS_MALFORMED, entries[1].declaration.batches, UINT32_MAX);
    REFUSED(STATUS_MALFORMED, digests_bytes[1], DIGEST_BYTES * BATCHES - 1);
    REFUSED(STATUS_MALFORMED, counts[1], BATCHES - 1);
    REFUSED(STATUS_MALFORMED, bets[1][BATCHES - 1], 0);
    REFUSED(STATUS_MALFORMED, bets[1][0], BATCH_BETS_MAX + 1);
}

/* [M-59] */
Test(manifest, refuses_what_does_not_follow, .timeout = 10)
{
    REFUSED(STATUS_WRONG, number, story.number + 1);
    REFUSED(STATUS_WRONG, terms.range_last, 9998);
    REFUSED(STATUS_WRONG, terms.seed.bytes[0], 0);
    REFUSED(STATUS_WRONG, root.bytes[31], (uint8_t)(story.root.bytes[31] ^ 1));
    REFUSED(STATUS_WRONG, entries[2].agency, 7);
    REFUSED(STATUS_WRONG, entries[3].declaration.bets, story.entries[3].declaration.bets + 1);
    REFUSED(STATUS_WRONG, entries[3].declaration.rejected, 0);
    REFUSED(STATUS_WRONG, entries[2].declaration.root.bytes[0], 0);
    REFUSED(STATUS_WRONG, bets[1][5], story.bets[1][5] + 1);
    REFUSED(STATUS_WRONG, digests[1][BATCHES - 1].bytes[7],
            (uint8_t)(story.digests[1][BATCHES - 1].bytes[7] ^ 0x80));
    /* what no root covers may be any value in its range */
    REFUSED(STATUS_OK, entries[1].attempt, 77);
    REFUSED(STATUS_OK, terms.draw, 8);
}

/* ---- the limits ---- */

Test(manifest, refuses_more_than_a_draw_may_have, .timeout = 10)
{
    static struct manifest_entry entries[AGENCIES_MAX + 1];
    struct manifest *manifest = NULL;
    cr_assert_eq(manifest_create(&story.terms, entries, AGENCIES_MAX + 1, hasher, &manifest),
                 STATUS_LIMIT);
    entries[0].declaration.batches = BATCHES_MAX;
    entries[1].declaration.batches = 1;
    cr_assert_eq(manifest_create(&story.terms, entries, 2, hasher, &manifest), STATUS_LIMIT);
    struct slice packed = {(const uint8_t *)"", (size_t)MANIFEST_BYTES_MAX + 1};
    cr_assert_eq(manifest_parse(packed, hasher, &manifest), STATUS_LIMIT);
    cr_assert_null(manifest);
}

Test(manifest, holds_the_largest_draw, .timeout = 60)
{
    static struct manifest_entry entries[AGENCIES_MAX];
    enum { EACH = BATCHES_MAX / AGENCIES_MAX };
    static struct digest digests[EACH];
    static uint32_t bets[EACH];
    struct tree tree;
    struct declaration declaration = {.batches = EACH, .rejected = UINT64_MAX};
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < EACH; seq++) {
        digests[seq].bytes[0] = (uint8_t)seq;
        bets[seq] = BATCH_BETS_MAX;
        declaration.bets += BATCH_BETS_MAX;
        tree_add(&tree, hasher, &digests[seq]);
    }
    tree_head(&tree, hasher, &declaration.root);
    struct plan plan = {BATCH_BETS_MAX, BATCH_BYTES_MAX, true};
    for (uint32_t i = 0; i < AGENCIES_MAX; i++)
        entries[i] = (struct manifest_entry){UINT32_MAX - AGENCIES_MAX + 1 + i,
                                             UINT32_MAX,
                                             plan,
                                             declaration,
                                             digests,
                                             bets};
    struct manifest *created = NULL, *parsed = NULL;
    cr_assert_eq(manifest_create(&story.terms, entries, AGENCIES_MAX, hasher, &created), STATUS_OK);
    cr_assert_leq(manifest_packed(created).bytes, MANIFEST_BYTES_MAX);
    cr_assert_eq(manifest_parse(manifest_packed(created), hasher, &parsed), STATUS_OK);
    cr_assert_eq(manifest_batches(parsed), BATCHES_MAX);
    cr_assert_eq(manifest_bets(parsed), (uint64_t)BATCHES_MAX * BATCH_BETS_MAX);
    cr_assert_eq(manifest_find(parsed, UINT32_MAX)->bets[EACH - 1], BATCH_BETS_MAX);
    cr_assert_eq(manifest_find(parsed, UINT32_MAX)->digests[EACH - 1].bytes[0], 0xff);
    manifest_destroy(&created);
    manifest_destroy(&parsed);
}
