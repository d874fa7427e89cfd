#include "tests/sim/file.h"

#include <stdio.h>
#include <string.h>

#include "proto/wire/check.h"

static struct sim_row roll_row(struct dice *dice)
{
    return (struct sim_row){
        .document = 20000000 + dice_below(dice, 20000000),
        .number = dice_below(dice, FILE_NUMBER_LAST + 1),
    };
}

void file_write(struct file *file, uint32_t agency, uint32_t rows_max, struct dice *dice)
{
    struct file_version *version = &file->versions[0];
    *file = (struct file){.agency = agency, .versions_count = 1};
    version->rows_count = dice_below(dice, rows_max + 1);
    for (uint32_t row = 0; row < version->rows_count; row++)
        version->rows[row] = roll_row(dice);
}

bool file_edit(struct file *file, struct dice *dice)
{
    if (file->versions_count == FILE_VERSIONS_MAX)
        return false;
    struct file_version *version = &file->versions[file->versions_count];
    *version = file->versions[file->versions_count - 1];
    file->versions_count++;
    uint32_t row = dice_below(dice, version->rows_count);
    if (version->rows_count == 0 ||
        (version->rows_count < WORLD_ROWS_MAX && dice_below(dice, 3) == 0))
        version->rows[version->rows_count++] = roll_row(dice);
    else if (dice_below(dice, 3) == 0)
        version->rows_count--;
    else
        version->rows[row] = roll_row(dice);
    return true;
}

struct slice file_pack(const struct file_version *version, const struct plan *plan, uint32_t first,
                       uint8_t *buffer, uint32_t *rows)
{
    struct batch_builder builder;
    CHECK(batch_buffer_bytes(plan) <= FILE_BODY_BYTES_MAX);
    batch_begin(&builder, plan, buffer);
    for (*rows = 0; first + *rows < version->rows_count; (*rows)++) {
        const struct sim_row *row = &version->rows[first + *rows];
        char document[DOCUMENT_BYTES_MAX];
        int bytes = snprintf(document, sizeof document, "%u", row->document);
        struct bet bet = {
            .first_name = {(const uint8_t *)"Ana", 3},
            .last_name = {(const uint8_t *)"Sosa", 4},
            .document = {(const uint8_t *)document, (size_t)bytes},
            .birthdate = {(const uint8_t *)"1980-02-29", BIRTHDATE_BYTES},
            .number = row->number,
        };
        if (batch_add(&builder, &bet) != STATUS_OK)
            break;
    }
    return batch_end(&builder);
}

void file_declare(const struct file *file, uint32_t version, uint32_t draw, const struct plan *plan,
                  struct hasher *hasher, struct declaration *declaration)
{
    uint8_t buffer[FILE_BODY_BYTES_MAX];
    const struct file_version *cut = &file->versions[version];
    struct tree tree;
    *declaration = (struct declaration){.bets = cut->rows_count};
    tree_begin(&tree);
    for (uint32_t row = 0; row < cut->rows_count; declaration->batches++) {
        struct digest digest;
        uint32_t rows = 0;
        struct slice body = file_pack(cut, plan, row, buffer, &rows);
        digest_batch(hasher, draw, file->agency, declaration->batches, rows, body, &digest);
        tree_add(&tree, hasher, &digest);
        row += rows;
    }
    tree_head(&tree, hasher, &declaration->root);
}

uint32_t file_count_winners(const struct file_version *version, uint32_t number)
{
    uint32_t winners = 0;
    for (uint32_t row = 0; row < version->rows_count; row++)
        winners += version->rows[row].number == number;
    return winners;
}
