#include "broker/ledger.h"

#include <criterion/criterion.h>

enum { A = 0, B = 1, C = 63 }; /* stores */

static struct ledger *ledger;
static struct hasher *hasher;

static void begin(void)
{
    cr_assert_eq(ledger_create(&ledger), STATUS_OK);
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
}

static void end(void)
{
    ledger_destroy(&ledger);
    hasher_destroy(&hasher);
}

TestSuite(ledger, .init = begin, .fini = end, .timeout = 10);

/* Batch seq in one of its possible forms; form 1 has 10 bets, form 2 has 20, … */
static struct item_stored item(uint32_t seq, uint8_t form)
{
    struct item_stored made = {.seq = seq, .bets = 10u * form};

    memcpy(made.digest.bytes, &seq, sizeof seq);
    made.digest.bytes[31] = form;
    return made;
}

static enum status add(uint32_t store, uint32_t agency, uint32_t seq, uint8_t form)
{
    const struct item_stored stored = item(seq, form);

    return ledger_add(ledger, store, agency, &stored);
}

static enum status name(uint32_t store, uint32_t agency, uint32_t seq, uint8_t form)
{
    const struct item_stored stored = item(seq, form);

    return ledger_add_inventory(ledger, store, agency, &stored);
}

static void store_below(uint32_t store, uint32_t agency, uint32_t batches)
{
    for (uint32_t seq = 0; seq < batches; seq++)
        cr_assert_eq(add(store, agency, seq, 1), STATUS_OK);
}

static enum status declare(uint32_t agency, uint32_t batches, uint8_t form)
{
    struct digest digests[64];
    uint32_t bets[64];

    for (uint32_t seq = 0; seq < batches; seq++) {
        digests[seq] = item(seq, form).digest;
        bets[seq] = item(seq, form).bets;
    }
    return ledger_declare(ledger, agency, batches, digests, bets);
}

/* What an agency with that many batches of form 1 declares. */
static struct declaration declaration_of(uint32_t batches)
{
    struct declaration declaration = {.batches = batches, .bets = 10u * batches};
    struct tree tree;

    tree_begin(&tree);
    for (uint32_t seq = 0; seq < batches; seq++) {
        const struct item_stored stored = item(seq, 1);

        tree_add(&tree, hasher, &stored.digest);
    }
    tree_head(&tree, hasher, &declaration.root);
    return declaration;
}

static enum ledger_verdict verify(uint32_t agency, const struct declaration *declaration)
{
    return ledger_verify(ledger, hasher, agency, declaration);
}

static bool is_durable(uint32_t agency, uint32_t seq)
{
    return seqset_has(ledger_durable(ledger, agency), seq);
}

static bool holds(uint32_t store, uint32_t agency, uint32_t seq)
{
    return seqset_has(ledger_store_holds(ledger, store, agency), seq);
}

static bool has_form(uint32_t agency, uint32_t seq, uint8_t form)
{
    const struct digest *digest = ledger_digest(ledger, agency, seq);
    const struct item_stored expected = item(seq, form);

    return digest != NULL && digest_is_equal(digest, &expected.digest) &&
           ledger_bets_all(ledger, agency)[seq] == expected.bets;
}

Test(ledger, destroy_sets_null_and_is_safe_twice)
{
    store_below(A, 3, 5);
    ledger_destroy(&ledger);
    cr_assert_null(ledger);
    ledger_destroy(&ledger);
}

Test(ledger, knows_nothing_of_an_agency_never_heard_of)
{
    cr_assert_eq(ledger_durable(ledger, 1023)->members, 0);
    cr_assert_eq(ledger_store_holds(ledger, C, 1023)->members, 0);
    cr_assert_null(ledger_digest(ledger, 1023, 0));
    cr_assert_eq(ledger_batches_heard(ledger, 1023), 0);
    cr_assert_not(ledger_is_declared(ledger, 1023));
}

