/* A whole broker (core, loop, journal, sockets) in a process of its own, and one agency and one
 * worker that speak to it message by message. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/loop.h"
#include "proto/host/clock.h"
#include "proto/host/stop.h"
#include "proto/wire/item.h"
#include "tests/socket/left.h"

enum { DEADLINE_MS = 8000, SOCKETS = 16, AGENCY = 4, NUMBER = 7574, KILLED = 99 };

static struct {
    struct address address;
    char folder[64];
    pid_t broker;
    void *context;
    void *rendezvous;
    void *bets;
    void *dispatch;
    struct hasher *hasher;
    uint8_t body[BATCH_BYTES_MIN];
    struct slice batch_body;
    struct digest digest;
    struct epoch epoch; /* of the broker, as WELCOME told it */
    struct epoch opening;
    struct frames frames; /* of the last message that was awaited */
    struct message message;
} world;

/* ---- the broker's process ---- */

static enum status restore(void *broker, const struct record *record)
{
    return broker_restore(broker, record);
}

static int run_broker(void)
{
    struct left before = left_count();
    struct loop *loop = NULL;
    struct journal *journal = NULL;
    struct broker *broker = NULL;
    struct epoch epoch;
    const struct journal_patience no_patience = {0};
    struct id id = {{1}};
    int stop = -1;
    char text[TEXT_BYTES_MAX];
    const char *problem = text;
    struct broker_options options = {.draws = 1,
                                     .linger_ms = 60000,
                                     .store_grace_ms = 10000,
                                     .lease_ms = LEASE_MS,
                                     .queue_bytes = QUEUE_BYTES_DEFAULT};
    options.terms.number =
        (struct manifest_terms){.draw = 1, .range_last = 9999, .is_given = true, .given = NUMBER};
    options.terms.agencies_required = 1;
    options.terms.quorum = 1;
    enum status status = stop_begin(&stop);
    if (status == STATUS_OK)
        status = loop_create(&world.address, &loop, text, sizeof(text));
    if (status == STATUS_OK)
        status =
            journal_open(world.folder, &id, &no_patience, &journal, &epoch, text, sizeof(text));
    if (status != STATUS_OK)
        return status_exit_code(status);
    struct archive archive = journal_archive(journal);
    status = broker_create(&options, loop_outbox(loop), loop_records(loop), &archive,
                           loop_release(), &broker);
    if (status == STATUS_OK)
        status = journal_load(journal, restore, broker);
    if (status == STATUS_OK)
        status = broker_start(broker, &epoch, clock_now_ms());
    if (status == STATUS_OK)
        status = loop_run(loop, broker, journal, stop, &problem);
    broker_destroy(&broker);
    journal_close(&journal);
    loop_destroy(&loop);
    close(stop);
    if (!left_nothing_since(&before))
        return LEFT_BEHIND;
    return status == STATUS_END || status == STATUS_INTERRUPTED ? 0 : status_exit_code(status);
}

