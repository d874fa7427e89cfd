#include "deploy/sorteo/sample.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/host/stop.h"

enum { PATH_BYTES = 256 };

static char folder[PATH_BYTES];
static char problem[512];
static int stop = -1;

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s", "/tmp/sorteo-sample-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(stop_begin(&stop), STATUS_OK);
}

static const char *path_of(const char *name)
{
    static char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static void end(void)
{
    static const char *const names[] = {"agency-1.csv", "agency-2.csv", "agency-3.csv"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    cr_assert_eq(rmdir(folder), 0, "something else was left behind in %s", folder);
}

TestSuite(sample, .init = begin, .fini = end, .timeout = 20);

static struct rows_plan plan_of(uint64_t bets)
{
    return (struct rows_plan){.seed = 1,
                              .agencies = 3,
                              .bets = bets,
                              .number_first = 0,
                              .number_last = 9999};
}

static enum status write_sample(uint64_t bets, bool overwrite)
{
    struct rows_plan plan = plan_of(bets);
    problem[0] = '\0';
    return sample_write(&plan, folder, overwrite, stop, problem, sizeof problem);
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    fclose(file);
}

static void assert_holds(const char *name, const char *text, size_t bytes)
{
    FILE *file = fopen(path_of(name), "r");
    cr_assert_not_null(file);
    char *held = malloc(bytes + 1);
    cr_assert_not_null(held);
    cr_assert_eq(fread(held, 1, bytes + 1, file), bytes);
    cr_assert_eq(memcmp(held, text, bytes), 0);
    free(held);
    fclose(file);
}

Test(sample, files_hold_the_rows_of_their_agencies)
{
    enum { BETS = 30000 }; /* more than one buffer each */
    cr_assert_eq(write_sample(BETS * 3, false), STATUS_OK, "%s", problem);
    struct rows_plan plan = plan_of(BETS * 3);
    for (uint32_t agency = 1; agency <= 3; agency++) {
        size_t room = (size_t)rows_count(&plan, agency) * ROW_BYTES_MAX + ROW_BYTES_MAX;
        char *text = malloc(room);
        struct rows rows;
        rows_begin(&rows, &plan, agency);
        size_t bytes = rows_write(&rows, text, room);
        char name[32];
        snprintf(name, sizeof name, "agency-%u.csv", agency);
        assert_holds(name, text, bytes);
        free(text);
    }
}

Test(sample, agency_without_bets_has_an_empty_file)
{
    cr_assert_eq(write_sample(0, false), STATUS_OK);
    assert_holds("agency-3.csv", "", 0);
}

Test(sample, makes_the_folder)
{
    cr_assert_eq(rmdir(folder), 0);
    cr_assert_eq(write_sample(3, false), STATUS_OK);
    cr_assert(is_there("agency-1.csv"));
}

Test(sample, makes_the_folders_above_it)
{
    char deep[2 * PATH_BYTES];
    snprintf(deep, sizeof deep, "%s", path_of("above//below/"));
    struct rows_plan plan = plan_of(3);
    cr_assert_eq(sample_write(&plan, deep, false, stop, problem, sizeof problem), STATUS_OK, "%s",
                 problem);
    static const char *const names[] = {"1", "2", "3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof name, "above/below/agency-%s.csv", names[i]);
        cr_assert_eq(unlink(path_of(name)), 0);
    }
    cr_assert_eq(rmdir(path_of("above/below")), 0);
    cr_assert_eq(rmdir(path_of("above")), 0);
}

Test(sample, refuses_to_overwrite_and_has_written_nothing_then)
{
    put("agency-2.csv", "kept");
    cr_assert_eq(write_sample(100, false), STATUS_EXISTS);
    cr_assert_not_null(strstr(problem, "agency-2.csv' exists already; --force"), "%s", problem);
    assert_holds("agency-2.csv", "kept", 4);
    cr_assert_not(is_there("agency-1.csv"));
}

Test(sample, overwrites_when_told_to)
{
    put("agency-2.csv", "gone");
    cr_assert_eq(write_sample(0, true), STATUS_OK);
    assert_holds("agency-2.csv", "", 0);
}

Test(sample, interrupted_it_leaves_no_half_file)
{
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    cr_assert_eq(write_sample(100, false), STATUS_INTERRUPTED);
    cr_assert_not_null(strstr(problem, "agency-1.csv"), "%s", problem);
    cr_assert_not(is_there("agency-1.csv"));
}

Test(sample, failed_write_keeps_the_old_file_and_leaves_no_half_one)
{
    put("agency-1.csv", "kept");
    struct rlimit limit = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), 0);
    cr_assert_eq(write_sample(1000, true), STATUS_IO);
    cr_assert_not_null(strstr(problem, "agency-1.csv': File too large"), "%s", problem);
    assert_holds("agency-1.csv", "kept", 4);
}

Test(sample, folder_that_cannot_be_made_is_named)
{
    struct rows_plan plan = plan_of(1);
    char below[2 * PATH_BYTES];
    char expected[3 * PATH_BYTES];
    put("agency-1.csv", "a file");
    snprintf(below, sizeof below, "%s", path_of("agency-1.csv/below"));
    cr_assert_eq(sample_write(&plan, below, false, stop, problem, sizeof problem),
                 STATUS_CANNOT_CREATE);
    snprintf(expected, sizeof expected, "cannot create the folder '%s': Not a directory", below);
    cr_assert_str_eq(problem, expected);
    cr_assert_eq(sample_write(&plan, path_of("agency-1.csv"), false, stop, problem, sizeof problem),
                 STATUS_CANNOT_CREATE);
}

Test(sample, name_that_is_too_long_is_refused)
{
    static char name[5000];
    memset(name, 'x', sizeof name - 1);
    struct rows_plan plan = plan_of(1);
    cr_assert_eq(sample_write(&plan, name, false, stop, problem, sizeof problem),
                 STATUS_CANNOT_CREATE);
}
