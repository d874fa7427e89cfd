/* What holds of each message that leaves a broker or a worker: nothing is told that is not on a
 * disk already. */
#include "proto/wire/item.h"
#include "proto/wire/pack.h"
#include "proto/wire/seqset.h"
#include "tests/sim/inside.h"
#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

/* One message of a broker. */
struct saying {
    struct world *world;
    struct broker_actor *actor;
    const struct journal_memory *journal;
    const struct message *message;
    uint64_t peer;
};

/* Another broker has its journal by now: it may still tell what it knew. */
static bool is_replaced(const struct saying *saying)
{
    return journal_memory_epoch(saying->journal) != saying->actor->epoch.number;
}

static bool has(const struct saying *saying, enum record_kind kind)
{
    return journal_memory_count(saying->journal, kind, saying->message->draw) > 0;
}

/* -- to agencies -- */

/* The batch as its agency cut it; false: this life of the agency has not cut it yet, or another one
 * may have cut it in another way, under an attempt of the same number. */
static bool find_batch(const struct world *world, const struct message *told, uint32_t seq,
                       struct batch_record *batch)
{
    const struct message_wait *wait = &told->wait;
    const struct agency_actor *actor = &world->agencies[wait->agency - 1];
    if (!actor->is_up || actor->file.versions_count > 1 || world_has_two_truths(world) ||
        told->draw != actor->draw || wait->attempt != agency_attempt(actor->agency) ||
        seq >= agency_cuts(actor->agency)->count)
        return false;
    const struct cut *cut = cuts_at(agency_cuts(actor->agency), seq);
    *batch = (struct batch_record){
        .identity = {told->draw, wait->agency, wait->attempt, seq},
        .bets = cut->bets,
        .digest = cut->digest,
    };
    return true;
}

/* P1. */
static void check_durable(const struct saying *saying)
{
    struct range_cursor cursor;
    struct range range;
    if (range_open(&cursor, saying->message->wait.durable) != STATUS_OK) {
        world_violate(saying->world, "[told] a WAIT has no ranges");
        return;
    }
    while (range_next(&cursor, &range) == STATUS_OK)
        for (uint32_t seq = range.first; seq < range.first + range.count; seq++) {
            struct batch_record batch;
            if (find_batch(saying->world, saying->message, seq, &batch) &&
                !invariants_is_durable(saying->world, &batch))
                world_violate(saying->world,
                              "[durable] batch %u of agency %u is told durable and is on no disk",
                              seq, saying->message->wait.agency);
        }
}

/* A round is told as seen only once each store that the journal knows has come back to this broker,
 * or has had its grace. */
static void check_round(const struct saying *saying)
{
    const struct broker_actor *actor = saying->actor;
    if (saying->message->wait.round_seen == 0 || is_replaced(saying) ||
        saying->world->now_ms >= actor->started_at_ms + WORLD_GRACE_MS)
        return;
    for (size_t i = 0; i < actor->records_before; i++) {
        const struct record *record = journal_memory_at(saying->journal, i);
        bool is_back = record == NULL || record->kind != RECORD_STORE;
        for (uint32_t j = 0; j < actor->welcomed_count && !is_back; j++)
            is_back = id_is_equal(&actor->welcomed[j].store, &record->store);
        if (!is_back)
            world_violate(saying->world,
                          "[rounds] a round is told as seen before every known store is back");
    }
}

/* Agencies that take part and have not declared, by the first so many records: bits. */
static uint32_t find_missing(const struct saying *saying, size_t records)
{
    uint32_t everybody = (UINT32_C(2) << saying->world->plan.agencies) - 2;
    uint32_t take_part = saying->world->plan.has_roster ? everybody : 0;
    uint32_t declared = 0;
    for (size_t i = 0; i < records; i++) {
        const struct record *record = journal_memory_at(saying->journal, i);
        if (record == NULL || record->draw != saying->message->draw)
            continue;
        if (record->kind == RECORD_PLAN)
            take_part |= UINT32_C(1) << record->plan.agency;
        if (record->kind == RECORD_DECLARATION)
            declared |= UINT32_C(1) << record->declaration.agency;
    }
    return take_part & ~declared;
}

