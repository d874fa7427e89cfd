/* Owns the set of agencies that take part in one draw and those of them that have finished.
 * Whether an agency has finished is the ledger's verdict and the journal's record; here it only
 * counts. */
#include "broker/barrier.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

/* An agency that is on the roster or takes part. */
struct seat {
    uint32_t id;
    bool takes_part;
    bool has_finished;
};

enum decision { DECISION_NONE, DECISION_DRAW, DECISION_VOID };

struct barrier {
    bool has_roster;
    uint32_t agencies_required;
    uint32_t quorum;
    int64_t timeout_ms; /* 0: never */
    enum timeout_action on_timeout;

    bool has_started;
    int64_t started_at; /* wall time of the first journaled plan */
    uint32_t taking_part_count;
    uint32_t finished_count; /* of all seats; after a decision to draw, of its members */
    uint32_t seats_count;
    struct seat seats[AGENCIES_MAX]; /* rising ids */

    enum decision decision;
    uint32_t members_count;
    uint32_t members[AGENCIES_MAX]; /* of a decision to draw, rising ids */
};

enum status barrier_create(const struct terms *terms, struct barrier **barrier)
{
    struct barrier *created = NULL;

    CHECK(terms->roster != NULL || terms->roster_count == 0);
    if (terms->roster_count > AGENCIES_MAX)
        return STATUS_LIMIT;
    created = calloc(1, sizeof *created);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->has_roster = terms->roster_count > 0;
    created->agencies_required = terms->agencies_required;
    created->quorum = terms->quorum;
    created->timeout_ms = terms->barrier_timeout_ms;
    created->on_timeout = terms->on_timeout;
    if (created->has_roster)
        created->seats_count = terms->roster_count;
    for (uint32_t i = 0; i < created->seats_count; i++)
        created->seats[i].id = terms->roster[i];
    *barrier = created;
    return STATUS_OK;
}

void barrier_destroy(struct barrier **barrier)
{
    free(*barrier);
    *barrier = NULL;
}

