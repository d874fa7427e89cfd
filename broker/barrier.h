/* The barrier: the set of agencies that have finished, among those that take part. It releases
 * when every agency that takes part has finished and they are at least as many as required (with
 * a roster: all of it); or by a decision after its timeout. A set that names who is missing, not
 * a counter. */
#ifndef SORTEO_BROKER_BARRIER_H
#define SORTEO_BROKER_BARRIER_H

#include "broker/record.h"

struct barrier;

enum barrier_outcome {
    BARRIER_CLOSED,   /* somebody is missing */
    BARRIER_RELEASED, /* everybody has finished, or those whom a decision named */
    BARRIER_BROKEN,   /* decided: the draw is void */
};

/* in: terms: agencies_required or, where there is one, roster; timeout, action, quorum; copied.
 * errors: LIMIT: the roster has more than AGENCIES_MAX ids; NO_MEMORY. */
enum status barrier_create(const struct terms *terms, struct barrier **barrier);
void barrier_destroy(struct barrier **barrier);

/* True when this agency may take part: it is on the roster, or there is none; and after a
 * decision only its members. */
bool barrier_admits(const struct barrier *barrier, uint32_t agency);

/* An agency's first plan was journaled at wall_ms: it takes part. The first of all starts the
 * timeout. Again: no change. errors: INVALID: barrier_admits says no; LIMIT: AGENCIES_MAX take
 * part. */
enum status barrier_join(struct barrier *barrier, uint32_t agency, int64_t wall_ms);

/* An agency has a journaled declaration. Again, or it does not take part: no change. */
void barrier_finish(struct barrier *barrier, uint32_t agency);

/* The timeout is over at this wall time, the barrier is closed and nothing is decided yet: answers
 * what has to be decided. DRAW only when the finished ones are at least the quorum, else VOID.
 * false: nothing is due.
 * out: action. The caller journals it and then calls barrier_decide. */
bool barrier_is_overdue(const struct barrier *barrier, int64_t wall_ms,
                        enum timeout_action *action);

/* When barrier_is_overdue may become true (wall ms); INT64_MAX: never. */
int64_t barrier_due_at(const struct barrier *barrier);

/* The journaled decision, made once: with DRAW these members (rising ids, at most AGENCIES_MAX)
 * are the barrier; with VOID it is broken. A member that has not finished is waited for. */
void barrier_decide(struct barrier *barrier, enum timeout_action action, const uint32_t *members,
                    uint32_t members_count);

enum barrier_outcome barrier_outcome(const struct barrier *barrier);

/* True when an agency has taken part but a decision left it out. */
bool barrier_excludes(const struct barrier *barrier, uint32_t agency);

/* How many have finished, how many are waited for (the roster, or the larger of required and
 * taking part; after a decision its members). */
uint32_t barrier_finished_count(const struct barrier *barrier);
uint32_t barrier_expected_count(const struct barrier *barrier);

/* Ids in rising order. out: at most ids_max. returns how many were written. Finished: those that
 * have; missing: known ones (taking part or on the roster) that have not. */
size_t barrier_finished(const struct barrier *barrier, uint32_t *ids, size_t ids_max);
size_t barrier_missing(const struct barrier *barrier, uint32_t *ids, size_t ids_max);

uint64_t barrier_fingerprint(const struct barrier *barrier, uint64_t hash);

#endif
