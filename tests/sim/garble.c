/* When a letter is garbled, how, and in which place it comes; see garble.h. Once one was, all
 * workers and agencies are started again when everything heals: what a broken peer has left out of
 * a connection that lives (SEALED, COUNT) comes with a new registration only. */
#include "tests/sim/garble.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/inside.h"

enum {
    /* Of letters, in the mildest world. */
    COMMON_MILLIONTHS = 400, /* of which there are many */
    RARE_MILLIONTHS = 4000,
    LAST_MILLIONTHS = 30000,   /* of which each party has a few in a draw, after the barrier */
    SELDOM_MILLIONTHS = 80000, /* of which most worlds have none */
    CANDIDATES_MAX = 64,
};

static const struct {
    const struct garble_row *rows;
    const size_t *count;
} tables[] = {
    {garbled_requests, &garbled_requests_count},
    {garbled_reports, &garbled_reports_count},
    {garbled_replies, &garbled_replies_count},
    {garbled_orders, &garbled_orders_count},
};

/* Behind each other, in the order of `tables`. */
const struct garble_row *garble_row(size_t index)
{
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++) {
        if (index < *tables[table].count)
            return &tables[table].rows[index];
        index -= *tables[table].count;
    }
    return NULL;
}

static void count_row(struct world *world, const struct garble_row *row)
{
    size_t index = 0;
    while (garble_row(index) != row)
        index++;
    CHECK(index < GARBLE_ROWS_MAX);
    world->garbled[index]++;
}

static bool is_common(enum message_kind kind)
{
    return kind == MESSAGE_BATCH || kind == MESSAGE_MARK || kind == MESSAGE_POLL ||
           kind == MESSAGE_WAIT || kind == MESSAGE_PING || kind == MESSAGE_PONG ||
           kind == MESSAGE_FORWARD || kind == MESSAGE_CREDIT;
}

static bool is_of_the_last(enum message_kind kind)
{
    return kind == MESSAGE_SEAL || kind == MESSAGE_SEALED || kind == MESSAGE_COUNT ||
           kind == MESSAGE_FOUND || kind == MESSAGE_COUNTED || kind == MESSAGE_RESULT ||
           kind == MESSAGE_WINNERS || kind == MESSAGE_RETURNED || kind == MESSAGE_OK;
}

static bool is_seldom(enum message_kind kind)
{
    return kind == MESSAGE_NOT_YET || kind == MESSAGE_DIGESTS || kind == MESSAGE_DIGEST_PAGE ||
           kind == MESSAGE_MANIFEST || kind == MESSAGE_MANIFEST_PART || kind == MESSAGE_REJECTED ||
           kind == MESSAGE_FORGET;
}

static uint32_t millionths_of(enum message_kind kind)
{
    if (is_common(kind))
        return COMMON_MILLIONTHS;
    if (is_seldom(kind))
        return SELDOM_MILLIONTHS;
    return is_of_the_last(kind) ? LAST_MILLIONTHS : RARE_MILLIONTHS;
}

/* One of the rows for such a letter; NULL: there is none. */
static const struct garble_row *choose_row(struct dice *dice, enum line line,
                                           enum message_kind kind)
{
    const struct garble_row *candidates[CANDIDATES_MAX] = {NULL};
    uint32_t count = 0;
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++)
        for (size_t i = 0; i < *tables[table].count; i++) {
            const struct garble_row *row = &tables[table].rows[i];
            if (row->line != line || (row->kind != 0 && row->kind != (int)kind))
                continue;
            CHECK(count < CANDIDATES_MAX);
            candidates[count++] = row;
        }
    return count == 0 ? NULL : candidates[dice_below(dice, count)];
}

static enum garble_place choose_place(struct dice *dice, unsigned places)
{
    static const enum garble_place all[] = {BEFORE, AFTER, INSTEAD};
    for (;;) {
        enum garble_place place = all[dice_below(dice, 3)];
        if (places & place)
            return place;
    }
}

/* -- one field -- */

static uint64_t change_number(enum field_change how, uint64_t was, uint64_t most)
{
    switch (how) {
    case MORE:
        return was + 1;
    case LESS:
        return was == 0 ? 0 : was - 1;
    case FAR:
        return was + FAR_AWAY;
    case NONE:
        return 0;
    case MOST:
        return most;
    case BIT:
        break;
    }
    return was;
}

/* returns false when it is what it was. */
static bool change_field(const struct garble_row *row, struct message *message)
{
    uint8_t *place = (uint8_t *)message + row->at;
    uint32_t narrow;
    uint64_t wide;
    if (row->how == BIT) {
        place[0] ^= 1;
        return true;
    }
    CHECK(row->bytes == sizeof narrow || row->bytes == sizeof wide);
    if (row->bytes == sizeof wide) {
        memcpy(&wide, place, sizeof wide);
        uint64_t other = change_number(row->how, wide, UINT64_MAX);
        memcpy(place, &other, sizeof other);
        return other != wide;
    }
    memcpy(&narrow, place, sizeof narrow);
    uint32_t other = (uint32_t)change_number(row->how, narrow, UINT32_MAX);
    memcpy(place, &other, sizeof other);
    return other != narrow;
}

