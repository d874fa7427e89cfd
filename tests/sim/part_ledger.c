/* The ledger for two agencies with two batches each in two stores: batches, one of them in two
 * forms, come by STORED and by inventories (one store's at a time), stores are given up, attempts
 * begin anew, agencies declare. */
#include <stdlib.h>
#include <string.h>

#include "broker/ledger.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/parts.h"

enum {
    AGENCIES = 2,
    STORES = 2,
    SEQS = 2,
    FORMS = 2,
    PLACES = STORES * AGENCIES * SEQS,
    OPERATION_ADD = 0,            /* + place: in form 1 */
    OPERATION_ADD_OTHER = PLACES, /* + place: agency 0's seq 0, in form 2 */
    OPERATION_NAME = 2 * PLACES,  /* + place: by an inventory, in form 1 */
    OPERATION_BEGIN = 3 * PLACES, /* + store */
    OPERATION_END = OPERATION_BEGIN + STORES,
    OPERATION_FORGET = OPERATION_END + STORES,
    OPERATION_DROP = OPERATION_FORGET + STORES,
    OPERATION_ATTEMPT = OPERATION_DROP + STORES,      /* + agency */
    OPERATION_DECLARE = OPERATION_ATTEMPT + AGENCIES, /* + agency: both batches, in form 1 */
    OPERATIONS = OPERATION_DECLARE + AGENCIES
};

struct modelled {
    struct ledger *ledger;
    struct hasher *hasher;
    uint8_t holds[STORES][AGENCIES][SEQS]; /* a form, 0: not */
    uint8_t names[STORES][AGENCIES][SEQS]; /* of an open inventory */
    bool is_open[STORES];
    bool is_declared[AGENCIES];
};

static void *create(void)
{
    struct modelled *modelled = calloc(1, sizeof *modelled);
    CHECK(modelled != NULL && ledger_create(&modelled->ledger) == STATUS_OK &&
          hasher_create(&modelled->hasher) == STATUS_OK);
    return modelled;
}

static void destroy(void *part)
{
    struct modelled *modelled = part;
    ledger_destroy(&modelled->ledger);
    hasher_destroy(&modelled->hasher);
    free(modelled);
}

static struct item_stored make_item(uint32_t seq, uint8_t form)
{
    struct item_stored item = {.seq = seq, .bets = 1};
    item.digest.bytes[0] = (uint8_t)seq;
    item.digest.bytes[1] = form;
    return item;
}

/* In which form anybody has or names it; 0: nobody. */
static uint8_t find_form(const struct modelled *modelled, uint32_t agency, uint32_t seq,
                         bool with_names)
{
    for (uint32_t store = 0; store < STORES; store++) {
        if (modelled->holds[store][agency][seq] != 0)
            return modelled->holds[store][agency][seq];
        if (with_names && modelled->names[store][agency][seq] != 0)
            return modelled->names[store][agency][seq];
    }
    return 0;
}

static enum status expect(const struct modelled *modelled, uint32_t agency, uint32_t seq,
                          uint8_t form)
{
    uint8_t bound = find_form(modelled, agency, seq, true);
    if (modelled->is_declared[agency])
        return form == 1 ? STATUS_OK : STATUS_STALE;
    return bound == 0 || bound == form ? STATUS_OK : STATUS_CONFLICT;
}

static void add(struct modelled *modelled, uint32_t place, uint8_t form, bool is_named)
{
    uint32_t store = place / (AGENCIES * SEQS);
    uint32_t agency = place / SEQS % AGENCIES;
    uint32_t seq = place % SEQS;
    struct item_stored item = make_item(seq, form);
    enum status expected = expect(modelled, agency, seq, form);
    enum status status = is_named ? ledger_add_inventory(modelled->ledger, store, agency, &item)
                                  : ledger_add(modelled->ledger, store, agency, &item);
    CHECK(status == expected);
    if (status != STATUS_OK)
        return;
    if (is_named)
        modelled->names[store][agency][seq] = form;
    else
        modelled->holds[store][agency][seq] = form;
}

static void end_inventory(struct modelled *modelled, uint32_t store, bool is_complete)
{
    if (is_complete) {
        ledger_end_inventory(modelled->ledger, store);
        memcpy(modelled->holds[store], modelled->names[store], sizeof modelled->holds[store]);
    } else {
        ledger_forget_inventory(modelled->ledger, store);
    }
    memset(modelled->names[store], 0, sizeof modelled->names[store]);
    modelled->is_open[store] = false;
}

