/* Inputs that can be read again, whatever they are. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "agency/source.h"
#include "tests/unit/folder.h"

TestSuite(source, .timeout = 10);

static void assert_reads(const struct source *source, uint64_t offset, const char *text)
{
    char buffer[64];
    size_t got;
    cr_assert_eq(source_read(source, offset, buffer, sizeof(buffer), &got), STATUS_OK);
    cr_assert_eq(got, strlen(text));
    cr_assert_arr_eq(buffer, text, got);
}

Test(source, file_is_read_from_any_offset)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "bets.csv");
    folder_write(path, "0123456789", 10);
    struct source *source;
    cr_assert_eq(source_open(path, &source), STATUS_OK);
    cr_assert_not(source_needs_copy(source));
    cr_assert_str_eq(source_name(source), path);
    assert_reads(source, 7, "789");
    assert_reads(source, 0, "0123456789");
    assert_reads(source, 10, "");
    assert_reads(source, 99, "");
    source_close(&source);
    cr_assert_null(source);
    source_close(&source);
    folder_destroy(&folder);
}

Test(source, rejects_what_cannot_be_opened_and_folders)
{
    struct folder folder = folder_create();
    struct source *source;
    cr_assert_eq(source_open(folder_file(&folder, "no.csv"), &source), STATUS_NO_INPUT);
    cr_assert_eq(errno, ENOENT);
    cr_assert_eq(source_open(folder.path, &source), STATUS_NO_INPUT);
    cr_assert_eq(errno, EISDIR);
    folder_destroy(&folder);
}

Test(source, change_of_size_or_time_is_noticed)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "bets.csv");
    folder_write(path, "abc", 3);
    struct source *source;
    cr_assert_eq(source_open(path, &source), STATUS_OK);
    cr_assert_eq(source_mark(source), STATUS_OK);
    cr_assert(source_is_unchanged(source));
    cr_assert_eq(truncate(path, 2), 0);
    cr_assert_not(source_is_unchanged(source));
    cr_assert_eq(source_mark(source), STATUS_OK);
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    cr_assert_not(source_is_unchanged(source));
    cr_assert_eq(source_mark(source), STATUS_OK);
    times[1].tv_nsec = 500000000;
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    cr_assert_not(source_is_unchanged(source), "within the same second");
    source_close(&source);
    folder_destroy(&folder);
}

/* Feeds a FIFO with three writes and closes it. */
static void *feed(void *context)
{
    int descriptor = open(context, O_WRONLY);
    cr_assert_geq(descriptor, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(write(descriptor, "row,\n", 5), 5);
    close(descriptor);
    return NULL;
}

Test(source, fifo_is_copied_and_then_read_from_any_offset)
{
    struct folder folder = folder_create();
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", folder_file(&folder, "fifo"));
    cr_assert_eq(mkfifo(path, 0600), 0);
    pthread_t feeder;
    cr_assert_eq(pthread_create(&feeder, NULL, feed, path), 0);
    struct source *source;
    cr_assert_eq(source_open(path, &source), STATUS_OK);
    cr_assert(source_needs_copy(source));
    cr_assert_eq(source_copy(source, folder.path, -1), STATUS_OK);
    cr_assert_eq(pthread_join(feeder, NULL), 0);
    cr_assert_not(source_needs_copy(source));
    assert_reads(source, 5, "row,\nrow,\n");
    assert_reads(source, 0, "row,\nrow,\nrow,\n");
    cr_assert_eq(folder_count(&folder), 1, "the copy has no name");
    source_close(&source);
    folder_destroy(&folder);
}

Test(source, tells_whether_a_path_is_the_file_that_is_read)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "bets.csv");
    const char *other = folder_file(&folder, "other.csv");
    const char *name = folder_file(&folder, "link.csv");
    folder_write(path, "row\n", 4);
    folder_write(other, "row\n", 4);
    cr_assert_eq(symlink(path, name), 0);
    struct source *source;
    cr_assert_eq(source_open(path, &source), STATUS_OK);
    cr_assert(source_is_at(source, path));
    cr_assert(source_is_at(source, name));
    cr_assert_not(source_is_at(source, other));
    cr_assert_not(source_is_at(source, folder_file(&folder, "none.csv")));
    source_close(&source);
    cr_assert_eq(source_open("/dev/null", &source), STATUS_OK);
    cr_assert_not(source_is_at(source, "/dev/null"), "nothing is lost there");
    source_close(&source);
    folder_destroy(&folder);
}

Test(source, standard_input_is_called_so)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_geq(dup2(pipes[0], STDIN_FILENO), 0);
    struct source *source;
    cr_assert_eq(source_open("-", &source), STATUS_OK);
    cr_assert(source_needs_copy(source));
    cr_assert_str_eq(source_name(source), "standard input");
    source_close(&source);
}

Test(source, copy_ends_when_it_is_told_to)
{
    struct folder folder = folder_create();
    int input[2], stop[2];
    cr_assert_eq(pipe(input), 0);
    cr_assert_eq(pipe(stop), 0);
    cr_assert_geq(dup2(input[0], STDIN_FILENO), 0);
    struct source *source;
    cr_assert_eq(source_open("-", &source), STATUS_OK);
    cr_assert_eq(write(stop[1], "x", 1), 1);
    cr_assert_eq(source_copy(source, folder.path, stop[0]), STATUS_INTERRUPTED);
    cr_assert_eq(source_copy(source, folder_file(&folder, "no"), stop[0]), STATUS_CANNOT_CREATE);
    source_close(&source);
    cr_assert_eq(folder_count(&folder), 0);
    folder_destroy(&folder);
}
