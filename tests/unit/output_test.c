/* Files that appear whole or not at all. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agency/output.h"
#include "tests/unit/folder.h"

TestSuite(output, .timeout = 10);

static bool has_unnamed_files = true;

/* In the place of libc's: a file system that has no unnamed files where the test says so. */
int open_here(const char *path, int flags, ...) __asm__("open");
int open_here(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    if (!has_unnamed_files && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

Test(output, appears_on_commit_only_and_replaces_what_was_there)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    folder_write(path, "old", 3);
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_write(output, "new\n", 4), STATUS_OK);
    cr_assert(folder_holds(path, "old"));
    cr_assert_eq(output_commit(&output), STATUS_OK);
    cr_assert_null(output);
    cr_assert(folder_holds(path, "new\n"));
    cr_assert_eq(folder_count(&folder), 1);
    folder_destroy(&folder);
}

Test(output, discard_leaves_what_was_there_and_nothing_else)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    folder_write(path, "old", 3);
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_write(output, "new", 3), STATUS_OK);
    output_discard(&output);
    cr_assert_null(output);
    output_discard(&output);
    cr_assert(folder_holds(path, "old"));
    cr_assert_eq(folder_count(&folder), 1);
    folder_destroy(&folder);
}

Test(output, without_a_write_is_an_empty_file)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_commit(&output), STATUS_OK);
    cr_assert(folder_holds(path, ""));
    folder_destroy(&folder);
}

Test(output, holds_more_than_its_buffer)
{
    enum { PIECE = 1000, PIECES = 200 };
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    char piece[PIECE];
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        cr_assert_eq(output_write(output, piece, sizeof(piece)), STATUS_OK);
    }
    cr_assert_eq(output_commit(&output), STATUS_OK);
    FILE *file = fopen(path, "rb");
    for (int i = 0; i < PIECES; i++) {
        cr_assert_eq(fread(piece, 1, sizeof(piece), file), PIECE);
        cr_assert(piece[0] == 'a' + i % 26 && piece[PIECE - 1] == piece[0]);
    }
    cr_assert_eq(fgetc(file), EOF);
    fclose(file);
    folder_destroy(&folder);
}

Test(output, keeps_to_the_umask)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    mode_t former = umask(0027);
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_commit(&output), STATUS_OK);
    umask(former);
    struct stat stat_of_file;
    cr_assert_eq(stat(path, &stat_of_file), 0);
    cr_assert_eq(stat_of_file.st_mode & 0777, 0640);
    folder_destroy(&folder);
}

Test(output, rejects_folders_that_are_not_there_and_paths_that_are_folders)
{
    struct folder folder = folder_create();
    struct output *output;
    cr_assert_eq(output_create(folder_file(&folder, "no/winners.csv"), &output),
                 STATUS_CANNOT_CREATE);
    cr_assert_eq(errno, ENOENT);
    cr_assert_eq(output_create(folder.path, &output), STATUS_CANNOT_CREATE);
    cr_assert_eq(errno, EISDIR);
    cr_assert_eq(output_create(folder_file(&folder, ""), &output), STATUS_CANNOT_CREATE);
    folder_destroy(&folder);
}

Test(output, knows_a_path_that_holds_what_is_no_file)
{
    struct folder folder = folder_create();
    const char *file = folder_file(&folder, "winners.csv");
    const char *link = folder_file(&folder, "link");
    const char *pipe = folder_file(&folder, "pipe");
    cr_assert_not(output_is_misplaced(file), "nothing is there");
    folder_write(file, "old", 3);
    cr_assert_not(output_is_misplaced(file));
    cr_assert_eq(symlink("winners.csv", link), 0);
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    cr_assert(output_is_misplaced(link));
    cr_assert(output_is_misplaced(pipe));
    cr_assert(output_is_misplaced("/dev/null"));
    cr_assert_not(output_is_misplaced(folder.path), "output_create refuses it");
    cr_assert_eq(unlink(link), 0);
    cr_assert_eq(unlink(pipe), 0);
    folder_destroy(&folder);
}

/* In a container each process has the same number: one that was killed there before, or runs beside
 * this one in another container, must not be in the way, nor have its file taken. */
Test(output, is_not_in_the_way_of_another_process_with_the_same_number)
{
    for (int run = 0; run < 2; run++) {
        struct folder folder = folder_create();
        const char *path = folder_file(&folder, "winners.csv");
        struct output *first;
        struct output *second;
        has_unnamed_files = run == 0;
        cr_assert_eq(output_create(path, &first), STATUS_OK);
        cr_assert_eq(output_create(path, &second), STATUS_OK, "%s", strerror(errno));
        cr_assert_eq(output_write(second, "half", 4), STATUS_OK);
        cr_assert_eq(output_write(first, "whole\n", 6), STATUS_OK);
        cr_assert_eq(output_commit(&first), STATUS_OK);
        cr_assert(folder_holds(path, "whole\n"));
        cr_assert_eq(output_commit(&second), STATUS_OK);
        cr_assert(folder_holds(path, "half"));
        cr_assert_eq(folder_count(&folder), 1);
        folder_destroy(&folder);
    }
}

Test(output, commit_that_cannot_be_renamed_leaves_nothing)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(mkdir(path, 0700), 0); /* meanwhile */
    cr_assert_eq(output_commit(&output), STATUS_IO);
    cr_assert_eq(errno, EISDIR);
    cr_assert_null(output);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(folder_count(&folder), 0);
    folder_destroy(&folder);
}

Test(output, write_that_fails_is_told_and_leaves_what_was_there)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    folder_write(path, "old", 3);
    static char piece[256 * 1024];
    const struct rlimit limit = {.rlim_cur = 100 * 1024, .rlim_max = 100 * 1024};
    struct output *output;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(output_write(output, piece, sizeof(piece)), STATUS_IO);
    cr_assert_eq(errno, EFBIG);
    cr_assert_eq(output_commit(&output), STATUS_IO);
    cr_assert_null(output);
    cr_assert(folder_holds(path, "old"));
    cr_assert_eq(folder_count(&folder), 1);
    folder_destroy(&folder);
}

Test(output, folder_of_a_path)
{
    char text[8];
    cr_assert_eq(output_folder("a.csv", text, sizeof(text)), STATUS_OK);
    cr_assert_str_eq(text, ".");
    cr_assert_eq(output_folder("/a.csv", text, sizeof(text)), STATUS_OK);
    cr_assert_str_eq(text, "/");
    cr_assert_eq(output_folder("x/y/a.csv", text, sizeof(text)), STATUS_OK);
    cr_assert_str_eq(text, "x/y");
    cr_assert_eq(output_folder("12345678/a", text, sizeof(text)), STATUS_LIMIT);
}

Test(output, unnamed_file_is_in_no_folder)
{
    struct folder folder = folder_create();
    int descriptor = output_open_unnamed(folder.path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, "x", 1), 1);
    cr_assert_eq(folder_count(&folder), 0);
    close(descriptor);
    cr_assert_lt(output_open_unnamed(folder_file(&folder, "no")), 0);
    folder_destroy(&folder);
}
