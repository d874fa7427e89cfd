/* Every order of events, and every one or two faults at every place, in a small world: agencies
 * with one batch each, and stores. States that were reached before, by the fingerprints of
 * cores, disks and network, are not gone through again. A path is gone again from the beginning
 * whenever another choice of it is tried, since cores cannot be copied.
 *
 *     exhaust FAULTS AGENCIES STORES     at most so many faults (0 to 2)
 *     exhaust parts                      barrier, ledger and count, each alone (parts.h)
 *
 * What is left out, since it changes nothing: letters to agencies and workers are read as soon as
 * they come (each of them is alone with his), and time passes when nobody has anything to read, but
 * for the fault that lets it pass before. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"
#include "tests/sim/parts.h"
#include "tests/sim/store_memory.h"
#include "tests/sim/world.h"

enum {
    CHOICES_MAX = 96,
    DEPTH_MAX = 4000,
    ENDS_BY_MS = 200000,
    TABLE_BITS = 25,
    SEED_OF_IDS = 12345,
};

enum act {
    ACT_DELIVER,    /* the first letter of a line */
    ACT_TIME,       /* to the next moment at which somebody has something to do */
    ACT_LOSE,       /* that letter */
    ACT_DIE,        /* the broker takes it, and dies with everything durable and nothing sent */
    ACT_LATE,       /* time passes before it is there */
    ACT_CUT,        /* the connection breaks, with all that it carries */
    ACT_BROKER,     /* crashes */
    ACT_WORKER,     /* crashes */
    ACT_AGENCY,     /* crashes */
    ACT_LOSE_STORE, /* the worker comes back with an empty disk */
    ACT_FAIL_SYNC,  /* the next one of the store */
};

struct choice {
    uint8_t act;
    uint8_t line;
    uint8_t party;
};

/* A place on the path that is gone. */
struct place {
    struct choice choices[CHOICES_MAX];
    uint32_t choices_count;
    uint32_t taken; /* which of them the path goes on with */
    uint32_t faults;
    uint64_t print; /* of the state there */
};

struct search {
    struct world *world;
    struct place *path; /* DEPTH_MAX; owned */
    uint32_t depth;
    uint32_t agencies;
    uint32_t stores;
    uint32_t faults_max;
    uint64_t *table; /* owned; fingerprints, in the low bits the fewest faults they came with */
    uint64_t states;
    uint64_t steps;
    uint64_t ends;
};

/* -- choices -- */

static bool is_fault(enum act act)
{
    return act != ACT_DELIVER && act != ACT_TIME;
}

static void offer(struct place *place, enum act act, uint32_t line, uint32_t party,
                  uint32_t faults_max)
{
    if (is_fault(act) && place->faults >= faults_max)
        return;
    CHECK(place->choices_count < CHOICES_MAX);
    place->choices[place->choices_count++] =
        (struct choice){(uint8_t)act, (uint8_t)line, (uint8_t)party};
}

static uint32_t parties_of(const struct search *search, enum line line)
{
    return line == LINE_UP || line == LINE_DOWN ? search->stores : search->agencies;
}

/* PONG renews a lease, BYE and WINNERS change nothing that anybody else is told: they may as well
 * be read at once. */
static bool is_harmless(const struct letter *letter)
{
    struct message message;
    return letter != NULL && message_decode(letter->frames[0], &message) == STATUS_OK &&
           (message.kind == MESSAGE_PONG || message.kind == MESSAGE_BYE ||
            message.kind == MESSAGE_WINNERS);
}

/* A letter that is read as soon as it comes. returns false when there is none. */
static bool offer_private(struct search *search, struct place *place)
{
    static const enum line lines[] = {LINE_DOWN, LINE_REPLY};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t party = 0; party < parties_of(search, lines[i]); party++) {
            if (network_first(search->world->network, lines[i], party) == NULL)
                continue;
            offer(place, ACT_DELIVER, lines[i], party, search->faults_max);
            if (lines[i] == LINE_REPLY)
                offer(place, ACT_LOSE, lines[i], party, search->faults_max);
            offer(place, lines[i] == LINE_DOWN ? ACT_WORKER : ACT_AGENCY, 0, party,
                  search->faults_max);
            return true;
        }
    static const enum line to_broker[] = {LINE_UP, LINE_REQUEST};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t party = 0; party < parties_of(search, to_broker[i]); party++) {
            if (!is_harmless(network_first(search->world->network, to_broker[i], party)))
                continue;
            offer(place, ACT_DELIVER, to_broker[i], party, search->faults_max);
            offer(place, ACT_LOSE, to_broker[i], party, search->faults_max);
            offer(place, ACT_DIE, to_broker[i], party, search->faults_max);
            return true;
        }
    return false;
}

