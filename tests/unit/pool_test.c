/* Tests of the pool of worker processes. What forks runs in a child of the test, so that it may
 * exit. */
#include "worker/pool.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/host/stop.h"

TestSuite(pool, .timeout = 20);

static int exited(int code)
{
    return code << 8;
}

Test(pool, starts_again_who_was_killed_or_may_do_better)
{
    int code;
    cr_expect(pool_restarts(SIGKILL, &code));
    cr_expect_eq(code, 128 + SIGKILL);
    static const int CODES[] = {1, 70, 74, 75};
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        cr_expect(pool_restarts(exited(CODES[i]), &code));
        cr_expect_eq(code, CODES[i]);
    }
}

Test(pool, leaves_alone_who_must_not_run_again_unasked)
{
    static const int CODES[] = {0, 64, 73, 76, 77, 78};
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        int code;
        cr_expect_not(pool_restarts(exited(CODES[i]), &code));
        cr_expect_eq(code, CODES[i]);
    }
}

Test(pool, doubles_the_pause_up_to_the_largest)
{
    int64_t pause_ms = 0;
    for (int64_t expected = RESTART_MS_MIN; expected < RESTART_MS_MAX; expected *= 2) {
        pause_ms = pool_next_pause(pause_ms, 10);
        cr_expect_eq(pause_ms, expected);
    }
    cr_expect_eq(pool_next_pause(pause_ms, 10), RESTART_MS_MAX);
    cr_expect_eq(pool_next_pause(RESTART_MS_MAX, 10), RESTART_MS_MAX);
    cr_expect_eq(pool_next_pause(RESTART_MS_MAX, RESTART_FORGIVEN_MS), RESTART_MS_MIN);
}

/* ---- with processes ---- */

/* What the workers of a test write when they begin: a byte each. */
static int begun[2];

/* Runs a pool in a child. returns its pid. */
static pid_t start_pool(uint32_t workers, int (*work)(uint32_t number, void *argument))
{
    cr_assert_eq(pipe(begun), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int stop;
    if (stop_begin(&stop) != STATUS_OK)
        _exit(99);
    _exit(pool_run(workers, stop, work, NULL));
}

/* Waits for `count` workers to begin, 10 s at most. out: their pids. */
static void await_begun(int count, pid_t *pids)
{
    for (int i = 0; i < count; i++) {
        struct pollfd wait_for = {.fd = begun[0], .events = POLLIN};
        cr_assert_eq(poll(&wait_for, 1, 10000), 1, "a worker did not begin");
        cr_assert_eq(read(begun[0], &pids[i], sizeof pids[i]), (ssize_t)sizeof pids[i]);
    }
}

static int await_exit(pid_t pid)
{
    int wait_status;
    cr_assert_eq(waitpid(pid, &wait_status, 0), pid);
    cr_assert(WIFEXITED(wait_status));
    return WEXITSTATUS(wait_status);
}

static void say_begun(void)
{
    pid_t pid = getpid();
    if (write(begun[1], &pid, sizeof pid) != (ssize_t)sizeof pid)
        _exit(98);
}

/* Serves until it is told to end. */
static int serve(uint32_t number, void *argument)
{
    (void)number;
    (void)argument;
    int stop;
    if (stop_begin(&stop) != STATUS_OK)
        _exit(97);
    say_begun();
    struct pollfd wait_for = {.fd = stop, .events = POLLIN};
    poll(&wait_for, 1, 15000);
    _exit(stop_take(stop) == SIGTERM ? 0 : 96);
}

/* Is told to end, says so, and does not. */
static int stay(uint32_t number, void *argument)
{
    (void)number;
    (void)argument;
    int stop;
    if (stop_begin(&stop) != STATUS_OK)
        _exit(97);
    say_begun();
    struct pollfd wait_for = {.fd = stop, .events = POLLIN};
    poll(&wait_for, 1, 15000);
    say_begun();
    poll(NULL, 0, 15000);
    _exit(96);
}

static int refuse(uint32_t number, void *argument)
{
    (void)number;
    (void)argument;
    say_begun();
    _exit(78);
}

static int end(uint32_t number, void *argument)
{
    (void)number;
    (void)argument;
    _exit(0);
}

Test(pool, hands_on_sigterm_and_ends_with_its_workers)
{
    pid_t pids[3];
    pid_t pool = start_pool(3, serve);
    await_begun(3, pids);
    cr_assert_eq(kill(pool, SIGTERM), 0);
    cr_expect_eq(await_exit(pool), 0);
    for (int i = 0; i < 3; i++)
        cr_expect_neq(kill(pids[i], 0), 0);
}

Test(pool, kills_a_worker_that_does_not_end)
{
    pid_t pid;
    pid_t pool = start_pool(1, stay);
    await_begun(1, &pid);
    cr_assert_eq(kill(pool, SIGTERM), 0);
    cr_expect_eq(await_exit(pool), 128 + SIGKILL);
    cr_expect_neq(kill(pid, 0), 0);
}

Test(pool, ends_well_when_somebody_else_kills_a_worker_that_is_to_end)
{
    pid_t pid;
    pid_t pool = start_pool(1, stay);
    await_begun(1, &pid);
    cr_assert_eq(kill(pool, SIGTERM), 0);
    await_begun(1, &pid);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_expect_eq(await_exit(pool), 0);
}

Test(pool, starts_a_killed_worker_again)
{
    pid_t pids[3];
    pid_t pool = start_pool(2, serve);
    await_begun(2, pids);
    cr_assert_eq(kill(pids[0], SIGKILL), 0);
    await_begun(1, &pids[2]);
    cr_expect_neq(pids[2], pids[0]);
    cr_assert_eq(kill(pool, SIGTERM), 0);
    cr_expect_eq(await_exit(pool), 0);
}

Test(pool, ends_with_the_code_of_workers_that_must_not_run_again)
{
    pid_t pids[2];
    pid_t pool = start_pool(2, refuse);
    await_begun(2, pids);
    cr_expect_eq(await_exit(pool), 78);
}

Test(pool, ends_when_its_workers_were_told_to_end)
{
    cr_expect_eq(await_exit(start_pool(2, end)), 0);
}

/* Says its number and its pid as it begins, and serves. */
static int serve_by_number(uint32_t number, void *argument)
{
    (void)argument;
    pid_t said[2] = {(pid_t)number, getpid()};
    int stop;
    if (stop_begin(&stop) != STATUS_OK || write(begun[1], said, sizeof said) != sizeof said)
        _exit(97);
    struct pollfd wait_for = {.fd = stop, .events = POLLIN};
    poll(&wait_for, 1, 15000);
    _exit(0);
}

Test(pool, gives_each_worker_its_number_again)
{
    pid_t said[8];
    pid_t pool = start_pool(3, serve_by_number);
    await_begun(6, said);
    cr_expect_eq((1 << said[0] | 1 << said[2] | 1 << said[4]), 7);
    cr_assert_eq(kill(said[3], SIGKILL), 0);
    await_begun(2, said + 6);
    cr_expect_eq(said[6], said[2]);
    cr_expect_neq(said[7], said[3]);
    cr_assert_eq(kill(pool, SIGTERM), 0);
    cr_expect_eq(await_exit(pool), 0);
}

Test(pool, takes_its_workers_along_when_it_is_killed)
{
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t pids[2];
    pid_t pool = start_pool(2, serve);
    await_begun(2, pids);
    cr_assert_eq(kill(pool, SIGKILL), 0);
    cr_assert_eq(waitpid(pool, NULL, 0), pool);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(await_exit(pids[i]), 0, "SIGTERM by the parent's death");
}
