/* Every control message of the protocol as a struct, and its one encoding (PROTOCOL.md,
 * "Messages"). Frame 0 is a msgpack array in shortest form: kind, version, draw, then the kind's
 * fields in the order in which they stand here. A second frame, the body, follows where a kind is
 * said to have one. */
#ifndef SORTEO_PROTO_WIRE_MESSAGE_H
#define SORTEO_PROTO_WIRE_MESSAGE_H

#include "proto/wire/batch.h"
#include "proto/wire/digest.h"
#include "proto/wire/identity.h"
#include "proto/wire/slice.h"
#include "proto/wire/status.h"

enum { PROTOCOL_VERSION = 1 };

/*    kind            number  body    who → whom */
#define MESSAGE_TABLE(X)                                           \
    X(BATCH, 1, BODY)     /* agency → broker → worker */       \
    X(MARK, 2, NO_BODY)   /* agency → broker, on bets */         \
    X(HELLO, 10, NO_BODY) /* agency → broker, on rendezvous */   \
    X(POLL, 11, NO_BODY)                                           \
    X(WINNERS, 12, NO_BODY)                                        \
    X(DIGESTS, 13, NO_BODY)                                        \
    X(BYE, 14, NO_BODY)                                            \
    X(ADMITTED, 20, NO_BODY) /* broker → agency: to HELLO */     \
    X(WAIT, 21, NO_BODY)     /* to POLL */                         \
    X(FINISHED, 22, NO_BODY) /* to POLL with a declaration */      \
    X(RESULT, 23, BODY)      /* to WINNERS and POLL, and on PUB */ \
    X(NOT_YET, 24, NO_BODY)  /* to WINNERS */                      \
    X(DIGEST_PAGE, 25, BODY) /* to DIGESTS */                      \
    X(OK, 26, NO_BODY)       /* to BYE */                          \
    X(REFUSED, 27, NO_BODY)  /* to anything */                     \
    X(REGISTER, 40, NO_BODY) /* worker → broker, on dispatch */  \
    X(INVENTORY, 41, BODY)                                         \
    X(CREDIT, 42, NO_BODY)                                         \
    X(STORED, 43, BODY)                                            \
    X(REJECTED, 44, NO_BODY)                                       \
    X(RETURNED, 45, NO_BODY)                                       \
    X(SEALED, 46, NO_BODY)                                         \
    X(FOUND, 47, BODY)                                             \
    X(COUNTED, 48, BODY)                                           \
    X(PONG, 49, NO_BODY)                                           \
    X(FENCED, 50, NO_BODY)                                         \
    X(MANIFEST_PART, 51, BODY)                                     \
    X(WELCOME, 60, NO_BODY) /* broker → worker, on dispatch */   \
    X(DISMISSED, 61, NO_BODY)                                      \
    X(WHO, 62, NO_BODY)                                            \
    X(PING, 63, NO_BODY)                                           \
    X(FORWARD, 64, NO_BODY) /* the frame in front of a BATCH */    \
    X(SEAL, 65, BODY)                                              \
    X(SEAL_VOID, 66, NO_BODY)                                      \
    X(COUNT, 67, BODY)                                             \
    X(FORGET, 68, NO_BODY)                                         \
    X(MANIFEST, 69, NO_BODY)

enum message_kind {
#define X(name, number, body) MESSAGE_##name = (number),
    MESSAGE_TABLE(X)
#undef X
};

/* The draw's phase as it is told. */
enum phase { PHASE_OPEN = 1, PHASE_SEALED = 2, PHASE_PUBLISHED = 3, PHASE_VOID = 4 };

/* Why the broker refuses a request. The values travel.
 *    reason       value exit  what the agency prints behind "refused: " */
#define REFUSAL_TABLE(X)                                                                      \
    X(NOT_OPEN, 1, 75, "the draw is not open yet")                                            \
    X(LATE, 2, 65, "the draw takes no more bets")                                             \
    X(ROSTER, 3, 78, "this agency is not on the draw's roster")                               \
    X(ATTEMPT, 4, 75, "another attempt is in force")                                          \
    X(PLAN, 5, 65, "the plan is outside the broker's limits")                                 \
    X(FINISHED, 6, 65, "this agency has finished and cannot start over")                      \
    X(LIMIT, 7, 65, "the draw holds as many batches or agencies as it can")                   \
    X(SUPERSEDED, 8, 75, "a newer process of this agency has taken over")                     \
    X(REJECTED, 9, 65, "a batch is not valid")                                                \
    X(CONFLICT, 10, 65, "a batch differs from the one that is stored")                        \
    X(DECLARATION, 11, 65, "the declaration differs from what the ledger holds")              \
    X(EXCLUDED, 12, 75, "the draw was made without this agency: it had not finished in time") \
    X(VOID, 13, 75, "the draw is void")                                                       \
    X(UNKNOWN, 14, 65, "the broker does not know this draw")                                  \
    X(MALFORMED, 15, 76, "the broker could not read the request")                             \
    X(VERSION, 16, 76, "the broker speaks another version of the protocol")

