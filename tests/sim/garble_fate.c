/* What has come of a garbled letter: its receiver before and after it. */
#include <stdio.h>

#include "agency/inner.h"
#include "proto/wire/check.h"
#include "tests/sim/garble.h"
#include "tests/sim/inside.h"
#include "worker/inner.h"

enum { SEALS_LISTED = 4 * WORLD_DRAWS_MAX };

static const char *describe(const struct letter *letter, char *text, size_t bytes)
{
    const struct garble_row *row = letter->garbled;
    snprintf(text, bytes, "%s with %s",
             row->kind == 0 ? "a letter" : message_name((enum message_kind)row->kind), row->what);
    return text;
}

static void violate(struct world *world, const struct letter *letter, const char *what)
{
    char text[128];
    world_violate(world, "[garbled] %s: %s", describe(letter, text, sizeof text), what);
}

/* -- brokers -- */

void garble_look_at_broker(struct broker_actor *actor, const struct letter *letter,
                           struct broker_before *before)
{
    struct message message;
    before->question = 0;
    before->is_registering = false;
    if (letter->garbled == NULL)
        return;
    uint64_t peer = broker_actor_peer(letter);
    before->is_registering = inside_is_registering(actor->broker, peer);
    before->has_manifest = false;
    before->asks_manifest = false;
    before->notes = inside_notes(actor->broker);
    if (message_decode(letter->frames[0], &message) != STATUS_OK)
        return;
    const struct registration *registration = world_registration(actor, peer);
    before->asks_manifest = registration != NULL && registration->manifest_draw == message.draw &&
                            inside_recovers(actor->broker, peer, message.draw);
    before->has_manifest = inside_has_seal_to_hear(actor->broker, peer, message.draw);
    if (message.kind == MESSAGE_FOUND)
        before->question =
            inside_live_question(actor->broker, peer, message.draw, message.found.question_epoch,
                                 message.found.question);
    if (message.kind == MESSAGE_COUNTED)
        before->question =
            inside_live_question(actor->broker, peer, message.draw, message.counted.question_epoch,
                                 message.counted.question);
}

/* What was sent last, if it was one message more than before. 0: nothing was sent. */
static int kind_sent(const struct outbox *outbox, size_t before)
{
    struct message message;
    size_t count = outbox_count(outbox);
    if (count == before)
        return 0;
    CHECK(message_decode(outbox_at(outbox, count - 1)->header, &message) == STATUS_OK);
    return count == before + 1 ? (int)message.kind : -1;
}

/* Nothing is journaled, and nobody is told anything, but perhaps asked who he is. */
static void check_dropped(struct world *world, const struct broker_actor *actor,
                          const struct letter *letter, const struct broker_before *before)
{
    int sent = kind_sent(actor->outbox, before->outbox);
    if (records_count(actor->records) != before->records ||
        broker_fingerprint(actor->broker) != before->fingerprint)
        violate(world, letter, "it changes the broker");
    else if (sent != 0 && sent != MESSAGE_WHO)
        violate(world, letter, "the broker answers");
}

static void check_dismissed(struct world *world, const struct broker_actor *actor,
                            const struct letter *letter, const struct broker_before *before)
{
    int sent = kind_sent(actor->outbox, before->outbox);
    if (records_count(actor->records) != before->records ||
        broker_fingerprint(actor->broker) != before->fingerprint)
        violate(world, letter, "it changes the broker");
    else if (sent != MESSAGE_DISMISSED && before->is_registering)
        violate(world, letter, "the store is not dismissed");
}

static void check_asked_anew(struct world *world, const struct broker_actor *actor,
                             const struct letter *letter, const struct broker_before *before)
{
    size_t records = records_count(actor->records);
    bool is_doubled = letter->garbled->kind == MESSAGE_FOUND && records == before->records &&
                      world->workers[letter->party].is_asked_twice;
    if (before->question == 0 || is_doubled)
        check_dropped(world, actor, letter, before);
    else if (records != before->records + 1 ||
             records_at(actor->records, records - 1)->kind != RECORD_DROPPED)
        violate(world, letter, "its question is not dropped");
}

/* The broker is over: may it be? */
static void check_end(struct world *world, struct broker_actor *actor, const struct letter *letter,
                      const struct broker_before *before, enum status verdict)
{
    if (letter->garbled->fate == FATE_ENDS_BROKER && before->has_manifest &&
        verdict == STATUS_CONFIG)
        actor->is_misled = true;
    else if (verdict != STATUS_NO_MEMORY && verdict != STATUS_IO)
        violate(world, letter, "the broker ends");
}

