/* A whole worker (core, loop, LMDB store, socket) in a process of its own, and a broker played
 * by the test on a real ROUTER, message by message. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/host/clock.h"
#include "proto/host/random.h"
#include "proto/host/stop.h"
#include "proto/wire/item.h"
#include "tests/socket/left.h"
#include "worker/lmdb_space.h"
#include "worker/loop.h"
#include "worker/store_lmdb.h"

enum { DEADLINE_MS = 8000, SOCKETS = 8, LEASE_SHORT_MS = 400 };

static struct {
    struct address address;
    char folder[64];
    pid_t worker;
    int log; /* what the worker writes to stderr */
    void *context;
    void *dispatch;
    struct frames frames; /* of the last message that came: [routing id][header][body] */
    struct message message;
    struct epoch epoch;
    struct slice peer; /* routing id of the worker, in peer_bytes */
    uint8_t peer_bytes[256];
} world;

/* ---- a name service ---- */

#define BROKER_NAME "broker.invalid" /* RFC 6761: no other one knows it */

static char named[sizeof world.address.host]; /* the address that it stands for */
static int lookups_to_fail;

/* In place of the C library's, which has all other names. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *wanted,
                struct addrinfo **found)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, BROKER_NAME) != 0)
        return next(host, service, wanted, found);
    if (lookups_to_fail-- > 0)
        return EAI_NONAME;
    return next(named, service, wanted, found);
}

/* ---- the worker's process ---- */

static int run_worker(void)
{
    struct left before = left_count();
    struct loop_settings settings = {.broker = world.address,
                                     .intake = {.commit_bytes = 1 << 20, .commit_ms = 10}};
    struct store_lmdb_settings lmdb = {.folder = world.folder, .reserve_bytes = 1 << 20};
    struct store *store = NULL;
    char problem[512];
    random_id(&lmdb.id);
    random_id(&lmdb.opening_id);
    if (stop_begin(&settings.stop_descriptor) != STATUS_OK ||
        store_lmdb_open(&lmdb, &store, problem, sizeof problem) != STATUS_OK)
        return 99;
    int code = worker_loop_run(&settings, store);
    store_close(&store);
    close(settings.stop_descriptor);
    return left_nothing_since(&before) ? code : LEFT_BEHIND;
}

/* Before the broker's context is there: a child would inherit its sockets. */
static void start_worker(void)
{
    pid_t parent = getpid();
    int log[2];
    cr_assert_null(world.context);
    cr_assert_eq(pipe(log), 0);
    world.worker = fork();
    cr_assert_geq(world.worker, 0);
    if (world.worker != 0) {
        close(log[1]);
        world.log = log[0];
        return;
    }
    dup2(log[1], STDERR_FILENO);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(98);
    _exit(run_worker());
}

/* Reads the worker's log until a line has `text` in it. */
static void await_log(const char *text)
{
    char log[4096];
    size_t bytes = 0;
    while (bytes < sizeof log - 1) {
        zmq_pollitem_t item = {.fd = world.log, .events = ZMQ_POLLIN};
        cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1, "the worker does not log '%s'", text);
        ssize_t more = read(world.log, log + bytes, sizeof log - 1 - bytes);
        cr_assert_gt(more, 0);
        bytes += (size_t)more;
        log[bytes] = '\0';
        if (strstr(log, text) != NULL)
            return;
    }
    cr_assert_fail("'%s' is not in the log", text);
}

static int await_exit(void)
{
    int wait_status;
    int descriptor = pidfd_open(world.worker, 0);
    cr_assert_geq(descriptor, 0);
    struct pollfd end = {.fd = descriptor, .events = POLLIN};
    cr_assert_eq(poll(&end, 1, DEADLINE_MS), 1, "the worker does not end");
    close(descriptor);
    cr_assert_eq(waitpid(world.worker, &wait_status, 0), world.worker);
    world.worker = 0;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* ---- the broker ---- */

static void bind_broker(void)
{
    char problem[TEXT_BYTES_MAX] = "";
    cr_assert_eq(socket_context_create(SOCKETS, &world.context), STATUS_OK);
    cr_assert_eq(socket_open(world.context, SOCKET_BROKER_DISPATCH, &world.address, &world.dispatch,
                             problem, sizeof problem),
                 STATUS_OK, "%s", problem);
}

static void unbind_broker(void)
{
    frames_release(&world.frames);
    socket_close(&world.dispatch);
    socket_context_destroy(&world.context);
    cr_assert_null(world.context);
}

static void set_up(void)
{
    unsigned pid = (unsigned)getpid();
    snprintf(world.address.host, sizeof world.address.host, "127.%u.%u.%u", 1 + (pid >> 16) % 250,
             (pid >> 8) % 256, 1 + pid % 254);
    world.address.port = PORT_DEFAULT;
    world.epoch = (struct epoch){.number = 3, .id = {{0xe0}}};
    snprintf(world.folder, sizeof world.folder, "/tmp/worker_socket_test.XXXXXX");
    cr_assert_not_null(mkdtemp(world.folder));
}

static void tear_down(void)
{
    if (world.worker > 0) {
        kill(world.worker, SIGKILL);
        waitpid(world.worker, NULL, 0);
    }
    if (world.context != NULL)
        unbind_broker();
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", world.folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", world.folder);
    unlink(path);
    rmdir(world.folder);
}

