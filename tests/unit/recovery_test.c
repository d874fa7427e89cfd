#include "broker/recovery.h"

#include <criterion/criterion.h>

static struct recovery *recovery;
static struct hasher *hasher;

static void begin(void)
{
    cr_assert_eq(recovery_create(2, &recovery), STATUS_OK);
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
}

static void end(void)
{
    recovery_destroy(&recovery);
    cr_assert_null(recovery);
    recovery_destroy(&recovery);
    hasher_destroy(&hasher);
}

TestSuite(recovery, .init = begin, .fini = end, .timeout = 10);

static void hear(uint32_t store, enum inventory_kind kind, uint32_t draw, const struct digest *root)
{
    struct item_inventory item = {.kind = kind, .draw = draw};
    if (root != NULL)
        item.root = *root;
    recovery_hear_item(recovery, store, &item, true);
}

static void expect(enum recovery_finding finding, uint32_t draw)
{
    uint32_t found = UINT32_MAX;
    cr_assert_eq(recovery_find(recovery, &found), finding);
    cr_assert_eq(found, draw);
}

/* The manifest of `draw` without agencies, and a seal of it in this store. */
static struct manifest *seal(uint32_t store, uint32_t draw)
{
    const struct manifest_terms terms = {.draw = draw, .range_last = 9, .is_given = true};
    struct manifest *manifest;
    cr_assert_eq(manifest_create(&terms, NULL, 0, hasher, &manifest), STATUS_OK);
    hear(store, INVENTORY_SEAL, draw, manifest_root(manifest));
    return manifest;
}

static struct message_part part_of(const struct manifest *manifest, uint32_t part, uint32_t parts)
{
    return (struct message_part){.part = part,
                                 .parts = parts,
                                 .manifest_bytes = manifest_packed(manifest).bytes,
                                 .root = *manifest_root(manifest)};
}

static enum status take(uint32_t store, uint32_t draw, const struct message_part *part,
                        struct slice body, struct manifest **manifest)
{
    return recovery_take_part(recovery, store, draw, part, body, hasher, manifest);
}

static void ask(uint32_t store)
{
    uint32_t asked = UINT32_MAX;
    cr_assert(recovery_next_ask(recovery, &asked));
    cr_assert_eq(asked, store);
    cr_assert_not(recovery_next_ask(recovery, &asked), "one at a time");
}

Test(recovery, waits_for_as_many_stores_as_it_was_told)
{
    cr_assert_not(recovery_has_stores(recovery, 1));
    cr_assert(recovery_has_stores(recovery, 2));
    cr_assert(recovery_has_stores(recovery, 3));
}

Test(recovery, keeps_the_highest_epoch_that_a_store_has_served)
{
    cr_assert_eq(recovery_epoch_heard(recovery), 0);
    recovery_hear_epoch(recovery, 7);
    recovery_hear_epoch(recovery, 3);
    cr_assert_eq(recovery_epoch_heard(recovery), 7);
}

Test(recovery, knows_whether_a_store_brought_what_the_journal_lacks)
{
    const struct item_inventory item = {.kind = INVENTORY_BATCH, .draw = 1};
    recovery_hear_item(recovery, 0, &item, true);
    cr_assert_not(recovery_has_unknown(recovery));
    recovery_hear_item(recovery, 1, &item, false);
    cr_assert(recovery_has_unknown(recovery));
}

Test(recovery, finds_the_newest_draw_whatever_comes_first)
{
    expect(RECOVERY_NOTHING, 0);
    hear(0, INVENTORY_BATCH, 2, NULL);
    expect(RECOVERY_UNSEALED, 2);
    hear(1, INVENTORY_SEAL, 1, NULL);
    expect(RECOVERY_UNSEALED, 2);
    hear(1, INVENTORY_SEAL, 2, NULL);
    hear(0, INVENTORY_BATCH, 2, NULL);
    expect(RECOVERY_SEALED, 2);
    hear(0, INVENTORY_VOID, 2, NULL);
    expect(RECOVERY_VOID, 2);
    hear(0, INVENTORY_BATCH, 3, NULL);
    expect(RECOVERY_UNSEALED, 3);
    hear(0, INVENTORY_VOID, 2, NULL);
    expect(RECOVERY_UNSEALED, 3);
    hear(1, INVENTORY_FORGOT, 3, NULL);
    expect(RECOVERY_FORGOTTEN, 3);
}

