/* See pool.h. */
#include "worker/pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/host/clock.h"
#include "proto/host/log.h"
#include "proto/host/stop.h"
#include "proto/wire/check.h"

/* One worker process. */
struct slot {
    pid_t pid; /* 0: not running */
    bool has_ended;
    int code;
    int64_t started_at;
    int64_t start_at; /* not running: when it is started (again) */
    int64_t pause_ms; /* last one; 0: none yet */
};

struct pool {
    struct slot slots[POOL_WORKERS_MAX];
    uint32_t workers;
    bool is_stopping;
    int64_t kill_at; /* while stopping */
    int (*work)(uint32_t number, void *argument);
    void *argument; /* borrowed: the caller's, who waits for us */
};

bool pool_restarts(int wait_status, int *code)
{
    if (WIFSIGNALED(wait_status)) {
        *code = 128 + WTERMSIG(wait_status);
        return true;
    }
    *code = WEXITSTATUS(wait_status);
    switch (*code) {
    case EX_OK:
    case EX_USAGE:
    case EX_CANTCREAT:
    case EX_PROTOCOL:
    case EX_NOPERM:
    case EX_CONFIG:
        return false;
    default:
        return true;
    }
}

int64_t pool_next_pause(int64_t pause_ms, int64_t lived_ms)
{
    if (pause_ms == 0 || lived_ms >= RESTART_FORGIVEN_MS)
        return RESTART_MS_MIN;
    return 2 * pause_ms < RESTART_MS_MAX ? 2 * pause_ms : RESTART_MS_MAX;
}

/* In the child. PR_SET_PDEATHSIG says nothing about a parent that had died before it was set. */
static _Noreturn void begin_child(const struct pool *pool, uint32_t number, pid_t parent)
{
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child_signal, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(EX_TEMPFAIL);
    exit(pool->work(number, pool->argument));
}

static void start(struct pool *pool, struct slot *slot)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        begin_child(pool, (uint32_t)(slot - pool->slots), parent);
    slot->started_at = clock_now_ms();
    if (pid > 0) {
        slot->pid = pid;
        return;
    }
    slot->pause_ms = pool_next_pause(slot->pause_ms, 0);
    slot->start_at = slot->started_at + slot->pause_ms;
    log_event(LOG_ERROR, "start_worker", LOG_FAIL, "errno: %d | again_in_ms: %lld", errno,
              (long long)slot->pause_ms);
}

static void take_end(struct pool *pool, struct slot *slot, int wait_status)
{
    int64_t now_ms = clock_now_ms();
    long pid = slot->pid;
    const char *signal_key = WIFSIGNALED(wait_status) ? " | signal: " : "";
    const char *signal_name = WIFSIGNALED(wait_status) ? strsignal(WTERMSIG(wait_status)) : "";
    slot->pid = 0;
    bool restarts = pool_restarts(wait_status, &slot->code);
    if (pool->is_stopping || !restarts) {
        slot->has_ended = true;
        /* Told to end, and killed by somebody else before it could: it has ended as it was told. */
        if (pool->is_stopping && WIFSIGNALED(wait_status) && now_ms < pool->kill_at)
            slot->code = EX_OK;
        if (slot->code != EX_OK)
            log_event(LOG_ERROR, "worker_ended", LOG_FAIL, "pid: %ld | code: %d%s%s", pid,
                      slot->code, signal_key, signal_name);
        return;
    }
    slot->pause_ms = pool_next_pause(slot->pause_ms, now_ms - slot->started_at);
    slot->start_at = now_ms + slot->pause_ms;
    log_event(LOG_WARN, "worker_ended", LOG_FAIL, "pid: %ld | code: %d%s%s | again_in_ms: %lld",
              pid, slot->code, signal_key, signal_name, (long long)slot->pause_ms);
}

/* Takes in every worker that has ended. Signals of several may have become one. */
static void reap(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->workers; i++) {
        struct slot *slot = &pool->slots[i];
        int wait_status;
        if (slot->pid > 0 && waitpid(slot->pid, &wait_status, WNOHANG) == slot->pid)
            take_end(pool, slot, wait_status);
    }
}

static void signal_all(const struct pool *pool, int number)
{
    for (uint32_t i = 0; i < pool->workers; i++) {
        if (pool->slots[i].pid > 0)
            kill(pool->slots[i].pid, number);
    }
}

static void stop(struct pool *pool)
{
    pool->is_stopping = true;
    pool->kill_at = clock_now_ms() + POOL_STOP_MS;
    signal_all(pool, SIGTERM);
    for (uint32_t i = 0; i < pool->workers; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->pid == 0 && !slot->has_ended)
            *slot = (struct slot){.has_ended = true, .code = EX_OK};
    }
}

static bool is_over(const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->workers; i++) {
        if (!pool->slots[i].has_ended)
            return false;
    }
    return true;
}

/* Starts who is due. returns for how long to wait, -1: for a signal. */
static int do_due(struct pool *pool)
{
    int64_t now_ms = clock_now_ms();
    int64_t wake_at = INT64_MAX;
    if (pool->is_stopping) {
        if (now_ms >= pool->kill_at)
            signal_all(pool, SIGKILL);
        wake_at = now_ms >= pool->kill_at ? now_ms + RESTART_MS_MIN : pool->kill_at;
    }
    for (uint32_t i = 0; i < pool->workers && !pool->is_stopping; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->pid != 0 || slot->has_ended)
            continue;
        if (now_ms >= slot->start_at)
            start(pool, slot);
        if (slot->pid == 0 && slot->start_at < wake_at)
            wake_at = slot->start_at;
    }
    if (wake_at == INT64_MAX)
        return -1;
    return wake_at > now_ms ? (int)(wake_at - now_ms) : 0;
}

static int exit_code(const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->workers; i++) {
        if (pool->slots[i].has_ended && pool->slots[i].code != EX_OK)
            return pool->slots[i].code;
    }
    return EX_OK;
}

int pool_run(uint32_t workers, int stop_descriptor, int (*work)(uint32_t number, void *argument),
             void *argument)
{
    CHECK(workers >= 1 && workers <= POOL_WORKERS_MAX);
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
    int child_descriptor = signalfd(-1, &child_signal, SFD_NONBLOCK | SFD_CLOEXEC);
    if (child_descriptor < 0)
        return EX_OSERR;
    struct pool pool = {.workers = workers, .work = work, .argument = argument};
    while (!is_over(&pool)) {
        int timeout_ms = do_due(&pool);
        struct pollfd wait_for[] = {{.fd = stop_descriptor, .events = POLLIN},
                                    {.fd = child_descriptor, .events = POLLIN}};
        if (poll(wait_for, 2, timeout_ms) < 0 && errno != EINTR)
            break;
        struct signalfd_siginfo ended;
        while (read(child_descriptor, &ended, sizeof ended) > 0)
            continue;
        reap(&pool);
        if (stop_take(stop_descriptor) != 0 && !pool.is_stopping)
            stop(&pool);
    }
    close(child_descriptor);
    return exit_code(&pool);
}