/* P7: every wait says for whom, as of some moment of this turn. A decision is told in the next. */
static void check_missing(const struct saying *saying)
{
    if (has(saying, RECORD_DECISION) || has(saying, RECORD_VOID) || is_replaced(saying))
        return;
    struct unpacker unpacker;
    uint32_t named = 0;
    uint32_t before = find_missing(saying, saying->actor->records_before);
    uint32_t after = find_missing(saying, journal_memory_size(saying->journal));
    unpack_begin(&unpacker, saying->message->wait.missing);
    uint32_t ids = unpack_array(&unpacker);
    for (uint32_t i = 0; i < ids; i++)
        named |= UINT32_C(1) << unpack_unsigned(&unpacker, WORLD_AGENCIES_MAX);
    if ((named & ~(before | after)) != 0 || (before & after & ~named) != 0)
        world_violate(saying->world, "[told] agencies %x are told as missing, and %x are", named,
                      after);
}

static void check_wait(const struct saying *saying, bool is_finished)
{
    const struct message_wait *wait = &saying->message->wait;
    if (wait->phase == PHASE_SEALED && !has(saying, RECORD_SEALED))
        world_violate(saying->world, "[told] a seal is told, and is not journaled");
    if (is_finished && journal_memory_of_agency(saying->journal, RECORD_DECLARATION,
                                                saying->message->draw, wait->agency) == NULL)
        world_violate(saying->world, "[told] agency %u is told FINISHED, and that is not journaled",
                      wait->agency);
    check_durable(saying);
    check_round(saying);
    check_missing(saying);
}

static void check_admitted(const struct saying *saying)
{
    const struct message_admitted *admitted = &saying->message->admitted;
    if (!journal_memory_has_plan(saying->journal, saying->message->draw, admitted->agency,
                                 admitted->attempt, &admitted->plan))
        world_violate(saying->world,
                      "[told] agency %u is told a plan (%u bets, attempt %u) that is not "
                      "journaled",
                      admitted->agency, admitted->plan.bets_max, admitted->attempt);
}

static void check_refused(const struct saying *saying)
{
    enum refusal reason = saying->message->refused.reason;
    uint32_t agency = saying->message->refused.agency;
    bool is_nobody = agency == 0 || agency > saying->world->plan.agencies;
    if (reason == REFUSAL_VOID && !has(saying, RECORD_VOID))
        world_violate(saying->world, "[told] draw %u is told to be void, and is not journaled so",
                      saying->message->draw);
    /* Who took no part in a published draw is out of it as well (PROTOCOL.md, 12). */
    if (reason == REFUSAL_EXCLUDED && !is_nobody && !has(saying, RECORD_DECISION))
        world_violate(saying->world, "[told] an agency is told to be excluded, and nothing is "
                                     "journaled");
}

/* -- to stores -- */

/* A store may be taken in whose opening is not older than one that was, and no rival's. */
static void check_welcome(const struct saying *saying)
{
    struct broker_actor *actor = saying->actor;
    struct registration *registration = world_registration(actor, saying->peer);
    if (registration == NULL)
        return;
    for (uint32_t i = 0; i < REGISTRATIONS_MAX; i++) /* one registration for each store */
        if (id_is_equal(&actor->registrations[i].store, &registration->store))
            actor->registrations[i].is_welcome = false;
    registration->is_welcome = true;
    for (uint32_t i = 0; i < actor->welcomed_count; i++) {
        const struct epoch *known = &actor->welcomed[i].opening;
        const struct epoch *fresh = &registration->opening;
        if (!id_is_equal(&actor->welcomed[i].store, &registration->store))
            continue;
        if (fresh->number < known->number ||
            (fresh->number == known->number && !id_is_equal(&fresh->id, &known->id)))
            world_violate(saying->world, "[openings] a store is welcome under an older opening");
        actor->welcomed[i].opening = registration->opening;
        return;
    }
    if (actor->welcomed_count == STORES_MAX)
        return;
    actor->welcomed[actor->welcomed_count].store = registration->store;
    actor->welcomed[actor->welcomed_count++].opening = registration->opening;
}

/* After the seal nothing of the draw goes to a store before SEAL. */
static void check_sealed_first(const struct saying *saying)
{
    const struct registration *registration = world_registration(saying->actor, saying->peer);
    if (has(saying, RECORD_SEALED) && !is_replaced(saying) && registration != NULL &&
        registration->sealed_draw != saying->message->draw)
        world_violate(saying->world, "[sealed first] %s goes to a store that was not sent SEAL",
                      message_name(saying->message->kind));
}

