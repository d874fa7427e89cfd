/* Every named maximum of Sorteo, with where its number comes from. Nothing here is an option: what
 * an operator may change is an option of a program, bounded by what stands here. Numbers that a
 * peer has to know stand in PROTOCOL.md under "Limits" with the same name. */
#ifndef SORTEO_PROTO_WIRE_LIMITS_H
#define SORTEO_PROTO_WIRE_LIMITS_H

enum {
    /* A bet (PROTOCOL.md, "Bet"). */
    NAME_BYTES_MAX = 100,
    DOCUMENT_BYTES_MAX = 32,
    BIRTHDATE_BYTES = 10, /* YYYY-MM-DD */
    BIRTH_YEAR_MIN = 1900,
    CSV_FIELDS = 5,
    CSV_LINE_BYTES_MAX = 4096,  /* a row of quotes with every field at its limit takes 500 */
    BET_PACKED_BYTES_MAX = 256, /* 1 + (2+100) * 2 + (2+32) + (1+10) + 5 = 255 */

    /* A batch. */
    /* What a batch costs a queue besides its body, rounded up: two messages of libzmq's with their
     * contents, a parcel, malloc's own. */
    BATCH_WEIGHT_EXTRA_BYTES = 512,
    BATCH_BYTES_MIN = 512,           /* holds one bet of any size */
    BATCH_BYTES_MAX = 512 * 1024,    /* largest body; a frame's half, so that two fit anywhere */
    BATCH_BYTES_DEFAULT = 64 * 1024, /* 1,600 bets of 40 bytes, and 500 of them in a queue */
    BATCH_BETS_MAX =
        1 << 17, /* more than fit into BATCH_BYTES_MAX: a packed bet has 19 bytes or more */
    BATCHES_MAX = 1 << 20, /* per draw, P6 */

    /* A message. */
    FRAME_BYTES_MAX = 1 << 20,    /* MAXMSGSIZE on every socket, and what HELLO tells */
    HEADER_BYTES_MAX = 64 * 1024, /* frame 0 of any message */
    PAGE_BYTES_MAX = 64 * 1024,   /* body of a paged answer */
    RANGES_BYTES_MAX = 16 * 1024, /* one packed set of ranges; two of them fit into a header */
    CHUNK_BYTES_MAX = 256 * 1024, /* body of an inventory's or a manifest's chunk */
    FRAMES_MAX = 8,               /* of one message, envelope included; more is dropped */
    MISSING_NAMED_MAX = 64,       /* agencies that a WAIT names */

    /* A draw and its peers. */
    AGENCIES_MAX = 1024,  /* of one draw */
    STORES_MAX = 64,      /* known to one journal */
    DRAWS_KEPT = 8,       /* draws whose batches the stores keep; older ones are forgotten */
    QUESTIONS_MAX = 4096, /* live and answered questions of one draw's count */

    /* Times in ms (PROTOCOL.md, "Times"). */
    LEASE_MS = 3000,       /* silence after which a worker, or an agency's share, is gone */
    RETRY_MS = 1000,       /* how long an agency waits for a reply before it asks again */
    UNANSWERED_REDIAL = 3, /* unanswered requests after which an agency dials anew */
    WAIT_MS_MIN = 1000,    /* shortest and longest pause between POLLs of a waiting agency */
    WAIT_MS_MAX = 15000,
    STALLED_MS_MIN = 9000, /* three leases: before an agency to whom replies come dials anew */
    STALLED_MS_MAX = 144000,

    /* Credit and queue. */
    CREDIT_BYTES_MAX = 8 * 1024 * 1024, /* outstanding per worker */
    QUEUE_BYTES_DEFAULT = 32 * 1024 * 1024,
    MANIFEST_BYTES_MAX = 64 * 1024 * 1024, /* 2^20 batches and 1024 agencies take 38.9 MB */

    /* Text from outside that is copied into a log or an error. */
    TEXT_BYTES_MAX = 256,
};

_Static_assert(BATCH_BYTES_MIN >= 5 + BET_PACKED_BYTES_MAX,
               "the smallest batch holds one bet of any size");
_Static_assert(BATCH_BYTES_MAX + HEADER_BYTES_MAX <= FRAME_BYTES_MAX, "a batch fits into a frame");
_Static_assert(2 * RANGES_BYTES_MAX + 4096 <= HEADER_BYTES_MAX,
               "a WAIT's two sets fit into a header");
_Static_assert(CHUNK_BYTES_MAX <= FRAME_BYTES_MAX, "a chunk fits into a frame");

#endif
