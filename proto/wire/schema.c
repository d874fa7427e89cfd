/* The tables of fields, in the order in which they travel, with the bounds that a reader enforces.
 * What no row bounds (an agency's id, an incarnation, a plan that is asked for) may have every
 * value of its width: such a message is readable, and refusing it is the receiver's decision. */
#include "proto/wire/schema.h"

#include "proto/wire/limits.h"

_Static_assert(sizeof(enum phase) == 4 && sizeof(enum refusal) == 4 && sizeof(enum fault) == 4 &&
                   sizeof(enum dismissal) == 4,
               "a choice is stored in 4 bytes");
_Static_assert(sizeof(struct message) <= UINT16_MAX, "an offset has 16 bits");

#define MEMBER(member) offsetof(struct message, member), sizeof(((struct message *)0)->member)

#define NUMBER(member, min, max)                   \
    {                                              \
        FIELD_NUMBER, MEMBER(member), (min), (max) \
    }
#define CHOICE(member, values)                    \
    {                                             \
        FIELD_CHOICE, MEMBER(member), 0, (values) \
    }
#define BOOL(member)                     \
    {                                    \
        FIELD_BOOL, MEMBER(member), 0, 1 \
    }
#define FIXED(member)                     \
    {                                     \
        FIELD_FIXED, MEMBER(member), 0, 0 \
    }
#define OPTIONAL(member, size)                    \
    {                                             \
        FIELD_OPTIONAL, MEMBER(member), 0, (size) \
    }
#define RANGES(member)                                    \
    {                                                     \
        FIELD_RANGES, MEMBER(member), 0, RANGES_BYTES_MAX \
    }
#define AGENCIES(member)                                     \
    {                                                        \
        FIELD_AGENCIES, MEMBER(member), 0, MISSING_NAMED_MAX \
    }

#define ANY_U32(member) NUMBER(member, 0, UINT32_MAX)
#define ANY_U64(member) NUMBER(member, 0, UINT64_MAX)

/* Draws are counted from 1; 0 stands in the messages that belong to none. A REFUSED answers
 * requests whose draw could not be read as well. */
#define DRAW     NUMBER(draw, 1, UINT32_MAX)
#define NO_DRAW  NUMBER(draw, 0, 0)
#define ANY_DRAW ANY_U32(draw)

#define ATTEMPT(member) NUMBER(member, 1, UINT32_MAX)
#define SEQ(member)     NUMBER(member, 0, BATCHES_MAX - 1)
#define ROW(member)     NUMBER(member, 0, BATCH_BETS_MAX - 1)
/* A place in a set of seq where a page begins: the end of the page before it. */
#define FROM(member) NUMBER(member, 0, BATCHES_MAX)
/* How many items a body holds: an item has at least one byte. The senders that have none send
 * nothing. */
#define ITEMS(member) NUMBER(member, 1, FRAME_BYTES_MAX)

/* The sets of values of the enums, from the tables that define them. */
#define VALUE(value)                          (UINT64_C(1) << (value))
#define REASON_VALUE(name, value, exit, text) | VALUE(value)
#define FAULT_VALUE(name, value, text)        | VALUE(value)
#define REFUSALS                              (UINT64_C(0) REFUSAL_TABLE(REASON_VALUE))
#define DISMISSALS                            (UINT64_C(0) DISMISSAL_TABLE(REASON_VALUE))
#define FAULTS                                (UINT64_C(0) FAULT_TABLE(FAULT_VALUE))
#define PHASES \
    (VALUE(PHASE_OPEN) | VALUE(PHASE_SEALED) | VALUE(PHASE_PUBLISHED) | VALUE(PHASE_VOID))
#define REJECTIONS (VALUE(REFUSAL_REJECTED) | VALUE(REFUSAL_CONFLICT) | VALUE(REFUSAL_LATE))

/* -- agency → broker -- */

static const struct field batch_fields[] = {
    DRAW,
    ANY_U32(batch.agency),
    ATTEMPT(batch.attempt),
    SEQ(batch.seq),
    NUMBER(batch.count, 1, BATCH_BETS_MAX),
    FIXED(batch.digest),
};

static const struct field mark_fields[] = {
    DRAW,
    ANY_U32(mark.agency),
    ATTEMPT(mark.attempt),
    ANY_U64(mark.incarnation),
    NUMBER(mark.round, 1, UINT32_MAX),
};

