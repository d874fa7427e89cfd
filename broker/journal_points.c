/* See journal_points.h; built in the fault flavour alone. */
#ifndef SORTEO_CRASH_POINTS
#define SORTEO_CRASH_POINTS
#endif
#include "broker/journal_points.h"

#include "proto/host/crash.h"

#define AROUND(name)                                   \
    do {                                               \
        if (is_durable)                                \
            CRASH_POINT("broker.after_commit." name);  \
        else                                           \
            CRASH_POINT("broker.before_commit." name); \
    } while (false)

static void pass(enum record_kind kind, bool is_durable)
{
    switch (kind) {
    case RECORD_STORE:
        AROUND("store");
        break;
    case RECORD_OPENED:
        AROUND("opened");
        break;
    case RECORD_PLAN:
        AROUND("plan");
        break;
    case RECORD_DECLARATION:
        AROUND("declaration");
        break;
    case RECORD_DECISION:
        AROUND("decision");
        break;
    case RECORD_SEALED:
        AROUND("sealed");
        break;
    case RECORD_FOUND:
        AROUND("found");
        break;
    case RECORD_DROPPED:
        AROUND("dropped");
        break;
    case RECORD_PUBLISHED:
        AROUND("published");
        break;
    case RECORD_VOID:
        AROUND("void");
        break;
    case RECORD_RECOVERED:
        AROUND("recovered");
        break;
    }
}

void journal_points_pass(const struct records *records, bool is_durable)
{
    for (size_t index = 0; index < records_count(records); index++)
        pass(records_at(records, index)->kind, is_durable);
}
