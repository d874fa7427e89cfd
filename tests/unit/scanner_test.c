/* Rows of a file larger than the buffer, from any offset. */
#include <criterion/criterion.h>

#include "agency/scanner.h"
#include "tests/unit/folder.h"

TestSuite(scanner, .timeout = 10);

enum { TODAY = 20260101 };

struct table {
    struct folder folder;
    char path[PATH_MAX];
    struct source *source;
    struct scanner *scanner;
};

static void open_table(struct table *table, const char *text, size_t bytes)
{
    table->folder = folder_create();
    snprintf(table->path, sizeof(table->path), "%s", folder_file(&table->folder, "bets.csv"));
    folder_write(table->path, text, bytes);
    cr_assert_eq(source_open(table->path, &table->source), STATUS_OK);
    cr_assert_eq(scanner_create(table->source, TODAY, &table->scanner), STATUS_OK);
}

static void close_table(struct table *table)
{
    scanner_destroy(&table->scanner);
    scanner_destroy(&table->scanner);
    source_close(&table->source);
    folder_destroy(&table->folder);
}

Test(scanner, places_are_offset_and_line)
{
    static const char text[] = "A,B,1,2000-01-01,7\r\n\nC,D,2,2000-01-01,8";
    struct table table;
    struct row row;
    open_table(&table, text, sizeof(text) - 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert(row.offset == 0 && row.line == 1 && row.csv.bet.number == 7);
    cr_assert_eq(row.csv.raw.bytes, 18);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert(row.offset == 20 && row.line == 2);
    cr_assert_eq(row.csv.fault, FAULT_COLUMNS_MISSING);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert(row.offset == 21 && row.line == 3 && row.csv.bet.number == 8);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    scanner_begin(table.scanner, 21, 3);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert(row.offset == 21 && row.line == 3 && row.csv.bet.number == 8);
    close_table(&table);
}

Test(scanner, byte_order_mark_is_no_part_of_the_first_row)
{
    static const char text[] = "\xef\xbb\xbf"
                               "A,B,1,2000-01-01,7\n\xef\xbb\xbf"
                               "C,D,2,2000-01-01,8\n";
    struct table table;
    struct row row;
    open_table(&table, text, sizeof(text) - 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.offset, 3);
    cr_assert_eq(row.csv.raw.bytes, 18);
    cr_assert_eq(row.csv.bet.first_name.bytes, 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.csv.bet.first_name.bytes, 4, "elsewhere it is text");
    scanner_begin(table.scanner, 22, 2);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.csv.bet.first_name.bytes, 4);
    close_table(&table);
}

Test(scanner, empty_file_has_none)
{
    struct table table;
    struct row row;
    open_table(&table, "", 0);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    close_table(&table);
    open_table(&table, "\xef\xbb\xbf", 3);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    close_table(&table);
}

Test(scanner, file_of_many_buffers_is_read_whole)
{
    enum { ROWS = 50000 };
    size_t bytes = 0;
    enum { ROW_BYTES_MAX = 40 };
    char *text = malloc(ROWS * ROW_BYTES_MAX);
    for (int i = 0; i < ROWS; i++)
        bytes +=
            (size_t)snprintf(text + bytes, ROW_BYTES_MAX, "Ana,Paz,%d,2000-01-01,%d\r\n", i, i * 3);
    cr_assert_gt(bytes, 4 * SCANNER_BUFFER_BYTES);
    struct table table;
    struct row row;
    open_table(&table, text, bytes);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
        cr_assert_eq(row.csv.fault, FAULT_NONE);
        cr_assert_eq(row.offset, offset);
        cr_assert_eq(row.line, i + 1);
        cr_assert_eq(row.csv.bet.number, i * 3);
        offset += row.csv.bytes_taken;
    }
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    cr_assert_eq(offset, bytes);
    free(text);
    close_table(&table);
}

/* A row of `bytes` bytes without a comma in front of a good one. */
static void assert_long_row_is_one_fault(size_t bytes)
{
    static const char good[] = "\nA,B,1,2000-01-01,7\n";
    char *text = malloc(bytes + sizeof(good));
    memset(text, 'x', bytes);
    memcpy(text + bytes, good, sizeof(good));
    struct table table;
    struct row row;
    open_table(&table, text, bytes + sizeof(good) - 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.csv.fault, FAULT_LINE_TOO_LONG);
    cr_assert_eq(row.line, 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.csv.fault, FAULT_NONE);
    cr_assert_eq(row.line, 2);
    cr_assert_eq(row.offset, bytes + 1);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    close_table(&table);
    free(text);
}

Test(scanner, row_longer_than_any_buffer_is_one_fault)
{
    assert_long_row_is_one_fault(CSV_LINE_BYTES_MAX + 1);
    assert_long_row_is_one_fault(SCANNER_BUFFER_BYTES - 1);
    assert_long_row_is_one_fault(SCANNER_BUFFER_BYTES);
    assert_long_row_is_one_fault(SCANNER_BUFFER_BYTES + 1);
    assert_long_row_is_one_fault(5 * SCANNER_BUFFER_BYTES / 2);
}

Test(scanner, endless_last_row_is_one_fault)
{
    size_t bytes = 2 * SCANNER_BUFFER_BYTES;
    char *text = malloc(bytes);
    memset(text, 'x', bytes);
    struct table table;
    struct row row;
    open_table(&table, text, bytes);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_OK);
    cr_assert_eq(row.csv.fault, FAULT_LINE_TOO_LONG);
    cr_assert_eq(scanner_next(table.scanner, &row), STATUS_END);
    close_table(&table);
    free(text);
}
