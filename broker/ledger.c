/* Owns what the stores are known to hold of one draw. A digest belongs to a seq as long as a store
 * holds it, an inventory that is being taken names it, or a declaration fixes it; "durable" and
 * "named" are the unions over the stores' sets and half inventories, kept up to date by each
 * change. */
#include "broker/ledger.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

enum {
    PLACES_MIN = 64,
    WORD_BITS = 64, /* of a seqset's words */
};

/* One agency's batches in its attempt in force. Zeroed: never heard of. */
struct account {
    struct digest *digests; /* owned, places of them; valid where the seq is bound */
    uint32_t *bets;         /* owned, likewise */
    uint32_t places;
    uint32_t heard; /* one more than the highest seq ever heard of */
    bool is_declared;
    uint32_t declared_batches;
    uint64_t declared_bets;
    struct seqset durable; /* union of holds; its words always reach as far as those of halves */
    struct seqset named;   /* union of halves */
    struct seqset holds[STORES_MAX];
    struct seqset halves[STORES_MAX];
};

struct ledger {
    uint32_t accounts_count; /* one more than the highest agency ever heard of */
    uint32_t batches_heard;  /* of all accounts */
    bool inventory_is_open[STORES_MAX];
    struct account accounts[AGENCIES_MAX];
};

enum status ledger_create(struct ledger **ledger)
{
    struct ledger *created = calloc(1, sizeof *created);

    if (created == NULL)
        return STATUS_NO_MEMORY;
    *ledger = created;
    return STATUS_OK;
}

static void clear_account(struct account *account)
{
    free(account->digests);
    free(account->bets);
    seqset_clear(&account->durable);
    seqset_clear(&account->named);
    for (uint32_t store = 0; store < STORES_MAX; store++) {
        seqset_clear(&account->holds[store]);
        seqset_clear(&account->halves[store]);
    }
    *account = (struct account){0};
}

void ledger_destroy(struct ledger **ledger)
{
    if (*ledger == NULL)
        return;
    for (uint32_t agency = 0; agency < (*ledger)->accounts_count; agency++)
        clear_account(&(*ledger)->accounts[agency]);
    free(*ledger);
    *ledger = NULL;
}

static const struct account *at(const struct ledger *ledger, uint32_t agency)
{
    CHECK(agency < AGENCIES_MAX);
    return &ledger->accounts[agency];
}

static struct account *open_account(struct ledger *ledger, uint32_t agency)
{
    CHECK(agency < AGENCIES_MAX);
    if (agency >= ledger->accounts_count)
        ledger->accounts_count = agency + 1;
    return &ledger->accounts[agency];
}

void ledger_begin_attempt(struct ledger *ledger, uint32_t agency)
{
    struct account *account = open_account(ledger, agency);

    CHECK(!account->is_declared);
    ledger->batches_heard -= account->heard;
    clear_account(account);
}

/* -- room: the only place where the ledger grows -- */

/* Digests and bets for `batches` batches. errors: NO_MEMORY. */
static enum status reserve(struct account *account, uint32_t batches)
{
    uint32_t places = account->places > PLACES_MIN ? account->places : PLACES_MIN;
    struct digest *digests = NULL;
    uint32_t *bets = NULL;

    CHECK(batches <= BATCHES_MAX);
    if (batches <= account->places)
        return STATUS_OK;
    while (places < batches)
        places *= 2;
    digests = realloc(account->digests, places * sizeof *digests);
    if (digests == NULL)
        return STATUS_NO_MEMORY;
    account->digests = digests;
    bets = realloc(account->bets, places * sizeof *bets);
    if (bets == NULL)
        return STATUS_NO_MEMORY;
    account->bets = bets;
    account->places = places;
    return STATUS_OK;
}

/* Lets the set's words reach seq, so that adding it later cannot fail. */
static enum status make_room(struct seqset *set, uint32_t seq)
{
    enum status status = STATUS_OK;

