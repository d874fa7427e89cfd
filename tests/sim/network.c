#include "tests/sim/network.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

struct network {
    struct dice *dice; /* borrowed: the world's */
    struct network_faults faults;
    struct letter **letters; /* a heap by (at_ms, order); owned */
    size_t letters_count;
    size_t letters_size;
    uint64_t orders;
    uint64_t connections[LINES][PARTIES_MAX]; /* ever dialed */
    uint64_t connection[LINES][PARTIES_MAX];  /* 0: none */
    uint32_t broker[LINES][PARTIES_MAX];      /* which one the connection leads to */
    int64_t last_at_ms[LINES][PARTIES_MAX];   /* of the current connection: it keeps order */
    int64_t stalled_until_ms[LINES][PARTIES_MAX];
    bool swallows[LINES][PARTIES_MAX]; /* the current connection does */
    uint64_t lost;
    uint64_t twice;
};

struct network *network_create(struct dice *dice, const struct network_faults *faults)
{
    struct network *network = calloc(1, sizeof *network);
    CHECK(network != NULL);
    network->dice = dice;
    network->faults = *faults;
    return network;
}

void letter_free(struct letter *letter)
{
    if (letter != NULL)
        free(letter->bytes);
    free(letter);
}

void network_destroy(struct network **network)
{
    if (*network == NULL)
        return;
    for (size_t i = 0; i < (*network)->letters_count; i++)
        letter_free((*network)->letters[i]);
    free((*network)->letters);
    free(*network);
    *network = NULL;
}

void network_heal(struct network *network)
{
    network->faults.lost_millionths = 0;
    network->faults.twice_millionths = 0;
    memset(network->stalled_until_ms, 0, sizeof network->stalled_until_ms);
}

uint64_t network_lost(const struct network *network)
{
    return network->lost;
}

uint64_t network_twice(const struct network *network)
{
    return network->twice;
}

/* -- the heap -- */