Test(ledger, takes_a_batch_that_a_store_holds)
{
    cr_assert_eq(add(C, 1023, 5, 1), STATUS_OK);
    cr_assert(is_durable(1023, 5));
    cr_assert(holds(C, 1023, 5));
    cr_assert_not(holds(A, 1023, 5));
    cr_assert(has_form(1023, 5, 1));
    cr_assert_null(ledger_digest(ledger, 1023, 4));
    cr_assert_eq(ledger_bets_all(ledger, 1023)[4], 0);
    cr_assert_eq(ledger_batches_heard(ledger, 1023), 6);
    cr_assert_not(is_durable(1022, 5));
}

Test(ledger, counts_a_batch_once_however_often_and_wherever_it_is_stored)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(B, 1, 0, 1), STATUS_OK);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 1);
    cr_assert(holds(A, 1, 0) && holds(B, 1, 0));
}

Test(ledger, keeps_the_first_of_two_digests_in_one_store_or_between_two)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 0, 2), STATUS_CONFLICT);
    cr_assert_eq(add(B, 1, 0, 2), STATUS_CONFLICT);
    cr_assert(has_form(1, 0, 1));
    cr_assert_not(holds(B, 1, 0));
    cr_assert_eq(add(A, 2, 0, 2), STATUS_OK);
}

Test(ledger, dropping_a_store_makes_missing_what_only_it_held)
{
    store_below(A, 1, 2);
    cr_assert_eq(add(B, 1, 1, 1), STATUS_OK);
    ledger_drop_store(ledger, A);
    cr_assert_not(is_durable(1, 0));
    cr_assert(is_durable(1, 1));
    cr_assert_null(ledger_digest(ledger, 1, 0));
    cr_assert_eq(ledger_batches_heard(ledger, 1), 2);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 1);
}

Test(ledger, seq_durable_nowhere_may_take_another_digest)
{
    cr_assert_eq(add(A, 1, 3, 1), STATUS_OK);
    ledger_drop_store(ledger, A);
    cr_assert_eq(add(B, 1, 3, 2), STATUS_OK);
    cr_assert(has_form(1, 3, 2));
    cr_assert_eq(add(A, 1, 3, 1), STATUS_CONFLICT);
}

Test(ledger, inventory_is_durable_only_at_its_end)
{
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 4, 1), STATUS_OK);
    cr_assert_not(is_durable(1, 4));
    cr_assert_not(holds(A, 1, 4));
    cr_assert_null(ledger_digest(ledger, 1, 4));
    cr_assert_eq(ledger_batches_heard(ledger, 1), 5);
    ledger_end_inventory(ledger, A);
    cr_assert(is_durable(1, 4));
    cr_assert(holds(A, 1, 4));
    cr_assert(has_form(1, 4, 1));
}

Test(ledger, inventory_replaces_the_stores_set_and_no_others)
{
    store_below(A, 1, 3);
    store_below(A, 2, 1);
    cr_assert_eq(add(B, 1, 0, 1), STATUS_OK);
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 2, 1), STATUS_OK);
    cr_assert_eq(name(A, 1, 700, 1), STATUS_OK);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 3);
    ledger_end_inventory(ledger, A);
    cr_assert(is_durable(1, 0) && holds(B, 1, 0));
    cr_assert_not(holds(A, 1, 0));
    cr_assert_not(is_durable(1, 1));
    cr_assert(is_durable(1, 2) && is_durable(1, 700));
    cr_assert_eq(ledger_durable(ledger, 1)->members, 3);
    cr_assert_not(is_durable(2, 0));
}

Test(ledger, empty_inventory_empties_the_stores_set)
{
    store_below(A, 1, 3);
    ledger_begin_inventory(ledger, A);
    ledger_end_inventory(ledger, A);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 0);
    cr_assert_eq(ledger_store_holds(ledger, A, 1)->members, 0);
}

