/* The agency's shell: sockets, clock, file and thread around the core. One thread owns it; the
 * reader is the other. */
#ifndef SORTEO_AGENCY_LOOP_H
#define SORTEO_AGENCY_LOOP_H

#include "agency/agency.h"
#include "proto/host/socket.h"

struct loop_terms {
    struct address broker;
    struct agency_terms agency;
    const char *input;  /* path, "-" for standard input */
    const char *output; /* path */
    uint32_t today;     /* YYYYMMDD */
    int stop;           /* stop_begin's descriptor */
};

/* Runs an agency to its end and says what came of it on stderr. returns the exit code. */
int agency_loop_run(const struct loop_terms *terms);

#endif
