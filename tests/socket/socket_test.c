/* What sockets of each purpose do to messages. */
#include "tests/socket/socket_fixture.h"

TestSuite(socket, .init = begin, .timeout = 20);

static void assert_frame(struct frames *frames, int index, const char *text)
{
    cr_assert(slice_is_equal(frames_slice(frames, index), slice_of(text)), "frame %d", index);
}

/* ---- the four ways ---- */

Test(socket, batches_travel_from_push_to_pull_in_order_and_whole)
{
    void *bets = open_socket(SOCKET_BROKER_BETS);
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    struct frames frames = {.count = 0};
    cr_assert_eq(socket_receive(bets, &frames), STATUS_AGAIN);
    for (int i = 0; i < 100; i++) {
        char header[16];
        snprintf(header, sizeof header, "%d", i);
        send_text(agency, header, true);
        cr_assert_eq(socket_send(agency, slice_of("body"), false), STATUS_OK);
        receive(bets, &frames);
        cr_assert_eq(frames.count, 2);
        assert_frame(&frames, 0, header);
        assert_frame(&frames, 1, "body");
        frames_release(&frames);
    }
    cr_assert_eq(socket_receive(bets, &frames), STATUS_AGAIN);
    cr_assert_eq(frames.count, 0);
    socket_close(&agency);
    socket_close(&bets);
    cr_assert_null(bets);
    end();
}

Test(socket, push_without_a_broker_would_block_and_keeps_the_message)
{
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    cr_assert_eq(socket_send(agency, slice_of("x"), false), STATUS_AGAIN);
    zmq_msg_t message;
    zmq_msg_init_size(&message, 3);
    memcpy(zmq_msg_data(&message), "abc", 3);
    cr_assert_eq(socket_send_message(agency, &message, false), STATUS_AGAIN);
    cr_assert_eq(zmq_msg_size(&message), 3);
    cr_assert_arr_eq(zmq_msg_data(&message), "abc", 3);
    zmq_msg_close(&message);
    socket_close(&agency);
    end();
}

Test(socket, push_is_bounded_while_the_broker_does_not_read)
{
    enum { BYTES = 256 * 1024, SENT_MAX = 200 };
    void *bets = open_socket(SOCKET_BROKER_BETS);
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    static uint8_t body[BYTES];
    struct slice frame = {.data = body, .bytes = BYTES};
    int sent = 0;
    zmq_pollitem_t item = {.socket = agency, .events = ZMQ_POLLOUT};
    wait_for(agency, ZMQ_POLLOUT);
    while (sent < SENT_MAX && zmq_poll(&item, 1, 200) == 1)
        sent += socket_send(agency, frame, false) == STATUS_OK;
    cr_assert_gt(sent, 1);
    cr_assert_lt(sent, SENT_MAX, "50 MB went out and nobody read");
    socket_close(&agency);
    socket_close(&bets);
    end();
}

/* [M-1] */
Test(socket, reply_reaches_the_request_that_was_asked_last)
{
    void *rendezvous = open_socket(SOCKET_BROKER_RENDEZVOUS);
    void *agency = open_socket(SOCKET_AGENCY_RENDEZVOUS);
    struct frames first = {.count = 0};
    struct frames second = {.count = 0};
    send_text(agency, "first", false);
    receive(rendezvous, &first);
    send_text(agency, "second", false); /* RELAXED: without an answer to the first */
    receive(rendezvous, &second);

    struct frames *const asked[] = {&first, &second};
    for (int r = 0; r < 2; r++) {
        struct frames *frames = asked[r];
        cr_assert_eq(frames->count, 4, "routing id, request id, delimiter, body");
        cr_assert_eq(frames_slice(frames, 2).bytes, 0);
        for (int i = 0; i < 3; i++) /* the envelope goes back as it came */
            cr_assert_eq(socket_send_message(rendezvous, &frames->frame[i], true), STATUS_OK);
        struct slice body = frames_slice(frames, 3);
        cr_assert_eq(socket_send(rendezvous, body, false), STATUS_OK);
        frames_release(frames);
    }
    struct frames reply = {.count = 0};
    receive(agency, &reply);
    cr_assert_eq(reply.count, 1);
    assert_frame(&reply, 0, "second"); /* CORRELATE: the late reply to the first is passed over */
    frames_release(&reply);
    cr_assert_eq(socket_receive(agency, &reply), STATUS_AGAIN);
    socket_close(&agency);
    socket_close(&rendezvous);
    end();
}

Test(socket, subscriber_hears_its_topic_only)
{
    void *winners = open_socket(SOCKET_BROKER_WINNERS);
    void *agency = open_socket(SOCKET_AGENCY_WINNERS);
    cr_assert_eq(socket_subscribe(agency, "winners/1/1/"), STATUS_OK);
    struct frames frames = {.count = 0};
    zmq_pollitem_t item = {.socket = agency, .events = ZMQ_POLLIN};
    for (int tries = 0; tries < 500 && zmq_poll(&item, 1, 10) == 0; tries++) {
        send_text(winners, "winners/1/10/", true); /* until the subscription has arrived */
        send_text(winners, "other", false);
        send_text(winners, "winners/1/1/", true);
        send_text(winners, "mine", false);
    }
    while (socket_receive(agency, &frames) == STATUS_OK) {
        assert_frame(&frames, 0, "winners/1/1/");
        assert_frame(&frames, 1, "mine");
        frames_release(&frames);
        item.revents = 1;
    }
    cr_assert_neq(item.revents, 0, "the subscriber never heard anything");
    socket_close(&agency);
    socket_close(&winners);
    end();
}