Test(ledger, replaced_batch_that_is_durable_elsewhere_keeps_its_digest)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(B, 1, 0, 1), STATUS_OK);
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 0, 2), STATUS_CONFLICT);
    ledger_end_inventory(ledger, A);
    cr_assert(has_form(1, 0, 1));
    cr_assert_not(holds(A, 1, 0));
    cr_assert_eq(add(A, 1, 0, 2), STATUS_CONFLICT);
}

Test(ledger, set_that_an_inventory_replaces_keeps_its_digests_until_then)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 0, 2), STATUS_CONFLICT);
    cr_assert_eq(add(B, 1, 0, 2), STATUS_CONFLICT);
    cr_assert(is_durable(1, 0));
    ledger_end_inventory(ledger, A);
    cr_assert_not(is_durable(1, 0));
    cr_assert_eq(add(B, 1, 0, 2), STATUS_OK);
}

Test(ledger, digest_named_by_a_half_inventory_stands)
{
    ledger_begin_inventory(ledger, A);
    ledger_begin_inventory(ledger, B);
    cr_assert_eq(name(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(name(B, 1, 0, 2), STATUS_CONFLICT);
    cr_assert_eq(add(C, 1, 0, 2), STATUS_CONFLICT);
    cr_assert_eq(name(B, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(C, 1, 0, 1), STATUS_OK);
    ledger_forget_inventory(ledger, A);
    ledger_drop_store(ledger, C);
    cr_assert_eq(add(C, 1, 0, 2), STATUS_CONFLICT);
    ledger_end_inventory(ledger, B);
    cr_assert(has_form(1, 0, 1));
}

Test(ledger, digest_named_only_by_a_forgotten_inventory_does_not_stand)
{
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 900, 1), STATUS_OK);
    ledger_forget_inventory(ledger, A);
    ledger_forget_inventory(ledger, A);
    cr_assert_eq(ledger_batches_heard(ledger, 1), 901);
    cr_assert_eq(add(B, 1, 900, 2), STATUS_OK);
    cr_assert(has_form(1, 900, 2));
    cr_assert_not(holds(A, 1, 900));
}

Test(ledger, forgotten_inventory_leaves_the_stores_set)
{
    store_below(A, 1, 2);
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 5, 1), STATUS_OK);
    ledger_forget_inventory(ledger, A);
    cr_assert(holds(A, 1, 0) && holds(A, 1, 1));
    cr_assert_not(is_durable(1, 5));
}

Test(ledger, inventory_begun_again_begins_anew)
{
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 0, 1), STATUS_OK);
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 1, 1), STATUS_OK);
    ledger_end_inventory(ledger, A);
    cr_assert_not(is_durable(1, 0));
    cr_assert(is_durable(1, 1));
}

Test(ledger, new_attempt_forgets_all_in_stores_and_half_inventories)
{
    store_below(A, 1, 3);
    store_below(A, 2, 1);
    ledger_begin_inventory(ledger, B);
    cr_assert_eq(name(B, 1, 7, 1), STATUS_OK);
    cr_assert_eq(name(B, 2, 7, 1), STATUS_OK);
    ledger_begin_attempt(ledger, 1);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 0);
    cr_assert_eq(ledger_batches_heard(ledger, 1), 0);
    cr_assert_eq(name(B, 1, 0, 2), STATUS_OK);
    cr_assert_eq(add(A, 1, 7, 2), STATUS_OK);
    ledger_end_inventory(ledger, B);
    cr_assert(has_form(1, 0, 2) && has_form(1, 7, 2));
    cr_assert_not(holds(B, 1, 7));
    cr_assert_not(holds(A, 1, 0));
    cr_assert(is_durable(2, 0) && is_durable(2, 7));
}

