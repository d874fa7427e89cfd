/* See intake.h. Weights: spent ≥ settled; admitted = settled + window, where the window is the
 * whole credit, one byte (any credit left admits one batch) or nothing. */
#include "worker/intake.h"

#include "proto/wire/batch.h"
#include "proto/wire/check.h"

enum status intake_create(struct intake *intake, const struct intake_settings *settings)
{
    CHECK(settings->commit_bytes > 0);
    *intake = (struct intake){.settings = *settings, .mode = INTAKE_OPEN, .probe_ms = WAIT_MS_MIN};
    return acks_create(&intake->acks);
}

void intake_destroy(struct intake *intake)
{
    acks_destroy(&intake->acks);
}

/* ---- credit ---- */

static bool goes_back(const struct intake *intake)
{
    return intake->mode == INTAKE_FULL || intake->mode == INTAKE_CLOSED;
}

/* Told where more was settled, or the window has opened. The total only rises: what was told as
 * admitted stays so. */
static void tell_credit(struct intake *intake, const struct workbench *bench)
{
    CHECK(!goes_back(intake));
    uint64_t window_bytes = intake->mode == INTAKE_PROBING ? 1 : CREDIT_BYTES_MAX;
    uint64_t admitted = intake->settled_bytes + window_bytes;
    CHECK(admitted > intake->admitted_bytes);
    intake->admitted_bytes = admitted;
    struct message message = {.kind = MESSAGE_CREDIT, .credit = {admitted}};
    workbench_send(bench, &message, NULL);
}

void intake_welcome(struct intake *intake, const struct workbench *bench)
{
    CHECK(!intake->is_open);
    intake->mode = INTAKE_OPEN;
    intake->spent_bytes = 0;
    intake->settled_bytes = 0;
    intake->admitted_bytes = 0;
    tell_credit(intake, bench);
}

/* Everything that was admitted counts as spent from here on (PROTOCOL.md, "RETURNED"), and what
 * came beyond it: the last batch may weigh more than the credit that admitted it, and the broker
 * does not forget that. A credit told below the broker's sum would admit nothing, for ever. */
static void spend_all(struct intake *intake)
{
    intake->came_bytes = intake->spent_bytes;
    if (intake->spent_bytes < intake->admitted_bytes)
        intake->spent_bytes = intake->admitted_bytes;
    intake->settled_bytes = intake->spent_bytes;
}

/* What comes while the disk is full was admitted before, and counts as spent already unless it is
 * beyond what was admitted. The pause before the next try gives it the time to come. */
static void count_late(struct intake *intake, uint64_t weight)
{
    intake->came_bytes += weight;
    if (intake->came_bytes <= intake->spent_bytes)
        return;
    intake->spent_bytes = intake->came_bytes;
    intake->settled_bytes = intake->came_bytes;
}

/* Opens the group with its first batch, and counts what came. */
static void count_weight(struct intake *intake, size_t body_bytes, int64_t now_ms)
{
    uint64_t weight = (uint64_t)body_bytes + BATCH_WEIGHT_EXTRA_BYTES;
    if (!intake->is_open)
        intake->opened_at = now_ms;
    intake->is_open = true;
    if (intake->mode == INTAKE_FULL)
        count_late(intake, weight);
    else if (intake->mode != INTAKE_CLOSED)
        intake->spent_bytes += weight;
}

/* ---- the group ---- */

static void close_group(struct intake *intake)
{
    intake->is_open = false;
    intake->has_transaction = false;
    intake->puts = 0;
}

/* The disk is full: the store has dropped the whole group, and so do we. */
static void turn_full(struct intake *intake, const struct workbench *bench, int64_t now_ms)
{
    struct note note = {.kind = NOTE_DISK_FULL,
                        .number = acks_send_returned(&intake->acks, bench),
                        .other = (uint64_t)intake->probe_ms};
    notes_add(bench->notes, &note);
    close_group(intake);
    spend_all(intake);
    intake->mode = INTAKE_FULL;
    intake->probe_at = now_ms + intake->probe_ms;
    intake->probe_ms = 2 * intake->probe_ms < WAIT_MS_MAX ? 2 * intake->probe_ms : WAIT_MS_MAX;
}

