/* See lock.h. */
#include "worker/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/wire/check.h"
#include "proto/wire/limits.h"

enum { FOLDER_MODE = 0700 };

/* Makes a name durable in the folder that it stands in. */
static int sync_parent(const char *path)
{
    char parent[LOCK_PATH_BYTES_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        snprintf(parent, sizeof parent, ".");
    else
        slash[slash == parent ? 1 : 0] = '\0';
    int descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    int code = fsync(descriptor) == 0 ? 0 : errno;
    close(descriptor);
    return code;
}

/* Makes one folder whose parent is there. returns errno, 0 also where it was there. */
static int make_folder(const char *path)
{
    if (mkdir(path, FOLDER_MODE) == 0)
        return sync_parent(path);
    if (errno != EEXIST)
        return errno;
    struct stat kind;
    if (stat(path, &kind) != 0)
        return errno;
    return S_ISDIR(kind.st_mode) ? 0 : ENOTDIR;
}

/* Makes a folder and every one above it that is missing. */
static int make_path(const char *path)
{
    char above[LOCK_PATH_BYTES_MAX];
    snprintf(above, sizeof above, "%s", path);
    for (char *at = above + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        int code = make_folder(above);
        if (code != 0)
            return code;
        *at = '/';
    }
    return make_folder(above);
}

/* Locks one folder. returns 0, EWOULDBLOCK where somebody holds it, or errno. A folder that was
 * removed and made anew meanwhile is not the one that was locked. */
static int try_lock(struct lock *lock)
{
    int descriptor = open(lock->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    struct stat ours;
    struct stat there;
    int code = 0;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 || fstat(descriptor, &ours) != 0)
        code = errno;
    else if (stat(lock->path, &there) != 0 || ours.st_ino != there.st_ino)
        code = EWOULDBLOCK;
    if (code != 0) {
        close(descriptor);
        return code;
    }
    lock->descriptor = descriptor;
    return 0;
}

enum status lock_take(const char *folder, uint32_t first, struct lock *lock, char *problem,
                      size_t problem_bytes)
{
    CHECK(first < STORES_MAX);
    *lock = (struct lock){.descriptor = -1};
    if (folder[0] == '\0' || strlen(folder) + sizeof "/4294967295" > sizeof lock->path) {
        snprintf(problem, problem_bytes, "the store's folder needs a name of 1 to %zu bytes",
                 sizeof lock->path - sizeof "/4294967295");
        return STATUS_USAGE;
    }
    int code = make_path(folder);
    if (code != 0) {
        snprintf(problem, problem_bytes, "cannot create '%s': %s", folder, strerror(code));
        return STATUS_CANNOT_CREATE;
    }
    for (uint32_t looked_at = 0; looked_at < STORES_MAX; looked_at++) {
        lock->number = (first + looked_at) % STORES_MAX;
        snprintf(lock->path, sizeof lock->path, "%s/%u", folder, lock->number);
        code = make_folder(lock->path);
        if (code != 0) {
            snprintf(problem, problem_bytes, "cannot create '%s': %s", lock->path, strerror(code));
            return STATUS_CANNOT_CREATE;
        }
        code = try_lock(lock);
        if (code == 0)
            return STATUS_OK;
        if (code != EWOULDBLOCK && code != ENOENT) {
            snprintf(problem, problem_bytes, "cannot lock '%s': %s", lock->path, strerror(code));
            return code == EACCES ? STATUS_CANNOT_CREATE : STATUS_IO;
        }
    }
    snprintf(problem, problem_bytes, "other workers hold all %d stores in '%s'", STORES_MAX,
             folder);
    return STATUS_LIMIT;
}

void lock_release(struct lock *lock)
{
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    lock->descriptor = -1;
}
