#include "proto/host/stop.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* From the lowest on: open takes the lowest that is free. */
static bool fill_streams(void)
{
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", O_WRONLY) != stream)
            return false;
    return true;
}

enum status stop_begin(int *descriptor)
{
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    if (!fill_streams() || sigaction(SIGPIPE, &ignored, NULL) != 0)
        return STATUS_IO;

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        return STATUS_IO;

    int opened = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (opened < 0)
        return STATUS_IO;
    *descriptor = opened;
    return STATUS_OK;
}

int stop_take(int descriptor)
{
    struct signalfd_siginfo arrived;
    if (read(descriptor, &arrived, sizeof arrived) != (ssize_t)sizeof arrived)
        return 0;
    return (int)arrived.ssi_signo;
}

bool stop_wait(int descriptor, int64_t wait_ms)
{
    struct pollfd item = {.fd = descriptor, .events = POLLIN};
    return poll(&item, 1, wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX) == 1;
}

enum status stop_raise_descriptors(uint64_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return STATUS_CONFIG;
    if (limit.rlim_cur >= needed) /* RLIM_INFINITY is the largest value */
        return STATUS_OK;
    if (limit.rlim_max < needed)
        return STATUS_CONFIG;
    limit.rlim_cur = needed;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? STATUS_OK : STATUS_CONFIG;
}
