/* What a function answers: 0, or a negative reason. One table gives each code its name, its
 * sentence and the exit code (sysexits) with which a program ends when nothing can be done about
 * it. */
#ifndef SORTEO_PROTO_WIRE_STATUS_H
#define SORTEO_PROTO_WIRE_STATUS_H

/*    name          value  exit  text */
#define STATUS_TABLE(X)                                              \
    X(OK, 0, 0, "success")                                           \
    X(MORE, -1, 70, "more input is needed")                          \
    X(END, -2, 70, "nothing is left")                                \
    X(NO_MEMORY, -3, 75, "out of memory")                            \
    X(LIMIT, -4, 65, "a limit is reached")                           \
    X(MALFORMED, -5, 76, "the bytes do not have the specified form") \
    X(VERSION, -6, 76, "the format version is not known")            \
    X(INVALID, -7, 65, "the value is not allowed")                   \
    X(NOT_FOUND, -8, 66, "not found")                                \
    X(EXISTS, -9, 73, "exists already")                              \
    X(CONFLICT, -10, 65, "differs from what is stored")              \
    X(STALE, -11, 75, "belongs to something older")                  \
    X(FENCED, -12, 78, "a newer broker has taken over")              \
    X(BUSY, -13, 75, "in use by another process")                    \
    X(AGAIN, -14, 75, "not now; try again")                          \
    X(FULL, -15, 74, "no space left")                                \
    X(SYNC, -16, 74, "a write could not be made durable")            \
    X(IO, -17, 74, "input or output failed")                         \
    X(NO_INPUT, -18, 66, "the input cannot be opened")               \
    X(CANNOT_CREATE, -19, 73, "the output cannot be created")        \
    X(UNREACHABLE, -20, 69, "the broker cannot be reached")          \
    X(INTERRUPTED, -21, 75, "interrupted")                           \
    X(USAGE, -22, 64, "the command line is wrong")                   \
    X(CONFIG, -23, 78, "the configuration is wrong")                 \
    X(PROTOCOL, -24, 76, "the peer does not keep the protocol")      \
    X(REFUSED, -25, 65, "refused by the broker")                     \
    X(WRONG, -26, 76, "the result is wrong")

enum status {
#define X(name, value, exit, text) STATUS_##name = (value),
    STATUS_TABLE(X)
#undef X
};

/* The code's sentence, lower case and without a full stop. "unknown status" for a value that is
 * none. */
const char *status_text(enum status status);

/* The exit code (sysexits.h) for a program that gives up for this reason; 70 for a value that is
 * none. */
int status_exit_code(enum status status);

#endif
