/* How a broker begins: from the records of its journal, with the flags that it is given now. */
#include "broker/inner.h"
#include "proto/wire/check.h"

static enum status refuse_flag(struct broker *broker, uint32_t draw, const char *flag)
{
    broker_fail(broker, STATUS_CONFIG,
                "draw %u was opened with another %s; start with the flags that it opened with, or "
                "use another --data",
                draw, flag);
    return STATUS_CONFIG;
}

static enum status compare_terms(struct broker *broker, const struct terms *opened)
{
    const struct terms *now = &broker->options.terms;
    uint32_t draw = opened->number.draw;

    if (opened->roster_count != now->roster_count ||
        (now->roster_count > 0 &&
         memcmp(opened->roster, now->roster, now->roster_count * sizeof *now->roster) != 0))
        return refuse_flag(broker, draw, "--roster");
    if (opened->agencies_required != now->agencies_required)
        return refuse_flag(broker, draw, "--agencies");
    if (opened->number.range_first != now->number.range_first ||
        opened->number.range_last != now->number.range_last)
        return refuse_flag(broker, draw, "--number-range");
    if (opened->number.is_given != now->number.is_given ||
        (now->number.is_given && opened->number.given != now->number.given))
        return refuse_flag(broker, draw, "--winning-number");
    if (opened->barrier_timeout_ms != now->barrier_timeout_ms)
        return refuse_flag(broker, draw, "--barrier-timeout");
    if (opened->on_timeout != now->on_timeout)
        return refuse_flag(broker, draw, "--on-timeout");
    if (opened->quorum != now->quorum)
        return refuse_flag(broker, draw, "--quorum");
    return STATUS_OK;
}

/* No broker writes this record behind those before it. */
static enum status refuse_record(struct broker *broker, const struct record *record,
                                 const char *problem)
{
    broker_fail(broker, STATUS_CONFIG,
                "the journal's records of draw %u contradict one another: %s; the journal is "
                "damaged: move its folder (--data) away and start with --recover N, N being how "
                "many stores there are",
                record->draw, problem);
    return STATUS_CONFIG;
}

static enum status restore_opened(struct broker *broker, const struct record *record)
{
    /* A draw without an end has none behind it, unless a recovery has passed it over. */
    if (broker->draw >= broker->unknown_below && broker->draw != 0 &&
        !draw_is_over(broker->state) && broker->state != DRAW_VOIDING)
        return refuse_record(broker, record, "it opens before the draw before it is over");
    return broker_open_draw(broker, &record->opened, true);
}

static enum status restore_plan(struct broker *broker, const struct record *record)
{
    struct member *member;
    if (!barrier_admits(broker->barrier, record->plan.agency))
        return refuse_record(broker, record, "an agency takes part that is not let in");
    enum status status = roll_add(broker->roll, record->plan.agency, &member);
    if (status != STATUS_OK)
        return status;
    if (member->has_declaration)
        return refuse_record(broker, record, "an agency that has finished starts over");
    return broker_begin_attempt(broker, member, record->plan.attempt, &record->plan.plan,
                                record->plan.wall_ms);
}

static enum status restore_declaration(struct broker *broker, const struct record *record)
{
    struct member *member = roll_find(broker->roll, record->declaration.agency);
    if (member == NULL || member->attempt != record->declaration.attempt)
        return refuse_record(broker, record, "a declaration is of no attempt in force");
    if (!manifest_entry_follows(&record->declaration, broker->hasher))
        return refuse_record(broker, record, "a declaration is not that of its batches");
    return broker_finish_member(broker, member, &record->declaration);
}

static enum status restore_decision(struct broker *broker, const struct record *record)
{
    if (broker->is_decided)
        return refuse_record(broker, record, "its barrier was decided twice");
    barrier_decide(broker->barrier, record->decision.action, record->decision.members,
                   record->decision.members_count);
    broker->is_decided = true;
    return STATUS_OK;
}

static enum status restore_sealed(struct broker *broker, const struct record *record)
{
    enum status status = broker_build_manifest(broker);
    if (status != STATUS_OK)
        return status;
    if (!digest_is_equal(manifest_root(broker->manifest), &record->sealed.root) ||
        manifest_number(broker->manifest) != record->sealed.number)
        return refuse_record(broker, record, "its seal does not follow from its declarations");
    broker_advance(broker, DRAW_SEAL);
    return STATUS_OK;
}

