/* The rows of a source from any offset on, one after the other, with their place in the file. It
 * feeds the pure CSV reader with the file's bytes; that one drops what is too long for a row. */
#ifndef SORTEO_AGENCY_SCANNER_H
#define SORTEO_AGENCY_SCANNER_H

#include "agency/source.h"
#include "proto/wire/csv.h"

enum { SCANNER_BUFFER_BYTES = 256 * 1024 };

struct scanner;

/* One row and where it stands. */
struct row {
    struct csv_row csv; /* slices valid until the next scanner_next or scanner_begin */
    uint64_t offset;
    uint64_t line; /* from 1 */
};

/* in: source borrowed, outlives the scanner. errors: NO_MEMORY. */
enum status scanner_create(const struct source *source, uint32_t today, struct scanner **scanner);
void scanner_destroy(struct scanner **scanner);

/* Goes to the row that begins at `offset`, which is line `line`. At offset 0 a byte order mark is
 * skipped. */
void scanner_begin(struct scanner *scanner, uint64_t offset, uint64_t line);

/* Reads the next row, good or bad (row->csv.fault). errors: END; IO (errno). */
enum status scanner_next(struct scanner *scanner, struct row *row);

#endif
