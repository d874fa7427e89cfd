/* The agency's line to the broker: its three sockets, opened and closed together. */
#ifndef SORTEO_AGENCY_LINE_H
#define SORTEO_AGENCY_LINE_H

#include "proto/host/socket.h"

/* All NULL while there is no line. */
struct line {
    void *rendezvous;
    void *bets;
    void *winners;
};

/* Closes what is open, resolves the name, dials anew and subscribes to the agency's own result.
 * out: problem: one sentence where it fails; then there is no line. errors: socket_open's. */
enum status line_dial(struct line *line, void *context, const struct address *broker, uint32_t draw,
                      uint32_t agency, char *problem, size_t problem_bytes);

void line_hang_up(struct line *line);

#endif