/* What stands behind OPENED: it is of the draw that was opened last. */
static enum status restore_inner(struct broker *broker, const struct record *record)
{
    if (broker->draw == 0 || record->draw != broker->draw)
        return refuse_record(broker, record, "it is not the one that is open");
    if (record->kind == RECORD_PUBLISHED) {
        broker->state = DRAW_PUBLISHED; /* without what happened inside it */
        return STATUS_OK;
    }
    if (record->kind == RECORD_VOID) {
        broker->state = DRAW_VOIDING;
        return STATUS_OK;
    }
    if (broker->state != DRAW_OPEN)
        return refuse_record(broker, record, "it takes something in after its seal or its end");
    if (record->kind == RECORD_PLAN)
        return restore_plan(broker, record);
    if (record->kind == RECORD_DECLARATION)
        return restore_declaration(broker, record);
    if (record->kind == RECORD_DECISION)
        return restore_decision(broker, record);
    CHECK(record->kind == RECORD_SEALED);
    return restore_sealed(broker, record);
}

static enum status restore(struct broker *broker, const struct record *record)
{
    switch (record->kind) {
    case RECORD_STORE:
        return stores_restore(broker->stores, &record->store, 0);
    case RECORD_OPENED:
        return restore_opened(broker, record);
    case RECORD_PLAN:
    case RECORD_DECLARATION:
    case RECORD_DECISION:
    case RECORD_SEALED:
    case RECORD_PUBLISHED:
    case RECORD_VOID:
        return restore_inner(broker, record);
    case RECORD_RECOVERED:
        broker->unknown_below = record->draw;
        return STATUS_OK;
    case RECORD_FOUND:
    case RECORD_DROPPED:
        break;
    }
    return refuse_record(broker, record, "winners of a draw that is not published are deleted");
}

enum status broker_restore(struct broker *broker, const struct record *record)
{
    CHECK(!broker->is_started);
    enum status status = restore(broker, record);
    if (status != STATUS_OK)
        broker_fail(broker, status, "cannot take over what the journal has of draw %u: %s",
                    record->draw, status_text(status));
    return status;
}

/* -- starting -- */

static enum status start_draw(struct broker *broker)
{
    uint32_t first = broker->options.terms.number.draw;
    bool is_over = broker->draw == 0 || draw_is_over(broker->state);

    if (!is_over && broker->state != DRAW_VOIDING) {
        enum status status = compare_terms(broker, &broker->terms);
        if (status != STATUS_OK)
            return status;
    }
    if (broker->draw == 0 || (is_over && broker->draw < first)) {
        struct terms terms = broker->options.terms;
        return broker_open_draw(broker, &terms, false);
    }
    if (broker->draw < first || broker->draw > broker_last_draw(broker)) {
        /* Stores may have to be told of a void yet; then the first draw opens (phases.c). */
        if (is_over || broker->state == DRAW_VOIDING)
            return STATUS_OK;
        broker_fail(broker, STATUS_CONFIG,
                    "draw %u in the journal is not over; start with --draw %u to go on with it",
                    broker->draw, broker->draw);
        return STATUS_CONFIG;
    }
    return STATUS_OK;
}

static enum status void_draw(struct broker *broker)
{
    uint32_t draw = broker->options.void_draw;
    if (draw == 0)
        return STATUS_OK;
    if (draw == broker->draw && (broker->state == DRAW_OPEN || broker->state == DRAW_SEALED)) {
        broker_note(broker, "sorteo", NOTE_FAIL, "draw: %u | decision: void, by the operator",
                    draw);
        phases_break(broker);
        return STATUS_OK;
    }
    if (draw == broker->draw && broker->state != DRAW_PUBLISHED)
        return STATUS_OK;
    broker_fail(broker, STATUS_CONFIG, "cannot void draw %u: %s; leave --void out to go on", draw,
                draw <= broker->draw ? "it is over" : "it has not opened");
    return STATUS_CONFIG;
}

enum status broker_start_from_journal(struct broker *broker)
{
    uint32_t found = broker->draw;
    enum status status = start_draw(broker);
    bool opens_next = draw_is_over(broker->state) && found < broker_last_draw(broker);
    if (status == STATUS_OK && broker->draw == found && !opens_next)
        broker_note_draw(broker);
    broker->epoch = broker->own;
    if (status == STATUS_OK && broker->state == DRAW_SEALED)
        status = results_create(broker->manifest, broker->epoch.number, &broker->results);
    if (status == STATUS_OK)
        status = void_draw(broker);
    return status;
}
