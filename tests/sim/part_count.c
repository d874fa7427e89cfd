/* The count of a draw of two agencies with two batches of one winner each, in two stores: stores
 * hold what they hold, are asked, answer rightly, late or wrongly, or die. */
#include <stdlib.h>
#include <string.h>

#include "broker/results.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/parts.h"

enum {
    AGENCIES = 2,
    STORES = 2,
    SEQS = 2,
    BATCHES = AGENCIES * SEQS,
    NUMBER = 7,
    EPOCH = 3,
    BODY_BYTES = 4096,
    OPERATION_HOLD = 0,               /* + store, batch: holds it, or not any more */
    OPERATION_ASK = STORES * BATCHES, /* + store */
    OPERATION_ANSWER = OPERATION_ASK + STORES,
    OPERATION_ANSWER_LATE = OPERATION_ANSWER + STORES,       /* to the question before */
    OPERATION_ANSWER_SHORT = OPERATION_ANSWER_LATE + STORES, /* without the winners */
    OPERATION_KILL = OPERATION_ANSWER_SHORT + STORES,
    OPERATIONS = OPERATION_KILL + STORES
};

struct modelled {
    struct results *results;
    struct manifest *manifest;
    struct hasher *hasher;
    struct seqset holds[STORES][AGENCIES];
    bool asked[STORES][BATCHES];
    bool is_live[STORES];
    bool is_answered[BATCHES];
};

static void *create(void)
{
    struct modelled *modelled = calloc(1, sizeof *modelled);
    struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true, .given = NUMBER};
    struct manifest_entry entries[AGENCIES];
    struct digest digests[SEQS] = {{{1}}, {{2}}};
    uint32_t bets[SEQS] = {1, 1};
    struct tree tree;
    CHECK(modelled != NULL && hasher_create(&modelled->hasher) == STATUS_OK);
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < SEQS; seq++)
        tree_add(&tree, modelled->hasher, &digests[seq]);
    for (uint32_t i = 0; i < AGENCIES; i++) {
        entries[i] = (struct manifest_entry){
            .agency = i + 1,
            .attempt = 1,
            .plan = {1, BATCH_BYTES_MIN, false},
            .declaration = {.batches = SEQS, .bets = SEQS},
            .digests = digests,
            .bets = bets,
        };
        tree_head(&tree, modelled->hasher, &entries[i].declaration.root);
    }
    CHECK(manifest_create(&terms, entries, AGENCIES, modelled->hasher, &modelled->manifest) ==
          STATUS_OK);
    CHECK(results_create(modelled->manifest, EPOCH, &modelled->results) == STATUS_OK);
    return modelled;
}

static void destroy(void *part)
{
    struct modelled *modelled = part;
    results_destroy(&modelled->results);
    manifest_destroy(&modelled->manifest);
    hasher_destroy(&modelled->hasher);
    for (uint32_t store = 0; store < STORES; store++)
        for (uint32_t agency = 0; agency < AGENCIES; agency++)
            seqset_clear(&modelled->holds[store][agency]);
    free(modelled);
}

static const struct seqset *holds(void *owner, uint32_t store, uint32_t agency_id)
{
    const struct modelled *modelled = owner;
    return &modelled->holds[store][agency_id - 1];
}

static bool is_covered(const struct modelled *modelled, uint32_t batch)
{
    for (uint32_t store = 0; store < STORES; store++)
        if (modelled->asked[store][batch])
            return true;
    return modelled->is_answered[batch];
}

static void ask(struct modelled *modelled, uint32_t store)
{
    uint8_t body[BODY_BYTES];
    size_t bytes = 0;
    struct message_count count;
    bool has_any = false;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        bool is_asked = seqset_has(&modelled->holds[store][batch / SEQS], batch % SEQS) &&
                        !is_covered(modelled, batch);
        modelled->asked[store][batch] = is_asked;
        has_any = has_any || is_asked;
    }
    enum status status =
        results_ask(modelled->results, store, holds, modelled, body, sizeof body, &count, &bytes);
    CHECK(status == (has_any ? STATUS_OK : STATUS_END));
    modelled->is_live[store] = has_any;
}

/* The pages of winners of a question. */
static enum status find(struct modelled *modelled, uint32_t store, uint32_t question)
{
    enum status status = STATUS_OK;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        uint8_t body[BODY_BYTES];
        size_t bytes = 0;
        struct item_winner item = {
            .seq = batch % SEQS,
            .bet = {{(const uint8_t *)"Ana", 3},
                    {(const uint8_t *)"Sosa", 4},
                    {(const uint8_t *)"12345678", 8},
                    {(const uint8_t *)"1980-02-29", BIRTHDATE_BYTES},
                    NUMBER},
        };
        struct message_found found = {EPOCH, question, batch / SEQS + 1, 1};
        if (!modelled->asked[store][batch])
            continue;
        CHECK(item_pack_winner(body, sizeof body, &bytes, &item) == STATUS_OK);
        status = results_found(modelled->results, store, &found, (struct slice){body, bytes});
    }
    return status;
}

