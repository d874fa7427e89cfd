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
    *acks = (struct acks){.batches = malloc(ACKS_MAX * sizeof *acks->batches)};
    return acks->batches != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void acks_destroy(struct acks *acks)
{
    free(acks->batches);
    *acks = (struct acks){.batches = NULL};
}

void acks_add(struct acks *acks, const struct batch_record *batch)
{
    CHECK(!acks_is_full(acks));
    acks->batches[acks->count++] = *batch;
}

/* ---- order ---- */

static bool is_before(const struct batch_record *a, const struct batch_record *b)
{
    return batch_identity_compare(&a->identity, &b->identity) < 0;
}

/* Lets the batch at `root` sink until no child is larger. */
static void sink(struct batch_record *heap, size_t root, size_t count)
{
    struct batch_record sinking = heap[root];
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
static void sort(struct batch_record *batches, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sink(batches, root, count);
    for (size_t end = count; end-- > 1;) {
        struct batch_record largest = batches[0];
        batches[0] = batches[end];
        batches[end] = largest;
        sink(batches, 0, end);
    }
}

enum status acks_settle(struct acks *acks, const struct workbench *bench)
{
    sort(acks->batches, acks->count);
    size_t kept = 0;
    for (size_t i = 0; i < acks->count; i++) {
        struct batch_record *batch = &acks->batches[i];
        struct batch_record *last = kept > 0 ? &acks->batches[kept - 1] : NULL;
        if (last == NULL || is_before(last, batch)) {
            acks->batches[kept++] = *batch;
            continue;
        }
        if (digest_is_equal(&last->digest, &batch->digest))
            continue;
        enum status status = store_get(bench->store, &batch->identity, last, NULL);
        if (status != STATUS_OK)
            return status == STATUS_NOT_FOUND ? STATUS_IO : status;
    }
    acks->count = kept;
    return STATUS_OK;
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
           is_one_agency(&acks->batches[first].identity, &acks->batches[end].identity))
        end++;
    return end - first;
}

/* One STORED with as many of the `count` batches as a chunk takes. returns how many. */
static size_t send_stored(const struct batch_record *batches, size_t count,
                          const struct workbench *bench, uint64_t *bets)
{
    if (count > CHUNK_BYTES_MAX / STORED_ITEM_BYTES_MAX)
        count = CHUNK_BYTES_MAX / STORED_ITEM_BYTES_MAX;
    size_t room = count * STORED_ITEM_BYTES_MAX;
    uint8_t *buffer = outbox_reserve(bench->outbox, room);
    CHECK(buffer != NULL);
    struct slice body = {buffer, 0};
    for (size_t i = 0; i < count; i++) {
        struct item_stored item = {
            .seq = batches[i].identity.seq,
            .bets = batches[i].bets,
            .digest = batches[i].digest,
        };
        CHECK(item_pack_stored(buffer, room, &body.bytes, &item) == STATUS_OK);
        *bets += item.bets;
    }
    outbox_trim(bench->outbox, buffer, body.bytes);
    struct message message = {
        .kind = MESSAGE_STORED,
        .draw = batches[0].identity.draw,
        .stored = {batches[0].identity.agency, batches[0].identity.attempt, (uint32_t)count},
    };
    workbench_send(bench, &message, &body);
    return count;
}

void acks_send_stored(struct acks *acks, const struct workbench *bench, uint64_t *bets)
{
    *bets = 0;
    for (size_t first = 0; first < acks->count;) {
        size_t end = first + run_length(acks, first);
        while (first < end)
            first += send_stored(&acks->batches[first], end - first, bench, bets);
    }
    acks->count = 0;
}

/* How many batches from `first` on have seqs without a gap. */
static size_t range_length(const struct batch_record *batches, size_t count)
{
    size_t length = 1;
    while (length < count && batches[length].identity.seq == batches[length - 1].identity.seq + 1)
        length++;
    return length;
}

/* One RETURNED with as many of the `count` batches as its ranges take. returns how many. */
static size_t send_returned(const struct batch_record *batches, size_t count,
                            const struct workbench *bench)
{
    uint32_t ranges = 0;
    size_t taken = 0;
    while (taken < count && ranges < RANGES_MAX) {
        taken += range_length(&batches[taken], count - taken);
        ranges++;
    }
    uint8_t buffer[RANGES_BYTES_MAX];
    struct packer packer;
    pack_begin(&packer, buffer, sizeof buffer);
    pack_array(&packer, 2 * ranges);
    for (size_t i = 0; i < taken;) {
        size_t length = range_length(&batches[i], taken - i);
        pack_unsigned(&packer, batches[i].identity.seq);
        pack_unsigned(&packer, length);
        i += length;
    }
    CHECK(!packer.overflowed);
    struct message message = {
        .kind = MESSAGE_RETURNED,
        .draw = batches[0].identity.draw,
        .returned = {batches[0].identity.agency,
                     batches[0].identity.attempt,
                     {buffer, packer.bytes}},
    };
    workbench_send(bench, &message, NULL);
    return taken;
}

size_t acks_send_returned(struct acks *acks, const struct workbench *bench)
{
    sort(acks->batches, acks->count);
    size_t kept = 0;
    for (size_t i = 0; i < acks->count; i++) {
        if (kept == 0 || is_before(&acks->batches[kept - 1], &acks->batches[i]))
            acks->batches[kept++] = acks->batches[i];
    }
    acks->count = kept;
    for (size_t first = 0; first < acks->count;) {
        size_t end = first + run_length(acks, first);
        while (first < end)
            first += send_returned(&acks->batches[first], end - first, bench);
    }
    acks->count = 0;
    return kept;
}