Test(socket, dispatch_routes_to_a_worker_and_knows_when_it_has_gone)
{
    void *dispatch = open_socket(SOCKET_BROKER_DISPATCH);
    void *worker = open_socket(SOCKET_WORKER_DISPATCH);
    cr_assert_eq(socket_send(worker, slice_of("register"), false), STATUS_OK,
                 "waits in the socket until the connection stands");
    struct frames frames = {.count = 0};
    receive(dispatch, &frames);
    cr_assert_eq(frames.count, 2);
    assert_frame(&frames, 1, "register");
    struct slice routing_id = frames_slice(&frames, 0);
    cr_assert_eq(socket_send(dispatch, routing_id, true), STATUS_OK);
    cr_assert_eq(socket_send(dispatch, slice_of("welcome"), false), STATUS_OK);
    struct frames welcome = {.count = 0};
    receive(worker, &welcome);
    assert_frame(&welcome, 0, "welcome");
    frames_release(&welcome);

    socket_close(&worker);
    enum status status = STATUS_OK;
    zmq_pollitem_t never = {.socket = dispatch, .events = ZMQ_POLLIN};
    for (int tries = 0; tries < 500 && status == STATUS_OK; tries++) {
        status = socket_send(dispatch, routing_id, true);
        if (status == STATUS_OK)
            cr_assert_eq(socket_send(dispatch, slice_of("ping"), false), STATUS_OK);
        cr_assert_eq(zmq_poll(&never, 1, 10), 0);
    }
    cr_assert_eq(status, STATUS_UNREACHABLE);
    frames_release(&frames);
    socket_close(&dispatch);
    end();
}

/* [M-3] */
Test(socket, dispatch_drops_nothing_that_a_worker_has_not_read_yet)
{
    enum { MESSAGES = 5000 }; /* far above libzmq's default of 1000 at either end */
    void *dispatch = open_socket(SOCKET_BROKER_DISPATCH);
    void *worker = open_socket(SOCKET_WORKER_DISPATCH);
    send_text(worker, "register", false);
    struct frames frames = {.count = 0};
    receive(dispatch, &frames);
    for (int i = 0; i < MESSAGES; i++) {
        cr_assert_eq(socket_send(dispatch, frames_slice(&frames, 0), true), STATUS_OK);
        cr_assert_eq(socket_send(dispatch, slice_of("batch"), false), STATUS_OK);
    }
    frames_release(&frames);
    for (int i = 0; i < MESSAGES; i++) {
        receive(worker, &frames);
        assert_frame(&frames, 0, "batch");
        frames_release(&frames);
    }
    socket_close(&worker);
    socket_close(&dispatch);
    end();
}

/* ---- frames ---- */

/* [M-6] */
Test(socket, message_with_too_many_frames_is_dropped_and_the_next_one_read)
{
    void *bets = open_socket(SOCKET_BROKER_BETS);
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    struct frames frames = {.count = 0};
    static const int counts[] = {FRAMES_MAX, FRAMES_MAX + 1, 3 * FRAMES_MAX, 1};
    for (int c = 0; c < 4; c++) {
        wait_for(agency, ZMQ_POLLOUT);
        for (int i = 1; i <= counts[c]; i++)
            cr_assert_eq(socket_send(agency, slice_of("x"), i < counts[c]), STATUS_OK);
        wait_for(bets, ZMQ_POLLIN);
        enum status status = socket_receive(bets, &frames);
        cr_assert_eq(status, counts[c] <= FRAMES_MAX ? STATUS_OK : STATUS_MALFORMED);
        cr_assert_eq(frames.count, counts[c] <= FRAMES_MAX ? counts[c] : 0);
        frames_release(&frames);
    }
    frames_release(&frames); /* safe on what is empty */
    socket_close(&agency);
    socket_close(&bets);
    end();
}

/* [M-4] [M-6] */
Test(socket, frame_of_the_largest_size_passes_and_one_byte_more_does_not)
{
    void *bets = open_socket(SOCKET_BROKER_BETS);
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    static uint8_t body[FRAME_BYTES_MAX + 1];
    struct frames frames = {.count = 0};
    wait_for(agency, ZMQ_POLLOUT);
    cr_assert_eq(socket_send(agency, (struct slice){body, FRAME_BYTES_MAX}, false), STATUS_OK);
    receive(bets, &frames);
    cr_assert_eq(frames_slice(&frames, 0).bytes, FRAME_BYTES_MAX);
    frames_release(&frames);
    cr_assert_eq(socket_send(agency, (struct slice){body, FRAME_BYTES_MAX + 1}, false), STATUS_OK);
    zmq_pollitem_t item = {.socket = bets, .events = ZMQ_POLLIN};
    for (int tries = 0; tries < 500 && zmq_poll(&item, 1, 10) == 0; tries++)
        socket_send(agency, slice_of("next"), false); /* lost until the agency has dialled again */
    receive(bets, &frames);
    assert_frame(&frames, 0, "next");
    frames_release(&frames);
    socket_close(&agency);
    socket_close(&bets);
    end();
}