static void start_broker(void)
{
    world.broker = fork();
    cr_assert_geq(world.broker, 0);
    if (world.broker > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(run_broker());
}

/* returns its exit code; KILLED: a signal ended it. */
static int await_broker(void)
{
    int ended = 0;
    cr_assert_eq(waitpid(world.broker, &ended, 0), world.broker);
    world.broker = 0;
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : KILLED;
}

/* ---- the peers' side ---- */

static void *open_socket(enum socket_purpose purpose)
{
    void *zocket = NULL;
    char problem[TEXT_BYTES_MAX];
    cr_assert_eq(socket_open(world.context, purpose, &world.address, &zocket, problem,
                             sizeof(problem)),
                 STATUS_OK, "%s", problem);
    return zocket;
}

static void open_sockets(void)
{
    world.rendezvous = open_socket(SOCKET_AGENCY_RENDEZVOUS);
    world.bets = open_socket(SOCKET_AGENCY_BETS);
    world.dispatch = open_socket(SOCKET_WORKER_DISPATCH);
}

static void close_sockets(void)
{
    frames_release(&world.frames);
    socket_close(&world.rendezvous);
    socket_close(&world.bets);
    socket_close(&world.dispatch);
}

/* One batch of two bets, the second of which wins. */
static void build_batch(void)
{
    struct plan plan = {.bets_max = 2, .bytes_max = BATCH_BYTES_MIN};
    static uint8_t buffer[BATCH_HEAD_BYTES + BATCH_BYTES_MIN + BET_PACKED_BYTES_MAX];
    struct batch_builder builder;
    struct bet bet = {.first_name = {(const uint8_t *)"Ana", 3},
                      .last_name = {(const uint8_t *)"Paz", 3},
                      .document = {(const uint8_t *)"123", 3},
                      .birthdate = {(const uint8_t *)"1999-12-31", 10}};
    batch_begin(&builder, &plan, buffer);
    cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    bet.number = NUMBER;
    cr_assert_eq(batch_add(&builder, &bet), STATUS_OK);
    world.batch_body = batch_end(&builder);
    digest_batch(world.hasher, 1, AGENCY, 0, 2, world.batch_body, &world.digest);
}

static void begin(void)
{
    unsigned pid = (unsigned)getpid();
    snprintf(world.address.host, sizeof(world.address.host), "127.%u.%u.%u", 1 + (pid >> 16) % 250,
             (pid >> 8) % 256, 1 + pid % 254);
    world.address.port = PORT_DEFAULT;
    snprintf(world.folder, sizeof(world.folder), "/tmp/broker_test.XXXXXX");
    cr_assert_not_null(mkdtemp(world.folder));
    start_broker(); /* before there is a context: none survives a fork */
    cr_assert_eq(socket_context_create(SOCKETS, &world.context), STATUS_OK);
    cr_assert_eq(hasher_create(&world.hasher), STATUS_OK);
    world.opening = (struct epoch){.number = 1, .id = {{5}}};
    build_batch();
    open_sockets();
}

static void end(void)
{
    if (world.broker > 0) {
        kill(world.broker, SIGKILL);
        await_broker();
    }
    close_sockets();
    socket_context_destroy(&world.context);
    hasher_destroy(&world.hasher);
    static const char *const names[] = {"", "-wal", "-shm"};
    for (size_t index = 0; index < 3; index++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/journal.sqlite%s", world.folder, names[index]);
        unlink(path);
    }
    cr_assert_eq(rmdir(world.folder), 0);
}

TestSuite(broker_process, .init = begin, .fini = end, .timeout = 60);

static void send_message(void *zocket, const struct message *message, const struct slice *body)
{
    static uint8_t buffer[HEADER_BYTES_MAX];
    size_t bytes = 0;
    zmq_pollitem_t item = {.socket = zocket, .events = ZMQ_POLLOUT};
    cr_assert_eq(message_encode(message, buffer, sizeof(buffer), &bytes), STATUS_OK);
    cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1);
    cr_assert_eq(socket_send(zocket, (struct slice){buffer, bytes}, body != NULL), STATUS_OK);
    if (body != NULL)
        cr_assert_eq(socket_send(zocket, *body, false), STATUS_OK);
}

/* Takes the next message of this kind from the socket, passing over others (PING). */
static void await(void *zocket, enum message_kind kind)
{
    int64_t until = clock_now_ms() + DEADLINE_MS;
    for (;;) {
        zmq_pollitem_t item = {.socket = zocket, .events = ZMQ_POLLIN};
        int64_t left_ms = until - clock_now_ms();
        cr_assert(left_ms > 0 && zmq_poll(&item, 1, (long)left_ms) == 1, "no %s came",
                  message_name(kind));
        frames_release(&world.frames);
        if (socket_receive(zocket, &world.frames) != STATUS_OK)
            continue;
        cr_assert_eq(message_decode(frames_slice(&world.frames, 0), &world.message), STATUS_OK);
        if (world.message.kind == kind)
            return;
    }
}

/* ---- what they say ---- */

static void register_store(bool has_batch)
{
    struct message message = {.kind = MESSAGE_REGISTER};
    message.registration = (struct message_register){.store = {{9}},
                                                     .opening = world.opening,
                                                     .free_bytes = 1 << 30,
                                                     .epoch = world.epoch};
    send_message(world.dispatch, &message, NULL);
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_inventory item = {.kind = INVENTORY_BATCH,
                                  .draw = 1,
                                  .agency = AGENCY,
                                  .attempt = 1};
    item.batch = (struct item_stored){.seq = 0, .bets = 2, .digest = world.digest};
    if (has_batch)
        cr_assert_eq(item_pack_inventory(buffer, sizeof(buffer), &bytes, &item), STATUS_OK);
    struct message inventory = {.kind = MESSAGE_INVENTORY};
    inventory.inventory = (struct message_inventory){.is_last = true, .items = has_batch};
    struct slice body = {buffer, bytes};
    send_message(world.dispatch, &inventory, &body);
    await(world.dispatch, MESSAGE_WELCOME);
    cr_assert_gt(world.message.epoch.number, world.epoch.number);
    world.epoch = world.message.epoch;
    struct message credit = {.kind = MESSAGE_CREDIT};
    credit.credit.admitted_bytes = 1 << 20;
    send_message(world.dispatch, &credit, NULL);
}

