/* What the user wants of an agency: its options, their defaults, and the rules between them. */
#ifndef SORTEO_AGENCY_SETTINGS_H
#define SORTEO_AGENCY_SETTINGS_H

#include "agency/agency.h"
#include "proto/host/socket.h"

struct settings {
    struct address broker;
    struct agency_terms terms; /* but for incarnation and jitter_seed */
    const char *input;         /* path, "-" for standard input */
    const char *output;        /* path */
    bool checks;               /* only read the input: neither broker, id nor output are needed */
};

/* Reads command line and environment. What is wrong with them ends the program with 64. */
void settings_read(int argc, char **argv, struct settings *settings);

#endif
