/* An agency's process in a world: the core, and a file that is a list of rows. The reader cuts one
 * batch at a time; a body is made anew whenever it is sent, as the real one reads again. */
#include <stdio.h>

#include "agency/inner.h"
#include "proto/wire/check.h"
#include "tests/sim/world.h"

enum {
    RESTART_MS_MAX = 5000,
    MESSAGES_MAX = 8,
    ARENA_BYTES = 8192,
    CLOCK_BACK_MS_MAX = 100000,
    /* Of starts and crashes. */
    EDIT_CASES = 5,
    CLOCK_CASES = 5,
    LEAVE_CASES = 6,
};

static bool one_in(struct world *world, enum mishap mishap, uint32_t cases)
{
    return world_may(world, mishap) && dice_below(&world->dice, cases) == 0;
}

void agency_actor_create(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    actor->draw = 1;
    file_write(&actor->file, index + 1, world->plan.rows_max, &world->dice);
    CHECK(hasher_create(&actor->hasher) == STATUS_OK);
    CHECK(outbox_create(MESSAGES_MAX, ARENA_BYTES, &actor->outbox) == STATUS_OK);
}

/* Somebody works on the file between two starts, and may or may not say so. */
static void edit(struct world *world, struct agency_actor *actor)
{
    if (!one_in(world, MISHAP_EDIT, EDIT_CASES) || !file_edit(&actor->file, &world->dice))
        return;
    actor->version = actor->file.versions_count - 1;
    actor->must_start_over = dice_below(&world->dice, 2) == 0;
    world->counts[MISHAP_EDIT]++;
    world_trace(world, "the file of agency %u is edited: version %u", actor->file.agency,
                actor->version);
}

static uint64_t read_clock(struct world *world, struct agency_actor *actor)
{
    int64_t now_ms = world->now_ms;
    if (world->plan.is_scripted)
        return ++actor->starts;
    if (one_in(world, MISHAP_CLOCK, CLOCK_CASES)) {
        now_ms -= dice_below(&world->dice, CLOCK_BACK_MS_MAX);
        world->counts[MISHAP_CLOCK]++;
    }
    return (uint64_t)(now_ms + CLOCK_BACK_MS_MAX) * 1000000 + 1;
}

void agency_actor_start(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    edit(world, actor);
    struct agency_terms terms = {
        .draw = actor->draw,
        .id = index + 1,
        .incarnation = read_clock(world, actor),
        .plan = {.bets_max = 1 + dice_below(&world->dice, 5), .bytes_max = BATCH_BYTES_MIN},
        .starts_over = actor->must_start_over,
        .retries_max = 1000000,
        .connect_timeout_ms = 100000000,
        .jitter_seed = dice_roll(&world->dice),
    };
    if (world->plan.is_impatient) {
        terms.retries_max = 2 + dice_below(&world->dice, 10);
        terms.connect_timeout_ms = 1000 + dice_below(&world->dice, 20000);
        terms.wait_timeout_ms = 20000 + dice_below(&world->dice, 40000);
        terms.in_flight_batches_max = dice_below(&world->dice, 4);
    }
    actor->must_start_over = false;
    enum status status;
    RUN_CORE(status = agency_create(&terms, &actor->agency));
    actor->is_up = true;
    actor->is_misled = false;
    actor->paused_until_ms = 0;
    actor->is_reading = false;
    actor->rows_read = 0;
    actor->winners_count = 0;
    if (status != STATUS_OK) {
        CHECK(status == STATUS_NO_MEMORY);
        agency_actor_crash(world, index);
        return;
    }
    agency_begin(actor->agency, world->now_ms);
    world_trace(world, "agency %u starts%s with version %u of its file", index + 1,
                terms.starts_over ? " over" : "", actor->version);
    agency_actor_turn(world, index, NULL);
}

bool agency_actor_crash(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    if (!actor->is_up)
        return false;
    agency_destroy(&actor->agency);
    outbox_reset(actor->outbox);
    actor->is_up = false;
    actor->due_at_ms = INT64_MAX;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
    world_trace(world, "agency %u crashes", index + 1);
    /* With its winners on disk nobody starts it again. */
    if (actor->has_stored)
        agency_actor_go_on(world, index);
    else if (one_in(world, MISHAP_LEAVE, LEAVE_CASES)) {
        actor->is_gone = true;
        world->counts[MISHAP_LEAVE]++;
        world_trace(world, "agency %u never comes back", index + 1);
    }
    for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++)
        network_hang_up(world->network, line, index, false, world->now_ms);
    return true;
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
    actor->must_start_over = false;
    actor->starts_at_ms = world->now_ms + dice_below(&world->dice, RESTART_MS_MAX);
}

