/* A CSV file of bets that a test knows: row i is "Ana <i>,Paz,<i>,2000-01-01,<i % 10>". */
#ifndef SORTEO_TESTS_UNIT_BETS_FILE_H
#define SORTEO_TESTS_UNIT_BETS_FILE_H

#include "agency/cutter.h"
#include "tests/unit/folder.h"

enum { BETS_DRAW = 4, BETS_AGENCY = 2, BETS_TODAY = 20260101, BETS_ROW_BYTES_MAX = 64 };

struct bets_file {
    struct folder folder;
    char path[PATH_MAX];
    struct source *source;
};

static inline int bets_row(char *row, unsigned i)
{
    return snprintf(row, BETS_ROW_BYTES_MAX, "Ana %u,Paz,%u,2000-01-01,%u", i, i, i % 10);
}

static inline struct cutter_terms bets_terms(uint32_t bets_max)
{
    return (struct cutter_terms){
        .draw = BETS_DRAW,
        .agency = BETS_AGENCY,
        .plan = {.bets_max = bets_max, .bytes_max = 4096},
        .today = BETS_TODAY,
    };
}

/* Writes `rows` rows; those whose number is bad_row (from 0) are no bets. UINT_MAX: none. */
static inline void bets_write(struct bets_file *file, unsigned rows, unsigned bad_row)
{
    FILE *out = fopen(file->path, "wb");
    cr_assert_not_null(out);
    for (unsigned i = 0; i < rows; i++) {
        char row[BETS_ROW_BYTES_MAX];
        bets_row(row, i);
        fprintf(out, "%s\r\n", i == bad_row ? "no bet" : row);
    }
    cr_assert_eq(fclose(out), 0);
}

static inline struct bets_file bets_create(unsigned rows, unsigned bad_row)
{
    struct bets_file file = {.folder = folder_create()};
    snprintf(file.path, sizeof(file.path), "%s", folder_file(&file.folder, "bets.csv"));
    bets_write(&file, rows, bad_row);
    cr_assert_eq(source_open(file.path, &file.source), STATUS_OK);
    return file;
}

static inline void bets_destroy(struct bets_file *file)
{
    source_close(&file->source);
    folder_destroy(&file->folder);
}

/* The numbers of the bets in a body. returns how many. */
static inline uint32_t bets_in(struct slice body, uint32_t *documents, uint32_t max)
{
    struct batch_cursor cursor;
    struct bet bet;
    uint32_t count = 0;
    cr_assert_eq(batch_open(&cursor, body), STATUS_OK);
    while (batch_next(&cursor, &bet) == STATUS_OK) {
        char text[16] = "";
        memcpy(text, bet.document.data, bet.document.bytes);
        cr_assert_lt(count, max);
        documents[count++] = (uint32_t)strtoul(text, NULL, 10);
    }
    return count;
}

#endif
