/* See store_points.h; built in the fault flavour alone. */
#ifndef SORTEO_CRASH_POINTS
#define SORTEO_CRASH_POINTS
#endif
#include "worker/store_points.h"

#include <stdlib.h>

#include "proto/host/crash.h"

/* What a transaction holds; a later one of these outweighs an earlier one. */
enum content { CONTENT_NOTHING, BATCHES, DELETION, EPOCH, SEALED, AS_VOID, FORGOTTEN };

struct store_points {
    struct store store; /* first: the table */
    struct store *real; /* owned */
    enum content content;
    bool is_late; /* its commit was answered, and not made yet */
};

static struct store_points *points_of(struct store *store)
{
    return (struct store_points *)store;
}

#define AROUND(name)                                   \
    do {                                               \
        if (is_durable)                                \
            CRASH_POINT("worker.after_commit." name);  \
        else                                           \
            CRASH_POINT("worker.before_commit." name); \
    } while (false)

static void pass(enum content content, bool is_durable)
{
    switch (content) {
    case CONTENT_NOTHING:
        break;
    case BATCHES:
        AROUND("batches");
        break;
    case DELETION:
        AROUND("deletion");
        break;
    case EPOCH:
        AROUND("epoch");
        break;
    case SEALED:
        AROUND("seal");
        break;
    case AS_VOID:
        AROUND("void");
        break;
    case FORGOTTEN:
        AROUND("forgotten");
        break;
    }
}

/* The real store, with what was answered too early made up for. */
static struct store *real_of(struct store *store)
{
    struct store_points *points = points_of(store);
    if (points->is_late) {
        points->is_late = false;
        if (store_commit(points->real) != STATUS_OK)
            abort();
    }
    return points->real;
}

static void hold(struct store *store, enum content content)
{
    struct store_points *points = points_of(store);
    if (points->content < content)
        points->content = content;
}

static void about(struct store *store, struct store_about *about_store)
{
    store_about(real_of(store), about_store);
}

static enum status begin(struct store *store, enum store_space space)
{
    points_of(store)->content = CONTENT_NOTHING;
    return store_begin(real_of(store), space);
}

static enum status put(struct store *store, const struct batch_record *batch, struct slice body,
                       bool replaces)
{
    hold(store, BATCHES);
    return store_put(real_of(store), batch, body, replaces);
}

static enum status erase(struct store *store, const struct batch_identity *identity)
{
    hold(store, DELETION);
    return store_erase(real_of(store), identity);
}

static enum status record_epoch(struct store *store, const struct epoch *epoch)
{
    hold(store, EPOCH);
    return store_record_epoch(real_of(store), epoch);
}

static enum status record_seal(struct store *store, const struct seal_record *seal,
                               struct slice packed)
{
    if (seal->is_forgotten)
        hold(store, FORGOTTEN);
    else
        hold(store, seal->kind == SEAL_AS_VOID ? AS_VOID : SEALED);
    return store_record_seal(real_of(store), seal, packed);
}

static enum status commit(struct store *store)
{
    struct store_points *points = points_of(store);
    pass(points->content, false);
    if (crash_breaks("early")) {
        points->is_late = true;
        return STATUS_OK;
    }
    enum status status = store_commit(points->real);
    if (status == STATUS_OK)
        pass(points->content, true);
    return status;
}

static void abandon(struct store *store)
{
    store_abandon(real_of(store));
}

static enum status get(struct store *store, const struct batch_identity *identity,
                       struct batch_record *batch, struct slice *body)
{
    return store_get(real_of(store), identity, batch, body);
}

static enum status list(struct store *store, const struct batch_identity *from,
                        struct batch_record *batches, size_t batches_max, size_t *count)
{
    return store_list(real_of(store), from, batches, batches_max, count);
}

static enum status list_seals(struct store *store, uint32_t from_draw, struct seal_record *seals,
                              size_t seals_max, size_t *count)
{
    return store_list_seals(real_of(store), from_draw, seals, seals_max, count);
}

static enum status manifest(struct store *store, uint32_t draw, struct slice *packed)
{
    return store_manifest(real_of(store), draw, packed);
}

static const char *problem(const struct store *store)
{
    return store_problem(((const struct store_points *)store)->real);
}

static void close_store(struct store **store)
{
    struct store_points *points = points_of(*store);
    struct store *real = real_of(*store);
    store_close(&real);
    free(points);
    *store = NULL;
}

static const struct store_table TABLE = {
    .about = about,
    .begin = begin,
    .put = put,
    .erase = erase,
    .record_epoch = record_epoch,
    .record_seal = record_seal,
    .commit = commit,
    .abandon = abandon,
    .get = get,
    .list = list,
    .list_seals = list_seals,
    .manifest = manifest,
    .problem = problem,
    .close = close_store,
};

struct store *store_points_before(struct store *store)
{
    struct store_points *points = calloc(1, sizeof *points);
    if (points == NULL)
        return NULL;
    points->store.table = &TABLE;
    points->real = store;
    return &points->store;
}
