/* An agency's process in a world: the core, and a file that is a list of rows. The reader cuts one
 * batch at a time; a body is made anew whenever it is sent, as the real one reads its file again.
 */
#include <stdio.h>

#include "proto/wire/check.h"
#include "tests/sim/world.h"

enum { RESTART_MS_MAX = 5000, BODY_BYTES_MAX = 32768, MESSAGES_MAX = 8, ARENA_BYTES = 8192 };

void agency_actor_create(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    actor->draw = 1;
    actor->rows_count = dice_below(&world->dice, world->plan.rows_max + 1);
    for (uint32_t row = 0; row < actor->rows_count; row++) {
        actor->rows[row].document = 20000000 + dice_below(&world->dice, 20000000);
        actor->rows[row].number = dice_below(&world->dice, 4);
    }
    CHECK(hasher_create(&actor->hasher) == STATUS_OK);
    CHECK(outbox_create(MESSAGES_MAX, ARENA_BYTES, &actor->outbox) == STATUS_OK);
}

void agency_actor_start(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    struct agency_terms terms = {
        .draw = actor->draw,
        .id = index + 1,
        .incarnation = (uint64_t)world->now_ms * 1000000 + 1,
        .plan = {.bets_max = 1 + dice_below(&world->dice, 5), .bytes_max = BATCH_BYTES_MIN},
        .retries_max = 1000000,
        .connect_timeout_ms = 100000000,
        .jitter_seed = dice_roll(&world->dice),
    };
    CHECK(agency_create(&terms, &actor->agency) == STATUS_OK);
    actor->is_up = true;
    actor->paused_until_ms = 0;
    actor->is_reading = false;
    actor->rows_read = 0;
    actor->winners_count = 0;
    agency_begin(actor->agency, world->now_ms);
    world_trace(world, "agency %u starts", index + 1);
    agency_actor_turn(world, index, NULL);
}

void agency_actor_crash(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    if (!actor->is_up)
        return;
    agency_destroy(&actor->agency);
    outbox_reset(actor->outbox);
    actor->is_up = false;
    actor->due_at_ms = INT64_MAX;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    /* With its winners on disk nobody starts it again. */
    if (actor->has_stored)
        agency_actor_go_on(world, index);
    for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++)
        network_hang_up(world->network, line, index, false, world->now_ms);
    world->counts.agency_crashes++;
    world_trace(world, "agency %u crashes", index + 1);
}

void agency_actor_go_on(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    world_trace(world, "agency %u is done with draw %u", index + 1, actor->draw);
    if (actor->draw == world->plan.draws) {
        actor->is_done = true;
        return;
    }
    actor->draw++;
    actor->has_stored = false;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
}

static void dial(struct world *world, uint32_t index)
{
    for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++) {
        network_hang_up(world->network, line, index, false, world->now_ms);
        if (world->broker.is_up)
            network_dial(world->network, line, index, false, world->now_ms);
    }
}

/* -- the file -- */

/* Packs rows from `first` on under the plan in force. returns the body; rows: how many went in. */
static struct slice pack_rows(const struct agency_actor *actor, uint32_t first, uint8_t *buffer,
                              uint32_t *rows)
{
    struct batch_builder builder;
    CHECK(batch_buffer_bytes(agency_plan(actor->agency)) <= BODY_BYTES_MAX);
    batch_begin(&builder, agency_plan(actor->agency), buffer);
    for (*rows = 0; first + *rows < actor->rows_count; (*rows)++) {
        const struct sim_row *row = &actor->rows[first + *rows];
        char document[DOCUMENT_BYTES_MAX];
        int bytes = snprintf(document, sizeof document, "%u", row->document);
        struct bet bet = {
            .first_name = {(const uint8_t *)"Ana", 3},
            .last_name = {(const uint8_t *)"Sosa", 4},
            .document = {(const uint8_t *)document, (size_t)bytes},
            .birthdate = {(const uint8_t *)"1980-02-29", BIRTHDATE_BYTES},
            .number = row->number,
        };
        if (batch_add(&builder, &bet) != STATUS_OK)
            break;
    }
    return batch_end(&builder);
}

/* The reader's next step: one batch, or the end. */
static void read_on(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    uint8_t buffer[BODY_BYTES_MAX];
    uint32_t seq = agency_cuts(actor->agency)->count;
    uint32_t rows = 0;

    if (actor->rows_read < actor->rows_count) {
        struct slice body = pack_rows(actor, actor->rows_read, buffer, &rows);
        struct cut cut = {.offset = actor->rows_read,
                          .line = actor->rows_read + 1,
                          .bets = rows,
                          .bytes = (uint32_t)body.bytes};
        digest_batch(actor->hasher, actor->draw, index + 1, seq, rows, body, &cut.digest);
        actor->batch_first_row[seq] = actor->rows_read;
        actor->rows_read += rows;
        agency_on_cut(actor->agency, world->now_ms, &cut);
        return;
    }
    struct declaration declaration = {.batches = seq, .bets = actor->rows_count};
    struct tree tree;
    tree_begin(&tree);
    for (uint32_t i = 0; i < seq; i++)
        tree_add(&tree, actor->hasher, &cuts_at(agency_cuts(actor->agency), i)->digest);
    tree_head(&tree, actor->hasher, &declaration.root);
    actor->is_reading = false;
    agency_on_end(actor->agency, world->now_ms, &declaration);
}