static void dial(struct world *world, uint32_t index)
{
    for (enum line line = LINE_BETS; line <= LINE_WINNERS; line++) {
        network_hang_up(world->network, line, index, false, world->now_ms);
        if (world->brokers[world->address].is_up)
            network_dial(world->network, line, index, world->address, false, world->now_ms);
    }
}

/* -- the file -- */

static const struct file_version *rows_of(const struct agency_actor *actor)
{
    return &actor->file.versions[actor->version];
}

/* The reader's next step: one batch, or the end. */
static void read_on(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    const struct plan *plan = agency_plan(actor->agency);
    uint8_t buffer[FILE_BODY_BYTES_MAX];
    uint32_t seq = agency_cuts(actor->agency)->count;
    uint32_t rows = 0;

    if (actor->rows_read < rows_of(actor)->rows_count) {
        struct slice body = file_pack(rows_of(actor), plan, actor->rows_read, buffer, &rows);
        struct cut cut = {.offset = actor->rows_read,
                          .line = actor->rows_read + 1,
                          .bets = rows,
                          .bytes = (uint32_t)body.bytes};
        digest_batch(actor->hasher, actor->draw, index + 1, seq, rows, body, &cut.digest);
        actor->batch_first_row[seq] = actor->rows_read;
        actor->rows_read += rows;
        RUN_CORE(agency_on_cut(actor->agency, world->now_ms, &cut));
        return;
    }
    struct declaration declaration;
    file_declare(&actor->file, actor->version, actor->draw, plan, actor->hasher, &declaration);
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
        uint8_t buffer[FILE_BODY_BYTES_MAX];
        struct message message;
        struct slice frames[2] = {{header, 0}};
        uint32_t rows = 0;
        agency_describe_batch(actor->agency, seq, &message);
        CHECK(message_encode(&message, header, sizeof header, &frames[0].bytes) == STATUS_OK);
        frames[1] = file_pack(rows_of(actor), agency_plan(actor->agency),
                              actor->batch_first_row[seq], buffer, &rows);
        network_send(world->network, LINE_BETS, index, 0, frames, 2, world->now_ms);
        RUN_CORE(agency_on_sent(actor->agency, world->now_ms, seq));
        const struct window *window = &actor->agency->window;
        if (window->flying.members > 1 && window->flying_bytes > window->bytes)
            world_violate(world, "[bounds] agency %u sends beyond its window", index + 1);
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
            world_violate(world, "[winners] agency %u is told more winners than it has bets",
                          index + 1);
            return;
        }
        actor->winners[actor->winners_count++] = (struct item_place){item.seq, item.row, document};
    }
}

/* The refusals that a file leads to that is not the one whose batches are stored: the operator
 * starts over with it while that is possible, else he looks for the right one. */
static bool takes_another_file(struct world *world, struct agency_actor *actor,
                               const struct agency_outcome *outcome)
{
    bool is_about_file = outcome->refused.reason == REFUSAL_CONFLICT ||
                         outcome->refused.reason == REFUSAL_DECLARATION ||
                         outcome->refused.reason == REFUSAL_FINISHED ||
                         outcome->refused.reason == REFUSAL_LATE;
    bool is_wrong_result = outcome->cause == AGENCY_CAUSE_RESULT;
    if ((actor->file.versions_count == 1 && !world_has_two_truths(world)) ||
        !(is_wrong_result || (outcome->cause == AGENCY_CAUSE_REFUSED && is_about_file)))
        return false;
    bool is_over = is_wrong_result || outcome->refused.reason == REFUSAL_FINISHED ||
                   outcome->refused.reason == REFUSAL_LATE || outcome->is_final;
    actor->must_start_over = !is_over;
    if (is_over)
        actor->version = (actor->version + 1) % actor->file.versions_count;
    world_trace(world, "agency %u is to try version %u%s", actor->file.agency, actor->version,
                is_over ? "" : " anew");
    return true;
}

/* What a broken peer has led to: an attempt with a batch that was not its own, and the next one; or
 * an end of its own, and it is started again. */
