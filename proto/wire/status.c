/* What each status is called, what it says and how a program ends with it: status.h's table, three
 * times. */
#include "proto/wire/status.h"

/* EX_SOFTWARE of sysexits.h: a status that is none, or that must never end a program, is our own
 * bug. */
enum { EXIT_CODE_OF_BUG = 70 };

const char *status_text(enum status status)
{
    switch (status) {
#define X(name, value, exit, text) \
    case STATUS_##name:            \
        return text;
        STATUS_TABLE(X)
#undef X
    }
    return "unknown status";
}

int status_exit_code(enum status status)
{
    switch (status) {
#define X(name, value, exit, text) \
    case STATUS_##name:            \
        return exit;
        STATUS_TABLE(X)
#undef X
    }
    return EXIT_CODE_OF_BUG;
}