TestSuite(worker_socket, .timeout = 40, .init = set_up, .fini = tear_down);

/* Waits for the next message of a kind; PONG and CREDIT on the way are passed over. */
static void await(enum message_kind kind)
{
    int64_t until = clock_now_ms() + DEADLINE_MS;
    while (clock_now_ms() < until) {
        frames_release(&world.frames);
        enum status status = socket_receive(world.dispatch, &world.frames);
        if (status == STATUS_AGAIN) {
            zmq_pollitem_t item = {.socket = world.dispatch, .events = ZMQ_POLLIN};
            zmq_poll(&item, 1, 50);
            continue;
        }
        cr_assert_eq(status, STATUS_OK);
        struct slice peer = frames_slice(&world.frames, 0);
        cr_assert_leq(peer.bytes, sizeof world.peer_bytes);
        memcpy(world.peer_bytes, peer.data, peer.bytes);
        world.peer = (struct slice){world.peer_bytes, peer.bytes};
        cr_assert_eq(message_decode(frames_slice(&world.frames, 1), &world.message), STATUS_OK);
        if (world.message.kind == kind)
            return;
        cr_assert(world.message.kind == MESSAGE_PONG || world.message.kind == MESSAGE_CREDIT,
                  "%s in place of %s", message_name(world.message.kind), message_name(kind));
    }
    cr_assert_fail("%s did not come", message_name(kind));
}

static void send_header(struct message message, bool has_more)
{
    uint8_t header[1024];
    size_t bytes;
    message.epoch = world.epoch;
    cr_assert_eq(message_encode(&message, header, sizeof header, &bytes), STATUS_OK);
    cr_assert_eq(socket_send(world.dispatch, world.peer, true), STATUS_OK);
    cr_assert_eq(socket_send(world.dispatch, (struct slice){header, bytes}, has_more), STATUS_OK);
}

static void say(struct message message)
{
    send_header(message, false);
}

static void await_registration(void)
{
    await(MESSAGE_REGISTER);
    await(MESSAGE_INVENTORY);
    cr_assert(world.message.inventory.is_last);
    say((struct message){.kind = MESSAGE_PING});
}

static void welcome(uint32_t lease_ms)
{
    await_registration();
    say((struct message){.kind = MESSAGE_WELCOME, .welcome = {lease_ms, FRAME_BYTES_MAX}});
    await(MESSAGE_CREDIT);
    cr_assert_eq(world.message.credit.admitted_bytes, CREDIT_BYTES_MAX);
}

/* Forwards a batch of one bet. */
static void forward(uint32_t seq)
{
    struct plan plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN};
    uint8_t buffer[BATCH_HEAD_BYTES + BATCH_BYTES_MIN + BET_PACKED_BYTES_MAX];
    struct bet bet = {.first_name = {(const uint8_t *)"Ana", 3},
                      .last_name = {(const uint8_t *)"Paz", 3},
                      .document = {(const uint8_t *)"30111222", 8},
                      .birthdate = {(const uint8_t *)"1990-02-03", 10},
                      .number = seq};
    struct batch_builder builder;
    batch_begin(&builder, &plan, buffer);
    cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    struct slice body = batch_end(&builder);
    struct message message = {.kind = MESSAGE_BATCH, .draw = 1, .batch = {7, 1, seq, 1, {{0}}}};
    struct hasher *hasher;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    digest_batch(hasher, 1, 7, seq, 1, body, &message.batch.digest);
    hasher_destroy(&hasher);
    uint8_t header[256];
    size_t bytes;
    cr_assert_eq(message_encode(&message, header, sizeof header, &bytes), STATUS_OK);
    send_header((struct message){.kind = MESSAGE_FORWARD, .draw = 1}, true);
    cr_assert_eq(socket_send(world.dispatch, (struct slice){header, bytes}, true), STATUS_OK);
    cr_assert_eq(socket_send(world.dispatch, body, false), STATUS_OK);
}

/* ---- behaviours ---- */

Test(worker_socket, stores_a_batch_and_says_so)
{
    start_worker();
    bind_broker();
    welcome(LEASE_MS);
    forward(5);
    await(MESSAGE_STORED);
    cr_expect_eq(world.message.stored.agency, 7);
    cr_expect_eq(world.message.stored.items, 1);
    size_t at = 0;
    struct item_stored item;
    cr_assert_eq(item_next_stored(frames_slice(&world.frames, 2), &at, &item), STATUS_OK);
    cr_expect_eq(item.seq, 5);
    await(MESSAGE_CREDIT);
    cr_expect_gt(world.message.credit.admitted_bytes, CREDIT_BYTES_MAX);
}

