/* An operator's mistakes: before a broker is started as it has to be, somebody starts it on the
 * same journal with other flags. That process has to end with the right status, or begins and is
 * stopped before its first transaction; it changes nothing. What is only superfluous (--recover)
 * stays. */
#include "broker/broker.h"
#include "proto/wire/check.h"
#include "tests/sim/world.h"

enum {
    MISTAKE_MILLIONTHS = 400000, /* of starts */
    MESSAGES_MAX = 64,
    ARENA_BYTES = 1 << 20,
    RECORDS_MAX = 16,
    FAR_AWAY = 1000,
};

/* What the journal says of the newest draw. */
struct newest {
    uint32_t draw; /* 0: none has opened */
    bool is_void;
    bool is_published;
};

struct mistake {
    struct world *world;
    struct dice *dice;
    struct newest newest;
    struct broker_options options;
    uint32_t roster[WORLD_AGENCIES_MAX + 1];
    enum status expected;
};

static struct newest find_newest(const struct world *world, const struct journal_memory *journal)
{
    struct newest newest = {.draw = world->plan.draws};
    while (newest.draw > 0 && journal_memory_count(journal, RECORD_OPENED, newest.draw) == 0)
        newest.draw--;
    newest.is_void = journal_memory_count(journal, RECORD_VOID, newest.draw) > 0;
    newest.is_published = journal_memory_count(journal, RECORD_PUBLISHED, newest.draw) > 0;
    return newest;
}

static bool is_running(const struct mistake *mistake)
{
    return mistake->newest.draw > 0 && !mistake->newest.is_void && !mistake->newest.is_published;
}

/* -- what is mistaken -- */

/* One more than there is, one less, or one for another, or none where there is one. */
static bool mistake_roster(struct mistake *mistake)
{
    struct terms *terms = &mistake->options.terms;
    uint32_t count = mistake->world->plan.agencies;
    for (uint32_t i = 0; i < count; i++)
        mistake->roster[i] = i + 1;
    mistake->roster[count] = FAR_AWAY;
    if (terms->roster == NULL) {
        terms->roster_count = count;
    } else if (dice_below(mistake->dice, 2) == 0) {
        terms->roster_count++;
    } else {
        mistake->roster[count - 1] = FAR_AWAY;
    }
    terms->roster = mistake->roster;
    if (terms->roster_count == count && mistake->world->plan.has_roster &&
        dice_below(mistake->dice, 2) == 0)
        *terms = (struct terms){.number = terms->number,
                                .agencies_required = terms->agencies_required,
                                .barrier_timeout_ms = terms->barrier_timeout_ms,
                                .on_timeout = terms->on_timeout,
                                .quorum = terms->quorum};
    return is_running(mistake);
}

static bool mistake_agencies(struct mistake *mistake)
{
    mistake->options.terms.agencies_required++;
    return is_running(mistake);
}

static bool mistake_range(struct mistake *mistake)
{
    struct manifest_terms *number = &mistake->options.terms.number;
    if (dice_below(mistake->dice, 2) == 0)
        number->range_first++;
    else
        number->range_last++;
    return is_running(mistake);
}

static bool mistake_number(struct mistake *mistake)
{
    struct manifest_terms *number = &mistake->options.terms.number;
    if (!number->is_given || dice_below(mistake->dice, 2) == 0)
        number->is_given = !number->is_given;
    else
        number->given++;
    return is_running(mistake);
}

static bool mistake_timeout(struct mistake *mistake)
{
    mistake->options.terms.barrier_timeout_ms += 1000;
    return is_running(mistake);
}

static bool mistake_action(struct mistake *mistake)
{
    struct terms *terms = &mistake->options.terms;
    terms->on_timeout = terms->on_timeout == TIMEOUT_VOID ? TIMEOUT_DRAW : TIMEOUT_VOID;
    return is_running(mistake);
}

static bool mistake_quorum(struct mistake *mistake)
{
    mistake->options.terms.quorum++;
    return is_running(mistake);
}

/* The first draw, or the last one, is another than the journal's. Where that is over, or void,
 * there is nothing to go on with, and nothing to refuse. */
