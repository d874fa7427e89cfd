/* --recover inside the core: when enough stores have registered, what they know becomes records. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/inner.h"
#include "proto/wire/check.h"

enum { MANIFEST_ASK_BYTES = 512 };

/* The journal's own epoch is raised above all that stores have heard, and what it has of this draw
 * and later ones is replaced by what follows. */
static void record_recovered(struct broker *broker, uint32_t draw)
{
    uint64_t heard = recovery_epoch_heard(broker->recovery);
    broker->own.number = (heard > broker->own.number ? heard : broker->own.number) + 1;
    broker->unknown_below = draw;
    struct record record = {.kind = RECORD_RECOVERED,
                            .draw = draw,
                            .recovered_epoch = broker->own.number};
    records_add(broker->records, &record);
}

/* What has come of it; in: is_kept: the journal was not lost. */
static void note_recovered(struct broker *broker, bool is_kept)
{
    char note[TEXT_BYTES_MAX] = "";
    if (is_kept)
        (void)snprintf(note, sizeof note,
                       " | note: the journal was not lost, it has what the stores bring, or more: "
                       "nothing was recovered, only its epoch raised; leave --recover out");
    else if (broker->unknown_below > 1)
        (void)snprintf(note, sizeof note,
                       " | note: a result of a draw before %u that this journal does not have is "
                       "lost: who asks for it is told that the draw is unknown",
                       broker->unknown_below);
    broker_note(broker, "recuperacion", NOTE_SUCCESS, "draw: %u | phase: %s | epoch: %" PRIu64 "%s",
                broker->draw, phase_name(draw_phase(broker->state)), broker->epoch.number, note);
}

/* From here on it is a broker like any other: every store registers again, under the new epoch.
 * What they told so far is not in the ledger, and no half inventory may go on. */
static void end_recovery(struct broker *broker, bool is_kept)
{
    struct message who = {.kind = MESSAGE_WHO};
    broker->epoch = broker->own;
    recovery_destroy(&broker->recovery);
    for (uint32_t slot = 0; slot < stores_count(broker->stores); slot++) {
        const struct store *store = stores_at(broker->stores, slot);
        if (store->state == STORE_REGISTERED)
            broker_send_worker(broker, store->peer, &who, NULL);
        broker_close_store(broker, slot);
    }
    stores_await_anew(broker->stores, broker->ticked_at);
    note_recovered(broker, is_kept);
}

static enum status open_draw(struct broker *broker, uint32_t draw)
{
    struct terms terms = broker->options.terms;
    terms.number.draw = draw;
    return broker_open_draw(broker, &terms, false);
}

/* An agency of a manifest has finished. errors: CONFIG: it is not on the roster that is given now;
 * NO_MEMORY. */
static enum status adopt_agency(struct broker *broker, const struct manifest_entry *entry)
{
    struct member *member;
    struct record plan = {
        .kind = RECORD_PLAN,
        .draw = broker->draw,
        .plan = {.agency = entry->agency, .attempt = entry->attempt, .plan = entry->plan},
    };
    if (!barrier_admits(broker->barrier, entry->agency)) {
        broker_fail(broker, STATUS_CONFIG,
                    "agency %u has finished in draw %u, and --roster does not name it; start with "
                    "the flags that the draw opened with",
                    entry->agency, broker->draw);
        return STATUS_CONFIG;
    }
    /* A manifest has each agency once, and no more of them than the tables. */
    CHECK(roll_add(broker->roll, entry->agency, &member) == STATUS_OK);
    CHECK(broker_begin_attempt(broker, member, entry->attempt, &entry->plan, 0) == STATUS_OK);
    records_add(broker->records, &plan);
    enum status status = broker_finish_member(broker, member, entry);
    if (status == STATUS_OK)
        broker_record_declaration(broker, member);
    return status;
}

/* The draw of a manifest: opened, its agencies finished, sealed: as if this journal had always had
 * it. Where it fails, so does the broker, and none of these records is written. */
static enum status adopt(struct broker *broker, const struct manifest *manifest)
{
    struct terms terms = broker->options.terms;
    terms.number = *manifest_terms(manifest);
    enum status status = broker_open_draw(broker, &terms, true);
    struct record opened = {.kind = RECORD_OPENED, .draw = broker->draw, .opened = broker->terms};
    records_add(broker->records, &opened);
    for (size_t i = 0; status == STATUS_OK && i < manifest_agencies_count(manifest); i++)
        status = adopt_agency(broker, manifest_agency(manifest, i));
    if (status == STATUS_OK)
        status = broker_build_manifest(broker);
    if (status == STATUS_OK)
        status = results_create(broker->manifest, broker->own.number, &broker->results);
    if (status != STATUS_OK)
        return status;
    struct record sealed = {
        .kind = RECORD_SEALED,
        .draw = broker->draw,
        .sealed = {*manifest_root(broker->manifest), manifest_number(broker->manifest)},
    };
    records_add(broker->records, &sealed);
    broker_advance(broker, DRAW_SEAL);
    return STATUS_OK;
}

