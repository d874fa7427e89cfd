/* One mutex for the queue and the wishes; the work itself is done outside of it. */
#include "agency/reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agency/output.h"
#include "proto/host/crash.h"
#include "proto/wire/check.h"

/* Every payload may be in the queue, and one reading without a payload from each of the two
 * tasks. */
enum { QUEUE_MAX = READER_PAYLOADS_MAX + 2, REJECT_BYTES_MAX = 320 };

struct reader {
    struct source *source; /* borrowed */
    struct reader_terms terms;
    pthread_t thread;
    bool is_started;

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t changed;
    struct reading queue[QUEUE_MAX];
    uint32_t queue_first;
    uint32_t queue_count;
    bool has_wish;     /* a batch is asked for again and was not taken */
    bool is_wish_open; /* and was not read */
    uint32_t wish_seq;
    struct cut wish;
    int filled; /* eventfd: the queue is not empty */
    int stop;   /* eventfd: for a copy that waits for its input */
    atomic_bool is_stopping;

    struct payloads *pool; /* owned; made by reader_start */

    /* The thread's own. */
    struct cutter *cutter;  /* owned; the one pass */
    struct cutter *repeats; /* owned; batches read again */
    struct output *rejects; /* owned; NULL: none are listed, or they have their name. The loop's
                               from READING_END on */
    bool has_ended;         /* the one pass is over, well or not */
    uint32_t seq;
    struct declaration declaration;
    struct tree tree;
    struct hasher *hasher;  /* owned */
    struct reading failure; /* what `reject` has found */
};

enum status reader_create(struct source *source, struct reader **reader)
{
    struct reader *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->source = source;
    created->filled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    created->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(pthread_mutex_init(&created->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&created->changed, NULL) == 0);
    if (created->filled < 0 || created->stop < 0) {
        reader_destroy(&created);
        return STATUS_IO;
    }
    *reader = created;
    return STATUS_OK;
}

int reader_descriptor(const struct reader *reader)
{
    return reader->filled;
}

/* Makes an eventfd readable. It cannot fail: the counter is far from its end. */
static void raise_event(int descriptor)
{
    uint64_t one = 1;
    ssize_t written = write(descriptor, &one, sizeof(one));
    CHECK(written == sizeof(one));
}

static void wake(void *context)
{
    struct reader *reader = context;
    pthread_mutex_lock(&reader->mutex);
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->mutex);
}

static void hand_over(struct reader *reader, const struct reading *reading)
{
    pthread_mutex_lock(&reader->mutex);
    CHECK(reader->queue_count < QUEUE_MAX);
    reader->queue[(reader->queue_first + reader->queue_count) % QUEUE_MAX] = *reading;
    reader->queue_count++;
    if (reader->queue_count == 1) /* it stays raised until it is found empty */
        raise_event(reader->filled);
    pthread_mutex_unlock(&reader->mutex);
}

enum status reader_take(struct reader *reader, struct reading *reading)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&reader->mutex);
    if (reader->queue_count == 0) {
        uint64_t raised;
        ssize_t got = read(reader->filled, &raised, sizeof(raised));
        (void)got; /* nothing to reset is fine */
        status = STATUS_AGAIN;
    } else {
        *reading = reader->queue[reader->queue_first];
        reader->queue_first = (reader->queue_first + 1) % QUEUE_MAX;
        reader->queue_count--;
        if (reading->kind == READING_AGAIN)
            reader->has_wish = false;
    }
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

bool reader_ask_again(struct reader *reader, uint32_t seq, const struct cut *cut)
{
    pthread_mutex_lock(&reader->mutex);
    bool is_taken = !reader->has_wish;
    if (is_taken) {
        reader->has_wish = true;
        reader->is_wish_open = true;
        reader->wish_seq = seq;
        reader->wish = *cut;
        pthread_cond_signal(&reader->changed);
    }
    pthread_mutex_unlock(&reader->mutex);
    return is_taken;
}

bool reader_has_payload(struct reader *reader)
{
    return payloads_has(reader->pool, 0);
}

/* ---- the thread ---- */

enum task { TASK_STOP, TASK_NEXT, TASK_AGAIN };

