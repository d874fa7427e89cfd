/* Batches, workers and results: which shapes reach the core, that a batch is forwarded as it was
 * received, and what a turn does when it has no room. */
#include "proto/host/clock.h"
#include "tests/socket/loop_fixture.h"

TestSuite(loop_batches, .init = begin, .fini = end, .timeout = 20);

static struct slice encode_batch(uint32_t seq, uint8_t *buffer)
{
    struct message batch = {.kind = MESSAGE_BATCH, .draw = 1};
    batch.batch = (struct message_batch){.agency = 4, .attempt = 1, .seq = seq, .count = 1};
    return encode(&batch, buffer);
}

static struct slice encode_mark(uint8_t *buffer)
{
    struct message mark = {.kind = MESSAGE_MARK, .draw = 1};
    mark.mark = (struct message_mark){.agency = 4, .attempt = 1, .incarnation = 7, .round = 1};
    return encode(&mark, buffer);
}

static bool heard_is(const struct heard *heard, struct slice header)
{
    return heard->header_bytes == header.bytes &&
           memcmp(heard->header, header.data, header.bytes) == 0;
}

/* ---- bets ---- */

static void send_bets_of_all_shapes(struct broker *broker)
{
    uint8_t batch_buffer[1024];
    uint8_t mark_buffer[1024];
    uint8_t other_buffer[1024];
    struct slice batch = encode_batch(3, batch_buffer);
    struct slice mark = encode_mark(mark_buffer);
    struct message bye = {.kind = MESSAGE_BYE, .draw = 1};
    struct slice other = encode(&bye, other_buffer);
    struct slice body = text("body");
    if (broker->ticks == 1) {
        send_frames(world.bets, (struct slice[]){batch}, 1);
        send_frames(world.bets, (struct slice[]){mark, body}, 2);
        send_frames(world.bets, (struct slice[]){batch, body, body}, 3);
        send_frames(world.bets, (struct slice[]){text("junk"), body}, 2);
        send_frames(world.bets, (struct slice[]){text("")}, 1);
        send_frames(world.bets, (struct slice[]){other}, 1);
        send_frames(world.bets,
                    (struct slice[]){body, body, body, body, body, body, body, body, body}, 9);
        send_frames(world.bets, (struct slice[]){batch, body}, 2);
        send_frames(world.bets, (struct slice[]){mark}, 1);
    }
    if (broker->heard_count < 2)
        return;
    cr_assert(heard_is(&broker->heard[0], batch));
    cr_assert_eq(broker->heard[0].body_bytes, 4);
    cr_assert(heard_is(&broker->heard[1], mark));
    cr_assert_eq(broker->heard[1].body_bytes, 0);
    finish(broker);
}

Test(loop_batches, gives_the_core_batches_with_a_body_and_marks_without)
{
    cr_assert_eq(run(send_bets_of_all_shapes, NULL), STATUS_END);
    cr_assert_eq(world.broker.heard_count, 2);
}

enum { TURNS_HELD_BACK = 100 };

static int64_t held_back_at;

static void hold_back(struct broker *broker)
{
    uint8_t buffer[1024];
    if (broker->ticks == 1) {
        held_back_at = clock_now_ms();
        broker->refuses_bets = true;
        send_frames(world.bets, (struct slice[]){encode_mark(buffer)}, 1);
        send_frames(world.rendezvous, (struct slice[]){text("x")}, 1);
    }
    if (broker->refuses_bets && broker->heard_count == 1 && world.step++ == TURNS_HELD_BACK) {
        cr_assert_eq(broker->heard[0].kind, HEARD_REQUEST, "control goes on");
        cr_assert_geq(clock_now_ms() - held_back_at, TURNS_HELD_BACK / 2,
                      "what waits in the socket wakes nobody: a turn a millisecond");
        broker->refuses_bets = false;
    }
    if (broker->heard_count == 2)
        finish(broker);
}

static void hear_no_refused_bets(struct broker *broker, const struct heard *heard, void *payload)
{
    cr_assert_null(payload);
    cr_assert_not(heard->kind == HEARD_BETS && broker->refuses_bets);
}

Test(loop_batches, reads_bets_only_while_the_core_wants_them)
{
    cr_assert_eq(run(hold_back, hear_no_refused_bets), STATUS_END);
    cr_assert_eq(world.broker.heard[1].kind, HEARD_BETS);
}

/* ---- workers ---- */

static uint64_t peers[2];
static uint32_t peers_count;
static uint8_t large[100000];