static enum status tell(struct modelled *modelled, uint32_t store, uint32_t question)
{
    static uint8_t ranges[] = {0x92, 0, 1};
    uint8_t body[BODY_BYTES];
    size_t bytes = 0;
    struct message_counted counted = {.question_epoch = EPOCH, .question = question};
    for (uint32_t agency = 0; agency < AGENCIES; agency++) {
        const bool *asked = &modelled->asked[store][agency * SEQS];
        struct item_share share = {agency + 1, 1, {ranges, sizeof ranges}};
        if (!asked[0] && !asked[1])
            continue;
        ranges[1] = asked[0] ? 0 : 1;
        ranges[2] = (uint8_t)(asked[0] + asked[1]);
        CHECK(item_pack_share(body, sizeof body, &bytes, &share) == STATUS_OK);
        counted.bets += ranges[2];
        counted.items++;
    }
    counted.winners = counted.bets;
    return results_counted(modelled->results, store, &counted, (struct slice){body, bytes});
}

static void end_question(struct modelled *modelled, uint32_t store, bool is_answered)
{
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        if (is_answered && modelled->asked[store][batch])
            modelled->is_answered[batch] = true;
        modelled->asked[store][batch] = false;
    }
    modelled->is_live[store] = false;
}

static bool apply_to_live(struct modelled *modelled, uint32_t operation, uint32_t store)
{
    uint32_t question = results_live_question(modelled->results, store);
    if (operation < OPERATION_ANSWER_LATE) {
        CHECK(find(modelled, store, question) == STATUS_OK);
        CHECK(tell(modelled, store, question) == STATUS_OK);
        end_question(modelled, store, true);
    } else if (operation < OPERATION_ANSWER_SHORT) {
        CHECK(find(modelled, store, question - 1) == STATUS_STALE);
        CHECK(tell(modelled, store, question - 1) == STATUS_STALE);
    } else {
        if (operation < OPERATION_KILL)
            CHECK(tell(modelled, store, question) == STATUS_WRONG);
        CHECK(results_kill(modelled->results, store) == question);
        end_question(modelled, store, false);
    }
    return true;
}

static bool apply(void *part, uint32_t operation)
{
    struct modelled *modelled = part;
    if (operation < OPERATION_ASK) {
        uint32_t batch = operation % BATCHES;
        struct seqset *set = &modelled->holds[operation / BATCHES][batch / SEQS];
        if (seqset_has(set, batch % SEQS))
            seqset_remove(set, batch % SEQS);
        else
            CHECK(seqset_add(set, batch % SEQS) == STATUS_OK);
        return true;
    }
    uint32_t store = (operation - OPERATION_ASK) % STORES;
    if ((operation < OPERATION_ANSWER) == modelled->is_live[store])
        return false;
    if (operation >= OPERATION_ANSWER)
        return apply_to_live(modelled, operation, store);
    ask(modelled, store);
    return true;
}

static const char *check(void *part)
{
    const struct modelled *modelled = part;
    uint32_t uncovered = 0;
    uint32_t answered = 0;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        uint32_t covers = modelled->is_answered[batch];
        for (uint32_t store = 0; store < STORES; store++)
            covers += modelled->asked[store][batch];
        if (covers > 1)
            return "a batch is asked of two";
        uncovered += covers == 0;
        answered += modelled->is_answered[batch];
    }
    if (results_uncovered(modelled->results) != uncovered)
        return "what is not covered differs";
    if (results_winners(modelled->results) != answered)
        return "the winners differ";
    if (results_are_complete(modelled->results) != (answered == BATCHES))
        return "it is complete, or not, where it should not";
    for (uint32_t store = 0; store < STORES; store++)
        if ((results_live_question(modelled->results, store) != 0) != modelled->is_live[store])
            return "who is asked differs";
    return NULL;
}

static uint64_t print(const void *part)
{
    const struct modelled *modelled = part;
    uint64_t hash = results_fingerprint(modelled->results, FINGERPRINT_BASIS);
    for (uint32_t store = 0; store < STORES; store++)
        for (uint32_t agency = 0; agency < AGENCIES; agency++)
            hash = fingerprint_set(hash, &modelled->holds[store][agency]);
    return hash;
}

const struct part part_count = {"count", OPERATIONS, create, destroy, apply, check, print};