static enum task wait_for_task(struct reader *reader)
{
    enum task task;
    pthread_mutex_lock(&reader->mutex);
    for (;;) {
        if (atomic_load(&reader->is_stopping)) {
            task = TASK_STOP;
            break;
        }
        if (reader->is_wish_open && payloads_has(reader->pool, 0)) {
            task = TASK_AGAIN;
            reader->is_wish_open = false;
            break;
        }
        if (!reader->has_ended && payloads_has(reader->pool, READER_RESERVE)) {
            task = TASK_NEXT;
            break;
        }
        pthread_cond_wait(&reader->changed, &reader->mutex);
    }
    pthread_mutex_unlock(&reader->mutex);
    return task;
}

/* What a bad row leads to: an entry in the list of rejects, or the end. */
static enum status reject(void *context, const struct row *row)
{
    struct reader *reader = context;
    if (atomic_load(&reader->is_stopping))
        return STATUS_INTERRUPTED;
    if (!reader->terms.cutter.plan.skips_bad_rows) {
        reader->failure = (struct reading){
            .kind = READING_BAD_ROW,
            .line = row->line,
            .fault = row->csv.fault,
        };
        return STATUS_INVALID;
    }
    char text[REJECT_BYTES_MAX];
    int bytes = snprintf(text, sizeof(text), "%llu,\"%s\"\n", (unsigned long long)row->line,
                         fault_text(row->csv.fault));
    CHECK(bytes > 0 && (size_t)bytes < sizeof(text));
    reader->declaration.rejected++;
    enum status status = output_write(reader->rejects, text, (size_t)bytes);
    if (status != STATUS_OK) {
        reader->failure = (struct reading){
            .kind = READING_REJECTS_FAILED,
            .status = status,
            .error = errno,
        };
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void fail(struct reader *reader, enum reading_kind kind, enum status status)
{
    const struct reading failure = {.kind = kind, .status = status, .error = errno};
    reader->has_ended = true;
    hand_over(reader, &failure);
}

/* The file is read: it must still be the same, and the disk must have room for its rejects, before
 * anything is declared. */
static void end_pass(struct reader *reader)
{
    if (!source_is_unchanged(reader->source)) {
        fail(reader, READING_CHANGED, STATUS_STALE);
        return;
    }
    enum status status = reader->rejects == NULL ? STATUS_OK : output_sync(reader->rejects);
    if (status != STATUS_OK) {
        fail(reader, READING_REJECTS_FAILED, status);
        return;
    }
    reader->declaration.batches = reader->seq;
    tree_head(&reader->tree, reader->hasher, &reader->declaration.root);
    const struct reading end = {.kind = READING_END, .declaration = reader->declaration};
    reader->has_ended = true;
    hand_over(reader, &end);
}

static void read_next(struct reader *reader)
{
    struct payload *payload = payloads_take(reader->pool, READER_RESERVE);
    CHECK(payload != NULL); /* only this thread takes */
    struct reading next = {.kind = READING_BATCH, .seq = reader->seq, .payload = payload};
    enum status status =
        cutter_next(reader->cutter, payload->buffer, reject, reader, &next.cut, &payload->body);
    if (status == STATUS_OK) {
        tree_add(&reader->tree, reader->hasher, &next.cut.digest);
        reader->declaration.bets += next.cut.bets;
        reader->seq++;
        hand_over(reader, &next);
        return;
    }
    int saved = errno;
    payload_release(payload);
    errno = saved;
    if (status == STATUS_END) {
        end_pass(reader);
    } else if (status == STATUS_INVALID) {
        reader->has_ended = true;
        hand_over(reader, &reader->failure);
    } else if (status == STATUS_INTERRUPTED) {
        reader->has_ended = true;
    } else {
        fail(reader, READING_INPUT_FAILED, status);
    }
}

static void read_again(struct reader *reader)
{
    struct payload *payload = payloads_take(reader->pool, 0);
    CHECK(payload != NULL);
    struct reading again = {.kind = READING_AGAIN, .seq = reader->wish_seq, .payload = payload};
    enum status status = cutter_repeat(reader->repeats, reader->wish_seq, &reader->wish,
                                       payload->buffer, &payload->body);
    if (status == STATUS_OK) {
        hand_over(reader, &again);
        return;
    }
    int saved = errno;
    payload_release(payload);
    errno = saved;
    fail(reader, status == STATUS_STALE ? READING_CHANGED : READING_INPUT_FAILED, status);
}

/* Everything that comes before the first row. returns false when it is over. */
static bool prepare(struct reader *reader)
{
    enum status status = STATUS_OK;
    if (source_needs_copy(reader->source))
        status = source_copy(reader->source, reader->terms.copy_folder, reader->stop);
    if (status == STATUS_INTERRUPTED)
        return false;
    enum reading_kind kind = status == STATUS_OK ? READING_INPUT_FAILED : READING_COPY_FAILED;
    if (status == STATUS_OK)
        status = source_mark(reader->source);
    if (status != STATUS_OK) {
        fail(reader, kind, status);
        return false;
    }
    if (!reader->terms.cutter.plan.skips_bad_rows)
        return true;
    status = output_create(reader->terms.rejects, &reader->rejects);
    if (status != STATUS_OK)
        fail(reader, READING_REJECTS_FAILED, status);
    return status == STATUS_OK;
}

static void *run(void *context)
{
    struct reader *reader = context;
    if (!prepare(reader))
        return NULL;
    for (;;) {
        switch (wait_for_task(reader)) {
        case TASK_STOP:
            return NULL;
        case TASK_NEXT:
            read_next(reader);
            break;
        case TASK_AGAIN:
            read_again(reader);
            break;
        }
    }
}

enum status reader_start(struct reader *reader, const struct reader_terms *terms)
{
    CHECK(!reader->is_started);
    reader->terms = *terms;
    size_t bytes = batch_buffer_bytes(&terms->cutter.plan);
    uint32_t payloads = READER_PAYLOADS_MAX;
    while (payloads > READER_PAYLOADS_MIN && payloads * bytes > READER_MEMORY_BYTES)
        payloads--;
    tree_begin(&reader->tree);
    enum status status = hasher_create(&reader->hasher);
    if (status == STATUS_OK)
        status = payloads_create(payloads, bytes, wake, reader, &reader->pool);
    if (status == STATUS_OK)
        status = cutter_create(reader->source, &terms->cutter, &reader->cutter);
    if (status == STATUS_OK)
        status = cutter_create(reader->source, &terms->cutter, &reader->repeats);
    if (status != STATUS_OK)
        return status; /* reader_destroy frees what there is */
    if (pthread_create(&reader->thread, NULL, run, reader) != 0)
        return STATUS_AGAIN;
    reader->is_started = true;
    return STATUS_OK;
}

enum status reader_name_rejects(struct reader *reader)
{
    if (reader->rejects == NULL)
        return STATUS_OK;
    CRASH_POINT("agency.before_commit.rejects");
    enum status status = output_commit(&reader->rejects);
    CRASH_POINT("agency.after_commit.rejects");
    return status;
}

void reader_stop(struct reader *reader)
{
    if (reader->is_started) {
        pthread_mutex_lock(&reader->mutex);
        atomic_store(&reader->is_stopping, true);
        raise_event(reader->stop);
        pthread_cond_signal(&reader->changed);
        pthread_mutex_unlock(&reader->mutex);
        CHECK(pthread_join(reader->thread, NULL) == 0);
        reader->is_started = false;
    }
    struct reading left;
    while (reader_take(reader, &left) == STATUS_OK)
        payload_release(left.payload);
}

void reader_destroy(struct reader **reader)
{
    struct reader *ended = *reader;
    if (ended == NULL)
        return;
    CHECK(!ended->is_started);
    payloads_destroy(&ended->pool);
    cutter_destroy(&ended->cutter);
    cutter_destroy(&ended->repeats);
    output_discard(&ended->rejects);
    hasher_destroy(&ended->hasher);
    if (ended->filled >= 0)
        close(ended->filled);
    if (ended->stop >= 0)
        close(ended->stop);
    (void)pthread_cond_destroy(&ended->changed);
    (void)pthread_mutex_destroy(&ended->mutex);
    free(ended);
    *reader = NULL;
}
