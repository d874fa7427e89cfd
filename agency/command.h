/* The command line of sorteo-agency: its options, their defaults, and the rules between them. */
#ifndef SORTEO_AGENCY_COMMAND_H
#define SORTEO_AGENCY_COMMAND_H

#include "agency/loop.h"

/* What the user wants. */
struct command {
    struct loop_terms loop; /* but for incarnation, jitter_seed, today and stop */
    bool checks;            /* only read the input: neither broker, id nor output are needed */
};

/* Reads arguments and environment. Ends the program with 64, saying what is wrong, or with 0 after
 * --help. */
void agency_command_read(int argc, char **argv, struct command *command);

#endif
