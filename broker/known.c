#include "broker/known.h"

/* Of the draw that runs. */
static bool has_batch(const struct broker *broker, const struct item_inventory *item)
{
    const struct member *member = roll_find(broker->roll, item->agency);
    /* Once the draw is sealed only what is in the manifest counts, whoever tried what before. */
    if (broker->state != DRAW_OPEN)
        return true;
    return member != NULL && item->attempt <= member->attempt;
}

static bool has_running(const struct broker *broker, const struct item_inventory *item)
{
    switch (item->kind) {
    case INVENTORY_BATCH:
        return has_batch(broker, item);
    case INVENTORY_SEAL:
        return broker->state == DRAW_VOIDING ||
               (broker->manifest != NULL &&
                digest_is_equal(&item->root, manifest_root(broker->manifest)) &&
                item->number == manifest_number(broker->manifest));
    case INVENTORY_VOID:
        return broker->state == DRAW_VOIDING;
    case INVENTORY_FORGOT:
        break;
    }
    return false;
}

static bool has_over(const struct archived_draw *archived, const struct item_inventory *item)
{
    switch (item->kind) {
    case INVENTORY_BATCH:
    case INVENTORY_FORGOT:
        return true;
    case INVENTORY_SEAL:
        return archived->phase == PHASE_VOID ||
               (digest_is_equal(&item->root, &archived->root) && item->number == archived->number);
    case INVENTORY_VOID:
        return archived->phase == PHASE_VOID;
    }
    return false;
}

enum knowledge known_look(const struct broker *broker, const struct item_inventory *item)
{
    struct archived_draw archived;
    if (item->draw == broker->draw && !draw_is_over(broker->state))
        return has_running(broker, item) ? KNOWN : UNKNOWN;
    if (item->draw > broker->draw)
        return UNKNOWN;
    if (broker->archive->draw(broker->archive->owner, item->draw, &archived) == STATUS_OK)
        return has_over(&archived, item) ? KNOWN : KNOWN_OTHERWISE;
    return item->draw < broker->unknown_below ? KNOWN : UNKNOWN;
}
