/* In the fault flavour: the crash points around the commit of a turn, one before and one after it
 * for each kind of record in it (broker.before_commit.sealed, …). */
#ifndef SORTEO_BROKER_JOURNAL_POINTS_H
#define SORTEO_BROKER_JOURNAL_POINTS_H

#include "broker/record.h"

#ifdef SORTEO_CRASH_POINTS

/* Passes the points of these records. in: is_durable: they have been committed. */
void journal_points_pass(const struct records *records, bool is_durable);

#else

static inline void journal_points_pass(const struct records *records, bool is_durable)
{
    (void)records;
    (void)is_durable;
}

#endif

#endif