static bool mistake_draw(struct mistake *mistake)
{
    uint32_t draw = mistake->newest.draw;
    if (dice_below(mistake->dice, 2) == 0)
        mistake->options.terms.number.draw = draw + 1;
    else
        mistake->options.draws = draw - 1;
    if (!is_running(mistake))
        mistake->expected = STATUS_OK;
    return draw > 0 && mistake->options.draws > 0;
}

/* A draw that is over, or has not opened; to void a void one again changes nothing. */
static bool mistake_void(struct mistake *mistake)
{
    uint32_t draw = mistake->newest.draw == 0 ? 1 : mistake->newest.draw;
    uint32_t voids = draw - 1 + dice_below(mistake->dice, 3);
    mistake->options.void_draw = voids;
    if (voids == draw && mistake->newest.is_void)
        mistake->expected = STATUS_OK;
    return voids > 0 && (voids != draw || mistake->newest.is_void || mistake->newest.is_published);
}

static const struct {
    const char *what;
    bool (*make)(struct mistake *mistake);
} mistakes[] = {
    {"--roster", mistake_roster},
    {"--agencies", mistake_agencies},
    {"--number-range", mistake_range},
    {"--winning-number", mistake_number},
    {"--barrier-timeout", mistake_timeout},
    {"--on-timeout", mistake_action},
    {"--quorum", mistake_quorum},
    {"--draw", mistake_draw},
    {"--void", mistake_void},
    {"--void", mistake_void},
};

/* -- the process -- */

static void keep_payload(void *payload)
{
    (void)payload;
}

/* The machine has what it needs. */
static enum status start(const struct broker_options *options, struct journal_memory *journal,
                         int64_t now_ms)
{
    struct broker *broker = NULL;
    struct outbox *outbox = NULL;
    struct records *records = NULL;
    struct archive archive;
    struct epoch epoch = {.number = journal_memory_open(journal)};
    journal_memory_archive(journal, &archive);
    CHECK(outbox_create(MESSAGES_MAX, ARENA_BYTES, &outbox) == STATUS_OK);
    CHECK(records_create(RECORDS_MAX, ARENA_BYTES, &records) == STATUS_OK);
    CHECK(broker_create(options, outbox, records, &archive, keep_payload, &broker) == STATUS_OK);
    enum status status = journal_memory_load(journal, broker);
    if (status == STATUS_OK)
        status = broker_start(broker, &epoch, now_ms);
    broker_destroy(&broker);
    outbox_destroy(&outbox);
    records_destroy(&records);
    return status;
}

/* It waits for a store, finds that its journal is whole, and goes on. Where journals are lost or
 * copied it could be right. */
static bool recovers_needlessly(struct world *world, struct broker_actor *actor,
                                const struct mistake *mistake)
{
    if (mistake->newest.draw == 0 || plan_has(&world->plan, MISHAP_LOST_JOURNAL) ||
        plan_has(&world->plan, MISHAP_COPIED_JOURNAL) || dice_below(mistake->dice, 4) != 0)
        return false;
    actor->recovers = 1;
    world->counts[MISHAP_MISTAKE]++;
    return true;
}

void mistake_start(struct world *world, uint32_t index)
{
    struct broker_actor *actor = &world->brokers[index];
    struct journal_memory *journal = world->journals[actor->journal];
    struct mistake mistake = {.world = world,
                              .dice = &world->mistake_dice,
                              .newest = find_newest(world, journal),
                              .options = broker_actor_options(world, actor),
                              .expected = STATUS_CONFIG};
    if (!world_may(world, MISHAP_MISTAKE) || actor->needs_recovery || actor->voids != 0 ||
        !dice_happens(mistake.dice, MISTAKE_MILLIONTHS) ||
        recovers_needlessly(world, actor, &mistake))
        return;
    uint32_t chosen = dice_below(mistake.dice, sizeof mistakes / sizeof *mistakes);
    if (!mistakes[chosen].make(&mistake))
        return;
    size_t records = journal_memory_size(journal);
    enum status status = start(&mistake.options, journal, world->now_ms);
    world->counts[MISHAP_MISTAKE]++;
    world_trace(world, "broker %u is started with another %s: %s", index, mistakes[chosen].what,
                status_text(status));
    if (status != mistake.expected)
        world_violate(world, "[mistake] a broker that is started with another %s: %s",
                      mistakes[chosen].what, status_text(status));
    if (journal_memory_size(journal) != records)
        world_violate(world, "[mistake] it writes into the journal");
}
