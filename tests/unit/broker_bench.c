#include "tests/unit/broker_bench.h"

#include <criterion/criterion.h>

#include "proto/wire/item.h"
#include "proto/wire/seqset.h"

enum { MESSAGES = 4096, ARENA = 8 << 20, RECORDS = 256 };

static void release(void *payload)
{
    int *payloads = payload;
    cr_assert_gt(*payloads, 0, "released once more than given");
    --*payloads;
}

void bench_options(struct broker_options *options)
{
    *options = (struct broker_options){
        .terms =
            {.number = {.draw = 1, .range_first = 0, .range_last = 9, .is_given = true, .given = 7},
             .agencies_required = 2,
             .quorum = 1},
        .draws = 1,
        .linger_ms = 30000,
        .store_grace_ms = 10000,
        .lease_ms = LEASE_MS,
        .queue_bytes = 1 << 20,
    };
}

static void start(struct bench *bench)
{
    cr_assert_eq(broker_create(&bench->options, bench->outbox, bench->records, &bench->archive,
                               release, &bench->broker),
                 STATUS_OK);
    bench->epoch = journal_memory_open(bench->journal);
}

/* Starts what was restored; a failure stays in the broker's verdict. */
static enum status begin(struct bench *bench)
{
    struct epoch epoch = {bench->epoch, {{(uint8_t)bench->epoch, 0xb0}}};
    enum status status = journal_memory_load(bench->journal, bench->broker);
    if (status == STATUS_OK)
        status = broker_start(bench->broker, &epoch, bench->now_ms);
    if (status == STATUS_OK)
        bench_turn(bench);
    return status;
}

void bench_open(struct bench *bench, const struct broker_options *options)
{
    *bench = (struct bench){.options = *options, .now_ms = 1000000, .wall_ms = 1700000000000};
    bench->journal = journal_memory_create();
    journal_memory_archive(bench->journal, &bench->archive);
    cr_assert_eq(outbox_create(MESSAGES, ARENA, &bench->outbox), STATUS_OK);
    cr_assert_eq(records_create(RECORDS, ARENA, &bench->records), STATUS_OK);
    cr_assert_eq(hasher_create(&bench->hasher), STATUS_OK);
    start(bench);
    cr_assert_eq(begin(bench), STATUS_OK);
}

void bench_begin(struct bench *bench)
{
    struct broker_options options;
    bench_options(&options);
    bench_open(bench, &options);
}

enum status bench_restart(struct bench *bench)
{
    broker_destroy(&bench->broker);
    outbox_reset(bench->outbox);
    records_reset(bench->records);
    start(bench);
    return begin(bench);
}

void bench_close(struct bench *bench)
{
    broker_destroy(&bench->broker);
    outbox_destroy(&bench->outbox);
    records_destroy(&bench->records);
    hasher_destroy(&bench->hasher);
    journal_memory_destroy(&bench->journal);
}

enum status bench_verdict(const struct bench *bench)
{
    const char *problem;
    return broker_verdict(bench->broker, &problem);
}

/* The end of a turn: everything recorded is durable before anything counts as sent. */
static void commit(struct bench *bench)
{
    while (records_count(bench->records) > 0) {
        cr_assert_eq(journal_memory_apply(bench->journal, &bench->epoch, bench->records),
                     STATUS_OK);
        records_reset(bench->records);
        broker_committed(bench->broker, bench->now_ms);
    }
}

void bench_turn(struct bench *bench)
{
    bench->next_at = broker_tick(bench->broker, bench->now_ms, bench->wall_ms);
    commit(bench);
}

void bench_pass(struct bench *bench, int64_t ms)
{
    int64_t step_ms = bench->options.lease_ms / 4;
    while (ms > 0) {
        int64_t by_ms = ms < step_ms ? ms : step_ms;
        bench->now_ms += by_ms;
        bench->wall_ms += by_ms;
        ms -= by_ms;
        outbox_reset(bench->outbox);
        bench_turn(bench);
    }
}

static struct slice encode(const struct message *message, uint8_t *buffer, size_t buffer_bytes)
{
    size_t bytes = 0;
    cr_assert_eq(message_encode(message, buffer, buffer_bytes, &bytes), STATUS_OK);
    return (struct slice){buffer, bytes};
}

bool bench_sent(struct bench *bench, enum port port, uint64_t peer, enum message_kind kind,
                size_t n, struct message *message, struct slice *body)
{
    for (size_t i = 0; i < outbox_count(bench->outbox); i++) {
        const struct outbound *sent = outbox_at(bench->outbox, i);
        struct message decoded;
        cr_assert_eq(message_decode(sent->header, &decoded), STATUS_OK);
        if (sent->port != port || (peer != 0 && sent->peer != peer) || decoded.kind != kind ||
            n-- > 0)
            continue;
        if (message != NULL)
            *message = decoded;
        if (body != NULL)
            *body = sent->body;
        return true;
    }
    return false;
}

