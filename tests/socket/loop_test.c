/* Requests and the order of a turn: what reaches the core, and that what it decides is journaled
 * before anything of the turn leaves. */
#include "tests/socket/loop_fixture.h"

TestSuite(loop, .init = begin, .fini = end, .timeout = 20);

static void *open_plain_dealer(void)
{
    void *dealer = zmq_socket(world.context, ZMQ_DEALER);
    char endpoint[TEXT_BYTES_MAX + 16];
    snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", world.address.host, PORT_DEFAULT);
    int linger = 0;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof(linger));
    cr_assert_eq(zmq_connect(dealer, endpoint), 0);
    return dealer;
}

/* ---- requests ---- */

static void answer_with_its_length(struct broker *broker, const struct heard *heard, void *payload)
{
    (void)payload;
    if (heard->kind == HEARD_REQUEST)
        answer_ok(broker, heard->peer, (uint32_t)heard->header_bytes);
}

static void expect_answer(void *zocket, int envelope_frames, uint32_t agency)
{
    struct frames frames;
    if (!receive(zocket, &frames))
        return;
    struct message message;
    cr_assert_eq(frames.count, envelope_frames + 1);
    cr_assert_eq(message_decode(frames_slice(&frames, envelope_frames), &message), STATUS_OK);
    cr_assert_eq(message.kind, MESSAGE_OK);
    cr_assert_eq(message.ok.agency, agency);
    frames_release(&frames);
    world.step++;
}

static void ask_twice(struct broker *broker)
{
    if (broker->ticks == 1)
        send_frames(world.rendezvous, (struct slice[]){text("12345")}, 1);
    uint32_t step = world.step;
    expect_answer(world.rendezvous, 0, step == 0 ? 5 : 3);
    if (world.step == 1 && step == 0) /* once: several turns may pass before it has arrived */
        send_frames(world.rendezvous, (struct slice[]){text("abc")}, 1);
    if (world.step == 2)
        finish(broker);
}

/* [M-5] */
Test(loop, answers_each_request_to_who_asked)
{
    cr_assert_eq(run(ask_twice, answer_with_its_length), STATUS_END);
    cr_assert_str_eq(world.problem, "the core's own reason");
    cr_assert_eq(world.broker.heard_count, 2);
}

static void *dealer;

/* One at a time: a peer that asks without reading is not sent every answer. */
static void ask_in_strange_shapes(struct broker *broker)
{
    struct slice empty = text("");
    struct slice a = text("a");
    struct slice eight[] = {empty, empty, empty, empty, empty, empty, empty, empty};
    static const uint32_t lengths[] = {4, 0, 0, 6};
    if (broker->ticks == 1) {
        dealer = open_plain_dealer();
        send_frames(dealer, (struct slice[]){text("no envelope"), text("h")}, 2);
        send_frames(dealer, (struct slice[]){a, a, empty, text("1234")}, 4);
    }
    uint32_t step = world.step;
    expect_answer(dealer, 3, lengths[step]);
    if (world.step == step)
        return;
    if (world.step == 1)
        send_frames(dealer, (struct slice[]){a, a, empty, text("h"), text("x")}, 5);
    if (world.step == 2)
        send_frames(dealer, (struct slice[]){a, a, empty}, 3);
    if (world.step == 3) {
        send_frames(dealer, eight, 8);
        send_frames(dealer, (struct slice[]){a, a, empty, text("123456")}, 4);
    }
    if (world.step == 4)
        finish(broker);
}

Test(loop, gives_the_core_an_empty_header_for_a_request_of_strange_shape)
{
    cr_assert_eq(run(ask_in_strange_shapes, answer_with_its_length), STATUS_END);
    cr_assert_eq(world.broker.heard_count, 4);
    cr_assert_eq(zmq_close(dealer), 0);
}

/* ---- order of a turn ---- */

static void decide_and_answer(struct broker *broker, const struct heard *heard, void *payload)
{
    (void)payload;
    if (heard->kind == HEARD_REQUEST) {
        struct record record = {.kind = RECORD_STORE, .store = {{9}}};
        records_add(broker->records, &record);
        answer_ok(broker, heard->peer, 1);
        broker->noted++;
    } else if (heard->kind == HEARD_COMMITTED && world.step == 0) {
        struct record record = {.kind = RECORD_STORE, .store = {{10}}};
        records_add(broker->records, &record);
        world.step = 1;
        cr_assert_eq(broker->taken, 1, "what was said of the transaction before is true by now");
        broker->noted++;
    }
}

/* The log goes into a pipe from here on. */
static int log_pipe[2];

static void catch_log(void)
{
    cr_assert_eq(pipe(log_pipe), 0);
    cr_assert_geq(dup2(log_pipe[1], STDERR_FILENO), 0);
    cr_assert_eq(close(log_pipe[1]), 0);
}

