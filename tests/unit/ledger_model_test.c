/* The ledger against a model of plain arrays, step by step, and its fingerprints. */
#include "broker/ledger.h"

#include <criterion/criterion.h>

enum {
    STORES = 4,
    AGENCIES = 3,
    SEQS = 140, /* beyond two words of a set and the first places of an account */
    FORMS = 3,
    STEPS = 20000,
};

enum { A = 0, B = 1, C = 63 }; /* stores of the fingerprints' tests */

/* What the ledger should know. A form is 1 to FORMS; 0: none. */
struct model {
    uint8_t holds[STORES][AGENCIES][SEQS];
    uint8_t halves[STORES][AGENCIES][SEQS];
    bool is_open[STORES];
    bool is_declared[AGENCIES];
    uint32_t batches[AGENCIES]; /* declared */
    uint8_t forms[AGENCIES][SEQS];
    uint32_t heard[AGENCIES];
};

static struct ledger *ledger;
static struct hasher *hasher;
static uint64_t random_state;

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

TestSuite(ledger_model, .init = begin, .fini = end, .timeout = 60);

/* xorshift64 */
static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state % bound);
}

static struct item_stored item(uint32_t agency, uint32_t seq, uint8_t form)
{
    struct item_stored made = {.seq = seq, .bets = 1 + seq * form};

    memcpy(made.digest.bytes, &seq, sizeof seq);
    made.digest.bytes[30] = (uint8_t)agency;
    made.digest.bytes[31] = form;
    return made;
}

/* The form in which a seq is bound by any set; 0: none. */
static uint8_t bound_form(const struct model *model, uint32_t agency, uint32_t seq)
{
    uint8_t form = 0;

    for (uint32_t store = 0; store < STORES; store++) {
        if (model->holds[store][agency][seq] != 0)
            form = model->holds[store][agency][seq];
        if (model->halves[store][agency][seq] != 0)
            form = model->halves[store][agency][seq];
    }
    return form;
}

static uint8_t durable_form(const struct model *model, uint32_t agency, uint32_t seq)
{
    uint8_t form = 0;

    for (uint32_t store = 0; store < STORES; store++)
        if (model->holds[store][agency][seq] != 0)
            form = model->holds[store][agency][seq];
    return form;
}

static enum status expect_add(const struct model *model, uint32_t agency, uint32_t seq,
                              uint8_t form)
{
    const uint8_t bound = bound_form(model, agency, seq);

    if (model->is_declared[agency])
        return seq < model->batches[agency] && model->forms[agency][seq] == form ? STATUS_OK
                                                                                 : STATUS_STALE;
    return bound == 0 || bound == form ? STATUS_OK : STATUS_CONFLICT;
}

/* A form that is mostly the first, so that most adds succeed. */
static uint8_t random_form(void)
{
    return random_below(8) > 0 ? 1 : (uint8_t)(1 + random_below(FORMS));
}

/* Mostly low seqs, so that an agency is complete now and then. */
static uint32_t random_seq(void)
{
    return random_below(10) > 0 ? random_below(6) : random_below(SEQS);
}

static void step_add(struct model *model, uint32_t store, uint32_t agency, bool is_inventory)
{
    const uint32_t seq = random_seq();
    const uint8_t form = random_form();
    const struct item_stored stored = item(agency, seq, form);
    const enum status expected = expect_add(model, agency, seq, form);
    uint8_t *place =
        is_inventory ? &model->halves[store][agency][seq] : &model->holds[store][agency][seq];

    if (is_inventory)
        cr_assert_eq(ledger_add_inventory(ledger, store, agency, &stored), expected);
    else
        cr_assert_eq(ledger_add(ledger, store, agency, &stored), expected);
    if (expected != STATUS_OK)
        return;
    *place = form;
    if (seq >= model->heard[agency])
        model->heard[agency] = seq + 1;
}

