/* A stage for the agency's core: an agency of draw 7 with id 3, its outbox, and short words for
 * what its broker, its reader and its sockets tell it. Time is whatever the test says. */
#ifndef SORTEO_TESTS_UNIT_AGENCY_STAGE_H
#define SORTEO_TESTS_UNIT_AGENCY_STAGE_H

#include <criterion/criterion.h>

#include "agency/agency.h"
#include "agency/pace.h"
#include "proto/wire/pack.h"
#include "proto/wire/seqset.h"

enum { DRAW = 7, AGENCY = 3, INCARNATION = 1000, WINDOW_BYTES = 1 << 20, CUT_BYTES = 1000 };

struct stage {
    struct agency *agency;
    struct outbox *outbox;
    int64_t now_ms;
    struct message request; /* the last one on rendezvous */
    uint32_t requests;      /* on rendezvous, in all */
    uint32_t marks;
    uint32_t mark_round; /* of the last MARK */
    bool marks_block;    /* the bets socket takes no MARK */
    unsigned orders;     /* all that were given */
    uint8_t ranges[2][256];
};

static inline struct agency_terms stage_terms(void)
{
    return (struct agency_terms){
        .draw = DRAW,
        .id = AGENCY,
        .incarnation = INCARNATION,
        .plan = {.bets_max = 100, .bytes_max = 4096},
        .retries_max = 9,
        .connect_timeout_ms = 30000,
        .jitter_seed = 1,
    };
}

/* One tick at the stage's time; everything that the core wants sent is taken out. */
static inline void stage_tick(struct stage *stage)
{
    agency_tick(stage->agency, stage->now_ms, stage->outbox);
    stage->orders |= agency_take_orders(stage->agency);
    uint32_t marks = stage->marks;
    for (size_t i = 0; i < outbox_count(stage->outbox); i++) {
        const struct outbound *outbound = outbox_at(stage->outbox, i);
        struct message message;
        cr_assert_eq(message_decode(outbound->header, &message), STATUS_OK);
        cr_assert_eq(message.draw, DRAW);
        if (outbound->port == PORT_RENDEZVOUS) {
            if (message.kind == MESSAGE_POLL) /* [M-20] */
                cr_assert_eq(stage->marks, marks + 1, "no MARK in front of POLL");
            stage->request = message;
            stage->requests++;
            continue;
        }
        cr_assert_eq(message.kind, MESSAGE_MARK);
        stage->marks++;
        stage->mark_round = message.mark.round;
        if (!stage->marks_block)
            agency_on_marked(stage->agency);
    }
    outbox_reset(stage->outbox);
}

static inline void stage_begin(struct stage *stage, const struct agency_terms *terms)
{
    *stage = (struct stage){0};
    cr_assert_eq(agency_create(terms, &stage->agency), STATUS_OK);
    cr_assert_eq(outbox_create(AGENCY_OUTBOX_MESSAGES, AGENCY_OUTBOX_BYTES, &stage->outbox),
                 STATUS_OK);
    agency_begin(stage->agency, 0);
    stage_tick(stage);
}

static inline void stage_end(struct stage *stage)
{
    agency_destroy(&stage->agency);
    outbox_destroy(&stage->outbox);
}

/* Lets time go on to the core's deadline. */
static inline void stage_wait(struct stage *stage)
{
    int64_t deadline = agency_deadline(stage->agency);
    cr_assert_neq(deadline, INT64_MAX, "nothing is due");
    if (deadline > stage->now_ms)
        stage->now_ms = deadline;
    stage_tick(stage);
}

/* Asks at its deadline until the broker is asked for `kind`, without an answer in between. */
static inline void stage_until(struct stage *stage, enum message_kind kind)
{
    uint32_t before = stage->requests;
    stage_tick(stage);
    while (stage->requests == before)
        stage_wait(stage);
    cr_assert_eq(stage->request.kind, kind, "asked for %s", message_name(stage->request.kind));
}

static inline void stage_answer(struct stage *stage, const struct message *reply, struct slice body)
{
    agency_on_reply(stage->agency, stage->now_ms, reply, body);
    stage_tick(stage);
}

/* Ranges of seqs first…first+count-1; none for count 0. */
static inline struct slice stage_ranges(struct stage *stage, int which, uint32_t first,
                                        uint32_t count)
{
    struct packer packer;
    pack_begin(&packer, stage->ranges[which], sizeof(stage->ranges[which]));
    pack_array(&packer, count == 0 ? 0 : 2);
    if (count > 0) {
        pack_unsigned(&packer, first);
        pack_unsigned(&packer, count);
    }
    return (struct slice){.data = packer.buffer, .bytes = packer.bytes};
}

