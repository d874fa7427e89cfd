/* A broker's core on a bench: events go in as the wire would bring them, and what it wants sent is
 * looked at after each turn. The journal is in memory; time is a number. One agency, one store are
 * one call each. */
#ifndef SORTEO_TESTS_UNIT_BROKER_BENCH_H
#define SORTEO_TESTS_UNIT_BROKER_BENCH_H

#include "proto/wire/item.h"
#include "tests/sim/journal_memory.h"

struct bench {
    struct broker_options options;
    struct broker *broker;
    struct outbox *outbox;
    struct records *records;
    struct journal_memory *journal;
    struct archive archive;
    struct hasher *hasher;
    uint64_t epoch;
    int64_t now_ms;
    int64_t wall_ms;
    int64_t next_at; /* when the core wanted its next tick, as the last one said */
    int payloads; /* given to the core, not released; what it sent on is the shell's to release */
};

/* A bench with these options' defaults: two agencies required, number 7 given, range 0-9. */
void bench_options(struct broker_options *options);
void bench_open(struct bench *bench, const struct broker_options *options);
void bench_begin(struct bench *bench); /* with bench_options as they are */
/* The broker's process is killed and another starts on the same journal. */
enum status bench_restart(struct bench *bench);
void bench_close(struct bench *bench);

/* Whether it has to end, without the words that say why. */
enum status bench_verdict(const struct bench *bench);

/* One turn of the loop: tick, transaction, committed. What is sent stays in the outbox until the
 * next event. */
void bench_turn(struct bench *bench);
/* Moves both clocks, in steps of a quarter of a lease as the loop would. */
void bench_pass(struct bench *bench, int64_t ms);
/* The same, while a store keeps its lease: before each step it says PONG. */
void bench_pass_heard(struct bench *bench, uint64_t peer, int64_t ms);

/* A request inside a turn that has begun. in: token: which answer is its own. */
void bench_request(struct bench *bench, uint64_t token, const struct message *request);
/* A request and its answer, decoded; its body too. Slices are valid until the next event. */
struct message bench_ask(struct bench *bench, const struct message *request, struct slice *body);

/* A message on bets; a batch's payload is bench->payloads itself, which counts them. */
void bench_bets(struct bench *bench, const struct message *message, size_t body_bytes);

/* A message of a store, inside a turn that has begun, and one that begins a turn and ends it. */
void bench_hear(struct bench *bench, uint64_t peer, const struct message *message,
                struct slice body);
void bench_report(struct bench *bench, uint64_t peer, const struct message *message,
                  struct slice body);

/* Other messages and records of this turn leave no more room than so many bytes, or records. */
void bench_fill_outbox(struct bench *bench, size_t room_bytes);
void bench_fill_records(struct bench *bench, size_t room);
void bench_fill_record_bytes(struct bench *bench, size_t room_bytes);

/* How many lines were told since the last call that hold both words; takes all of them. */
unsigned bench_lines(struct bench *bench, const char *word, const char *other);

/* The n-th message (0-based) of this kind that the last turn sent to `port`, `peer` (0: anyone).
 * returns false: there is none. out: message and body, may be NULL. */
bool bench_sent(struct bench *bench, enum port port, uint64_t peer, enum message_kind kind,
                size_t n, struct message *message, struct slice *body);

/* -- what tests say often -- */

void bench_hello(struct bench *bench, uint32_t agency, uint32_t attempt);
/* A REGISTER of store {id, 2, 3, 4}; an inventory of one item in one chunk. */
struct message bench_registration(uint8_t id, uint64_t opening);
void bench_report_item(struct bench *bench, uint64_t peer, const struct item_inventory *item);
/* A store with an empty inventory, welcomed, with 1 MiB of credit. */
void bench_store(struct bench *bench, uint64_t peer, uint8_t id, uint64_t opening);
/* The digest that batch (agency, seq) of the tests has. */
struct digest bench_digest(uint32_t agency, uint32_t seq);
void bench_batch(struct bench *bench, uint32_t agency, uint32_t seq);
/* A store says that it holds a batch of one bet. */
void bench_stored(struct bench *bench, uint64_t peer, uint32_t agency, uint32_t seq);
struct declaration bench_declaration(struct bench *bench, uint32_t agency, uint32_t batches);
/* A POLL without (batches < 0) or with a declaration of so many batches of one bet. */
struct message bench_poll_of(struct bench *bench, uint32_t agency, int batches);
/* It is asked; its answer. */
struct message bench_poll(struct bench *bench, uint32_t agency, int batches);
/* The agency's POLL is refused: CONFLICT in this batch. */
void bench_expect_conflict(struct bench *bench, uint32_t agency, uint32_t seq);
/* The store answers SEALED with this root (all zeros: of a void). */
void bench_sealed(struct bench *bench, uint64_t peer, const struct digest *root);
/* The COUNTED that answers a COUNT; its shares are the COUNT's own. */
struct message bench_counted(const struct message *count, uint64_t bets, uint64_t winners);
bool bench_ranges_have(struct slice ranges, uint32_t seq);

#endif
