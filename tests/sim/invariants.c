/* What holds after every step of every world. */
#include <stdio.h>

#include "proto/wire/seqset.h"
#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

enum { WINNING_NUMBER = 3 };

/* -- one root, one number, one result; no seal before everybody has finished -- */

/* Who is in the draw: after a decision its members, else everybody. */
static bool is_member(const struct world *world, uint32_t draw, uint32_t agency)
{
    const struct record *decided = journal_memory_last(world->journal, RECORD_DECISION, draw);
    for (uint32_t i = 0; decided != NULL && i < decided->decision.members_count; i++)
        if (decided->decision.members[i] == agency)
            return true;
    return decided == NULL;
}

static size_t count(const struct world *world, enum record_kind kind, uint32_t draw)
{
    return journal_memory_count(world->journal, kind, draw);
}

static void check_decisions(struct world *world, uint32_t draw)
{
    size_t sealed = count(world, RECORD_SEALED, draw);
    size_t ended = count(world, RECORD_PUBLISHED, draw) + count(world, RECORD_VOID, draw);
    size_t declared = count(world, RECORD_DECLARATION, draw);
    uint32_t members = 0;
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        members += is_member(world, draw, i + 1);
    if (count(world, RECORD_OPENED, draw) > 1)
        world_violate(world, "draw %u is opened twice", draw);
    if (count(world, RECORD_DECISION, draw) > 1)
        world_violate(world, "draw %u is decided twice", draw);
    if (sealed > 1)
        world_violate(world, "draw %u is sealed %zu times", draw, sealed);
    if (ended > 1)
        world_violate(world, "draw %u ends %zu times", draw, ended);
    if (count(world, RECORD_PUBLISHED, draw) > sealed)
        world_violate(world, "draw %u is published without a seal", draw);
    if (declared > world->plan.agencies)
        world_violate(world, "%zu declarations of %u agencies", declared, world->plan.agencies);
    if (sealed > 0 && (declared != members || members < world->plan.quorum))
        world_violate(world, "draw %u is sealed with %zu declarations of %u members", draw,
                      declared, members);
    if (draw > 1 && count(world, RECORD_OPENED, draw) > 0 &&
        count(world, RECORD_OPENED, draw - 1) > 0 &&
        count(world, RECORD_PUBLISHED, draw - 1) + count(world, RECORD_VOID, draw - 1) == 0)
        world_violate(world, "draw %u opens before the one before is over", draw);
}

bool invariants_allow_end(const struct world *world, uint32_t index,
                          const struct agency_outcome *outcome)
{
    uint32_t draw = world->agencies[index].draw;
    bool is_void = count(world, RECORD_VOID, draw) > 0;
    bool is_out = is_void || !is_member(world, draw, index + 1);
    if (outcome->cause == AGENCY_CAUSE_VOID)
        return is_void;
    if (outcome->cause != AGENCY_CAUSE_REFUSED)
        return false;
    switch ((int)outcome->refused.reason) {
    case REFUSAL_VOID:
        return is_void;
    case REFUSAL_EXCLUDED:
        return !is_void && is_out;
    case REFUSAL_LATE:
        return is_out;
    case REFUSAL_UNKNOWN: /* over, and known to the lost journal only */
        return world->counts.lost_journals > 0;
    default:
        return false;
    }
}

/* -- what the journal publishes is what the files hold -- */

static uint32_t winners_in_file(const struct agency_actor *actor)
{
    uint32_t winners = 0;
    for (uint32_t row = 0; row < actor->rows_count; row++)
        winners += actor->rows[row].number == WINNING_NUMBER;
    return winners;
}

/* One root and one number for each draw, for ever: also when the journal was lost, as long as
 * there is a store that has recorded the seal. */
static void check_sameness(struct world *world, uint32_t draw)
{
    const struct record *sealed = journal_memory_last(world->journal, RECORD_SEALED, draw);
    if (world->results[draw].is_known &&
        (count(world, RECORD_VOID, draw) > 0 ||
         (sealed != NULL && (!digest_is_equal(&sealed->sealed.root, &world->results[draw].root) ||
                             sealed->sealed.number != world->results[draw].number))))
        world_violate(world, "draw %u ends in two ways", draw);
    if (sealed == NULL || count(world, RECORD_PUBLISHED, draw) == 0)
        return;
    world->results[draw].is_known = true;
    world->results[draw].root = sealed->sealed.root;
    world->results[draw].number = sealed->sealed.number;
}