/* ADMITTED as the request wished it, with `durable` batches from 0 on. */
static inline struct message stage_admitted(struct stage *stage, uint32_t durable)
{
    const struct message_hello *hello = &stage->request.hello;
    return (struct message){
        .kind = MESSAGE_ADMITTED,
        .draw = DRAW,
        .admitted =
            {
                .agency = AGENCY,
                .attempt = hello->attempt == 0 ? 1 : hello->attempt,
                .plan = hello->plan,
                .from = hello->from,
                .upto = UINT32_MAX,
                .durable = stage_ranges(stage, 0, 0, durable),
                .window_bytes = WINDOW_BYTES,
                .frame_bytes_max = FRAME_BYTES_MAX,
                .batch_bytes_max = BATCH_BYTES_MAX,
                .batches_max = BATCHES_MAX,
                .phase = PHASE_OPEN,
                .range_last = 9999,
            },
    };
}

static inline void stage_admit(struct stage *stage, uint32_t durable)
{
    cr_assert_eq(stage->request.kind, MESSAGE_HELLO);
    const struct message admitted = stage_admitted(stage, durable);
    stage_answer(stage, &admitted, (struct slice){0});
}

/* WAIT (or FINISHED) with ranges 0…durable-1 and held_first…, for the POLL that is out. */
static inline struct message stage_wait_reply(struct stage *stage, uint32_t round_seen,
                                              uint32_t durable, uint32_t held_first, uint32_t held)
{
    return (struct message){
        .kind = MESSAGE_WAIT,
        .draw = DRAW,
        .wait =
            {
                .agency = AGENCY,
                .attempt = stage->request.poll.attempt,
                .round_seen = round_seen,
                .from = stage->request.poll.from,
                .upto = UINT32_MAX,
                .durable = stage_ranges(stage, 0, 0, durable),
                .held = stage_ranges(stage, 1, held_first, held),
                .window_bytes = WINDOW_BYTES,
                .phase = PHASE_OPEN,
                .agencies_expected = 5,
                .missing = {.data = (const uint8_t *)"\x90", .bytes = 1},
            },
    };
}

/* Waits for a POLL and answers it. */
static inline void stage_tell(struct stage *stage, uint32_t round_seen, uint32_t durable,
                              uint32_t held_first, uint32_t held)
{
    if (stage->request.kind != MESSAGE_POLL)
        stage_until(stage, MESSAGE_POLL);
    const struct message reply = stage_wait_reply(stage, round_seen, durable, held_first, held);
    stage->request.kind = MESSAGE_OK; /* answered */
    stage_answer(stage, &reply, (struct slice){0});
}

static inline void stage_finish(struct stage *stage, uint32_t round_seen, uint32_t durable)
{
    if (stage->request.kind != MESSAGE_POLL)
        stage_until(stage, MESSAGE_POLL);
    cr_assert(stage->request.poll.has_declaration);
    struct message reply = stage_wait_reply(stage, round_seen, durable, 0, 0);
    reply.kind = MESSAGE_FINISHED;
    stage->request.kind = MESSAGE_OK;
    stage_answer(stage, &reply, (struct slice){0});
}

/* The reader cuts `batches` more, of ten bets each. */
static inline void stage_cut(struct stage *stage, uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++) {
        uint32_t seq = agency_cuts(stage->agency)->count;
        const struct cut cut = {
            .offset = (uint64_t)seq * 100,
            .line = (uint64_t)seq * 10 + 1,
            .bets = 10,
            .bytes = CUT_BYTES,
            .digest = {{(uint8_t)seq, 1}},
        };
        agency_on_cut(stage->agency, stage->now_ms, &cut);
    }
}

static inline struct declaration stage_declaration(const struct stage *stage)
{
    uint32_t batches = agency_cuts(stage->agency)->count;
    return (struct declaration){.batches = batches, .bets = batches * 10, .root = {{9}}};
}

static inline void stage_read_to_end(struct stage *stage)
{
    const struct declaration declaration = stage_declaration(stage);
    agency_on_end(stage->agency, stage->now_ms, &declaration);
}

/* Sends what the core names, at most `batches`; returns how many. */
static inline uint32_t stage_send(struct stage *stage, uint32_t batches)
{
    uint32_t sent = 0;
    uint32_t seq;
    while (sent < batches && agency_next_batch(stage->agency, &seq)) {
        agency_on_sent(stage->agency, stage->now_ms, seq);
        sent++;
    }
    return sent;
}

/* An agency that was admitted, has sent `batches` batches and read its file to the end. */
static inline void stage_all_sent(struct stage *stage, uint32_t batches)
{
    stage_admit(stage, 0);
    stage_cut(stage, batches);
    cr_assert_eq(stage_send(stage, batches), batches);
    stage_read_to_end(stage);
    cr_assert_eq(agency_state(stage->agency), AGENCY_DECLARING);
    stage_tick(stage);
}

static inline struct message stage_refusal(enum refusal reason, uint64_t number)
{
    return (struct message){
        .kind = MESSAGE_REFUSED,
        .draw = DRAW,
        .refused = {.agency = AGENCY, .reason = reason, .number = number},
    };
}

static inline void stage_refuse(struct stage *stage, enum refusal reason, uint64_t number)
{
    const struct message refusal = stage_refusal(reason, number);
    stage_answer(stage, &refusal, (struct slice){0});
}

static inline enum agency_cause stage_cause(const struct stage *stage)
{
    return agency_outcome(stage->agency)->cause;
}

#endif
