/* See crash.h; built in the fault flavour alone. */
#ifndef SORTEO_CRASH_POINTS
#define SORTEO_CRASH_POINTS
#endif
#include "proto/host/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KILLED = 137 }; /* what a shell tells of a process that kill -9 ended */

/* The bounds of the section, made by the linker; weak: a program may have no point. */
extern struct crash_point *const __start_crash_points[] __attribute__((weak));
extern struct crash_point *const __stop_crash_points[] __attribute__((weak));

/* The pass that a variable of the environment wants of this point; 0: none. */
static unsigned long wanted_pass(const char *variable, const char *name)
{
    const char *wanted = getenv(variable);
    size_t length = strlen(name);
    if (wanted == NULL || strncmp(wanted, name, length) != 0 || wanted[length] != ':')
        return 0;
    return strtoul(wanted + length + 1, NULL, 10);
}

static void append_to_log(const char *name)
{
    const char *path = getenv("SORTEO_CRASH_LOG");
    if (path == NULL)
        return;
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return;
    (void)dprintf(descriptor, "%s\n", name);
    (void)close(descriptor);
}

void crash_pass(struct crash_point *point)
{
    unsigned pass = __atomic_add_fetch(&point->passes, 1, __ATOMIC_RELAXED);
    if (wanted_pass("SORTEO_STAND", point->name) == pass)
        (void)raise(SIGSTOP);
    if (wanted_pass("SORTEO_CRASH", point->name) != pass)
        return;
    append_to_log(point->name);
    _exit(KILLED);
}

void crash_begin(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "--crash-points") != 0)
        return;
    /* cppcheck-suppress comparePointers ; both are bounds of one section */
    for (struct crash_point *const *at = __start_crash_points; at < __stop_crash_points; at++)
        (void)printf("%s\n", (*at)->name);
    exit(EXIT_SUCCESS);
}

bool crash_breaks(const char *rule)
{
    const char *broken = getenv("SORTEO_BREAK");
    return broken != NULL && strcmp(broken, rule) == 0;
}
