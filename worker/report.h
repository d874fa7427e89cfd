/* What the core notes becomes lines of the log. What stores bets says `apuesta_almacenada` at
 * most once a second, with the sum since the line before; what a peer can drive is limited in
 * the same way. */
#ifndef SORTEO_WORKER_REPORT_H
#define SORTEO_WORKER_REPORT_H

#include "proto/host/log.h"
#include "worker/notes.h"

enum {
    REPORT_STORED_MS = 1000,  /* between two lines about stored bets */
    REPORT_LIMITED_MS = 1000, /* between two lines of one kind that a peer can drive */
    NOTE_KINDS = NOTE_UNEXPECTED + 1,
};

/* Open for values: zeroed. */
struct report {
    struct log_limit limits[NOTE_KINDS];
    bool is_lost;      /* that the broker is silent has been said */
    uint64_t bets;     /* stored since the last line, */
    uint64_t batches;  /* in so many batches */
    int64_t stored_at; /* when that line may be written */
};

/* Writes the note's line, or keeps it for later. */
void report_note(struct report *report, const struct note *note, int64_t now_ms);

/* Writes what is due, or, at the end, what is left. returns when it has something due next;
 * INT64_MAX: never. */
int64_t report_tick(struct report *report, int64_t now_ms, bool is_end);

#endif
