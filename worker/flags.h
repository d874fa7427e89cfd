/* What the command line and the environment of sorteo-worker say. */
#ifndef SORTEO_WORKER_FLAGS_H
#define SORTEO_WORKER_FLAGS_H

#include "worker/loop.h"

struct flags {
    const char *store; /* --store */
    uint64_t workers;  /* --workers */
    struct loop_settings loop;
};

/* Reads both; --help and --version end the program with 0, what is wrong with 64. */
void flags_read(int argc, char **argv, struct flags *flags);

#endif
