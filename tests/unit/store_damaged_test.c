/* Tests of a data.mdb that is damaged, or no store's: it is told, left alone, and no signal ends
 * who opens it. LMDB believes what its two meta pages say. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/folder.h"
#include "tests/unit/store_contract.h"
#include "worker/store_lmdb.h"

enum {
    BATCHES = 5,
    PAGE_BYTES = 4096,
    IMAGE_BYTES = 1 << 20,
    META_BYTES = 152, /* of each meta page, from its start */
    FLAGS_AT = 10,
    MAGIC_AT = 16,
    PAGE_SIZE_AT = 40,
    FREE_FLAGS_AT = 44,
    FREE_ROOT_AT = 80,
    MAIN_ROOT_AT = 128,
    LAST_PAGE_AT = 136,
    TRANSACTION_AT = 144,
};

/* A data.mdb as a store that is well has left it, but for what was allocated ahead; its newer meta
 * page is the second one. */
static struct {
    struct folder folder;
    char path[PATH_MAX];
    uint8_t bytes[IMAGE_BYTES];
} image;

static char problem[512];
static long page_bytes; /* that LMDB is told; 0: the machine's */

long __sysconf(int name);

/* LMDB makes a file with the pages of the machine. */
long sysconf(int name)
{
    return name == _SC_PAGESIZE && page_bytes != 0 ? page_bytes : __sysconf(name);
}

static enum status open_store(struct store **store)
{
    struct store_lmdb_settings settings = {
        .folder = image.folder.path,
        .reserve_bytes = 1 << 20,
        .id = {{1}},
        .opening_id = {{2}},
    };
    problem[0] = '\0';
    *store = NULL;
    return store_lmdb_open(&settings, store, problem, sizeof problem);
}

static size_t count_batches(struct store *store)
{
    struct batch_record batches[BATCHES];
    size_t count;
    return store_list(store, &(struct batch_identity){.draw = 0}, batches, BATCHES, &count) ==
                   STATUS_OK
               ? count
               : 0;
}

static uint64_t transaction_of(size_t page_at)
{
    uint64_t transaction;
    memcpy(&transaction, image.bytes + page_at + TRANSACTION_AT, sizeof transaction);
    return transaction;
}

static void set_up(void)
{
    struct store *store;
    image.folder = folder_create();
    snprintf(image.path, sizeof image.path, "%s", folder_file(&image.folder, "data.mdb"));
    cr_assert_eq(open_store(&store), STATUS_OK, "%s", problem);
    for (uint32_t seq = 0; seq < BATCHES; seq++) {
        struct batch_record batch = contract_batch(1, 1, 1, seq, 1);
        contract_store(store, &batch, 5000);
    }
    store_close(&store);
    int file = open(image.path, O_RDONLY);
    cr_assert_eq(read(file, image.bytes, sizeof image.bytes), (ssize_t)sizeof image.bytes);
    close(file);
    cr_assert_gt(transaction_of(PAGE_BYTES), transaction_of(0));
}

static void tear_down(void)
{
    page_bytes = 0;
    folder_destroy(&image.folder);
}

TestSuite(store_damaged, .timeout = 60, .init = set_up, .fini = tear_down);

static void write_image(void)
{
    folder_write(image.path, image.bytes, sizeof image.bytes);
}

static void expect_refused(const char *name, const char *words)
{
    struct store *store;
    cr_expect_eq(open_store(&store), STATUS_IO, "%s", name);
    cr_expect_null(store, "%s", name);
    cr_expect_not_null(strstr(problem, words), "%s: %s", name, problem);
    cr_expect_not_null(strstr(problem, image.folder.path), "%s: %s", name, problem);
}

/* Opens the file in a process of its own. returns what waitpid says. */
static int open_in_child(void)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct store *store;
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        enum status status = open_store(&store);
        if (status == STATUS_OK)
            count_batches(store);
        _exit(status == STATUS_OK ? 0 : status_exit_code(status));
    }
    int wait_status;
    cr_assert_eq(waitpid(child, &wait_status, 0), child);
    return wait_status;
}

/* A root that is another page of the file is beyond a meta page: LMDB has no checksums. */
static bool is_root(size_t at)
{
    size_t in_page = at % PAGE_BYTES;
    return (in_page >= FREE_ROOT_AT && in_page < FREE_ROOT_AT + 8) ||
           (in_page >= MAIN_ROOT_AT && in_page < MAIN_ROOT_AT + 8);
}