/* -- what goes out -- */

static void send_messages(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    for (size_t i = 0; i < outbox_count(actor->outbox); i++) {
        const struct outbound *sent = outbox_at(actor->outbox, i);
        if (sent->port == PORT_BETS) {
            network_send(world->network, LINE_BETS, index, 0, &sent->header, 1, world->now_ms);
            agency_on_marked(actor->agency);
        } else {
            actor->token++;
            network_send(world->network, LINE_REQUEST, index, actor->token, &sent->header, 1,
                         world->now_ms);
        }
    }
    outbox_reset(actor->outbox);
}

static void send_batches(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    uint32_t seq = 0;
    /* A PUSH with IMMEDIATE takes nothing while it has no connection. */
    while (network_connection(world->network, LINE_BETS, index) != 0 &&
           agency_next_batch(actor->agency, &seq)) {
        uint8_t header[256];
        uint8_t buffer[BODY_BYTES_MAX];
        struct message message;
        struct slice frames[2] = {{header, 0}};
        uint32_t rows = 0;
        agency_describe_batch(actor->agency, seq, &message);
        CHECK(message_encode(&message, header, sizeof header, &frames[0].bytes) == STATUS_OK);
        frames[1] = pack_rows(actor, actor->batch_first_row[seq], buffer, &rows);
        network_send(world->network, LINE_BETS, index, 0, frames, 2, world->now_ms);
        agency_on_sent(actor->agency, world->now_ms, seq);
    }
}

static void keep_page(struct world *world, uint32_t index, struct slice body)
{
    struct agency_actor *actor = &world->agencies[index];
    struct item_winner item;
    size_t at = 0;
    while (item_next_winner(body, &at, &item) == STATUS_OK) {
        char text[DOCUMENT_BYTES_MAX + 1] = {0};
        unsigned document = 0;
        memcpy(text, item.bet.document.data, item.bet.document.bytes);
        if (actor->winners_count == WORLD_ROWS_MAX || sscanf(text, "%u", &document) != 1) {
            world_violate(world, "agency %u is told more winners than it has bets", index + 1);
            return;
        }
        actor->winners[actor->winners_count++] = (struct item_place){item.seq, item.row, document};
    }
}

static void end(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    const struct agency_outcome *outcome = agency_outcome(actor->agency);
    bool goes_on =
        agency_exit_code(actor->agency) == 0 || invariants_allow_end(world, index, outcome);
    bool is_again = !goes_on && world->counts.lost_journals > 0 &&
                    agency_exit_code(actor->agency) == status_exit_code(STATUS_AGAIN);
    if (!goes_on && !is_again) {
        world_violate(world, "agency %u ends with %d: cause %d, refusal %d", index + 1,
                      agency_exit_code(actor->agency), (int)outcome->cause,
                      (int)outcome->refused.reason);
        return;
    }
    if (agency_exit_code(actor->agency) == 0 && !actor->has_stored)
        world_violate(world, "agency %u ends without its winners", index + 1);
    agency_destroy(&actor->agency);
    actor->is_up = false;
    actor->due_at_ms = INT64_MAX;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    if (goes_on)
        agency_actor_go_on(world, index);
}

static struct slice take_letter(struct world *world, uint32_t index, const struct letter *letter)
{
    struct agency_actor *actor = &world->agencies[index];
    struct message message;
    struct slice body = letter->frames_count > 1 ? letter->frames[1] : (struct slice){0};
    CHECK(message_decode(letter->frames[0], &message) == STATUS_OK);
    world_trace(world, "agency %u hears %s", index + 1, message_name(message.kind));
    if (letter->line == LINE_WINNERS)
        agency_on_published(actor->agency, world->now_ms, &message);
    else if (letter->token == actor->token) /* CORRELATE drops the others */
        agency_on_reply(actor->agency, world->now_ms, &message, body);
    return body;
}

static void follow_orders(struct world *world, uint32_t index, struct slice body)
{
    struct agency_actor *actor = &world->agencies[index];
    unsigned orders = agency_take_orders(actor->agency);
    if (orders & AGENCY_ORDER_DIAL) {
        dial(world, index);
        actor->token++;
    }
    if (orders & AGENCY_ORDER_READ)
        actor->is_reading = true;
    if (orders & AGENCY_ORDER_PAGE)
        keep_page(world, index, body);
    if (orders & AGENCY_ORDER_STORE) {
        invariants_check_winners(world, index);
        actor->has_stored = true;
        agency_on_stored(actor->agency, world->now_ms);
    }
}

void agency_actor_turn(struct world *world, uint32_t index, struct letter *letter)
{
    struct agency_actor *actor = &world->agencies[index];
    struct slice body = {0};
    if (letter != NULL)
        body = take_letter(world, index, letter);
    else if (actor->is_reading)
        read_on(world, index);
    agency_tick(actor->agency, world->now_ms, actor->outbox);
    follow_orders(world, index, body);
    letter_free(letter);
    send_messages(world, index);
    send_batches(world, index);
    actor->due_at_ms = agency_deadline(actor->agency);
    if (actor->is_reading)
        actor->due_at_ms = world->now_ms + dice_below(&world->dice, 20);
    if (actor->due_at_ms <= world->now_ms)
        actor->due_at_ms = world->now_ms + 1;
    if (agency_state_is_final(agency_state(actor->agency)))
        end(world, index);
}