    if (seq / WORD_BITS < set->words_count)
        return STATUS_OK;
    status = seqset_add(set, seq);
    if (status == STATUS_OK)
        seqset_remove(set, seq);
    return status;
}

/* False when the agency's having `batches` batches would pass the limit of the whole draw. */
static bool is_within_limit(const struct ledger *ledger, const struct account *account,
                            uint32_t batches)
{
    const uint32_t others = ledger->batches_heard - account->heard;

    return batches <= BATCHES_MAX - others;
}

static void raise_heard(struct ledger *ledger, struct account *account, uint32_t batches)
{
    if (batches <= account->heard)
        return;
    memset(account->digests + account->heard, 0,
           (batches - account->heard) * sizeof account->digests[0]);
    memset(account->bets + account->heard, 0, (batches - account->heard) * sizeof account->bets[0]);
    ledger->batches_heard += batches - account->heard;
    account->heard = batches;
}

/* -- batches come in -- */

/* A digest belongs to this seq. */
static bool is_bound(const struct account *account, uint32_t seq)
{
    if (account->is_declared)
        return seq < account->declared_batches;
    return seqset_has(&account->durable, seq) || seqset_has(&account->named, seq);
}

static enum status judge(const struct ledger *ledger, const struct account *account,
                         const struct item_stored *item)
{
    if (is_bound(account, item->seq)) {
        if (digest_is_equal(&account->digests[item->seq], &item->digest))
            return STATUS_OK;
        return account->is_declared ? STATUS_STALE : STATUS_CONFLICT;
    }
    if (account->is_declared)
        return STATUS_STALE;
    if (item->seq >= BATCHES_MAX || !is_within_limit(ledger, account, item->seq + 1))
        return STATUS_LIMIT;
    return STATUS_OK;
}

/* Adds a batch to one of a store's sets and to the union that it belongs to. */
static enum status add(struct ledger *ledger, struct account *account, struct seqset *set,
                       struct seqset *all, const struct item_stored *item)
{
    enum status status = judge(ledger, account, item);

    if (status == STATUS_OK)
        status = reserve(account, item->seq + 1);
    if (status == STATUS_OK)
        status = make_room(&account->durable, item->seq);
    if (status == STATUS_OK)
        status = make_room(all, item->seq);
    if (status == STATUS_OK)
        status = seqset_add(set, item->seq);
    if (status != STATUS_OK)
        return status;
    if (!is_bound(account, item->seq)) {
        raise_heard(ledger, account, item->seq + 1);
        account->digests[item->seq] = item->digest;
        account->bets[item->seq] = item->bets;
    }
    status = seqset_add(all, item->seq);
    CHECK(status == STATUS_OK);
    return STATUS_OK;
}

enum status ledger_add(struct ledger *ledger, uint32_t store, uint32_t agency,
                       const struct item_stored *item)
{
    struct account *account = open_account(ledger, agency);

    CHECK(store < STORES_MAX);
    return add(ledger, account, &account->holds[store], &account->durable, item);
}

enum status ledger_add_inventory(struct ledger *ledger, uint32_t store, uint32_t agency,
                                 const struct item_stored *item)
{
    struct account *account = open_account(ledger, agency);

    CHECK(store < STORES_MAX && ledger->inventory_is_open[store]);
    return add(ledger, account, &account->halves[store], &account->named, item);
}

/* -- sets are replaced or vanish -- */

/* Computes a union anew. Its words reach as far as those of the sets: whatever is added to one of
 * them had its room made in the union first (add). */
static void unite_anew(struct seqset *all, const struct seqset *sets)
{
    for (uint32_t i = 0; i < all->words_count; i++)
        all->words[i] = 0;
    for (uint32_t store = 0; store < STORES_MAX; store++) {
        CHECK(sets[store].words_count <= all->words_count);
        for (uint32_t i = 0; i < sets[store].words_count; i++)
            all->words[i] |= sets[store].words[i];
    }
    all->members = 0;
    for (uint32_t i = 0; i < all->words_count; i++)
        all->members += (uint32_t)__builtin_popcountll(all->words[i]);
}