/* -- a letter -- */

/* in: garbling: with the message. returns NULL where the row does not change this letter. */
static struct letter *make_letter(struct garbling *garbling, const struct garble_row *row)
{
    const struct letter *letter = garbling->letter;
    struct letter *made = NULL;
    garbling->header = malloc(HEADER_BYTES_MAX);
    garbling->room = malloc(GARBLE_ROOM_BYTES);
    CHECK(garbling->header != NULL && garbling->room != NULL);
    garbling->frames_count = letter->frames_count;
    memcpy(garbling->frames, letter->frames, sizeof garbling->frames);
    bool is_changed =
        row->change != NULL ? row->change(garbling) : change_field(row, &garbling->message);
    if (is_changed && !garbling->is_packed) {
        struct slice *header = &garbling->frames[0];
        header->data = garbling->header;
        CHECK(message_encode(&garbling->message, garbling->header, HEADER_BYTES_MAX,
                             &header->bytes) == STATUS_OK);
    }
    if (is_changed) {
        made = letter_copy(garbling->frames, garbling->frames_count);
        made->line = letter->line;
        made->party = letter->party;
        made->connection = letter->connection;
        made->broker = letter->broker;
        made->token = letter->token;
        made->garbled = row;
    }
    free(garbling->header);
    free(garbling->room);
    return made;
}

/* Its own, or none that is out: then only the broker hears of it. */
static void choose_token(struct dice *dice, struct letter *made, enum garble_place place)
{
    if (made->line == LINE_REQUEST && place != INSTEAD && dice_below(dice, 2) == 0)
        made->token = 0;
}

static void note_party(struct world *world, const struct letter *made)
{
    if (made->garbled->kind == MESSAGE_COUNT)
        world->workers[made->party].is_asked_twice = true;
    if (made->line == LINE_UP || made->line == LINE_DOWN)
        world->workers[made->party].is_misled = true;
    else
        world->agencies[made->party].is_misled = true;
    world->counts[MISHAP_GARBLE]++;
    count_row(world, made->garbled);
    world_trace(world, "a letter over connection %d of %u is garbled: %s", (int)made->line,
                made->party, made->garbled->what);
}

/* Whether it is there to hear it, over this connection. */
static bool is_heard(const struct world *world, const struct letter *letter)
{
    bool is_current =
        letter->connection == network_connection(world->network, letter->line, letter->party);
    switch (letter->line) {
    case LINE_BETS:
    case LINE_REQUEST:
    case LINE_UP:
        return world->brokers[letter->broker].is_up;
    case LINE_REPLY:
        return world->agencies[letter->party].is_up && is_current &&
               world->agencies[letter->party].token == letter->token;
    case LINE_WINNERS:
        return world->agencies[letter->party].is_up && is_current;
    case LINE_DOWN:
        return world->workers[letter->party].is_up && is_current;
    case LINES:
        break;
    }
    return false;
}

/* Nobody else but the one that has just registered may be dismissed for what it says of itself. */
static bool is_still_wrong(const struct world *world, const struct letter *made)
{
    const struct broker_actor *actor = &world->brokers[made->broker];
    return made->garbled->kind != MESSAGE_REGISTER ||
           (actor->is_up && inside_knows_peer(actor->broker, broker_actor_peer(made)));
}

bool garble_deliver(struct world *world, struct letter *letter)
{
    struct dice *dice = &world->garble_dice;
    struct garbling garbling = {.world = world, .dice = dice, .letter = letter};
    if (!world_may(world, MISHAP_GARBLE) || !is_heard(world, letter) ||
        message_decode(letter->frames[0], &garbling.message) != STATUS_OK)
        return false;
    if (!dice_happens(dice, millionths_of(garbling.message.kind) * world->plan.harshness))
        return false;
    const struct garble_row *row = choose_row(dice, letter->line, garbling.message.kind);
    struct letter *made = row == NULL ? NULL : make_letter(&garbling, row);
    if (made == NULL)
        return false;
    enum garble_place place = choose_place(dice, row->places);
    choose_token(dice, made, place);
    if (place != AFTER) {
        note_party(world, made);
        world_hand_over(world, made);
    }
    if (place == INSTEAD)
        letter_free(letter);
    else
        world_hand_over(world, letter);
    if (place == AFTER && is_still_wrong(world, made)) {
        note_party(world, made);
        world_hand_over(world, made);
    } else if (place == AFTER) {
        letter_free(made);
    }
    return true;
}

void garble_heal(struct world *world)
{
    if (world->counts[MISHAP_GARBLE] == 0)
        return;
    for (uint32_t i = 0; i < world->workers_count; i++)
        worker_actor_crash(world, i);
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        agency_actor_crash(world, i);
}
