/* sorteo-worker: reads the options, becomes as many processes as wanted, and in each of them
 * takes a store and serves the broker with it. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "proto/host/log.h"
#include "proto/host/options.h"
#include "proto/host/random.h"
#include "proto/host/stop.h"
#include "worker/lmdb_space.h"
#include "worker/lock.h"
#include "worker/loop.h"
#include "worker/pool.h"
#include "worker/store_lmdb.h"

enum { DESCRIPTORS_NEEDED = 256, COMMIT_MS_MAX = 1000 };

/* What the command line says. */
struct command {
    const char *broker;
    const char *store;
    uint64_t workers;
    uint64_t commit_ms;
    uint64_t commit_bytes;
    struct loop_settings loop;
};

static enum status open_store(const char *folder, struct store **store, char *problem,
                              size_t problem_bytes)
{
    struct store_lmdb_settings settings = {.folder = folder, .reserve_bytes = SPACE_RESERVE_BYTES};
    random_id(&settings.id);
    random_id(&settings.opening_id);
    return store_lmdb_open(&settings, store, problem, problem_bytes);
}

/* One worker, in a process of its own. returns its exit code. */
static int work(void *argument)
{
    struct command *command = argument;
    char problem[LOCK_PATH_BYTES_MAX + TEXT_BYTES_MAX] = "";
    struct lock lock = {.descriptor = -1};
    struct store *store = NULL;
    enum status status = stop_begin(&command->loop.stop_descriptor);
    if (status == STATUS_OK)
        status = lock_take(command->store, &lock, problem, sizeof problem);
    if (status == STATUS_OK) {
        char name[TEXT_BYTES_MAX];
        snprintf(name, sizeof name, "sorteo-worker %u", lock.number);
        log_begin(name);
        status = open_store(lock.path, &store, problem, sizeof problem);
    }
    int code = status_exit_code(status);
    if (status == STATUS_OK) {
        log_event(LOG_INFO, "open_store", LOG_SUCCESS, "path: %s", lock.path);
        code = worker_loop_run(&command->loop, store);
    } else {
        log_event(LOG_ERROR, "open_store", LOG_FAIL,
                  "reason: %s | hint: --store needs a folder of its own that can be written and "
                  "has room | code: %d",
                  problem[0] != '\0' ? problem : status_text(status), code);
    }
    store_close(&store);
    lock_release(&lock);
    return code;
}

static void read_command(struct command *command, int argc, char **argv)
{
    const struct option options[] = {
        {.name = "broker",
         .argument = "HOST[:PORT]",
         .type = OPTION_TEXT,
         .value = &command->broker,
         .help = "the broker to work for"},
        {.name = "workers",
         .argument = "N",
         .type = OPTION_NUMBER,
         .value = &command->workers,
         .min = 1,
         .max = POOL_WORKERS_MAX,
         .help = "processes to start, each with a store of its own"},
        {.name = "store",
         .argument = "DIR",
         .type = OPTION_TEXT,
         .value = &command->store,
         .help = "folder of the stores; each worker takes the lowest of DIR/0, DIR/1, ... that "
                 "nobody holds"},
        {.name = "commit-ms",
         .argument = "MS",
         .type = OPTION_NUMBER,
         .value = &command->commit_ms,
         .max = COMMIT_MS_MAX,
         .help = "longest time that a batch waits for others before they are made durable"},
        {.name = "commit-bytes",
         .argument = "BYTES",
         .type = OPTION_NUMBER,
         .value = &command->commit_bytes,
         .min = 1,
         .max = CREDIT_BYTES_MAX,
         .help = "bytes of batches that are made durable at once, at the latest"},
    };
    const struct program program = {
        .name = "sorteo-worker",
        .arguments = "",
        .summary = "Stores the bets that the broker hands out, and counts winners among them.",
        .details = "Example: sorteo-worker --broker localhost --workers 2\n\n"
                   "Exit codes: 0 told to end; 64 usage; 73, 74 disk; 75 run it again; 76 the "
                   "broker speaks another version; 78 configuration, or a store that is a copy.",
        .options = options,
        .options_count = sizeof options / sizeof options[0],
    };
    options_read(&program, argc, argv);
    command->loop.broker.port = PORT_DEFAULT;
    if (address_parse(command->broker, &command->loop.broker) != STATUS_OK)
        options_fail(&program,
                     "--broker '%s' is not of the form HOST[:PORT], with a port from 1 to %d",
                     command->broker, PORT_MAX);
    command->loop.intake.commit_bytes = (uint32_t)command->commit_bytes;
    command->loop.intake.commit_ms = (uint32_t)command->commit_ms;
}

int main(int argc, char **argv)
{
    int stop_descriptor;
    if (stop_begin(&stop_descriptor) != STATUS_OK)
        return EX_OSERR;
    struct command command = {
        .broker = "localhost",
        .store = "data/workers",
        .workers = 1,
        .commit_ms = 10,
        .commit_bytes = 4 << 20,
    };
    read_command(&command, argc, argv);
    log_begin("sorteo-worker");
    if (stop_raise_descriptors(DESCRIPTORS_NEEDED) != STATUS_OK) {
        log_event(LOG_ERROR, "start", LOG_FAIL, "reason: %d open files are needed; see ulimit -n",
                  DESCRIPTORS_NEEDED);
        return EX_CONFIG;
    }
    if (command.workers == 1)
        return work(&command);
    return pool_run((uint32_t)command.workers, stop_descriptor, work, &command);
}