/* Each worker says a word; the batch that then comes is forwarded to the second of them. */
static void forward_to_second(struct broker *broker, const struct heard *heard, void *payload)
{
    if (heard->kind == HEARD_WORKER)
        peers[peers_count++] = heard->peer;
    if (payload == NULL)
        return;
    struct message forward = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = {.number = 8}};
    forward.forward.is_declared = true;
    outbox_forward(broker->outbox, peers[1], &forward, payload);
}

static void expect_forwarded(struct broker *broker)
{
    uint8_t buffer[1024];
    struct slice batch = encode_batch(5, buffer);
    if (broker->ticks == 1)
        send_frames(world.worker[0], (struct slice[]){text("first")}, 1);
    if (broker->heard_count == 1 && world.step == 0) {
        send_frames(world.worker[1], (struct slice[]){text("second"), text("body")}, 2);
        world.step = 1;
    }
    if (broker->heard_count == 2 && world.step == 1) {
        memset(large, 'b', sizeof(large));
        send_frames(world.bets, (struct slice[]){batch, {large, sizeof(large)}}, 2);
        world.step = 2;
    }
    struct frames frames;
    cr_assert_not(receive(world.worker[0], &frames));
    if (!receive(world.worker[1], &frames))
        return;
    struct message message;
    cr_assert_eq(frames.count, 3);
    cr_assert_eq(message_decode(frames_slice(&frames, 0), &message), STATUS_OK);
    cr_assert_eq(message.kind, MESSAGE_FORWARD);
    cr_assert(message.forward.is_declared);
    cr_assert_eq(message.epoch.number, 8);
    cr_assert(slice_is_equal(frames_slice(&frames, 1), batch));
    cr_assert(slice_is_equal(frames_slice(&frames, 2), (struct slice){large, sizeof(large)}));
    frames_release(&frames);
    finish(broker);
}

/* [M-17] */
Test(loop_batches, forwards_a_batch_as_it_was_received_to_the_worker_that_is_named)
{
    cr_assert_eq(run(expect_forwarded, forward_to_second), STATUS_END);
    const struct heard *heard = world.broker.heard;
    cr_assert(heard_is(&heard[0], text("first")));
    cr_assert_eq(heard[0].body_bytes, 0);
    cr_assert(heard_is(&heard[1], text("second")));
    cr_assert_eq(heard[1].body_bytes, 4);
    cr_assert_neq(peers[0], peers[1]);
}

static void *named;

static void send_worker_shapes(struct broker *broker)
{
    if (broker->ticks == 1) {
        named = zmq_socket(world.context, ZMQ_DEALER);
        char endpoint[TEXT_BYTES_MAX + 16];
        snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", world.address.host, PORT_DEFAULT + 3);
        cr_assert_eq(zmq_setsockopt(named, ZMQ_ROUTING_ID, "me", 2), 0);
        cr_assert_eq(zmq_connect(named, endpoint), 0);
        send_frames(named, (struct slice[]){text("named")}, 1);
        struct slice one = text("1");
        send_frames(world.worker[0], (struct slice[]){one, one, one}, 3);
        send_frames(world.worker[0], (struct slice[]){one, one, one, one, one, one, one, one, one},
                    9);
        send_frames(world.worker[0], (struct slice[]){text("good")}, 1);
    }
    if (broker->heard_count == 1 && world.step++ == 100)
        finish(broker);
}

Test(loop_batches, drops_what_is_no_message_of_a_worker)
{
    cr_assert_eq(run(send_worker_shapes, NULL), STATUS_END);
    cr_assert_eq(world.broker.heard_count, 1);
    cr_assert(heard_is(&world.broker.heard[0], text("good")));
    cr_assert_eq(zmq_close(named), 0);
}

static void drop_a_batch(struct broker *broker, const struct heard *heard, void *payload)
{
    (void)heard;
    struct message forward = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = {.number = 8}};
    outbox_forward(broker->outbox, 0x0011223344, &forward, payload);
    finish(broker);
}

static void send_a_batch(struct broker *broker)
{
    uint8_t buffer[1024];
    if (broker->ticks == 1)
        send_frames(world.bets, (struct slice[]){encode_batch(5, buffer), text("body")}, 2);
}

Test(loop_batches, lets_a_batch_go_whose_worker_is_gone)
{
    cr_assert_eq(run(send_a_batch, drop_a_batch), STATUS_END);
}

/* ---- a manifest's chunks ---- */

