/* Agencies are indexes into the manifest here. `covered` holds what live and answered questions are
 * about; the count is complete when it is everything and no question is live. */
#include "broker/results.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

struct question {
    uint32_t number;      /* 0: none is live */
    struct seqset *asked; /* per agency of the manifest; owned */
    uint64_t bets_asked;
    uint64_t winners_found;
    uint32_t last_agency; /* of the last winner found: pages come in order of (agency, seq, row) */
    uint32_t last_seq;
    uint32_t last_row;
    bool has_found;
};

struct results {
    const struct manifest *manifest; /* borrowed: the draw keeps it until it is over */
    size_t agencies_count;
    uint64_t question_epoch;
    uint32_t questions_asked;
    uint32_t live_count;
    uint64_t winners;         /* of answered questions */
    uint32_t covered_batches; /* by live and answered questions */
    struct seqset *covered;   /* per agency; owned */
    struct question live[STORES_MAX];
};

enum status results_create(const struct manifest *manifest, uint64_t question_epoch,
                           struct results **results)
{
    struct results *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return STATUS_NO_MEMORY;
    fresh->manifest = manifest;
    fresh->agencies_count = manifest_agencies_count(manifest);
    fresh->question_epoch = question_epoch;
    size_t places = fresh->agencies_count == 0 ? 1 : fresh->agencies_count;
    fresh->covered = calloc(places, sizeof *fresh->covered);
    if (fresh->covered == NULL)
        goto fail;
    for (size_t i = 0; i < STORES_MAX; i++) {
        fresh->live[i].asked = calloc(places, sizeof *fresh->live[i].asked);
        if (fresh->live[i].asked == NULL)
            goto fail;
    }
    *results = fresh;
    return STATUS_OK;
fail:
    results_destroy(&fresh);
    return STATUS_NO_MEMORY;
}

static void clear_sets(struct seqset *sets, size_t count)
{
    for (size_t i = 0; sets != NULL && i < count; i++)
        seqset_clear(&sets[i]);
}

void results_destroy(struct results **results)
{
    struct results *old = *results;
    if (old == NULL)
        return;
    clear_sets(old->covered, old->agencies_count);
    free(old->covered);
    for (size_t i = 0; i < STORES_MAX; i++) {
        clear_sets(old->live[i].asked, old->agencies_count);
        free(old->live[i].asked);
    }
    free(old);
    *results = NULL;
}

/* The index of an agency in the manifest, agencies_count when it is not in it. */
static size_t find_agency(const struct results *results, uint32_t agency)
{
    const struct manifest_entry *entry = manifest_find(results->manifest, agency);
    return entry == NULL ? results->agencies_count
                         : (size_t)(entry - manifest_agency(results->manifest, 0));
}

/* What the store holds of the manifest and nobody is asked: into `asked`. */
static enum status select_uncovered(const struct results *results, size_t agency,
                                    const struct seqset *holds, struct seqset *asked)
{
    const struct manifest_entry *entry = manifest_agency(results->manifest, agency);
    enum status status = seqset_copy(asked, holds);
    if (status != STATUS_OK)
        return status;
    seqset_subtract(asked, &results->covered[agency]);
    /* A store may hold seqs beyond the declared count from before the declaration. */
    for (uint32_t seq = seqset_next(asked, entry->declaration.batches); seq != UINT32_MAX;
         seq = seqset_next(asked, seq + 1))
        seqset_remove(asked, seq);
    return STATUS_OK;
}

/* Packs one agency's share; cuts `asked` where its ranges no longer fit. */
static enum status pack_share(const struct results *results, size_t agency, struct seqset *asked,
                              uint8_t *buffer, size_t buffer_bytes, size_t *body_bytes)
{
    uint8_t packed[RANGES_BYTES_MAX];
    struct item_share share = {0};
    uint32_t upto = 0;

    seqset_pack(asked, 0, packed, sizeof packed, &share.seqs, &upto);
    const struct manifest_entry *entry = manifest_agency(results->manifest, agency);
    share.agency = entry->agency;
    share.attempt = entry->attempt;
    enum status status = item_pack_share(buffer, buffer_bytes, body_bytes, &share);
    if (status != STATUS_OK || upto == UINT32_MAX)
        return status;
    for (uint32_t seq = seqset_next(asked, upto); seq != UINT32_MAX;
         seq = seqset_next(asked, seq + 1))
        seqset_remove(asked, seq);
    return STATUS_OK;
}

