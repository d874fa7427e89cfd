/* Owns the queue's payloads, each store's credit and its flights. Whether a batch may enter is
 * decided before it is pushed; where it ends up is the ledger's. "Held" is kept beside queue and
 * flights: a batch enters it when it is pushed and leaves it when its flight ends. */
#include "broker/dispatch.h"

#include <stdlib.h>

#include "broker/flights.h"
#include "proto/wire/check.h"
#include "proto/wire/fingerprint.h"

/* What one store may be sent. Zeroed: closed. */
struct lane {
    struct flights *flights; /* owned; NULL: closed */
    uint64_t admitted_bytes; /* as its last CREDIT says */
    uint64_t sent_bytes;     /* sent or counted as spent since WELCOME; may pass what is admitted */
};

struct dispatch {
    void (*release)(void *payload);
    size_t queue_bytes_max;
    size_t queue_bytes;
    uint32_t places; /* of the queue */
    uint32_t first;
    uint32_t queued;
    uint32_t lanes_count; /* one more than the highest store ever opened */
    uint32_t last_served;
    uint32_t reached;                 /* sum of reach */
    uint32_t reach[AGENCIES_MAX];     /* one more than the highest seq pushed since the last drop */
    struct seqset held[AGENCIES_MAX]; /* queued or in flight */
    struct lane lanes[STORES_MAX];
    struct parcel queue[]; /* ring of `places` */
};

enum status dispatch_create(size_t queue_bytes, void (*release)(void *payload),
                            struct dispatch **dispatch)
{
    const size_t places = queue_bytes / BATCH_WEIGHT_EXTRA_BYTES + 1;
    struct dispatch *created = NULL;

    CHECK(places <= UINT32_MAX / 2); /* a place and the count of those before it are added */
    created = calloc(1, sizeof *created + places * sizeof created->queue[0]);
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->release = release;
    created->queue_bytes_max = queue_bytes;
    created->places = (uint32_t)places;
    created->last_served = STORES_MAX - 1;
    *dispatch = created;
    return STATUS_OK;
}

void dispatch_destroy(struct dispatch **dispatch)
{
    if (*dispatch == NULL)
        return;
    dispatch_drop_all(*dispatch);
    for (uint32_t store = 0; store < STORES_MAX; store++)
        flights_destroy(&(*dispatch)->lanes[store].flights);
    free(*dispatch);
    *dispatch = NULL;
}

/* -- the queue -- */

bool dispatch_has_room(const struct dispatch *dispatch)
{
    return dispatch->queue_bytes < dispatch->queue_bytes_max;
}

size_t dispatch_queue_weight(const struct dispatch *dispatch)
{
    return dispatch->queue_bytes;
}

/* The i-th waiting parcel. */
static struct parcel *queued_at(struct dispatch *dispatch, uint32_t i)
{
    const uint32_t place = dispatch->first + i;

    return &dispatch->queue[place < dispatch->places ? place : place - dispatch->places];
}

enum status dispatch_push(struct dispatch *dispatch, const struct parcel *parcel)
{
    enum status status = STATUS_OK;

    CHECK(parcel->agency < AGENCIES_MAX && parcel->weight >= BATCH_WEIGHT_EXTRA_BYTES);
    uint32_t *reach = &dispatch->reach[parcel->agency];
    if (seqset_has(&dispatch->held[parcel->agency], parcel->seq))
        return STATUS_EXISTS;
    if (parcel->seq >= BATCHES_MAX - (dispatch->reached - *reach))
        return STATUS_LIMIT;
    if (!dispatch_has_room(dispatch))
        return STATUS_FULL;
    status = seqset_add(&dispatch->held[parcel->agency], parcel->seq);
    if (status != STATUS_OK)
        return status;
    if (parcel->seq >= *reach) {
        dispatch->reached += parcel->seq + 1 - *reach;
        *reach = parcel->seq + 1;
    }
    CHECK(dispatch->queued < dispatch->places);
    *queued_at(dispatch, dispatch->queued) = *parcel;
    dispatch->queued++;
    dispatch->queue_bytes += parcel->weight;
    return STATUS_OK;
}

const struct seqset *dispatch_held(const struct dispatch *dispatch, uint32_t agency)
{
    CHECK(agency < AGENCIES_MAX);
    return &dispatch->held[agency];
}

/* -- stores and their credit -- */

static struct lane *lane_of(struct dispatch *dispatch, uint32_t store)
{
    CHECK(store < STORES_MAX);
    return &dispatch->lanes[store];
}

enum status dispatch_open_store(struct dispatch *dispatch, uint32_t store)
{
    dispatch_close_store(dispatch, store);
    if (store >= dispatch->lanes_count)
        dispatch->lanes_count = store + 1;
    return flights_create(&lane_of(dispatch, store)->flights);
}