static void check_result(struct world *world, uint32_t draw)
{
    struct archive archive;
    check_sameness(world, draw);
    if (journal_memory_count(world->journal, RECORD_PUBLISHED, draw) == 0)
        return;
    journal_memory_archive(world->journal, &archive);
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        struct archived_agency archived;
        uint32_t expected = winners_in_file(&world->agencies[i]);
        if (!is_member(world, draw, i + 1))
            continue;
        if (archive.agency(archive.owner, draw, i + 1, &archived) != STATUS_OK)
            world_violate(world, "agency %u has no result of draw %u", i + 1, draw);
        else if (archived.winners != expected)
            world_violate(world, "agency %u is counted %u winners of draw %u and has %u", i + 1,
                          archived.winners, draw, expected);
    }
}

void invariants_check(struct world *world)
{
    size_t records = journal_memory_size(world->journal);
    if (records == world->records_checked)
        return;
    world->records_checked = records;
    for (uint32_t draw = 1; draw <= world->plan.draws; draw++) {
        check_decisions(world, draw);
        check_result(world, draw);
    }
}

/* -- told as durable is durable: on a disk that is there, or on one that the broker cannot yet know
 * to be lost -- */

static bool is_durable_somewhere(const struct world *world, const struct batch_record *batch)
{
    for (uint32_t i = 0; i < world->plan.workers; i++)
        if (world->workers[i].store != NULL &&
            store_memory_has_durably(world->workers[i].store, batch))
            return true;
    for (uint64_t i = 0; i < world->counts.lost_stores; i++)
        if (store_memory_has_durably(world->lost[i], batch))
            return true;
    return false;
}

/* A rotten batch is deleted before the broker can hear of it. */
static bool has_rotted(const struct world *world, const struct batch_record *batch)
{
    for (uint64_t i = 0; i < world->counts.rotten; i++)
        if (batch_identity_compare(&world->rotten[i], &batch->identity) == 0)
            return true;
    return false;
}

/* The batch as its agency cut it; false: this life of the agency has not cut it yet. */
static bool find_batch(const struct world *world, uint32_t agency, uint32_t attempt, uint32_t seq,
                       struct batch_record *batch)
{
    const struct agency_actor *actor = &world->agencies[agency - 1];
    if (!actor->is_up || seq >= agency_cuts(actor->agency)->count)
        return false;
    const struct cut *cut = cuts_at(agency_cuts(actor->agency), seq);
    *batch = (struct batch_record){
        .identity = {.draw = actor->draw, .agency = agency, .attempt = attempt, .seq = seq},
        .bets = cut->bets,
        .digest = cut->digest,
    };
    return true;
}

void invariants_check_told(struct world *world, const struct message *told)
{
    struct range_cursor cursor;
    struct range range;
    if (range_open(&cursor, told->wait.durable) != STATUS_OK) {
        world_violate(world, "a WAIT has no ranges");
        return;
    }
    while (range_next(&cursor, &range) == STATUS_OK)
        for (uint32_t seq = range.first; seq < range.first + range.count; seq++) {
            struct batch_record batch;
            if (told->draw == world->agencies[told->wait.agency - 1].draw &&
                find_batch(world, told->wait.agency, told->wait.attempt, seq, &batch) &&
                !is_durable_somewhere(world, &batch) && !has_rotted(world, &batch))
                world_violate(world, "batch %u of agency %u is told durable and is on no disk", seq,
                              told->wait.agency);
        }
}

/* -- an agency's winners are a plain scan of its file -- */

void invariants_check_winners(struct world *world, uint32_t index)
{
    const struct agency_actor *actor = &world->agencies[index];
    uint32_t expected = 0;
    for (uint32_t row = 0; row < actor->rows_count; row++) {
        if (actor->rows[row].number != WINNING_NUMBER)
            continue;
        const struct item_place *told = &actor->winners[expected];
        if (expected >= actor->winners_count ||
            actor->batch_first_row[told->seq] + told->row != row ||
            told->document != actor->rows[row].document) {
            world_violate(world, "agency %u: winner %u is not row %u of its file", index + 1,
                          expected, row);
            return;
        }
        expected++;
    }
    if (expected != actor->winners_count)
        world_violate(world, "agency %u is told %u winners and has %u", index + 1,
                      actor->winners_count, expected);
}
