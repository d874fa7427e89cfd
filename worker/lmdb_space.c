/* See lmdb_space.h. The map of a data file is not larger than what is allocated, so no page
 * beyond it can be handed out: MDB_MAP_FULL is the full disk. */
#include "worker/lmdb_space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Where the last used page of the last commit ends. */
static uint64_t used_bytes(const struct lmdb_space *space)
{
    MDB_envinfo info;
    mdb_env_info(space->env, &info);
    return ((uint64_t)info.me_last_pgno + 1) * space->page_bytes;
}

static uint64_t disk_free_bytes(const struct lmdb_space *space)
{
    struct statvfs disk;
    if (fstatvfs(space->descriptor, &disk) != 0)
        return 0;
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

static enum status status_of(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG ? STATUS_FULL : STATUS_IO;
}

/* Makes the file at least that long. LMDB never writes a page that a transaction took at the end
 * and gave back, and counts it as used: without this, a file would be shorter than its last page.
 * errors: FULL, IO. */
static enum status lengthen(const struct lmdb_space *space, uint64_t bytes)
{
    struct stat file;
    if (fstat(space->descriptor, &file) != 0)
        return STATUS_IO;
    if ((uint64_t)file.st_size >= bytes)
        return STATUS_OK;
    int result;
    do
        result = ftruncate(space->descriptor, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? STATUS_OK : status_of(errno);
}

/* Allocates [from, from + bytes). errors: FULL, IO. */
static enum status allocate(struct lmdb_space *space, uint64_t from, uint64_t bytes)
{
    if (!space->cannot_allocate) {
        int result;
        do
            result = fallocate(space->descriptor, 0, (off_t)from, (off_t)bytes);
        while (result != 0 && errno == EINTR);
        if (result == 0)
            return STATUS_OK;
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return status_of(errno);
        space->cannot_allocate = true;
    }
    if (disk_free_bytes(space) < bytes + space->reserve_bytes)
        return STATUS_FULL;
    return lengthen(space, from + bytes);
}

/* Grows what is allocated to at least `wanted` bytes, by a whole step where there is room, else
 * by as much of one as there is. errors: IO. */
static enum status grow(struct lmdb_space *space, uint64_t wanted)
{
    uint64_t step = space->allocated_bytes / 4;
    if (step < SPACE_STEP_BYTES_MIN)
        step = SPACE_STEP_BYTES_MIN;
    if (step > SPACE_STEP_BYTES_MAX)
        step = SPACE_STEP_BYTES_MAX;
    while (space->allocated_bytes < wanted) {
        uint64_t missing = wanted - space->allocated_bytes;
        uint64_t bytes = round_up(missing > step ? missing : step, space->page_bytes);
        enum status status = allocate(space, space->allocated_bytes, bytes);
        while (status == STATUS_FULL && bytes > SPACE_STEP_BYTES_MIN) {
            bytes = round_up(bytes / 2, space->page_bytes);
            status = allocate(space, space->allocated_bytes, bytes);
        }
        if (status == STATUS_FULL)
            return STATUS_OK;
        if (status != STATUS_OK)
            return status;
        space->allocated_bytes += bytes;
    }
    return STATUS_OK;
}

enum status lmdb_space_begin(struct lmdb_space *space, MDB_env *env, uint64_t reserve_bytes)
{
    MDB_stat stat_of_env;
    MDB_envinfo info;
    mdb_env_stat(env, &stat_of_env);
    mdb_env_info(env, &info);
    *space = (struct lmdb_space){
        .env = env,
        .page_bytes = stat_of_env.ms_psize,
        .map_bytes = info.me_mapsize,
        .reserve_bytes = round_up(reserve_bytes, stat_of_env.ms_psize),
    };
    struct stat file;
    if (mdb_env_get_fd(env, &space->descriptor) != 0 || fstat(space->descriptor, &file) != 0)
        return STATUS_IO;

    /* A copied file may have holes: what lies below its size has to be on the disk as well. */
    uint64_t size = round_up((uint64_t)file.st_size, space->page_bytes);
    enum status status = allocate(space, 0, size);
    if (status == STATUS_IO)
        return status;
    space->allocated_bytes = status == STATUS_OK ? size : used_bytes(space);
    return STATUS_OK;
}

enum status lmdb_space_prepare(struct lmdb_space *space, enum store_space use)
{
    uint64_t used = used_bytes(space);
    uint64_t wanted = used + SPACE_GROUP_BYTES + space->reserve_bytes;
    if (space->has_been_full && wanted <= space->allocated_bytes)
        wanted = space->allocated_bytes + 1;
    enum status status = grow(space, wanted);
    if (status != STATUS_OK)
        return status;
    space->has_been_full = false;

    uint64_t map = space->allocated_bytes;
    if (use == STORE_COMMON)
        map = map > used + space->reserve_bytes ? map - space->reserve_bytes : used;
    if (map < used)
        map = used;
    if (map == space->map_bytes)
        return STATUS_OK;
    if (mdb_env_set_mapsize(space->env, (size_t)map) != 0)
        return STATUS_IO;
    space->map_bytes = map;
    return STATUS_OK;
}

uint64_t lmdb_space_free(const struct lmdb_space *space)
{
    uint64_t used = used_bytes(space);
    uint64_t free_bytes = disk_free_bytes(space);
    if (space->allocated_bytes > used)
        free_bytes += space->allocated_bytes - used;
    return free_bytes > space->reserve_bytes ? free_bytes - space->reserve_bytes : 0;
}