static void step_inventory(struct model *model, uint32_t store)
{
    if (!model->is_open[store]) {
        ledger_begin_inventory(ledger, store);
        model->is_open[store] = true;
        return;
    }
    if (random_below(2) == 0) {
        ledger_end_inventory(ledger, store);
        memcpy(model->holds[store], model->halves[store], sizeof model->holds[store]);
    } else {
        ledger_forget_inventory(ledger, store);
    }
    model->is_open[store] = false;
    memset(model->halves[store], 0, sizeof model->halves[store]);
}

static void step_attempt(struct model *model, uint32_t agency)
{
    if (model->is_declared[agency])
        return;
    ledger_begin_attempt(ledger, agency);
    model->heard[agency] = 0;
    for (uint32_t store = 0; store < STORES; store++) {
        memset(model->holds[store][agency], 0, SEQS);
        memset(model->halves[store][agency], 0, SEQS);
    }
}

static void step_declare(struct model *model, uint32_t agency)
{
    const uint32_t batches = random_below(8);
    struct digest digests[8];
    uint32_t bets[8];

    for (uint32_t seq = 0; seq < batches; seq++) {
        const uint8_t form = random_form();
        const struct item_stored stored = item(agency, seq, form);

        model->forms[agency][seq] = form;
        digests[seq] = stored.digest;
        bets[seq] = stored.bets;
    }
    cr_assert_eq(ledger_declare(ledger, agency, batches, digests, bets), STATUS_OK);
    model->is_declared[agency] = true;
    model->batches[agency] = batches;
    model->heard[agency] = batches;
    for (uint32_t store = 0; store < STORES; store++)
        for (uint32_t seq = 0; seq < SEQS; seq++) {
            const uint8_t form = seq < batches ? model->forms[agency][seq] : 0;

            if (model->holds[store][agency][seq] != form)
                model->holds[store][agency][seq] = 0;
            if (model->halves[store][agency][seq] != form)
                model->halves[store][agency][seq] = 0;
        }
}

static void step(struct model *model)
{
    const uint32_t store = random_below(STORES);
    const uint32_t agency = random_below(AGENCIES);
    const uint32_t dice = random_below(1000);

    if (dice < 30) {
        step_inventory(model, store);
    } else if (dice < 40) {
        ledger_drop_store(ledger, store);
        memset(model->holds[store], 0, sizeof model->holds[store]);
    } else if (dice < 45) {
        step_attempt(model, agency);
    } else if (dice < 46) {
        step_declare(model, agency);
    } else {
        step_add(model, store, agency, model->is_open[store] && random_below(2) == 0);
    }
}

/* Declares what is durable, with one word changed or not, and compares the verdict. */
static void assert_verdict(const struct model *model, uint32_t agency)
{
    struct declaration declaration = {.batches = random_below(8)};
    enum ledger_verdict expected = LEDGER_VERIFIED;
    struct tree tree;

    tree_begin(&tree);
    for (uint32_t seq = 0; seq < SEQS; seq++) {
        const uint8_t form = durable_form(model, agency, seq);
        const struct item_stored stored = item(agency, seq, form);

        if (seq < declaration.batches && form == 0)
            expected = LEDGER_INCOMPLETE;
        if (seq >= declaration.batches && form != 0 && expected == LEDGER_VERIFIED)
            expected = LEDGER_DIFFERS;
        if (seq < declaration.batches) {
            declaration.bets += stored.bets;
            tree_add(&tree, hasher, &stored.digest);
        }
    }
    tree_head(&tree, hasher, &declaration.root);
    if (model->is_declared[agency] && model->batches[agency] != declaration.batches)
        expected = LEDGER_DIFFERS;
    /* bets of a declared agency differ at once while some of it is not durable */
    if (model->is_declared[agency] && expected == LEDGER_INCOMPLETE)
        return;
    if (expected == LEDGER_VERIFIED && random_below(2) == 0) {
        declaration.bets++;
        expected = LEDGER_DIFFERS;
    }
    cr_assert_eq(ledger_verify(ledger, hasher, agency, &declaration), expected);
}

