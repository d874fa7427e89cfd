/* Rows of CSV text (csv.h). Nearly every row has no quote in it: for those, commas and line ends of
 * 64 bytes are gathered into bits at a time, and no byte is looked at by itself. Rows with quotes,
 * and those at a buffer's end, are scanned field by field. What a row's values may be is bet.h's to
 * say. */
#include "proto/wire/csv.h"

#include "proto/wire/word.h"

enum {
    /* A row that has not ended within so many bytes is too long: its last line end would be CR
     * LF. */
    WINDOW_BYTES = CSV_LINE_BYTES_MAX + 2,
};

/* Where the parts of a row are, counted from its first byte. The first five fields only; a quoted
 * one is what stands between its quotes. */
struct layout {
    uint32_t starts[CSV_FIELDS];
    uint32_t ends[CSV_FIELDS];
    uint32_t fields_count; /* of all */
    bool has_doubled;      /* quotes, in some field */
    uint32_t row_bytes;    /* without the line end */
    uint32_t bytes_taken;  /* with it */
};

size_t csv_byte_order_mark(const uint8_t *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

void csv_begin(struct csv *csv, const uint8_t *text, size_t bytes, bool is_last, uint32_t today)
{
    csv->text = text;
    csv->bytes = bytes;
    csv->at = 0;
    csv->is_last = is_last;
    csv->today = today;
}

static inline void add_field(struct layout *layout, size_t start, size_t end)
{
    if (layout->fields_count < CSV_FIELDS) {
        layout->starts[layout->fields_count] = (uint32_t)start;
        layout->ends[layout->fields_count] = (uint32_t)end;
    }
    layout->fields_count++;
}

/* ---- rows without quotes ---- */

/* Lays out a row without a quote that ends well before the text does. Says false, and has written
 * nonsense, where it is not such a row. */
static inline bool lay_out_plain(const uint8_t *text, size_t bytes, struct layout *layout)
{
    size_t start = 0;
    layout->fields_count = 0;
    layout->has_doubled = false;
    for (size_t block = 0; block < WINDOW_BYTES && bytes - block >= BLOCK_BYTES;
         block += BLOCK_BYTES) {
        if (block_find(text + block, '"') != 0)
            return false;
        uint64_t commas = block_find(text + block, ',');
        uint64_t line_ends = block_find(text + block, '\n');
        commas &= (line_ends - 1) & ~line_ends; /* of this row; all, where it goes on */
        for (; commas != 0; commas &= commas - 1) {
            size_t comma = block + (size_t)__builtin_ctzll(commas);
            add_field(layout, start, comma);
            start = comma + 1;
        }
        if (line_ends == 0)
            continue;
        size_t end = block + (size_t)__builtin_ctzll(line_ends);
        layout->bytes_taken = (uint32_t)end + 1;
        end -= end > start && text[end - 1] == '\r';
        layout->row_bytes = (uint32_t)end;
        add_field(layout, start, end);
        return end <= CSV_LINE_BYTES_MAX;
    }
    return false;
}

/* ---- any row ---- */

enum scanned {
    SCANNED_FIELD,     /* and the comma behind it */
    SCANNED_ROW,       /* its last field and its end */
    SCANNED_TO_NO_END, /* the row goes on behind the text */
    SCANNED_OPEN_QUOTE,
    SCANNED_STRAY_QUOTE,
};

/* The text that one row is looked for in. */
struct scan {
    const uint8_t *text;
    size_t bytes;
    bool is_last; /* nothing follows it */
    size_t at;
};

/* What stands at the scan, behind a field of either kind: a comma, the row's end, or what no field
 * may be followed by, text behind a closing quote or a quote in a field without. */
static enum scanned scan_end(struct scan *scan, struct layout *layout)
{
    const uint8_t *from = scan->text + scan->at;
    size_t left = scan->bytes - scan->at;
    bool has_cr = left > 0 && from[0] == '\r';
    if (left == has_cr && !scan->is_last)
        return SCANNED_TO_NO_END;
    if (left > 0 && from[0] == ',') {
        scan->at++;
        return SCANNED_FIELD;
    }
    if (left > 0 && (left == has_cr || from[has_cr] != '\n'))
        return SCANNED_STRAY_QUOTE;
    layout->row_bytes = (uint32_t)scan->at;
    layout->bytes_taken = layout->row_bytes + (left > 0 ? 1u + has_cr : 0);
    return SCANNED_ROW;
}

/* A field that begins with a quote, at which the scan stands. */
static enum scanned scan_quoted(struct scan *scan, struct layout *layout)
{
    size_t start = ++scan->at;
    for (;;) {
        const uint8_t *quote = memchr(scan->text + scan->at, '"', scan->bytes - scan->at);
        if (quote == NULL)
            return SCANNED_OPEN_QUOTE;
        scan->at = (size_t)(quote - scan->text) + 1;
        if (scan->at == scan->bytes || scan->text[scan->at] != '"')
            break;
        scan->at++;
        layout->has_doubled = true;
    }
    add_field(layout, start, scan->at - 1);
    return scan_end(scan, layout);
}

static enum scanned scan_unquoted(struct scan *scan, struct layout *layout)
{
    const uint8_t *text = scan->text;
    size_t start = scan->at, at = start;
    while (at < scan->bytes && text[at] != ',' && text[at] != '\n' && text[at] != '"')
        at++;
    if (at < scan->bytes && text[at] == '\n' && at > start && text[at - 1] == '\r')
        at--;
    scan->at = at;
    add_field(layout, start, at);
    return scan_end(scan, layout);
}

static enum scanned lay_out_any(struct scan *scan, struct layout *layout)
{
    enum scanned scanned = SCANNED_FIELD;
    *layout = (struct layout){0};
    while (scanned == SCANNED_FIELD) {
        bool is_quoted = scan->at < scan->bytes && scan->text[scan->at] == '"';
        scanned = is_quoted ? scan_quoted(scan, layout) : scan_unquoted(scan, layout);
    }
    return scanned;
}

/* ---- from fields to a bet ---- */

static inline enum fault read_number(struct slice digits, uint32_t *number)
{
    uint64_t value = 0;
    if (digits.bytes == 0)
        return FAULT_NUMBER_EMPTY;
    for (size_t i = 0; i < digits.bytes; i++) {
        uint32_t digit = (uint32_t)digits.data[i] - '0';
        if (digit > 9)
            return FAULT_NUMBER_CHARACTER;
        if (value <= UINT32_MAX) /* once too large, it stays so */
            value = value * 10 + digit;
    }
    if (value > UINT32_MAX)
        return FAULT_NUMBER_TOO_LARGE;
    *number = (uint32_t)value;
    return FAULT_NONE;
}

static inline struct slice field_of(const uint8_t *text, const struct layout *layout, int field)
{
    return (struct slice){text + layout->starts[field],
                          layout->ends[field] - layout->starts[field]};
}

/* Copies a field to `to` with a single quote for each doubled one. returns the place behind the
 * copy. */
static uint8_t *undouble_quotes(struct slice *field, uint8_t *to)
{
    const uint8_t *start = to;
    for (size_t at = 0; at < field->bytes; at++) {
        *to++ = field->data[at];
        at += field->data[at] == '"';
    }
    *field = (struct slice){start, (size_t)(to - start)};
    return to;
}

/* in: a layout whose row has CSV_LINE_BYTES_MAX bytes at most, so that its fields fit into the
 * scratch. */
static inline enum fault read_bet(struct csv *csv, const struct layout *layout, struct bet *bet)
{
    const uint8_t *text = csv->text + csv->at;
    *bet = (struct bet){0};
    if (layout->fields_count < CSV_FIELDS)
        return FAULT_COLUMNS_MISSING;
    if (layout->fields_count > CSV_FIELDS)
        return FAULT_COLUMNS_EXTRA;
    bet->first_name = field_of(text, layout, 0);
    bet->last_name = field_of(text, layout, 1);
    bet->document = field_of(text, layout, 2);
    bet->birthdate = field_of(text, layout, 3);
    struct slice digits = field_of(text, layout, 4);
    if (layout->has_doubled) {
        uint8_t *to = undouble_quotes(&bet->first_name, csv->scratch);
        to = undouble_quotes(&bet->last_name, to);
        to = undouble_quotes(&bet->document, to);
        to = undouble_quotes(&bet->birthdate, to);
        undouble_quotes(&digits, to);
    }
    enum fault of_number = read_number(digits, &bet->number);
    enum fault fault = bet_check(bet, csv->today);
    return fault != FAULT_NONE ? fault : of_number;
}

/* A NUL byte is refused in every field; said by its own name, it tells a file in UTF-16. */
static enum fault name_nul(enum fault fault, struct slice raw)
{
    bool has_nul = fault != FAULT_LINE_TOO_LONG && memchr(raw.data, '\0', raw.bytes) != NULL;
    return has_nul ? FAULT_NUL : fault;
}

static inline void finish_row(struct csv *csv, const struct layout *layout, struct csv_row *row)
{
    row->raw = (struct slice){csv->text + csv->at, layout->row_bytes};
    row->bytes_taken = layout->bytes_taken;
    row->fault = read_bet(csv, layout, &row->bet);
    if (row->fault != FAULT_NONE && row->raw.bytes > 0)
        row->fault = name_nul(row->fault, row->raw);
    csv->at += layout->bytes_taken;
}

/* A row whose end cannot be told ends with its first line. */
static enum status finish_first_line(struct csv *csv, enum fault fault, struct csv_row *row)
{
    const uint8_t *text = csv->text + csv->at;
    size_t left = csv->bytes - csv->at;
    const uint8_t *line_end = memchr(text, '\n', left);
    if (line_end == NULL && !csv->is_last) {
        if (left > WINDOW_BYTES)
            csv->at = csv->bytes - WINDOW_BYTES; /* still too long, and still without a line end */
        return STATUS_MORE;
    }
    size_t bytes = line_end == NULL ? left : (size_t)(line_end - text);
    *row = (struct csv_row){.lines = line_end != NULL};
    row->bytes_taken = bytes + row->lines;
    row->raw = (struct slice){text, bytes};
    if (line_end != NULL && bytes > 0 && text[bytes - 1] == '\r')
        row->raw.bytes--;
    row->fault =
        row->raw.bytes > CSV_LINE_BYTES_MAX ? FAULT_LINE_TOO_LONG : name_nul(fault, row->raw);
    csv->at += row->bytes_taken;
    return STATUS_OK;
}

static uint32_t count_line_ends(const uint8_t *text, size_t bytes)
{
    uint32_t count = 0;
    for (size_t at = 0; at < bytes; at++)
        count += text[at] == '\n';
    return count;
}

static enum status next_of_any_form(struct csv *csv, struct csv_row *row)
{
    size_t left = csv->bytes - csv->at;
    struct scan scan = {.text = csv->text + csv->at, .bytes = left, .is_last = csv->is_last};
    if (left > WINDOW_BYTES) {
        scan.bytes = WINDOW_BYTES;
        scan.is_last = false;
    }
    struct layout layout;
    switch (lay_out_any(&scan, &layout)) {
    case SCANNED_ROW:
        if (layout.row_bytes > CSV_LINE_BYTES_MAX)
            return finish_first_line(csv, FAULT_LINE_TOO_LONG, row);
        row->lines = count_line_ends(scan.text, layout.bytes_taken);
        finish_row(csv, &layout, row);
        return STATUS_OK;
    case SCANNED_TO_NO_END:
        return left < WINDOW_BYTES ? STATUS_MORE : finish_first_line(csv, FAULT_LINE_TOO_LONG, row);
    case SCANNED_OPEN_QUOTE:
        if (left < WINDOW_BYTES && !csv->is_last)
            return STATUS_MORE;
        return finish_first_line(csv, FAULT_QUOTE, row);
    case SCANNED_FIELD:
    case SCANNED_STRAY_QUOTE:
        break;
    }
    return finish_first_line(csv, FAULT_QUOTE, row);
}

enum status csv_next(struct csv *csv, struct csv_row *row)
{
    struct layout layout;
    if (csv->at == csv->bytes)
        return csv->is_last ? STATUS_END : STATUS_MORE;
    if (!lay_out_plain(csv->text + csv->at, csv->bytes - csv->at, &layout))
        return next_of_any_form(csv, row);
    row->lines = 1;
    finish_row(csv, &layout, row);
    return STATUS_OK;
}
