/* The command line of sorteo-worker: its options, and the rules between them. */
#ifndef SORTEO_WORKER_COMMAND_H
#define SORTEO_WORKER_COMMAND_H

#include "worker/loop.h"

/* What the operator wants. */
struct command {
    const char *store; /* folder of the stores */
    uint64_t workers;  /* processes */
    struct loop_settings loop;
};

/* Reads arguments and environment. Ends the program with 64, saying what is wrong, or with 0 after
 * --help. */
void worker_command_read(int argc, char **argv, struct command *command);

#endif
