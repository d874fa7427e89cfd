/* A broker with --recover on a bench: stores that bring what they know, and a manifest that they
 * may have sealed. */
#ifndef SORTEO_TESTS_UNIT_RECOVER_BENCH_H
#define SORTEO_TESTS_UNIT_RECOVER_BENCH_H

#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "tests/unit/broker_bench.h"

/* A broker that has lost its journal and waits for one store. */
static inline void begin(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    options.recover_stores = 1;
    options.draws = 3;
    bench_open(bench, &options);
}

static inline void bring_store(struct bench *bench, uint64_t peer, uint8_t id,
                               const struct epoch *served, const struct item_inventory *items,
                               uint32_t items_count)
{
    uint8_t buffer[4 * ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct message registration = {
        .kind = MESSAGE_REGISTER,
        .registration = {.store = {{id, 2, 3, 4}}, .opening = {1, {{id}}}, .epoch = *served},
    };
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = items_count}};
    for (uint32_t i = 0; i < items_count; i++)
        cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, &items[i]), STATUS_OK);
    bench_report(bench, peer, &registration, (struct slice){0});
    bench_report(bench, peer, &inventory, (struct slice){buffer, bytes});
}

/* Store 1 registers over `peer` with these items, having served a broker of `epoch`. */
static inline void bring(struct bench *bench, uint64_t peer, uint64_t epoch,
                         const struct item_inventory *items, uint32_t items_count)
{
    struct epoch served = {epoch, {{7}}};
    bring_store(bench, peer, 1, &served, items, items_count);
}

static inline struct item_inventory batch_item(uint32_t draw)
{
    return (struct item_inventory){
        .kind = INVENTORY_BATCH,
        .draw = draw,
        .agency = 4,
        .attempt = 1,
        .batch = {.seq = 0, .bets = 1, .digest = bench_digest(4, 0)},
    };
}

/* The manifest of draw `draw` with agency 4, or 4 and 5, and one batch of each. */
static inline struct manifest *make_manifest_of(struct bench *bench, uint32_t draw, size_t agencies)
{
    struct digest digests[2];
    struct manifest_entry entries[2];
    const uint32_t bets = 1;
    struct manifest *manifest;
    const struct manifest_terms terms = {.draw = draw,
                                         .range_last = 9,
                                         .is_given = true,
                                         .given = 7};
    for (uint32_t i = 0; i < 2; i++) {
        digests[i] = bench_digest(4 + i, 0);
        entries[i] = (struct manifest_entry){
            .agency = 4 + i,
            .attempt = 1,
            .plan = {1, BATCH_BYTES_MIN, false},
            .declaration = bench_declaration(bench, 4 + i, 1),
            .digests = &digests[i],
            .bets = &bets,
        };
    }
    cr_assert_eq(manifest_create(&terms, entries, agencies, bench->hasher, &manifest), STATUS_OK);
    return manifest;
}

static inline struct manifest *make_manifest(struct bench *bench, uint32_t draw)
{
    return make_manifest_of(bench, draw, 1);
}

static inline void send_manifest(struct bench *bench, uint64_t peer,
                                 const struct manifest *manifest)
{
    struct slice packed = manifest_packed(manifest);
    struct message part = {
        .kind = MESSAGE_MANIFEST_PART,
        .draw = manifest_terms(manifest)->draw,
        .part = {.parts = 1, .manifest_bytes = packed.bytes, .root = *manifest_root(manifest)},
    };
    bench_report(bench, peer, &part, packed);
}

#endif
