/* What an agency tells its user: a line for each change of state, at most one each few seconds
 * while it sends or waits, and at the end what happened, why, and what to do about it. */
#ifndef SORTEO_AGENCY_PROGRESS_H
#define SORTEO_AGENCY_PROGRESS_H

#include "agency/agency.h"
#include "proto/host/log.h"

enum {
    PROGRESS_SENDING_MS = 2000,  /* between two lines while sending, when something moved */
    PROGRESS_WAITING_MS = 15000, /* between two that say the same */
    PROGRESS_ASKING_MS = 5000, /* between two while the broker does not answer, or takes no bets */
};

/* What was said so far. Zeroed: nothing. */
struct progress {
    bool has_said_plan;
    bool has_said_sent;
    uint32_t durable;           /* batches, as they were last told */
    uint32_t in_flight;         /* likewise */
    int64_t repeat_at;          /* the line about them, though nothing has moved */
    int64_t untaken_since;      /* a batch may go, and none is on its way; 0: not so */
    struct agency_barrier said; /* the barrier as it was last told */
    struct log_limit sending;
    struct log_limit waiting;
    struct log_limit asking;
};

/* Says what has changed. in: broker: HOST:PORT, for messages. */
void progress_turn(struct progress *progress, const struct agency *agency, const char *broker,
                   int64_t now_ms);

/* The list of bad rows is on disk, empty or not. */
void progress_listed(const struct agency *agency, const char *rejects);

/* The winners are on disk. Before that the bets are told as sent, where they are not yet. */
void progress_won(struct progress *progress, const struct agency *agency, const char *output);

/* The core has failed: what, why, what to do. in: input: the file's name; line: of the bet that the
 * broker refused, 0 where it is not known. */
void progress_failed(const struct agency *agency, const char *broker, const char *input,
                     uint64_t line);

/* A winner of the result is not the bet that the file has in its place. */
void progress_contradicted(const char *input, uint32_t seq, uint32_t row);

/* Why a disk has failed: what has failed, and the system's reason, which alone says that there is
 * no space left, or that a quota is used up. in: code: errno. out: text: returned. */
const char *progress_disk_reason(enum status status, int code, char text[TEXT_BYTES_MAX]);

/* Anything that the shell found out by itself. in: action of the course's list. */
void progress_gave_up(const char *action, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