/* Letters that meet others. returns false when there is none. */
static bool offer_shared(struct search *search, struct place *place)
{
    static const enum line lines[] = {LINE_UP, LINE_BETS, LINE_REQUEST, LINE_WINNERS};
    bool has_letter = false;
    for (uint32_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (uint32_t party = 0; party < parties_of(search, lines[i]); party++)
            if (network_first(search->world->network, lines[i], party) != NULL) {
                offer(place, ACT_DELIVER, lines[i], party, search->faults_max);
                has_letter = true;
            }
    for (uint32_t i = 0; has_letter && i < sizeof lines / sizeof *lines; i++)
        for (uint32_t party = 0; party < parties_of(search, lines[i]); party++) {
            if (network_first(search->world->network, lines[i], party) == NULL)
                continue;
            if (lines[i] == LINE_REQUEST || lines[i] == LINE_WINNERS)
                offer(place, ACT_LOSE, lines[i], party, search->faults_max);
            else
                offer(place, ACT_CUT, lines[i], party, search->faults_max);
            if (lines[i] != LINE_WINNERS)
                offer(place, ACT_DIE, lines[i], party, search->faults_max);
        }
    if (has_letter)
        offer(place, ACT_LATE, 0, 0, search->faults_max);
    return has_letter;
}

static void offer_all(struct search *search, struct place *place)
{
    place->choices_count = 0;
    place->taken = 0;
    if (offer_private(search, place))
        return;
    if (!offer_shared(search, place))
        offer(place, ACT_TIME, 0, 0, search->faults_max);
    offer(place, ACT_BROKER, 0, 0, search->faults_max);
    for (uint32_t i = 0; i < search->stores; i++) {
        offer(place, ACT_WORKER, 0, i, search->faults_max);
        offer(place, ACT_LOSE_STORE, 0, i, search->faults_max);
        offer(place, ACT_FAIL_SYNC, 0, i, search->faults_max);
    }
    for (uint32_t i = 0; i < search->agencies; i++)
        offer(place, ACT_AGENCY, 0, i, search->faults_max);
}

/* -- steps -- */

static void lose_store(struct world *world, uint32_t party)
{
    struct worker_actor *actor = &world->workers[party];
    if (!worker_actor_crash(world, party))
        return;
    world->lost[world->lost_count++] = actor->store;
    actor->store = NULL;
}

static void cut(struct world *world, enum line line, uint32_t party)
{
    network_dial(world->network, line, party, 0, true, world->now_ms);
    if (line == LINE_UP)
        network_dial(world->network, LINE_DOWN, party, 0, true, world->now_ms);
}

static void apply(struct search *search, const struct choice *choice)
{
    struct world *world = search->world;
    enum line line = (enum line)choice->line;
    uint32_t party = choice->party;
    world->dice.state = SEED_OF_IDS; /* the same chance for whatever path led here */
    search->steps++;
    switch ((enum act)choice->act) {
    case ACT_DIE:
        world->brokers[0].dies_before_sending = true;
        world_deliver(world, network_take_first(world->network, line, party));
        world->brokers[0].dies_before_sending = false;
        break;
    case ACT_DELIVER:
        world_deliver(world, network_take_first(world->network, line, party));
        break;
    case ACT_LOSE:
        letter_free(network_take_first(world->network, line, party));
        break;
    case ACT_TIME:
    case ACT_LATE:
        world_pass_time(world);
        break;
    case ACT_CUT:
        cut(world, line, party);
        break;
    case ACT_BROKER:
        broker_actor_crash(world, 0);
        break;
    case ACT_WORKER:
        worker_actor_crash(world, party);
        break;
    case ACT_AGENCY:
        agency_actor_crash(world, party);
        break;
    case ACT_LOSE_STORE:
        lose_store(world, party);
        break;
    case ACT_FAIL_SYNC:
        if (world->workers[party].store != NULL)
            store_memory_fail_sync(world->workers[party].store, false);
        break;
    }
    invariants_check(world);
    if (world->now_ms > ENDS_BY_MS)
        world_violate(world, "[ends] it does not end");
}

/* -- states -- */

static uint64_t print_broker(const struct world *world, uint64_t hash)
{
    const struct broker_actor *actor = &world->brokers[0];
    hash = fingerprint_number(hash, journal_memory_size(world->journals[0]));
    hash = fingerprint_number(hash, actor->waiting_count);
    if (!actor->is_up)
        return fingerprint_number(hash, (uint64_t)(actor->starts_at_ms - world->now_ms));
    hash = fingerprint_number(hash, (uint64_t)(actor->due_at_ms - world->now_ms));
    return fingerprint_number(hash, broker_fingerprint(actor->broker, world->now_ms));
}

static uint64_t print_workers(const struct world *world, uint64_t hash)
{
    for (uint32_t i = 0; i < world->plan.workers; i++) {
        const struct worker_actor *actor = &world->workers[i];
        int64_t due_at_ms = actor->is_up ? actor->due_at_ms : actor->starts_at_ms;
        hash = fingerprint_number(hash, (uint64_t)(due_at_ms - world->now_ms));
        if (actor->store != NULL)
            hash = fingerprint_number(hash, store_memory_fingerprint(actor->store));
        hash = fingerprint_number(hash, actor->is_up ? worker_fingerprint(actor->worker) : 0);
    }
    return fingerprint_number(hash, world->lost_count);
}

static uint64_t print_agencies(const struct world *world, uint64_t hash)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++) {
        const struct agency_actor *actor = &world->agencies[i];
        int64_t due_at_ms = actor->is_up ? actor->due_at_ms : actor->starts_at_ms;
        const uint64_t numbers[] = {actor->is_up,      actor->is_done,
                                    actor->has_stored, actor->is_reading,
                                    actor->rows_read,  (uint64_t)(due_at_ms - world->now_ms)};
        hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
        if (actor->is_up)
            hash = fingerprint_number(hash, agency_fingerprint(actor->agency));
    }
    return hash;
}