void garble_judge_broker(struct world *world, struct broker_actor *actor,
                         const struct letter *letter, const struct broker_before *before)
{
    const char *problem;
    if (letter->garbled == NULL || before->verdict != STATUS_OK)
        return;
    enum status verdict = broker_verdict(actor->broker, &problem);
    if (verdict != STATUS_OK) {
        check_end(world, actor, letter, before, verdict);
        return;
    }
    switch (letter->garbled->fate) {
    case FATE_DROPPED:
        check_dropped(world, actor, letter, before);
        return;
    case FATE_DISMISSED:
        check_dismissed(world, actor, letter, before);
        return;
    case FATE_ASKED_ANEW:
        check_asked_anew(world, actor, letter, before);
        return;
    case FATE_REFUSED:
        if (kind_sent(actor->outbox, before->outbox) != MESSAGE_REFUSED)
            violate(world, letter, "it is not refused");
        break;
    case FATE_NO_PART:
        if (before->asks_manifest && inside_notes(actor->broker) == before->notes)
            violate(world, letter, "the broker takes it");
        break;
    case FATE_NOT_JOURNALED:
        break;
    case FATE_ENDS_BROKER:
        if (before->has_manifest)
            violate(world, letter, "the broker goes on");
        else
            check_dropped(world, actor, letter, before);
        return;
    case FATE_BORNE:
    case FATE_UNHEEDED:
    case FATE_FENCED:
    case FATE_ENDS_AGENCY:
    case FATE_UNREAD:
        return;
    }
    if (records_count(actor->records) != before->records)
        violate(world, letter, "something is journaled");
}

/* -- workers -- */

static size_t count_seals(const struct worker_actor *actor)
{
    struct seal_record seals[SEALS_LISTED];
    size_t count = 0;
    CHECK(store_list_seals(actor->store, 0, seals, SEALS_LISTED, &count) == STATUS_OK);
    return count;
}

void garble_look_at_worker(const struct worker_actor *actor, const struct letter *letter,
                           struct worker_before *before)
{
    if (letter->garbled == NULL)
        return;
    before->fingerprint = worker_fingerprint(actor->worker);
    before->outbox = outbox_count(actor->outbox);
    before->questions = actor->worker->count.questions_count;
    before->puts = actor->worker->intake.puts;
    before->reads_back = actor->worker->sealing.read_back.is_running;
    before->seals = count_seals(actor);
}

void garble_judge_worker(struct world *world, const struct worker_actor *actor,
                         const struct letter *letter, const struct worker_before *before)
{
    const struct worker *worker = actor->worker;
    if (letter->garbled == NULL || worker->state == WORKER_OVER)
        return;
    bool is_same = worker_fingerprint(worker) == before->fingerprint;
    int sent = kind_sent(actor->outbox, before->outbox);
    if (letter->garbled->fate == FATE_DROPPED && (!is_same || sent != 0))
        violate(world, letter, "it changes the worker");
    if (letter->garbled->fate == FATE_FENCED && (!is_same || sent != MESSAGE_FENCED))
        violate(world, letter, "the worker does not answer FENCED alone");
    if (letter->garbled->fate == FATE_UNHEEDED &&
        (worker->count.questions_count > before->questions || worker->intake.puts > before->puts ||
         count_seals(actor) > before->seals ||
         (worker->sealing.read_back.is_running && !before->reads_back)))
        violate(world, letter, "the worker takes it");
}

/* -- agencies -- */

/* True when this is what it waits for, but for what is wrong with it. */
static bool is_awaited(const struct agency_actor *actor, const struct letter *letter)
{
    const struct agency *agency = actor->agency;
    int kind = letter->garbled->kind;
    struct message message;
    CHECK(message_decode(letter->frames[0], &message) == STATUS_OK);
    if (letter->token != actor->token || !agency->asked.is_open ||
        agency_state_is_final(agency->state))
        return false;
    if (message.kind == MESSAGE_ADMITTED)
        return agency->asked.kind == MESSAGE_HELLO && message.draw == agency->terms.draw &&
               message.admitted.from == agency->asked.from &&
               (!agency->terms.starts_over || agency->has_started_over);
    /* Nor does it wait for what a garbled request of its own has asked for. */
    if (message.kind == MESSAGE_RESULT)
        return agency->asked.kind == MESSAGE_WINNERS && message.draw == agency->terms.draw &&
               message.result.from == agency->asked.from;
    if (message.kind == MESSAGE_DIGEST_PAGE)
        return agency->asked.kind == MESSAGE_DIGESTS && message.draw == agency->terms.draw &&
               message.digest_page.from == agency->asked.from;
    return kind == 0 || agency->asked.kind == MESSAGE_HELLO;
}

void garble_look_at_agency(const struct agency_actor *actor, const struct letter *letter,
                           struct agency_before *before)
{
    if (letter->garbled == NULL)
        return;
    before->fingerprint = agency_fingerprint(actor->agency);
    before->is_awaited = is_awaited(actor, letter);
}

void garble_judge_agency(struct world *world, const struct agency_actor *actor,
                         const struct letter *letter, const struct agency_before *before)
{
    if (letter->garbled == NULL)
        return;
    bool is_over = agency_state_is_final(agency_state(actor->agency));
    if (letter->garbled->fate == FATE_DROPPED &&
        agency_fingerprint(actor->agency) != before->fingerprint)
        violate(world, letter, "it changes the agency");
    if (letter->garbled->fate == FATE_ENDS_AGENCY && before->is_awaited && !is_over)
        violate(world, letter, "the agency takes it");
    const struct agency_outcome *outcome = &actor->agency->outcome;
    if (letter->garbled->fate == FATE_UNREAD && before->is_awaited &&
        (outcome->cause != AGENCY_CAUSE_RESULT || outcome->result_fault != RESULT_FAULT_FORM))
        violate(world, letter, "the agency reads it");
}
