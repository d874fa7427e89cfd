/* Real sockets on loopback. Each test has an address of 127.0.0.0/8 of its own, made from its
 * process id, so that fixed ports do not collide between tests that run at the same time. */
#include "proto/host/socket.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEADLINE_MS = 5000, SOCKETS = 16 };

static void *context;
static struct address address;

static void begin(void)
{
    unsigned pid = (unsigned)getpid();
    snprintf(address.host, sizeof address.host, "127.%u.%u.%u", 1 + (pid >> 16) % 250,
             (pid >> 8) % 256, 1 + pid % 254);
    address.port = PORT_DEFAULT;
    cr_assert_eq(socket_context_create(SOCKETS, &context), STATUS_OK);
}

/* Last in each test, not its suite's .fini: behind a failed assertion it would wait for open
 * sockets. */
static void end(void)
{
    socket_context_destroy(&context);
    cr_assert_null(context);
}

TestSuite(socket, .init = begin, .timeout = 20);

static void set_host(const char *host)
{
    snprintf(address.host, sizeof address.host, "%s", host);
}

static void *open_socket(enum socket_purpose purpose)
{
    void *zocket = NULL;
    char problem[TEXT_BYTES_MAX] = "";
    cr_assert_eq(socket_open(context, purpose, &address, &zocket, problem, sizeof problem),
                 STATUS_OK, "%s", problem);
    return zocket;
}

static void wait_for(void *zocket, short event)
{
    zmq_pollitem_t item = {.socket = zocket, .events = event};
    cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1, "nothing happened within the deadline");
}

static struct slice slice_of(const char *text)
{
    return (struct slice){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static void send_text(void *zocket, const char *text, bool has_more)
{
    wait_for(zocket, ZMQ_POLLOUT);
    cr_assert_eq(socket_send(zocket, slice_of(text), has_more), STATUS_OK);
}

static void receive(void *zocket, struct frames *frames)
{
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN) { /* a late reply wakes a REQ up for nothing */
        wait_for(zocket, ZMQ_POLLIN);
        status = socket_receive(zocket, frames);
    }
    cr_assert_eq(status, STATUS_OK);
}

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

/* ---- what cannot be opened ---- */

static void assert_problem(enum socket_purpose purpose, enum status expected, const char *sentence)
{
    void *zocket = NULL;
    char problem[TEXT_BYTES_MAX] = "";
    cr_assert_eq(socket_open(context, purpose, &address, &zocket, problem, sizeof problem),
                 expected, "%s", problem);
    cr_assert_null(zocket);
    cr_assert_eq(strncmp(problem, sentence, strlen(sentence)), 0, "%s", problem);
}

Test(socket, address_in_use_is_busy_and_named)
{
    void *bets = open_socket(SOCKET_BROKER_BETS);
    char sentence[TEXT_BYTES_MAX + 64];
    snprintf(sentence, sizeof sentence, "cannot bind %s:5556: Address already in use",
             address.host);
    assert_problem(SOCKET_BROKER_BETS, STATUS_BUSY, sentence);
    socket_close(&bets);
    end();
}

Test(socket, address_of_another_machine_cannot_be_bound)
{
    set_host("192.0.2.1"); /* RFC 5737: nobody's */
    assert_problem(SOCKET_BROKER_RENDEZVOUS, STATUS_CONFIG,
                   "cannot bind 192.0.2.1:5555: Cannot assign requested address");
    end();
}

Test(socket, name_that_nobody_knows_is_unreachable)
{
    set_host("no-such-host.invalid"); /* RFC 6761: never resolves */
    assert_problem(SOCKET_AGENCY_BETS, STATUS_UNREACHABLE,
                   "cannot find the host 'no-such-host.invalid': ");
    set_host("*");
    assert_problem(SOCKET_AGENCY_BETS, STATUS_UNREACHABLE, "cannot find the host '*': ");
    end();
}

Test(socket, port_needs_room_for_three_more)
{
    address.port = 65533;
    assert_problem(SOCKET_BROKER_RENDEZVOUS, STATUS_CONFIG, "cannot use port 65533: ");
    address.port = 0;
    assert_problem(SOCKET_AGENCY_BETS, STATUS_CONFIG, "cannot use port 0: ");
    address.port = 65532;
    void *dispatch = open_socket(SOCKET_BROKER_DISPATCH);
    socket_close(&dispatch);
    end();
}

Test(socket, name_with_both_kinds_of_address_is_dialled_as_ipv4)
{
    address.port = (uint16_t)(20000 + getpid() % 10000); /* the address is everybody's here */
    set_host("127.0.0.1");
    void *bets = open_socket(SOCKET_BROKER_BETS);
    set_host("localhost");
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    send_text(agency, "x", false);
    struct frames frames = {.count = 0};
    receive(bets, &frames);
    frames_release(&frames);
    socket_close(&agency);
    socket_close(&bets);
    end();
}

Test(socket, star_binds_every_interface)
{
    address.port = (uint16_t)(30000 + getpid() % 2000);
    struct address own = address;
    set_host("*");
    void *bets = open_socket(SOCKET_BROKER_BETS);
    set_host(own.host);
    void *agency = open_socket(SOCKET_AGENCY_BETS);
    send_text(agency, "x", false);
    struct frames frames = {.count = 0};
    receive(bets, &frames);
    frames_release(&frames);
    socket_close(&agency);
    socket_close(&bets);
    end();
}

Test(socket, knows_which_addresses_are_this_machine_s)
{
    static const char *const own[] = {"*", "127.0.0.1", "127.9.8.7", "localhost", "0.0.0.0"};
    static const char *const foreign[] = {"192.0.2.1", "no-such-host.invalid", "2001:db8::1"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        cr_assert(socket_is_local_address(own[i]), "%s", own[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        cr_assert_not(socket_is_local_address(foreign[i]), "%s", foreign[i]);
    end();
}

Test(socket, idle_stranger_loses_its_connection)
{
    void *bets = open_socket(SOCKET_BROKER_BETS);
    int stranger = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned a;
    unsigned b;
    unsigned c;
    cr_assert_eq(sscanf(address.host, "127.%u.%u.%u", &a, &b, &c), 3);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(PORT_DEFAULT + 1),
                             .sin_addr.s_addr = htonl(127u << 24 | a << 16 | b << 8 | c)};
    cr_assert_eq(connect(stranger, (struct sockaddr *)&to, sizeof to), 0);
    char greeting[128];
    ssize_t got = 1;
    while (got >
           0) /* libzmq greets, hears nothing and hangs up; the suite's timeout is below its 30 s */
        got = read(stranger, greeting, sizeof greeting);
    cr_assert_leq(got, 0);
    close(stranger);
    socket_close(&bets);
    end();
}

/* ---- context ---- */

TestSuite(socket_context, .timeout = 10);

Test(socket_context, is_refused_where_descriptors_do_not_suffice)
{
    void *created = NULL;
    struct rlimit limit = {.rlim_cur = 50, .rlim_max = 50};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(socket_context_create(51, &created), STATUS_CONFIG);
    cr_assert_eq(socket_context_create(0, &created), STATUS_CONFIG);
    cr_assert_null(created);
    socket_context_destroy(&created); /* NULL is fine */
}

Test(socket_context, ends_in_time_although_nobody_takes_the_last_words)
{
    begin();
    void *worker = open_socket(SOCKET_WORKER_DISPATCH);
    cr_assert_eq(socket_send(worker, slice_of("stored"), false), STATUS_OK);
    socket_close(&worker);
    end(); /* without a LINGER: never */
}
