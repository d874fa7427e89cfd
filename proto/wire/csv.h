/* From bytes of a CSV file to rows and bets (README.md, "Input": RFC 4180 quoting, LF or CRLF, no
 * header, a byte order mark allowed at the start). Pure: whoever owns the file feeds the bytes. One
 * pass, no allocation per row; fields are slices of the caller's buffer, copied only where a
 * doubled quote makes it necessary.
 *
 * What RFC 4180 leaves open: a quote inside a field that does not begin with one is a fault, and so
 * is text behind a closing quote; a CR without an LF behind it is part of its field; a number may
 * have any number of leading zeros. A row has up to CSV_LINE_BYTES_MAX bytes without its line
 * end. */
#ifndef SORTEO_PROTO_WIRE_CSV_H
#define SORTEO_PROTO_WIRE_CSV_H

#include "proto/wire/bet.h"
#include "proto/wire/status.h"

/* A cursor over one buffer of CSV text. */
struct csv {
    const uint8_t *text; /* borrowed */
    size_t bytes;
    size_t at;      /* next byte to read */
    bool is_last;   /* no more bytes follow this buffer: a row need not end in a line end */
    uint32_t today; /* for bet_check */
    uint8_t scratch[CSV_LINE_BYTES_MAX]; /* fields that had doubled quotes, of the row being read */
};

/* A row, good or bad. `raw` is the row as it stands in the file, without its line end. */
struct csv_row {
    struct slice raw;   /* slice of the buffer */
    size_t bytes_taken; /* with the line end */
    uint32_t lines;     /* line ends inside and after it: a quoted field may span lines */
    enum fault fault;   /* FAULT_NONE: bet is valid */
    struct bet bet;     /* slices of the buffer or of csv->scratch; valid until the next csv_next */
};

/* Starts over at the beginning of a buffer. in: `text` borrowed until the last csv_next. */
void csv_begin(struct csv *csv, const uint8_t *text, size_t bytes, bool is_last, uint32_t today);

/* Reads one row. Blank lines are rows with FAULT_COLUMNS_MISSING, except an empty end of the file.
 * The first that holds is the row's fault: LINE_TOO_LONG, NUL, QUOTE, a missing or extra column,
 * bet_check's, the number's. After a fault the cursor stands behind the row's line end, so that
 * every bad row can be reported. A row whose end cannot be told (QUOTE, LINE_TOO_LONG) is its first
 * line; a quote that is not closed within CSV_LINE_BYTES_MAX is taken for one that is never closed.
 * Rows do not depend on how the file is cut into buffers, but for `raw` of a LINE_TOO_LONG that
 * does not fit into one: only its end is left.
 * out: `row`, only when STATUS_OK.
 * errors: MORE: the row is not complete in this buffer and is not the last (call csv_begin again
 *         with the bytes from csv->at and more behind them; these are at most CSV_LINE_BYTES_MAX +
 *         2, the start of a longer row is dropped); END: no row is left.
 * cost: O(bytes of the row), allocates nothing. */
enum status csv_next(struct csv *csv, struct csv_row *row);

/* Length of a UTF-8 byte order mark at the start of a file: 3 or 0. */
size_t csv_byte_order_mark(const uint8_t *text, size_t bytes);

#endif
