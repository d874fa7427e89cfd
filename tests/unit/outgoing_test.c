/* Bodies that wait, and how a batch leaves. */
#include <criterion/criterion.h>

#include <limits.h>
#include <poll.h>

#include "agency/outgoing.h"
#include "tests/unit/agency_stage.h"
#include "tests/unit/bets_file.h"

TestSuite(outgoing, .timeout = 20);

enum { BATCHES = 20, SOCKET_MESSAGES = 8 };

struct bench {
    struct stage stage;
    struct outgoing outgoing;
    struct bets_file file;
    struct reader *reader;
    void *context;
    void *pull;
    void *bets;
};

static void *open_socket(void *context, int type)
{
    const int none = 0, few = SOCKET_MESSAGES / 2;
    void *opened = zmq_socket(context, type);
    cr_assert_eq(zmq_setsockopt(opened, ZMQ_LINGER, &none, sizeof(none)), 0);
    cr_assert_eq(zmq_setsockopt(opened, ZMQ_SNDHWM, &few, sizeof(few)), 0);
    cr_assert_eq(zmq_setsockopt(opened, ZMQ_RCVHWM, &few, sizeof(few)), 0);
    return opened;
}

/* An agency that is admitted, a reader that cuts a file into BATCHES batches of one bet. */
static void begin_with(struct bench *bench, uint32_t batches)
{
    *bench = (struct bench){.file = bets_create(batches, UINT_MAX)};
    const struct agency_terms terms = stage_terms();
    stage_begin(&bench->stage, &terms);
    stage_admit(&bench->stage, 0);
    const struct reader_terms reading = {.cutter = bets_terms(1)};
    cr_assert_eq(reader_create(bench->file.source, &bench->reader), STATUS_OK);
    cr_assert_eq(reader_start(bench->reader, &reading), STATUS_OK);
    bench->context = zmq_ctx_new();
    bench->pull = open_socket(bench->context, ZMQ_PULL);
    bench->bets = open_socket(bench->context, ZMQ_PUSH);
    cr_assert_eq(zmq_bind(bench->pull, "inproc://bets"), 0);
    cr_assert_eq(zmq_connect(bench->bets, "inproc://bets"), 0);
}

static void begin(struct bench *bench)
{
    begin_with(bench, BATCHES);
}

static void end(struct bench *bench)
{
    reader_stop(bench->reader);
    outgoing_clear(&bench->outgoing);
    cr_assert_eq(bench->outgoing.count, 0);
    zmq_close(bench->bets);
    zmq_close(bench->pull);
    zmq_ctx_term(bench->context);
    reader_destroy(&bench->reader); /* checks that every payload has come back */
    bets_destroy(&bench->file);
    stage_end(&bench->stage);
}

static struct reading take(struct bench *bench)
{
    struct reading reading;
    while (reader_take(bench->reader, &reading) != STATUS_OK) {
        struct pollfd item = {.fd = reader_descriptor(bench->reader), .events = POLLIN};
        cr_assert_eq(poll(&item, 1, 10000), 1);
    }
    return reading;
}

/* Takes over `batches` batches from the reader. */
static void keep(struct bench *bench, uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++) {
        struct reading reading = take(bench);
        cr_assert_eq(reading.kind, READING_BATCH);
        agency_on_cut(bench->stage.agency, 0, &reading.cut);
        outgoing_keep(&bench->outgoing, bench->stage.agency, reading.seq, reading.payload);
    }
}

static bool send(struct bench *bench)
{
    return outgoing_send(&bench->outgoing, bench->stage.agency, bench->reader, bench->bets, 0);
}

/* Receives the next batch, and checks that it is batch seq, whole. */
static void expect_batch(struct bench *bench, uint32_t seq)
{
    uint8_t header[256], body[512];
    uint32_t document;
    struct message message;
    int header_bytes = zmq_recv(bench->pull, header, sizeof(header), 0);
    cr_assert_gt(header_bytes, 0);
    int body_bytes = zmq_recv(bench->pull, body, sizeof(body), 0);
    cr_assert_gt(body_bytes, 0);
    const struct slice frame = {.data = header, .bytes = (size_t)header_bytes};
    cr_assert_eq(message_decode(frame, &message), STATUS_OK);
    cr_assert_eq(message.kind, MESSAGE_BATCH);
    cr_assert_eq(message.batch.seq, seq);
    const struct slice bets = {.data = body, .bytes = (size_t)body_bytes};
    cr_assert_eq(bets_in(bets, &document, 1), 1);
    cr_assert_eq(document, seq);
}

Test(outgoing, batches_leave_in_order_with_their_bodies)
{
    struct bench bench;
    begin(&bench);
    keep(&bench, 3);
    cr_assert_not(send(&bench), "nothing more to send");
    for (uint32_t seq = 0; seq < 3; seq++)
        expect_batch(&bench, seq);
    cr_assert_eq(bench.outgoing.count, 0);
    end(&bench);
}

