/* See count.h. Every body is hashed again before it is counted: what has rotted since it was
 * read back is found here, and a body that is the manifest's digest has passed batch_check when
 * it came. */
#include "worker/count.h"

#include <stdlib.h>

#include "proto/wire/check.h"

enum status count_create(struct count *count)
{
    *count = (struct count){
        .bodies = malloc((size_t)COUNT_QUESTIONS_MAX * FRAME_BYTES_MAX),
        .page = malloc(PAGE_BYTES_MAX),
    };
    if (count->bodies != NULL && count->page != NULL)
        return STATUS_OK;
    count_destroy(count);
    return STATUS_NO_MEMORY;
}

void count_destroy(struct count *count)
{
    free(count->bodies);
    free(count->page);
    *count = (struct count){.bodies = NULL};
}

void count_clear(struct count *count)
{
    count->questions_count = 0;
    count->answer = (struct answer){.at = 0};
}

static uint8_t *body_of(const struct count *count, uint32_t slot)
{
    return count->bodies + (size_t)slot * FRAME_BYTES_MAX;
}

enum status count_ask(struct count *count, uint32_t draw, const struct message_count *question,
                      struct slice body)
{
    if (count->questions_count == COUNT_QUESTIONS_MAX || body.bytes > FRAME_BYTES_MAX)
        return STATUS_LIMIT;
    uint32_t slot = (count->first + count->questions_count) % COUNT_QUESTIONS_MAX;
    count->questions[slot] = (struct question){
        .draw = draw,
        .epoch = question->question_epoch,
        .number = question->question,
        .shares = question->items,
        .shares_bytes = body.bytes,
    };
    if (body.bytes > 0)
        memcpy(body_of(count, slot), body.data, body.bytes);
    count->questions_count++;
    return STATUS_OK;
}

static void drop_first(struct count *count)
{
    count->first = (count->first + 1) % COUNT_QUESTIONS_MAX;
    count->questions_count--;
    count->answer = (struct answer){.at = 0};
}

/* ---- pages ---- */

static void send_page(struct count *count, const struct workbench *bench,
                      const struct question *question)
{
    struct answer *answer = &count->answer;
    if (answer->page_items == 0)
        return;
    uint8_t *piece = outbox_reserve(bench->outbox, answer->page_bytes);
    CHECK(piece != NULL);
    memcpy(piece, count->page, answer->page_bytes);
    struct slice body = {piece, answer->page_bytes};
    struct message message = {
        .kind = MESSAGE_FOUND,
        .draw = question->draw,
        .found = {question->epoch, question->number, answer->page_agency, answer->page_items},
    };
    workbench_send(bench, &message, &body);
    answer->page_items = 0;
    answer->page_bytes = 0;
}

static void add_winner(struct count *count, const struct workbench *bench,
                       const struct question *question, const struct item_winner *winner)
{
    struct answer *answer = &count->answer;
    if (answer->page_agency != answer->share.agency)
        send_page(count, bench, question);
    answer->page_agency = answer->share.agency;
    enum status status = item_pack_winner(count->page, PAGE_BYTES_MAX, &answer->page_bytes, winner);
    if (status == STATUS_LIMIT) {
        send_page(count, bench, question);
        status = item_pack_winner(count->page, PAGE_BYTES_MAX, &answer->page_bytes, winner);
    }
    CHECK(status == STATUS_OK);
    answer->page_items++;
    answer->winners++;
}

/* ---- batches ---- */

/* Counts one batch whose body is the manifest's. */
static void count_body(struct count *count, const struct workbench *bench,
                       const struct question *question, const struct batch_record *batch,
                       struct slice body, uint32_t number)
{
    struct batch_cursor cursor;
    CHECK(batch_open(&cursor, body) == STATUS_OK);
    struct item_winner winner = {.seq = batch->identity.seq};
    while (batch_find_number(&cursor, number, &winner.row, &winner.bet) == STATUS_OK)
        add_winner(count, bench, question, &winner);
    count->answer.bets += batch->bets;
}