enum refusal {
#define X(name, value, exit, text) REFUSAL_##name = (value),
    REFUSAL_TABLE(X)
#undef X
};

/* Why the broker sends a worker away. The values travel.
 *    reason    value exit  what the worker prints behind "dismissed: " */
#define DISMISSAL_TABLE(X)                                                            \
    X(OPENING, 1, 78, "this store is a copy, or another process has opened it since") \
    X(STORES, 2, 78, "the broker knows as many stores as it can")                     \
    X(VERSION, 3, 76, "the broker speaks another version of the protocol")            \
    X(INVENTORY, 4, 76, "the inventory was not of the specified form")

enum dismissal {
#define X(name, value, exit, text) DISMISSAL_##name = (value),
    DISMISSAL_TABLE(X)
#undef X
};

/* The sentence of a reason, and the exit code of a program that ends for it. */
const char *refusal_text(enum refusal refusal);
const char *refusal_name(enum refusal refusal);
int refusal_exit_code(enum refusal refusal);
const char *dismissal_text(enum dismissal dismissal);
int dismissal_exit_code(enum dismissal dismissal);

const char *phase_name(enum phase phase);         /* "OPEN" */
const char *message_name(enum message_kind kind); /* "HELLO" */
bool message_has_body(enum message_kind kind);

/* Where an agency's RESULT is published: "winners/<draw>/<agency>/". It ends in a slash, since a
 * subscription to ".../1" would also be given ".../10". returns its length. */
enum { TOPIC_BYTES_MAX = 32 };
size_t message_write_topic(uint32_t draw, uint32_t agency, char topic[TOPIC_BYTES_MAX]);

/* What an agency says at the end. */
struct declaration {
    uint32_t batches;
    uint64_t bets;
    uint64_t rejected; /* rows skipped under its plan */
    struct digest root;
};

bool declaration_is_equal(const struct declaration *a, const struct declaration *b);

/* -- agency → broker, bets -- */

struct message_batch {
    uint32_t agency;
    uint32_t attempt;
    uint32_t seq;
    uint32_t count; /* bets, 1 to BATCH_BETS_MAX */
    struct digest digest;
}; /* body: the batch */

struct message_mark {
    uint32_t agency;
    uint32_t attempt;
    uint64_t incarnation;
    uint32_t round; /* ≥ 1 */
};

/* -- agency → broker, rendezvous -- */

struct message_hello {
    uint32_t agency;
    uint64_t incarnation;
    uint32_t attempt; /* 0: the one in force, or the first */
    struct plan plan; /* three fields: bets_max, bytes_max, skips_bad_rows */
    uint32_t from;
};

struct message_poll {
    uint32_t agency;
    uint64_t incarnation;
    uint32_t attempt;
    uint32_t round; /* newest one of the agency */
    uint32_t from;
    bool has_declaration;
    struct declaration declaration; /* four fields; zeros without one */
};

struct message_winners {
    uint32_t agency;
    uint32_t from; /* index of a winner */
};

struct message_digests {
    uint32_t agency;
    uint32_t attempt;
    uint32_t from; /* seq */
};

struct message_bye {
    uint32_t agency;
};

/* -- broker → agency -- */

struct message_admitted {
    uint32_t agency;
    uint32_t attempt; /* in force */
    struct plan plan; /* in force */
    uint32_t from;
    uint32_t upto;        /* nothing is said about seqs at or beyond it; UINT32_MAX: all is said */
    struct slice durable; /* ranges */
    uint64_t window_bytes;
    uint32_t frame_bytes_max;
    uint32_t batch_bytes_max;
    uint32_t batches_max;
    enum phase phase;
    struct digest commitment; /* SHA-256 of the seed; zeros when the number was given */
    uint32_t range_first;     /* of the number, both ends included; a given one may lie outside */
    uint32_t range_last;
    bool is_finished; /* a declaration is journaled */
};

/* WAIT and FINISHED have the same fields. */
struct message_wait {
    uint32_t agency;
    uint32_t attempt;
    uint32_t round_seen; /* of this incarnation; 0: none */
    uint32_t from;
    uint32_t upto;
    struct slice durable; /* ranges */
    struct slice held;    /* ranges: queued or in flight */
    uint64_t window_bytes;
    enum phase phase;
    uint32_t agencies_finished;
    uint32_t agencies_expected;
    struct slice missing; /* packed array of agency ids, lowest first, MISSING_NAMED_MAX at most */
};

struct message_result {
    uint32_t agency;
    uint32_t number;
    struct digest root; /* of the manifest */
    struct slice seed;  /* 32 bytes, or none when the number was given */
    uint32_t from;      /* index of the page's first winner */
    uint32_t upto;      /* index behind its last */
    uint32_t total;
}; /* body: winner items */

struct message_not_yet {
    uint32_t agency;
    enum phase phase;
};

