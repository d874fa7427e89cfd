/* The file of an agency of a world: rows, in versions, since somebody may edit it between two
 * starts of the agency. Any version is cut into the same batches as often as it is asked. */
#ifndef SORTEO_TESTS_SIM_FILE_H
#define SORTEO_TESTS_SIM_FILE_H

#include "proto/wire/batch.h"
#include "proto/wire/digest.h"
#include "tests/sim/dice.h"
#include "tests/sim/plan.h"

enum {
    FILE_VERSIONS_MAX = 4,
    FILE_BODY_BYTES_MAX = 32768,
    FILE_NUMBER_LAST = 3, /* numbers of rows are 0 to 3 */
};

struct sim_row {
    uint32_t document;
    uint32_t number;
};

struct file_version {
    struct sim_row rows[WORLD_ROWS_MAX];
    uint32_t rows_count;
};

/* Open for values. */
struct file {
    uint32_t agency;
    uint32_t versions_count;
    struct file_version versions[FILE_VERSIONS_MAX];
};

void file_write(struct file *file, uint32_t agency, uint32_t rows_max, struct dice *dice);
/* A new version: one row of the last is changed, taken out or added. returns false when there are
 * as many as there may be. */
bool file_edit(struct file *file, struct dice *dice);

/* Packs rows from `first` on under a plan. in: buffer of FILE_BODY_BYTES_MAX.
 * returns the body; out: rows: how many went in. */
struct slice file_pack(const struct file_version *version, const struct plan *plan, uint32_t first,
                       uint8_t *buffer, uint32_t *rows);

/* The declaration of a version under a plan. */
void file_declare(const struct file *file, uint32_t version, uint32_t draw, const struct plan *plan,
                  struct hasher *hasher, struct declaration *declaration);

uint32_t file_count_winners(const struct file_version *version, uint32_t number);

#endif
