/* See forget.h. */
#include "worker/forget.h"

#include "proto/wire/check.h"

bool forget_ask(struct forget *forget, uint32_t draw)
{
    for (uint32_t i = 0; i < forget->draws_count; i++) {
        if (forget->draws[i] == draw)
            return true;
    }
    if (forget->draws_count == FORGET_DRAWS_MAX)
        return false;
    forget->draws[forget->draws_count++] = draw;
    return true;
}

static void drop_first(struct forget *forget)
{
    forget->draws_count--;
    memmove(forget->draws, forget->draws + 1, forget->draws_count * sizeof forget->draws[0]);
    forget->batches = 0;
}

/* No batch of the draw is left: records the mark, where it is not recorded yet. */
static enum status mark(struct forget *forget, const struct workbench *bench, struct seals *seals)
{
    uint32_t draw = forget->draws[0];
    const struct seal_record *kept;
    enum status status = seals_look(seals, bench, draw, &kept);
    if (status != STATUS_OK)
        return status;
    if (!kept->is_forgotten) {
        struct seal_record record = *kept;
        record.is_forgotten = true;
        status = seals_record(seals, bench, &record, NULL);
        if (status != STATUS_OK)
            return status;
        notes_add(bench->notes,
                  &(struct note){.kind = NOTE_FORGOTTEN, .draw = draw, .number = forget->batches});
    }
    drop_first(forget);
    return STATUS_OK;
}

enum status forget_step(struct forget *forget, const struct workbench *bench, struct seals *seals)
{
    CHECK(forget_is_busy(forget));
    struct batch_identity from = {.draw = forget->draws[0]};
    struct batch_record batches[FORGET_STEP_BATCHES_MAX];
    size_t count;
    enum status status = store_list(bench->store, &from, batches, FORGET_STEP_BATCHES_MAX, &count);
    if (status != STATUS_OK)
        return status;
    while (count > 0 && batches[count - 1].identity.draw != from.draw)
        count--;
    if (count == 0)
        return mark(forget, bench, seals);
    status = store_begin(bench->store, STORE_RESERVE);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_erase(bench->store, &batches[i].identity);
    if (status == STATUS_OK)
        status = store_commit(bench->store);
    forget->batches += count; /* what has failed ends the worker */
    return status;
}
