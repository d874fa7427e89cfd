/* The command line of sorteo-broker: its options, and the rules between them. */
#ifndef SORTEO_BROKER_COMMAND_H
#define SORTEO_BROKER_COMMAND_H

#include "broker/broker.h"
#include "proto/host/socket.h"

/* What the operator wants. */
struct command {
    struct broker_options broker; /* its roster is the array below; its secret is still zeros */
    struct address address;       /* to bind; `*` where the name is not this machine's */
    const char *folder;           /* of the journal; argv's or the environment's own memory */
    uint32_t roster[AGENCIES_MAX];
};

/* Reads arguments and environment. Ends the program with 64, saying what is wrong, or with 0 after
 * --help. May wait for the name service. */
void broker_command_read(int argc, char **argv, struct command *command);

#endif
