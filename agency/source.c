/* One descriptor and where it came from. */
#include "agency/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agency/output.h"
#include "proto/wire/check.h"

enum { COPY_BYTES = 64 * 1024 };

struct source {
    int descriptor;
    const char *name; /* borrowed: argv's or a literal */
    bool needs_copy;
    off_t size; /* as source_mark saw them */
    struct timespec changed_at;
};

enum status source_open(const char *path, struct source **source)
{
    bool is_standard = strcmp(path, "-") == 0;
    int descriptor =
        is_standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return STATUS_NO_INPUT;
    struct stat stat;
    if (fstat(descriptor, &stat) != 0 || S_ISDIR(stat.st_mode)) {
        int saved = S_ISDIR(stat.st_mode) ? EISDIR : errno;
        close(descriptor);
        errno = saved;
        return STATUS_NO_INPUT;
    }
    struct source *opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        close(descriptor);
        return STATUS_NO_MEMORY;
    }
    opened->descriptor = descriptor;
    opened->name = is_standard ? "standard input" : path;
    opened->needs_copy = !S_ISREG(stat.st_mode);
    *source = opened;
    return STATUS_OK;
}

void source_close(struct source **source)
{
    if (*source == NULL)
        return;
    close((*source)->descriptor);
    free(*source);
    *source = NULL;
}

bool source_is_at(const struct source *source, const char *path)
{
    struct stat ours;
    struct stat theirs;
    return fstat(source->descriptor, &ours) == 0 && S_ISREG(ours.st_mode) &&
           stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

const char *source_name(const struct source *source)
{
    return source->name;
}

bool source_needs_copy(const struct source *source)
{
    return source->needs_copy;
}

/* Waits until there is something to read, or to stop for. */
static enum status wait_readable(int descriptor, int stop)
{
    struct pollfd items[] = {
        {.fd = stop, .events = POLLIN},
        {.fd = descriptor, .events = POLLIN},
    };
    int ready;
    do
        ready = poll(items, 2, -1);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return STATUS_IO;
    return items[0].revents != 0 ? STATUS_INTERRUPTED : STATUS_OK;
}

static enum status write_all(int descriptor, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(descriptor, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno == ENOSPC ? STATUS_FULL : STATUS_IO;
        bytes += written;
        count -= (size_t)written;
    }
    return STATUS_OK;
}

static enum status copy_to_end(int from, int to, int stop)
{
    uint8_t buffer[COPY_BYTES];
    for (;;) {
        enum status status = wait_readable(from, stop);
        if (status != STATUS_OK)
            return status;
        ssize_t got = read(from, buffer, sizeof(buffer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return STATUS_IO;
        if (got == 0)
            return STATUS_OK;
        status = write_all(to, buffer, (size_t)got);
        if (status != STATUS_OK)
            return status;
    }
}

enum status source_copy(struct source *source, const char *folder, int stop)
{
    int copy = output_open_unnamed(folder);
    if (copy < 0)
        return STATUS_CANNOT_CREATE;
    enum status status = copy_to_end(source->descriptor, copy, stop);
    if (status != STATUS_OK) {
        int saved = errno;
        close(copy);
        errno = saved;
        return status;
    }
    close(source->descriptor);
    source->descriptor = copy;
    source->needs_copy = false;
    return STATUS_OK;
}

enum status source_mark(struct source *source)
{
    struct stat stat;
    if (fstat(source->descriptor, &stat) != 0)
        return STATUS_IO;
    source->size = stat.st_size;
    source->changed_at = stat.st_mtim;
    return STATUS_OK;
}

bool source_is_unchanged(const struct source *source)
{
    struct stat stat;
    return fstat(source->descriptor, &stat) == 0 && stat.st_size == source->size &&
           stat.st_mtim.tv_sec == source->changed_at.tv_sec &&
           stat.st_mtim.tv_nsec == source->changed_at.tv_nsec;
}

enum status source_read(const struct source *source, uint64_t offset, void *buffer, size_t bytes,
                        size_t *got)
{
    CHECK(!source->needs_copy);
    for (;;) {
        ssize_t read_bytes = pread(source->descriptor, buffer, bytes, (off_t)offset);
        if (read_bytes < 0 && errno == EINTR)
            continue;
        if (read_bytes < 0)
            return STATUS_IO;
        *got = (size_t)read_bytes;
        return STATUS_OK;
    }
}