void bench_request(struct bench *bench, uint64_t token, const struct message *request)
{
    uint8_t buffer[HEADER_BYTES_MAX];
    broker_on_request(bench->broker, token, encode(request, buffer, sizeof buffer), bench->now_ms,
                      bench->wall_ms);
}

struct message bench_ask(struct bench *bench, const struct message *request, struct slice *body)
{
    static uint64_t token = 1000;
    struct message answer = {0};

    outbox_reset(bench->outbox);
    bench_request(bench, ++token, request);
    bench_turn(bench);
    size_t answers = 0;
    for (size_t i = 0; i < outbox_count(bench->outbox); i++) {
        const struct outbound *sent = outbox_at(bench->outbox, i);
        if (sent->port != PORT_RENDEZVOUS || sent->peer != token)
            continue;
        cr_assert_eq(message_decode(sent->header, &answer), STATUS_OK);
        if (body != NULL)
            *body = sent->body;
        answers++;
    }
    cr_assert_eq(answers, 1, "%zu answers to one request", answers);
    return answer;
}

void bench_bets(struct bench *bench, const struct message *message, size_t body_bytes)
{
    uint8_t buffer[HEADER_BYTES_MAX];
    bool has_payload = message->kind == MESSAGE_BATCH;
    outbox_reset(bench->outbox);
    bench->payloads += has_payload;
    broker_on_bets(bench->broker, encode(message, buffer, sizeof buffer), body_bytes,
                   has_payload ? &bench->payloads : NULL, bench->now_ms);
    bench_turn(bench);
}

void bench_hear(struct bench *bench, uint64_t peer, const struct message *message,
                struct slice body)
{
    uint8_t buffer[HEADER_BYTES_MAX];
    broker_on_worker(bench->broker, peer, encode(message, buffer, sizeof buffer), body,
                     bench->now_ms);
}

void bench_report(struct bench *bench, uint64_t peer, const struct message *message,
                  struct slice body)
{
    outbox_reset(bench->outbox);
    bench_hear(bench, peer, message, body);
    bench_turn(bench);
}

void bench_pass_heard(struct bench *bench, uint64_t peer, int64_t ms)
{
    const struct message pong = {.kind = MESSAGE_PONG};
    for (; ms > 0; ms -= LEASE_MS / 4) {
        bench_report(bench, peer, &pong, (struct slice){0});
        bench_pass(bench, ms < LEASE_MS / 4 ? ms : LEASE_MS / 4);
    }
}

void bench_fill_outbox(struct bench *bench, size_t room_bytes)
{
    while (outbox_has_room(bench->outbox, 0, room_bytes + 1))
        (void)outbox_reserve(bench->outbox, 1);
}

void bench_fill_records(struct bench *bench, size_t room)
{
    const struct record dropped = {.kind = RECORD_DROPPED, /* a question that was never asked */
                                   .draw = UINT32_MAX,
                                   .dropped_question = UINT32_MAX};
    while (records_has_room(bench->records, room + 1, 0))
        records_add(bench->records, &dropped);
}

void bench_fill_record_bytes(struct bench *bench, size_t room_bytes)
{
    static const uint8_t page[PAGE_BYTES_MAX];
    const uint32_t nobody = UINT32_MAX; /* asked that question */
    struct record dropped = {.kind = RECORD_DROPPED, .draw = nobody, .dropped_question = nobody};
    struct record found = {.kind = RECORD_FOUND, .draw = nobody};
    found.found.question = nobody;
    found.found.body = (struct slice){page, sizeof page};
    for (size_t bytes = sizeof page; bytes > 0; bytes /= 2)
        for (found.found.body.bytes = bytes;
             records_has_room(bench->records, 1, room_bytes + bytes);)
            records_add(bench->records, &found);
    records_add(bench->records, &dropped);
}

unsigned bench_lines(struct bench *bench, const char *word, const char *other)
{
    struct broker_event event;
    unsigned count = 0;
    while (broker_next_event(bench->broker, &event))
        count += strstr(event.text, word) != NULL && strstr(event.text, other) != NULL;
    return count;
}

