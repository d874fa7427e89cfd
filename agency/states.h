/* The states of an agency and the one table of how they follow each other; README.md draws it. The
 * core decides which event a message, the reader or the time amounts to, and asks here what comes
 * next. */
#ifndef SORTEO_AGENCY_STATES_H
#define SORTEO_AGENCY_STATES_H

#include <stdbool.h>

/*    state      what the agency is about */
#define AGENCY_STATE_TABLE(X)                                     \
    X(NONE, "nothing yet")                                        \
    X(HELLO, "asks to be admitted")                               \
    X(SENDING, "reads its file and sends the batches")            \
    X(READING, "reads its file to the end and sends nothing")     \
    X(DECLARING, "has sent everything and declares it")           \
    X(WAITING, "has finished and waits for the others")           \
    X(FETCHING, "asks for its winners, page by page")             \
    X(STORING, "has all pages; the shell makes the file durable") \
    X(LEAVING, "has its winners on disk and says BYE")            \
    X(PARTING, "was told that it gets none, and says BYE")        \
    X(NAMING, "was refused and asks which batch differs")         \
    X(DONE, "has its winners")                                    \
    X(FAILED, "has given up; the outcome says why")

enum agency_state {
#define X(name, text) AGENCY_##name,
    AGENCY_STATE_TABLE(X)
#undef X
        AGENCY_STATES,
};

enum agency_event {
    EVENT_BEGIN,        /* the process has started */
    EVENT_ADMITTED,     /* HELLO is answered to its end: batches may be sent */
    EVENT_HELD,         /* HELLO told a declaration or a result: read first */
    EVENT_ALL_SENT,     /* the file is read and nothing is left to send */
    EVENT_ALL_READ,     /* the file is read */
    EVENT_FINISHED,     /* POLL: the declaration is journaled */
    EVENT_NOT_FINISHED, /* POLL: the declaration is not journaled */
    EVENT_RESULT,       /* the result can be fetched */
    EVENT_NOT_YET,      /* the result cannot be fetched after all */
    EVENT_LAST_PAGE,    /* the last page of winners was taken */
    EVENT_STORED,       /* the winners are on disk */
    EVENT_NO_RESULT,    /* the draw is void, or is made without it */
    EVENT_GOODBYE,      /* BYE is answered, or was said often enough */
    EVENT_REDIAL,       /* too many requests in a row are unanswered */
    EVENT_NOT_OPEN,     /* the draw is not open yet */
    EVENT_DIFFERS,      /* the declaration was refused */
    EVENT_FAIL,         /* it is over: see the outcome */
    AGENCY_EVENTS,
};

/* The state that follows; AGENCY_NONE for a pair that the table does not list. */
enum agency_state agency_state_after(enum agency_state state, enum agency_event event);

/* True in DONE and FAILED. */
bool agency_state_is_final(enum agency_state state);

/* True in LEAVING and PARTING: nothing but BYE is left to be said. */
bool agency_state_says_bye(enum agency_state state);

/* The state's name, for logs: "WAITING". */
const char *agency_state_name(enum agency_state state);

#endif