/* Each bit of both meta pages, the other way round. Where nothing else betrays it, LMDB may well
 * open the file. */
Test(store_damaged, ends_by_no_signal_whichever_bit_of_a_meta_page_is_wrong)
{
    for (size_t at = 0; at < PAGE_BYTES + META_BYTES; at++) {
        if (at == META_BYTES)
            at = PAGE_BYTES;
        for (unsigned bit = 0; bit < 8 && !is_root(at); bit++) {
            image.bytes[at] ^= (uint8_t)(1U << bit);
            write_image();
            int wait_status = open_in_child();
            cr_expect(WIFEXITED(wait_status), "byte %zu, bit %u: signal %d", at, bit,
                      WTERMSIG(wait_status));
            int code = WEXITSTATUS(wait_status);
            cr_expect(code == 0 || code == 74, "byte %zu, bit %u: %d", at, bit, code);
            image.bytes[at] ^= (uint8_t)(1U << bit);
        }
    }
}

static const struct {
    const char *name;
    size_t at; /* in the second meta page, the newer one */
    size_t bytes;
    uint64_t value;
    bool is_in_both; /* in the first one as well */
    const char *words;
} DAMAGED[] = {
    {"a page size that is wrong in the newer page", PAGE_SIZE_AT, 4, 0x40001000, false,
     "data.mdb is damaged: its first page says that pages have 4096 bytes, its second one "
     "1073745920"},
    {"a page size of 0", PAGE_SIZE_AT, 4, 0, true,
     "data.mdb is damaged: its first page says that pages have 0 bytes, and 4096 to 32768"},
    {"a page size below the smallest", PAGE_SIZE_AT, 4, 2048, true, "pages have 2048 bytes, and"},
    {"a page size beyond the largest", PAGE_SIZE_AT, 4, 65536, true, "pages have 65536 bytes, and"},
    {"a page size between two", PAGE_SIZE_AT, 4, 4097, true, "pages have 4097 bytes, and"},
    {"a second page that is none", MAGIC_AT, 4, 7, false,
     "data.mdb is damaged: its second page is no meta page"},
    {"a second page that is another", FLAGS_AT, 2, 2, false,
     "data.mdb is damaged: its second page is no meta page"},
    {"no magic number", MAGIC_AT, 4, 7, true, "data.mdb is not a store's file, or its first page"},
    {"a first page that is another", FLAGS_AT, 2, 2, true, "is not a store's file, or its first"},
    {"more bytes than 64 bits count", LAST_PAGE_AT, 8, UINT64_MAX, true,
     "data.mdb is damaged: its last page is number 18446744073709551615"},
    {"more bytes than a machine maps", LAST_PAGE_AT, 8, 1ULL << 35, true,
     "data.mdb is damaged: its last page is number 34359738368"},
    {"fewer pages than two", LAST_PAGE_AT, 8, 0, true, "data.mdb is damaged: its last page is"},
    {"more pages than there are", LAST_PAGE_AT, 8, (1ULL << 35) - 1, true,
     "data.mdb was cut short: it has 1048576 bytes and needs 140737488355328 at least"},
    {"a table in a meta page", MAIN_ROOT_AT, 8, 1, true,
     "data.mdb is damaged: a table begins at page 1, which none can"},
    {"free pages in a meta page", FREE_ROOT_AT, 8, 0, true,
     "data.mdb is damaged: a table begins at page 0, which none can"},
    {"a table behind the last page", MAIN_ROOT_AT, 8, 1 << 20, true,
     "data.mdb is damaged: a table begins at page 1048576"},
    {"a table with several values for a key", FREE_FLAGS_AT, 2, 0xc, true,
     "data.mdb is damaged: a table has the flags 0xc"},
};

