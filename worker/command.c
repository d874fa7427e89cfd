/* See command.h. */
#include "worker/command.h"

#include "proto/host/options.h"
#include "worker/pool.h"

enum { COMMIT_MS_MAX = 1000 };

void worker_command_read(int argc, char **argv, struct command *command)
{
    const char *broker = "localhost";
    uint64_t commit_ms = 10;
    uint64_t commit_bytes = 4 << 20;
    *command = (struct command){.store = "data/workers", .workers = 1};
    const struct option options[] = {
        {.name = "broker",
         .argument = "HOST[:PORT]",
         .type = OPTION_TEXT,
         .value = &broker,
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
         .value = &commit_ms,
         .max = COMMIT_MS_MAX,
         .help = "longest time that a batch waits for others before they are made durable"},
        {.name = "commit-bytes",
         .argument = "BYTES",
         .type = OPTION_NUMBER,
         .value = &commit_bytes,
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
    if (address_parse(broker, &command->loop.broker) != STATUS_OK)
        options_fail(&program,
                     "--broker '%s' is not of the form HOST[:PORT], with a port from 1 to %d",
                     broker, PORT_MAX);
    command->loop.intake.commit_bytes = (uint32_t)commit_bytes;
    command->loop.intake.commit_ms = (uint32_t)commit_ms;
}