static const struct field hello_fields[] = {
    DRAW,
    ANY_U32(hello.agency),
    ANY_U64(hello.incarnation),
    ANY_U32(hello.attempt),       /* 0: the one in force */
    ANY_U32(hello.plan.bets_max), /* a plan outside the limits is REFUSED PLAN */
    ANY_U32(hello.plan.bytes_max),
    BOOL(hello.plan.skips_bad_rows),
    FROM(hello.from),
};

/* Without a declaration its four fields are zeros; a false one may claim any number. */
static const struct field poll_fields[] = {
    DRAW,
    ANY_U32(poll.agency),
    ANY_U64(poll.incarnation),
    ATTEMPT(poll.attempt),
    ANY_U32(poll.round), /* 0: nothing was sent yet */
    FROM(poll.from),
    BOOL(poll.has_declaration),
    NUMBER(poll.declaration.batches, 0, BATCHES_MAX),
    ANY_U64(poll.declaration.bets),
    ANY_U64(poll.declaration.rejected),
    FIXED(poll.declaration.root),
};

static const struct field winners_fields[] = {
    DRAW,
    ANY_U32(winners.agency),
    ANY_U32(winners.from),
};

static const struct field digests_fields[] = {
    DRAW,
    ANY_U32(digests.agency),
    ATTEMPT(digests.attempt),
    FROM(digests.from),
};

static const struct field bye_fields[] = {
    DRAW,
    ANY_U32(bye.agency),
};

/* -- broker → agency -- */

static const struct field admitted_fields[] = {
    DRAW,
    ANY_U32(admitted.agency),
    ATTEMPT(admitted.attempt),
    NUMBER(admitted.plan.bets_max, 1, BATCH_BETS_MAX),
    NUMBER(admitted.plan.bytes_max, BATCH_BYTES_MIN, BATCH_BYTES_MAX),
    BOOL(admitted.plan.skips_bad_rows),
    FROM(admitted.from),
    ANY_U32(admitted.upto), /* from or higher */
    RANGES(admitted.durable),
    ANY_U64(admitted.window_bytes),
    NUMBER(admitted.frame_bytes_max, 1, FRAME_BYTES_MAX),
    NUMBER(admitted.batch_bytes_max, BATCH_BYTES_MIN, BATCH_BYTES_MAX),
    NUMBER(admitted.batches_max, 1, BATCHES_MAX),
    CHOICE(admitted.phase, PHASES),
    FIXED(admitted.commitment),
    ANY_U32(admitted.range_first),
    ANY_U32(admitted.range_last), /* range_first or higher */
    BOOL(admitted.is_finished),
};

static const struct field wait_fields[] = {
    DRAW,
    ANY_U32(wait.agency),
    ATTEMPT(wait.attempt),
    ANY_U32(wait.round_seen),
    FROM(wait.from),
    ANY_U32(wait.upto), /* from or higher */
    RANGES(wait.durable),
    RANGES(wait.held),
    ANY_U64(wait.window_bytes),
    CHOICE(wait.phase, PHASES),
    NUMBER(wait.agencies_finished, 0, AGENCIES_MAX),
    NUMBER(wait.agencies_expected, 0, AGENCIES_MAX),
    AGENCIES(wait.missing),
};

static const struct field result_fields[] = {
    DRAW,
    ANY_U32(result.agency),
    ANY_U32(result.number),
    FIXED(result.root),
    OPTIONAL(result.seed, DIGEST_BYTES),
    ANY_U32(result.from), /* from, upto and total: none is below the one before it */
    ANY_U32(result.upto),
    ANY_U32(result.total),
};

static const struct field not_yet_fields[] = {
    DRAW,
    ANY_U32(not_yet.agency),
    CHOICE(not_yet.phase, PHASES),
};

static const struct field digest_page_fields[] = {
    DRAW,
    ANY_U32(digest_page.agency),
    ATTEMPT(digest_page.attempt),
    FROM(digest_page.from),
    FROM(digest_page.upto), /* from or higher */
    NUMBER(digest_page.total, 0, BATCHES_MAX),
};

static const struct field ok_fields[] = {
    DRAW,
    ANY_U32(ok.agency),
};

static const struct field refused_fields[] = {
    ANY_DRAW,
    ANY_U32(refused.agency),
    CHOICE(refused.reason, REFUSALS),
    SEQ(refused.seq),
    ROW(refused.row),
    CHOICE(refused.fault, FAULTS),
    ANY_U64(refused.number),
};

/* -- worker → broker -- */

