/* What becomes of a message that does not leave, and of the batch that it carries. */
#include "broker/delivery.h"

#include "tests/socket/socket_fixture.h"

enum { NOBODY = 0x0011223344, MESSAGES = 4, OUTBOX_BYTES = 4096 };

static struct outbox *outbox;
static struct delivery *delivery;
static int freed; /* frames of batches */

static void begin_delivery(void *dispatch)
{
    cr_assert_eq(outbox_create(MESSAGES, OUTBOX_BYTES, &outbox), STATUS_OK);
    cr_assert_eq(delivery_create(NULL, NULL, dispatch, &delivery), STATUS_OK);
}

static void end_delivery(void)
{
    delivery_destroy(&delivery);
    outbox_destroy(&outbox);
}

static void free_frame(void *data, void *hint)
{
    (void)data, (void)hint;
    freed++;
}

static void forward_a_batch(void)
{
    static uint8_t bytes[100];
    struct message forward = {.kind = MESSAGE_FORWARD, .draw = 1, .epoch = {.number = 8}};
    struct frames frames = {.count = 2};
    for (int i = 0; i < frames.count; i++)
        cr_assert_eq(zmq_msg_init_data(&frames.frame[i], bytes, sizeof bytes, free_frame, NULL), 0);
    struct payload *payload = payload_take(&frames);
    cr_assert_not_null(payload);
    outbox_forward(outbox, NOBODY, &forward, payload);
}

TestSuite(delivery, .timeout = 20);

Test(delivery, lets_go_what_is_not_sent)
{
    begin_delivery(NULL);
    forward_a_batch();
    delivery_discard(delivery, outbox);
    cr_expect_eq(freed, 2);
    cr_expect_eq(outbox_count(outbox), 0);
    end_delivery();
}

Test(delivery, drops_what_is_for_nobody_and_lets_it_go)
{
    begin();
    void *dispatch = open_socket(SOCKET_BROKER_DISPATCH);
    begin_delivery(dispatch);
    forward_a_batch();
    cr_expect_eq(delivery_send(delivery, outbox), STATUS_OK);
    cr_expect_eq(freed, 2);
    end_delivery();
    socket_close(&dispatch);
    end();
}

Test(delivery, tells_when_a_socket_fails_and_goes_on)
{
    begin();
    void *deaf = open_socket(SOCKET_BROKER_BETS); /* a PULL cannot send */
    begin_delivery(deaf);
    forward_a_batch();
    forward_a_batch();
    cr_expect_eq(delivery_send(delivery, outbox), STATUS_IO);
    cr_expect_eq(freed, 4);
    cr_expect_eq(outbox_count(outbox), 0);
    end_delivery();
    socket_close(&deaf);
    end();
}
