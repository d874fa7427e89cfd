/* What a program leaves open in its own process once its work has ended: descriptors and threads.
 * The kernel would take them back at the exit; but whoever leaves one has lost track of it. */
#ifndef SORTEO_TESTS_SOCKET_LEFT_H
#define SORTEO_TESTS_SOCKET_LEFT_H

#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum { LEFT_BEHIND = 97 }; /* exit code of a child that has left something */

struct left {
    size_t descriptors;
    size_t threads;
};

static inline size_t left_entries(const char *folder)
{
    DIR *open_folder = opendir(folder); /* one descriptor more, each time */
    size_t count = 0;
    while (open_folder != NULL && readdir(open_folder) != NULL)
        count++;
    if (open_folder != NULL)
        closedir(open_folder);
    return count;
}

static inline struct left left_count(void)
{
    return (struct left){left_entries("/proc/self/fd"), left_entries("/proc/self/task")};
}

/* True once there is no more than before; a thread that was joined may be seen for a moment. */
static inline bool left_nothing_since(const struct left *before)
{
    for (int tries = 0; tries < 2000; tries++) {
        struct left now = left_count();
        if (now.descriptors == before->descriptors && now.threads == before->threads)
            return true;
        (void)poll(NULL, 0, 1);
    }
    return false;
}

#endif