void ledger_begin_inventory(struct ledger *ledger, uint32_t store)
{
    CHECK(store < STORES_MAX);
    ledger_forget_inventory(ledger, store);
    ledger->inventory_is_open[store] = true;
}

void ledger_end_inventory(struct ledger *ledger, uint32_t store)
{
    CHECK(store < STORES_MAX && ledger->inventory_is_open[store]);
    ledger->inventory_is_open[store] = false;
    for (uint32_t agency = 0; agency < ledger->accounts_count; agency++) {
        struct account *account = &ledger->accounts[agency];

        if (account->holds[store].members == 0 && account->halves[store].members == 0)
            continue;
        seqset_clear(&account->holds[store]);
        account->holds[store] = account->halves[store];
        account->halves[store] = (struct seqset){0};
        unite_anew(&account->durable, account->holds);
        unite_anew(&account->named, account->halves);
    }
}

void ledger_forget_inventory(struct ledger *ledger, uint32_t store)
{
    CHECK(store < STORES_MAX);
    if (!ledger->inventory_is_open[store])
        return;
    ledger->inventory_is_open[store] = false;
    for (uint32_t agency = 0; agency < ledger->accounts_count; agency++) {
        struct account *account = &ledger->accounts[agency];

        if (account->halves[store].members == 0)
            continue;
        seqset_clear(&account->halves[store]);
        unite_anew(&account->named, account->halves);
    }
}

void ledger_drop_store(struct ledger *ledger, uint32_t store)
{
    CHECK(store < STORES_MAX);
    for (uint32_t agency = 0; agency < ledger->accounts_count; agency++) {
        struct account *account = &ledger->accounts[agency];

        if (account->holds[store].members == 0)
            continue;
        seqset_clear(&account->holds[store]);
        unite_anew(&account->durable, account->holds);
    }
}

/* -- declarations -- */

/* Takes the members of a union that are not declared with their digest out of its sets. */
static void keep_declared(const struct account *account, struct seqset *all, struct seqset *sets,
                          uint32_t batches, const struct digest *digests)
{
    uint32_t seq = seqset_next(all, 0);

    for (; seq != UINT32_MAX; seq = seqset_next(all, seq + 1)) {
        if (seq < batches && digest_is_equal(&account->digests[seq], &digests[seq]))
            continue;
        for (uint32_t store = 0; store < STORES_MAX; store++)
            seqset_remove(&sets[store], seq);
        seqset_remove(all, seq);
    }
}

enum status ledger_declare(struct ledger *ledger, uint32_t agency, uint32_t batches,
                           const struct digest *digests, const uint32_t *bets)
{
    struct account *account = open_account(ledger, agency);
    enum status status = STATUS_OK;

    if (batches > BATCHES_MAX || !is_within_limit(ledger, account, batches))
        return STATUS_LIMIT;
    /* Where the arrays are the ledger's own they have the room already and do not move. */
    status = reserve(account, batches);
    if (status != STATUS_OK)
        return status;
    keep_declared(account, &account->durable, account->holds, batches, digests);
    keep_declared(account, &account->named, account->halves, batches, digests);
    if (batches > 0) {
        memmove(account->digests, digests, batches * sizeof *digests);
        memmove(account->bets, bets, batches * sizeof *bets);
    }
    ledger->batches_heard = ledger->batches_heard - account->heard + batches;
    account->heard = batches;
    account->is_declared = true;
    account->declared_batches = batches;
    account->declared_bets = 0;
    for (uint32_t seq = 0; seq < batches; seq++)
        account->declared_bets += account->bets[seq];
    return STATUS_OK;
}

bool ledger_is_declared(const struct ledger *ledger, uint32_t agency)
{
    return at(ledger, agency)->is_declared;
}

/* -- questions -- */