static const struct field register_fields[] = {
    NO_DRAW,
    FIXED(registration.store),
    ANY_U64(registration.opening.number),
    FIXED(registration.opening.id),
    ANY_U64(registration.free_bytes),
    ANY_U64(registration.epoch.number),
    FIXED(registration.epoch.id),
};

static const struct field inventory_fields[] = {
    NO_DRAW, ANY_U32(inventory.chunk), BOOL(inventory.is_last),
    NUMBER(inventory.items, 0, FRAME_BYTES_MAX), /* 0: an empty store has one chunk without items */
};

static const struct field credit_fields[] = {
    NO_DRAW,
    ANY_U64(credit.admitted_bytes),
};

static const struct field stored_fields[] = {
    DRAW,
    ANY_U32(stored.agency),
    ATTEMPT(stored.attempt),
    ITEMS(stored.items),
};

static const struct field rejected_fields[] = {
    DRAW,
    ANY_U32(rejected.agency),
    ATTEMPT(rejected.attempt),
    SEQ(rejected.seq),
    ROW(rejected.row),
    CHOICE(rejected.fault, FAULTS), /* NONE exactly where the reason is not REJECTED */
    CHOICE(rejected.reason, REJECTIONS),
};

static const struct field returned_fields[] = {
    DRAW,
    ANY_U32(returned.agency),
    ATTEMPT(returned.attempt),
    RANGES(returned.seqs),
};

static const struct field sealed_fields[] = {
    DRAW,
    FIXED(sealed.root),
};

static const struct field found_fields[] = {
    DRAW,
    ANY_U64(found.question_epoch),
    ANY_U32(found.question),
    ANY_U32(found.agency),
    ITEMS(found.items),
};

static const struct field counted_fields[] = {
    DRAW,
    ANY_U64(counted.question_epoch),
    ANY_U32(counted.question),
    ANY_U64(counted.bets),
    ANY_U64(counted.winners),
    ITEMS(counted.items),
};

static const struct field pong_fields[] = {
    NO_DRAW,
};

static const struct field fenced_fields[] = {
    NO_DRAW,
    ANY_U64(fenced.epoch.number),
    FIXED(fenced.epoch.id),
};

/* part < parts, and as many parts as the manifest's bytes take at CHUNK_BYTES_MAX each. */
#define PART_FIELDS                                                  \
    NUMBER(part.part, 0, MANIFEST_BYTES_MAX / CHUNK_BYTES_MAX - 1),  \
        NUMBER(part.parts, 1, MANIFEST_BYTES_MAX / CHUNK_BYTES_MAX), \
        NUMBER(part.manifest_bytes, 1, MANIFEST_BYTES_MAX), FIXED(part.root)

static const struct field manifest_part_fields[] = {
    DRAW,
    PART_FIELDS,
};

/* -- broker → worker: the broker's epoch stands behind the draw -- */

#define BROKER_EPOCH ANY_U64(epoch.number), FIXED(epoch.id)

static const struct field welcome_fields[] = {
    NO_DRAW,
    BROKER_EPOCH,
    NUMBER(welcome.lease_ms, 1, UINT32_MAX),
    NUMBER(welcome.frame_bytes_max, 1, FRAME_BYTES_MAX),
};

static const struct field dismissed_fields[] = {
    NO_DRAW,
    BROKER_EPOCH,
    CHOICE(dismissed.reason, DISMISSALS),
};

/* WHO and PING. */
static const struct field no_draw_fields[] = {
    NO_DRAW,
    BROKER_EPOCH,
};

/* The draw is that of the BATCH behind it. */
static const struct field forward_fields[] = {
    DRAW,
    BROKER_EPOCH,
    BOOL(forward.is_declared),
};

static const struct field seal_fields[] = {
    DRAW,
    BROKER_EPOCH,
    PART_FIELDS,
};

static const struct field count_fields[] = {
    DRAW,
    BROKER_EPOCH,
    FIXED(count.root),
    ANY_U64(count.question_epoch),
    ANY_U32(count.question),
    ITEMS(count.items),
};

/* SEAL_VOID, FORGET and MANIFEST. */
static const struct field draw_fields[] = {
    DRAW,
    BROKER_EPOCH,
};

/* -- what must hold between fields -- */

static bool poll_holds(const struct message *message)
{
    static const struct declaration none;
    const struct message_poll *poll = &message->poll;
    return poll->has_declaration || declaration_is_equal(&poll->declaration, &none);
}

static bool admitted_holds(const struct message *message)
{
    const struct message_admitted *admitted = &message->admitted;
    return admitted->from <= admitted->upto && admitted->range_first <= admitted->range_last;
}

