/* The table of states (README.md, "States"). What is not listed is zero: AGENCY_NONE. */
#include "agency/states.h"

#include <stdint.h>

#include "proto/wire/check.h"

static const uint8_t NEXT[AGENCY_STATES][AGENCY_EVENTS] = {
    [AGENCY_NONE] =
        {
            [EVENT_BEGIN] = AGENCY_HELLO,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_HELLO] =
        {
            [EVENT_ADMITTED] = AGENCY_SENDING,
            [EVENT_HELD] = AGENCY_READING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_SENDING] =
        {
            [EVENT_ALL_SENT] = AGENCY_DECLARING,
            [EVENT_RESULT] = AGENCY_READING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_READING] =
        {
            [EVENT_ALL_READ] = AGENCY_DECLARING,
            [EVENT_RESULT] = AGENCY_FETCHING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_DECLARING] =
        {
            [EVENT_FINISHED] = AGENCY_WAITING,
            [EVENT_NOT_FINISHED] = AGENCY_DECLARING,
            [EVENT_RESULT] = AGENCY_FETCHING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_DIFFERS] = AGENCY_NAMING,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_WAITING] =
        {
            [EVENT_FINISHED] = AGENCY_WAITING,
            [EVENT_NOT_FINISHED] = AGENCY_DECLARING,
            [EVENT_RESULT] = AGENCY_FETCHING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_DIFFERS] = AGENCY_NAMING,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_FETCHING] =
        {
            [EVENT_NOT_YET] = AGENCY_DECLARING,
            [EVENT_LAST_PAGE] = AGENCY_STORING,
            [EVENT_REDIAL] = AGENCY_HELLO,
            [EVENT_NOT_OPEN] = AGENCY_HELLO,
            [EVENT_NO_RESULT] = AGENCY_PARTING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_STORING] =
        {
            [EVENT_STORED] = AGENCY_LEAVING,
            [EVENT_FAIL] = AGENCY_FAILED,
        },
    [AGENCY_LEAVING] =
        {
            [EVENT_GOODBYE] = AGENCY_DONE,
        },
    [AGENCY_PARTING] =
        {
            [EVENT_GOODBYE] = AGENCY_FAILED,
        },
    [AGENCY_NAMING] =
        {
            [EVENT_FAIL] = AGENCY_FAILED,
        },
};

enum agency_state agency_state_after(enum agency_state state, enum agency_event event)
{
    CHECK((unsigned)state < AGENCY_STATES && (unsigned)event < AGENCY_EVENTS);
    return (enum agency_state)NEXT[state][event];
}

bool agency_state_is_final(enum agency_state state)
{
    return state == AGENCY_DONE || state == AGENCY_FAILED;
}

bool agency_state_says_bye(enum agency_state state)
{
    return state == AGENCY_LEAVING || state == AGENCY_PARTING;
}

const char *agency_state_name(enum agency_state state)
{
    static const char *const NAMES[AGENCY_STATES] = {
#define X(name, text) [AGENCY_##name] = #name,
        AGENCY_STATE_TABLE(X)
#undef X
    };
    CHECK((unsigned)state < AGENCY_STATES);
    return NAMES[state];
}
