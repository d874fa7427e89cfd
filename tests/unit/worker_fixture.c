/* See worker_fixture.h. */
#include "tests/unit/worker_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/pack.h"
#include "proto/wire/seqset.h"

static const struct intake_settings SETTINGS = {.commit_bytes = 1 << 20, .commit_ms = 10};

/* ---- the worker ---- */

static void start(struct fixture *fixture)
{
    disk_begin(&fixture->disk, fixture->store);
    cr_assert_eq(worker_create(&SETTINGS, &fixture->disk.store, fixture->outbox, &fixture->worker),
                 STATUS_OK);
}

void fixture_begin(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    machine_reset();
    fixture->now_ms = 1000000;
    fixture->epoch = (struct epoch){.number = 3, .id = {{0xe0}}};
    cr_assert_eq(hasher_create(&fixture->hasher), STATUS_OK);
    cr_assert_eq(store_memory_create(&(struct id){{0x5a}}, &(struct id){{0xb7}}, &fixture->store),
                 STATUS_OK);
    cr_assert_eq(outbox_create(WORKER_OUTBOX_MESSAGES, WORKER_OUTBOX_BYTES, &fixture->outbox),
                 STATUS_OK);
    start(fixture);
}

void fixture_end(struct fixture *fixture)
{
    sent_forget(fixture);
    worker_destroy(&fixture->worker);
    outbox_destroy(&fixture->outbox);
    store_close(&fixture->store);
    hasher_destroy(&fixture->hasher);
}

void fixture_restart(struct fixture *fixture)
{
    worker_destroy(&fixture->worker);
    outbox_reset(fixture->outbox);
    store_memory_crash(fixture->store, &(struct id){{0xb8}});
    sent_forget(fixture);
    start(fixture);
}

static uint8_t *copy(struct slice bytes)
{
    uint8_t *copied = malloc(bytes.bytes + 1);
    cr_assert_not_null(copied);
    if (bytes.bytes > 0)
        memcpy(copied, bytes.data, bytes.bytes);
    return copied;
}

/* Takes what the worker wants sent, and its notes. */
static void collect(struct fixture *fixture)
{
    for (size_t i = 0; i < outbox_count(fixture->outbox); i++) {
        const struct outbound *outbound = outbox_at(fixture->outbox, i);
        cr_assert_lt(fixture->sent_count, SENT_MAX);
        cr_assert_eq(outbound->port, PORT_DISPATCH);
        struct sent *sent = &fixture->sent[fixture->sent_count++];
        sent->header = copy(outbound->header);
        sent->body_bytes = copy(outbound->body);
        sent->body = (struct slice){sent->body_bytes, outbound->body.bytes};
        struct slice header = {sent->header, outbound->header.bytes};
        cr_assert_eq(message_decode(header, &sent->message), STATUS_OK);
        cr_assert_eq(message_has_body(sent->message.kind), outbound->has_body);
    }
    outbox_reset(fixture->outbox);
    struct note note;
    while (worker_take_note(fixture->worker, &note)) {
        fixture->notes[note.kind]++;
        fixture->last_note[note.kind] = note;
    }
}

void fixture_turn(struct fixture *fixture)
{
    RUN_CORE(fixture->deadline = worker_tick(fixture->worker, fixture->now_ms));
    collect(fixture);
}

void fixture_settle(struct fixture *fixture)
{
    fixture->deadline = fixture->now_ms;
    for (int turns = 0; fixture->deadline <= fixture->now_ms; turns++) {
        cr_assert_lt(turns, 10000, "the worker never has enough");
        enum worker_state state = worker_state(fixture->worker);
        if (state == WORKER_APART || state == WORKER_OVER)
            return;
        fixture_turn(fixture);
    }
}

void fixture_wait(struct fixture *fixture, int64_t ms)
{
    int64_t end_ms = fixture->now_ms + ms;
    fixture_settle(fixture);
    while (fixture->deadline < end_ms && fixture->deadline > fixture->now_ms) {
        fixture->now_ms = fixture->deadline;
        fixture_settle(fixture);
    }
    fixture->now_ms = end_ms;
    fixture_settle(fixture);
}

/* ---- the broker ---- */

static size_t encode(const struct message *message, uint8_t *buffer)
{
    size_t bytes = 0;
    cr_assert_eq(message_encode(message, buffer, HEADER_BYTES_MAX, &bytes), STATUS_OK);
    return bytes;
}

void broker_says(struct fixture *fixture, struct message message, const struct slice *body)
{
    uint8_t header[HEADER_BYTES_MAX];
    message.epoch = fixture->epoch;
    struct slice frames[2] = {{header, encode(&message, header)}};
    if (body != NULL)
        frames[1] = *body;
    RUN_CORE(worker_receive(fixture->worker, frames, body != NULL ? 2 : 1, fixture->now_ms));
    collect(fixture);
}

