/* The bytes that PROTOCOL.md shows, read from the page itself, against the C code: what stands
 * there is what is sent. tests/system/wire_vectors_test.py does the same without any of this code.
 * Run from the root of the tree. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/item.h"
#include "proto/wire/limits.h"
#include "proto/wire/manifest.h"
#include "proto/wire/message.h"
#include "proto/wire/seqset.h"

#define PAGE "proto/PROTOCOL.md"

enum { VECTORS_MAX = 128, VECTOR_BYTES_MAX = 512, LINE_BYTES_MAX = 512, NAME_BYTES = 48 };

/* A fenced block of the page: ```hex message HELLO, ```hex value seed, … */
struct vector {
    char what[NAME_BYTES];
    char name[NAME_BYTES];
    uint8_t data[VECTOR_BYTES_MAX];
    size_t bytes;
};

struct page {
    struct vector vectors[VECTORS_MAX];
    size_t count;
};

/* Adds the bytes at the start of a line, in hex and separated by single blanks. */
static void add_line(struct vector *vector, const char *line)
{
    unsigned byte = 0;
    int length = 0;
    while (sscanf(line, "%2x%n", &byte, &length) == 1 && length == 2) {
        cr_assert_lt(vector->bytes, VECTOR_BYTES_MAX);
        vector->data[vector->bytes++] = (uint8_t)byte;
        line += 2;
        if (line[0] != ' ' || line[1] == ' ')
            return;
        line++;
    }
}

static struct page *read_page(void)
{
    struct page *page = calloc(1, sizeof *page);
    FILE *file = fopen(PAGE, "r");
    char line[LINE_BYTES_MAX];
    struct vector *vector = NULL;
    cr_assert_not_null(page);
    cr_assert_not_null(file, "cannot open " PAGE);
    while (fgets(line, sizeof line, file) != NULL) {
        if (vector == NULL && strncmp(line, "```hex ", 7) == 0) {
            cr_assert_lt(page->count, VECTORS_MAX);
            vector = &page->vectors[page->count++];
            sscanf(line, "```hex %47s %47s", vector->what, vector->name);
        } else if (strncmp(line, "```", 3) == 0) {
            vector = NULL;
        } else if (vector != NULL) {
            add_line(vector, line);
        }
    }
    fclose(file);
    return page;
}

static struct slice slice_of(const struct vector *vector)
{
    return (struct slice){vector->data, vector->bytes};
}

/* The vector of a name; the test fails where the page has none. */
static const struct vector *find(const struct page *page, const char *what, const char *name)
{
    for (size_t i = 0; i < page->count; i++)
        if (strcmp(page->vectors[i].what, what) == 0 && strcmp(page->vectors[i].name, name) == 0)
            return &page->vectors[i];
    cr_assert_fail("the page does not show '%s %s'", what, name);
    return NULL;
}

static void assert_value(const struct page *page, const char *name, const struct digest *digest)
{
    struct slice shown = slice_of(find(page, "value", name));
    cr_assert(slice_is_equal(shown, (struct slice){digest->bytes, DIGEST_BYTES}), "%s", name);
}

Test(protocol_vectors, page_shows_every_kind_of_message, .timeout = 10)
{
    static const enum message_kind kinds[] = {
#define X(name, number, body) MESSAGE_##name,
        MESSAGE_TABLE(X)
#undef X
    };
    struct page *page = read_page();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] != MESSAGE_FINISHED && kinds[i] != MESSAGE_MANIFEST_PART)
            find(page, "message", message_name(kinds[i]));
    free(page);
}

Test(protocol_vectors, messages_are_read_and_packed_as_the_page_shows, .timeout = 10)
{
    struct page *page = read_page();
    size_t messages = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct vector *vector = &page->vectors[i];
        if (strcmp(vector->what, "message") != 0)
            continue;
        struct message message;
        uint8_t packed[HEADER_BYTES_MAX];
        size_t bytes = 0;
        cr_assert_eq(message_decode(slice_of(vector), &message), STATUS_OK, "%s", vector->name);
        cr_assert_str_eq(message_name(message.kind), vector->name);
        cr_assert_eq(message_encode(&message, packed, sizeof packed, &bytes), STATUS_OK);
        cr_assert(slice_is_equal((struct slice){packed, bytes}, slice_of(vector)), "%s",
                  vector->name);
        messages++;
    }
    cr_assert_gt(messages, 30);
    free(page);
}

Test(protocol_vectors, messages_of_the_page_are_refused_cut_or_with_a_byte_more, .timeout = 10)
{
    struct page *page = read_page();
    for (size_t i = 0; i < page->count; i++) {
        struct vector *vector = &page->vectors[i];
        if (strcmp(vector->what, "message") != 0)
            continue;
        struct message message;
        for (size_t bytes = 0; bytes < vector->bytes; bytes++) {
            struct slice cut = {vector->data, bytes};
            cr_assert_eq(message_decode(cut, &message), STATUS_MALFORMED, "%s", vector->name);
        }
        struct slice longer = {vector->data, vector->bytes + 1};
        cr_assert_eq(message_decode(longer, &message), STATUS_MALFORMED, "%s", vector->name);
    }
    free(page);
}

Test(protocol_vectors, another_version_of_each_message_is_told, .timeout = 10)
{
    struct page *page = read_page();
    for (size_t i = 0; i < page->count; i++) {
        struct vector *vector = &page->vectors[i];
        if (strcmp(vector->what, "message") != 0)
            continue;
        struct message message;
        size_t version_at = vector->data[0] == 0xdc ? 4 : 2;
        cr_assert_eq(vector->data[version_at], PROTOCOL_VERSION);
        vector->data[version_at] = PROTOCOL_VERSION + 1;
        cr_assert_eq(message_decode(slice_of(vector), &message), STATUS_VERSION);
    }
    free(page);
}

