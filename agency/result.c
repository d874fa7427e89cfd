/* Checks on pages of winners; nothing here trusts the broker. */
#include "agency/result.h"

#include "proto/wire/manifest.h"

const char *result_fault_text(enum result_fault fault)
{
    static const char *const TEXTS[] = {
#define X(name, text) [RESULT_FAULT_##name] = (text),
        RESULT_FAULT_TABLE(X)
#undef X
    };
    if ((size_t)fault >= sizeof(TEXTS) / sizeof(TEXTS[0]))
        return "unknown fault";
    return TEXTS[fault];
}

bool result_terms_are_equal(const struct result_terms *a, const struct result_terms *b)
{
    return digest_is_equal(&a->commitment, &b->commitment) && a->range_first == b->range_first &&
           a->range_last == b->range_last;
}

/* Whether the number is the one that had to be drawn; a given one is taken as it is. */
static enum result_fault check_drawn(const struct message_result *page,
                                     const struct result_terms *terms, struct hasher *hasher)
{
    static const struct digest GIVEN = {{0}};
    struct digest digest;
    struct manifest_terms drawn = {
        .range_first = terms->range_first,
        .range_last = terms->range_last,
    };
    if (digest_is_equal(&terms->commitment, &GIVEN))
        return page->seed.bytes == 0 ? RESULT_FAULT_NONE : RESULT_FAULT_SEED;
    if (page->seed.bytes != DIGEST_BYTES)
        return RESULT_FAULT_SEED;
    hasher_sum(hasher, &page->seed, 1, &digest);
    if (!digest_is_equal(&digest, &terms->commitment))
        return RESULT_FAULT_SEED;
    memcpy(drawn.seed.bytes, page->seed.data, DIGEST_BYTES);
    uint32_t number = manifest_derive_number(&drawn, &page->root, hasher);
    return number == page->number ? RESULT_FAULT_NONE : RESULT_FAULT_DRAWN;
}

static bool page_is_of(const struct result *result, const struct message_result *page)
{
    struct slice seed = {.data = result->seed.bytes, .bytes = result->seed_bytes};
    return page->number == result->number && digest_is_equal(&page->root, &result->root) &&
           page->total == result->total && slice_is_equal(page->seed, seed);
}

/* Where the next winner has to lie. */
static enum result_fault check_winner(const struct result *result, const struct item_winner *item,
                                      const struct cuts *cuts)
{
    bool is_behind = item->seq > result->last_seq ||
                     (item->seq == result->last_seq && item->row > result->last_row);
    if (result->winners > 0 && !is_behind)
        return RESULT_FAULT_ORDER;
    if (item->seq >= cuts->count || item->row >= cuts_at(cuts, item->seq)->bets)
        return RESULT_FAULT_PLACE;
    if (item->bet.number != result->number)
        return RESULT_FAULT_NUMBER;
    return RESULT_FAULT_NONE;
}

static enum result_fault take_winners(struct result *result, const struct message_result *page,
                                      struct slice body, const struct cuts *cuts)
{
    size_t at = 0;
    struct item_winner item;
    for (uint32_t i = page->from; i < page->upto; i++) {
        if (item_next_winner(body, &at, &item) != STATUS_OK)
            return RESULT_FAULT_FORM;
        enum result_fault fault = check_winner(result, &item, cuts);
        if (fault != RESULT_FAULT_NONE)
            return fault;
        result->last_seq = item.seq;
        result->last_row = item.row;
        result->winners++;
    }
    return item_next_winner(body, &at, &item) == STATUS_END ? RESULT_FAULT_NONE : RESULT_FAULT_FORM;
}

enum result_fault result_take(struct result *result, const struct message_result *page,
                              struct slice body, const struct cuts *cuts,
                              const struct result_terms *terms, struct hasher *hasher)
{
    if (result->has_page && !page_is_of(result, page))
        return RESULT_FAULT_CHANGED;
    enum result_fault fault =
        result->has_page ? RESULT_FAULT_NONE : check_drawn(page, terms, hasher);
    if (fault != RESULT_FAULT_NONE)
        return fault;
    bool is_empty = page->upto == page->from;
    if (page->from != result->winners || page->upto < page->from || page->upto > page->total ||
        (is_empty && page->from != page->total))
        return RESULT_FAULT_PAGE;

    struct result taken = *result;
    taken.has_page = true;
    taken.number = page->number;
    taken.root = page->root;
    taken.total = page->total;
    taken.seed_bytes = (uint32_t)page->seed.bytes;
    if (page->seed.bytes == DIGEST_BYTES)
        memcpy(taken.seed.bytes, page->seed.data, DIGEST_BYTES);
    fault = take_winners(&taken, page, body, cuts);
    if (fault == RESULT_FAULT_NONE)
        *result = taken;
    return fault;
}

bool result_is_whole(const struct result *result)
{
    return result->has_page && result->winners == result->total;
}