/* No question is asked twice, by nobody: but two brokers on copies of one journal may have the same
 * epoch's number, and then no store obeys both. */
static void check_question(const struct saying *saying)
{
    struct world *world = saying->world;
    const struct message_count *asked = &saying->message->count;
    const struct epoch *own = &saying->actor->epoch;
    struct registration *registration = world_registration(saying->actor, saying->peer);
    if (registration != NULL)
        registration->question = asked->question;
    for (uint32_t i = 0; i < world->questions_count; i++) {
        const struct question_asked *before = &world->questions[i];
        bool is_copys =
            before->own.number == own->number && !id_is_equal(&before->own.id, &own->id);
        if (before->draw == saying->message->draw && before->epoch == asked->question_epoch &&
            before->number == asked->question && !is_copys)
            world_violate(world, "[questions] question %u of epoch %llu is asked again",
                          asked->question, (unsigned long long)asked->question_epoch);
    }
    if (world->questions_count < QUESTIONS_ASKED_MAX)
        world->questions[world->questions_count++] =
            (struct question_asked){saying->message->draw, asked->question_epoch, asked->question,
                                    *own};
}

static void note_ask(const struct saying *saying)
{
    struct registration *registration = world_registration(saying->actor, saying->peer);
    if (registration != NULL)
        registration->manifest_draw = saying->message->draw;
}

static void check_seal(const struct saying *saying)
{
    struct registration *registration = world_registration(saying->actor, saying->peer);
    if (!has(saying, RECORD_SEALED))
        world_violate(saying->world, "[told] SEAL leaves, and no seal is journaled");
    if (registration != NULL)
        registration->sealed_draw = saying->message->draw;
}

static void check_to_store(const struct saying *saying)
{
    switch ((int)saying->message->kind) {
    case MESSAGE_WELCOME:
        check_welcome(saying);
        return;
    case MESSAGE_FORWARD:
        check_sealed_first(saying);
        return;
    case MESSAGE_COUNT:
        check_sealed_first(saying);
        check_question(saying);
        return;
    case MESSAGE_MANIFEST:
        note_ask(saying);
        return;
    case MESSAGE_SEAL:
        check_seal(saying);
        return;
    case MESSAGE_SEAL_VOID:
        if (!has(saying, RECORD_VOID))
            world_violate(saying->world, "[told] SEAL_VOID leaves, and no void is journaled");
        return;
    default:
        return;
    }
}

void told_by_broker(struct world *world, uint32_t index, const struct outbound *sent)
{
    struct message message;
    struct saying saying = {world, &world->brokers[index], world_journal(world, index), &message,
                            sent->peer};
    if (message_decode(sent->header, &message) != STATUS_OK) {
        world_violate(world, "[told] a broker says what nobody can read");
        return;
    }
    if (sent->port == PORT_DISPATCH) {
        check_to_store(&saying);
        return;
    }
    switch ((int)message.kind) {
    case MESSAGE_ADMITTED:
        check_admitted(&saying);
        return;
    case MESSAGE_WAIT:
        check_wait(&saying, false);
        return;
    case MESSAGE_FINISHED:
        check_wait(&saying, true);
        return;
    case MESSAGE_RESULT:
        if (!has(&saying, RECORD_PUBLISHED))
            world_violate(world, "[told] a result is told, and is not journaled");
        return;
    case MESSAGE_REFUSED:
        check_refused(&saying);
        return;
    default:
        return;
    }
}

/* -- a broker's turn is over -- */

static void check_everybody_sealed(struct world *world, uint32_t index)
{
    struct broker_actor *actor = &world->brokers[index];
    uint32_t draw = inside_sealed_draw(actor->broker);
    for (uint32_t slot = 0; draw != 0 && slot < inside_stores_count(actor->broker); slot++) {
        uint64_t peer;
        bool is_registered = inside_store_is_registered(actor->broker, slot, &peer);
        const struct registration *registration = world_registration(actor, peer);
        if (is_registered && registration != NULL && registration->sealed_draw != draw)
            world_violate(world, "[sealed first] a registered store is not sent SEAL");
    }
}

