/* A whole agency (core, loop, reader, sockets) in a process of its own, and a broker played by the
 * test, message by message. The child's exit code also says whether it has left something open. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agency/loop.h"
#include "proto/host/stop.h"
#include "tests/socket/left.h"
#include "tests/socket/socket_fixture.h"

enum { AGENCY = 4, NUMBER = 7574, KILLED = 99, ENVELOPE_FRAMES = 3 };

static struct {
    char folder[64];
    char input[96];
    char output[96];
    pid_t agency;
    void *rendezvous;
    void *bets;
    struct frames frames; /* of the last request: envelope and header */
    struct message request;
    uint32_t batches;
} world;

/* ---- the agency's process ---- */

static int run_agency(void)
{
    struct left before = left_count();
    struct loop_terms terms = {
        .broker = address,
        .agency = {.draw = 1,
                   .id = AGENCY,
                   .incarnation = 1,
                   .plan = {.bets_max = 2, .bytes_max = BATCH_BYTES_MIN},
                   .retries_max = 30,
                   .connect_timeout_ms = 30000,
                   .jitter_seed = 1},
        .input = world.input,
        .output = world.output,
        .today = 20260101,
    };
    if (stop_begin(&terms.stop) != STATUS_OK)
        return KILLED;
    int code = agency_loop_run(&terms);
    close(terms.stop);
    return left_nothing_since(&before) ? code : LEFT_BEHIND;
}

static void start_agency(void)
{
    world.agency = fork();
    cr_assert_geq(world.agency, 0);
    if (world.agency > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(quiet, STDERR_FILENO);
    _exit(run_agency());
}

static int await_agency(void)
{
    int ended = 0;
    cr_assert_eq(waitpid(world.agency, &ended, 0), world.agency);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : KILLED;
}

/* Five bets, the last of which wins: three batches. */
static void write_input(void)
{
    FILE *file = fopen(world.input, "w");
    cr_assert_not_null(file);
    for (int row = 0; row < 5; row++)
        fprintf(file, "Ana,Paz,%d,1999-03-17,%d\n", 1000 + row, row == 4 ? NUMBER : row);
    cr_assert_eq(fclose(file), 0);
}

static void set_up_with(void (*make_input)(void))
{
    snprintf(world.folder, sizeof world.folder, "/tmp/agency_test.XXXXXX");
    cr_assert_not_null(mkdtemp(world.folder));
    snprintf(world.input, sizeof world.input, "%s/bets.csv", world.folder);
    snprintf(world.output, sizeof world.output, "%s/winners.csv", world.folder);
    make_input();
    begin(); /* for the address alone: no context may be there when a child is made */
    socket_context_destroy(&context);
    start_agency();
    cr_assert_eq(socket_context_create(SOCKETS, &context), STATUS_OK);
    world.rendezvous = open_socket(SOCKET_BROKER_RENDEZVOUS);
    world.bets = open_socket(SOCKET_BROKER_BETS);
}

static void set_up(void)
{
    set_up_with(write_input);
}

/* The rows come when the test writes them. */
static void make_pipe(void)
{
    cr_assert_eq(mkfifo(world.input, 0600), 0);
}

static void set_up_pipe(void)
{
    set_up_with(make_pipe);
}

static void tear_down(void)
{
    frames_release(&world.frames);
    socket_close(&world.rendezvous);
    socket_close(&world.bets);
    end();
    unlink(world.input);
    unlink(world.output);
    cr_assert_eq(rmdir(world.folder), 0, "something else was left in the folder");
}

TestSuite(agency_process, .init = set_up, .fini = tear_down, .timeout = 30);
TestSuite(agency_pipe, .init = set_up_pipe, .fini = tear_down, .timeout = 30);

/* ---- the broker ---- */

static void await_request(void)
{
    frames_release(&world.frames);
    receive(world.rendezvous, &world.frames);
    cr_assert_eq(world.frames.count, ENVELOPE_FRAMES + 1);
    cr_assert_eq(message_decode(frames_slice(&world.frames, ENVELOPE_FRAMES), &world.request),
                 STATUS_OK);
}

static void answer(struct message *reply)
{
    static uint8_t buffer[HEADER_BYTES_MAX];
    size_t bytes = 0;
    reply->draw = 1;
    cr_assert_eq(message_encode(reply, buffer, sizeof buffer, &bytes), STATUS_OK);
    for (int i = 0; i < ENVELOPE_FRAMES; i++)
        cr_assert_eq(socket_send(world.rendezvous, frames_slice(&world.frames, i), true),
                     STATUS_OK);
    bool has_body = message_has_body(reply->kind);
    cr_assert_eq(socket_send(world.rendezvous, (struct slice){buffer, bytes}, has_body), STATUS_OK);
    if (has_body)
        cr_assert_eq(socket_send(world.rendezvous, (struct slice){NULL, 0}, false), STATUS_OK);
}

static void admit(void)
{
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_HELLO);
    struct message reply = {
        .kind = MESSAGE_ADMITTED,
        .admitted = {.agency = AGENCY,
                     .attempt = 1,
                     .plan = world.request.hello.plan,
                     .upto = UINT32_MAX,
                     .durable = slice_of("\x90"),
                     .window_bytes = 1 << 20,
                     .frame_bytes_max = FRAME_BYTES_MAX,
                     .batch_bytes_max = BATCH_BYTES_MAX,
                     .batches_max = BATCHES_MAX,
                     .phase = PHASE_OPEN,
                     .range_last = 9999},
    };
    answer(&reply);
}