Test(recovery, takes_the_manifest_of_the_store_that_it_has_asked)
{
    struct manifest *sealed = seal(1, 4);
    struct manifest *taken = NULL;
    struct slice packed = manifest_packed(sealed);
    struct slice head = {packed.data, 5};
    struct slice rest = {packed.data + 5, packed.bytes - 5};
    const struct message_part first = part_of(sealed, 0, 2);
    const struct message_part second = part_of(sealed, 1, 2);
    cr_assert_eq(take(1, 4, &first, head, &taken), STATUS_OK);
    cr_assert_null(taken, "nobody was asked");
    ask(1);
    cr_assert_eq(take(0, 4, &first, head, &taken), STATUS_OK);
    cr_assert_eq(take(1, 3, &first, head, &taken), STATUS_OK);
    cr_assert_eq(take(1, 4, &first, head, &taken), STATUS_OK);
    cr_assert_null(taken);
    cr_assert_eq(take(1, 4, &second, rest, &taken), STATUS_OK);
    cr_assert_not_null(taken);
    cr_assert(digest_is_equal(manifest_root(taken), manifest_root(sealed)));
    manifest_destroy(&taken);
    manifest_destroy(&sealed);
}

/* [M-72] */
Test(recovery, takes_no_part_that_is_larger_than_a_chunk)
{
    static const uint8_t zeros[CHUNK_BYTES_MAX + 1];
    struct manifest *sealed = seal(1, 4);
    struct manifest *taken = NULL;
    struct message_part part = part_of(sealed, 0, 2);
    part.manifest_bytes = sizeof zeros + 1;
    for (size_t bytes = CHUNK_BYTES_MAX; bytes <= sizeof zeros; bytes++) {
        hear(1, INVENTORY_SEAL, 4, manifest_root(sealed));
        ask(1);
        cr_assert_eq(take(1, 4, &part, (struct slice){zeros, bytes}, &taken),
                     bytes == CHUNK_BYTES_MAX ? STATUS_OK : STATUS_WRONG);
        cr_assert_null(taken);
        recovery_forget_store(recovery, 1);
    }
    manifest_destroy(&sealed);
}

Test(recovery, asks_another_store_after_an_answer_that_makes_no_manifest)
{
    struct manifest *sealed = seal(0, 4);
    struct manifest *other = seal(0, 4);
    struct slice packed = manifest_packed(sealed);
    struct manifest *taken = NULL;
    for (uint32_t store = 0; store < 7; store++) {
        hear(store, INVENTORY_SEAL, 4, manifest_root(sealed));
        struct message_part part = part_of(sealed, 0, 1);
        struct slice body = packed;
        ask(store);
        if (store == 0)
            part.part = 1;
        else if (store == 1)
            part.manifest_bytes = 0;
        else if (store == 2)
            part.manifest_bytes = MANIFEST_BYTES_MAX + 1;
        else if (store == 3)
            part.root.bytes[0] ^= 1;
        else if (store == 4)
            body.bytes--;
        else if (store == 5)
            part.manifest_bytes--;
        if (store < 6) {
            cr_assert_lt(take(store, 4, &part, body, &taken), 0, "store %u", store);
            cr_assert_null(taken);
            continue;
        }
        cr_assert_eq(take(store, 4, &part, body, &taken), STATUS_OK);
        cr_assert_not_null(taken);
        manifest_destroy(&taken);
    }
    manifest_destroy(&sealed);
    manifest_destroy(&other);
}

/* The other draw's has the same root: nobody took part in either. */
Test(recovery, takes_no_manifest_of_another_draw)
{
    struct manifest *sealed = seal(0, 4);
    const struct manifest_terms terms = {.draw = 5, .range_last = 9, .is_given = true};
    struct manifest *other;
    struct manifest *taken = NULL;
    cr_assert_eq(manifest_create(&terms, NULL, 0, hasher, &other), STATUS_OK);
    const struct message_part part = part_of(other, 0, 1);
    ask(0);
    cr_assert_eq(take(0, 4, &part, manifest_packed(other), &taken), STATUS_WRONG);
    cr_assert_null(taken);
    manifest_destroy(&sealed);
    manifest_destroy(&other);
}