/* The place of the first seat whose id is not lower. */
static uint32_t find_place(const struct barrier *barrier, uint32_t agency)
{
    uint32_t low = 0;
    uint32_t high = barrier->seats_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (barrier->seats[middle].id < agency)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The seat of an agency, or NULL. */
static const struct seat *find_seat(const struct barrier *barrier, uint32_t agency)
{
    const uint32_t place = find_place(barrier, agency);

    if (place == barrier->seats_count || barrier->seats[place].id != agency)
        return NULL;
    return &barrier->seats[place];
}

static bool is_member(const struct barrier *barrier, uint32_t agency)
{
    for (uint32_t i = 0; i < barrier->members_count; i++)
        if (barrier->members[i] == agency)
            return true;
    return false;
}

static bool has_finished(const struct barrier *barrier, uint32_t agency)
{
    const struct seat *seat = find_seat(barrier, agency);

    return seat != NULL && seat->has_finished;
}

bool barrier_admits(const struct barrier *barrier, uint32_t agency)
{
    switch (barrier->decision) {
    case DECISION_DRAW:
        return is_member(barrier, agency);
    case DECISION_VOID:
        return false;
    case DECISION_NONE:
        break;
    }
    return !barrier->has_roster || find_seat(barrier, agency) != NULL;
}

enum status barrier_join(struct barrier *barrier, uint32_t agency, int64_t wall_ms)
{
    const uint32_t place = find_place(barrier, agency);
    struct seat *seat = &barrier->seats[place];

    if (!barrier_admits(barrier, agency))
        return STATUS_INVALID;
    if (find_seat(barrier, agency) == NULL) {
        if (barrier->seats_count == AGENCIES_MAX)
            return STATUS_LIMIT;
        memmove(seat + 1, seat, (barrier->seats_count - place) * sizeof *seat);
        *seat = (struct seat){.id = agency};
        barrier->seats_count++;
    }
    if (!seat->takes_part) {
        seat->takes_part = true;
        barrier->taking_part_count++;
    }
    if (!barrier->has_started) {
        barrier->has_started = true;
        barrier->started_at = wall_ms;
    }
    return STATUS_OK;
}

void barrier_finish(struct barrier *barrier, uint32_t agency)
{
    const struct seat *found = find_seat(barrier, agency);

    if (found == NULL || !found->takes_part || found->has_finished)
        return;
    barrier->seats[found - barrier->seats].has_finished = true;
    if (barrier->decision != DECISION_DRAW || is_member(barrier, agency))
        barrier->finished_count++;
}

int64_t barrier_due_at(const struct barrier *barrier)
{
    if (barrier->timeout_ms <= 0 || !barrier->has_started || barrier->decision != DECISION_NONE ||
        barrier_outcome(barrier) != BARRIER_CLOSED)
        return INT64_MAX;
    if (barrier->started_at > INT64_MAX - barrier->timeout_ms)
        return INT64_MAX;
    return barrier->started_at + barrier->timeout_ms;
}

bool barrier_is_overdue(const struct barrier *barrier, int64_t wall_ms, enum timeout_action *action)
{
    const int64_t due_at = barrier_due_at(barrier);

    if (due_at == INT64_MAX || wall_ms < due_at)
        return false;
    *action = TIMEOUT_VOID;
    if (barrier->on_timeout == TIMEOUT_DRAW && barrier->finished_count >= barrier->quorum)
        *action = TIMEOUT_DRAW;
    return true;
}

void barrier_decide(struct barrier *barrier, enum timeout_action action, const uint32_t *members,
                    uint32_t members_count)
{
    CHECK(barrier->decision == DECISION_NONE);
    if (action == TIMEOUT_VOID) {
        barrier->decision = DECISION_VOID;
        return;
    }
    CHECK(members_count <= AGENCIES_MAX);
    barrier->decision = DECISION_DRAW;
    barrier->members_count = members_count;
    barrier->finished_count = 0;
    for (uint32_t i = 0; i < members_count; i++) {
        barrier->members[i] = members[i];
        barrier->finished_count += has_finished(barrier, members[i]);
    }
}

enum barrier_outcome barrier_outcome(const struct barrier *barrier)
{
    if (barrier->decision == DECISION_VOID)
        return BARRIER_BROKEN;
    return barrier->finished_count == barrier_expected_count(barrier) ? BARRIER_RELEASED
                                                                      : BARRIER_CLOSED;
}

bool barrier_excludes(const struct barrier *barrier, uint32_t agency)
{
    const struct seat *seat = find_seat(barrier, agency);

    return barrier->decision == DECISION_DRAW && seat != NULL && seat->takes_part &&
           !is_member(barrier, agency);
}

uint32_t barrier_finished_count(const struct barrier *barrier)
{
    return barrier->finished_count;
}

uint32_t barrier_expected_count(const struct barrier *barrier)
{
    if (barrier->decision == DECISION_DRAW)
        return barrier->members_count;
    if (barrier->has_roster)
        return barrier->seats_count;
    return barrier->taking_part_count > barrier->agencies_required ? barrier->taking_part_count
                                                                   : barrier->agencies_required;
}

/* Ids of those who count and have finished, or have not, in rising order. */
static size_t list(const struct barrier *barrier, bool finished, uint32_t *ids, size_t ids_max)
{
    const bool is_decided = barrier->decision == DECISION_DRAW;
    const uint32_t count = is_decided ? barrier->members_count : barrier->seats_count;
    size_t written = 0;

    for (uint32_t i = 0; i < count && written < ids_max; i++) {
        const uint32_t id = is_decided ? barrier->members[i] : barrier->seats[i].id;

        if (has_finished(barrier, id) == finished)
            ids[written++] = id;
    }
    return written;
}

size_t barrier_finished(const struct barrier *barrier, uint32_t *ids, size_t ids_max)
{
    return list(barrier, true, ids, ids_max);
}

size_t barrier_missing(const struct barrier *barrier, uint32_t *ids, size_t ids_max)
{
    return list(barrier, false, ids, ids_max);
}

uint64_t barrier_fingerprint(const struct barrier *barrier, uint64_t hash)
{
    const uint64_t numbers[] = {
        barrier->has_roster,           barrier->agencies_required, barrier->quorum,
        (uint64_t)barrier->timeout_ms, barrier->on_timeout,        barrier->has_started,
        (uint64_t)barrier->started_at, barrier->decision,          barrier->seats_count,
        barrier->members_count,
    };
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    for (uint32_t i = 0; i < barrier->seats_count; i++) {
        const struct seat *seat = &barrier->seats[i];
        const uint64_t of_seat[] = {seat->id, seat->takes_part, seat->has_finished};
        hash = fingerprint_numbers(hash, of_seat, sizeof of_seat / sizeof *of_seat);
    }
    for (uint32_t i = 0; i < barrier->members_count; i++)
        hash = fingerprint_number(hash, barrier->members[i]);
    return hash;
}
