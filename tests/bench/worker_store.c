/* How fast a worker's core takes batches in: headers decoded, digest, every bet checked, put
 * into LMDB, committed in groups and acknowledged; no sockets. Prints one line: what was
 * measured, and the rate.  worker_store FOLDER [BATCH_BYTES [BETS [COMMIT_BYTES]]]  FOLDER is an
 * empty folder on the disk that is to be measured. Blocks that were never written are slower:
 * run it twice in the same folder, with another draw each time, to see which case it is. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "proto/host/clock.h"
#include "proto/host/random.h"
#include "proto/wire/check.h"
#include "worker/lmdb_space.h"
#include "worker/store_lmdb.h"
#include "worker/worker.h"

enum { VARIANTS = 64 }; /* bodies that the batches take in turn */

struct variant {
    uint8_t *buffer;
    struct slice body;
    uint32_t bets;
};

struct bench {
    struct store *store;
    struct outbox *outbox;
    struct worker *worker;
    struct hasher *hasher;
    struct epoch epoch;
    struct variant variants[VARIANTS];
    struct digest *digests; /* owned: of each batch, made before the clock runs */
    uint64_t admitted_bytes;
    uint64_t stored_bets;
};

/* Takes what the worker says: its credit and its acknowledgements. */
static void listen(struct bench *bench)
{
    struct note note;
    while (worker_take_note(bench->worker, &note)) {
        if (note.kind == NOTE_STORED)
            bench->stored_bets += note.number;
    }
    for (size_t i = 0; i < outbox_count(bench->outbox); i++) {
        struct message message;
        CHECK(message_decode(outbox_at(bench->outbox, i)->header, &message) == STATUS_OK);
        CHECK(message.kind != MESSAGE_REJECTED && message.kind != MESSAGE_RETURNED);
        if (message.kind == MESSAGE_CREDIT)
            bench->admitted_bytes = message.credit.admitted_bytes;
    }
    outbox_reset(bench->outbox);
}

static struct slice encode(struct message *message, uint8_t buffer[512])
{
    size_t bytes;
    CHECK(message_encode(message, buffer, 512, &bytes) == STATUS_OK);
    return (struct slice){buffer, bytes};
}

static void say(struct bench *bench, struct message message)
{
    uint8_t buffer[512];
    message.epoch = bench->epoch;
    struct slice frame = encode(&message, buffer);
    worker_receive(bench->worker, &frame, 1, clock_now_ms());
    listen(bench);
}

static void register_worker(struct bench *bench)
{
    worker_dialed(bench->worker, clock_now_ms());
    while (worker_state(bench->worker) == WORKER_REGISTERING) {
        worker_tick(bench->worker, clock_now_ms());
        say(bench, (struct message){.kind = MESSAGE_PING});
    }
    say(bench, (struct message){.kind = MESSAGE_WELCOME, .welcome = {LEASE_MS, FRAME_BYTES_MAX}});
    CHECK(worker_state(bench->worker) == WORKER_SERVING);
}

/* Bets of names as long as they usually are: 45 bytes on the average. */
static void make_variant(struct variant *variant, const struct plan *plan, uint32_t seed)
{
    variant->buffer = malloc(batch_buffer_bytes(plan));
    CHECK(variant->buffer != NULL);
    struct batch_builder builder;
    batch_begin(&builder, plan, variant->buffer);
    enum status status = STATUS_OK;
    for (uint32_t i = seed; status == STATUS_OK; i++) {
        char document[16];
        int length = snprintf(document, sizeof document, "%08u", 10000000 + i * 7919 % 40000000);
        struct bet bet = {
            .first_name = {(const uint8_t *)"Santiago Lionel", 4 + i % 12},
            .last_name = {(const uint8_t *)"Lorca Fernandez", 4 + i * 7 % 12},
            .document = {(const uint8_t *)document, (size_t)length},
            .birthdate = {(const uint8_t *)"1999-03-17", 10},
            .number = i % 10000,
        };
        status = batch_add(&builder, &bet);
    }
    variant->bets = builder.bets;
    variant->body = batch_end(&builder);
}

