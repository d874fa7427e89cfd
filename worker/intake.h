/* Batches come in: checked, put into the store's open transaction, committed as a group, and
 * only then acknowledged. Owns the group, the credit that the broker has, and what happens when
 * the disk is full. The rules stand in PROTOCOL.md, "Batches", and in README.md, "Group commit
 * and credit". */
#ifndef SORTEO_WORKER_INTAKE_H
#define SORTEO_WORKER_INTAKE_H

#include "worker/acks.h"
#include "worker/seals.h"

enum intake_mode {
    INTAKE_OPEN,    /* the whole credit is given */
    INTAKE_FULL,    /* the disk was full: everything goes back, no credit until the next try */
    INTAKE_PROBING, /* one batch is admitted, to see whether there is room again */
    INTAKE_CLOSED,  /* the worker is draining: everything goes back, for good */
};

struct intake_settings {
    uint32_t commit_bytes; /* a group is committed when it weighs this much, */
    uint32_t commit_ms;    /* or is this old, or when the broker has no credit left */
};

struct intake {
    struct intake_settings settings;
    enum intake_mode mode;
    struct acks acks;     /* batches of the open group: to be stored, or to go back (mode) */
    bool is_open;         /* something waits for intake_settle */
    bool has_transaction; /* the store's transaction is open, and ours */
    uint32_t puts;        /* new batches in it */
    int64_t opened_at;
    uint64_t spent_bytes;    /* weight of the batches that came, since WELCOME */
    uint64_t settled_bytes;  /* the part of it that was stored, rejected or returned */
    uint64_t admitted_bytes; /* as told by the last CREDIT */
    uint64_t came_bytes;     /* mode FULL: spent_bytes without what never came */
    int64_t probe_at;        /* mode FULL: when one batch is tried */
    int64_t probe_ms;        /* pause before it, doubled each time in vain */
};

/* errors: NO_MEMORY. */
enum status intake_create(struct intake *intake, const struct intake_settings *settings);
void intake_destroy(struct intake *intake);

/* The broker's WELCOME: the credit begins anew, and is told. */
void intake_welcome(struct intake *intake, const struct workbench *bench);

/* Takes a batch from the broker. Judges it (REJECTED leaves at once), or adds it to the group,
 * which it commits when it has to be.
 * errors: SYNC, IO, VERSION, NO_MEMORY: the worker ends. cost: one SHA-256 and one check of the
 * body, one put. */
enum status intake_take(struct intake *intake, const struct workbench *bench, struct seals *seals,
                        uint32_t draw, const struct message_batch *batch, struct slice body,
                        bool is_declared, int64_t now_ms);

/* Counts what a batch weighed that could not even be read, so that its credit comes back. */
void intake_count_unread(struct intake *intake, size_t body_bytes, int64_t now_ms);

/* Ends the group: commits it, sends STORED (or RETURNED) and CREDIT. Nothing happens where there
 * is none.
 * errors: SYNC. */
enum status intake_settle(struct intake *intake, const struct workbench *bench, int64_t now_ms);

/* Does what is due: commits a group that is old enough, tries a full disk again. errors: as
 * intake_settle. */
enum status intake_tick(struct intake *intake, const struct workbench *bench, int64_t now_ms);

/* When intake_tick has something to do next; INT64_MAX: nothing waits. */
int64_t intake_deadline(const struct intake *intake);

/* Settles, and sends everything back from here on. errors: as intake_settle. */
enum status intake_close(struct intake *intake, const struct workbench *bench, int64_t now_ms);

#endif
