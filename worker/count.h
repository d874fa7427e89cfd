/* Questions of the broker's count: which bets of these batches have the sealed number? Each is
 * answered whole, pages of FOUND first and COUNTED with the very shares that were asked last, or
 * not at all. Owns the queue of questions and the page that is being filled. The rules stand in
 * PROTOCOL.md, "Counting". */
#ifndef SORTEO_WORKER_COUNT_H
#define SORTEO_WORKER_COUNT_H

#include "proto/wire/item.h"
#include "proto/wire/seqset.h"
#include "worker/sealing.h"

enum {
    COUNT_QUESTIONS_MAX = 16, /* waiting; one more ends the registration, and with it all of them */
    /* A batch whose every bet wins, with seq and row in front of each: 11 bytes on 22 or more. */
    BATCH_WINNERS_BYTES_MAX = 2 * BATCH_BYTES_MAX,
    STEP_PAGES_MAX = 64,
};

/* A question as it was asked. */
struct question {
    uint32_t draw;
    uint64_t epoch; /* with `number`: its name */
    uint32_t number;
    uint32_t shares;
    size_t shares_bytes; /* of its body, in the queue's memory */
};

/* Where the answer to the first question has got to. */
struct answer {
    size_t at; /* next share in the body */
    bool has_share;
    struct item_share share;
    uint32_t shares_read;
    struct range_cursor ranges;
    struct range range; /* seqs of it that are left */
    uint64_t bets;
    uint64_t winners;
    uint32_t page_agency;
    uint32_t page_items;
    size_t page_bytes;
};

struct count {
    struct question questions[COUNT_QUESTIONS_MAX];
    uint32_t first;
    uint32_t questions_count;
    uint8_t *bodies; /* owned: one frame for each question */
    uint8_t *page;   /* owned: PAGE_BYTES_MAX */
    struct answer answer;
};

/* errors: NO_MEMORY. cost: 16 MiB of address space, touched as questions come. */
enum status count_create(struct count *count);
void count_destroy(struct count *count);

/* Forgets all questions: the registration is over. */
void count_clear(struct count *count);

/* Takes a question about a draw that is verified here. errors: LIMIT: as many as can wait are
 * waiting. */
enum status count_ask(struct count *count, uint32_t draw, const struct message_count *question,
                      struct slice body);

static inline bool count_is_busy(const struct count *count)
{
    return count->questions_count > 0;
}

/* One step of the first question's answer.
 * in: no transaction is open. out: has_lost_batch: a batch of the question is not there or was
 * rotten (deleted durably then): the answer cannot be given, the worker registers again.
 * errors: FULL, SYNC, IO, VERSION, NO_MEMORY: the worker ends.
 * cost: up to STEP_BYTES_MAX read and hashed, STEP_PAGES_MAX pages. */
enum status count_step(struct count *count, const struct workbench *bench, struct seals *seals,
                       bool *has_lost_batch);

#endif
