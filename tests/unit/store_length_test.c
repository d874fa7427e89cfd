/* Tests of how long a store's files are. LMDB maps them, and touching a page behind a file's end is
 * a SIGBUS. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "tests/unit/folder.h"
#include "tests/unit/store_contract.h"
#include "worker/lmdb_space.h"
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

static bool is_disk_full;
static int lengthen_errno;

int fstatvfs(int descriptor, struct statvfs *disk)
{
    (void)descriptor;
    *disk = (struct statvfs){.f_frsize = PAGE_BYTES, .f_bavail = is_disk_full ? 1 : 1 << 20};
    return 0;
}

int ftruncate(int descriptor, off_t length)
{
    if (lengthen_errno != 0) {
        errno = lengthen_errno;
        lengthen_errno = errno == EINTR ? 0 : lengthen_errno;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, descriptor, length);
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

static size_t count_batches(struct store *store)
{
    struct batch_record batches[BATCHES];
    size_t count;
    cr_assert_eq(store_list(store, &(struct batch_identity){.draw = 0}, batches, BATCHES, &count),
                 STATUS_OK);
    return count;
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
    cr_expect_eq(open_store(&folder, &store), STATUS_OK, "%s", problem);
    store_close(&store);
    folder_destroy(&folder);
}

enum cut_from { START, USED, WHOLE };

static const struct {
    const char *name;
    enum cut_from from;
    off_t bytes;
} REFUSED[] = {
    {"empty", START, 0},
    {"one byte", START, 1},
    {"the first page's head", START, 100},
    {"one page", START, PAGE_BYTES},
    {"the second page's head", START, PAGE_BYTES + 100},
    {"two pages but a byte", START, 2 * PAGE_BYTES - 1},
    {"two pages", START, 2 * PAGE_BYTES},
    {"the middle of a page", START, 2 * PAGE_BYTES + 2000},
    {"half", USED, -BATCHES * 5000 / 2},
    {"a page", USED, -PAGE_BYTES},
    {"the middle of the last page", USED, -2000},
    {"a byte of the last page", USED, -1},
};

static off_t end_of_cut(const struct folder *folder, enum cut_from from, off_t bytes)
{
    off_t whole = size_of(folder_file(folder, "data.mdb"));
    return bytes + (from == START ? 0 : from == USED ? used_bytes(folder) : whole);
}

Test(store_length, names_a_file_that_was_cut_short_and_leaves_it_alone)
{
    for (size_t row = 0; row < sizeof REFUSED / sizeof REFUSED[0]; row++) {
        const char *name = REFUSED[row].name;
        struct folder folder = folder_create();
        make_store(&folder);
        const char *path = folder_file(&folder, "data.mdb");
        off_t end = end_of_cut(&folder, REFUSED[row].from, REFUSED[row].bytes);
        cr_assert_eq(truncate(path, end), 0);
        struct store *store;
        cr_expect_eq(open_store(&folder, &store), STATUS_IO, "%s", name);
        cr_expect_null(store, "%s", name);
        char words[128];
        snprintf(words, sizeof words, "data.mdb was cut short: it has %ld bytes and needs ",
                 (long)end);
        cr_expect_not_null(strstr(problem, words), "%s: %s", name, problem);
        cr_expect_not_null(strstr(problem, folder.path), "%s: %s", name, problem);
        cr_expect_eq(size_of(path), end, "%s", name);
        folder_destroy(&folder);
    }
}

static const struct {
    const char *name;
    enum cut_from from;
    off_t bytes;
} WHOLE_STORES[] = {
    {"to the last page", USED, 0},
    {"in a page behind the last one", USED, 1},
    {"by a byte that was only allocated", WHOLE, -1},
    {"by a page that was only allocated", WHOLE, -PAGE_BYTES},
};

/* What is allocated ahead holds nothing. */
Test(store_length, lacks_nothing_where_only_free_room_is_gone)
{
    for (size_t row = 0; row < sizeof WHOLE_STORES / sizeof WHOLE_STORES[0]; row++) {
        struct folder folder = folder_create();
        make_store(&folder);
        off_t end = end_of_cut(&folder, WHOLE_STORES[row].from, WHOLE_STORES[row].bytes);
        cr_assert_eq(truncate(folder_file(&folder, "data.mdb"), end), 0);
        struct store *store;
        cr_expect_eq(open_store(&folder, &store), STATUS_OK, "%s: %s", WHOLE_STORES[row].name,
                     problem);
        cr_expect_eq(count_batches(store), BATCHES, "%s", WHOLE_STORES[row].name);
        store_close(&store);
        folder_destroy(&folder);
    }
}

