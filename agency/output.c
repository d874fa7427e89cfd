/* Where a file system has no unnamed files (O_TMPFILE), a hidden name beside the path serves; it is
 * removed on every orderly end. */
#include "agency/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/host/crash.h"
#include "proto/host/random.h"
#include "proto/wire/check.h"

enum { OUTPUT_BUFFER_BYTES = 64 * 1024, OUTPUT_MODE = 0666 /* the umask takes its part */ };

struct output {
    const char *path; /* borrowed */
    int descriptor;
    bool is_named; /* `hidden` exists */
    char folder[PATH_MAX];
    char hidden[PATH_MAX]; /* ".NAME.PID.RANDOM" in folder: in each container the PID is the same */
    size_t bytes;
    unsigned char buffer[OUTPUT_BUFFER_BYTES];
};

enum status output_folder(const char *path, char *folder, size_t folder_bytes)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL ? 1 : (size_t)(slash - path);
    if (slash == path)
        bytes = 1;
    if (bytes >= folder_bytes)
        return STATUS_LIMIT;
    memcpy(folder, slash == NULL ? "." : path, bytes);
    folder[bytes] = '\0';
    return STATUS_OK;
}

int output_open_unnamed(const char *folder)
{
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, OUTPUT_MODE);
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return descriptor;
    char hidden[PATH_MAX];
    int bytes = snprintf(hidden, sizeof(hidden), "%s/.sorteo.XXXXXX", folder);
    if (bytes < 0 || (size_t)bytes >= sizeof(hidden)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    descriptor = mkostemp(hidden, O_CLOEXEC);
    if (descriptor >= 0)
        (void)unlink(hidden);
    return descriptor;
}

/* Fills in folder and hidden name. */
static enum status name_places(struct output *output)
{
    const char *slash = strrchr(output->path, '/');
    const char *name = slash == NULL ? output->path : slash + 1;
    if (output_folder(output->path, output->folder, sizeof(output->folder)) != STATUS_OK ||
        name[0] == '\0') {
        errno = name[0] == '\0' ? EISDIR : ENAMETOOLONG;
        return STATUS_CANNOT_CREATE;
    }
    uint32_t random;
    random_fill(&random, sizeof(random));
    int bytes = snprintf(output->hidden, sizeof(output->hidden), "%s/.%s.%ld.%08x", output->folder,
                         name, (long)getpid(), random);
    if (bytes < 0 || (size_t)bytes >= sizeof(output->hidden)) {
        errno = ENAMETOOLONG;
        return STATUS_CANNOT_CREATE;
    }
    return STATUS_OK;
}

bool output_is_misplaced(const char *path)
{
    struct stat stat_of_path;
    return lstat(path, &stat_of_path) == 0 && !S_ISREG(stat_of_path.st_mode) &&
           !S_ISDIR(stat_of_path.st_mode);
}

static enum status open_in_folder(struct output *output)
{
    struct stat stat_of_path;
    if (stat(output->path, &stat_of_path) == 0 && S_ISDIR(stat_of_path.st_mode)) {
        errno = EISDIR;
        return STATUS_CANNOT_CREATE;
    }
    output->descriptor = open(output->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, OUTPUT_MODE);
    if (output->descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        output->descriptor =
            open(output->hidden, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, OUTPUT_MODE);
        output->is_named = output->descriptor >= 0;
    }
    return output->descriptor < 0 ? STATUS_CANNOT_CREATE : STATUS_OK;
}

enum status output_create(const char *path, struct output **output)
{
    struct output *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->path = path;
    enum status status = name_places(created);
    if (status == STATUS_OK)
        status = open_in_folder(created);
    if (status != STATUS_OK) {
        int saved = errno;
        free(created);
        errno = saved;
        return status;
    }
    *output = created;
    return STATUS_OK;
}

static enum status flush(struct output *output)
{
    size_t at = 0;
    while (at < output->bytes) {
        ssize_t written = write(output->descriptor, output->buffer + at, output->bytes - at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno == ENOSPC || errno == EDQUOT ? STATUS_FULL : STATUS_IO;
        at += (size_t)written;
    }
    output->bytes = 0;
    return STATUS_OK;
}

enum status output_write(struct output *output, const void *bytes, size_t count)
{
    const unsigned char *from = bytes;
    while (count > 0) {
        if (output->bytes == OUTPUT_BUFFER_BYTES) {
            enum status status = flush(output);
            if (status != STATUS_OK)
                return status;
        }
        size_t room = OUTPUT_BUFFER_BYTES - output->bytes;
        size_t taken = count < room ? count : room;
        memcpy(output->buffer + output->bytes, from, taken);
        output->bytes += taken;
        from += taken;
        count -= taken;
    }
    return STATUS_OK;
}

/* Gives an unnamed file its hidden name: rename needs one. */
static enum status give_name(struct output *output)
{
    char link_of_descriptor[64];
    snprintf(link_of_descriptor, sizeof(link_of_descriptor), "/proc/self/fd/%d",
             output->descriptor);
    if (linkat(AT_FDCWD, link_of_descriptor, AT_FDCWD, output->hidden, AT_SYMLINK_FOLLOW) != 0)
        return STATUS_IO;
    output->is_named = true;
    return STATUS_OK;
}

static enum status sync_folder(const char *folder)
{
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return STATUS_SYNC;
    enum status status = fsync(descriptor) == 0 ? STATUS_OK : STATUS_SYNC;
    int saved = errno;
    close(descriptor);
    errno = saved;
    return status;
}

enum status output_sync(struct output *output)
{
    enum status status = flush(output);
    CRASH_POINT("agency.before_sync.output");
    if (status == STATUS_OK && !crash_breaks("unsynced") && fsync(output->descriptor) != 0)
        status = STATUS_SYNC;
    CRASH_POINT("agency.after_sync.output");
    return status;
}

enum status output_commit(struct output **output)
{
    struct output *ended = *output;
    enum status status = output_sync(ended);
    if (status == STATUS_OK && !ended->is_named)
        status = give_name(ended);
    CRASH_POINT("agency.before_rename.output");
    if (status == STATUS_OK && rename(ended->hidden, ended->path) != 0)
        status = STATUS_IO;
    CRASH_POINT("agency.after_rename.output");
    if (status == STATUS_OK) {
        ended->is_named = false;
        if (!crash_breaks("unsynced"))
            status = sync_folder(ended->folder);
    }
    CRASH_POINT("agency.after_sync.folder");
    int saved = errno;
    output_discard(output);
    errno = saved;
    return status;
}

void output_discard(struct output **output)
{
    if (*output == NULL)
        return;
    if ((*output)->is_named)
        (void)unlink((*output)->hidden);
    close((*output)->descriptor);
    free(*output);
    *output = NULL;
}
