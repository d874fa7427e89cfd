/* The dispatch against a model of plain arrays, step by step, and its fingerprint. */
#include "broker/dispatch.h"

#include <criterion/criterion.h>

#include "proto/wire/limits.h"

enum {
    STORES = 4,
    AGENCIES = 3,
    SEQS = 30,
    STEPS = 30000,
    QUEUE = 24 * 1024,
    WEIGHT_MAX = 4096,
    GRACE = 300,
    PARCELS = QUEUE / BATCH_WEIGHT_EXTRA_BYTES + 1,
    HELD = AGENCIES * SEQS,
};

struct sent {
    struct parcel parcel;
    uint32_t store;
    int64_t began_at;
};

/* What the dispatch should know. */
struct model {
    struct parcel queue[PARCELS];
    uint32_t queued;
    struct sent sent[HELD]; /* in flight, oldest first */
    uint32_t sent_count;
    bool is_open[STORES];
    uint64_t admitted[STORES];
    int64_t left[STORES]; /* may be below 0: any credit admits a whole batch */
    uint32_t last_served;
    uint32_t attempt[AGENCIES];
    int64_t now_ms;
};

static struct dispatch *dispatch;
static uint64_t random_state = 6364136223846793005u;
static uint8_t payloads[HELD]; /* 1: the dispatch has it */

static void release(void *payload)
{
    uint8_t *is_owned = payload;

    cr_assert_eq(*is_owned, 1);
    *is_owned = 0;
}

static void begin(void)
{
    cr_assert_eq(dispatch_create(QUEUE, release, &dispatch), STATUS_OK);
}

static void end(void)
{
    dispatch_destroy(&dispatch);
}

TestSuite(dispatch_model, .init = begin, .fini = end, .timeout = 60);

/* xorshift64 */
static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 11) % bound);
}

static size_t queue_weight(const struct model *model)
{
    size_t weight = 0;

    for (uint32_t i = 0; i < model->queued; i++)
        weight += model->queue[i].weight;
    return weight;
}

static bool is_held(const struct model *model, uint32_t agency, uint32_t seq)
{
    for (uint32_t i = 0; i < model->queued; i++)
        if (model->queue[i].agency == agency && model->queue[i].seq == seq)
            return true;
    for (uint32_t i = 0; i < model->sent_count; i++)
        if (model->sent[i].parcel.agency == agency && model->sent[i].parcel.seq == seq)
            return true;
    return false;
}

static void end_sent(struct model *model, uint32_t i)
{
    model->sent_count--;
    memmove(&model->sent[i], &model->sent[i + 1], (model->sent_count - i) * sizeof model->sent[0]);
}

static void step_push(struct model *model)
{
    const uint32_t agency = random_below(AGENCIES);
    const uint32_t seq = random_below(SEQS);
    const struct parcel parcel = {
        .agency = agency,
        .attempt = model->attempt[agency],
        .seq = seq,
        .weight = BATCH_WEIGHT_EXTRA_BYTES + random_below(WEIGHT_MAX),
        .payload = &payloads[agency * SEQS + seq],
    };
    enum status expected = STATUS_OK;

    if (is_held(model, agency, seq))
        expected = STATUS_EXISTS;
    else if (queue_weight(model) >= QUEUE)
        expected = STATUS_FULL;
    cr_assert_eq(dispatch_push(dispatch, &parcel), expected);
    if (expected != STATUS_OK)
        return;
    payloads[agency * SEQS + seq] = 1;
    model->queue[model->queued++] = parcel;
}

/* Most credit left; equal: the first behind the last one served. */
static int choose(const struct model *model)
{
    int chosen = -1;

    for (uint32_t i = 1; i <= STORES; i++) {
        const uint32_t store = (model->last_served + i) % STORES;

        if (model->is_open[store] && model->left[store] > 0 &&
            (chosen < 0 || model->left[store] > model->left[chosen]))
            chosen = (int)store;
    }
    return chosen;
}

static void step_next(struct model *model)
{
    const int chosen = model->queued > 0 ? choose(model) : -1;
    struct parcel parcel = {0};
    uint32_t store = 0;

    cr_assert_eq(dispatch_next(dispatch, model->now_ms, &store, &parcel), chosen >= 0);
    if (chosen < 0)
        return;
    cr_assert_eq(store, (uint32_t)chosen);
    cr_assert_eq(parcel.payload, model->queue[0].payload);
    cr_assert_eq(parcel.attempt, model->queue[0].attempt);
    cr_assert_eq(parcel.weight, model->queue[0].weight);
    release(parcel.payload);
    model->left[store] -= parcel.weight;
    model->last_served = store;
    model->sent[model->sent_count++] = (struct sent){parcel, store, model->now_ms};
    model->queued--;
    memmove(model->queue, model->queue + 1, model->queued * sizeof model->queue[0]);
}

/* Mostly something that is in flight, from a store that mostly has it. */
static void step_land(struct model *model)
{
    const uint32_t i = model->sent_count > 0 ? random_below(model->sent_count) : 0;
    uint32_t store = random_below(STORES);

    if (model->sent_count == 0 || random_below(8) == 0) {
        dispatch_land(dispatch, store, random_below(AGENCIES), 0, random_below(SEQS));
        return;
    }
    const struct parcel parcel = model->sent[i].parcel;

    if (random_below(4) > 0)
        store = model->sent[i].store;
    dispatch_land(dispatch, store, parcel.agency, parcel.attempt, parcel.seq);
    if (store == model->sent[i].store)
        end_sent(model, i);
}

