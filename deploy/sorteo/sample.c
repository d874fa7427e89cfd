#include "deploy/sorteo/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/host/options.h"
#include "proto/host/stop.h"
#include "proto/wire/limits.h"

enum {
    BUFFER_BYTES = 1 << 20, /* one write each; Ctrl-C is heard in between */
};

static const uint64_t bets_max = UINT64_C(1) << 40;

/* Where a sentence for the user goes, with the status that it explains. */
struct problem {
    char *text;
    size_t bytes;
};

static enum status explain(struct problem problem, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status explain(struct problem problem, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem.text, problem.bytes, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- files ---- */

struct file {
    char path[PATH_MAX];
    char partial_path[PATH_MAX + 8]; /* until it is whole */
};

static void name_file(struct file *file, const char *folder, uint32_t agency)
{
    snprintf(file->path, sizeof file->path, "%s/agency-%" PRIu32 ".csv", folder, agency);
    snprintf(file->partial_path, sizeof file->partial_path, "%s.part", file->path);
}

static enum status write_all(int descriptor, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = write(descriptor, text, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno == ENOSPC || errno == EDQUOT ? STATUS_FULL : STATUS_IO;
        text += wrote;
        bytes -= (size_t)wrote;
    }
    return STATUS_OK;
}

static enum status write_rows(struct rows *rows, int descriptor, char *buffer, int stop)
{
    enum status status = STATUS_OK;
    size_t bytes;
    while (status == STATUS_OK && (bytes = rows_write(rows, buffer, BUFFER_BYTES)) > 0)
        status = stop_take(stop) != 0 ? STATUS_INTERRUPTED : write_all(descriptor, buffer, bytes);
    return status;
}

static enum status write_file(const struct file *file, struct rows *rows, char *buffer, int stop,
                              struct problem problem)
{
    int descriptor = open(file->partial_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return explain(problem, STATUS_CANNOT_CREATE, "cannot create '%s': %s", file->partial_path,
                       strerror(errno));
    enum status status = write_rows(rows, descriptor, buffer, stop);
    if (close(descriptor) != 0 && status == STATUS_OK)
        status = STATUS_IO;
    if (status == STATUS_OK && rename(file->partial_path, file->path) != 0)
        status = STATUS_CANNOT_CREATE;
    if (status == STATUS_OK)
        return STATUS_OK;

    int error = errno;
    unlink(file->partial_path);
    if (status == STATUS_INTERRUPTED)
        return explain(problem, status, "interrupted before '%s' was whole", file->path);
    return explain(problem, status, "cannot write '%s': %s", file->path, strerror(error));
}

/* With those above it that are missing. in: folder: shorter than PATH_MAX - 1. returns 0 or
 * errno. */
static int make_folders(const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/", folder);
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return errno;
        *at = '/';
    }
    return 0;
}

static enum status prepare_folder(const struct rows_plan *plan, const char *folder, bool overwrite,
                                  struct problem problem)
{
    struct file file = {.path = ""};
    if (strlen(folder) + sizeof "/agency-4294967295.csv" > sizeof file.path)
        return explain(problem, STATUS_CANNOT_CREATE, "cannot use '%s': the name is too long",
                       folder);
    int error = make_folders(folder);
    if (error != 0)
        return explain(problem, STATUS_CANNOT_CREATE, "cannot create the folder '%s': %s", folder,
                       strerror(error));
    for (uint32_t agency = 1; agency <= plan->agencies && !overwrite; agency++) {
        name_file(&file, folder, agency);
        if (access(file.path, F_OK) == 0)
            return explain(problem, STATUS_EXISTS, "'%s' exists already; --force overwrites it",
                           file.path);
    }
    return STATUS_OK;
}

enum status sample_write(const struct rows_plan *plan, const char *folder, bool overwrite, int stop,
                         char *problem_text, size_t problem_bytes)
{
    struct problem problem = {problem_text, problem_bytes};
    enum status status = prepare_folder(plan, folder, overwrite, problem);
    if (status != STATUS_OK)
        return status;
    char *buffer = malloc(BUFFER_BYTES);
    if (buffer == NULL)
        return explain(problem, STATUS_NO_MEMORY, "cannot allocate a buffer of %d bytes",
                       BUFFER_BYTES);
    for (uint32_t agency = 1; agency <= plan->agencies && status == STATUS_OK; agency++) {
        struct file file = {.path = ""};
        struct rows rows;
        name_file(&file, folder, agency);
        rows_begin(&rows, plan, agency);
        status = write_file(&file, &rows, buffer, stop, problem);
    }
    free(buffer);
    return status;
}

/* ---- the subcommand ---- */

struct arguments {
    uint64_t agencies;
    uint64_t bets;
    uint64_t seed;
    uint64_t winning_number;
    bool has_winning_number;
    const char *number_range;
    const char *output;
    bool force;
};

static const char summary[] =
    "Writes files of made-up bets, agency-1.csv to agency-N.csv: the same bytes for the same "
    "options, on every machine. Names are common in Argentina, documents are 20 to 46 million, "
    "birthdates 1940 to 2006, numbers even over their range.";

static const char details[] =
    "An agency has at most three times the bets of another one; all of them are --bets. With "
    "--winning-number about one bet in 1000 is on that number, and one of each agency at least.\n\n"
    "Example:\n  sorteo sample --agencies 5 --bets 100000 --output samples\n\n"
    "Exit codes: 0 done, 64 usage, 73 a file exists or cannot be created, 74 the disk is full or "
    "failed, 75 interrupted.";

static struct rows_plan plan_of(const struct program *program, const struct arguments *given)
{
    struct rows_plan plan = {
        .seed = given->seed,
        .agencies = (uint32_t)given->agencies,
        .bets = given->bets,
        .has_winning_number = given->has_winning_number,
        .winning_number = (uint32_t)given->winning_number,
    };
    if (options_parse_range(given->number_range, &plan.number_first, &plan.number_last) !=
        STATUS_OK)
        options_fail(program,
                     "--number-range is '%s', but it takes FIRST-LAST, from 0 to 4294967295, such "
                     "as "
                     "0-9999",
                     given->number_range);
    if (plan.has_winning_number &&
        (plan.winning_number < plan.number_first || plan.winning_number > plan.number_last))
        options_fail(program,
                     "--winning-number %" PRIu32 " is not in the range %s; give a number from it",
                     plan.winning_number, given->number_range);
    return plan;
}

int sample_main(int argc, char **argv)
{
    struct arguments given = {.agencies = 5,
                              .bets = 100000,
                              .seed = 1,
                              .number_range = "0-9999",
                              .output = "."};
    const struct option options[] = {
        {"agencies", "N", OPTION_NUMBER, &given.agencies, 1, AGENCIES_MAX, NULL, NULL, NULL,
         "how many files"},
        {"bets", "N", OPTION_NUMBER, &given.bets, 0, bets_max, NULL, NULL, NULL,
         "bets of all agencies together"},
        {"output", "DIR", OPTION_TEXT, &given.output, 0, 0, NULL, NULL, NULL,
         "where they go; made where it is missing"},
        {"seed", "N", OPTION_NUMBER, &given.seed, 0, UINT64_MAX, NULL, NULL, NULL,
         "another seed makes other bets"},
        {"number-range", "FIRST-LAST", OPTION_TEXT, &given.number_range, 0, 0, NULL, NULL, NULL,
         "numbers that are bet on"},
        {"winning-number", "N", OPTION_NUMBER, &given.winning_number, 0, UINT32_MAX, NULL, NULL,
         &given.has_winning_number, "sees to it that every agency has winners"},
        {"force", NULL, OPTION_FLAG, &given.force, 0, 0, NULL, NULL, NULL,
         "overwrite files that are there"},
    };
    const struct program program = {"sorteo sample", "",      summary,
                                    details,         options, sizeof options / sizeof options[0]};
    options_read(&program, argc, argv);
    struct rows_plan plan = plan_of(&program, &given);

    int stop = -1;
    char problem[PATH_MAX + TEXT_BYTES_MAX] = "cannot listen for signals";
    enum status status = stop_begin(&stop);
    if (status == STATUS_OK)
        status = sample_write(&plan, given.output, given.force, stop, problem, sizeof problem);
    if (status != STATUS_OK)
        fprintf(stderr, "%s: %s\n", program.name, problem);
    return status_exit_code(status);
}
