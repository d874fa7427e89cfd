/* How fast one core does what is done for each bet and each batch: packing bets, checking a body,
 * finding a number in it, hashing. Prints a line for each.  hot_path [MS]  MS: how long each is
 * repeated, 500 unless told. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "proto/wire/batch.h"
#include "proto/wire/check.h"
#include "proto/wire/digest.h"

enum { LEAF_BYTES = 65 }; /* of a tree's inner node: 01 and two digests */

static struct {
    struct plan plan;
    struct hasher *hasher;
    uint8_t *buffer;
    struct slice body;
    uint32_t bets;
    uint64_t kept; /* of every result, so that none is left out */
} bench;

/* Bets of the lengths that names and documents usually have. returns how many. */
static uint64_t pack_batch(void)
{
    struct batch_builder builder;
    batch_begin(&builder, &bench.plan, bench.buffer);
    struct bet bet = {.document = {(const uint8_t *)"30904465", 8},
                      .birthdate = {(const uint8_t *)"1999-03-17", 10}};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK; i++) {
        bet.first_name = (struct slice){(const uint8_t *)"Santiago Lionel", 4 + i % 12};
        bet.last_name = (struct slice){(const uint8_t *)"Lorca Fernandez", 4 + i * 7 % 12};
        bet.number = i % 10000;
        status = batch_add(&builder, &bet);
    }
    bench.bets = builder.bets;
    bench.body = batch_end(&builder);
    return bench.bets;
}

static uint64_t check_batch(void)
{
    uint32_t row;
    CHECK(batch_check(bench.body, bench.bets, &row) == FAULT_NONE);
    return bench.bets;
}

static uint64_t count_batch(void)
{
    struct batch_cursor cursor;
    struct bet bet;
    uint32_t row;
    CHECK(batch_open(&cursor, bench.body) == STATUS_OK);
    while (batch_find_number(&cursor, 7574, &row, &bet) == STATUS_OK)
        bench.kept += row;
    return bench.bets;
}

static uint64_t hash(size_t bytes)
{
    struct digest digest;
    const struct slice piece = {bench.body.data, bytes};
    hasher_sum(bench.hasher, &piece, 1, &digest);
    bench.kept += digest.bytes[0];
    return 1;
}

static uint64_t hash_node(void)
{
    return hash(LEAF_BYTES);
}

static uint64_t hash_batch(void)
{
    return hash(bench.body.bytes);
}

/* As hash_node, without what a hasher keeps between two sums. */
static uint64_t hash_node_one_shot(void)
{
    uint8_t digest[DIGEST_BYTES];
    CHECK(EVP_Digest(bench.body.data, LEAF_BYTES, digest, NULL, EVP_sha256(), NULL) == 1);
    bench.kept += digest[0];
    return 1;
}

/* Repeats it for so long. returns the ns of processor time that each unit took. */
static double measure(uint64_t (*work)(void), clock_t clocks)
{
    uint64_t units = work();
    clock_t begin = clock();
    clock_t taken;
    do
        for (int i = 0; i < 16; i++)
            units += work();
    while ((taken = clock() - begin) < clocks);
    return (double)taken * 1e9 / CLOCKS_PER_SEC / (double)units;
}

int main(int argc, char **argv)
{
    clock_t clocks = (argc > 1 ? strtol(argv[1], NULL, 10) : 500) * (CLOCKS_PER_SEC / 1000);
    bench.plan = (struct plan){.bets_max = BATCH_BETS_MAX, .bytes_max = BATCH_BYTES_DEFAULT};
    bench.buffer = malloc(batch_buffer_bytes(&bench.plan));
    CHECK(bench.buffer != NULL && hasher_create(&bench.hasher) == STATUS_OK);
    printf("pack: %.1f M bets/s\n", 1e3 / measure(pack_batch, clocks));
    printf("check: %.1f M bets/s\n", 1e3 / measure(check_batch, clocks));
    printf("count: %.1f M bets/s\n", 1e3 / measure(count_batch, clocks));
    printf("hash a node of a tree: %.0f ns | one shot: %.0f ns\n", measure(hash_node, clocks),
           measure(hash_node_one_shot, clocks));
    printf("hash a batch: %.2f GB/s\n", (double)bench.body.bytes / measure(hash_batch, clocks));
    hasher_destroy(&bench.hasher);
    free(bench.buffer);
    return bench.kept == 0 ? EX_SOFTWARE : EX_OK;
}