struct message_digest_page {
    uint32_t agency;
    uint32_t attempt;
    uint32_t from;
    uint32_t upto;
    uint32_t total; /* batches that the ledger has heard of */
};                  /* body: (upto - from) * 32 bytes; zeros where the ledger knows none */

struct message_ok {
    uint32_t agency;
};

struct message_refused {
    uint32_t agency;
    enum refusal reason;
    uint32_t seq;     /* of the batch, with REJECTED and CONFLICT; else 0 */
    uint32_t row;     /* likewise */
    enum fault fault; /* likewise */
    uint64_t number;  /* what the reason needs: PROTOCOL.md, "REFUSED", says what of which */
};

/* -- worker → broker -- */

struct message_register {
    struct id store;
    struct epoch opening;
    uint64_t free_bytes;
    struct epoch epoch; /* highest broker epoch that this store has recorded */
};

struct message_inventory {
    uint32_t chunk; /* 0, 1, … */
    bool is_last;
    uint32_t items;
}; /* body: inventory items */

struct message_credit {
    uint64_t admitted_bytes; /* since WELCOME, in all */
};

struct message_stored {
    uint32_t agency;
    uint32_t attempt;
    uint32_t items;
}; /* body: stored items */

struct message_rejected {
    uint32_t agency;
    uint32_t attempt;
    uint32_t seq;
    uint32_t row;
    enum fault fault;    /* REJECTED: why; else NONE */
    enum refusal reason; /* REJECTED, CONFLICT or LATE */
};

struct message_returned {
    uint32_t agency;
    uint32_t attempt;
    struct slice seqs; /* ranges */
};

struct message_sealed {
    struct digest root; /* zeros: void */
};

struct message_found {
    uint64_t question_epoch;
    uint32_t question;
    uint32_t agency;
    uint32_t items;
}; /* body: winner items */

struct message_counted {
    uint64_t question_epoch;
    uint32_t question;
    uint64_t bets;
    uint64_t winners;
    uint32_t items;
}; /* body: share items, exactly the sets that were asked */

struct message_fenced {
    struct epoch epoch; /* the higher one */
};

/* MANIFEST_PART (to MANIFEST) and SEAL are chunks of one manifest. */
struct message_part {
    uint32_t part;
    uint32_t parts;
    uint64_t manifest_bytes; /* of all parts */
    struct digest root;
}; /* body: the part's bytes, CHUNK_BYTES_MAX in each but the last */

/* -- broker → worker; each of these has the broker's epoch (number, id) before its own fields -- */

struct message_welcome {
    uint32_t lease_ms;
    uint32_t frame_bytes_max;
};

struct message_dismissed {
    enum dismissal reason;
};

struct message_forward {
    bool is_declared; /* the digest is declared and journaled: replace another one */
};

struct message_count {
    struct digest root;
    uint64_t question_epoch;
    uint32_t question;
    uint32_t items;
}; /* body: share items */

/* One message, whatever its kind. Slices are borrowed from the frame that was decoded. */
struct message {
    enum message_kind kind;
    uint32_t draw;      /* 0 where a kind belongs to none */
    struct epoch epoch; /* of the broker, only in kinds from WELCOME on */
    union {
        struct message_batch batch;
        struct message_mark mark;
        struct message_hello hello;
        struct message_poll poll;
        struct message_winners winners;
        struct message_digests digests;
        struct message_bye bye;
        struct message_admitted admitted;
        struct message_wait wait;
        struct message_result result;
        struct message_not_yet not_yet;
        struct message_digest_page digest_page;
        struct message_ok ok;
        struct message_refused refused;
        struct message_register registration;
        struct message_inventory inventory;
        struct message_credit credit;
        struct message_stored stored;
        struct message_rejected rejected;
        struct message_returned returned;
        struct message_sealed sealed;
        struct message_found found;
        struct message_counted counted;
        struct message_fenced fenced;
        struct message_part part; /* SEAL and MANIFEST_PART */
        struct message_welcome welcome;
        struct message_dismissed dismissed;
        struct message_forward forward;
        struct message_count count;
    };
};

/* Packs frame 0.
 * in: a message whose fields are all in range (schema.c has the bounds; they are checked). Ranges
 *     and lists are of the specified form; one of 0 bytes stands for the empty one.
 * out: bytes written.
 * errors: LIMIT: it does not fit into buffer_bytes. cost: O(bytes), allocates nothing. */
enum status message_encode(const struct message *message, uint8_t *buffer, size_t buffer_bytes,
                           size_t *bytes);

/* Reads frame 0 from outside. Every field's type, range, form and length is checked, ranges and the
 * list of missing agencies to their end; trailing bytes are refused.
 * out: message, with slices of the frame; after MALFORMED or VERSION its kind and draw where they
 *      could be read, else 0 (so that a refusal can name them).
 * errors: MALFORMED; VERSION: another protocol version. cost: O(bytes), allocates nothing. */
enum status message_decode(struct slice frame, struct message *message);

#endif
