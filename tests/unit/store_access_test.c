/* Tests of a store that this user may not read or write: it is not taken for a damaged one, nor is
 * another one made in its place. */
#include <criterion/criterion.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/unit/folder.h"
#include "tests/unit/store_contract.h"
#include "worker/lock.h"
#include "worker/store_lmdb.h"

enum { NOBODY = 65534 };

static char problem[2048];
static struct folder stores;
static struct lock held;

static enum status open_store(struct store **store)
{
    struct store_lmdb_settings settings = {
        .folder = held.path,
        .reserve_bytes = 1 << 20,
        .id = {{1}},
        .opening_id = {{2}},
    };
    problem[0] = '\0';
    *store = NULL;
    return store_lmdb_open(&settings, store, problem, sizeof problem);
}

static const char *path_of(const char *name)
{
    static char path[LOCK_PATH_BYTES_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", held.path, name);
    return path;
}

/* A store with one batch, of a user whom modes concern. */
static void set_up(void)
{
    stores = folder_create();
    if (geteuid() == 0) {
        cr_assert_eq(chown(stores.path, NOBODY, NOBODY), 0);
        cr_assert_eq(setegid(NOBODY), 0);
        cr_assert_eq(seteuid(NOBODY), 0);
    }
    cr_assert_eq(lock_take(stores.path, 0, &held, problem, sizeof problem), STATUS_OK, "%s",
                 problem);
    struct store *store;
    cr_assert_eq(open_store(&store), STATUS_OK, "%s", problem);
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    contract_store(store, &batch, 5000);
    store_close(&store);
}

static void tear_down(void)
{
    lock_release(&held);
    struct folder folder;
    snprintf(folder.path, sizeof folder.path, "%.*s/0", 60, stores.path);
    folder_destroy(&folder);
    folder_destroy(&stores);
    if (getuid() == 0) {
        cr_assert_eq(seteuid(0), 0);
        cr_assert_eq(setegid(0), 0);
        prctl(PR_SET_DUMPABLE, 1); /* for LeakSanitizer, which traces its process */
    }
}

TestSuite(store_access, .timeout = 20, .init = set_up, .fini = tear_down);

static const struct {
    const char *file;
    mode_t mode;
} KEPT_OUT[] = {
    {"data.mdb", 0000}, {"data.mdb", 0400}, {"data.mdb", 0200}, {"lock.mdb", 0000},
    {"lock.mdb", 0400}, {"", 0400},         {"", 0600},
};

/* 74 comes with the hint to move the folder away. */
Test(store_access, tells_a_store_that_it_may_not_use_from_a_damaged_one)
{
    for (size_t row = 0; row < sizeof KEPT_OUT / sizeof KEPT_OUT[0]; row++) {
        const char *path = path_of(KEPT_OUT[row].file);
        struct stat kind;
        struct store *store;
        cr_assert_eq(stat(path, &kind), 0);
        cr_assert_eq(chmod(path, KEPT_OUT[row].mode), 0);
        cr_expect_eq(open_store(&store), STATUS_CANNOT_CREATE, "%zu: %s", row, problem);
        cr_expect_not_null(strstr(problem, "Permission denied"), "%zu: %s", row, problem);
        cr_expect_not_null(strstr(problem, held.path), "%zu: %s", row, problem);
        cr_assert_eq(chmod(path, kind.st_mode & 07777), 0);
        cr_assert_eq(open_store(&store), STATUS_OK, "%zu: %s", row, problem);
        size_t count;
        struct batch_record batch;
        cr_expect_eq(store_list(store, &(struct batch_identity){.draw = 0}, &batch, 1, &count),
                     STATUS_OK);
        cr_expect_eq(count, 1, "%zu: another store took its place", row);
        store_close(&store);
    }
}

Test(store_access, tells_a_new_store_that_may_not_be_made)
{
    struct store *store;
    cr_assert_eq(unlink(path_of("data.mdb")), 0);
    cr_assert_eq(chmod(held.path, 0500), 0);
    cr_expect_eq(open_store(&store), STATUS_CANNOT_CREATE, "%s", problem);
    cr_assert_eq(chmod(held.path, 0700), 0);
}

Test(store_access, tells_a_folder_that_may_not_be_locked)
{
    lock_release(&held);
    cr_assert_eq(chmod(held.path, 0300), 0);
    struct lock lock;
    cr_expect_eq(lock_take(stores.path, 0, &lock, problem, sizeof problem), STATUS_CANNOT_CREATE,
                 "%s", problem);
    cr_expect_not_null(strstr(problem, "Permission denied"), "%s", problem);
    cr_assert_eq(chmod(held.path, 0700), 0);
}