static void cover(struct results *results, const struct question *question, size_t agency)
{
    const struct seqset *asked = &question->asked[agency];
    for (uint32_t seq = seqset_next(asked, 0); seq != UINT32_MAX; seq = seqset_next(asked, seq + 1))
        /* covered grew to the manifest's size before: see reserve_covered */
        CHECK(seqset_add(&results->covered[agency], seq) == STATUS_OK);
    results->covered_batches += asked->members;
}

/* Lets `covered` have room for every batch of the agency, so that covering cannot fail half-way. */
static enum status reserve_covered(struct results *results, size_t agency)
{
    uint32_t batches = manifest_agency(results->manifest, agency)->declaration.batches;
    struct seqset *covered = &results->covered[agency];
    if (batches == 0 || covered->words != NULL)
        return STATUS_OK;
    enum status status = seqset_add(covered, batches - 1);
    if (status == STATUS_OK)
        seqset_remove(covered, batches - 1);
    return status;
}

static void forget_question(struct results *results, struct question *question)
{
    clear_sets(question->asked, results->agencies_count);
    struct seqset *asked = question->asked;
    *question = (struct question){.asked = asked};
}

enum status results_ask(struct results *results, uint32_t store, results_holds *holds, void *owner,
                        uint8_t *buffer, size_t buffer_bytes, struct message_count *count,
                        size_t *body_bytes)
{
    CHECK(store < STORES_MAX && results->live[store].number == 0);
    struct question *question = &results->live[store];
    uint32_t items = 0;
    size_t bytes = 0;
    enum status status = STATUS_OK;

    if (results_uncovered(results) == 0)
        return STATUS_END;
    if (results->questions_asked == QUESTIONS_MAX)
        return STATUS_LIMIT;
    for (size_t i = 0; i < results->agencies_count && status == STATUS_OK; i++) {
        const struct manifest_entry *entry = manifest_agency(results->manifest, i);
        struct seqset *asked = &question->asked[i];
        status = select_uncovered(results, i, holds(owner, store, entry->agency), asked);
        if (status == STATUS_OK)
            status = reserve_covered(results, i);
        if (status != STATUS_OK || asked->members == 0)
            continue;
        status = pack_share(results, i, asked, buffer, buffer_bytes, &bytes);
        if (status == STATUS_OK)
            items++;
        else
            seqset_clear(asked);
    }
    /* A full body is no error: the rest is the next question's. */
    if ((status != STATUS_OK && status != STATUS_LIMIT) || items == 0) {
        forget_question(results, question);
        return status == STATUS_OK ? STATUS_END : status;
    }
    for (size_t i = 0; i < results->agencies_count; i++) {
        const struct manifest_entry *entry = manifest_agency(results->manifest, i);
        const struct seqset *asked = &question->asked[i];
        for (uint32_t seq = seqset_next(asked, 0); seq != UINT32_MAX;
             seq = seqset_next(asked, seq + 1))
            question->bets_asked += entry->bets[seq];
        cover(results, question, i);
    }
    question->number = ++results->questions_asked;
    results->live_count++;
    *count = (struct message_count){
        .root = *manifest_root(results->manifest),
        .question_epoch = results->question_epoch,
        .question = question->number,
        .items = items,
    };
    *body_bytes = bytes;
    return STATUS_OK;
}

uint32_t results_live_question(const struct results *results, uint32_t store)
{
    CHECK(store < STORES_MAX);
    return results->live[store].number;
}

static bool is_live(const struct results *results, uint32_t store, uint64_t question_epoch,
                    uint32_t question)
{
    return question_epoch == results->question_epoch && question != 0 &&
           results->live[store].number == question;
}

/* True when (seq, row) of this agency comes after the last winner that was found. */
static bool is_beyond(const struct question *question, uint32_t agency, uint32_t seq, uint32_t row)
{
    if (!question->has_found || agency != question->last_agency)
        return !question->has_found || agency > question->last_agency;
    if (seq != question->last_seq)
        return seq > question->last_seq;
    return row > question->last_row;
}

