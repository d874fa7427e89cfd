#include "proto/host/stop.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(stop, .timeout = 10);

static int begin(void)
{
    int descriptor = -1;
    cr_assert_eq(stop_begin(&descriptor), STATUS_OK);
    cr_assert_geq(descriptor, 0);
    return descriptor;
}

static bool is_readable(int descriptor)
{
    struct pollfd item = {.fd = descriptor, .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

Test(stop, is_quiet_while_no_signal_came)
{
    int descriptor = begin();
    cr_assert_not(is_readable(descriptor));
    cr_assert_eq(stop_take(descriptor), 0);
}

Test(stop, turns_each_signal_into_something_to_read)
{
    int descriptor = begin();
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(kill(getpid(), signals[i]), 0);
        cr_assert(is_readable(descriptor));
        cr_assert_eq(stop_take(descriptor), signals[i]);
        cr_assert_eq(stop_take(descriptor), 0);
    }
}

Test(stop, is_waited_for_no_longer_than_told_and_left_to_be_taken)
{
    int descriptor = begin();
    cr_assert_not(stop_wait(descriptor, 0));
    cr_assert_not(stop_wait(descriptor, 1));
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    cr_assert(stop_wait(descriptor, INT64_MAX));
    cr_assert(stop_wait(descriptor, 0));
    cr_assert_eq(stop_take(descriptor), SIGTERM);
}

Test(stop, leaves_no_file_the_place_of_a_closed_stream)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
            (void)close(stream);
        int own;
        char byte;
        if (stop_begin(&own) != STATUS_OK || own <= STDERR_FILENO)
            _exit(1);
        if (read(STDIN_FILENO, &byte, 1) >= 0) /* not taken for an empty file */
            _exit(2);
        _exit(write(STDERR_FILENO, "x", 1) == 1 ? 0 : 3);
    }
    int state;
    cr_assert_eq(waitpid(child, &state, 0), child);
    cr_assert_eq(state, 0);
}

Test(stop, survives_a_reader_that_is_gone)
{
    begin();
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_lt(write(ends[1], "x", 1), 0); /* without stop_begin: SIGPIPE ends the process */
}

Test(stop, descriptor_is_not_handed_to_programs_that_are_started)
{
    int flags = fcntl(begin(), F_GETFD);
    cr_assert(flags & FD_CLOEXEC);
}

Test(stop, child_begins_anew_with_a_descriptor_of_its_own)
{
    int descriptor = begin();
    pid_t child = fork();
    if (child == 0) {
        int own = -1;
        if (stop_begin(&own) != STATUS_OK || kill(getpid(), SIGTERM) != 0)
            _exit(1);
        _exit(stop_take(own) == SIGTERM ? 0 : 2);
    }
    int ended = -1;
    cr_assert_eq(waitpid(child, &ended, 0), child);
    cr_assert(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    cr_assert_eq(stop_take(descriptor), 0, "the parent heard its child's signal");
}

static void set_limit(rlim_t soft, rlim_t hard)
{
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t soft_limit(void)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

Test(stop, raises_the_soft_limit_as_far_as_needed)
{
    set_limit(100, 300);
    cr_assert_eq(stop_raise_descriptors(200), STATUS_OK);
    cr_assert_eq(soft_limit(), 200);
    cr_assert_eq(stop_raise_descriptors(300), STATUS_OK);
    cr_assert_eq(soft_limit(), 300);
}

Test(stop, leaves_a_limit_that_is_high_enough)
{
    set_limit(250, 300);
    cr_assert_eq(stop_raise_descriptors(250), STATUS_OK);
    cr_assert_eq(stop_raise_descriptors(1), STATUS_OK);
    cr_assert_eq(soft_limit(), 250);
}

Test(stop, refuses_more_than_the_hard_limit)
{
    set_limit(100, 300);
    cr_assert_eq(stop_raise_descriptors(301), STATUS_CONFIG);
    cr_assert_eq(soft_limit(), 100);
}