static void declare(struct modelled *modelled, uint32_t agency)
{
    struct digest digests[SEQS];
    uint32_t bets[SEQS];
    for (uint32_t seq = 0; seq < SEQS; seq++) {
        digests[seq] = make_item(seq, 1).digest;
        bets[seq] = 1;
    }
    CHECK(ledger_declare(modelled->ledger, agency, SEQS, digests, bets) == STATUS_OK);
    modelled->is_declared[agency] = true;
    for (uint32_t store = 0; store < STORES; store++)
        for (uint32_t seq = 0; seq < SEQS; seq++) {
            modelled->holds[store][agency][seq] &= 1;
            modelled->names[store][agency][seq] &= 1;
        }
}

static void begin_attempt(struct modelled *modelled, uint32_t agency)
{
    ledger_begin_attempt(modelled->ledger, agency);
    for (uint32_t store = 0; store < STORES; store++) {
        memset(modelled->holds[store][agency], 0, SEQS);
        memset(modelled->names[store][agency], 0, SEQS);
    }
}

static bool apply_to_store(struct modelled *modelled, uint32_t operation)
{
    uint32_t store = (operation - OPERATION_BEGIN) % STORES;
    if (operation >= OPERATION_DROP) {
        ledger_drop_store(modelled->ledger, store);
        memset(modelled->holds[store], 0, sizeof modelled->holds[store]);
        return true;
    }
    if (operation < OPERATION_END) {
        if (modelled->is_open[1 - store])
            return false;
        ledger_begin_inventory(modelled->ledger, store);
        memset(modelled->names[store], 0, sizeof modelled->names[store]);
        modelled->is_open[store] = true;
        return true;
    }
    if (!modelled->is_open[store])
        return false;
    end_inventory(modelled, store, operation < OPERATION_FORGET);
    return true;
}

static bool apply(void *part, uint32_t operation)
{
    struct modelled *modelled = part;
    uint32_t agency = (operation - OPERATION_ATTEMPT) % AGENCIES;
    if (operation < OPERATION_BEGIN) {
        uint32_t place = operation % PLACES;
        bool is_other = operation >= OPERATION_ADD_OTHER && operation < OPERATION_NAME;
        bool is_named = operation >= OPERATION_NAME;
        if ((is_other && place % (AGENCIES * SEQS) != 0) ||
            (is_named && !modelled->is_open[place / (AGENCIES * SEQS)]))
            return false;
        add(modelled, place, is_other ? 2 : 1, is_named);
        return true;
    }
    if (operation < OPERATION_ATTEMPT)
        return apply_to_store(modelled, operation);
    if (modelled->is_declared[agency])
        return false;
    if (operation < OPERATION_DECLARE)
        begin_attempt(modelled, agency);
    else
        declare(modelled, agency);
    return true;
}

/* What the predicate says of both batches in form 1. */
static enum ledger_verdict verify(struct modelled *modelled, uint32_t agency)
{
    struct declaration declaration = {.batches = SEQS, .bets = SEQS};
    struct tree tree;
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < SEQS; seq++) {
        struct item_stored item = make_item(seq, 1);
        tree_add(&tree, modelled->hasher, &item.digest);
    }
    tree_head(&tree, modelled->hasher, &declaration.root);
    return ledger_verify(modelled->ledger, modelled->hasher, agency, &declaration);
}

static const char *check_agency(struct modelled *modelled, uint32_t agency)
{
    enum ledger_verdict expected = LEDGER_VERIFIED;
    for (uint32_t seq = 0; seq < SEQS; seq++) {
        uint8_t form = find_form(modelled, agency, seq, false);
        const struct digest *digest = ledger_digest(modelled->ledger, agency, seq);
        if (seqset_has(ledger_durable(modelled->ledger, agency), seq) != (form != 0))
            return "what is durable differs";
        for (uint32_t store = 0; store < STORES; store++)
            if (seqset_has(ledger_store_holds(modelled->ledger, store, agency), seq) !=
                (modelled->holds[store][agency][seq] != 0))
                return "what a store holds differs";
        if (modelled->is_declared[agency])
            form = 1;
        if ((digest != NULL) != (form != 0) || (digest != NULL && digest->bytes[1] != form))
            return "a digest differs";
        if (find_form(modelled, agency, seq, false) == 0)
            expected = LEDGER_INCOMPLETE;
        else if (form != 1 && expected == LEDGER_VERIFIED)
            expected = LEDGER_DIFFERS;
    }
    return verify(modelled, agency) == expected ? NULL : "the verdict differs";
}

static const char *check(void *part)
{
    const char *problem = NULL;
    for (uint32_t agency = 0; problem == NULL && agency < AGENCIES; agency++)
        problem = check_agency(part, agency);
    return problem;
}

static uint64_t print(const void *part)
{
    const struct modelled *modelled = part;
    return ledger_fingerprint(modelled->ledger, FINGERPRINT_BASIS);
}

const struct part part_ledger = {"ledger", OPERATIONS, create, destroy, apply, check, print};
