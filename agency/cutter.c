/* One pass: row → bet → packed → digest. The row that did not fit any more opens the next batch. */
#include "agency/cutter.h"

#include <stdlib.h>

#include "proto/wire/check.h"

struct cutter {
    struct scanner *scanner; /* owned */
    struct hasher *hasher;   /* owned */
    struct cutter_terms terms;
    uint32_t seq; /* of the next batch */
    bool has_row; /* `row` was read and is in no batch yet */
    struct row row;
};

enum status cutter_create(const struct source *source, const struct cutter_terms *terms,
                          struct cutter **cutter)
{
    CHECK(plan_is_valid(&terms->plan));
    struct cutter *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->terms = *terms;
    enum status status = scanner_create(source, terms->today, &created->scanner);
    if (status == STATUS_OK)
        status = hasher_create(&created->hasher);
    if (status != STATUS_OK) {
        cutter_destroy(&created);
        return status;
    }
    *cutter = created;
    return STATUS_OK;
}

void cutter_destroy(struct cutter **cutter)
{
    if (*cutter == NULL)
        return;
    scanner_destroy(&(*cutter)->scanner);
    hasher_destroy(&(*cutter)->hasher);
    free(*cutter);
    *cutter = NULL;
}

/* Reads on to the next good row. errors: END, IO, reject's. */
static enum status next_bet(struct cutter *cutter, cutter_reject *reject, void *context)
{
    while (!cutter->has_row) {
        enum status status = scanner_next(cutter->scanner, &cutter->row);
        if (status != STATUS_OK)
            return status;
        if (cutter->row.csv.fault == FAULT_NONE) {
            cutter->has_row = true;
        } else if (reject != NULL) {
            status = reject(context, &cutter->row);
            if (status != STATUS_OK)
                return status;
        }
    }
    return STATUS_OK;
}

enum status cutter_next(struct cutter *cutter, uint8_t *buffer, cutter_reject *reject,
                        void *context, struct cut *cut, struct slice *body)
{
    struct batch_builder builder;
    batch_begin(&builder, &cutter->terms.plan, buffer);
    enum status status;
    while ((status = next_bet(cutter, reject, context)) == STATUS_OK) {
        if (builder.bets == 0) {
            cut->offset = cutter->row.offset;
            cut->line = cutter->row.line;
        }
        if (batch_add(&builder, &cutter->row.csv.bet) != STATUS_OK)
            break; /* full: the row waits for the next batch */
        cutter->has_row = false;
    }
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    if (builder.bets == 0)
        return STATUS_END;
    cut->bets = builder.bets;
    *body = batch_end(&builder);
    cut->bytes = (uint32_t)body->bytes;
    digest_batch(cutter->hasher, cutter->terms.draw, cutter->terms.agency, cutter->seq, cut->bets,
                 *body, &cut->digest);
    cutter->seq++;
    return STATUS_OK;
}

enum status cutter_repeat(struct cutter *cutter, uint32_t seq, const struct cut *cut,
                          uint8_t *buffer, struct slice *body)
{
    struct cut again;
    scanner_begin(cutter->scanner, cut->offset, cut->line);
    cutter->seq = seq;
    cutter->has_row = false;
    enum status status = cutter_next(cutter, buffer, NULL, NULL, &again, body);
    if (status == STATUS_END)
        return STATUS_STALE;
    if (status != STATUS_OK)
        return status;
    return digest_is_equal(&again.digest, &cut->digest) ? STATUS_OK : STATUS_STALE;
}