const struct seqset *ledger_durable(const struct ledger *ledger, uint32_t agency)
{
    return &at(ledger, agency)->durable;
}

const struct seqset *ledger_store_holds(const struct ledger *ledger, uint32_t store,
                                        uint32_t agency)
{
    CHECK(store < STORES_MAX);
    return &at(ledger, agency)->holds[store];
}

static bool is_known(const struct account *account, uint32_t seq)
{
    return seqset_has(&account->durable, seq) ||
           (account->is_declared && seq < account->declared_batches);
}

const struct digest *ledger_digest(const struct ledger *ledger, uint32_t agency, uint32_t seq)
{
    const struct account *account = at(ledger, agency);

    return is_known(account, seq) ? &account->digests[seq] : NULL;
}

const struct digest *ledger_digests(const struct ledger *ledger, uint32_t agency)
{
    return at(ledger, agency)->digests;
}

const uint32_t *ledger_bets_all(const struct ledger *ledger, uint32_t agency)
{
    return at(ledger, agency)->bets;
}

uint32_t ledger_batches_heard(const struct ledger *ledger, uint32_t agency)
{
    return at(ledger, agency)->heard;
}

/* In: all below declaration->batches is durable. */
static bool totals_agree(const struct account *account, struct hasher *hasher,
                         const struct declaration *declaration)
{
    struct digest root;
    struct tree tree;
    uint64_t bets = 0;

    for (uint32_t seq = 0; seq < declaration->batches; seq++)
        bets += account->bets[seq];
    if (bets != declaration->bets)
        return false;
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < declaration->batches; seq++)
        tree_add(&tree, hasher, &account->digests[seq]);
    tree_head(&tree, hasher, &root);
    return digest_is_equal(&root, &declaration->root);
}

enum ledger_verdict ledger_verify(const struct ledger *ledger, struct hasher *hasher,
                                  uint32_t agency, const struct declaration *declaration)
{
    const struct account *account = at(ledger, agency);
    const struct seqset *durable = &account->durable;

    if (account->is_declared && (declaration->batches != account->declared_batches ||
                                 declaration->bets != account->declared_bets))
        return LEDGER_DIFFERS;
    if (durable->members < declaration->batches)
        return LEDGER_INCOMPLETE;
    if (!seqset_is_full_below(durable, declaration->batches))
        return seqset_next_absent(durable, 0) < declaration->batches ? LEDGER_INCOMPLETE
                                                                     : LEDGER_DIFFERS;
    if (account->is_declared || totals_agree(account, hasher, declaration))
        return LEDGER_VERIFIED;
    return LEDGER_DIFFERS;
}

/* -- fingerprint -- */

static uint64_t hash_account(uint64_t hash, const struct account *account)
{
    const uint64_t numbers[] = {account->heard, account->is_declared, account->declared_batches};
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    for (uint32_t seq = 0; seq < account->heard; seq++) {
        hash = fingerprint_number(hash, is_bound(account, seq));
        if (!is_bound(account, seq))
            continue;
        hash = fingerprint_number(hash, account->bets[seq]);
        hash = fingerprint_bytes(hash, account->digests[seq].bytes, DIGEST_BYTES);
    }
    for (uint32_t store = 0; store < STORES_MAX; store++) {
        hash = fingerprint_set(hash, &account->holds[store]);
        hash = fingerprint_set(hash, &account->halves[store]);
    }
    return hash;
}

uint64_t ledger_fingerprint(const struct ledger *ledger, uint64_t hash)
{
    for (uint32_t store = 0; store < STORES_MAX; store++)
        hash = fingerprint_number(hash, ledger->inventory_is_open[store]);
    for (uint32_t agency = 0; agency < ledger->accounts_count; agency++) {
        const struct account *account = &ledger->accounts[agency];

        if (account->heard == 0 && !account->is_declared)
            continue;
        hash = fingerprint_number(hash, agency);
        hash = hash_account(hash, account);
    }
    return hash;
}
