/* What has to be on the disk before somebody is told: every fsync and fdatasync of this program and
 * of its libraries comes by here, and leaves the name of what it synced. Whether a disk keeps what
 * was synced is not tested here. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>

#include "agency/output.h"
#include "broker/journal.h"
#include "tests/unit/folder.h"
#include "tests/unit/store_contract.h"
#include "worker/lock.h"
#include "worker/store_lmdb.h"

enum { SYNCS_MAX = 256 };

static struct {
    char name[SYNCS_MAX][PATH_MAX];
    bool found_watched[SYNCS_MAX];
    size_t count;
    const char *watched; /* a path, or NULL: was it there when something was synced? */
    bool fail;           /* the disk fails */
    const char *failing; /* a path, or NULL: only the syncs of this file fail */
} syncs;

/* returns false: this sync is to fail. */
static bool note(int descriptor)
{
    char entry[64];
    snprintf(entry, sizeof entry, "/proc/self/fd/%d", descriptor);
    if (syncs.count == SYNCS_MAX)
        return !syncs.fail;
    char *name = syncs.name[syncs.count];
    ssize_t bytes = readlink(entry, name, PATH_MAX - 1);
    if (bytes < 0)
        return !syncs.fail;
    name[bytes] = '\0';
    syncs.found_watched[syncs.count] = syncs.watched != NULL && access(syncs.watched, F_OK) == 0;
    syncs.count++;
    return !syncs.fail && (syncs.failing == NULL || strcmp(name, syncs.failing) != 0);
}

