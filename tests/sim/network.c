#include "tests/sim/network.h"

#include <stdlib.h>

#include "proto/wire/check.h"

struct network {
    struct dice *dice; /* borrowed: the world's */
    struct network_faults faults;
    struct letter **letters; /* a heap by (at_ms, order); owned */
    size_t letters_count;
    size_t letters_size;
    uint64_t orders;
    uint64_t connections;
    uint64_t connection[LINES][PARTIES_MAX]; /* 0: none */
    int64_t last_at_ms[LINES][PARTIES_MAX];  /* of the current connection: it keeps order */
    uint64_t lost;
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
}

uint64_t network_lost(const struct network *network)
{
    return network->lost;
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

void network_dial(struct network *network, enum line line, uint32_t party, bool loses_all,
                  int64_t now_ms)
{
    network_hang_up(network, line, party, loses_all, now_ms);
    network->connection[line][party] = ++network->connections;
    network->last_at_ms[line][party] = now_ms;
}

/* -- letters -- */

static struct letter *copy_letter(const struct slice *frames, uint32_t frames_count)
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

void network_send(struct network *network, enum line line, uint32_t party, uint64_t token,
                  const struct slice *frames, uint32_t frames_count, int64_t now_ms)
{
    CHECK(line < LINES && party < PARTIES_MAX);
    bool may_be_lost = line == LINE_REQUEST || line == LINE_REPLY || line == LINE_WINNERS;
    if (network->connection[line][party] == 0 ||
        (may_be_lost && dice_happens(network->dice, network->faults.lost_millionths))) {
        network->lost++;
        return;
    }
    struct letter *letter = copy_letter(frames, frames_count);
    int64_t at_ms = now_ms + dice_below(network->dice, network->faults.delay_ms_max + 1);
    if (at_ms < network->last_at_ms[line][party])
        at_ms = network->last_at_ms[line][party];
    network->last_at_ms[line][party] = at_ms;
    letter->at_ms = at_ms;
    letter->order = ++network->orders;
    letter->line = line;
    letter->party = party;
    letter->connection = network->connection[line][party];
    letter->token = token;
    push(network, letter);
}

int64_t network_due_at(const struct network *network)
{
    return network->letters_count == 0 ? INT64_MAX : network->letters[0]->at_ms;
}

struct letter *network_take(struct network *network, int64_t now_ms)
{
    if (network->letters_count == 0 || network->letters[0]->at_ms > now_ms)
        return NULL;
    return pop(network);
}

void network_postpone(struct network *network, struct letter *letter, int64_t at_ms)
{
    letter->at_ms = at_ms;
    push(network, letter);
}