void told_after_turn(struct world *world, uint32_t index)
{
    const struct broker_actor *actor = &world->brokers[index];
    const size_t largest = BATCH_BYTES_MIN + BATCH_WEIGHT_EXTRA_BYTES;
    if (inside_queue_weight(actor->broker) > WORLD_QUEUE_BYTES + largest)
        world_violate(world, "[bounds] the queue weighs %zu", inside_queue_weight(actor->broker));
    check_everybody_sealed(world, index);
}

/* A store is silent for a lease of the broker's own waking hours. */
void told_silent(struct world *world, uint32_t index, const uint8_t *store)
{
    const struct broker_actor *actor = &world->brokers[index];
    for (uint32_t i = 0; i < REGISTRATIONS_MAX; i++) {
        const struct registration *registration = &actor->registrations[i];
        if (!registration->is_welcome || memcmp(registration->store.bytes, store, 4) != 0)
            continue;
        if (actor->awake_ms - registration->heard_at_awake < LEASE_MS)
            world_violate(world, "[leases] a store is silent for %lld ms of the broker's time",
                          (long long)(actor->awake_ms - registration->heard_at_awake));
    }
}

/* -- workers -- */

static bool is_in_manifest(struct store *store, uint32_t draw, const struct message_stored *stored,
                           const struct item_stored *item, struct hasher *hasher)
{
    struct slice packed;
    struct manifest *manifest = NULL;
    if (store_manifest(store, draw, &packed) != STATUS_OK ||
        manifest_parse(packed, hasher, &manifest) != STATUS_OK)
        return false;
    const struct manifest_entry *entry = manifest_find(manifest, stored->agency);
    bool is_in = entry != NULL && entry->attempt == stored->attempt &&
                 item->seq < entry->declaration.batches &&
                 digest_is_equal(&entry->digests[item->seq], &item->digest);
    manifest_destroy(&manifest);
    return is_in;
}

/* Where the manifest itself may have rotted: some journal has it in a declaration. */
static bool is_declared(const struct world *world, uint32_t draw,
                        const struct message_stored *stored, const struct item_stored *item)
{
    for (uint32_t i = 0; i < world->journals_count; i++) {
        const struct record *record =
            journal_memory_of_agency(world->journals[i], RECORD_DECLARATION, draw, stored->agency);
        if (record != NULL && record->declaration.attempt == stored->attempt &&
            item->seq < record->declaration.declaration.batches &&
            digest_is_equal(&record->declaration.digests[item->seq], &item->digest))
            return true;
    }
    return false;
}

/* What is acknowledged is synced in this very store, and belongs to the seal if there was one. */
static void check_stored(struct world *world, uint32_t index, const struct message *message,
                         struct slice body)
{
    struct worker_actor *actor = &world->workers[index];
    bool was_sealed = (actor->sealed_before >> message->draw & 1) != 0;
    struct item_stored item;
    size_t at = 0;
    while (item_next_stored(body, &at, &item) == STATUS_OK) {
        struct batch_record batch = {
            .identity = {message->draw, message->stored.agency, message->stored.attempt, item.seq},
            .bets = item.bets,
            .digest = item.digest,
        };
        if (!store_memory_has_durably(actor->store, &batch))
            world_violate(world, "[durable] worker %u acknowledges batch %u before it is synced",
                          index, item.seq);
        bool may_rot = plan_has(&world->plan, MISHAP_ROT_MANIFEST);
        if (was_sealed && !(may_rot ? is_declared(world, message->draw, &message->stored, &item)
                                    : is_in_manifest(actor->store, message->draw, &message->stored,
                                                     &item, world->agencies[0].hasher)))
            world_violate(world, "[late] worker %u takes batch %u of a draw that is sealed", index,
                          item.seq);
    }
}

void told_by_worker(struct world *world, uint32_t index, const struct outbound *sent)
{
    struct message message;
    if (message_decode(sent->header, &message) != STATUS_OK) {
        world_violate(world, "[told] a worker says what nobody can read");
        return;
    }
    world_trace_message(world, "worker", index, &message);
    if (message.kind == MESSAGE_STORED)
        check_stored(world, index, &message, sent->body);
    if (message.kind == MESSAGE_SEALED &&
        !store_memory_has_seal(world->workers[index].store, message.draw, &message.sealed.root))
        world_violate(world, "[durable] worker %u answers SEALED before it is synced", index);
}
