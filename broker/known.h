/* Whether the journal knows what a store brings. What it does not know means that a newer broker
 * runs, or that the journal is lost, older than the stores, or not theirs: then the broker ends, or
 * recovers. */
#ifndef SORTEO_BROKER_KNOWN_H
#define SORTEO_BROKER_KNOWN_H

#include "broker/inner.h"

enum knowledge {
    KNOWN,           /* the journal has it, or a recovery has left its draw behind */
    UNKNOWN,         /* a recovery may take it over */
    KNOWN_OTHERWISE, /* the draw has ended otherwise in the journal: nothing joins the two */
};

/* The draw and the attempt of a batch, or the very end that a store has recorded. A store that has
 * sealed a draw may not have heard yet that it was made void. cost: a look into the archive for
 * draws that are over. */
enum knowledge known_look(const struct broker *broker, const struct item_inventory *item);

#endif