/* Puts the lowest `bytes` of a value into the image. */
static void put(size_t at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        image.bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* Whether the file is this, to the byte. */
static bool holds(const uint8_t *bytes, size_t count)
{
    static uint8_t found[IMAGE_BYTES + 1];
    int file = open(image.path, O_RDONLY);
    ssize_t read_bytes = read(file, found, sizeof found);
    close(file);
    return read_bytes == (ssize_t)count && memcmp(found, bytes, count) == 0;
}

Test(store_damaged, says_what_is_wrong_and_leaves_the_file_alone)
{
    for (size_t row = 0; row < sizeof DAMAGED / sizeof DAMAGED[0]; row++) {
        const char *name = DAMAGED[row].name;
        static uint8_t whole[2 * PAGE_BYTES];
        memcpy(whole, image.bytes, sizeof whole);
        put(PAGE_BYTES + DAMAGED[row].at, DAMAGED[row].value, DAMAGED[row].bytes);
        if (DAMAGED[row].is_in_both)
            put(DAMAGED[row].at, DAMAGED[row].value, DAMAGED[row].bytes);
        write_image();
        expect_refused(name, DAMAGED[row].words);
        cr_expect(holds(image.bytes, sizeof image.bytes), "%s", name);
        memcpy(image.bytes, whole, sizeof whole);
    }
}

static const struct {
    const char *name;
    const char *text;
    size_t bytes;
} OTHERS[] = {
    {"a short text", "hello\n", 6},
    {"a text as long as a meta page's head", "to be, or not to be", 19},
    {"zeros, and something else", "\0\0\0\0\0\0\0\0\0\0\x02\0", 12},
};

Test(store_damaged, tells_a_file_that_is_no_stores_from_one_that_was_cut_short)
{
    for (size_t row = 0; row < sizeof OTHERS / sizeof OTHERS[0]; row++) {
        folder_write(image.path, OTHERS[row].text, OTHERS[row].bytes);
        expect_refused(OTHERS[row].name, "data.mdb is not a store's file");
        cr_expect(holds((const uint8_t *)OTHERS[row].text, OTHERS[row].bytes));
    }
    static uint8_t text[3 * PAGE_BYTES];
    memset(text, 'x', sizeof text);
    folder_write(image.path, text, sizeof text);
    expect_refused("a long text", "data.mdb is not a store's file");
    for (size_t bytes = 0; bytes < META_BYTES; bytes += 4) {
        folder_write(image.path, image.bytes, bytes);
        expect_refused("a store's beginning", "data.mdb was cut short: it has ");
    }
}

Test(store_damaged, tells_what_is_no_file)
{
    struct stat kind;
    cr_assert_eq(unlink(image.path), 0);
    cr_assert_eq(mkdir(image.path, 0700), 0);
    expect_refused("a folder", "data.mdb is not a store's file: it is no file at all");
    cr_assert_eq(rmdir(image.path), 0);
    cr_assert_eq(mkfifo(image.path, 0600), 0);
    expect_refused("a pipe", "data.mdb is not a store's file: it is no file at all");
    cr_assert_eq(unlink(image.path), 0);
    cr_assert_eq(symlink("data.mdb", image.path), 0);
    expect_refused("a link to itself", "Too many levels of symbolic links");
    cr_expect_eq(lstat(image.path, &kind), 0);
    cr_expect(S_ISLNK(kind.st_mode), "a new store took its place");
}

/* A machine with other pages made it: LMDB takes 32 KiB where they have 64. */
Test(store_damaged, opens_a_store_that_has_pages_of_another_size)
{
    static const long SIZES[] = {8192, 16384, 32768, 65536};
    for (size_t row = 0; row < sizeof SIZES / sizeof SIZES[0]; row++) {
        struct store *store;
        uint32_t told;
        cr_assert_eq(unlink(image.path), 0);
        page_bytes = SIZES[row];
        cr_assert_eq(open_store(&store), STATUS_OK, "%ld: %s", SIZES[row], problem);
        struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
        contract_store(store, &batch, 5000);
        store_close(&store);
        page_bytes = 0;
        int file = open(image.path, O_RDONLY);
        cr_assert_eq(pread(file, &told, sizeof told, PAGE_SIZE_AT), (ssize_t)sizeof told);
        close(file);
        cr_expect_eq(told, SIZES[row] < 65536 ? SIZES[row] : 32768);
        cr_assert_eq(open_store(&store), STATUS_OK, "%ld: %s", SIZES[row], problem);
        cr_expect_eq(count_batches(store), 1);
        store_close(&store);
        cr_assert_eq(truncate(image.path, told + PAGE_BYTES), 0);
        expect_refused("one page of it", "data.mdb was cut short: it has ");
    }
}

/* A new store has a meta page of which no commit has been made, and one that it was born with. */
Test(store_damaged, opens_a_store_at_each_of_its_first_openings)
{
    struct store *store;
    cr_assert_eq(unlink(image.path), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(open_store(&store), STATUS_OK, "%d: %s", i, problem);
        store_close(&store);
    }
}