/* Nothing is caught any more. returns all that was. */
static const char *caught_log(void)
{
    static char lines[8192];
    cr_assert_geq(dup2(STDOUT_FILENO, STDERR_FILENO), 0);
    ssize_t bytes = read(log_pipe[0], lines, sizeof(lines) - 1);
    lines[bytes > 0 ? bytes : 0] = '\0';
    return lines;
}

static void ask_once(struct broker *broker)
{
    if (broker->ticks == 1)
        send_frames(world.rendezvous, (struct slice[]){text("x")}, 1);
    expect_answer(world.rendezvous, 0, 1);
    if (world.step == 2)
        finish(broker);
}

static void ask_once_and_look(struct broker *broker)
{
    if (broker->noted == 1)
        cr_assert_eq(broker->taken, 0, "the turn is not durable yet");
    ask_once(broker);
}

static enum status count_record(void *count, const struct record *record)
{
    (void)record;
    (*(uint32_t *)count)++;
    return STATUS_OK;
}

/* [M-26] [M-28] */
Test(loop, journals_until_no_record_is_left_and_sends_only_then)
{
    cr_assert_eq(run(ask_once, decide_and_answer), STATUS_END);
    const struct heard *heard = world.broker.heard;
    cr_assert_eq(world.broker.heard_count, 3);
    cr_assert_eq(heard[0].kind, HEARD_REQUEST);
    for (int index = 1; index <= 2; index++) {
        cr_assert_eq(heard[index].kind, HEARD_COMMITTED);
        cr_assert_eq(heard[index].outbox_count, 1, "the answer waits for the transaction");
    }
    uint32_t count = 0;
    cr_assert_eq(journal_load(world.journal, count_record, &count), STATUS_OK);
    cr_assert_eq(count, 2);
}

Test(loop, writes_the_lines_of_a_turn_once_it_is_durable)
{
    catch_log();
    cr_assert_eq(run(ask_once_and_look, decide_and_answer), STATUS_END);
    const char *lines = caught_log();
    cr_assert_not_null(strstr(lines, "event: 1"), "%s", lines);
    cr_assert_not_null(strstr(lines, "event: 2"), "%s", lines);
}

static void ask_for_ever(struct broker *broker)
{
    struct frames frames;
    if (broker->ticks == 1)
        send_frames(world.rendezvous, (struct slice[]){text("x")}, 1);
    cr_assert_not(receive(world.rendezvous, &frames), "an answer left without its record");
}

/* [M-26] [M-28] */
Test(loop, sends_and_says_nothing_of_a_turn_that_could_not_be_journaled)
{
    open_journal(&world.rival);
    catch_log();
    cr_assert_eq(run(ask_for_ever, decide_and_answer), STATUS_FENCED);
    const char *lines = caught_log();
    cr_assert_null(strstr(lines, "event"), "%s", lines);
    cr_assert_not_null(strstr(world.problem, "belongs to a newer broker"));
    cr_assert_eq(world.broker.heard_count, 1);
    loop_destroy(&world.loop); /* waits for whatever would still leave */
    struct frames frames;
    cr_assert_not(receive(world.rendezvous, &frames));
}

static void decide_and_give_up(struct broker *broker, const struct heard *heard, void *payload)
{
    if (payload != NULL) {
        struct message forward = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = {.number = 1}};
        outbox_forward(broker->outbox, 1, &forward, payload);
    } else {
        decide_and_answer(broker, heard, payload);
    }
    broker->verdict = STATUS_FENCED;
}

Test(loop, decides_nothing_after_the_cores_own_verdict)
{
    catch_log();
    cr_assert_eq(run(ask_for_ever, decide_and_give_up), STATUS_FENCED);
    const char *lines = caught_log();
    cr_assert_null(strstr(lines, "event"), "%s", lines);
    cr_assert_str_eq(world.problem, "the core's own reason");
    uint32_t count = 0;
    cr_assert_eq(journal_load(world.journal, count_record, &count), STATUS_OK);
    cr_assert_eq(count, 0);
}

static void raise_signal(struct broker *broker)
{
    cr_assert_lt(broker->ticks, 3);
    if (broker->ticks == 2)
        cr_assert_eq(raise(SIGTERM), 0);
}

Test(loop, ends_with_a_signal)
{
    cr_assert_eq(run(raise_signal, NULL), STATUS_INTERRUPTED);
    cr_assert_eq(world.broker.ticks, 2);
}

Test(loop, refuses_ports_that_are_taken)
{
    struct loop *second = NULL;
    char problem[TEXT_BYTES_MAX];
    cr_assert_eq(loop_create(&world.address, &second, problem, sizeof(problem)), STATUS_BUSY);
    cr_assert_not_null(strstr(problem, "cannot bind"), "%s", problem);
    cr_assert_null(second);
}