static void await_batch(void)
{
    struct frames frames = {.count = 0};
    struct message message = {.kind = MESSAGE_MARK};
    while (message.kind != MESSAGE_BATCH) {
        receive(world.bets, &frames);
        cr_assert_eq(message_decode(frames_slice(&frames, 0), &message), STATUS_OK);
        frames_release(&frames);
    }
    world.batches++;
}

/* Answers POLL until a declaration comes: the draw is over at once, and nobody has won. */
static void publish(void)
{
    struct message wait = {.kind = MESSAGE_WAIT,
                           .wait = {.agency = AGENCY,
                                    .attempt = 1,
                                    .upto = UINT32_MAX,
                                    .durable = slice_of("\x90"),
                                    .held = slice_of("\x90"),
                                    .window_bytes = 1 << 20,
                                    .phase = PHASE_OPEN,
                                    .missing = slice_of("\x90")}};
    struct message result = {.kind = MESSAGE_RESULT,
                             .result = {.agency = AGENCY, .number = NUMBER, .root = {{1}}}};
    struct message ok = {.kind = MESSAGE_OK, .ok = {.agency = AGENCY}};
    do {
        await_request();
        cr_assert_eq(world.request.kind, MESSAGE_POLL);
        answer(world.request.poll.has_declaration ? &result : &wait);
    } while (!world.request.poll.has_declaration);
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_WINNERS);
    answer(&result);
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_BYE);
    answer(&ok);
}

/* ---- behaviours ---- */

Test(agency_process, makes_a_draw_and_leaves_nothing_open)
{
    admit();
    while (world.batches < 3)
        await_batch();
    publish();
    cr_assert_eq(await_agency(), 0);
    cr_assert_eq(access(world.output, F_OK), 0);
}

Test(agency_process, ends_with_75_on_sigterm_before_it_is_answered_and_leaves_nothing_open)
{
    await_request();
    cr_assert_eq(kill(world.agency, SIGTERM), 0);
    cr_assert_eq(await_agency(), 75);
    cr_assert_neq(access(world.output, F_OK), 0);
}

Test(agency_process, ends_with_75_on_sigterm_while_it_sends_and_leaves_nothing_open)
{
    admit();
    await_batch();
    cr_assert_eq(kill(world.agency, SIGTERM), 0);
    cr_assert_eq(await_agency(), 75);
    cr_assert_neq(access(world.output, F_OK), 0);
}

/* A bad row would end it with 65. */
Test(agency_pipe, tells_that_its_draw_is_void_whatever_it_reads_meanwhile)
{
    struct message refused = {.kind = MESSAGE_REFUSED,
                              .refused = {.agency = AGENCY, .reason = REFUSAL_VOID}};
    struct message ok = {.kind = MESSAGE_OK, .ok = {.agency = AGENCY}};
    FILE *rows = fopen(world.input, "we");
    cr_assert_not_null(rows);
    admit();
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_POLL);
    answer(&refused);
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_BYE);
    fputs("this is no bet\n", rows);
    cr_assert_eq(fclose(rows), 0);
    await_request();
    cr_assert_eq(world.request.kind, MESSAGE_BYE, "it is asked again, without an answer");
    answer(&ok);
    cr_assert_eq(await_agency(), 75);
}
