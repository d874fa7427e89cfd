/* A buffer that slides over the file. */
#include "agency/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/check.h"

struct scanner {
    const struct source *source; /* borrowed */
    uint32_t today;
    uint64_t offset; /* in the file, of the buffer's first byte */
    uint64_t line;   /* of the next row */
    size_t bytes;    /* in the buffer */
    bool is_last;    /* the file ends with the buffer */
    bool is_fresh;   /* nothing was read since scanner_begin */
    struct csv csv;
    uint8_t buffer[SCANNER_BUFFER_BYTES];
};

_Static_assert((int)SCANNER_BUFFER_BYTES >= 4 * (int)CSV_LINE_BYTES_MAX,
               "a row that is not too long fits behind what is left of the one before");

enum status scanner_create(const struct source *source, uint32_t today, struct scanner **scanner)
{
    struct scanner *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return STATUS_NO_MEMORY;
    created->source = source;
    created->today = today;
    scanner_begin(created, 0, 1);
    *scanner = created;
    return STATUS_OK;
}

void scanner_destroy(struct scanner **scanner)
{
    free(*scanner);
    *scanner = NULL;
}

void scanner_begin(struct scanner *scanner, uint64_t offset, uint64_t line)
{
    scanner->offset = offset;
    scanner->line = line;
    scanner->bytes = 0;
    scanner->is_last = false;
    scanner->is_fresh = true;
    csv_begin(&scanner->csv, scanner->buffer, 0, false, scanner->today);
}

/* Moves the unread rest to the front and reads behind it until the buffer is full or the file
 * ends. */
static enum status refill(struct scanner *scanner)
{
    size_t rest = scanner->bytes - scanner->csv.at;
    CHECK(rest <= CSV_LINE_BYTES_MAX + 2); /* csv_next drops the start of a longer row */
    memmove(scanner->buffer, scanner->buffer + scanner->csv.at, rest);
    scanner->offset += scanner->csv.at;
    scanner->bytes = rest;
    while (scanner->bytes < SCANNER_BUFFER_BYTES) {
        size_t got;
        enum status status = source_read(scanner->source, scanner->offset + scanner->bytes,
                                         scanner->buffer + scanner->bytes,
                                         SCANNER_BUFFER_BYTES - scanner->bytes, &got);
        if (status != STATUS_OK)
            return status;
        scanner->bytes += got;
        if (got == 0) {
            scanner->is_last = true;
            break;
        }
    }
    csv_begin(&scanner->csv, scanner->buffer, scanner->bytes, scanner->is_last, scanner->today);
    if (scanner->is_fresh && scanner->offset == 0)
        scanner->csv.at = csv_byte_order_mark(scanner->buffer, scanner->bytes);
    scanner->is_fresh = false;
    return STATUS_OK;
}

enum status scanner_next(struct scanner *scanner, struct row *row)
{
    for (;;) {
        row->offset = scanner->offset + scanner->csv.at;
        row->line = scanner->line;
        enum status status = csv_next(&scanner->csv, &row->csv);
        if (status == STATUS_OK) {
            scanner->line += row->csv.lines;
            return STATUS_OK;
        }
        if (status != STATUS_MORE)
            return status;
        CHECK(!scanner->is_last);
        status = refill(scanner);
        if (status != STATUS_OK)
            return status;
    }
}
