/* Winners come in order, so each batch that has some is read twice: once to see that it is still
 * the batch that was sent (its digest), once row by row. */
#include "agency/winners.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/item.h"

struct winners {
    struct output *output;   /* borrowed */
    struct cutter *cutter;   /* owned */
    struct scanner *scanner; /* owned */
    uint8_t *buffer;         /* owned; for a body that only its digest is wanted of */
    bool is_open;            /* the scanner stands in batch `seq`, before row `next_row` */
    uint32_t seq;
    uint32_t next_row;
    uint32_t place_seq;
    uint32_t place_row;
};

enum status winners_create(const struct source *source, const struct cutter_terms *terms,
                           struct output *output, struct winners **winners)
{
    struct winners *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->output = output;
    created->buffer = malloc(batch_buffer_bytes(&terms->plan));
    enum status status = created->buffer == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    if (status == STATUS_OK)
        status = cutter_create(source, terms, &created->cutter);
    if (status == STATUS_OK)
        status = scanner_create(source, terms->today, &created->scanner);
    if (status != STATUS_OK) {
        winners_destroy(&created);
        return status;
    }
    *winners = created;
    return STATUS_OK;
}

void winners_destroy(struct winners **winners)
{
    if (*winners == NULL)
        return;
    cutter_destroy(&(*winners)->cutter);
    scanner_destroy(&(*winners)->scanner);
    free((*winners)->buffer);
    free(*winners);
    *winners = NULL;
}

static enum status open_batch(struct winners *winners, uint32_t seq, const struct cut *cut)
{
    struct slice body;
    enum status status = cutter_repeat(winners->cutter, seq, cut, winners->buffer, &body);
    if (status != STATUS_OK)
        return status;
    scanner_begin(winners->scanner, cut->offset, cut->line);
    winners->is_open = true;
    winners->seq = seq;
    winners->next_row = 0;
    return STATUS_OK;
}

enum status winners_find(struct winners *winners, const struct cuts *cuts, uint32_t seq,
                         uint32_t row, struct row *found)
{
    const struct cut *cut = cuts_at(cuts, seq);
    CHECK(row < cut->bets);
    if (!winners->is_open || winners->seq != seq || winners->next_row > row) {
        winners->is_open = false;
        enum status status = open_batch(winners, seq, cut);
        if (status != STATUS_OK)
            return status;
    }
    do {
        enum status status = scanner_next(winners->scanner, found);
        if (status == STATUS_END)
            return STATUS_STALE;
        if (status != STATUS_OK)
            return status;
        if (found->csv.fault == FAULT_NONE)
            winners->next_row++;
    } while (winners->next_row <= row);
    return STATUS_OK;
}

static bool bet_is_equal(const struct bet *a, const struct bet *b)
{
    return a->number == b->number && slice_is_equal(a->first_name, b->first_name) &&
           slice_is_equal(a->last_name, b->last_name) && slice_is_equal(a->document, b->document) &&
           slice_is_equal(a->birthdate, b->birthdate);
}

enum status winners_write(struct winners *winners, const struct cuts *cuts, struct slice body)
{
    size_t at = 0;
    struct item_winner item;
    enum status next;
    while ((next = item_next_winner(body, &at, &item)) == STATUS_OK) {
        winners->place_seq = item.seq;
        winners->place_row = item.row;
        struct row row;
        enum status status = winners_find(winners, cuts, item.seq, item.row, &row);
        if (status == STATUS_OK && !bet_is_equal(&row.csv.bet, &item.bet))
            status = STATUS_WRONG;
        if (status == STATUS_OK)
            status = output_write(winners->output, row.csv.raw.data, row.csv.raw.bytes);
        if (status == STATUS_OK)
            status = output_write(winners->output, "\n", 1);
        if (status != STATUS_OK)
            return status;
    }
    return next == STATUS_END ? STATUS_OK : STATUS_WRONG;
}

void winners_place(const struct winners *winners, uint32_t *seq, uint32_t *row)
{
    *seq = winners->place_seq;
    *row = winners->place_row;
}