void broker_says_kind(struct fixture *fixture, enum message_kind kind, uint32_t draw)
{
    broker_says(fixture, (struct message){.kind = kind, .draw = draw}, NULL);
}

void broker_welcomes(struct fixture *fixture)
{
    struct message welcome = {.kind = MESSAGE_WELCOME, .welcome = {LEASE_MS, FRAME_BYTES_MAX}};
    broker_says(fixture, welcome, NULL);
}

void broker_forwards(struct fixture *fixture, const struct made *made, bool is_declared)
{
    uint8_t forward[256];
    uint8_t header[256];
    size_t bytes;
    struct message message = {.kind = MESSAGE_FORWARD,
                              .draw = made->draw,
                              .epoch = fixture->epoch,
                              .forward = {is_declared}};
    struct slice frames[3] = {{forward, 0}, {header, 0}, made->body};
    cr_assert_eq(message_encode(&message, forward, sizeof forward, &bytes), STATUS_OK);
    frames[0].bytes = bytes;
    message = (struct message){.kind = MESSAGE_BATCH, .draw = made->draw, .batch = made->header};
    cr_assert_eq(message_encode(&message, header, sizeof header, &bytes), STATUS_OK);
    frames[1].bytes = bytes;
    RUN_CORE(worker_receive(fixture->worker, frames, 3, fixture->now_ms));
    collect(fixture);
}

void fixture_welcome(struct fixture *fixture)
{
    fixture_settle(fixture);
    for (int i = 0; i < 1000 && worker_state(fixture->worker) == WORKER_REGISTERING; i++) {
        broker_says_kind(fixture, MESSAGE_PING, 0);
        fixture_settle(fixture);
    }
    cr_assert_eq(worker_state(fixture->worker), WORKER_AWAITING);
    broker_welcomes(fixture);
    cr_assert_eq(worker_state(fixture->worker), WORKER_SERVING);
}

void fixture_dial(struct fixture *fixture)
{
    RUN_CORE(worker_dialed(fixture->worker, fixture->now_ms));
    collect(fixture);
}

void fixture_register(struct fixture *fixture)
{
    fixture_dial(fixture);
    fixture_welcome(fixture);
}

void fixture_come_back(struct fixture *fixture)
{
    fixture_restart(fixture);
    fixture_register(fixture);
    sent_forget(fixture);
}

/* ---- batches and manifests ---- */

struct made make_batch(uint32_t draw, uint32_t agency, uint32_t attempt, uint32_t seq,
                       uint32_t bets, uint32_t first)
{
    struct plan plan = {.bets_max = BATCH_BETS_MAX, .bytes_max = BATCH_BYTES_MAX};
    struct made made = {.draw = draw, .buffer = malloc(batch_buffer_bytes(&plan))};
    cr_assert_not_null(made.buffer);
    struct batch_builder builder;
    batch_begin(&builder, &plan, made.buffer);
    for (uint32_t i = 0; i < bets; i++) {
        char document[16];
        int length = snprintf(document, sizeof document, "%u", 30000000 + i);
        struct bet bet = {
            .first_name = {(const uint8_t *)"Ana", 3},
            .last_name = {(const uint8_t *)"Paz", 3},
            .document = {(const uint8_t *)document, (size_t)length},
            .birthdate = {(const uint8_t *)"1990-02-03", 10},
            .number = first + i,
        };
        cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    }
    made.body = batch_end(&builder);
    made.header = (struct message_batch){agency, attempt, seq, bets, {{0}}};
    struct hasher *hasher;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    digest_batch(hasher, draw, agency, seq, bets, made.body, &made.header.digest);
    hasher_destroy(&hasher);
    return made;
}

void made_free(struct made *made)
{
    free(made->buffer);
    made->buffer = NULL;
}

struct batch_record made_record(const struct made *made)
{
    return (struct batch_record){
        .identity = {made->draw, made->header.agency, made->header.attempt, made->header.seq},
        .bets = made->header.count,
        .digest = made->header.digest,
    };
}

struct manifest *make_manifest(struct fixture *fixture, const struct made *batches, size_t count,
                               uint32_t number)
{
    struct digest digests[MADE_BATCHES_MAX];
    uint32_t bets[MADE_BATCHES_MAX];
    cr_assert(count > 0 && count <= MADE_BATCHES_MAX);
    struct tree tree;
    struct manifest_entry entry = {
        .agency = batches[0].header.agency,
        .attempt = batches[0].header.attempt,
        .plan = {BATCH_BETS_MAX, BATCH_BYTES_MAX, false},
        .declaration = {.batches = (uint32_t)count},
        .digests = digests,
        .bets = bets,
    };
    tree_begin(&tree);
    for (size_t i = 0; i < count; i++) {
        digests[i] = batches[i].header.digest;
        bets[i] = batches[i].header.count;
        entry.declaration.bets += bets[i];
        tree_add(&tree, fixture->hasher, &digests[i]);
    }
    tree_head(&tree, fixture->hasher, &entry.declaration.root);
    struct manifest_terms terms = {.draw = batches[0].draw,
                                   .range_last = 9999,
                                   .is_given = true,
                                   .given = number};
    struct manifest *manifest;
    cr_assert_eq(manifest_create(&terms, &entry, 1, fixture->hasher, &manifest), STATUS_OK);
    return manifest;
}