enum status results_found(struct results *results, uint32_t store,
                          const struct message_found *found, struct slice body)
{
    CHECK(store < STORES_MAX);
    struct question *question = &results->live[store];
    if (!is_live(results, store, found->question_epoch, found->question))
        return STATUS_STALE;
    size_t index = find_agency(results, found->agency);
    if (index == results->agencies_count)
        return STATUS_WRONG;
    const struct manifest_entry *entry = manifest_agency(results->manifest, index);
    struct question after = *question;
    struct item_winner item;
    uint32_t items = 0;
    size_t at = 0;
    enum status status;

    while ((status = item_next_winner(body, &at, &item)) == STATUS_OK) {
        if (!is_beyond(&after, found->agency, item.seq, item.row))
            return items == 0 ? STATUS_STALE : STATUS_WRONG;
        if (!seqset_has(&question->asked[index], item.seq) || item.row >= entry->bets[item.seq] ||
            item.bet.number != manifest_number(results->manifest))
            return STATUS_WRONG;
        after.last_agency = found->agency;
        after.last_seq = item.seq;
        after.last_row = item.row;
        after.has_found = true;
        items++;
    }
    if (status != STATUS_END || items != found->items)
        return STATUS_WRONG;
    after.winners_found += items;
    *question = after;
    return STATUS_OK;
}

/* True when the shares are exactly the question's sets. Ranges have one packed form, so equal sets
 * are compared as the ranges are read. */
static bool shares_are_asked(const struct results *results, const struct question *question,
                             uint32_t items, struct slice body)
{
    struct item_share share;
    uint32_t items_read = 0;
    uint32_t last_agency = 0;
    uint64_t members = 0;
    uint64_t members_asked = 0;
    size_t at = 0;
    enum status status;

    while ((status = item_next_share(body, &at, &share)) == STATUS_OK) {
        size_t index = find_agency(results, share.agency);
        struct range_cursor cursor;
        struct range range;
        if (index == results->agencies_count ||
            share.attempt != manifest_agency(results->manifest, index)->attempt ||
            question->asked[index].members == 0)
            return false;
        CHECK(range_open(&cursor, share.seqs) == STATUS_OK); /* item_next_share has read them */
        /* Rising, so that no share can stand in twice for another that is missing. */
        if (items_read > 0 && share.agency <= last_agency)
            return false;
        last_agency = share.agency;
        while (range_next(&cursor, &range) == STATUS_OK) {
            const struct seqset *asked = &question->asked[index];
            if (!seqset_has(asked, range.first) ||
                seqset_next_absent(asked, range.first) != range.first + range.count)
                return false;
            members += range.count;
        }
        items_read++;
    }
    for (size_t i = 0; i < results->agencies_count; i++)
        members_asked += question->asked[i].members;
    return status == STATUS_END && items_read == items && members == members_asked;
}

enum status results_counted(struct results *results, uint32_t store,
                            const struct message_counted *counted, struct slice body)
{
    CHECK(store < STORES_MAX);
    struct question *question = &results->live[store];
    if (!is_live(results, store, counted->question_epoch, counted->question))
        return STATUS_STALE;
    if (counted->winners != question->winners_found || counted->bets != question->bets_asked ||
        !shares_are_asked(results, question, counted->items, body))
        return STATUS_WRONG;
    results->winners += question->winners_found;
    results->live_count--;
    forget_question(results, question);
    return STATUS_OK;
}

uint32_t results_kill(struct results *results, uint32_t store)
{
    CHECK(store < STORES_MAX);
    struct question *question = &results->live[store];
    uint32_t number = question->number;
    if (number == 0)
        return 0;
    for (size_t i = 0; i < results->agencies_count; i++) {
        results->covered_batches -= question->asked[i].members;
        seqset_subtract(&results->covered[i], &question->asked[i]);
    }
    results->live_count--;
    forget_question(results, question);
    return number;
}

uint32_t results_uncovered(const struct results *results)
{
    return manifest_batches(results->manifest) - results->covered_batches;
}

const struct seqset *results_covered(const struct results *results, size_t agency)
{
    CHECK(agency < results->agencies_count);
    return &results->covered[agency];
}

bool results_are_complete(const struct results *results)
{
    return results->live_count == 0 && results_uncovered(results) == 0;
}

uint64_t results_winners(const struct results *results)
{
    return results->winners;
}

uint64_t results_fingerprint(const struct results *results, uint64_t hash)
{
    for (uint32_t store = 0; store < STORES_MAX; store++) {
        const struct question *question = &results->live[store];
        if (question->number == 0)
            continue;
        const uint64_t numbers[] = {store, question->winners_found, question->last_agency,
                                    question->last_seq, question->last_row};
        hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
        for (size_t i = 0; i < results->agencies_count; i++)
            hash = fingerprint_set(hash, &question->asked[i]);
    }
    for (size_t i = 0; i < results->agencies_count; i++)
        hash = fingerprint_set(hash, &results->covered[i]);
    return hash;
}
