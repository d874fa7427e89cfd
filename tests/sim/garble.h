/* A peer whose software or memory is broken: over its own connection comes a letter with something
 * in it that its receiver can find out to be wrong. Each row of the tables says what is changed in
 * which kind of letter, where the changed one comes in, and what has to come of it. */
#ifndef SORTEO_TESTS_SIM_GARBLE_H
#define SORTEO_TESTS_SIM_GARBLE_H

#include "proto/wire/message.h"
#include "tests/sim/world.h"

/* Where the garbled letter comes: beside the true one, or in its place. */
enum garble_place {
    BEFORE = 1,
    AFTER = 2,
    INSTEAD = 4,
    BESIDE = BEFORE | AFTER,
    ANYWHERE = BESIDE | INSTEAD,
};

/* What has to come of it. Where that is of one receiver alone, garble_fate.c demands nothing of the
 * others. */
enum fate {
    FATE_DROPPED,       /* its receiver is as it was; a broker may ask who that is */
    FATE_UNHEEDED,      /* a worker has the same orders as before, and as many seals */
    FATE_DISMISSED,     /* the broker sends DISMISSED where the store registers; it is as it was */
    FATE_ASKED_ANEW,    /* the question that it answers, if it is live, is dropped; else dropped */
    FATE_FENCED,        /* the worker answers FENCED and is as it was */
    FATE_REFUSED,       /* the broker answers REFUSED, and journals nothing */
    FATE_NOT_JOURNALED, /* the broker answers, and journals nothing */
    FATE_NO_PART,     /* likewise, and a broker that has asked for it says what is wrong with it */
    FATE_ENDS_AGENCY, /* the agency ends, if this is the reply that it waits for */
    FATE_UNREAD,      /* likewise, and nothing of the page was read */
    FATE_ENDS_BROKER, /* the broker ends, if it counts that draw: the store has another seal */
    FATE_BORNE,       /* what comes of it is mended by what the protocol has for it anyway */
};

enum field_change { MORE, LESS, FAR, NONE, MOST, BIT };

/* A letter that is being garbled. */
struct garbling {
    struct world *world;
    struct dice *dice;
    const struct letter *letter;
    struct message message; /* of frame 0, which is packed anew from it */
    bool is_packed;         /* frame 0 is in `frames` as it is to be */
    struct slice frames[LETTER_FRAMES];
    uint32_t frames_count;
    uint8_t *header; /* owned: HEADER_BYTES_MAX */
    uint8_t *room;   /* owned: for a frame behind it, GARBLE_ROOM_BYTES */
};

enum { GARBLE_ROOM_BYTES = 2 * CHUNK_BYTES_MAX };

struct garble_row {
    enum line line;
    int kind; /* enum message_kind; 0: all that come over the line */
    const char *what;
    unsigned places; /* of enum garble_place */
    enum fate fate;
    /* Either a number or bytes of the message, or what a function does. It answers false where
     * that cannot be done with this letter, or would not be wrong. */
    size_t at;
    size_t bytes;
    enum field_change how;
    bool (*change)(struct garbling *garbling);
};

#define FIELD(member, how) \
    offsetof(struct message, member), sizeof(((struct message *)0)->member), (how), NULL
#define BY(function) 0, 0, MORE, (function)

extern const struct garble_row garbled_requests[];
extern const size_t garbled_requests_count;
extern const struct garble_row garbled_reports[];
extern const size_t garbled_reports_count;
extern const struct garble_row garbled_replies[];
extern const size_t garbled_replies_count;
extern const struct garble_row garbled_orders[];
extern const size_t garbled_orders_count;

/* A row of the tables, by its place in all of them; NULL: there are no more. */
const struct garble_row *garble_row(size_t index);

/* -- changes that several tables have (garble_change.c) -- */

/* A number far from all that a world has, but below every limit. */
enum { FAR_AWAY = 1000 };

bool garble_header_end(struct garbling *garbling);   /* its last byte is lost */
bool garble_header_twice(struct garbling *garbling); /* a frame too many */
bool garble_frame_lost(struct garbling *garbling);   /* the last one, where there are two */
bool garble_body_end(struct garbling *garbling);     /* its last byte is lost */
bool garble_body_longer(struct garbling *garbling);  /* a byte too many */
/* Its items again and again, until there are more bytes than that. returns how often they are there
 * then; 0: there are none, or more already. */
uint32_t garble_body_above(struct garbling *garbling, size_t most);
bool garble_winner(struct garbling *garbling); /* number, seq or row of one of them */
bool garble_winners_twice(struct garbling *garbling);
bool garble_share(struct garbling *garbling); /* agency, attempt or seqs of one of them */
bool garble_shares_twice(struct garbling *garbling);
bool garble_share_lost(struct garbling *garbling); /* the last one of several */
bool garble_share_for_another(
    struct garbling *garbling); /* the first one, in the last one's place */
/* The first part of two; the other one never comes. */
bool garble_manifest_half(struct garbling *garbling);
/* A bit of it, so that it is none any more. */
bool garble_manifest(struct garbling *garbling);
/* Digest, body or count of a BATCH, of which a header and its body stand at these frames. */
bool garble_batch(struct garbling *garbling, uint32_t header);

#endif