Test(ledger, arrays_are_zeros_where_a_seq_was_never_heard_of)
{
    static const struct digest zeros;

    store_below(A, 1, 60);
    ledger_begin_attempt(ledger, 1);
    cr_assert_eq(add(A, 1, 59, 1), STATUS_OK);
    for (uint32_t seq = 0; seq < 59; seq++) {
        cr_assert(digest_is_equal(&ledger_digests(ledger, 1)[seq], &zeros));
        cr_assert_eq(ledger_bets_all(ledger, 1)[seq], 0);
    }
}

Test(ledger, rejects_more_batches_than_a_draw_can_have)
{
    cr_assert_eq(add(A, 0, BATCHES_MAX, 1), STATUS_LIMIT);
    cr_assert_eq(add(A, 0, UINT32_MAX, 1), STATUS_LIMIT);
    cr_assert_eq(add(A, 0, BATCHES_MAX - 2, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 1, 1), STATUS_LIMIT);
    cr_assert_eq(ledger_batches_heard(ledger, 1), 0);
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 0, BATCHES_MAX - 1, 1), STATUS_LIMIT);
    cr_assert_eq(add(A, 0, 5, 1), STATUS_OK);
    ledger_begin_inventory(ledger, B);
    cr_assert_eq(name(B, 2, 0, 1), STATUS_LIMIT);
    cr_assert_eq(name(B, 1, 0, 1), STATUS_OK);
    cr_assert_eq(declare(2, 1, 1), STATUS_LIMIT);
    cr_assert_not(ledger_is_declared(ledger, 2));
    ledger_begin_attempt(ledger, 0);
    cr_assert_eq(add(A, 1, BATCHES_MAX - 1, 1), STATUS_OK);
    cr_assert_eq(declare(1, 1, 1), STATUS_OK);
    cr_assert_eq(add(A, 0, BATCHES_MAX - 2, 1), STATUS_OK);
    cr_assert_eq(ledger_declare(ledger, 3, BATCHES_MAX + 1, NULL, NULL), STATUS_LIMIT);
}

Test(ledger, declaration_forgets_what_stores_hold_under_another_digest_or_beyond)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 1, 2), STATUS_OK);
    cr_assert_eq(add(B, 1, 1, 2), STATUS_OK);
    cr_assert_eq(add(B, 1, 5, 1), STATUS_OK);
    cr_assert_eq(declare(1, 3, 1), STATUS_OK);
    cr_assert(ledger_is_declared(ledger, 1));
    cr_assert(is_durable(1, 0) && holds(A, 1, 0));
    cr_assert_not(is_durable(1, 1) || holds(A, 1, 1) || holds(B, 1, 1));
    cr_assert_not(is_durable(1, 5) || holds(B, 1, 5));
    cr_assert_eq(ledger_batches_heard(ledger, 1), 3);
    cr_assert(has_form(1, 0, 1) && has_form(1, 1, 1) && has_form(1, 2, 1));
    cr_assert_null(ledger_digest(ledger, 1, 3));
    cr_assert_null(ledger_digest(ledger, 1, 5));
}