/* A batch that has become durable shows that there is room again; only the group behind it, that
 * there is room for more than one. */
static void turn_open(struct intake *intake, const struct workbench *bench)
{
    if (intake->puts == 0)
        return;
    if (intake->mode == INTAKE_PROBING)
        notes_add(bench->notes, &(struct note){.kind = NOTE_DISK_HAS_ROOM});
    else
        intake->probe_ms = WAIT_MS_MIN;
    intake->mode = INTAKE_OPEN;
}

enum status intake_settle(struct intake *intake, const struct workbench *bench, int64_t now_ms)
{
    if (!intake->is_open)
        return STATUS_OK;
    if (goes_back(intake)) {
        acks_send_returned(&intake->acks, bench);
        close_group(intake);
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    if (intake->has_transaction)
        status = store_commit(bench->store);
    if (status == STATUS_FULL) {
        turn_full(intake, bench, now_ms);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    struct note note = {.kind = NOTE_STORED};
    note.other = acks_send_stored(&intake->acks, bench, &note.number);
    if (note.other > 0)
        notes_add(bench->notes, &note);
    turn_open(intake, bench);
    close_group(intake);
    intake->settled_bytes = intake->spent_bytes;
    tell_credit(intake, bench);
    return STATUS_OK;
}

/* ---- batches ---- */

static void reject(const struct workbench *bench, const struct batch_identity *identity,
                   enum refusal reason, enum fault fault, uint32_t row)
{
    struct message message = {
        .kind = MESSAGE_REJECTED,
        .draw = identity->draw,
        .rejected = {.agency = identity->agency,
                     .attempt = identity->attempt,
                     .seq = identity->seq,
                     .row = row,
                     .fault = fault,
                     .reason = reason},
    };
    workbench_send(bench, &message, NULL);
    struct note note = {
        .kind = reason == REFUSAL_REJECTED   ? NOTE_REJECTED
                : reason == REFUSAL_CONFLICT ? NOTE_CONFLICTED
                                             : NOTE_CAME_LATE,
        .draw = identity->draw,
        .agency = identity->agency,
        .attempt = identity->attempt,
        .seq = identity->seq,
        .number = row,
        .other = fault,
    };
    notes_add(bench->notes, &note);
}

/* What is wrong with a batch as such. */
static enum fault examine(const struct workbench *bench, const struct batch_record *record,
                          struct slice body, uint32_t *row)
{
    *row = 0;
    if (body.bytes > BATCH_BYTES_MAX)
        return FAULT_ENCODING;
    struct digest digest;
    digest_batch(bench->hasher, record->identity.draw, record->identity.agency,
                 record->identity.seq, record->bets, body, &digest);
    if (!digest_is_equal(&digest, &record->digest))
        return FAULT_DIGEST;
    return batch_check(body, record->bets, row);
}

/* Puts a valid batch into the group's transaction, which it begins. EXISTS, CONFLICT, FULL and
 * worse: as store.h. */
static enum status put(struct intake *intake, const struct workbench *bench,
                       const struct batch_record *record, struct slice body, bool replaces)
{
    if (!intake->has_transaction) {
        enum status status = store_begin(bench->store, STORE_COMMON);
        if (status != STATUS_OK)
            return status;
        intake->has_transaction = true;
    }
    enum status status = store_put(bench->store, record, body, replaces);
    if (status == STATUS_OK)
        intake->puts++;
    return status;
}

static enum status add(struct intake *intake, const struct workbench *bench,
                       const struct batch_record *record, struct slice body, bool replaces,
                       int64_t now_ms)
{
    enum status status = put(intake, bench, record, body, replaces);
    switch ((int)status) {
    case STATUS_OK:
    case STATUS_EXISTS:
        acks_add(&intake->acks, record);
        return STATUS_OK;
    case STATUS_CONFLICT:
        reject(bench, &record->identity, REFUSAL_CONFLICT, FAULT_NONE, 0);
        return STATUS_OK;
    case STATUS_FULL:
        acks_add(&intake->acks, record);
        turn_full(intake, bench, now_ms);
        return STATUS_OK;
    default:
        return status;
    }
}

static enum status judge(struct intake *intake, const struct workbench *bench, struct seals *seals,
                         const struct batch_record *record, struct slice body, bool is_declared,
                         int64_t now_ms)
{
    enum admission admission;
    enum status status = seals_admit(seals, bench, &record->identity, &record->digest, &admission);
    if (status != STATUS_OK)
        return status;
    if (admission == ADMISSION_LATE) {
        reject(bench, &record->identity, REFUSAL_LATE, FAULT_NONE, 0);
        return STATUS_OK;
    }
    uint32_t row;
    enum fault fault = examine(bench, record, body, &row);
    if (fault != FAULT_NONE) {
        reject(bench, &record->identity, REFUSAL_REJECTED, fault, row);
        return STATUS_OK;
    }
    bool replaces = is_declared || admission == ADMISSION_SEALED;
    return add(intake, bench, record, body, replaces, now_ms);
}

/* While batches go back, nothing but the list of them ends a group. Else the credit ends it before
 * the list is full (acks.h). */
static bool is_complete(const struct intake *intake)
{
    if (goes_back(intake))
        return acks_is_full(&intake->acks);
    return intake->spent_bytes - intake->settled_bytes >= intake->settings.commit_bytes ||
           intake->spent_bytes >= intake->admitted_bytes;
}

enum status intake_take(struct intake *intake, const struct workbench *bench, struct seals *seals,
                        uint32_t draw, const struct message_batch *batch, struct slice body,
                        bool is_declared, int64_t now_ms)
{
    struct batch_record record = {
        .identity = {draw, batch->agency, batch->attempt, batch->seq},
        .bets = batch->count,
        .digest = batch->digest,
    };
    count_weight(intake, body.bytes, now_ms);
    enum status status = STATUS_OK;
    if (goes_back(intake))
        acks_add(&intake->acks, &record);
    else
        status = judge(intake, bench, seals, &record, body, is_declared, now_ms);
    if (status != STATUS_OK)
        return status;
    return is_complete(intake) ? intake_settle(intake, bench, now_ms) : STATUS_OK;
}

void intake_count_unread(struct intake *intake, size_t body_bytes, int64_t now_ms)
{
    count_weight(intake, body_bytes, now_ms);
}

/* ---- time ---- */

int64_t intake_deadline(const struct intake *intake)
{
    int64_t deadline = INT64_MAX;
    if (intake->is_open)
        deadline = intake->opened_at + intake->settings.commit_ms;
    if (intake->mode == INTAKE_FULL && intake->probe_at < deadline)
        deadline = intake->probe_at;
    return deadline;
}

enum status intake_tick(struct intake *intake, const struct workbench *bench, int64_t now_ms)
{
    if (intake->is_open && now_ms >= intake->opened_at + intake->settings.commit_ms) {
        enum status status = intake_settle(intake, bench, now_ms);
        if (status != STATUS_OK)
            return status;
    }
    if (intake->mode == INTAKE_FULL && now_ms >= intake->probe_at) {
        CHECK(intake_settle(intake, bench, now_ms) == STATUS_OK); /* all goes back */
        intake->mode = INTAKE_PROBING;
        tell_credit(intake, bench);
    }
    return STATUS_OK;
}

enum status intake_close(struct intake *intake, const struct workbench *bench, int64_t now_ms)
{
    enum status status = intake_settle(intake, bench, now_ms);
    intake->mode = INTAKE_CLOSED;
    return status;
}