static void seal_to_both(struct broker *broker, const struct heard *heard, void *payload)
{
    (void)payload;
    peers[peers_count++] = heard->peer;
    if (peers_count < 2)
        return;
    for (uint32_t manifest = 0; manifest < 2; manifest++)
        for (uint32_t part = 0; part < 2; part++)
            for (uint32_t worker = 0; worker < 2; worker++) {
                struct message seal = {.kind = MESSAGE_SEAL, .draw = 1, .epoch = {.number = 1}};
                seal.part = (struct message_part){.part = part,
                                                  .parts = 2,
                                                  .manifest_bytes = CHUNK_BYTES_MAX + 3,
                                                  .root = {{(uint8_t)(manifest + 1)}}};
                size_t at = 50000 * manifest + 10000 * part;
                struct slice body = {large + at, part == 0 ? CHUNK_BYTES_MAX / 8 : 3};
                outbox_send(broker->outbox, PORT_DISPATCH, peers[worker], &seal, &body);
            }
}

static void expect_seals(struct broker *broker)
{
    static uint32_t got[2];
    if (broker->ticks == 1) {
        for (size_t index = 0; index < sizeof(large); index++)
            large[index] = (uint8_t)(index / 1000);
        send_frames(world.worker[0], (struct slice[]){text("first")}, 1);
        send_frames(world.worker[1], (struct slice[]){text("second")}, 1);
    }
    for (uint32_t worker = 0; worker < 2; worker++) {
        struct frames frames;
        if (!receive(world.worker[worker], &frames))
            continue;
        uint32_t manifest = got[worker] / 2;
        uint32_t part = got[worker] % 2;
        struct slice body = {large + 50000 * manifest + 10000 * part,
                             part == 0 ? CHUNK_BYTES_MAX / 8 : 3};
        struct message message;
        cr_assert_eq(message_decode(frames_slice(&frames, 0), &message), STATUS_OK);
        cr_assert_eq(message.part.part, part);
        cr_assert_eq(message.part.root.bytes[0], manifest + 1);
        cr_assert(slice_is_equal(frames_slice(&frames, 1), body));
        frames_release(&frames);
        got[worker]++;
    }
    if (got[0] == 4 && got[1] == 4)
        finish(broker);
}

Test(loop_batches, sends_every_store_the_chunks_of_the_manifest_that_is_meant)
{
    cr_assert_eq(run(expect_seals, seal_to_both), STATUS_END);
}

/* ---- results ---- */

static void publish(struct broker *broker)
{
    static const uint32_t agencies[] = {10, 1};
    struct slice body = text("winners");
    for (size_t index = 0; index < 2; index++) {
        struct message result = {.kind = MESSAGE_RESULT, .draw = 7};
        result.result = (struct message_result){.agency = agencies[index], .number = 7574};
        outbox_send(broker->outbox, PORT_WINNERS, 0, &result, &body);
    }
    struct frames frames;
    if (broker->ticks == 1)
        cr_assert_eq(socket_subscribe(world.winners, "winners/7/1/"), STATUS_OK);
    if (!receive(world.winners, &frames))
        return;
    struct message message;
    cr_assert_eq(frames.count, 3);
    cr_assert(slice_is_equal(frames_slice(&frames, 0), text("winners/7/1/")));
    cr_assert_eq(message_decode(frames_slice(&frames, 1), &message), STATUS_OK);
    cr_assert_eq(message.result.agency, 1);
    cr_assert(slice_is_equal(frames_slice(&frames, 2), body));
    frames_release(&frames);
    if (world.step++ == 3)
        finish(broker);
}

Test(loop_batches, publishes_each_result_under_its_agencys_topic_alone)
{
    cr_assert_eq(run(publish, NULL), STATUS_END);
}

/* ---- no room ---- */

/* Answers with as much as one event may make; 64 of them are more than the outbox holds. */
static void answer_with_much(struct broker *broker, const struct heard *heard, void *payload)
{
    (void)payload;
    cr_assert(outbox_has_room(broker->outbox, 256, 512 << 10));
    cr_assert(records_has_room(broker->records, 2 * AGENCIES_MAX + 64, 1 << 20));
    struct message ping = {.kind = MESSAGE_PING, .epoch = {.number = 1}};
    if (heard->kind == HEARD_WORKER)
        for (int index = 0; index < 256; index++)
            outbox_send(broker->outbox, PORT_DISPATCH, heard->peer, &ping, NULL);
}

static void expect_much(struct broker *broker)
{
    cr_assert(outbox_has_room(broker->outbox, 256, 512 << 10), "a tick has room too");
    if (broker->ticks == 1)
        for (int index = 0; index < 60; index++)
            send_frames(world.worker[0], (struct slice[]){text("x")}, 1);
    struct frames frames;
    while (receive(world.worker[0], &frames)) {
        frames_release(&frames);
        world.step++;
    }
    if (world.step == 60 * 256)
        finish(broker);
}

Test(loop_batches, sends_in_between_when_a_turn_has_no_room_for_another_event)
{
    cr_assert_eq(run(expect_much, answer_with_much), STATUS_END);
    cr_assert_eq(world.broker.heard_count, 60);
}