static void say_hello(void)
{
    struct message message = {.kind = MESSAGE_HELLO, .draw = 1};
    message.hello = (struct message_hello){.agency = AGENCY,
                                           .incarnation = 1,
                                           .plan = {.bets_max = 2, .bytes_max = BATCH_BYTES_MIN}};
    send_message(world.rendezvous, &message, NULL);
    await(world.rendezvous, MESSAGE_ADMITTED);
    cr_assert_eq(world.message.admitted.attempt, 1);
}

static void send_and_store_batch(void)
{
    struct message batch = {.kind = MESSAGE_BATCH, .draw = 1};
    batch.batch = (struct message_batch){.agency = AGENCY,
                                         .attempt = 1,
                                         .seq = 0,
                                         .count = 2,
                                         .digest = world.digest};
    uint8_t buffer[ITEM_BYTES_MAX];
    size_t bytes = 0;
    cr_assert_eq(message_encode(&batch, buffer, sizeof(buffer), &bytes), STATUS_OK);
    send_message(world.bets, &batch, &world.batch_body);
    await(world.dispatch, MESSAGE_FORWARD);
    cr_assert_eq(world.frames.count, 3);
    cr_assert(slice_is_equal(frames_slice(&world.frames, 1), (struct slice){buffer, bytes}));
    cr_assert(slice_is_equal(frames_slice(&world.frames, 2), world.batch_body));
    bytes = 0;
    struct item_stored item = {.seq = 0, .bets = 2, .digest = world.digest};
    cr_assert_eq(item_pack_stored(buffer, sizeof(buffer), &bytes, &item), STATUS_OK);
    struct message stored = {.kind = MESSAGE_STORED, .draw = 1};
    stored.stored = (struct message_stored){.agency = AGENCY, .attempt = 1, .items = 1};
    struct slice body = {buffer, bytes};
    send_message(world.dispatch, &stored, &body);
}

/* Asks with the declaration until the answer is of this kind. */
static void poll_until(enum message_kind kind)
{
    struct tree tree;
    struct message message = {.kind = MESSAGE_POLL, .draw = 1};
    message.poll = (struct message_poll){.agency = AGENCY,
                                         .incarnation = 1,
                                         .attempt = 1,
                                         .round = 1,
                                         .has_declaration = true};
    message.poll.declaration = (struct declaration){.batches = 1, .bets = 2};
    tree_begin(&tree);
    tree_add(&tree, world.hasher, &world.digest);
    tree_head(&tree, world.hasher, &message.poll.declaration.root);
    int64_t until = clock_now_ms() + DEADLINE_MS;
    do {
        cr_assert_lt(clock_now_ms(), until, "never answered %s", message_name(kind));
        send_message(world.rendezvous, &message, NULL);
        zmq_pollitem_t item = {.socket = world.rendezvous, .events = ZMQ_POLLIN};
        cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1);
        frames_release(&world.frames);
        cr_assert_eq(socket_receive(world.rendezvous, &world.frames), STATUS_OK);
        cr_assert_eq(message_decode(frames_slice(&world.frames, 0), &world.message), STATUS_OK);
    } while (world.message.kind != kind);
}