/* Ends a flight; the batch is held no more. false: there is no such flight. */
static bool land(struct dispatch *dispatch, struct lane *lane, uint32_t agency, uint32_t attempt,
                 uint32_t seq)
{
    if (!flights_end(lane->flights, agency, attempt, seq))
        return false;
    seqset_remove(&dispatch->held[agency], seq);
    return true;
}

void dispatch_close_store(struct dispatch *dispatch, uint32_t store)
{
    struct lane *lane = lane_of(dispatch, store);
    const struct flight *flight = NULL;

    if (lane->flights == NULL)
        return;
    for (flight = flights_oldest(lane->flights); flight != NULL;
         flight = flights_next(lane->flights, flight))
        seqset_remove(&dispatch->held[flight->agency], flight->seq);
    flights_destroy(&lane->flights);
    *lane = (struct lane){0};
}

void dispatch_credit(struct dispatch *dispatch, uint32_t store, uint64_t admitted_bytes)
{
    struct lane *lane = lane_of(dispatch, store);

    if (lane->flights == NULL || admitted_bytes <= lane->admitted_bytes)
        return;
    lane->admitted_bytes = admitted_bytes;
    if (admitted_bytes > lane->sent_bytes &&
        admitted_bytes - lane->sent_bytes > (uint64_t)CREDIT_BYTES_MAX)
        lane->sent_bytes = admitted_bytes - (uint64_t)CREDIT_BYTES_MAX;
}

void dispatch_spend(struct dispatch *dispatch, uint32_t store)
{
    struct lane *lane = lane_of(dispatch, store);

    if (lane->sent_bytes < lane->admitted_bytes)
        lane->sent_bytes = lane->admitted_bytes;
}

/* What the store may still be sent; nothing where it is closed. */
static uint64_t credit_left(const struct lane *lane)
{
    return lane->admitted_bytes > lane->sent_bytes ? lane->admitted_bytes - lane->sent_bytes : 0;
}

/* The open store with most credit left and a place for one more flight; NULL: there is none. */
static struct lane *choose_lane(struct dispatch *dispatch)
{
    struct lane *chosen = NULL;
    uint64_t most = 0;
    uint32_t store = dispatch->last_served;

    for (uint32_t i = 0; i < dispatch->lanes_count; i++) {
        store = store + 1 < dispatch->lanes_count ? store + 1 : 0;
        const uint64_t left = credit_left(&dispatch->lanes[store]);

        if (left > most && !flights_is_full(dispatch->lanes[store].flights)) {
            most = left;
            chosen = &dispatch->lanes[store];
        }
    }
    return chosen;
}

bool dispatch_next(struct dispatch *dispatch, int64_t now_ms, uint32_t *store,
                   struct parcel *parcel)
{
    struct lane *lane = dispatch->queued > 0 ? choose_lane(dispatch) : NULL;
    const struct parcel *first = queued_at(dispatch, 0);

    if (lane == NULL)
        return false;
    *parcel = *first;
    *store = (uint32_t)(lane - dispatch->lanes);
    dispatch->last_served = *store;
    dispatch->first = dispatch->first + 1 < dispatch->places ? dispatch->first + 1 : 0;
    dispatch->queued--;
    dispatch->queue_bytes -= parcel->weight;
    lane->sent_bytes = lane->sent_bytes > UINT64_MAX - parcel->weight
                           ? UINT64_MAX
                           : lane->sent_bytes + parcel->weight;
    flights_begin(lane->flights, &(struct flight){.agency = parcel->agency,
                                                  .attempt = parcel->attempt,
                                                  .seq = parcel->seq,
                                                  .began_at = now_ms});
    return true;
}

/* -- flights end -- */

void dispatch_land(struct dispatch *dispatch, uint32_t store, uint32_t agency, uint32_t attempt,
                   uint32_t seq)
{
    struct lane *lane = lane_of(dispatch, store);

    CHECK(agency < AGENCIES_MAX);
    if (lane->flights != NULL)
        (void)land(dispatch, lane, agency, attempt, seq);
}

/* Ends what is over in one lane. returns when its next flight ends. */
static int64_t expire_lane(struct dispatch *dispatch, struct lane *lane, int64_t now_ms,
                           int64_t grace_ms)
{
    const struct flight *oldest = NULL;

    while ((oldest = flights_oldest(lane->flights)) != NULL) {
        const int64_t began_at = oldest->began_at;

        if (began_at > INT64_MAX - grace_ms)
            return INT64_MAX;
        if (began_at + grace_ms > now_ms)
            return began_at + grace_ms;
        (void)land(dispatch, lane, oldest->agency, oldest->attempt, oldest->seq);
    }
    return INT64_MAX;
}

int64_t dispatch_expire(struct dispatch *dispatch, int64_t now_ms, int64_t grace_ms)
{
    int64_t earliest = INT64_MAX;

    for (uint32_t store = 0; store < dispatch->lanes_count; store++) {
        int64_t next = INT64_MAX;

        if (dispatch->lanes[store].flights != NULL)
            next = expire_lane(dispatch, &dispatch->lanes[store], now_ms, grace_ms);
        if (next < earliest)
            earliest = next;
    }
    return earliest;
}