static bool was_misled(const struct world *world, struct agency_actor *actor,
                       const struct agency_outcome *outcome)
{
    bool is_refused = outcome->cause == AGENCY_CAUSE_REFUSED;
    enum refusal reason = is_refused ? outcome->refused.reason : REFUSAL_NOT_OPEN;
    if (world->counts[MISHAP_GARBLE] == 0)
        return false;
    if (reason == REFUSAL_REJECTED || reason == REFUSAL_LIMIT ||
        (reason == REFUSAL_CONFLICT && actor->file.versions_count == 1)) {
        actor->must_start_over = true;
        return true;
    }
    /* DIGESTS of a draw that is over, in place of what it asks for, are LATE. */
    if (reason == REFUSAL_FINISHED || reason == REFUSAL_LATE)
        return actor->file.versions_count == 1 &&
               (agency_terms(actor->agency)->starts_over || actor->is_misled);
    return actor->is_misled &&
           (is_refused || outcome->cause == AGENCY_CAUSE_BATCHES ||
            outcome->cause == AGENCY_CAUSE_PROTOCOL || outcome->cause == AGENCY_CAUSE_COMMITMENT ||
            outcome->cause == AGENCY_CAUSE_RESULT);
}

/* What is to be tried again: its own patience or memory was over; a process that ended before, by a
 * clock that was ahead or with another attempt, is still heard of; or journals were lost or copied,
 * and the broker that is there now says something else than the one before. */
static bool may_try_again(const struct world *world, const struct agency_actor *actor)
{
    const struct agency_outcome *outcome = agency_outcome(actor->agency);
    bool is_refused = outcome->cause == AGENCY_CAUSE_REFUSED;
    if (outcome->cause == AGENCY_CAUSE_CONNECT || outcome->cause == AGENCY_CAUSE_UNANSWERED ||
        outcome->cause == AGENCY_CAUSE_WAITED)
        return world->plan.is_impatient;
    if (outcome->cause == AGENCY_CAUSE_MEMORY)
        return machine_memory_failures() > 0;
    if (is_refused && outcome->refused.reason == REFUSAL_SUPERSEDED)
        return world->counts[MISHAP_CLOCK] > 0;
    if (is_refused && outcome->refused.reason == REFUSAL_ATTEMPT && world->counts[MISHAP_EDIT] > 0)
        return true;
    return world_has_two_truths(world) &&
           (agency_exit_code(actor->agency) == status_exit_code(STATUS_AGAIN) ||
            outcome->cause == AGENCY_CAUSE_COMMITMENT || outcome->cause == AGENCY_CAUSE_PROTOCOL);
}

static void end(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    const struct agency_outcome *outcome = agency_outcome(actor->agency);
    int code = agency_exit_code(actor->agency);
    bool goes_on = code == 0 || invariants_allow_end(world, index, outcome);
    if (!goes_on && !was_misled(world, actor, outcome) && !may_try_again(world, actor) &&
        !takes_another_file(world, actor, outcome)) {
        world_violate(world, "[ends] agency %u ends with %d: cause %d, refusal %s", index + 1, code,
                      (int)outcome->cause,
                      outcome->cause == AGENCY_CAUSE_REFUSED ? refusal_text(outcome->refused.reason)
                                                             : "none");
        return;
    }
    if (code == 0 && !actor->has_stored)
        world_violate(world, "[ends] agency %u ends without its winners", index + 1);
    world_trace(world, "agency %u ends with %d", index + 1, code);
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
    struct agency_before before;
    struct slice body = letter->frames_count > 1 ? letter->frames[1] : (struct slice){0};
    CHECK(message_decode(letter->frames[0], &message) == STATUS_OK);
    world_trace_message(world, "  heard by agency", index + 1, &message);
    garble_look_at_agency(actor, letter, &before);
    if (letter->line == LINE_WINNERS)
        agency_on_published(actor->agency, world->now_ms, &message);
    else if (letter->token == actor->token) /* CORRELATE drops the others */
        RUN_CORE(agency_on_reply(actor->agency, world->now_ms, &message, body));
    garble_judge_agency(world, actor, letter, &before);
    return body;
}

/* The winners are written where each is the row that the file has at its place. */
static void keep_winners(struct world *world, uint32_t index)
{
    struct agency_actor *actor = &world->agencies[index];
    if (invariants_check_winners(world, index)) {
        actor->has_stored = true;
        agency_on_stored(actor->agency, world->now_ms);
        return;
    }
    actor->version = (actor->version + 1) % actor->file.versions_count;
    world_trace(world, "agency %u finds that its file is not the one of the draw", index + 1);
    agency_actor_crash(world, index);
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
    if (orders & AGENCY_ORDER_STORE)
        keep_winners(world, index);
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
    if (!actor->is_up)
        return;
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