void bench_hello(struct bench *bench, uint32_t agency, uint32_t attempt)
{
    struct message hello = {
        .kind = MESSAGE_HELLO,
        .draw = bench->options.terms.number.draw,
        .hello = {.agency = agency,
                  .incarnation = 1,
                  .attempt = attempt,
                  .plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    struct message answer = bench_ask(bench, &hello, NULL);
    cr_assert_eq(answer.kind, MESSAGE_ADMITTED, "HELLO is answered %s", message_name(answer.kind));
}

struct message bench_registration(uint8_t id, uint64_t opening)
{
    return (struct message){
        .kind = MESSAGE_REGISTER,
        .registration = {.store = {{id, 2, 3, 4}},
                         .opening = {opening, {{id, 1}}},
                         .free_bytes = 1 << 30},
    };
}

void bench_report_item(struct bench *bench, uint64_t peer, const struct item_inventory *item)
{
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct message inventory = {.kind = MESSAGE_INVENTORY,
                                .inventory = {.is_last = true, .items = 1}};
    cr_assert_eq(item_pack_inventory(buffer, sizeof buffer, &bytes, item), STATUS_OK);
    bench_report(bench, peer, &inventory, (struct slice){buffer, bytes});
}

void bench_store(struct bench *bench, uint64_t peer, uint8_t id, uint64_t opening)
{
    struct message registration = bench_registration(id, opening);
    struct message inventory = {.kind = MESSAGE_INVENTORY, .inventory = {.is_last = true}};
    struct message credit = {.kind = MESSAGE_CREDIT, .credit = {.admitted_bytes = 1 << 20}};

    bench_report(bench, peer, &registration, (struct slice){0});
    bench_report(bench, peer, &inventory, (struct slice){0});
    cr_assert(bench_sent(bench, PORT_DISPATCH, peer, MESSAGE_WELCOME, 0, NULL, NULL));
    bench_report(bench, peer, &credit, (struct slice){0});
}

struct digest bench_digest(uint32_t agency, uint32_t seq)
{
    struct digest digest = {{0xd1, (uint8_t)agency, (uint8_t)(seq >> 8), (uint8_t)seq}};
    return digest;
}

void bench_batch(struct bench *bench, uint32_t agency, uint32_t seq)
{
    struct message batch = {
        .kind = MESSAGE_BATCH,
        .draw = 1,
        .batch = {.agency = agency,
                  .attempt = 1,
                  .seq = seq,
                  .count = 1,
                  .digest = bench_digest(agency, seq)},
    };
    bench_bets(bench, &batch, 100);
}

void bench_stored(struct bench *bench, uint64_t peer, uint32_t agency, uint32_t seq)
{
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_stored item = {.seq = seq, .bets = 1, .digest = bench_digest(agency, seq)};
    struct message stored = {
        .kind = MESSAGE_STORED,
        .draw = 1,
        .stored = {.agency = agency, .attempt = 1, .items = 1},
    };
    cr_assert_eq(item_pack_stored(buffer, sizeof buffer, &bytes, &item), STATUS_OK);
    bench_report(bench, peer, &stored, (struct slice){buffer, bytes});
}

struct declaration bench_declaration(struct bench *bench, uint32_t agency, uint32_t batches)
{
    struct declaration declaration = {.batches = batches, .bets = batches};
    struct tree tree;
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < batches; seq++) {
        struct digest digest = bench_digest(agency, seq);
        tree_add(&tree, bench->hasher, &digest);
    }
    tree_head(&tree, bench->hasher, &declaration.root);
    return declaration;
}

struct message bench_poll_of(struct bench *bench, uint32_t agency, int batches)
{
    struct message poll = {
        .kind = MESSAGE_POLL,
        .draw = 1,
        .poll = {.agency = agency, .incarnation = 1, .attempt = 1, .round = 1},
    };
    if (batches >= 0) {
        poll.poll.has_declaration = true;
        poll.poll.declaration = bench_declaration(bench, agency, (uint32_t)batches);
    }
    return poll;
}

struct message bench_poll(struct bench *bench, uint32_t agency, int batches)
{
    const struct message poll = bench_poll_of(bench, agency, batches);
    return bench_ask(bench, &poll, NULL);
}

void bench_expect_conflict(struct bench *bench, uint32_t agency, uint32_t seq)
{
    struct message answer = bench_poll(bench, agency, -1);
    cr_assert_eq(answer.kind, MESSAGE_REFUSED, "answered %s", message_name(answer.kind));
    cr_assert_eq(answer.refused.reason, REFUSAL_CONFLICT);
    cr_assert_eq(answer.refused.seq, seq);
}

void bench_sealed(struct bench *bench, uint64_t peer, const struct digest *root)
{
    struct message sealed = {.kind = MESSAGE_SEALED, .draw = 1, .sealed = {.root = *root}};
    bench_report(bench, peer, &sealed, (struct slice){0});
}

struct message bench_counted(const struct message *count, uint64_t bets, uint64_t winners)
{
    return (struct message){
        .kind = MESSAGE_COUNTED,
        .draw = count->draw,
        .counted = {.question_epoch = count->count.question_epoch,
                    .question = count->count.question,
                    .bets = bets,
                    .winners = winners,
                    .items = count->count.items},
    };
}

bool bench_ranges_have(struct slice ranges, uint32_t seq)
{
    struct range_cursor cursor;
    struct range range;
    if (range_open(&cursor, ranges) != STATUS_OK)
        return false;
    while (range_next(&cursor, &range) == STATUS_OK)
        if (seq >= range.first && seq - range.first < range.count)
            return true;
    return false;
}