static uint32_t count_parts(const struct manifest *manifest)
{
    return (uint32_t)((manifest_packed(manifest).bytes + CHUNK_BYTES_MAX - 1) / CHUNK_BYTES_MAX);
}

void broker_seals_part(struct fixture *fixture, const struct manifest *manifest, uint32_t part)
{
    struct slice packed = manifest_packed(manifest);
    size_t begin = (size_t)part * CHUNK_BYTES_MAX;
    size_t left = packed.bytes - begin;
    struct slice body = {packed.data + begin, left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX};
    struct message message = {
        .kind = MESSAGE_SEAL,
        .draw = manifest_terms(manifest)->draw,
        .part = {part, count_parts(manifest), packed.bytes, *manifest_root(manifest)},
    };
    broker_says(fixture, message, &body);
}

void broker_seals(struct fixture *fixture, const struct manifest *manifest)
{
    for (uint32_t part = 0; part < count_parts(manifest); part++)
        broker_seals_part(fixture, manifest, part);
}

void fixture_rot_attempt(struct fixture *fixture, const struct manifest *manifest, uint8_t agency)
{
    struct slice packed = manifest_packed(manifest);
    size_t at = 0; /* of its entry, a short array: agency, attempt, … (manifest.h) */
    while (at + 2 < packed.bytes && ((packed.data[at] & 0xf0) != 0x90 ||
                                     packed.data[at + 1] != agency || packed.data[at + 2] != 1))
        at++;
    cr_assert_lt(at + 2, packed.bytes, "it has no such entry");
    cr_assert(store_memory_rot_manifest(fixture->store, manifest_terms(manifest)->draw,
                                        8 * (at + 2) + 1));
}

void broker_asks(struct fixture *fixture, const struct manifest *manifest, uint32_t question,
                 uint32_t agency, uint32_t attempt, uint32_t first, uint32_t count)
{
    uint8_t ranges[32];
    struct packer packer;
    pack_begin(&packer, ranges, sizeof ranges);
    pack_array(&packer, 2);
    pack_unsigned(&packer, first);
    pack_unsigned(&packer, count);
    struct item_share share = {agency, attempt, {ranges, packer.bytes}};
    uint8_t buffer[128];
    struct slice body = {buffer, 0};
    cr_assert_eq(item_pack_share(buffer, sizeof buffer, &body.bytes, &share), STATUS_OK);
    struct message message = {
        .kind = MESSAGE_COUNT,
        .draw = manifest_terms(manifest)->draw,
        .count = {*manifest_root(manifest), fixture->epoch.number, question, 1},
    };
    broker_says(fixture, message, &body);
}

/* ---- what was sent ---- */

size_t sent_of(const struct fixture *fixture, enum message_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < fixture->sent_count; i++)
        count += fixture->sent[i].message.kind == kind;
    return count;
}

const struct sent *sent_get(const struct fixture *fixture, enum message_kind kind, size_t index)
{
    for (size_t i = 0; i < fixture->sent_count; i++) {
        if (fixture->sent[i].message.kind == kind && index-- == 0)
            return &fixture->sent[i];
    }
    cr_assert_fail("%s was not sent as often", message_name(kind));
    return NULL;
}

const struct sent *sent_last(const struct fixture *fixture, enum message_kind kind)
{
    size_t count = sent_of(fixture, kind);
    cr_assert_gt(count, 0, "%s was not sent", message_name(kind));
    return sent_get(fixture, kind, count - 1);
}

void sent_forget(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->sent_count; i++) {
        free(fixture->sent[i].header);
        free(fixture->sent[i].body_bytes);
    }
    fixture->sent_count = 0;
    memset(fixture->notes, 0, sizeof fixture->notes);
}

void sent_expect_returned(const struct sent *sent, uint32_t first, uint32_t count)
{
    cr_expect_eq(sent->message.returned.agency, 7);
    cr_expect_eq(sent->message.returned.attempt, 1);
    struct range_cursor cursor;
    struct range range;
    cr_assert_eq(range_open(&cursor, sent->message.returned.seqs), STATUS_OK);
    cr_assert_eq(range_next(&cursor, &range), STATUS_OK);
    cr_expect_eq(range.first, first);
    cr_expect_eq(range.count, count);
    cr_expect_eq(range_next(&cursor, &range), STATUS_END);
}