void dispatch_shift(struct dispatch *dispatch, int64_t by_ms)
{
    for (uint32_t store = 0; store < dispatch->lanes_count; store++)
        if (dispatch->lanes[store].flights != NULL)
            flights_shift(dispatch->lanes[store].flights, by_ms);
}

/* Ends all flights of one agency, in order of sending. */
static void forget_flights(struct lane *lane, uint32_t agency)
{
    const struct flight *flight = flights_oldest(lane->flights);

    while (flight != NULL) {
        const struct flight ended = *flight;

        flight = flights_next(lane->flights, flight);
        if (ended.agency == agency)
            (void)flights_end(lane->flights, ended.agency, ended.attempt, ended.seq);
    }
}

void dispatch_drop_agency(struct dispatch *dispatch, uint32_t agency)
{
    const uint32_t queued = dispatch->queued;

    CHECK(agency < AGENCIES_MAX);
    dispatch->queued = 0;
    for (uint32_t i = 0; i < queued; i++) {
        const struct parcel parcel = *queued_at(dispatch, i);

        if (parcel.agency != agency) {
            *queued_at(dispatch, dispatch->queued) = parcel;
            dispatch->queued++;
            continue;
        }
        dispatch->queue_bytes -= parcel.weight;
        dispatch->release(parcel.payload);
    }
    for (uint32_t store = 0; store < dispatch->lanes_count; store++)
        if (dispatch->lanes[store].flights != NULL)
            forget_flights(&dispatch->lanes[store], agency);
    seqset_clear(&dispatch->held[agency]);
    dispatch->reached -= dispatch->reach[agency];
    dispatch->reach[agency] = 0;
}

void dispatch_finish_agency(struct dispatch *dispatch, uint32_t agency, uint32_t batches)
{
    CHECK(agency < AGENCIES_MAX);
    if (dispatch->reach[agency] > batches)
        dispatch_drop_agency(dispatch, agency);
}

void dispatch_drop_all(struct dispatch *dispatch)
{
    for (uint32_t i = 0; i < dispatch->queued; i++)
        dispatch->release(queued_at(dispatch, i)->payload);
    dispatch->queued = 0;
    dispatch->queue_bytes = 0;
    for (uint32_t store = 0; store < dispatch->lanes_count; store++) {
        struct flights *flights = dispatch->lanes[store].flights;

        while (flights != NULL && flights_oldest(flights) != NULL) {
            const struct flight oldest = *flights_oldest(flights);

            (void)flights_end(flights, oldest.agency, oldest.attempt, oldest.seq);
        }
    }
    for (uint32_t agency = 0; agency < AGENCIES_MAX; agency++) {
        seqset_clear(&dispatch->held[agency]);
        dispatch->reach[agency] = 0;
    }
    dispatch->reached = 0;
}

/* -- fingerprint -- */

static uint64_t hash_lane(uint64_t hash, uint32_t store, const struct lane *lane)
{
    const uint64_t numbers[] = {store, lane->admitted_bytes, lane->sent_bytes,
                                flights_count(lane->flights)};
    const struct flight *flight = flights_oldest(lane->flights);
    hash = fingerprint_numbers(hash, numbers, sizeof numbers / sizeof *numbers);
    for (; flight != NULL; flight = flights_next(lane->flights, flight)) {
        const uint64_t of_flight[] = {flight->agency, flight->attempt, flight->seq};
        hash = fingerprint_numbers(hash, of_flight, sizeof of_flight / sizeof *of_flight);
    }
    return hash;
}

uint64_t dispatch_fingerprint(const struct dispatch *dispatch, uint64_t hash)
{
    hash = fingerprint_number(hash, dispatch->queued);
    hash = fingerprint_number(hash, dispatch->last_served);
    for (uint32_t i = 0; i < dispatch->queued; i++) {
        const uint32_t place = (dispatch->first + i) % dispatch->places;
        const struct parcel *parcel = &dispatch->queue[place];
        const uint64_t of_parcel[] = {parcel->agency, parcel->attempt, parcel->seq, parcel->weight};
        hash = fingerprint_numbers(hash, of_parcel, sizeof of_parcel / sizeof *of_parcel);
        hash = fingerprint_bytes(hash, parcel->digest.bytes, DIGEST_BYTES);
    }
    for (uint32_t agency = 0; agency < AGENCIES_MAX; agency++)
        if (dispatch->reach[agency] != 0)
            hash = fingerprint_number(hash, (uint64_t)agency << 32 | dispatch->reach[agency]);
    for (uint32_t store = 0; store < dispatch->lanes_count; store++)
        if (dispatch->lanes[store].flights != NULL)
            hash = hash_lane(hash, store, &dispatch->lanes[store]);
    return hash;
}
