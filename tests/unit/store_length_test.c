/* Tests of how long a store's data.mdb is. LMDB maps it, and touching a page behind its end is a
 * SIGBUS. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/folder.h"
#include "tests/unit/store_contract.h"
#include "worker/store_lmdb.h"

enum { PAGE_BYTES = 4096, BATCHES = 20 };

static bool cannot_allocate; /* the file system has no fallocate */

int fallocate(int descriptor, int mode, off_t offset, off_t length)
{
    if (cannot_allocate) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, descriptor, mode, offset, length);
}

static char problem[512];

static enum status open_store(const struct folder *folder, struct store **store)
{
    struct store_lmdb_settings settings = {
        .folder = folder->path,
        .reserve_bytes = 1 << 20,
        .id = {{1}},
        .opening_id = {{2}},
    };
    problem[0] = '\0';
    *store = NULL;
    return store_lmdb_open(&settings, store, problem, sizeof problem);
}

static off_t size_of(const char *path)
{
    struct stat file;
    cr_assert_eq(stat(path, &file), 0);
    return file.st_size;
}

/* Where the last page that LMDB counts as used ends. */
static off_t used_bytes(const struct folder *folder)
{
    MDB_env *env;
    MDB_envinfo info;
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_open(env, folder->path, MDB_RDONLY, 0600), 0);
    cr_assert_eq(mdb_env_info(env, &info), 0);
    mdb_env_close(env);
    return (off_t)(info.me_last_pgno + 1) * PAGE_BYTES;
}

static void make_store(const struct folder *folder)
{
    struct store *store;
    cr_assert_eq(open_store(folder, &store), STATUS_OK, "%s", problem);
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        struct batch_record batch = contract_batch(1, 1, 1, seq, 1);
        contract_store(store, &batch, 5000);
    }
    store_close(&store);
}

TestSuite(store_length, .timeout = 60);

/* Pages that a transaction takes at the end and gives back count as used and are never written. A
 * file system that cannot allocate has no other page behind them. */
Test(store_length, covers_pages_that_were_given_back)
{
    static const uint8_t BODY[100000];
    struct folder folder = folder_create();
    struct store *store;
    cannot_allocate = true;
    make_store(&folder);
    cr_assert_eq(open_store(&folder, &store), STATUS_OK, "%s", problem);
    struct batch_record first = contract_batch(2, 1, 1, 0, 1);
    struct batch_record declared = contract_batch(2, 1, 1, 0, 2);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(store_put(store, &first, (struct slice){BODY, sizeof BODY}, false), STATUS_OK);
    cr_assert_eq(store_put(store, &declared, (struct slice){BODY, 1}, true), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
    store_close(&store);
    cr_expect_geq(size_of(folder_file(&folder, "data.mdb")), used_bytes(&folder));
    folder_destroy(&folder);
}