Test(worker_socket, has_what_it_acknowledged_after_kill_9)
{
    start_worker();
    bind_broker();
    welcome(LEASE_MS);
    for (uint32_t seq = 0; seq < 3; seq++)
        forward(seq);
    await(MESSAGE_STORED);
    uint32_t stored = world.message.stored.items;
    kill(world.worker, SIGKILL);
    cr_expect_eq(await_exit(), 128 + SIGKILL);
    unbind_broker();
    start_worker();
    bind_broker();
    await(MESSAGE_REGISTER);
    cr_expect_eq(world.message.registration.opening.number, 2);
    cr_expect_eq(world.message.registration.epoch.number, 3);
    await(MESSAGE_INVENTORY);
    cr_expect_geq(world.message.inventory.items, stored);
}

Test(worker_socket, waits_for_a_broker_that_comes_later)
{
    start_worker();
    await_log("action: connect"); /* a broker that is there at once would show nothing */
    bind_broker();
    welcome(LEASE_MS);
}

Test(worker_socket, looks_an_unknown_name_up_once_a_second_and_complains_once)
{
    char log[4096];
    struct address numeric = world.address;
    snprintf(named, sizeof named, "%s", numeric.host);
    snprintf(world.address.host, sizeof world.address.host, BROKER_NAME);
    lookups_to_fail = 2;
    int64_t began_at = clock_now_ms();
    start_worker();
    world.address = numeric;
    bind_broker();
    await(MESSAGE_REGISTER);
    cr_expect_geq(clock_now_ms() - began_at, 2 * RETRY_MS);
    ssize_t bytes = read(world.log, log, sizeof log - 1); /* it was said before */
    cr_assert_gt(bytes, 0);
    log[bytes] = '\0';
    const char *complaint = strstr(log, "cannot find the host '" BROKER_NAME "'");
    cr_assert_not_null(complaint, "%s", log);
    cr_expect_null(strstr(complaint + 1, "cannot find the host"), "%s", log);
}

Test(worker_socket, dials_again_when_the_broker_is_silent)
{
    start_worker();
    bind_broker();
    welcome(LEASE_SHORT_MS);
    uint8_t before[sizeof world.peer_bytes];
    size_t before_bytes = world.peer.bytes;
    memcpy(before, world.peer.data, before_bytes);
    await(MESSAGE_REGISTER);
    cr_expect_not(slice_is_equal(world.peer, (struct slice){before, before_bytes}),
                  "a new connection");
    cr_expect_eq(world.message.registration.opening.number, 1, "the same process");
}

Test(worker_socket, registers_with_a_broker_that_was_restarted)
{
    start_worker();
    bind_broker();
    welcome(LEASE_MS);
    unbind_broker();
    bind_broker();
    world.epoch.number = 4;
    await(MESSAGE_PONG);
    say((struct message){.kind = MESSAGE_WHO});
    await(MESSAGE_REGISTER);
    cr_expect_eq(world.message.registration.epoch.number, 4);
}

Test(worker_socket, fences_an_older_broker)
{
    start_worker();
    bind_broker();
    welcome(LEASE_MS);
    world.epoch.number = 2;
    say((struct message){.kind = MESSAGE_PING});
    await(MESSAGE_FENCED);
    cr_expect_eq(world.message.fenced.epoch.number, 3);
}

Test(worker_socket, drains_and_ends_with_0_on_sigterm_and_leaves_nothing_open)
{
    start_worker();
    bind_broker();
    welcome(LEASE_MS);
    forward(0);
    await(MESSAGE_STORED);
    int64_t begin = clock_now_ms();
    kill(world.worker, SIGTERM);
    cr_expect_eq(await_exit(), 0);
    cr_expect_lt(clock_now_ms() - begin, 5000);
}

Test(worker_socket, ends_with_0_on_sigterm_without_a_broker)
{
    start_worker();
    await_log("action: connect");
    kill(world.worker, SIGTERM);
    cr_expect_eq(await_exit(), 0);
}

Test(worker_socket, ends_with_the_code_of_its_dismissal)
{
    start_worker();
    bind_broker();
    await_registration();
    say((struct message){.kind = MESSAGE_DISMISSED, .dismissed = {DISMISSAL_OPENING}});
    cr_expect_eq(await_exit(), 78);
}

Test(worker_socket, ends_where_its_socket_cannot_be_opened)
{
    world.address.port = UINT16_MAX; /* the dispatch port would lie behind the highest one */
    start_worker();
    cr_expect_eq(await_exit(), 78);
}