static uint64_t print_world(const struct world *world)
{
    uint64_t hash = print_broker(world, FINGERPRINT_BASIS);
    hash = print_workers(world, hash);
    hash = print_agencies(world, hash);
    return network_fingerprint(world->network, hash);
}

/* True when this state was not there before with as few faults: then it is from now on. */
static bool is_new(struct search *search, uint64_t print, uint32_t faults)
{
    uint64_t key = print & ~UINT64_C(3);
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TABLE_BITS);
    while (search->table[at] != 0 && (search->table[at] & ~UINT64_C(3)) != key)
        at = (at + 1) & ((UINT64_C(1) << TABLE_BITS) - 1);
    uint64_t kept = search->table[at] & 3;
    if (search->table[at] != 0 && kept <= faults + 1)
        return false;
    search->states += search->table[at] == 0;
    CHECK(search->states < UINT64_C(1) << (TABLE_BITS - 1));
    search->table[at] = key | (faults + 1);
    return true;
}

static bool is_over(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (!world->agencies[i].is_done)
            return false;
    return true;
}

/* -- the search -- */

static void begin_world(struct search *search, uint64_t seed)
{
    struct world_plan plan = {
        .seed = seed,
        .agencies = search->agencies,
        .workers = search->stores,
        .rows_max = 1,
        .draws = 1,
        .quorum = 1,
        .faults_until_ms = INT64_MAX,
        .ends_by_ms = INT64_MAX,
        .is_scripted = true,
    };
    world_create(search->world, &plan);
}

/* A seed with which each agency has its one bet. */
static uint64_t find_seed(struct search *search)
{
    for (uint64_t seed = 1;; seed++) {
        begin_world(search, seed);
        bool has_bets = true;
        for (uint32_t i = 0; i < search->agencies; i++)
            has_bets = has_bets && search->world->agencies[i].file.versions[0].rows_count == 1;
        world_destroy(search->world);
        if (has_bets)
            return seed;
    }
}

static void print_path(const struct search *search)
{
    static const char *const acts[] = {"deliver",        "time",
                                       "lose",           "die",
                                       "late",           "cut",
                                       "broker crashes", "worker crashes",
                                       "agency crashes", "store is lost",
                                       "sync fails"};
    for (uint32_t i = 0; i < search->depth; i++) {
        const struct place *place = &search->path[i];
        const struct choice *choice = &place->choices[place->taken];
        printf("    %s line %u party %u\n", acts[choice->act], choice->line, choice->party);
    }
}