static void assert_seq(const struct model *model, uint32_t agency, uint32_t seq)
{
    const struct digest *digest = ledger_digest(ledger, agency, seq);
    uint8_t form = durable_form(model, agency, seq);

    cr_assert_eq(seqset_has(ledger_durable(ledger, agency), seq), form != 0);
    for (uint32_t store = 0; store < STORES; store++)
        cr_assert_eq(seqset_has(ledger_store_holds(ledger, store, agency), seq),
                     model->holds[store][agency][seq] != 0);
    if (model->is_declared[agency] && seq < model->batches[agency])
        form = model->forms[agency][seq];
    cr_assert_eq(digest != NULL, form != 0);
    if (form != 0) {
        const struct item_stored expected = item(agency, seq, form);

        cr_assert(digest_is_equal(digest, &expected.digest));
        cr_assert_eq(ledger_bets_all(ledger, agency)[seq], expected.bets);
    }
}

static void assert_same(const struct model *model)
{
    for (uint32_t agency = 0; agency < AGENCIES; agency++) {
        uint32_t durable = 0;

        cr_assert_eq(ledger_batches_heard(ledger, agency), model->heard[agency]);
        cr_assert_eq(ledger_is_declared(ledger, agency), model->is_declared[agency]);
        for (uint32_t seq = 0; seq < SEQS; seq++) {
            assert_seq(model, agency, seq);
            durable += durable_form(model, agency, seq) != 0;
        }
        cr_assert_eq(ledger_durable(ledger, agency)->members, durable);
        assert_verdict(model, agency);
    }
}

static void run(uint64_t seed)
{
    struct model model = {0};

    random_state = seed;
    for (uint32_t i = 0; i < STEPS; i++) {
        /* a fresh draw now and then: declared agencies never open again */
        if (i % 1000 == 0) {
            ledger_destroy(&ledger);
            cr_assert_eq(ledger_create(&ledger), STATUS_OK);
            memset(&model, 0, sizeof model);
        }
        step(&model);
        if (i % 4 == 0)
            assert_same(&model);
    }
}

Test(ledger_model, agrees_with_plain_arrays_in_thousands_of_random_steps)
{
    run(88172645463325252u);
}

static uint64_t take_fingerprint(void)
{
    return ledger_fingerprint(ledger, 0);
}

static enum status add(uint32_t store, uint32_t agency, uint32_t seq, uint8_t form)
{
    const struct item_stored stored = item(agency, seq, form);

    return ledger_add(ledger, store, agency, &stored);
}

Test(ledger_model, fingerprint_does_not_tell_the_way_to_a_state)
{
    uint64_t first;
    uint64_t second;

    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 1, 1), STATUS_OK);
    first = take_fingerprint();
    ledger_begin_attempt(ledger, 1);
    cr_assert_eq(add(B, 9, 3, 1), STATUS_OK);
    ledger_begin_attempt(ledger, 9);
    cr_assert_eq(add(A, 1, 1, 2), STATUS_OK);
    ledger_drop_store(ledger, A);
    cr_assert_eq(add(A, 1, 1, 1), STATUS_OK);
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    second = take_fingerprint();
    cr_assert_eq(first, second);
}

Test(ledger_model, fingerprint_changes_with_each_event)
{
    const struct item_stored stored = item(1, 0, 1);
    uint64_t seen[8];

    seen[0] = take_fingerprint();
    cr_assert_eq(add(A, 1, 0, 1), STATUS_OK);
    seen[1] = take_fingerprint();
    cr_assert_eq(add(B, 1, 0, 1), STATUS_OK);
    seen[2] = take_fingerprint();
    ledger_begin_inventory(ledger, C);
    seen[3] = take_fingerprint();
    cr_assert_eq(ledger_add_inventory(ledger, C, 1, &stored), STATUS_OK);
    seen[4] = take_fingerprint();
    ledger_end_inventory(ledger, C);
    seen[5] = take_fingerprint();
    cr_assert_eq(ledger_declare(ledger, 1, 1, &stored.digest, &stored.bets), STATUS_OK);
    seen[6] = take_fingerprint();
    ledger_drop_store(ledger, A);
    seen[7] = take_fingerprint();
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j], "%zu and %zu", i, j);
}