int fsync(int descriptor)
{
    if (!note(descriptor)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor)
{
    if (!note(descriptor)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, descriptor);
}

static void begin(void)
{
    memset(&syncs, 0, sizeof syncs);
}

/* How often a file or folder of this name was synced. */
static size_t count_of(const char *path)
{
    size_t count = 0;
    for (size_t i = 0; i < syncs.count; i++)
        count += strcmp(syncs.name[i], path) == 0;
    return count;
}

TestSuite(durable, .timeout = 10);

static void open_journal(const char *path, struct journal **journal)
{
    const struct journal_patience no_patience = {0};
    struct epoch epoch;
    struct id id = {{1}};
    char problem[512];
    cr_assert_eq(journal_open(path, &id, &no_patience, journal, &epoch, problem, sizeof problem),
                 STATUS_OK, "%s", problem);
}

/* [M-28] */
Test(durable, a_turn_is_synced_before_its_write_returns)
{
    struct folder folder = folder_create();
    struct journal *journal;
    struct records *records;
    open_journal(folder.path, &journal);
    cr_assert_eq(records_create(4, 1024, &records), STATUS_OK);
    for (uint8_t turn = 1; turn <= 3; turn++) {
        struct record record = {.kind = RECORD_STORE, .store = {{turn}}};
        records_add(records, &record);
        begin();
        cr_assert_eq(journal_write(journal, records), STATUS_OK);
        cr_assert_geq(count_of(folder_file(&folder, "journal.sqlite-wal")), 1, "turn %u", turn);
        records_reset(records);
    }
    records_destroy(&records);
    journal_close(&journal);
    folder_destroy(&folder);
}

Test(durable, a_new_journal_has_its_name_in_a_folder_that_has_its_own)
{
    struct folder folder = folder_create();
    const char *inner = folder_file(&folder, "data");
    struct journal *journal;
    begin();
    syncs.watched = folder_file(&folder, "data/journal.sqlite");
    open_journal(inner, &journal);
    cr_assert_geq(count_of(folder.path), 1);
    bool is_synced = false;
    for (size_t i = 0; i < syncs.count; i++)
        is_synced |= strcmp(syncs.name[i], inner) == 0 && syncs.found_watched[i];
    cr_assert(is_synced, "the folder, after the file was made");
    journal_close(&journal);
    struct folder created = {.path = ""};
    snprintf(created.path, sizeof created.path, "%s", inner);
    folder_destroy(&created);
    folder_destroy(&folder);
}

/* What was not copied stays in the log, but a disk that fails is no place to go on. */
Test(durable, a_journal_that_cannot_be_synced_when_its_log_is_copied_back_is_over)
{
    struct folder folder = folder_create();
    struct journal *journal;
    struct records *records;
    struct record opened = {.kind = RECORD_OPENED, .draw = 1, .opened = {.number = {.draw = 1}}};
    struct record plan = {
        .kind = RECORD_PLAN,
        .draw = 1,
        .plan = {.plan = {.bets_max = 1, .bytes_max = BATCH_BYTES_MIN}},
    };
    enum status status = STATUS_OK;
    open_journal(folder.path, &journal);
    cr_assert_eq(records_create(2048, 1024, &records), STATUS_OK);
    records_add(records, &opened);
    begin();
    syncs.failing = folder_file(&folder, "journal.sqlite");
    for (uint32_t turn = 0; turn < 100 && status == STATUS_OK; turn++) {
        plan.plan.agency = turn;
        for (plan.plan.attempt = 1; plan.plan.attempt < 1500; plan.plan.attempt++)
            records_add(records, &plan);
        status = journal_write(journal, records);
        records_reset(records);
        syncs.count = 0;
    }
    cr_assert_eq(status, STATUS_SYNC, "%s", status_text(status));
    cr_assert_eq(journal_verdict(journal), STATUS_SYNC);
    begin();
    records_destroy(&records);
    journal_close(&journal);
    folder_destroy(&folder);
}

static struct store *open_store(const struct folder *folder)
{
    struct store_lmdb_settings settings = {
        .folder = folder->path,
        .reserve_bytes = 1 << 20,
        .id = {{1}},
        .opening_id = {{2}},
    };
    struct store *store;
    char problem[512];
    cr_assert_eq(store_lmdb_open(&settings, &store, problem, sizeof problem), STATUS_OK, "%s",
                 problem);
    return store;
}

Test(durable, a_new_store_is_synced_with_its_name)
{
    struct folder folder = folder_create();
    begin();
    syncs.watched = folder_file(&folder, "data.mdb");
    struct store *store = open_store(&folder);
    bool is_synced = false;
    for (size_t i = 0; i < syncs.count; i++)
        is_synced |= strcmp(syncs.name[i], folder.path) == 0 && syncs.found_watched[i];
    cr_assert(is_synced);
    cr_assert_geq(count_of(folder_file(&folder, "new.mdb")), 1, "before it is renamed");
    store_close(&store);
    folder_destroy(&folder);
}

/* [M-50] */
Test(durable, batches_are_synced_before_their_commit_returns)
{
    struct folder folder = folder_create();
    struct store *store = open_store(&folder);
    for (uint32_t seq = 0; seq < 3; seq++) {
        struct batch_record batch = contract_batch(1, 1, 1, seq, 1);
        begin();
        contract_store(store, &batch, 1000);
        cr_assert_geq(count_of(folder_file(&folder, "data.mdb")), 1, "batch %u", seq);
    }
    store_close(&store);
    folder_destroy(&folder);
}

Test(durable, a_commit_whose_sync_fails_is_told_as_failed)
{
    struct folder folder = folder_create();
    struct store *store = open_store(&folder);
    struct batch_record batch = contract_batch(1, 1, 1, 0, 1);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(store_put(store, &batch, (struct slice){(const uint8_t *)"body", 4}, false),
                 STATUS_OK);
    syncs.fail = true;
    cr_assert_eq(store_commit(store), STATUS_SYNC);
    syncs.fail = false;
    store_close(&store);
    folder_destroy(&folder);
}

Test(durable, a_turn_whose_sync_fails_is_told_as_failed)
{
    struct folder folder = folder_create();
    struct journal *journal;
    struct records *records;
    struct record record = {.kind = RECORD_STORE, .store = {{1}}};
    open_journal(folder.path, &journal);
    cr_assert_eq(records_create(4, 1024, &records), STATUS_OK);
    records_add(records, &record);
    syncs.fail = true;
    cr_assert_eq(journal_write(journal, records), STATUS_SYNC);
    syncs.fail = false;
    records_reset(records);
    cr_assert_eq(journal_write(journal, records), STATUS_SYNC, "and never tried again");
    records_destroy(&records);
    journal_close(&journal);
    folder_destroy(&folder);
}

Test(durable, winners_whose_sync_fails_do_not_replace_what_was_there)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    struct output *output;
    folder_write(path, "old", 3);
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_write(output, "new", 3), STATUS_OK);
    syncs.fail = true;
    cr_assert_eq(output_commit(&output), STATUS_SYNC);
    syncs.fail = false;
    cr_assert(folder_holds(path, "old"));
    cr_assert_eq(folder_count(&folder), 1);
    folder_destroy(&folder);
}

Test(durable, a_new_stores_folder_is_synced_with_its_name)
{
    struct folder folder = folder_create();
    const char *stores = folder_file(&folder, "workers");
    struct lock lock;
    char problem[512];
    begin();
    cr_assert_eq(lock_take(stores, 0, &lock, problem, sizeof problem), STATUS_OK, "%s", problem);
    cr_assert_eq(count_of(folder.path), 1);
    cr_assert_eq(count_of(stores), 1);
    lock_release(&lock);
    cr_assert_eq(rmdir(lock.path), 0);
    cr_assert_eq(rmdir(stores), 0);
    folder_destroy(&folder);
}

/* [M-35] */
Test(durable, winners_are_synced_before_they_have_their_name_and_then_it_is)
{
    struct folder folder = folder_create();
    const char *path = folder_file(&folder, "winners.csv");
    struct output *output;
    cr_assert_eq(output_create(path, &output), STATUS_OK);
    cr_assert_eq(output_write(output, "row\n", 4), STATUS_OK);
    begin();
    syncs.watched = path;
    cr_assert_eq(output_commit(&output), STATUS_OK);
    cr_assert_eq(syncs.count, 2);
    cr_assert(!syncs.found_watched[0], "its rows first");
    cr_assert_str_neq(syncs.name[0], folder.path);
    cr_assert_str_eq(syncs.name[1], folder.path, "its name then");
    cr_assert(syncs.found_watched[1]);
    folder_destroy(&folder);
}