/* Goes the path from the beginning. */
static void go_again(struct search *search, uint64_t seed)
{
    world_destroy(search->world);
    begin_world(search, seed);
    for (uint32_t i = 0; i < search->depth; i++)
        apply(search, &search->path[i].choices[search->path[i].taken]);
}

/* Takes the last place off the path that has a choice left. returns false when none has. */
static bool turn_back(struct search *search)
{
    while (search->depth > 0) {
        struct place *place = &search->path[search->depth - 1];
        if (++place->taken < place->choices_count)
            return true;
        search->depth--;
    }
    return false;
}

/* One more place, with the world as it is now. returns false when the path ends here. */
static bool go_on(struct search *search)
{
    uint32_t faults = 0;
    if (search->depth > 0) {
        const struct place *last = &search->path[search->depth - 1];
        faults = last->faults + is_fault((enum act)last->choices[last->taken].act);
    }
    uint64_t print = print_world(search->world);
    for (uint32_t i = search->depth; i > 0; i--)
        if (search->path[i - 1].print == print && search->path[i - 1].faults == faults)
            world_violate(search->world, "[ends] it goes round in a circle");
    if (!is_new(search, print, faults))
        return false;
    if (is_over(search->world)) {
        search->ends++;
        return false;
    }
    CHECK(search->depth < DEPTH_MAX);
    struct place *place = &search->path[search->depth++];
    place->faults = faults;
    place->print = print;
    offer_all(search, place);
    return true;
}

static bool run(struct search *search, uint64_t seed)
{
    begin_world(search, seed);
    bool goes_on = go_on(search);
    while (search->depth > 0) {
        if (!goes_on) {
            if (!turn_back(search))
                break;
            go_again(search, seed);
        } else {
            const struct place *place = &search->path[search->depth - 1];
            apply(search, &place->choices[place->taken]);
        }
        goes_on = search->world->violation[0] == '\0' && go_on(search);
        if (search->world->violation[0] != '\0') {
            printf("after %u steps: %s\n", search->depth, search->world->violation);
            print_path(search);
            return false;
        }
    }
    world_destroy(search->world);
    return true;
}

static bool explore_parts(void)
{
    static const struct part *const parts[] = {&part_barrier, &part_ledger, &part_count};
    bool is_fine = true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t states = 0;
        is_fine = parts_explore(parts[i], &states) && is_fine;
        printf("%s alone, 2 agencies, 2 batches each, 2 stores: %" PRIu64 " states\n",
               parts[i]->name, states);
        fflush(stdout);
    }
    return is_fine;
}

static bool explore(uint32_t faults, uint32_t agencies, uint32_t stores)
{
    struct search search = {
        .world = calloc(1, sizeof(struct world)),
        .path = calloc(DEPTH_MAX, sizeof(struct place)),
        .table = calloc(UINT64_C(1) << TABLE_BITS, sizeof(uint64_t)),
        .faults_max = faults,
        .agencies = agencies,
        .stores = stores,
    };
    CHECK(search.world != NULL && search.path != NULL && search.table != NULL);
    bool is_fine = run(&search, find_seed(&search));
    printf("%u agencies with 1 batch each, %u stores, at most %u faults: %" PRIu64
           " states, %" PRIu64 " steps, %" PRIu64 " ends\n",
           agencies, stores, faults, search.states, search.steps, search.ends);
    fflush(stdout);
    free(search.world);
    free(search.path);
    free(search.table);
    return is_fine;
}

static uint32_t read_number(const char *text, uint32_t least, uint32_t most)
{
    unsigned long number = strtoul(text, NULL, 10);
    if (number >= least && number <= most)
        return (uint32_t)number;
    fprintf(stderr, "exhaust: %s is not from %u to %u\n", text, least, most);
    exit(64);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "parts") == 0)
        return explore_parts() ? 0 : 1;
    if (argc != 4) {
        fprintf(stderr, "usage: exhaust FAULTS AGENCIES STORES | exhaust parts\n");
        return 64;
    }
    uint32_t faults = read_number(argv[1], 0, 2);
    uint32_t agencies = read_number(argv[2], 1, WORLD_AGENCIES_MAX);
    uint32_t stores = read_number(argv[3], 1, WORLD_WORKERS_MAX);
    return explore(faults, agencies, stores) ? 0 : 1;
}