Test(protocol_vectors, ranges_of_the_page_are_valid_and_packed_so, .timeout = 10)
{
    struct page *page = read_page();
    size_t sets = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct vector *vector = &page->vectors[i];
        if (strcmp(vector->what, "ranges") != 0)
            continue;
        struct seqset set = {0};
        uint8_t buffer[VECTOR_BYTES_MAX];
        struct slice packed;
        uint32_t upto = 0;
        cr_assert(ranges_are_valid(slice_of(vector)));
        cr_assert_eq(seqset_add_ranges(&set, slice_of(vector)), STATUS_OK);
        seqset_pack(&set, 0, buffer, sizeof buffer, &packed, &upto);
        cr_assert(slice_is_equal(packed, slice_of(vector)));
        cr_assert_eq(upto, UINT32_MAX);
        seqset_clear(&set);
        sets++;
    }
    cr_assert_eq(sets, 2);
    free(page);
}

/* Reads a body bet by bet and builds it anew. returns its bets. */
static uint32_t rebuild(struct slice body)
{
    struct plan plan = {BATCH_BETS_MAX, BATCH_BYTES_MIN, false};
    uint8_t buffer[BATCH_HEAD_BYTES + BATCH_BYTES_MIN + BET_PACKED_BYTES_MAX];
    struct batch_builder builder;
    struct batch_cursor cursor;
    struct bet bet;
    uint32_t bets = 0;
    batch_begin(&builder, &plan, buffer);
    cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
    while (batch_next(&cursor, &bet) == STATUS_OK) {
        cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
        bets++;
    }
    cr_assert(slice_is_equal(batch_end(&builder), body));
    uint32_t row = 0;
    cr_assert_eq(batch_check(body, bets, &row), FAULT_NONE);
    return bets;
}

Test(protocol_vectors, bodies_and_digests_are_those_of_the_page, .timeout = 10)
{
    struct page *page = read_page();
    struct hasher *hasher = NULL;
    struct tree tree;
    struct digest digest;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    tree_begin(&tree);
    tree_head(&tree, hasher, &digest);
    assert_value(page, "root-9", &digest);
    for (uint32_t seq = 0; seq < 2; seq++) {
        static const char *const bodies[] = {"batch-0", "batch-1"};
        static const char *const digests[] = {"digest-0", "digest-1"};
        struct slice body = slice_of(find(page, "body", bodies[seq]));
        digest_batch(hasher, 1, 7, seq, rebuild(body), body, &digest);
        assert_value(page, digests[seq], &digest);
        tree_add(&tree, hasher, &digest);
    }
    tree_head(&tree, hasher, &digest);
    assert_value(page, "root-7", &digest);
    struct slice seed = slice_of(find(page, "value", "seed"));
    hasher_sum(hasher, &seed, 1, &digest);
    assert_value(page, "commitment", &digest);
    hasher_destroy(&hasher);
    free(page);
}

/* Reads every item of a body and packs it again behind the ones before. */
#define REPACK(kind, body, packed, bytes)                                                       \
    do {                                                                                        \
        struct item_##kind item;                                                                \
        size_t at = 0;                                                                          \
        enum status status;                                                                     \
        while ((status = item_next_##kind(body, &at, &item)) == STATUS_OK)                      \
            cr_assert_eq(item_pack_##kind(packed, sizeof(packed), &(bytes), &item), STATUS_OK); \
        cr_assert_eq(status, STATUS_END);                                                       \
    } while (0)

Test(protocol_vectors, items_are_read_and_packed_as_the_page_shows, .timeout = 10)
{
    static const char *const names[] = {"stored", "winner", "share", "inventory"};
    struct page *page = read_page();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice body = slice_of(find(page, "items", names[i]));
        uint8_t packed[VECTOR_BYTES_MAX];
        size_t bytes = 0;
        if (i == 0)
            REPACK(stored, body, packed, bytes);
        else if (i == 1)
            REPACK(winner, body, packed, bytes);
        else if (i == 2)
            REPACK(share, body, packed, bytes);
        else
            REPACK(inventory, body, packed, bytes);
        cr_assert(slice_is_equal((struct slice){packed, bytes}, body), "%s", names[i]);
    }
    free(page);
}

Test(protocol_vectors, manifest_root_and_number_are_those_of_the_page, .timeout = 10)
{
    struct page *page = read_page();
    struct slice shown = slice_of(find(page, "items", "manifest"));
    struct slice number = slice_of(find(page, "value", "number"));
    struct hasher *hasher = NULL;
    struct manifest *read = NULL, *built = NULL;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    cr_assert_eq(manifest_parse(shown, hasher, &read), STATUS_OK);
    assert_value(page, "manifest-root", manifest_root(read));
    uint8_t told[] = {(uint8_t)(manifest_number(read) >> 24),
                      (uint8_t)(manifest_number(read) >> 16), (uint8_t)(manifest_number(read) >> 8),
                      (uint8_t)manifest_number(read)};
    cr_assert(slice_is_equal((struct slice){told, sizeof told}, number));

    struct manifest_entry entries[] = {*manifest_find(read, 7), *manifest_find(read, 9)};
    cr_assert_eq(manifest_create(manifest_terms(read), entries, 2, hasher, &built), STATUS_OK);
    cr_assert(slice_is_equal(manifest_packed(built), shown));
    struct slice cut = {shown.data, shown.bytes - 1};
    struct manifest *none = NULL;
    cr_assert_eq(manifest_parse(cut, hasher, &none), STATUS_MALFORMED);
    cr_assert_null(none);
    manifest_destroy(&read);
    manifest_destroy(&built);
    hasher_destroy(&hasher);
    free(page);
}