Test(ledger, declaration_reaches_half_inventories)
{
    ledger_begin_inventory(ledger, A);
    cr_assert_eq(name(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(name(A, 1, 1, 2), STATUS_OK);
    cr_assert_eq(declare(1, 3, 1), STATUS_OK);
    cr_assert_eq(name(A, 1, 1, 2), STATUS_STALE);
    cr_assert_eq(name(A, 1, 2, 1), STATUS_OK);
    ledger_end_inventory(ledger, A);
    cr_assert(holds(A, 1, 0) && holds(A, 1, 2));
    cr_assert_not(is_durable(1, 1));
}

/* [M-64] */
Test(ledger, declared_agency_takes_only_the_declared_digests)
{
    cr_assert_eq(declare(1, 2, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 0, 2), STATUS_STALE);
    cr_assert_eq(add(A, 1, 2, 1), STATUS_STALE);
    cr_assert_eq(add(A, 1, UINT32_MAX, 1), STATUS_STALE);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 0);
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    ledger_drop_store(ledger, A);
    cr_assert_eq(add(B, 1, 0, 2), STATUS_STALE);
    cr_assert(has_form(1, 0, 1));
}

Test(ledger, declaration_may_come_from_its_own_arrays)
{
    store_below(A, 1, 40);
    cr_assert_eq(ledger_declare(ledger, 1, 40, ledger_digests(ledger, 1),
                                ledger_bets_all(ledger, 1)),
                 STATUS_OK);
    cr_assert_eq(ledger_durable(ledger, 1)->members, 40);
    for (uint32_t seq = 0; seq < 40; seq++)
        cr_assert(has_form(1, seq, 1));
}

Test(ledger, declaration_of_nothing_leaves_nothing_durable)
{
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(ledger_declare(ledger, 1, 0, NULL, NULL), STATUS_OK);
    cr_assert(ledger_is_declared(ledger, 1));
    cr_assert_not(is_durable(1, 0));
    cr_assert_eq(add(A, 1, 0, 1), STATUS_STALE);
}

Test(ledger, verifies_only_when_every_batch_is_durable)
{
    const struct declaration three = declaration_of(3);

    cr_assert_eq(verify(1, &three), LEDGER_INCOMPLETE);
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(B, 1, 2, 1), STATUS_OK);
    cr_assert_eq(verify(1, &three), LEDGER_INCOMPLETE);
    cr_assert_eq(add(C, 1, 1, 1), STATUS_OK);
    cr_assert_eq(verify(1, &three), LEDGER_VERIFIED);
    ledger_drop_store(ledger, B);
    cr_assert_eq(verify(1, &three), LEDGER_INCOMPLETE);
}

Test(ledger, reports_a_gap_although_as_many_are_durable_as_declared)
{
    const struct declaration three = declaration_of(3);

    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 2, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 3, 1), STATUS_OK);
    cr_assert_eq(verify(1, &three), LEDGER_INCOMPLETE);
    cr_assert_eq(add(A, 1, 1, 1), STATUS_OK);
    cr_assert_eq(verify(1, &three), LEDGER_DIFFERS);
}

Test(ledger, differs_in_bets_or_root)
{
    struct declaration three = declaration_of(3);

    store_below(A, 1, 3);
    three.bets++;
    cr_assert_eq(verify(1, &three), LEDGER_DIFFERS);
    three.bets--;
    three.root.bytes[31] ^= 1;
    cr_assert_eq(verify(1, &three), LEDGER_DIFFERS);
    three.root.bytes[31] ^= 1;
    three.rejected = 99;
    cr_assert_eq(verify(1, &three), LEDGER_VERIFIED);
    three.batches = UINT32_MAX;
    cr_assert_eq(verify(1, &three), LEDGER_INCOMPLETE);
}

Test(ledger, verifies_an_agency_without_batches)
{
    struct declaration none = declaration_of(0);

    cr_assert_eq(verify(1, &none), LEDGER_VERIFIED);
    none.root.bytes[0] ^= 1;
    cr_assert_eq(verify(1, &none), LEDGER_DIFFERS);
}

Test(ledger, verifies_a_declared_agency_by_its_sets)
{
    struct declaration two = declaration_of(2);

    cr_assert_eq(declare(1, 2, 1), STATUS_OK);
    cr_assert_eq(verify(1, &two), LEDGER_INCOMPLETE);
    store_below(A, 1, 2);
    cr_assert_eq(verify(1, &two), LEDGER_VERIFIED);
    two.bets++;
    cr_assert_eq(verify(1, &two), LEDGER_DIFFERS);
    two.bets--;
    two.batches = 3;
    cr_assert_eq(verify(1, &two), LEDGER_DIFFERS);
    two.batches = 1;
    cr_assert_eq(verify(1, &two), LEDGER_DIFFERS);
}
