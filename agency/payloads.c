/* A list of free payloads under a mutex: taken and given back once for each batch of 64 KiB. */
#include "agency/payloads.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/wire/check.h"

struct payloads {
    pthread_mutex_t mutex;
    struct payload *free; /* list */
    uint32_t free_count;
    uint32_t payloads_count;
    struct payload *payloads; /* owned */
    uint8_t *buffers;         /* owned, one behind the other */
    payloads_returned *returned;
    void *context;
};

enum status payloads_create(uint32_t payloads, size_t bytes, payloads_returned *returned,
                            void *context, struct payloads **pool)
{
    CHECK(payloads > 0);
    struct payloads *created = calloc(1, sizeof(*created));
    struct payload *items = calloc(payloads, sizeof(*items));
    uint8_t *buffers = malloc(payloads * bytes);
    if (created == NULL || items == NULL || buffers == NULL) {
        free(created);
        free(items);
        free(buffers);
        return STATUS_NO_MEMORY;
    }
    *created = (struct payloads){
        .payloads_count = payloads,
        .payloads = items,
        .buffers = buffers,
        .returned = returned,
        .context = context,
    };
    CHECK(pthread_mutex_init(&created->mutex, NULL) == 0);
    for (uint32_t i = 0; i < payloads; i++) {
        items[i].pool = created;
        items[i].buffer = buffers + i * bytes;
        items[i].next = created->free;
        created->free = &items[i];
    }
    created->free_count = payloads;
    *pool = created;
    return STATUS_OK;
}

void payloads_destroy(struct payloads **pool)
{
    if (*pool == NULL)
        return;
    CHECK((*pool)->free_count == (*pool)->payloads_count);
    (void)pthread_mutex_destroy(&(*pool)->mutex);
    free((*pool)->payloads);
    free((*pool)->buffers);
    free(*pool);
    *pool = NULL;
}

struct payload *payloads_take(struct payloads *pool, uint32_t reserve)
{
    struct payload *taken = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (pool->free_count > reserve) {
        taken = pool->free;
        pool->free = taken->next;
        pool->free_count--;
    }
    pthread_mutex_unlock(&pool->mutex);
    return taken;
}

bool payloads_has(struct payloads *pool, uint32_t reserve)
{
    pthread_mutex_lock(&pool->mutex);
    bool has = pool->free_count > reserve;
    pthread_mutex_unlock(&pool->mutex);
    return has;
}

void payload_release(struct payload *payload)
{
    if (payload == NULL)
        return;
    struct payloads *pool = payload->pool;
    pthread_mutex_lock(&pool->mutex);
    payload->next = pool->free;
    pool->free = payload;
    pool->free_count++;
    pthread_mutex_unlock(&pool->mutex);
    if (pool->returned != NULL)
        pool->returned(pool->context);
}

/* libzmq's thread has sent the bytes, or dropped them. */
static void come_back(void *bytes, void *hint)
{
    (void)bytes;
    payload_release(hint);
}

enum status payload_wrap(struct payload *payload, zmq_msg_t *message)
{
    uint8_t *bytes = payload->buffer + (payload->body.data - payload->buffer);
    if (zmq_msg_init_data(message, bytes, payload->body.bytes, come_back, payload) != 0)
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}
