/* The thread that reads: one pass over the source, cut into batches, each with its digest; and any
 * batch again when the loop asks. It hands over what it has read through a bounded queue with a
 * descriptor for the loop's poll set, and stands still while all payloads are out. Everything that
 * it hands over changes owner; nothing is shared but the queue. */
#ifndef SORTEO_AGENCY_READER_H
#define SORTEO_AGENCY_READER_H

#include "agency/cutter.h"
#include "agency/payloads.h"
#include "proto/wire/message.h"

enum {
    READER_PAYLOADS_MIN = 4,
    READER_PAYLOADS_MAX = 64,
    READER_MEMORY_BYTES = 8 * 1024 * 1024, /* of payloads, as far as the two above allow */
    READER_RESERVE = 1, /* payloads that the first pass leaves to batches that are read again */
};

struct reader;

/* What the thread needs to know before it starts. */
struct reader_terms {
    struct cutter_terms cutter;
    const char *copy_folder; /* borrowed: where a source that cannot be read twice is copied */
    const char *rejects; /* borrowed: path of the list of bad rows, for a plan that skips them */
};

enum reading_kind {
    READING_BATCH, /* the next batch: seq, cut, payload */
    READING_AGAIN, /* a batch that was asked for again: seq, payload */
    READING_END,   /* the file is read, the disk has its rejects: declaration */
    /* From here on: it cannot be read to its end. */
    READING_BAD_ROW,        /* the plan stops at bad rows: line, fault */
    READING_CHANGED,        /* the file is no longer the one that was read */
    READING_COPY_FAILED,    /* of what cannot be read twice: status, error */
    READING_INPUT_FAILED,   /* status, error */
    READING_REJECTS_FAILED, /* status, error */
};

struct reading {
    enum reading_kind kind;
    uint32_t seq;
    struct cut cut;
    struct payload *payload; /* owned by who takes the reading */
    struct declaration declaration;
    uint64_t line;
    enum fault fault;
    enum status status;
    int error; /* errno */
};

/* in: source borrowed, outlives the reader; nobody else copies it. errors: NO_MEMORY, IO. */
enum status reader_create(struct source *source, struct reader **reader);

/* Starts the thread. Once. errors: NO_MEMORY, AGAIN (no thread to be had). */
enum status reader_start(struct reader *reader, const struct reader_terms *terms);

/* Readable while there is something to take. */
int reader_descriptor(const struct reader *reader);

/* errors: AGAIN: nothing is there. Never waits. */
enum status reader_take(struct reader *reader, struct reading *reading);

/* Asks for a batch that was cut already. One at a time: false while one is asked for and not
 * taken. */
bool reader_ask_again(struct reader *reader, uint32_t seq, const struct cut *cut);

/* False while every payload is out: what is asked for waits until one comes back. */
bool reader_has_payload(struct reader *reader);

/* Gives the list of bad rows its name, durably; the first time, and where there is one. A process
 * may do that only once it is sure to be the newest of its agency: the list of an older one, which
 * still reads an older file, must not stand in the place of a newer one's. After READING_END.
 * errors: IO, FULL, SYNC (errno). */
enum status reader_name_rejects(struct reader *reader);

/* Ends the thread within one batch and waits for it; what was not taken is released. Safe twice. */
void reader_stop(struct reader *reader);

/* After reader_stop, and after every payload has come back (the sockets' context has ended). */
void reader_destroy(struct reader **reader);

#endif