/* Reads, verifies and counts one batch of the question. */
static enum status count_batch(struct count *count, const struct workbench *bench,
                               const struct question *question, const struct manifest *manifest,
                               uint32_t seq, size_t *step_bytes, bool *has_lost_batch)
{
    struct batch_identity identity = {question->draw, count->answer.share.agency,
                                      count->answer.share.attempt, seq};
    const struct digest *sealed = seals_digest(manifest, &identity);
    struct batch_record batch;
    struct slice body;
    enum status status =
        sealed == NULL ? STATUS_NOT_FOUND : store_get(bench->store, &identity, &batch, &body);
    if (status == STATUS_NOT_FOUND ||
        (status == STATUS_OK && !digest_is_equal(&batch.digest, sealed))) {
        *has_lost_batch = true;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    struct digest digest;
    digest_batch(bench->hasher, identity.draw, identity.agency, seq, batch.bets, body, &digest);
    *step_bytes += body.bytes;
    if (!digest_is_equal(&digest, sealed)) {
        *has_lost_batch = true;
        return sealing_delete_rotten(bench, &identity);
    }
    count_body(count, bench, question, &batch, body, manifest_number(manifest));
    return STATUS_OK;
}

/* The next seq that is asked for. errors: END: there is none; MALFORMED. */
static enum status next_seq(struct answer *answer, struct slice shares, uint32_t *seq)
{
    while (answer->range.count == 0) {
        enum status status = STATUS_END;
        if (answer->has_share)
            status = range_next(&answer->ranges, &answer->range);
        if (status == STATUS_END) {
            status = item_next_share(shares, &answer->at, &answer->share);
            answer->has_share = status == STATUS_OK;
            if (status == STATUS_OK)
                answer->shares_read++;
            if (status == STATUS_OK)
                status = range_open(&answer->ranges, answer->share.seqs);
        }
        if (status != STATUS_OK)
            return status;
    }
    *seq = answer->range.first++;
    answer->range.count--;
    return STATUS_OK;
}

/* ---- answers ---- */

static void send_counted(struct count *count, const struct workbench *bench,
                         const struct question *question, struct slice shares)
{
    struct answer *answer = &count->answer;
    send_page(count, bench, question);
    uint8_t *piece = outbox_reserve(bench->outbox, shares.bytes);
    CHECK(piece != NULL);
    memcpy(piece, shares.data, shares.bytes);
    struct slice body = {piece, shares.bytes};
    struct message message = {
        .kind = MESSAGE_COUNTED,
        .draw = question->draw,
        .counted = {question->epoch, question->number, answer->bets, answer->winners,
                    question->shares},
    };
    workbench_send(bench, &message, &body);
    notes_add(bench->notes, &(struct note){.kind = NOTE_COUNTED,
                                           .draw = question->draw,
                                           .number = answer->bets,
                                           .other = answer->winners});
}

/* True when a batch full of winners, COUNTED and a last page would still fit into the outbox. */
static bool has_room(const struct workbench *bench)
{
    return outbox_has_room(bench->outbox, STEP_PAGES_MAX,
                           BATCH_WINNERS_BYTES_MAX + FRAME_BYTES_MAX + 2 * HEADER_BYTES_MAX);
}

enum status count_step(struct count *count, const struct workbench *bench, struct seals *seals,
                       bool *has_lost_batch)
{
    CHECK(count_is_busy(count));
    *has_lost_batch = false;
    const struct question *question = &count->questions[count->first];
    struct slice shares = {body_of(count, count->first), question->shares_bytes};
    const struct manifest *manifest;
    enum status status = seals_manifest(seals, bench, question->draw, &manifest);
    if (status == STATUS_NOT_FOUND) { /* void meanwhile, or forgotten */
        drop_first(count);
        return STATUS_OK;
    }
    size_t step_bytes = 0;
    uint32_t batches = 0;
    while (status == STATUS_OK && !*has_lost_batch && step_bytes < STEP_BYTES_MAX &&
           batches < STEP_BATCHES_MAX && has_room(bench)) {
        uint32_t seq;
        status = next_seq(&count->answer, shares, &seq);
        if (status == STATUS_OK)
            status =
                count_batch(count, bench, question, manifest, seq, &step_bytes, has_lost_batch);
        batches++;
    }
    if (status == STATUS_END && count->answer.shares_read != question->shares)
        status = STATUS_MALFORMED;
    if (status == STATUS_END) {
        send_counted(count, bench, question, shares);
        drop_first(count);
        return STATUS_OK;
    }
    if (status == STATUS_MALFORMED) {
        notes_add(bench->notes, &(struct note){.kind = NOTE_QUESTION_DROPPED,
                                               .draw = question->draw,
                                               .number = question->number});
        drop_first(count);
        return STATUS_OK;
    }
    return status;
}
