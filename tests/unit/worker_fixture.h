/* A worker's core on a store in memory, and a broker played by the test: what unit tests of the
 * core share. Between the two lies a machine whose disk and memory can fail (machine.h). */
#ifndef SORTEO_TESTS_UNIT_WORKER_FIXTURE_H
#define SORTEO_TESTS_UNIT_WORKER_FIXTURE_H

#include "proto/wire/item.h"
#include "proto/wire/manifest.h"
#include "tests/sim/machine.h"
#include "tests/sim/store_memory.h"
#include "worker/worker.h"

enum { SENT_MAX = 2048, MADE_BATCHES_MAX = 512 };

/* A message that the worker sent. */
struct sent {
    struct message message; /* slices of `header` */
    uint8_t *header;        /* owned */
    uint8_t *body_bytes;    /* owned */
    struct slice body;      /* of it */
};

struct fixture {
    struct store *store;
    struct disk disk; /* the store as the worker sees it */
    struct outbox *outbox;
    struct worker *worker;
    struct hasher *hasher;
    struct epoch epoch; /* the broker's */
    int64_t now_ms;
    int64_t deadline; /* what the last tick answered */
    struct sent sent[SENT_MAX];
    size_t sent_count;
    size_t notes[NOTE_UNEXPECTED + 1]; /* how many of each kind */
    struct note last_note[NOTE_UNEXPECTED + 1];
};

/* A batch as an agency makes it. */
struct made {
    struct message_batch header;
    uint32_t draw;
    uint8_t *buffer;   /* owned */
    struct slice body; /* in it */
};

void fixture_begin(struct fixture *fixture);
void fixture_end(struct fixture *fixture);
/* The process dies and starts again on the same disk. */
void fixture_restart(struct fixture *fixture);

/* `bets` bets with the numbers first, first + 1, … */
struct made make_batch(uint32_t draw, uint32_t agency, uint32_t attempt, uint32_t seq,
                       uint32_t bets, uint32_t first);
void made_free(struct made *made);
struct batch_record made_record(const struct made *made);

/* The broker says something; with a body: NULL none. The epoch is filled in. */
void broker_says(struct fixture *fixture, struct message message, const struct slice *body);
/* A message of a kind without fields. */
void broker_says_kind(struct fixture *fixture, enum message_kind kind, uint32_t draw);
void broker_welcomes(struct fixture *fixture);
void broker_forwards(struct fixture *fixture, const struct made *made, bool is_declared);

/* Dials: REGISTER is sent. */
void fixture_dial(struct fixture *fixture);
/* The same, hears the inventory and is welcomed. */
void fixture_register(struct fixture *fixture);
/* Answers chunks until the inventory is told, and says WELCOME. in: REGISTER was sent. */
void fixture_welcome(struct fixture *fixture);
/* Dies, starts again and registers; what was sent by then is forgotten. */
void fixture_come_back(struct fixture *fixture);

/* Time passes; the worker ticks whenever it wants to, and at the end. */
void fixture_wait(struct fixture *fixture, int64_t ms);
/* One turn of the loop, however much is left to do. */
void fixture_turn(struct fixture *fixture);
/* Ticks while the worker has more to do at once. */
void fixture_settle(struct fixture *fixture);

/* How many messages of a kind were sent since the last forgetting; the index-th of them (fails
 * without). */
size_t sent_of(const struct fixture *fixture, enum message_kind kind);
const struct sent *sent_get(const struct fixture *fixture, enum message_kind kind, size_t index);
const struct sent *sent_last(const struct fixture *fixture, enum message_kind kind);
void sent_forget(struct fixture *fixture);
/* Fails unless RETURNED told exactly these seqs of agency 7's attempt 1, in one range. */
void sent_expect_returned(const struct sent *sent, uint32_t first, uint32_t count);

/* The manifest of one agency's batches, all of one draw, in order of seq from 0. The number is
 * given. */
struct manifest *make_manifest(struct fixture *fixture, const struct made *batches, size_t count,
                               uint32_t number);
/* Says it in its parts, or one of them alone. */
void broker_seals(struct fixture *fixture, const struct manifest *manifest);
void broker_seals_part(struct fixture *fixture, const struct manifest *manifest, uint32_t part);
/* What the store keeps of it loses a bit, of this agency's attempt 1, which no digest covers: it is
 * still a manifest, and not the broker's. */
void fixture_rot_attempt(struct fixture *fixture, const struct manifest *manifest, uint8_t agency);
/* Asks about seqs [first, first + count) of one agency's attempt. */
void broker_asks(struct fixture *fixture, const struct manifest *manifest, uint32_t question,
                 uint32_t agency, uint32_t attempt, uint32_t first, uint32_t count);

#endif