static bool is_before(const struct letter *a, const struct letter *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct letter **a, struct letter **b)
{
    struct letter *kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct network *network, size_t place)
{
    while (place > 0 && is_before(network->letters[place], network->letters[(place - 1) / 2])) {
        swap(&network->letters[place], &network->letters[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
}

static void sift_down(struct network *network, size_t place)
{
    for (;;) {
        size_t least = place;
        for (size_t child = 2 * place + 1; child <= 2 * place + 2; child++)
            if (child < network->letters_count &&
                is_before(network->letters[child], network->letters[least]))
                least = child;
        if (least == place)
            return;
        swap(&network->letters[place], &network->letters[least]);
        place = least;
    }
}

static void push(struct network *network, struct letter *letter)
{
    if (network->letters_count == network->letters_size) {
        network->letters_size = network->letters_size == 0 ? 64 : 2 * network->letters_size;
        network->letters =
            realloc(network->letters, network->letters_size * sizeof *network->letters);
        CHECK(network->letters != NULL);
    }
    network->letters[network->letters_count++] = letter;
    sift_up(network, network->letters_count - 1);
}

static struct letter *pop(struct network *network)
{
    struct letter *first = network->letters[0];
    network->letters[0] = network->letters[--network->letters_count];
    sift_down(network, 0);
    return first;
}

/* -- connections -- */

uint64_t network_connection(const struct network *network, enum line line, uint32_t party)
{
    CHECK(line < LINES && party < PARTIES_MAX);
    return network->connection[line][party];
}

bool network_leads_to(const struct network *network, enum line line, uint32_t party,
                      uint32_t broker)
{
    return network_connection(network, line, party) != 0 && network->broker[line][party] == broker;
}

void network_stall(struct network *network, enum line line, uint32_t party, int64_t until_ms)
{
    CHECK(line < LINES && party < PARTIES_MAX);
    if (network->stalled_until_ms[line][party] < until_ms)
        network->stalled_until_ms[line][party] = until_ms;
    if (network->last_at_ms[line][party] < until_ms)
        network->last_at_ms[line][party] = until_ms; /* what is sent later stays behind it */
}

static int compare_orders(const void *a, const void *b)
{
    const struct letter *left = *(struct letter *const *)a;
    const struct letter *right = *(struct letter *const *)b;
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Loses a tail of what is on the way; the rest comes later than it would have. */
static void break_connection(struct network *network, enum line line, uint32_t party,
                             bool loses_all, int64_t now_ms)
{
    uint64_t connection = network->connection[line][party];
    size_t kept = 0;
    size_t broken_count = 0;
    struct letter **broken = calloc(network->letters_count + 1, sizeof *broken);
    CHECK(broken != NULL);
    for (size_t i = 0; i < network->letters_count; i++) {
        struct letter *letter = network->letters[i];
        if (letter->line == line && letter->party == party && letter->connection == connection)
            broken[broken_count++] = letter;
        else
            network->letters[kept++] = letter;
    }
    network->letters_count = kept;
    for (size_t i = kept / 2 + 1; i > 0; i--)
        sift_down(network, i - 1);
    qsort(broken, broken_count, sizeof *broken, compare_orders);
    size_t survivors = loses_all ? 0 : dice_below(network->dice, (uint32_t)broken_count + 1);
    int64_t late_ms = dice_below(network->dice, network->faults.delay_ms_max + 1);
    for (size_t i = 0; i < broken_count; i++) {
        if (i < survivors) {
            broken[i]->at_ms = (broken[i]->at_ms > now_ms ? broken[i]->at_ms : now_ms) + late_ms;
            push(network, broken[i]);
        } else {
            letter_free(broken[i]);
            network->lost++;
        }
    }
    free(broken);
}

void network_hang_up(struct network *network, enum line line, uint32_t party, bool loses_all,
                     int64_t now_ms)
{
    CHECK(line < LINES && party < PARTIES_MAX);
    if (network->connection[line][party] == 0)
        return;
    break_connection(network, line, party, loses_all, now_ms);
    network->connection[line][party] = 0;
}

void network_dial(struct network *network, enum line line, uint32_t party, uint32_t broker,
                  bool loses_all, int64_t now_ms)
{
    network_hang_up(network, line, party, loses_all, now_ms);
    network->connection[line][party] = ++network->connections[line][party];
    network->swallows[line][party] = false;
    network->broker[line][party] = broker;
    int64_t stalled_until_ms = network->stalled_until_ms[line][party];
    network->last_at_ms[line][party] = stalled_until_ms > now_ms ? stalled_until_ms : now_ms;
}

bool network_swallow(struct network *network, enum line line, uint32_t party, int64_t now_ms)
{
    if (network_connection(network, line, party) == 0)
        return false;
    break_connection(network, line, party, true, now_ms);
    network->swallows[line][party] = true;
    return true;
}

/* -- letters -- */

struct letter *letter_copy(const struct slice *frames, uint32_t frames_count)
{
    struct letter *letter = calloc(1, sizeof *letter);
    size_t bytes = 1;
    size_t at = 0;
    CHECK(letter != NULL && frames_count <= LETTER_FRAMES);
    for (uint32_t i = 0; i < frames_count; i++)
        bytes += frames[i].bytes;
    letter->bytes = malloc(bytes);
    CHECK(letter->bytes != NULL);
    for (uint32_t i = 0; i < frames_count; i++) {
        if (frames[i].bytes > 0)
            memcpy(letter->bytes + at, frames[i].data, frames[i].bytes);
        letter->frames[i] = (struct slice){letter->bytes + at, frames[i].bytes};
        at += frames[i].bytes;
    }
    letter->frames_count = frames_count;
    return letter;
}

/* Puts a letter on its way over the party's connection. */
static void post(struct network *network, struct letter *letter, int64_t now_ms)
{
    int64_t *last_at_ms = &network->last_at_ms[letter->line][letter->party];
    letter->at_ms = now_ms + dice_below(network->dice, network->faults.delay_ms_max + 1);
    if (letter->at_ms < *last_at_ms)
        letter->at_ms = *last_at_ms;
    *last_at_ms = letter->at_ms;
    letter->order = ++network->orders;
    letter->connection = network->connection[letter->line][letter->party];
    letter->broker = network->broker[letter->line][letter->party];
    push(network, letter);
}

static bool may_be_lost(enum line line)
{
    return line == LINE_REQUEST || line == LINE_REPLY || line == LINE_WINNERS;
}

static bool may_come_twice(enum line line)
{
    return line == LINE_BETS || line == LINE_REQUEST || line == LINE_WINNERS;
}

void network_send(struct network *network, enum line line, uint32_t party, uint64_t token,
                  const struct slice *frames, uint32_t frames_count, int64_t now_ms)
{
    CHECK(line < LINES && party < PARTIES_MAX);
    uint32_t copies = 1;
    if (network->connection[line][party] == 0 || network->swallows[line][party] ||
        (may_be_lost(line) && dice_happens(network->dice, network->faults.lost_millionths))) {
        network->lost++;
        return;
    }
    if (may_come_twice(line) && dice_happens(network->dice, network->faults.twice_millionths)) {
        network->twice++;
        copies = 2;
    }
    for (uint32_t i = 0; i < copies; i++) {
        struct letter *letter = letter_copy(frames, frames_count);
        letter->line = line;
        letter->party = party;
        letter->token = token;
        post(network, letter, now_ms);
    }
}

int64_t network_due_at(const struct network *network)
{
    return network->letters_count == 0 ? INT64_MAX : network->letters[0]->at_ms;
}

struct letter *network_take(struct network *network, int64_t now_ms)
{
    while (network->letters_count > 0 && network->letters[0]->at_ms <= now_ms) {
        struct letter *letter = pop(network);
        int64_t until_ms = network->stalled_until_ms[letter->line][letter->party];
        if (until_ms <= now_ms)
            return letter;
        network_postpone(network, letter, until_ms);
    }
    return NULL;
}

void network_postpone(struct network *network, struct letter *letter, int64_t at_ms)
{
    letter->at_ms = at_ms;
    push(network, letter);
}

/* -- for the exhaustive run -- */

static size_t find_first(const struct network *network, enum line line, uint32_t party)
{
    size_t first = network->letters_count;
    for (size_t i = 0; i < network->letters_count; i++) {
        const struct letter *letter = network->letters[i];
        if (letter->line == line && letter->party == party &&
            (first == network->letters_count || letter->order < network->letters[first]->order))
            first = i;
    }
    return first;
}

const struct letter *network_first(const struct network *network, enum line line, uint32_t party)
{
    size_t first = find_first(network, line, party);
    return first == network->letters_count ? NULL : network->letters[first];
}

struct letter *network_take_first(struct network *network, enum line line, uint32_t party)
{
    size_t first = find_first(network, line, party);
    CHECK(first < network->letters_count);
    struct letter *letter = network->letters[first];
    network->letters[first] = network->letters[--network->letters_count];
    for (size_t i = network->letters_count / 2 + 1; i > 0; i--)
        sift_down(network, i - 1);
    return letter;
}

/* Letters of one line and party in their order; the sum over lines does not depend on how they lie
 * in the heap. */
uint64_t network_fingerprint(const struct network *network, uint64_t hash)
{
    for (uint32_t line = 0; line < LINES; line++)
        for (uint32_t party = 0; party < PARTIES_MAX; party++) {
            uint64_t after = 0;
            hash = fingerprint_number(hash, network->connection[line][party] != 0);
            for (;;) {
                const struct letter *next = NULL;
                for (size_t i = 0; i < network->letters_count; i++) {
                    const struct letter *letter = network->letters[i];
                    if ((uint32_t)letter->line == line && letter->party == party &&
                        letter->order > after && (next == NULL || letter->order < next->order))
                        next = letter;
                }
                if (next == NULL)
                    break;
                after = next->order;
                hash =
                    fingerprint_number(hash, next->connection == network->connection[line][party]);
                for (uint32_t i = 0; i < next->frames_count; i++)
                    hash = fingerprint_bytes(hash, next->frames[i].data, next->frames[i].bytes);
            }
        }
    return hash;
}
