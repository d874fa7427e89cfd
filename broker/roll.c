/* Owns the table of a draw's agencies, in order of arrival, and its order by id. It keeps what was
 * heard and what was journaled; what follows from that is decided elsewhere. The window is advice:
 * a share of the queue's budget that nobody has to give back. */
#include "broker/roll.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

struct roll {
    uint32_t members_count;
    uint32_t by_id[AGENCIES_MAX]; /* indexes of members, in order of agency id */
    struct member members[AGENCIES_MAX];
};

enum status roll_create(struct roll **roll)
{
    struct roll *created = calloc(1, sizeof *created);

    if (created == NULL)
        return STATUS_NO_MEMORY;
    *roll = created;
    return STATUS_OK;
}

void roll_destroy(struct roll **roll)
{
    free(*roll);
    *roll = NULL;
}

/* The place of the first id that is not lower. */
static uint32_t find_place(const struct roll *roll, uint32_t agency)
{
    uint32_t low = 0;
    uint32_t high = roll->members_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (roll->members[roll->by_id[middle]].id < agency)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct roll *roll, uint32_t place, uint32_t agency)
{
    return place < roll->members_count && roll->members[roll->by_id[place]].id == agency;
}

struct member *roll_find(struct roll *roll, uint32_t agency)
{
    const uint32_t place = find_place(roll, agency);

    return is_at(roll, place, agency) ? &roll->members[roll->by_id[place]] : NULL;
}

enum status roll_add(struct roll *roll, uint32_t agency, struct member **member)
{
    const uint32_t place = find_place(roll, agency);
    const uint32_t index = roll->members_count;

    if (is_at(roll, place, agency)) {
        *member = &roll->members[roll->by_id[place]];
        return STATUS_OK;
    }
    if (index == AGENCIES_MAX)
        return STATUS_LIMIT;
    memmove(&roll->by_id[place + 1], &roll->by_id[place], (index - place) * sizeof roll->by_id[0]);
    roll->by_id[place] = index;
    roll->members[index] = (struct member){.id = agency, .heard_at = INT64_MIN};
    roll->members_count++;
    *member = &roll->members[index];
    return STATUS_OK;
}

uint32_t roll_index(const struct roll *roll, const struct member *member)
{
    CHECK(member >= roll->members && member < roll->members + roll->members_count);
    return (uint32_t)(member - roll->members);
}

struct member *roll_at(struct roll *roll, uint32_t index)
{
    CHECK(index < roll->members_count);
    return &roll->members[index];
}

uint32_t roll_count(const struct roll *roll)
{
    return roll->members_count;
}

const uint32_t *roll_by_id(const struct roll *roll)
{
    return roll->by_id;
}

bool roll_accept_incarnation(struct member *member, uint64_t incarnation)
{
    if (incarnation < member->incarnation)
        return false;
    if (incarnation > member->incarnation)
        member->round_seen = 0;
    member->incarnation = incarnation;
    return true;
}

uint64_t roll_window(const struct roll *roll, const struct member *member, uint64_t budget_bytes,
                     int64_t now_ms, int64_t lease_ms)
{
    const uint64_t batch_bytes = (uint64_t)member->plan.bytes_max + BATCH_WEIGHT_EXTRA_BYTES;
    uint64_t senders = 1;

    for (uint32_t i = 0; i < roll->members_count; i++) {
        const struct member *other = &roll->members[i];

        if (other != member && other->attempt != 0 && !other->has_declaration &&
            other->heard_at > now_ms - lease_ms)
            senders++;
    }
    return budget_bytes / senders > batch_bytes ? budget_bytes / senders : batch_bytes;
}

static uint64_t hash_declaration(uint64_t hash, const struct declaration *declaration)
{
    const uint64_t numbers[] = {declaration->batches, declaration->bets, declaration->rejected};
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    return fingerprint_bytes(hash, declaration->root.bytes, DIGEST_BYTES);
}

static uint64_t hash_verdict(uint64_t hash, const struct message_refused *verdict)
{
    const uint64_t numbers[] = {verdict->reason, verdict->seq, verdict->row, verdict->fault,
                                verdict->number};
    return fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
}

static uint64_t hash_member(uint64_t hash, const struct member *member)
{
    const uint64_t numbers[] = {
        member->id,
        member->attempt,
        member->plan.bets_max,
        member->plan.bytes_max,
        member->plan.skips_bad_rows,
        member->incarnation,
        member->round_seen,
        member->said_bye,
        member->has_declaration,
        member->has_verdict,
    };
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    if (member->has_declaration)
        hash = hash_declaration(hash, &member->declaration);
    return member->has_verdict ? hash_verdict(hash, &member->verdict) : hash;
}

uint64_t roll_fingerprint(const struct roll *roll, uint64_t hash)
{
    hash = fingerprint_number(hash, roll->members_count);
    for (uint32_t i = 0; i < roll->members_count; i++)
        hash = hash_member(hash, &roll->members[i]);
    return hash;
}
