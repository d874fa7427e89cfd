/* The roll: the agencies of one draw as the broker has heard of them. Ids become small indexes
 * that ledger and dispatch use; incarnation, round and lease are soft, attempt, plan and
 * declaration are journaled. */
#ifndef SORTEO_BROKER_ROLL_H
#define SORTEO_BROKER_ROLL_H

#include "proto/wire/message.h"

struct member {
    uint32_t id;
    uint32_t attempt; /* in force; 0: no plan is journaled yet */
    struct plan plan;
    uint64_t incarnation; /* highest heard since this broker's start */
    uint32_t round_seen;  /* of that incarnation and attempt */
    int64_t heard_at;     /* INT64_MIN: not since the start */
    bool has_declaration; /* journaled: it has finished */
    struct declaration declaration;
    struct message_refused verdict; /* final refusal of this attempt: REJECTED, CONFLICT, LIMIT */
    bool has_verdict;
    bool said_bye;
};

struct roll;

enum status roll_create(struct roll **roll);
void roll_destroy(struct roll **roll);

/* NULL: never heard of. cost: O(log agencies) */
struct member *roll_find(struct roll *roll, uint32_t agency);
/* Finds or adds. errors: LIMIT: AGENCIES_MAX. Pointers stay valid: the table is allocated whole. */
enum status roll_add(struct roll *roll, uint32_t agency, struct member **member);
uint32_t roll_index(const struct roll *roll, const struct member *member);
struct member *roll_at(struct roll *roll, uint32_t index);
uint32_t roll_count(const struct roll *roll);
/* Indexes in order of agency id, for the manifest and for printing; roll_count of them.
 * Borrowed. */
const uint32_t *roll_by_id(const struct roll *roll);

/* A process speaks for its agency: a newer one is the one in force from now on, and none of its
 * rounds was seen yet. returns false for an older one: it is superseded. */
bool roll_accept_incarnation(struct member *member, uint64_t incarnation);

/* The window: budget divided by the agencies heard within a lease that still have to send (have
 * a plan and no declaration; this one is counted), at least one largest batch of its plan. */
uint64_t roll_window(const struct roll *roll, const struct member *member, uint64_t budget_bytes,
                     int64_t now_ms, int64_t lease_ms);

uint64_t roll_fingerprint(const struct roll *roll, uint64_t hash);

#endif