/* Whether its parts say so or not. */
Test(recovery, takes_no_manifest_of_another_root)
{
    for (int is_said = 0; is_said < 2; is_said++) {
        const struct manifest_terms terms = {.draw = 4, .range_last = 9, .is_given = true};
        struct manifest_entry entry = {.agency = 4,
                                       .attempt = 1,
                                       .plan = {1, BATCH_BYTES_MIN, false}};
        struct manifest *sealed = seal(0, 4);
        struct manifest *other;
        struct manifest *taken = NULL;
        struct tree tree;
        tree_begin(&tree);
        tree_head(&tree, hasher, &entry.declaration.root);
        cr_assert_eq(manifest_create(&terms, &entry, 1, hasher, &other), STATUS_OK);
        struct message_part part = part_of(is_said ? other : sealed, 0, 1);
        part.manifest_bytes = manifest_packed(other).bytes;
        ask(0);
        cr_assert_eq(take(0, 4, &part, manifest_packed(other), &taken), STATUS_WRONG);
        cr_assert_null(taken);
        manifest_destroy(&sealed);
        manifest_destroy(&other);
        end();
        begin();
    }
}

/* Parts of two answers, or of two manifests: the second part is the first one again, or says that
 * the whole is larger or smaller. */
Test(recovery, takes_no_manifest_whose_parts_do_not_belong_together)
{
    for (int form = 0; form < 3; form++) {
        struct manifest *sealed = seal(1, 4);
        struct manifest *taken = NULL;
        struct slice packed = manifest_packed(sealed);
        struct slice head = {packed.data, 5};
        struct slice rest = {packed.data + 5, packed.bytes - 5};
        const struct message_part first = part_of(sealed, 0, 2);
        struct message_part second = part_of(sealed, 1, 2);
        ask(1);
        cr_assert_eq(take(1, 4, &first, head, &taken), STATUS_OK);
        if (form == 0)
            second.part = 0;
        else
            second.manifest_bytes += form == 1 ? 1 : UINT64_MAX;
        cr_assert_eq(take(1, 4, &second, rest, &taken), STATUS_WRONG, "form %d", form);
        cr_assert_null(taken);
        hear(2, INVENTORY_SEAL, 4, manifest_root(sealed));
        ask(2);
        manifest_destroy(&sealed);
        end();
        begin();
    }
}

/* Or else the next part would have no place. */
Test(recovery, takes_no_part_that_is_longer_than_the_whole)
{
    struct manifest *sealed = seal(1, 4);
    struct manifest *taken = NULL;
    uint8_t longer[4096] = {0};
    const struct message_part first = part_of(sealed, 0, 2);
    cr_assert_lt(first.manifest_bytes, sizeof longer);
    ask(1);
    cr_assert_eq(take(1, 4, &first, (struct slice){longer, first.manifest_bytes + 1}, &taken),
                 STATUS_WRONG);
    cr_assert_null(taken);
    manifest_destroy(&sealed);
}

Test(recovery, asks_no_store_that_has_the_seal_of_an_older_draw)
{
    struct manifest *older = seal(0, 3);
    struct manifest *sealed = seal(1, 4);
    ask(1);
    manifest_destroy(&older);
    manifest_destroy(&sealed);
}

Test(recovery, asks_no_store_whose_registration_is_over)
{
    struct manifest *sealed = seal(0, 4);
    uint32_t asked;
    ask(0);
    recovery_forget_store(recovery, 0);
    cr_assert_not(recovery_next_ask(recovery, &asked));
    expect(RECOVERY_SEALED, 4);
    hear(1, INVENTORY_SEAL, 4, manifest_root(sealed));
    ask(1);
    recovery_forget_store(recovery, 0);
    struct manifest *taken = NULL;
    const struct message_part part = part_of(sealed, 0, 1);
    cr_assert_eq(take(1, 4, &part, manifest_packed(sealed), &taken), STATUS_OK);
    cr_assert_not_null(taken, "the other store's end is not this one's");
    manifest_destroy(&taken);
    manifest_destroy(&sealed);
}
