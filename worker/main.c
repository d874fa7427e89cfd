/* sorteo-worker: reads the options, becomes as many processes as wanted, and in each of them
 * takes a store and serves the broker with it. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/random.h"
#include "proto/host/stop.h"
#include "worker/command.h"
#include "worker/lmdb_space.h"
#include "worker/lock.h"
#include "worker/pool.h"
#include "worker/store_lmdb.h"
#include "worker/store_points.h"

enum { DESCRIPTORS_NEEDED = 256 };

static enum status open_store(const char *folder, struct store **store, char *problem,
                              size_t problem_bytes)
{
    struct store_lmdb_settings settings = {.folder = folder, .reserve_bytes = SPACE_RESERVE_BYTES};
    random_id(&settings.id);
    random_id(&settings.opening_id);
    enum status status = store_lmdb_open(&settings, store, problem, problem_bytes);
    if (status == STATUS_OK)
        *store = store_points_before(*store);
    return status;
}

/* The broker names a store by the same digits, the pool a worker that has ended by the same pid. */
static void log_opened(struct store *store, const char *path)
{
    struct store_about about;
    store_about(store, &about);
    log_event(LOG_INFO, "open_store", LOG_SUCCESS, "path: %s | pid: %ld | store: %02x%02x%02x%02x",
              path, (long)getpid(), about.id.bytes[0], about.id.bytes[1], about.id.bytes[2],
              about.id.bytes[3]);
}

/* What to do about a store that cannot be opened. */
static const char *hint_of(enum status status)
{
    if (status == STATUS_FULL)
        return "make room on its disk and start the worker again";
    if (status == STATUS_IO || status == STATUS_VERSION || status == STATUS_MALFORMED)
        return "where its files are damaged, or not a store's, put a whole copy of their last "
               "state there, or move the folder away: the agencies send again what only it held";
    if (status == STATUS_CANNOT_CREATE)
        return "--store needs a folder of its own in which this user may read and write all files: "
               "see their owner and mode, and leave a store that is there where it is";
    return "--store needs a folder of its own that can be written";
}

/* One worker, in a process of its own; the pool's `number` of it is where it begins to look for a
 * store, so that one whose store cannot be opened keeps none of the others from theirs.
 * returns its exit code. */
static int work(uint32_t number, void *argument)
{
    struct command *command = argument;
    char problem[LOCK_PATH_BYTES_MAX + TEXT_BYTES_MAX] = "";
    struct lock lock = {.descriptor = -1};
    struct store *store = NULL;
    enum status status = stop_begin(&command->loop.stop_descriptor);
    if (status == STATUS_OK)
        status = lock_take(command->store, number, &lock, problem, sizeof problem);
    if (status == STATUS_OK) {
        char name[TEXT_BYTES_MAX];
        snprintf(name, sizeof name, "sorteo-worker %u", lock.number);
        log_begin(name);
        status = open_store(lock.path, &store, problem, sizeof problem);
    }
    int code = status_exit_code(status);
    if (status == STATUS_OK) {
        log_opened(store, lock.path);
        code = worker_loop_run(&command->loop, store);
    } else {
        log_event(LOG_ERROR, "open_store", LOG_FAIL, "reason: %s | hint: %s | code: %d",
                  problem[0] != '\0' ? problem : status_text(status), hint_of(status), code);
    }
    store_close(&store);
    lock_release(&lock);
    return code;
}

int main(int argc, char **argv)
{
    crash_begin(argc, argv);
    int stop_descriptor;
    if (stop_begin(&stop_descriptor) != STATUS_OK)
        return EX_OSERR;
    struct command command;
    worker_command_read(argc, argv, &command);
    log_begin("sorteo-worker");
    if (stop_raise_descriptors(DESCRIPTORS_NEEDED) != STATUS_OK) {
        log_event(LOG_ERROR, "start", LOG_FAIL, "reason: %d open files are needed; see ulimit -n",
                  DESCRIPTORS_NEEDED);
        return EX_CONFIG;
    }
    if (command.workers == 1)
        return work(0, &command);
    return pool_run((uint32_t)command.workers, stop_descriptor, work, &command);
}
