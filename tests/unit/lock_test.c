/* Tests of how a worker finds the store folder that nobody holds. */
#include "worker/lock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/wire/limits.h"

static char folder[64];
static char stores[128];
static char problem[2048];

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/lock_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(stores, sizeof stores, "%s/data/workers", folder);
}

static void tear_down(void)
{
    char path[256];
    for (int i = 0; i < STORES_MAX; i++) {
        snprintf(path, sizeof path, "%s/%d", stores, i);
        rmdir(path);
    }
    rmdir(stores);
    snprintf(path, sizeof path, "%s/data", folder);
    rmdir(path);
    rmdir(folder);
}

TestSuite(lock, .timeout = 10, .init = set_up, .fini = tear_down);

static struct lock take_from(uint32_t first)
{
    struct lock lock;
    cr_assert_eq(lock_take(stores, first, &lock, problem, sizeof problem), STATUS_OK, "%s",
                 problem);
    return lock;
}

static struct lock take(void)
{
    return take_from(0);
}

Test(lock, makes_the_folders_that_are_missing)
{
    struct lock lock = take();
    struct stat made;
    cr_expect_eq(lock.number, 0);
    cr_expect_eq(stat(lock.path, &made), 0);
    cr_expect(S_ISDIR(made.st_mode));
    lock_release(&lock);
    lock_release(&lock);
}

Test(lock, takes_the_lowest_that_is_free)
{
    struct lock locks[3];
    for (uint32_t i = 0; i < 3; i++) {
        locks[i] = take();
        cr_expect_eq(locks[i].number, i);
    }
    lock_release(&locks[1]);
    struct lock again = take();
    cr_expect_eq(again.number, 1);
    lock_release(&again);
    lock_release(&locks[0]);
    lock_release(&locks[2]);
}

Test(lock, looks_from_the_given_one_on_then_from_the_lowest)
{
    static const uint32_t FIRST[] = {1, 1, STORES_MAX - 1, STORES_MAX - 1, STORES_MAX - 1, 0};
    static const uint32_t TAKEN[] = {1, 2, STORES_MAX - 1, 0, 3, 4};
    struct lock locks[sizeof FIRST / sizeof FIRST[0]];
    for (size_t i = 0; i < sizeof FIRST / sizeof FIRST[0]; i++) {
        locks[i] = take_from(FIRST[i]);
        cr_expect_eq(locks[i].number, TAKEN[i], "%zu: %u", i, locks[i].number);
    }
    for (size_t i = 0; i < sizeof FIRST / sizeof FIRST[0]; i++)
        lock_release(&locks[i]);
}

/* In whichever order the workers of two pools begin, they fill the lowest folders. */
Test(lock, leaves_none_out_between_two_pools)
{
    static const uint32_t ORDERS[][6] = {{0, 1, 2, 0, 1, 2},
                                         {2, 2, 1, 1, 0, 0},
                                         {0, 0, 1, 1, 2, 2},
                                         {1, 2, 0, 2, 0, 1}};
    for (size_t row = 0; row < sizeof ORDERS / sizeof ORDERS[0]; row++) {
        struct lock locks[6];
        uint32_t taken = 0;
        for (size_t i = 0; i < 6; i++) {
            locks[i] = take_from(ORDERS[row][i]);
            cr_expect_geq(locks[i].number, ORDERS[row][i]);
            taken |= 1U << locks[i].number;
        }
        cr_expect_eq(taken, 0x3fU, "%zu: %#x", row, taken);
        for (size_t i = 0; i < 6; i++)
            lock_release(&locks[i]);
    }
}

Test(lock, is_free_again_when_its_process_has_died)
{
    pid_t child = fork();
    if (child == 0) {
        struct lock lock;
        _exit(lock_take(stores, 0, &lock, problem, sizeof problem) == STATUS_OK ? 0 : 1);
    }
    int wait_status;
    cr_assert_eq(waitpid(child, &wait_status, 0), child);
    cr_assert_eq(WEXITSTATUS(wait_status), 0);
    struct lock lock = take();
    cr_expect_eq(lock.number, 0);
    lock_release(&lock);
}

Test(lock, is_not_handed_on_to_a_program_that_it_starts)
{
    struct lock lock = take();
    cr_expect(fcntl(lock.descriptor, F_GETFD) & FD_CLOEXEC);
    lock_release(&lock);
}

Test(lock, refuses_when_all_are_held)
{
    struct lock locks[STORES_MAX];
    for (uint32_t i = 0; i < STORES_MAX; i++)
        locks[i] = take();
    struct lock one_more;
    cr_expect_eq(lock_take(stores, 0, &one_more, problem, sizeof problem), STATUS_LIMIT);
    cr_expect(strstr(problem, stores) != NULL);
    for (uint32_t i = 0; i < STORES_MAX; i++)
        lock_release(&locks[i]);
}

Test(lock, refuses_a_file_in_place_of_a_folder)
{
    char path[256];
    snprintf(path, sizeof path, "%s/file", folder);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    struct lock lock;
    cr_expect_eq(lock_take(path, 0, &lock, problem, sizeof problem), STATUS_CANNOT_CREATE);
    cr_expect(strstr(problem, "Not a directory") != NULL, "%s", problem);
    unlink(path);
}

Test(lock, refuses_a_name_that_is_empty_or_too_long)
{
    struct lock lock;
    static char name[LOCK_PATH_BYTES_MAX];
    memset(name, 'x', sizeof name - 1);
    cr_expect_eq(lock_take("", 0, &lock, problem, sizeof problem), STATUS_USAGE);
    cr_expect_eq(lock_take(name, 0, &lock, problem, sizeof problem), STATUS_USAGE);
}