/* Forwards one batch. returns the bytes of its body. */
static size_t forward(struct bench *bench, uint32_t draw, uint32_t seq)
{
    const struct variant *variant = &bench->variants[seq % VARIANTS];
    struct message batch = {.kind = MESSAGE_BATCH,
                            .draw = draw,
                            .batch = {seq % 5, 1, seq / 5, variant->bets, bench->digests[seq]}};
    struct message message = {.kind = MESSAGE_FORWARD, .draw = draw, .epoch = bench->epoch};
    uint8_t buffers[2][512];
    struct slice frames[3] = {encode(&message, buffers[0]), encode(&batch, buffers[1]),
                              variant->body};
    worker_receive(bench->worker, frames, 3, clock_now_ms());
    listen(bench);
    return variant->body.bytes;
}

/* returns how many batches hold `bets` bets. */
static uint32_t make_digests(struct bench *bench, uint32_t draw, uint64_t bets)
{
    uint32_t batches = 0;
    for (uint64_t held = 0; held < bets; batches++)
        held += bench->variants[batches % VARIANTS].bets;
    bench->digests = calloc((size_t)batches + 1, sizeof *bench->digests);
    CHECK(bench->digests != NULL);
    for (uint32_t seq = 0; seq < batches; seq++) {
        const struct variant *variant = &bench->variants[seq % VARIANTS];
        digest_batch(bench->hasher, draw, seq % 5, seq / 5, variant->bets, variant->body,
                     &bench->digests[seq]);
    }
    return batches;
}

static void open_bench(struct bench *bench, const char *folder, uint32_t commit_bytes)
{
    char problem[2048] = "";
    struct store_lmdb_settings lmdb = {.folder = folder, .reserve_bytes = SPACE_RESERVE_BYTES};
    struct intake_settings settings = {.commit_bytes = commit_bytes, .commit_ms = 10};
    random_id(&lmdb.id);
    random_id(&lmdb.opening_id);
    if (store_lmdb_open(&lmdb, &bench->store, problem, sizeof problem) != STATUS_OK) {
        fprintf(stderr, "worker_store: %s\n", problem);
        exit(EX_IOERR);
    }
    bench->epoch = (struct epoch){.number = 1};
    CHECK(hasher_create(&bench->hasher) == STATUS_OK);
    CHECK(outbox_create(WORKER_OUTBOX_MESSAGES, WORKER_OUTBOX_BYTES, &bench->outbox) == STATUS_OK);
    CHECK(worker_create(&settings, bench->store, bench->outbox, &bench->worker) == STATUS_OK);
}

static void close_bench(struct bench *bench)
{
    for (uint32_t i = 0; i < VARIANTS; i++)
        free(bench->variants[i].buffer);
    free(bench->digests);
    worker_destroy(&bench->worker);
    outbox_destroy(&bench->outbox);
    store_close(&bench->store);
    hasher_destroy(&bench->hasher);
}

static uint64_t argument(int argc, char **argv, int index, uint64_t otherwise)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: worker_store FOLDER [BATCH_BYTES [BETS [COMMIT_BYTES]]]\n", stderr);
        return EX_USAGE;
    }
    struct plan plan = {.bets_max = BATCH_BETS_MAX,
                        .bytes_max = (uint32_t)argument(argc, argv, 2, BATCH_BYTES_DEFAULT)};
    uint64_t bets = argument(argc, argv, 3, 10000000);
    struct bench bench = {.store = NULL};
    open_bench(&bench, argv[1], (uint32_t)argument(argc, argv, 4, 4 << 20));
    for (uint32_t i = 0; i < VARIANTS; i++)
        make_variant(&bench.variants[i], &plan, i * 1000);
    register_worker(&bench);

    uint32_t draw = (uint32_t)(clock_wall_ms() / 10 % INT32_MAX) + 1;
    uint32_t batches = make_digests(&bench, draw, bets);
    uint64_t bytes = 0;
    int64_t begin_ms = clock_now_ms();
    clock_t begin_cpu = clock();
    for (uint32_t seq = 0; seq < batches; seq++)
        bytes += forward(&bench, draw, seq);
    worker_drain(bench.worker, clock_now_ms()); /* commits the last group */
    listen(&bench);
    clock_t taken_cpu = clock() - begin_cpu;
    int64_t taken_ms = clock_now_ms() - begin_ms + 1;
    printf("batch_bytes: %u | bets: %llu | ms: %lld | cpu_ms: %lld | M bets/s: %.2f | MB/s: %.0f\n",
           plan.bytes_max, (unsigned long long)bench.stored_bets, (long long)taken_ms,
           (long long)taken_cpu * 1000 / CLOCKS_PER_SEC,
           (double)bench.stored_bets / 1000.0 / (double)taken_ms,
           (double)bytes / 1000.0 / (double)taken_ms);
    close_bench(&bench);
    return EX_OK;
}
