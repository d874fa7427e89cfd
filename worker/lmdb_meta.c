/* See lmdb_meta.h. */
#include "worker/lmdb_meta.h"

#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    META_PAGE_FLAG = 0x08,
    META_PAGES = 2,
    FORMAT_VERSION = 1,
    PAGE_SIZE_MIN = 4096,  /* the smallest that Linux has */
    PAGE_SIZE_MAX = 32768, /* the largest that LMDB has, also where a machine's are larger */
};

#define MAGIC          0xBEEFC0DEU
#define NO_PAGE        SIZE_MAX            /* the root of a table without entries */
#define FILE_BYTES_MAX ((uint64_t)1 << 47) /* what a process can map on x86-64 */

struct table {
    uint32_t page_bytes; /* in the first of the two tables; in the other one nothing */
    uint16_t flags;
    uint16_t depth;
    size_t pages[3]; /* branches, leaves, overflow */
    size_t entries;
    size_t root;
};

struct meta_page {
    size_t page_number;
    uint16_t pad;
    uint16_t page_flags;
    uint16_t bounds[2];
    uint32_t magic;
    uint32_t version;
    size_t address;
    size_t map_bytes;
    struct table tables[2]; /* free pages, named tables */
    size_t last_page;
    size_t transaction;
};

_Static_assert(sizeof(size_t) != 8 || sizeof(struct meta_page) == 152, "as MDB_meta behind a head");

static enum status fail(char *reason, size_t reason_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status fail(char *reason, size_t reason_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, reason_bytes, format, arguments);
    va_end(arguments);
    return STATUS_IO;
}

/* errors: IO: not all of it could be read. */
static enum status read_page(int descriptor, off_t at, struct meta_page *page, char *reason,
                             size_t reason_bytes)
{
    ssize_t count;
    do
        count = pread(descriptor, page, sizeof *page, at);
    while (count < 0 && errno == EINTR);
    if (count == (ssize_t)sizeof *page)
        return STATUS_OK;
    return fail(reason, reason_bytes, "data.mdb cannot be read: %s",
                count < 0 ? strerror(errno) : "it ended meanwhile");
}

static enum status check_length(uint64_t file_bytes, uint64_t needed_bytes, char *reason,
                                size_t reason_bytes)
{
    if (file_bytes >= needed_bytes)
        return STATUS_OK;
    return fail(reason, reason_bytes,
                "data.mdb was cut short: it has %" PRIu64 " bytes and needs %" PRIu64 " at least",
                file_bytes, needed_bytes);
}

/* Whether a file that is too short for a meta page begins as the first one does. */
static bool begins_as_store(int descriptor, size_t bytes)
{
    struct meta_page page = {.magic = 0};
    const struct meta_page first = {.page_flags = META_PAGE_FLAG, .magic = MAGIC};
    size_t compared = offsetof(struct meta_page, version);
    if (bytes < compared)
        compared = bytes;
    return pread(descriptor, &page, compared, 0) == (ssize_t)compared &&
           memcmp(&page, &first, compared) == 0;
}

static bool is_page_size(uint32_t bytes)
{
    return bytes >= PAGE_SIZE_MIN && bytes <= PAGE_SIZE_MAX && (bytes & (bytes - 1)) == 0;
}

/* What the newest meta page says of the pages that are used. */
static enum status check_used(const struct meta_page *page, uint64_t file_bytes, char *reason,
                              size_t reason_bytes)
{
    uint32_t page_bytes = page->tables[0].page_bytes;
    if (page->last_page < META_PAGES - 1 || page->last_page >= FILE_BYTES_MAX / page_bytes)
        return fail(reason, reason_bytes, "data.mdb is damaged: its last page is number %zu",
                    page->last_page);
    for (size_t i = 0; i < 2; i++) {
        size_t root = page->tables[i].root;
        if (root != NO_PAGE && (root < META_PAGES || root > page->last_page))
            return fail(reason, reason_bytes,
                        "data.mdb is damaged: a table begins at page %zu, which none can", root);
        if ((page->tables[i].flags & (MDB_DUPSORT | MDB_DUPFIXED)) != 0)
            return fail(reason, reason_bytes, "data.mdb is damaged: a table has the flags %#x",
                        (unsigned)page->tables[i].flags);
    }
    /* LMDB maps them all, and touching one that is not there is a SIGBUS. No crash leaves such a
     * file: it never shrinks, is never shorter than what may be used of it (lmdb_space.h), and a
     * commit syncs pages and length before the meta page that needs them. */
    return check_length(file_bytes, ((uint64_t)page->last_page + 1) * page_bytes, reason,
                        reason_bytes);
}

/* No crash leaves two meta pages that differ in their size: a store is renamed to data.mdb when
 * both are durable, and each commit writes the same size into one of them, within a sector. */
static enum status check_pages(int descriptor, uint64_t file_bytes, char *reason,
                               size_t reason_bytes)
{
    struct meta_page pages[META_PAGES];
    enum status status = read_page(descriptor, 0, &pages[0], reason, reason_bytes);
    if (status != STATUS_OK)
        return status;
    if (pages[0].magic != MAGIC || (pages[0].page_flags & META_PAGE_FLAG) == 0)
        return fail(reason, reason_bytes,
                    "data.mdb is not a store's file, or its first page is damaged");
    if (pages[0].version != FORMAT_VERSION)
        return STATUS_OK;
    uint32_t page_bytes = pages[0].tables[0].page_bytes;
    if (!is_page_size(page_bytes))
        return fail(reason, reason_bytes,
                    "data.mdb is damaged: its first page says that pages have %" PRIu32
                    " bytes, and %d to %d are possible",
                    page_bytes, PAGE_SIZE_MIN, PAGE_SIZE_MAX);
    status = check_length(file_bytes, (uint64_t)META_PAGES * page_bytes, reason, reason_bytes);
    if (status == STATUS_OK)
        status = read_page(descriptor, (off_t)page_bytes, &pages[1], reason, reason_bytes);
    if (status != STATUS_OK)
        return status;
    if (pages[1].magic != MAGIC || (pages[1].page_flags & META_PAGE_FLAG) == 0)
        return fail(reason, reason_bytes, "data.mdb is damaged: its second page is no meta page");
    if (pages[1].tables[0].page_bytes != page_bytes)
        return fail(reason, reason_bytes,
                    "data.mdb is damaged: its first page says that pages have %" PRIu32
                    " bytes, its second one %" PRIu32,
                    page_bytes, pages[1].tables[0].page_bytes);
    /* LMDB's choice. */
    return check_used(&pages[pages[1].transaction > pages[0].transaction], file_bytes, reason,
                      reason_bytes);
}

enum status lmdb_meta_check(int descriptor, uint64_t *file_bytes, char *reason, size_t reason_bytes)
{
    struct stat file;
    if (fstat(descriptor, &file) != 0)
        return fail(reason, reason_bytes, "data.mdb cannot be read: %s", strerror(errno));
    if (!S_ISREG(file.st_mode))
        return fail(reason, reason_bytes, "data.mdb is not a store's file: it is no file at all");
    *file_bytes = (uint64_t)file.st_size;
    if (*file_bytes >= sizeof(struct meta_page))
        return check_pages(descriptor, *file_bytes, reason, reason_bytes);
    if (begins_as_store(descriptor, (size_t)file.st_size))
        return check_length(*file_bytes, META_PAGES * PAGE_SIZE_MIN, reason, reason_bytes);
    return fail(reason, reason_bytes, "data.mdb is not a store's file");
}