void recover_take_part(struct broker *broker, uint32_t store, const struct message *message,
                       struct slice body)
{
    struct manifest *manifest = NULL;
    enum status status = recovery_take_part(broker->recovery, store, message->draw, &message->part,
                                            body, broker->hasher, &manifest);
    /* The manifest may be right: another process has to read it. */
    if (status == STATUS_NO_MEMORY)
        broker_fail(broker, status, "cannot take the manifest of draw %u: %s", message->draw,
                    status_text(status));
    else if (status != STATUS_OK)
        broker_note(broker, "recuperacion", NOTE_FAIL, "draw: %u | reason: a store's manifest: %s",
                    message->draw, status_text(status));
    if (manifest == NULL)
        return;
    record_recovered(broker, message->draw);
    status = adopt(broker, manifest);
    manifest_destroy(&manifest);
    if (status != STATUS_OK)
        broker_fail(broker, status, "cannot go on with draw %u: %s", message->draw,
                    status_text(status));
    else
        end_recovery(broker, false);
}

/* True once in a while, where it waits for longer than a lease. */
static bool is_to_say_so(struct broker *broker)
{
    if (broker->ticked_at - broker->held_up_at < broker->options.lease_ms)
        return false;
    broker->held_up_at = broker->ticked_at + WAIT_MS_MAX - broker->options.lease_ms;
    return true;
}

/* A store that has the manifest is asked for it; another one if it does not answer well. A draw of
 * which a seal was heard waits for one that has it, and says so. */
static void ask_manifest(struct broker *broker, uint32_t draw)
{
    struct message message = {.kind = MESSAGE_MANIFEST, .draw = draw};
    uint32_t store = 0;
    if (!outbox_has_room(broker->outbox, 1, MANIFEST_ASK_BYTES))
        return;
    if (recovery_next_ask(broker->recovery, &store)) {
        broker->held_up_at = broker->ticked_at;
        broker_send_worker(broker, stores_at(broker->stores, store)->peer, &message, NULL);
        return;
    }
    if (is_to_say_so(broker))
        broker_note(broker, "recuperacion", NOTE_IN_PROGRESS,
                    "draw: %u | waiting_for: a store that has its manifest", draw);
}

/* The journal goes on as it is, under an epoch above all that the stores have heard. */
static enum status keep_journal(struct broker *broker)
{
    record_recovered(broker, broker->draw + 1);
    return broker_start_from_journal(broker);
}

/* The journal was not lost: it has a newer draw than the stores, or the same one and its end; or it
 * has all that they bring, and they have served no broker after the last of this journal. */
static bool journal_knows_more(const struct broker *broker, uint32_t draw)
{
    if (broker->draw == 0)
        return false;
    if (broker->draw > draw || (broker->draw == draw && draw_is_over(broker->state)))
        return true;
    return !recovery_has_unknown(broker->recovery) &&
           recovery_epoch_heard(broker->recovery) < broker->own.number;
}

static enum status decide(struct broker *broker, uint32_t draw, enum recovery_finding finding)
{
    uint32_t first = broker->options.terms.number.draw;
    enum status status;

    if (finding == RECOVERY_NOTHING) {
        record_recovered(broker, first);
        return open_draw(broker, first);
    }
    record_recovered(broker, finding == RECOVERY_FORGOTTEN ? draw + 1 : draw);
    if (finding == RECOVERY_FORGOTTEN)
        return open_draw(broker, draw + 1 > first ? draw + 1 : first);
    status = open_draw(broker, draw);
    if (status != STATUS_OK)
        return status;
    broker_note(broker, "sorteo", NOTE_FAIL,
                "draw: %u | decision: void, no store has its seal, and what its agencies were told "
                "is lost with the journal",
                draw);
    phases_break(broker);
    return STATUS_OK;
}

void recover_step(struct broker *broker)
{
    uint32_t draw = 0;
    uint32_t registered = stores_registered_count(broker->stores);
    if (!recovery_has_stores(broker->recovery, registered)) {
        if (is_to_say_so(broker))
            broker_note(broker, "recuperacion", NOTE_IN_PROGRESS,
                        "waiting_for: %u stores, as --recover says; start their workers | "
                        "registered: %u",
                        broker->options.recover_stores, registered);
        return;
    }
    enum recovery_finding finding = recovery_find(broker->recovery, &draw);
    bool is_kept = journal_knows_more(broker, draw);
    if (finding == RECOVERY_SEALED && !is_kept) {
        ask_manifest(broker, draw);
        return;
    }
    enum status status = is_kept ? keep_journal(broker) : decide(broker, draw, finding);
    if (status != STATUS_OK)
        broker_fail(broker, status, "cannot go on with draw %u: %s", draw, status_text(status));
    else
        end_recovery(broker, is_kept);
}