static void step_credit(struct model *model, uint32_t store)
{
    const uint32_t raise = random_below(20) == 0 ? 3 * CREDIT_BYTES_MAX : 3 * WEIGHT_MAX;
    const uint64_t lower = model->admitted[store] < 100 ? 0 : model->admitted[store] - 100;
    const uint64_t admitted = lower + random_below(raise);

    dispatch_credit(dispatch, store, admitted);
    if (!model->is_open[store] || admitted <= model->admitted[store])
        return;
    model->left[store] += (int64_t)(admitted - model->admitted[store]);
    model->admitted[store] = admitted;
    if (model->left[store] > CREDIT_BYTES_MAX)
        model->left[store] = CREDIT_BYTES_MAX;
}

static void step_open_or_close(struct model *model, uint32_t store)
{
    const bool opens = random_below(3) > 0;

    if (opens)
        cr_assert_eq(dispatch_open_store(dispatch, store), STATUS_OK);
    else
        dispatch_close_store(dispatch, store);
    model->is_open[store] = opens;
    model->admitted[store] = 0;
    model->left[store] = 0;
    for (uint32_t i = model->sent_count; i > 0; i--)
        if (model->sent[i - 1].store == store)
            end_sent(model, i - 1);
}

static void step_drop(struct model *model, uint32_t agency)
{
    uint32_t kept = 0;

    dispatch_drop_agency(dispatch, agency);
    model->attempt[agency]++;
    for (uint32_t i = 0; i < model->queued; i++)
        if (model->queue[i].agency != agency)
            model->queue[kept++] = model->queue[i];
    model->queued = kept;
    for (uint32_t i = model->sent_count; i > 0; i--)
        if (model->sent[i - 1].parcel.agency == agency)
            end_sent(model, i - 1);
}

static void step_time(struct model *model)
{
    const int64_t by_ms = random_below(40);
    int64_t next = INT64_MAX;

    model->now_ms += by_ms;
    if (random_below(10) == 0) {
        dispatch_shift(dispatch, by_ms);
        for (uint32_t i = 0; i < model->sent_count; i++)
            model->sent[i].began_at += by_ms;
    }
    while (model->sent_count > 0 && model->sent[0].began_at <= model->now_ms - GRACE)
        end_sent(model, 0);
    if (model->sent_count > 0)
        next = model->sent[0].began_at + GRACE;
    cr_assert_eq(dispatch_expire(dispatch, model->now_ms, GRACE), next);
}

static void step(struct model *model)
{
    const uint32_t dice = random_below(1000);
    const uint32_t store = random_below(STORES);

    if (dice < 5)
        step_open_or_close(model, store);
    else if (dice < 8)
        step_drop(model, random_below(AGENCIES));
    else if (dice < 50)
        step_time(model);
    else if (dice < 60) {
        dispatch_spend(dispatch, store);
        if (model->left[store] > 0)
            model->left[store] = 0;
    } else if (dice < 200)
        step_credit(model, store);
    else if (dice < 450)
        step_land(model);
    else if (dice < 700)
        step_next(model);
    else
        step_push(model);
}

static void assert_same(const struct model *model)
{
    cr_assert_eq(dispatch_queue_weight(dispatch), queue_weight(model));
    cr_assert_eq(dispatch_has_room(dispatch), queue_weight(model) < QUEUE);
    for (uint32_t agency = 0; agency < AGENCIES; agency++) {
        const struct seqset *held = dispatch_held(dispatch, agency);

        for (uint32_t seq = 0; seq < SEQS; seq++)
            cr_assert_eq(seqset_has(held, seq), is_held(model, agency, seq));
    }
    for (uint32_t i = 0; i < model->queued; i++)
        cr_assert_eq(*(const uint8_t *)model->queue[i].payload, 1);
}

Test(dispatch_model, agrees_with_plain_arrays_in_thousands_of_random_steps)
{
    /* all stores known from the start, so that taking turns goes over as many as the model's */
    struct model model = {.last_served = STORES - 1, .attempt = {1, 1, 1}};

    for (uint32_t store = 0; store < STORES; store++) {
        cr_assert_eq(dispatch_open_store(dispatch, store), STATUS_OK);
        model.is_open[store] = true;
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&model);
        assert_same(&model);
    }
    dispatch_drop_all(dispatch);
    for (uint32_t i = 0; i < HELD; i++)
        cr_assert_eq(payloads[i], 0);
}

static uint64_t take_fingerprint(void)
{
    return dispatch_fingerprint(dispatch, 0);
}

Test(dispatch_model, fingerprint_changes_with_each_event)
{
    const struct parcel parcel = {.agency = 1,
                                  .attempt = 1,
                                  .weight = WEIGHT_MAX,
                                  .payload = &payloads[0]};
    uint64_t seen[7];
    struct parcel sent;
    uint32_t store = 0;

    seen[0] = take_fingerprint();
    cr_assert_eq(dispatch_push(dispatch, &parcel), STATUS_OK);
    seen[1] = take_fingerprint();
    cr_assert_eq(dispatch_open_store(dispatch, 0), STATUS_OK);
    seen[2] = take_fingerprint();
    dispatch_credit(dispatch, 0, 2 * WEIGHT_MAX);
    seen[3] = take_fingerprint();
    cr_assert(dispatch_next(dispatch, 5, &store, &sent));
    seen[4] = take_fingerprint();
    dispatch_shift(dispatch, 1);
    cr_assert_eq(take_fingerprint(), seen[4], "times are left out");
    dispatch_land(dispatch, 0, 1, 1, 0);
    seen[5] = take_fingerprint();
    dispatch_spend(dispatch, 0);
    seen[6] = take_fingerprint();
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j], "%zu and %zu", i, j);
}