/* Who opens it alone makes it anew. */
Test(store_length, takes_a_lock_file_of_any_length)
{
    static const size_t LENGTHS[] = {0, 1, 100, PAGE_BYTES, 8256, 16384, 100000};
    static uint8_t rotten[100000];
    struct folder folder = folder_create();
    memset(rotten, 0xa5, sizeof rotten);
    make_store(&folder);
    for (size_t row = 0; row < sizeof LENGTHS / sizeof LENGTHS[0]; row++) {
        folder_write(folder_file(&folder, "lock.mdb"), rotten, LENGTHS[row]);
        struct store *store;
        cr_expect_eq(open_store(&folder, &store), STATUS_OK, "%zu: %s", LENGTHS[row], problem);
        cr_expect_eq(count_batches(store), BATCHES, "%zu", LENGTHS[row]);
        store_close(&store);
    }
    folder_destroy(&folder);
}

/* -- without fallocate, step by step -- */

struct grown {
    struct folder folder;
    MDB_env *env;
    struct lmdb_space space;
};

static void grown_begin(struct grown *grown)
{
    cannot_allocate = true;
    grown->folder = folder_create();
    make_store(&grown->folder);
    cr_assert_eq(mdb_env_create(&grown->env), 0);
    cr_assert_eq(mdb_env_open(grown->env, grown->folder.path, 0, 0600), 0);
}

static void grown_end(struct grown *grown)
{
    mdb_env_close(grown->env);
    folder_destroy(&grown->folder);
}

static uint64_t file_bytes(const struct grown *grown)
{
    return (uint64_t)size_of(folder_file(&grown->folder, "data.mdb"));
}

Test(store_length, is_never_shorter_than_its_map)
{
    struct grown grown;
    grown_begin(&grown);
    cr_assert_eq(lmdb_space_begin(&grown.space, grown.env, 1 << 20), STATUS_OK);
    for (int step = 0; step < 3; step++) {
        uint64_t before = grown.space.allocated_bytes;
        grown.space.has_been_full = true;
        cr_assert_eq(lmdb_space_prepare(&grown.space, STORE_RESERVE), STATUS_OK);
        cr_expect_gt(grown.space.allocated_bytes, before);
        cr_expect_geq(file_bytes(&grown), grown.space.allocated_bytes, "step %d", step);
        cr_expect_geq(file_bytes(&grown), grown.space.map_bytes, "step %d", step);
    }
    grown_end(&grown);
}

Test(store_length, never_shrinks)
{
    struct grown grown;
    grown_begin(&grown);
    uint64_t whole = file_bytes(&grown);
    is_disk_full = true;
    cr_assert_eq(lmdb_space_begin(&grown.space, grown.env, 1 << 20), STATUS_OK);
    cr_expect_lt(grown.space.allocated_bytes, whole, "there may be holes, and no room for them");
    cr_assert_eq(lmdb_space_prepare(&grown.space, STORE_COMMON), STATUS_OK);
    cr_expect_lt(grown.space.allocated_bytes, whole);
    is_disk_full = false;
    cr_assert_eq(lmdb_space_prepare(&grown.space, STORE_COMMON), STATUS_OK);
    cr_expect_geq(file_bytes(&grown), whole);
    grown_end(&grown);
}

Test(store_length, says_why_it_cannot_be_lengthened)
{
    struct grown grown;
    grown_begin(&grown);
    cr_assert_eq(lmdb_space_begin(&grown.space, grown.env, 1 << 20), STATUS_OK);
    uint64_t before = grown.space.allocated_bytes;
    static const int full[] = {ENOSPC, EDQUOT, EFBIG};
    for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
        lengthen_errno = full[i];
        grown.space.has_been_full = true;
        cr_expect_eq(lmdb_space_prepare(&grown.space, STORE_COMMON), STATUS_OK, "as full");
        cr_expect_eq(grown.space.allocated_bytes, before);
    }
    lengthen_errno = EIO;
    grown.space.has_been_full = true;
    cr_expect_eq(lmdb_space_prepare(&grown.space, STORE_COMMON), STATUS_IO);
    lengthen_errno = EINTR;
    cr_expect_eq(lmdb_space_prepare(&grown.space, STORE_COMMON), STATUS_OK);
    cr_expect_gt(grown.space.allocated_bytes, before);
    grown_end(&grown);
}

/* Without fallocate a file is as long as it was made: within a page, its map would be longer. */
Test(store_length, is_whole_pages_again_where_a_part_of_one_was_left)
{
    struct folder folder = folder_create();
    struct store *store;
    cannot_allocate = true;
    make_store(&folder);
    const char *path = folder_file(&folder, "data.mdb");
    off_t used = used_bytes(&folder);
    cr_assert_eq(truncate(path, used + 1), 0);
    cr_assert_eq(open_store(&folder, &store), STATUS_OK, "%s", problem);
    cr_expect_eq(count_batches(store), BATCHES);
    cr_expect_gt(size_of(path), used);
    cr_expect_eq(size_of(path) % PAGE_BYTES, 0, "%ld", (long)size_of(path));
    store_close(&store);
    folder_destroy(&folder);
}