Test(outgoing, socket_that_takes_no_more_blocks_and_loses_nothing)
{
    struct bench bench;
    begin(&bench);
    keep(&bench, BATCHES);
    cr_assert_not(send(&bench));
    cr_assert(bench.outgoing.is_blocked);
    uint32_t waiting = bench.outgoing.count;
    cr_assert_gt(waiting, 0);
    cr_assert_not(send(&bench));
    cr_assert_eq(bench.outgoing.count, waiting);
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        expect_batch(&bench, seq);
        zmq_pollitem_t item = {.socket = bench.bets, .events = ZMQ_POLLOUT};
        bench.outgoing.is_blocked = zmq_poll(&item, 1, 0) == 0;
        (void)send(&bench);
    }
    cr_assert_eq(bench.outgoing.count, 0);
    end(&bench);
}

Test(outgoing, body_that_is_not_here_is_asked_of_the_reader)
{
    struct bench bench;
    begin(&bench);
    keep(&bench, 2);
    (void)send(&bench);
    expect_batch(&bench, 0);
    expect_batch(&bench, 1);
    stage_tell(&bench.stage, 1, 0, 1, 1); /* 0 is missing */
    cr_assert_not(send(&bench));
    struct reading reading;
    while ((reading = take(&bench)).kind == READING_BATCH)
        payload_release(reading.payload);
    while (reading.kind != READING_AGAIN)
        reading = take(&bench);
    cr_assert_eq(reading.seq, 0);
    outgoing_keep(&bench.outgoing, bench.stage.agency, 0, reading.payload);
    (void)send(&bench);
    expect_batch(&bench, 0);
    end(&bench);
}

Test(outgoing, bodies_that_are_not_wanted_go_back)
{
    struct bench bench;
    begin(&bench);
    keep(&bench, 5);
    stage_tell(&bench.stage, 0, 3, 0, 0); /* 0, 1, 2 are durable already */
    outgoing_sift(&bench.outgoing, bench.stage.agency);
    cr_assert_eq(bench.outgoing.count, 2);
    (void)send(&bench);
    expect_batch(&bench, 3);
    expect_batch(&bench, 4);
    end(&bench);
}

Test(outgoing, body_that_nobody_wants_is_not_taken_over)
{
    struct bench bench;
    begin(&bench);
    struct reading reading = take(&bench); /* the core has not heard of it */
    outgoing_keep(&bench.outgoing, bench.stage.agency, reading.seq, reading.payload);
    cr_assert_eq(bench.outgoing.count, 0);
    end(&bench);
}

/* Waits for a reading and takes it over. */
static void keep_any(struct bench *bench)
{
    struct reading reading = take(bench);
    if (reading.kind == READING_BATCH)
        agency_on_cut(bench->stage.agency, 0, &reading.cut);
    if (reading.payload != NULL)
        outgoing_keep(&bench->outgoing, bench->stage.agency, reading.seq, reading.payload);
}

static void unblock(struct bench *bench)
{
    zmq_pollitem_t item = {.socket = bench->bets, .events = ZMQ_POLLOUT};
    bench->outgoing.is_blocked = zmq_poll(&item, 1, 0) == 0;
}

/* Sends, with what the reader brings, until a batch has come. */
static void send_until_one_comes(struct bench *bench)
{
    zmq_pollitem_t item = {.socket = bench->pull, .events = ZMQ_POLLIN};
    unblock(bench);
    (void)send(bench);
    while (zmq_poll(&item, 1, 0) < 1) {
        keep_any(bench);
        (void)send(bench);
    }
}

/* A link that breaks again and again: what is missing lies before all that waits with a body, and
 * every body is taken. */
Test(outgoing, missing_batch_gets_a_body_when_all_of_them_wait_behind_it)
{
    struct bench bench;
    begin_with(&bench, 2 * READER_PAYLOADS_MAX);
    const uint32_t all = READER_PAYLOADS_MAX - READER_RESERVE;
    keep(&bench, all);
    cr_assert_not(send(&bench));
    cr_assert(bench.outgoing.is_blocked);
    const uint32_t sent = all - bench.outgoing.count;
    cr_assert_geq(sent, 3);
    for (uint32_t seq = 0; seq < sent; seq++)
        expect_batch(&bench, seq);
    keep(&bench, sent);
    unblock(&bench);
    stage_tell(&bench.stage, 1, 1, 1, sent - 2); /* the last one that was sent is missing */
    cr_assert_not(send(&bench));
    keep_any(&bench);
    cr_assert_eq(bench.outgoing.count, READER_PAYLOADS_MAX);
    stage_tell(&bench.stage, 1, 1, 0, 0); /* now those before it as well */
    for (uint32_t seq = 1; seq < all + sent; seq++) {
        send_until_one_comes(&bench);
        expect_batch(&bench, seq);
    }
    end(&bench);
}
