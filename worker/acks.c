/* See acks.h. */
#include "worker/acks.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/item.h"
#include "proto/wire/pack.h"

enum {
    RANGE_BYTES_MAX = 10, /* two u32 */
    RANGES_MAX = (RANGES_BYTES_MAX - 5) / RANGE_BYTES_MAX,
    STORED_ITEM_BYTES_MAX = 48,
};

enum status acks_create(struct acks *acks)
{
    *acks = (struct acks){.list = malloc(ACKS_MAX * sizeof *acks->list)};
    return acks->list != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void acks_destroy(struct acks *acks)
{
    free(acks->list);
    *acks = (struct acks){.list = NULL};
}

void acks_add(struct acks *acks, const struct batch_record *batch)
{
    CHECK(!acks_is_full(acks));
    acks->list[acks->count] = (struct ack){*batch, (uint32_t)acks->count};
    acks->count++;
}

/* ---- order ---- */

static bool is_before(const struct ack *a, const struct ack *b)
{
    int order = batch_identity_compare(&a->batch.identity, &b->batch.identity);
    return order < 0 || (order == 0 && a->place < b->place);
}

/* Lets the batch at `root` sink until no child is larger. */
static void sink(struct ack *heap, size_t root, size_t count)
{
    struct ack sinking = heap[root];
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && is_before(&heap[child], &heap[child + 1]))
            child++;
        if (!is_before(&sinking, &heap[child]))
            break;
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = sinking;
}

/* A heap sort: in place, where qsort may allocate. */
static void sort(struct ack *list, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sink(list, root, count);
    for (size_t end = count; end-- > 1;) {
        struct ack largest = list[0];
        list[0] = list[end];
        list[end] = largest;
        sink(list, 0, end);
    }
}

/* Brings the batches into order, of each identity the last one alone. */
static void keep_last_of_each(struct acks *acks)
{
    sort(acks->list, acks->count);
    size_t kept = 0;
    for (size_t i = 0; i < acks->count; i++) {
        const struct batch_identity *identity = &acks->list[i].batch.identity;
        if (kept > 0 && batch_identity_compare(&acks->list[kept - 1].batch.identity, identity) == 0)
            kept--;
        acks->list[kept++] = acks->list[i];
    }
    acks->count = kept;
}

/* ---- telling ---- */

static bool is_one_agency(const struct batch_identity *a, const struct batch_identity *b)
{
    return a->draw == b->draw && a->agency == b->agency && a->attempt == b->attempt;
}

/* How many batches from `first` on are of its (draw, agency, attempt). */
static size_t run_length(const struct acks *acks, size_t first)
{
    size_t end = first + 1;
    while (end < acks->count &&
           is_one_agency(&acks->list[first].batch.identity, &acks->list[end].batch.identity))
        end++;
    return end - first;
}

/* One STORED with as many of the `count` batches as a chunk takes. returns how many. */
static size_t send_stored(const struct ack *list, size_t count, const struct workbench *bench,
                          uint64_t *bets)
{
    if (count > CHUNK_BYTES_MAX / STORED_ITEM_BYTES_MAX)
        count = CHUNK_BYTES_MAX / STORED_ITEM_BYTES_MAX;
    size_t room = count * STORED_ITEM_BYTES_MAX;
    uint8_t *buffer = outbox_reserve(bench->outbox, room);
    CHECK(buffer != NULL);
    struct slice body = {buffer, 0};
    for (size_t i = 0; i < count; i++) {
        struct item_stored item = {
            .seq = list[i].batch.identity.seq,
            .bets = list[i].batch.bets,
            .digest = list[i].batch.digest,
        };
        CHECK(item_pack_stored(buffer, room, &body.bytes, &item) == STATUS_OK);
        *bets += item.bets;
    }
    outbox_trim(bench->outbox, buffer, body.bytes);
    struct message message = {
        .kind = MESSAGE_STORED,
        .draw = list[0].batch.identity.draw,
        .stored = {list[0].batch.identity.agency, list[0].batch.identity.attempt, (uint32_t)count},
    };
    workbench_send(bench, &message, &body);
    return count;
}

size_t acks_send_stored(struct acks *acks, const struct workbench *bench, uint64_t *bets)
{
    keep_last_of_each(acks);
    size_t told = acks->count;
    *bets = 0;
    for (size_t first = 0; first < acks->count;) {
        size_t end = first + run_length(acks, first);
        while (first < end)
            first += send_stored(&acks->list[first], end - first, bench, bets);
    }
    acks->count = 0;
    return told;
}

/* How many batches from `first` on have seqs without a gap. */
static size_t range_length(const struct ack *list, size_t count)
{
    uint32_t first = list[0].batch.identity.seq;
    size_t length = 1;
    while (length < count && list[length].batch.identity.seq == first + length)
        length++;
    return length;
}

/* One RETURNED with as many of the `count` batches as its ranges take. returns how many. */
static size_t send_returned(const struct ack *list, size_t count, const struct workbench *bench)
{
    uint32_t ranges = 0;
    size_t taken = 0;
    while (taken < count && ranges < RANGES_MAX) {
        taken += range_length(&list[taken], count - taken);
        ranges++;
    }
    uint8_t buffer[RANGES_BYTES_MAX];
    struct packer packer;
    pack_begin(&packer, buffer, sizeof buffer);
    pack_array(&packer, 2 * ranges);
    for (size_t i = 0; i < taken;) {
        size_t length = range_length(&list[i], taken - i);
        pack_unsigned(&packer, list[i].batch.identity.seq);
        pack_unsigned(&packer, length);
        i += length;
    }
    CHECK(!packer.overflowed);
    struct message message = {
        .kind = MESSAGE_RETURNED,
        .draw = list[0].batch.identity.draw,
        .returned = {list[0].batch.identity.agency,
                     list[0].batch.identity.attempt,
                     {buffer, packer.bytes}},
    };
    workbench_send(bench, &message, NULL);
    return taken;
}

size_t acks_send_returned(struct acks *acks, const struct workbench *bench)
{
    keep_last_of_each(acks);
    size_t told = acks->count;
    for (size_t first = 0; first < acks->count;) {
        size_t end = first + run_length(acks, first);
        while (first < end)
            first += send_returned(&acks->list[first], end - first, bench);
    }
    acks->count = 0;
    return told;
}
