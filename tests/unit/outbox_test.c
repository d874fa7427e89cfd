/* The bounded list of messages of one turn. What breaks its contract aborts, and is tested in a
 * child. */
#include "proto/wire/outbox.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>

enum { MESSAGES = 3, ARENA_BYTES = 200 };

static struct outbox *outbox;

static void begin(void)
{
    cr_assert_eq(outbox_create(MESSAGES, ARENA_BYTES, &outbox), STATUS_OK);
}

static void end(void)
{
    outbox_destroy(&outbox);
    cr_assert_null(outbox);
    outbox_destroy(&outbox);
}

TestSuite(outbox, .init = begin, .fini = end);

static const struct message pong = {.kind = MESSAGE_PONG};
static const struct message stored = {.kind = MESSAGE_STORED, .draw = 1, .stored = {2, 3, 4}};
static const struct message forward = {.kind = MESSAGE_FORWARD, .draw = 1};

Test(outbox, holds_messages_in_the_order_in_which_they_came, .timeout = 10)
{
    uint8_t *piece = outbox_reserve(outbox, 10);
    memcpy(piece, "body", 4);
    outbox_trim(outbox, piece, 4);
    struct slice body = {piece, 4};
    int payload = 0;
    outbox_send(outbox, PORT_DISPATCH, 11, &stored, &body);
    outbox_send(outbox, PORT_RENDEZVOUS, 12, &pong, NULL);
    outbox_forward(outbox, 13, &forward, &payload);

    cr_assert_eq(outbox_count(outbox), 3);
    const struct outbound *first = outbox_at(outbox, 0);
    cr_assert(first->port == PORT_DISPATCH && first->peer == 11);
    cr_assert(first->has_body && slice_is_equal(first->body, body) && first->payload == NULL);
    struct message message;
    cr_assert_eq(message_decode(first->header, &message), STATUS_OK);
    cr_assert(message.kind == MESSAGE_STORED && message.stored.items == 4);

    const struct outbound *second = outbox_at(outbox, 1);
    cr_assert(second->port == PORT_RENDEZVOUS && second->peer == 12 && !second->has_body);
    cr_assert_eq(message_decode(second->header, &message), STATUS_OK);
    cr_assert_eq(message.kind, MESSAGE_PONG);

    const struct outbound *third = outbox_at(outbox, 2);
    cr_assert(third->port == PORT_DISPATCH && third->peer == 13 && !third->has_body);
    cr_assert_eq(third->payload, &payload);
    cr_assert_eq(message_decode(third->header, &message), STATUS_OK);
    cr_assert_eq(message.kind, MESSAGE_FORWARD);
}

Test(outbox, keeps_an_empty_body_apart_from_none, .timeout = 10)
{
    struct slice empty = {0};
    outbox_send(outbox, PORT_DISPATCH, 0, &stored, &empty);
    cr_assert(outbox_at(outbox, 0)->has_body);
    cr_assert_eq(outbox_at(outbox, 0)->body.bytes, 0);
}

Test(outbox, says_whether_there_is_room_on_both_sides_of_the_limits, .timeout = 10)
{
    cr_assert(outbox_has_room(outbox, MESSAGES, ARENA_BYTES));
    cr_assert_not(outbox_has_room(outbox, MESSAGES + 1, 0));
    cr_assert_not(outbox_has_room(outbox, 0, ARENA_BYTES + 1));
    cr_assert_not(outbox_has_room(outbox, SIZE_MAX, SIZE_MAX));
    outbox_send(outbox, PORT_DISPATCH, 0, &pong, NULL); /* 4 bytes: 93 31 01 00 */
    cr_assert_eq(outbox_at(outbox, 0)->header.bytes, 4);
    cr_assert(outbox_has_room(outbox, MESSAGES - 1, ARENA_BYTES - 4));
    cr_assert_not(outbox_has_room(outbox, MESSAGES, 0));
    cr_assert_not(outbox_has_room(outbox, 0, ARENA_BYTES - 3));
}

Test(outbox, reserves_only_what_the_arena_holds, .timeout = 10)
{
    cr_assert_null(outbox_reserve(outbox, ARENA_BYTES + 1));
    uint8_t *piece = outbox_reserve(outbox, ARENA_BYTES);
    cr_assert_not_null(piece);
    memset(piece, 0xff, ARENA_BYTES);
    cr_assert_null(outbox_reserve(outbox, 1));
    outbox_trim(outbox, piece, 100);
    cr_assert(outbox_has_room(outbox, 0, ARENA_BYTES - 100));
    uint8_t *next = outbox_reserve(outbox, ARENA_BYTES - 100);
    cr_assert_eq(next, piece + 100);
    outbox_trim(outbox, next, 0);
    cr_assert(outbox_has_room(outbox, 0, ARENA_BYTES - 100));
}

Test(outbox, is_as_new_after_a_reset, .timeout = 10)
{
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < MESSAGES; i++)
            outbox_send(outbox, PORT_DISPATCH, 0, &pong, NULL);
        cr_assert_not(outbox_has_room(outbox, 1, 0));
        cr_assert_not_null(outbox_reserve(outbox, ARENA_BYTES - 12));
        outbox_reset(outbox);
        cr_assert_eq(outbox_count(outbox), 0);
        cr_assert(outbox_has_room(outbox, MESSAGES, ARENA_BYTES));
    }
}

/* ---- what is our own mistake aborts ---- */

Test(outbox, aborts_on_one_message_too_many, .timeout = 10, .signal = SIGABRT)
{
    for (int i = 0; i <= MESSAGES; i++)
        outbox_send(outbox, PORT_DISPATCH, 0, &pong, NULL);
}

Test(outbox, aborts_on_a_header_that_does_not_fit, .timeout = 10, .signal = SIGABRT)
{
    cr_assert_not_null(outbox_reserve(outbox, ARENA_BYTES - 3));
    outbox_send(outbox, PORT_DISPATCH, 0, &pong, NULL);
}

Test(outbox, aborts_on_a_body_that_the_kind_has_not, .timeout = 10, .signal = SIGABRT)
{
    struct slice body = {0};
    outbox_send(outbox, PORT_DISPATCH, 0, &pong, &body);
}

Test(outbox, aborts_on_a_body_that_is_missing, .timeout = 10, .signal = SIGABRT)
{
    outbox_send(outbox, PORT_DISPATCH, 0, &stored, NULL);
}

Test(outbox, aborts_on_a_forward_without_its_batch, .timeout = 10, .signal = SIGABRT)
{
    outbox_forward(outbox, 1, &forward, NULL);
}

Test(outbox, aborts_on_a_forward_that_is_sent_as_anything_else, .timeout = 10, .signal = SIGABRT)
{
    outbox_send(outbox, PORT_DISPATCH, 1, &forward, NULL);
}

Test(outbox, aborts_when_an_older_piece_is_trimmed, .timeout = 10, .signal = SIGABRT)
{
    uint8_t *piece = outbox_reserve(outbox, 10);
    outbox_send(outbox, PORT_DISPATCH, 0, &pong, NULL);
    outbox_trim(outbox, piece, 5);
}

Test(outbox, aborts_on_a_place_that_is_empty, .timeout = 10, .signal = SIGABRT)
{
    outbox_at(outbox, 0);
}

Test(outbox, aborts_on_a_field_out_of_its_range, .timeout = 10, .signal = SIGABRT)
{
    struct message bad = stored;
    bad.stored.attempt = 0;
    outbox_send(outbox, PORT_DISPATCH, 0, &bad, &(struct slice){0});
}