static bool wait_holds(const struct message *message)
{
    return message->wait.from <= message->wait.upto;
}

static bool result_holds(const struct message *message)
{
    const struct message_result *result = &message->result;
    return result->from <= result->upto && result->upto <= result->total;
}

static bool digest_page_holds(const struct message *message)
{
    return message->digest_page.from <= message->digest_page.upto;
}

static bool rejected_holds(const struct message *message)
{
    const struct message_rejected *rejected = &message->rejected;
    return (rejected->reason == REFUSAL_REJECTED) == (rejected->fault != FAULT_NONE);
}

static bool part_holds(const struct message *message)
{
    const struct message_part *part = &message->part;
    uint64_t parts = (part->manifest_bytes + CHUNK_BYTES_MAX - 1) / CHUNK_BYTES_MAX;
    return part->part < part->parts && part->parts == parts;
}

#define SCHEMA(fields, holds)                                \
    {                                                        \
        (fields), sizeof(fields) / sizeof *(fields), (holds) \
    }

static const struct schema schemas[] = {
    [MESSAGE_BATCH] = SCHEMA(batch_fields, NULL),
    [MESSAGE_MARK] = SCHEMA(mark_fields, NULL),
    [MESSAGE_HELLO] = SCHEMA(hello_fields, NULL),
    [MESSAGE_POLL] = SCHEMA(poll_fields, poll_holds),
    [MESSAGE_WINNERS] = SCHEMA(winners_fields, NULL),
    [MESSAGE_DIGESTS] = SCHEMA(digests_fields, NULL),
    [MESSAGE_BYE] = SCHEMA(bye_fields, NULL),
    [MESSAGE_ADMITTED] = SCHEMA(admitted_fields, admitted_holds),
    [MESSAGE_WAIT] = SCHEMA(wait_fields, wait_holds),
    [MESSAGE_FINISHED] = SCHEMA(wait_fields, wait_holds),
    [MESSAGE_RESULT] = SCHEMA(result_fields, result_holds),
    [MESSAGE_NOT_YET] = SCHEMA(not_yet_fields, NULL),
    [MESSAGE_DIGEST_PAGE] = SCHEMA(digest_page_fields, digest_page_holds),
    [MESSAGE_OK] = SCHEMA(ok_fields, NULL),
    [MESSAGE_REFUSED] = SCHEMA(refused_fields, NULL),
    [MESSAGE_REGISTER] = SCHEMA(register_fields, NULL),
    [MESSAGE_INVENTORY] = SCHEMA(inventory_fields, NULL),
    [MESSAGE_CREDIT] = SCHEMA(credit_fields, NULL),
    [MESSAGE_STORED] = SCHEMA(stored_fields, NULL),
    [MESSAGE_REJECTED] = SCHEMA(rejected_fields, rejected_holds),
    [MESSAGE_RETURNED] = SCHEMA(returned_fields, NULL),
    [MESSAGE_SEALED] = SCHEMA(sealed_fields, NULL),
    [MESSAGE_FOUND] = SCHEMA(found_fields, NULL),
    [MESSAGE_COUNTED] = SCHEMA(counted_fields, NULL),
    [MESSAGE_PONG] = SCHEMA(pong_fields, NULL),
    [MESSAGE_FENCED] = SCHEMA(fenced_fields, NULL),
    [MESSAGE_MANIFEST_PART] = SCHEMA(manifest_part_fields, part_holds),
    [MESSAGE_WELCOME] = SCHEMA(welcome_fields, NULL),
    [MESSAGE_DISMISSED] = SCHEMA(dismissed_fields, NULL),
    [MESSAGE_WHO] = SCHEMA(no_draw_fields, NULL),
    [MESSAGE_PING] = SCHEMA(no_draw_fields, NULL),
    [MESSAGE_FORWARD] = SCHEMA(forward_fields, NULL),
    [MESSAGE_SEAL] = SCHEMA(seal_fields, part_holds),
    [MESSAGE_SEAL_VOID] = SCHEMA(draw_fields, NULL),
    [MESSAGE_COUNT] = SCHEMA(count_fields, NULL),
    [MESSAGE_FORGET] = SCHEMA(draw_fields, NULL),
    [MESSAGE_MANIFEST] = SCHEMA(draw_fields, NULL),
};

const struct schema *schema_of(uint32_t kind)
{
    bool is_kind = kind < sizeof schemas / sizeof *schemas && schemas[kind].fields != NULL;
    return is_kind ? &schemas[kind] : NULL;
}