/* Answers SEAL and COUNT: row 1 of batch 0 wins. */
static void seal_and_count(void)
{
    await(world.dispatch, MESSAGE_SEAL);
    struct message sealed = {.kind = MESSAGE_SEALED, .draw = 1};
    sealed.sealed.root = world.message.part.root;
    send_message(world.dispatch, &sealed, NULL);
    await(world.dispatch, MESSAGE_COUNT);
    struct message_count asked = world.message.count;
    uint8_t shares[ITEM_BYTES_MAX];
    struct slice asked_body = frames_slice(&world.frames, 1);
    struct slice body = {shares, asked_body.bytes};
    memcpy(shares, asked_body.data, asked_body.bytes);

    uint8_t page[ITEM_BYTES_MAX];
    size_t bytes = 0;
    struct item_winner winner = {.seq = 0};
    struct batch_cursor cursor;
    cr_assert_eq(batch_open(&cursor, world.batch_body), STATUS_OK);
    cr_assert_eq(batch_find_number(&cursor, NUMBER, &winner.row, &winner.bet), STATUS_OK);
    cr_assert_eq(item_pack_winner(page, sizeof(page), &bytes, &winner), STATUS_OK);
    struct message found = {.kind = MESSAGE_FOUND, .draw = 1};
    found.found = (struct message_found){.question_epoch = asked.question_epoch,
                                         .question = asked.question,
                                         .agency = AGENCY,
                                         .items = 1};
    struct slice found_body = {page, bytes};
    send_message(world.dispatch, &found, &found_body);
    struct message counted = {.kind = MESSAGE_COUNTED, .draw = 1};
    counted.counted = (struct message_counted){.question_epoch = asked.question_epoch,
                                               .question = asked.question,
                                               .bets = 2,
                                               .winners = 1,
                                               .items = asked.items};
    send_message(world.dispatch, &counted, &body);
}

static void check_result(void)
{
    struct item_winner winner;
    size_t at = 0;
    cr_assert_eq(world.message.result.agency, AGENCY);
    cr_assert_eq(world.message.result.number, NUMBER);
    cr_assert_eq(world.message.result.total, 1);
    struct slice body = frames_slice(&world.frames, 1);
    cr_assert_eq(item_next_winner(body, &at, &winner), STATUS_OK);
    cr_assert_eq(winner.seq, 0);
    cr_assert_eq(winner.row, 1);
    cr_assert_eq(item_next_winner(body, &at, &winner), STATUS_END);
}

static void say_bye(void)
{
    struct message bye = {.kind = MESSAGE_BYE, .draw = 1, .bye = {.agency = AGENCY}};
    send_message(world.rendezvous, &bye, NULL);
    await(world.rendezvous, MESSAGE_OK);
}

/* The broker is killed and another one starts on its journal; the peers dial anew. */
static void restart_broker(void)
{
    cr_assert_eq(kill(world.broker, SIGKILL), 0);
    cr_assert_eq(await_broker(), KILLED);
    close_sockets();
    socket_context_destroy(&world.context);
    start_broker();
    cr_assert_eq(socket_context_create(SOCKETS, &world.context), STATUS_OK);
    open_sockets();
}

/* [M-17] */
Test(broker_process, makes_a_draw_from_hello_to_bye)
{
    register_store(false);
    say_hello();
    send_and_store_batch();
    poll_until(MESSAGE_FINISHED);
    seal_and_count();
    poll_until(MESSAGE_RESULT);
    check_result();
    say_bye();
    cr_assert_eq(await_broker(), 0);
}

Test(broker_process, goes_on_after_each_kill_with_what_its_journal_has)
{
    register_store(false);
    say_hello();
    send_and_store_batch();
    poll_until(MESSAGE_FINISHED);
    restart_broker();
    register_store(true);
    say_hello();
    cr_assert(world.message.admitted.is_finished, "the declaration was journaled");
    seal_and_count();
    poll_until(MESSAGE_RESULT);
    restart_broker();
    poll_until(MESSAGE_RESULT);
    check_result();
}

Test(broker_process, ends_with_0_on_sigterm_and_leaves_nothing_open)
{
    say_hello();
    cr_assert_eq(kill(world.broker, SIGTERM), 0);
    cr_assert_eq(await_broker(), 0);
}

Test(broker_process, ends_with_78_when_a_store_has_served_a_newer_one)
{
    struct message message = {.kind = MESSAGE_REGISTER};
    message.registration = (struct message_register){.store = {{9}},
                                                     .opening = world.opening,
                                                     .epoch = {.number = 7, .id = {{3}}}};
    send_message(world.dispatch, &message, NULL);
    cr_assert_eq(await_broker(), 78);
}

Test(broker_process, answers_what_it_cannot_read_as_malformed)
{
    cr_assert_eq(socket_send(world.rendezvous, (struct slice){(const uint8_t *)"?", 1}, false),
                 STATUS_OK);
    await(world.rendezvous, MESSAGE_REFUSED);
    cr_assert_eq(world.message.refused.reason, REFUSAL_MALFORMED);
}
