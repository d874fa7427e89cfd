/* What happened in the worker's core that an operator may want to read: the shell takes the
 * notes out after each event and writes them to the log (report.c), the core itself never logs. */
#ifndef SORTEO_WORKER_NOTES_H
#define SORTEO_WORKER_NOTES_H

#include <stdbool.h>
#include <stdint.h>

/*    kind              what `number` and `other` are */
#define NOTE_TABLE(X)                                                          \
    X(WELCOMED)         /* epoch's number, lease in ms */                      \
    X(LOST)             /* silence in ms */                                    \
    X(STORED)           /* bets, batches: one group is durable */              \
    X(REJECTED)         /* row, fault */                                       \
    X(CONFLICTED)       /* - */                                                \
    X(CAME_LATE)        /* - */                                                \
    X(DISK_FULL)        /* batches returned, ms until the next try */          \
    X(DISK_HAS_ROOM)    /* - */                                                \
    X(SEAL_RECORDED)    /* number, batches of the manifest */                  \
    X(VOID_RECORDED)    /* - */                                                \
    X(SEAL_DIFFERS)     /* -: another one was recorded first, and stays */     \
    X(MANIFEST_REFUSED) /* -: its parts do not make a manifest of that root */ \
    X(MANIFEST_ROTTEN)  /* -: it is taken from the broker again */             \
    X(READ_BACK)        /* batches, bytes: every digest holds */               \
    X(ROTTEN)           /* - */                                                \
    X(COUNTED)          /* bets, winners */                                    \
    X(QUESTION_DROPPED) /* question, - */                                      \
    X(FORGOTTEN)        /* batches deleted, - */                               \
    X(EPOCH_REFUSED)    /* number that was told, number that is recorded */    \
    X(MESSAGE_DROPPED)  /* kind, - */                                          \
    X(UNEXPECTED)       /* state, event */

enum note_kind {
#define X(name) NOTE_##name,
    NOTE_TABLE(X)
#undef X
};

enum { NOTES_MAX = 128 }; /* between two reports of the shell; what is beyond is not told */

struct note {
    enum note_kind kind;
    uint32_t draw;
    uint32_t agency;
    uint32_t attempt;
    uint32_t seq;
    uint64_t number;
    uint64_t other;
};

/* Open for values: zeroed is empty. */
struct notes {
    struct note notes[NOTES_MAX];
    uint32_t first;
    uint32_t count;
};

static inline void notes_add(struct notes *notes, const struct note *note)
{
    if (notes->count < NOTES_MAX)
        notes->notes[(notes->first + notes->count++) % NOTES_MAX] = *note;
}

/* Takes the oldest note out. false: there is none. */
static inline bool notes_take(struct notes *notes, struct note *note)
{
    if (notes->count == 0)
        return false;
    *note = notes->notes[notes->first];
    notes->first = (notes->first + 1) % NOTES_MAX;
    notes->count--;
    return true;
}

#endif
