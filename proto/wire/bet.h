/* One bet: what it consists of and which values are allowed (PROTOCOL.md, "Bet"). The one place
 * that decides; the CSV reader and the decoder of a batch both ask here. */
#ifndef SORTEO_PROTO_WIRE_BET_H
#define SORTEO_PROTO_WIRE_BET_H

#include <stdint.h>

#include "proto/wire/limits.h"
#include "proto/wire/slice.h"

struct bet {
    struct slice first_name; /* UTF-8, 1 to NAME_BYTES_MAX bytes */
    struct slice last_name;  /* likewise */
    struct slice
        document; /* visible ASCII (0x21 to 0x7e), 1 to DOCUMENT_BYTES_MAX bytes, kept as text */
    struct slice birthdate; /* "YYYY-MM-DD", a real date from 1900-01-01 to today */
    uint32_t number;
};

/* Why a row is not a bet. The values travel (REJECTED, REFUSED): they never change.
 *    name              value  text, after "line 12: " */
#define FAULT_TABLE(X)                                                                          \
    X(NONE, 0, "no fault")                                                                      \
    X(COLUMNS_MISSING, 1, "a column is missing: first,last,document,birthdate,number expected") \
    X(COLUMNS_EXTRA, 2, "there are more than five columns")                                     \
    X(LINE_TOO_LONG, 3, "the row is longer than 4096 bytes")                                    \
    X(QUOTE, 4, "a quote is not closed, or stands inside a field")                              \
    X(NUL, 5, "there is a NUL byte in the row")                                                 \
    X(NOT_UTF8, 6, "a name is not valid UTF-8")                                                 \
    X(FIRST_NAME_EMPTY, 7, "the first name is empty")                                           \
    X(FIRST_NAME_TOO_LONG, 8, "the first name is longer than 100 bytes")                        \
    X(LAST_NAME_EMPTY, 9, "the last name is empty")                                             \
    X(LAST_NAME_TOO_LONG, 10, "the last name is longer than 100 bytes")                         \
    X(DOCUMENT_EMPTY, 11, "the document is empty")                                              \
    X(DOCUMENT_TOO_LONG, 12, "the document is longer than 32 bytes")                            \
    X(DOCUMENT_CHARACTER, 13, "the document has a character that is not visible ASCII")         \
    X(BIRTHDATE_FORM, 14, "the birthdate is not of the form YYYY-MM-DD")                        \
    X(BIRTHDATE_UNREAL, 15, "the birthdate is no day of the calendar")                          \
    X(BIRTHDATE_RANGE, 16, "the birthdate is before 1900 or in the future")                     \
    X(NUMBER_EMPTY, 17, "the number is empty")                                                  \
    X(NUMBER_CHARACTER, 18, "the number has a character that is no digit")                      \
    X(NUMBER_TOO_LARGE, 19, "the number is larger than 4294967295")                             \
    X(ENCODING, 20, "the batch is not in the specified msgpack form")                           \
    X(COUNT, 21, "the batch does not hold as many bets as its header says")                     \
    X(DIGEST, 22, "the body is not the one that the digest was made from")                      \
    X(NAME_LINE_BREAK, 23, "a name has a line break or another control character in it")

enum fault {
#define X(name, value, text) FAULT_##name = (value),
    FAULT_TABLE(X)
#undef X
};

/* The fault's sentence, lower case and without a full stop; "unknown fault" for a value that is
 * none. */
const char *fault_text(enum fault fault);

/* Says whether the five values may stand in a bet.
 * in: today = YYYYMMDD, the last allowed birthdate; pass 99991231 to skip that bound (a worker
 *     does: what was valid when the agency read it stays valid).
 * returns FAULT_NONE, or the first fault in the order of the columns. cost: O(bytes), allocates
 * nothing. */
enum fault bet_check(const struct bet *bet, uint32_t today);

#endif
