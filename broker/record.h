/* What the journal keeps: everything that cannot be rebuilt from the stores. The core hands records
 * out, the journal writes them in one synced transaction per turn of the loop, and only then do the
 * turn's messages leave; at a start the journal hands the same records back in. */
#ifndef SORTEO_BROKER_RECORD_H
#define SORTEO_BROKER_RECORD_H

#include "proto/wire/manifest.h"

enum record_kind {
    RECORD_STORE,       /* a store registered for the first time */
    RECORD_OPENED,      /* a draw opened */
    RECORD_PLAN,        /* an attempt of an agency, with its plan: it takes part */
    RECORD_DECLARATION, /* an agency has finished */
    RECORD_DECISION,    /* the barrier timed out */
    RECORD_SEALED,      /* root and number are fixed */
    RECORD_FOUND,       /* a page of winners, under its question */
    RECORD_DROPPED,     /* a question died: its pages are deleted */
    RECORD_PUBLISHED,   /* the result is complete */
    RECORD_VOID,        /* no result, for ever */
    RECORD_RECOVERED,   /* --recover: the epoch is raised; what the journal has of `draw` and later
                           ones is deleted, and older ones that it lacks are over */
};

enum timeout_action { TIMEOUT_VOID = 0, TIMEOUT_DRAW = 1 };

/* What a draw opened with: other flags at a restart are refused. */
struct terms {
    struct manifest_terms number; /* draw id, range, given number or seed */
    uint32_t agencies_required;
    const uint32_t *roster; /* borrowed; rising ids; NULL when there is none */
    uint32_t roster_count;
    int64_t barrier_timeout_ms; /* 0: never */
    enum timeout_action on_timeout;
    uint32_t quorum;
};

struct record {
    enum record_kind kind;
    uint32_t draw; /* 0 with RECORD_STORE */
    union {
        struct id store;
        struct terms opened;
        struct {
            uint32_t agency;
            uint32_t attempt;
            struct plan plan;
            int64_t wall_ms; /* the draw's first one starts the barrier's timeout */
        } plan;
        struct manifest_entry declaration; /* digests and bets borrowed until the turn ends */
        struct {
            enum timeout_action action;
            const uint32_t
                *members; /* borrowed; ids of the finished, rising: the barrier from now on */
            uint32_t members_count;
        } decision;
        struct {
            struct digest root;
            uint32_t number;
        } sealed;
        struct {
            uint32_t question;
            uint32_t agency;
            uint32_t items;
            struct slice body; /* winner items; borrowed until the turn ends */
        } found;
        uint32_t dropped_question;
        uint64_t recovered_epoch; /* the number of this broker's epoch from now on */
    };
};

/* The records of one turn: a bounded list in the order in which they were made. */
struct records;

enum status records_create(size_t records_max, size_t arena_bytes, struct records **records);
void records_destroy(struct records **records);
bool records_has_room(const struct records *records, size_t count, size_t bytes);
/* Copies the record, and a FOUND's body, a roster, a decision's members into the arena; a
 * declaration's digests and bets stay borrowed. Checked: there is room. */
void records_add(struct records *records, const struct record *record);
size_t records_count(const struct records *records);
const struct record *records_at(const struct records *records, size_t index);
void records_reset(struct records *records);

#endif
