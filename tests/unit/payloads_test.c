/* A fixed number of buffers that always come back. */
#include <criterion/criterion.h>

#include <string.h>

#include "agency/payloads.h"

TestSuite(payloads, .timeout = 10);

static void count_return(void *context)
{
    ++*(int *)context;
}

Test(payloads, hands_out_as_many_as_it_has_and_takes_them_back)
{
    struct payloads *pool;
    struct payload *payloads[3];
    int returned = 0;
    cr_assert_eq(payloads_create(3, 100, count_return, &returned, &pool), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert(payloads_has(pool, 0));
        payloads[i] = payloads_take(pool, 0);
        cr_assert_not_null(payloads[i]);
        memset(payloads[i]->buffer, i, 100);
    }
    cr_assert_not(payloads_has(pool, 0));
    cr_assert_null(payloads_take(pool, 0));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(payloads[i]->buffer[0], i);
        cr_assert_eq(payloads[i]->buffer[99], i, "buffers do not overlap");
        payload_release(payloads[i]);
    }
    payload_release(NULL);
    cr_assert_eq(returned, 3);
    payloads_destroy(&pool);
    cr_assert_null(pool);
    payloads_destroy(&pool);
}

Test(payloads, reserve_is_left_to_others)
{
    struct payloads *pool;
    cr_assert_eq(payloads_create(2, 8, NULL, NULL, &pool), STATUS_OK);
    struct payload *first = payloads_take(pool, 1);
    cr_assert_not_null(first);
    cr_assert_not(payloads_has(pool, 1));
    cr_assert_null(payloads_take(pool, 1));
    struct payload *second = payloads_take(pool, 0);
    cr_assert_not_null(second);
    payload_release(first);
    payload_release(second);
    payloads_destroy(&pool);
}

Test(payloads, message_has_the_body_without_a_copy_and_gives_it_back_when_closed)
{
    struct payloads *pool;
    int returned = 0;
    cr_assert_eq(payloads_create(1, 16, count_return, &returned, &pool), STATUS_OK);
    struct payload *payload = payloads_take(pool, 0);
    memcpy(payload->buffer, "..body", 6);
    payload->body = (struct slice){.data = payload->buffer + 2, .bytes = 4};
    zmq_msg_t message;
    cr_assert_eq(payload_wrap(payload, &message), STATUS_OK);
    cr_assert_eq(zmq_msg_size(&message), 4);
    cr_assert_eq(zmq_msg_data(&message), payload->buffer + 2);
    cr_assert_eq(returned, 0);
    cr_assert_eq(zmq_msg_close(&message), 0);
    cr_assert_eq(returned, 1);
    cr_assert(payloads_has(pool, 0));
    payloads_destroy(&pool);
}

Test(payloads, message_that_libzmq_has_sent_gives_it_back_too)
{
    struct payloads *pool;
    cr_assert_eq(payloads_create(1, 1024, NULL, NULL, &pool), STATUS_OK);
    void *context = zmq_ctx_new();
    void *pull = zmq_socket(context, ZMQ_PULL);
    void *push = zmq_socket(context, ZMQ_PUSH);
    cr_assert_eq(zmq_bind(pull, "inproc://pool"), 0);
    cr_assert_eq(zmq_connect(push, "inproc://pool"), 0);
    for (int i = 0; i < 5; i++) {
        struct payload *payload = payloads_take(pool, 0);
        cr_assert_not_null(payload);
        memset(payload->buffer, 'a' + i, 1024);
        payload->body = (struct slice){.data = payload->buffer, .bytes = 1024};
        zmq_msg_t message;
        cr_assert_eq(payload_wrap(payload, &message), STATUS_OK);
        cr_assert_eq(zmq_msg_send(&message, push, 0), 1024);
        char received[1024];
        cr_assert_eq(zmq_recv(pull, received, sizeof(received), 0), 1024);
        cr_assert_eq(received[1023], 'a' + i);
    }
    zmq_close(push);
    zmq_close(pull);
    zmq_ctx_term(context);
    cr_assert(payloads_has(pool, 0));
    payloads_destroy(&pool);
}
