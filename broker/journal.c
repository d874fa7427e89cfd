/* Opening the journal, taking its epoch, and the one shape of a transaction: begin as a writer,
 * look whether the epoch is still ours, write, commit. What a record's rows are is
 * journal_record.c's. */
#include "broker/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/journal_checksum.h"
#include "broker/journal_points.h"
#include "broker/journal_sql.h"
#include "proto/host/crash.h"
#include "proto/wire/check.h"

enum {
    CHECKPOINT_PAGES = 1000,     /* SQLite's own default: a WAL of 4 MiB */
    STEPS_BETWEEN_LOOKS = 10000, /* of SQLite's machine: a few ms */
    FOLDER_MODE = 0700,          /* the journal has winners' names and the seed of an open draw */
    JOURNAL_MODE = 0600,         /* SQLite gives the same to -wal and -shm */
};

/* Makes what was created in this folder durable: a file's own sync does not sync its name. */
static enum status sync_folder(struct journal *journal, const char *folder)
{
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = descriptor >= 0 && fsync(descriptor) == 0;
    if (!is_synced)
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "cannot sync the folder '%s': %s", folder, strerror(errno));
    if (descriptor >= 0)
        (void)close(descriptor);
    return is_synced ? STATUS_OK : STATUS_SYNC;
}

/* Makes one folder, and its name in its parent durable. in: path: cut at the end of this folder. */
static enum status make_folder(struct journal *journal, char *path)
{
    if (mkdir(path, FOLDER_MODE) != 0) {
        if (errno == EEXIST)
            return STATUS_OK; /* a file of this name is found when the journal is opened in it */
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "cannot create the folder '%s': %s", path, strerror(errno));
        return errno == ENOSPC ? STATUS_FULL : STATUS_CANNOT_CREATE;
    }
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return sync_folder(journal, ".");
    if (slash == path)
        return sync_folder(journal, "/");
    *slash = '\0';
    enum status status = sync_folder(journal, path);
    *slash = '/';
    return status;
}

/* Makes the folder with all that lead to it. in: path: changed and put back. */
static enum status make_folders(struct journal *journal, char *path)
{
    for (char *end = path; *end != '\0'; end++) {
        if (end == path || *end != '/' || end[-1] == '/')
            continue;
        *end = '\0';
        enum status status = make_folder(journal, path);
        *end = '/';
        if (status != STATUS_OK)
            return status;
    }
    return make_folder(journal, path);
}

/* SQLite's busy handler: another process holds the lock. returns 0: it is not waited for any
 * longer. */
static int wait_for_lock(void *owner, int tries)
{
    struct journal *journal = owner;
    if (tries == 0)
        journal->waited_ms = 0;
    int64_t left_ms = journal->patience.ms - journal->waited_ms;
    int64_t slice_ms = tries < 6 ? 1 << tries : JOURNAL_SLICE_MS_MAX;
    if (slice_ms > left_ms)
        slice_ms = left_ms;
    if (slice_ms <= 0)
        return 0;
    journal->is_stopped =
        !journal->patience.wait(journal->patience.owner, journal->waited_ms, slice_ms);
    journal->waited_ms += slice_ms;
    return !journal->is_stopped;
}

static int count_wal_pages(void *owner, sqlite3 *database, const char *name, int pages)
{
    struct journal *journal = owner;
    (void)database;
    (void)name;
    journal->wal_pages = pages;
    return SQLITE_OK;
}

/* SQLite's own automatic checkpoint hides its errors; so it is made here. What it could not copy
 * stays in the WAL and is copied anew by the next one: but a disk that fails is no place to go
 * on. */
static enum status checkpoint(struct journal *journal)
{
    if (journal->wal_pages < CHECKPOINT_PAGES)
        return STATUS_OK;
    CRASH_POINT("broker.before_checkpoint");
    int answer =
        sqlite3_wal_checkpoint_v2(journal->database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    CRASH_POINT("broker.after_checkpoint");
    if (answer == SQLITE_OK || (answer & 0xff) == SQLITE_BUSY)
        return STATUS_OK;
    enum status status = sql_fail(journal, "checkpoint", answer);
    return status == STATUS_FULL ? STATUS_FULL : STATUS_SYNC;
}

/* Reads one value of a PRAGMA or a count. */
static enum status read_value(struct journal *journal, const char *sql, char *value,
                              size_t value_bytes)
{
    sqlite3_stmt *use = NULL;
    int answer = sqlite3_prepare_v2(journal->database, sql, -1, &use, NULL);
    if (answer == SQLITE_OK)
        answer = sqlite3_step(use);
    enum status status = STATUS_OK;
    if (answer == SQLITE_ROW)
        (void)snprintf(value, value_bytes, "%s", (const char *)sqlite3_column_text(use, 0));
    else
        status = sql_fail(journal, "read", answer);
    (void)sqlite3_finalize(use);
    return status;
}

/* out: is_new: there is nothing in the file yet. errors: CONFIG: it is something else, or of a
 * format that this program does not know. */
static enum status check_format(struct journal *journal, bool *is_new)
{
    char application[32];
    char format[32];
    char tables[32];
    enum status status =
        read_value(journal, "PRAGMA application_id", application, sizeof(application));
    if (status == STATUS_OK)
        status = read_value(journal, "PRAGMA user_version", format, sizeof(format));
    if (status == STATUS_OK)
        status = read_value(journal, "SELECT count(*) FROM sqlite_schema", tables, sizeof(tables));
    if (status != STATUS_OK)
        return status;
    *is_new = strcmp(tables, "0") == 0 && strcmp(application, "0") == 0;
    if (*is_new)
        return STATUS_OK;
    if (strtol(application, NULL, 10) != JOURNAL_APPLICATION) {
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "'%s' is a database, but no journal of a broker; choose another --data, or, "
                       "if it was one, " RECOVER_ADVICE,
                       journal->path);
        return STATUS_CONFIG;
    }
    if (strtol(format, NULL, 10) != JOURNAL_FORMAT) {
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "the journal '%s' has format %s, and this program knows format %d only: "
                       "go on with the program that has written it, or " RECOVER_ADVICE,
                       journal->path, format, JOURNAL_FORMAT);
        return STATUS_CONFIG;
    }
    return STATUS_OK;
}

/* Makes the file where there is none: with our mode, and with the system's own reason where it
 * cannot be, which SQLite loses by trying on. */
static enum status make_file(struct journal *journal)
{
    int made = open(journal->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, JOURNAL_MODE);
    if (made >= 0) {
        (void)close(made); /* before SQLite has locks on it, which a close would give up */
        return STATUS_OK;
    }
    if (errno == EEXIST)
        return STATUS_OK;
    (void)snprintf(journal->problem, sizeof(journal->problem), "cannot create the journal '%s': %s",
                   journal->path, strerror(errno));
    return errno == ENOSPC ? STATUS_FULL : STATUS_CANNOT_CREATE;
}

/* Ends a transaction that has failed; its own error, if it has one, changes nothing any more. */
static void roll_back(struct journal *journal)
{
    if (sqlite3_get_autocommit(journal->database) == 0)
        (void)sqlite3_exec(journal->database, "ROLLBACK", NULL, NULL, NULL);
}

/* SQLite's progress handler. returns 1: what runs ends. */
static int look_for_end(void *owner)
{
    struct journal *journal = owner;
    return !journal->patience.goes_on(journal->patience.owner);
}

/* Whether the file is as brokers have left it, in a transaction that only reads: of all that it
 * takes no other broker notices anything. */
static enum status verify(struct journal *journal)
{
    if (journal->patience.goes_on != NULL)
        sqlite3_progress_handler(journal->database, STEPS_BETWEEN_LOOKS, look_for_end, journal);
    enum status status = sql_execute(journal, "read", "BEGIN");
    if (status == STATUS_OK)
        status = checksum_verify(journal);
    sqlite3_progress_handler(journal->database, 0, NULL, NULL);
    roll_back(journal); /* there is nothing to commit */
    return status;
}

static enum status open_database(struct journal *journal)
{
    enum status status = make_file(journal);
    if (status != STATUS_OK)
        return status;
    int answer =
        sqlite3_open_v2(journal->path, &journal->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (answer != SQLITE_OK)
        return sql_fail(journal, "open", answer);
    (void)sqlite3_extended_result_codes(journal->database, 1);
    (void)sqlite3_busy_handler(journal->database, wait_for_lock, journal);
    bool is_new = false;
    status = check_format(journal, &is_new);
    char mode[32] = "";
    if (status == STATUS_OK)
        status = read_value(journal, "PRAGMA journal_mode = WAL", mode, sizeof(mode));
    if (status != STATUS_OK)
        return status;
    if (strcmp(mode, "wal") != 0) {
        (void)snprintf(journal->problem, sizeof(journal->problem),
                       "cannot keep a write-ahead log beside '%s': its file system has no shared "
                       "memory",
                       journal->path);
        return STATUS_CONFIG;
    }
    (void)sqlite3_wal_hook(journal->database, count_wal_pages, journal);
    /* Nothing of it lands in another folder. */
    status = sql_execute(journal, "open", "PRAGMA temp_store = MEMORY");
    if (status == STATUS_OK)
        status = checksum_open(journal);
    if (status == STATUS_OK && !is_new)
        status = verify(journal);
    if (status != STATUS_OK)
        return status;
    return sql_execute(journal, "open",
                       crash_breaks("unsynced") ? "PRAGMA synchronous = NORMAL"
                                                : "PRAGMA synchronous = FULL");
}

/* In the fault flavour SORTEO_BREAK=early leaves each transaction open until the next one begins,
 * or the journal is closed: what a broker would be that tells before its commit. */
static void commit_late(struct journal *journal)
{
    if (crash_breaks("early") && sqlite3_get_autocommit(journal->database) == 0)
        (void)sqlite3_exec(journal->database, "COMMIT", NULL, NULL, NULL);
}

/* What is written to files that have lost their names is gone when the broker ends. */
static enum status check_names(struct journal *journal)
{
    char log[PATH_BYTES_MAX + 8];
    int has_moved = 0;
    (void)snprintf(log, sizeof(log), "%s-wal", journal->path);
    (void)sqlite3_file_control(journal->database, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    if (has_moved == 0 && access(log, F_OK) == 0)
        return STATUS_OK;
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "the journal '%s', or its -wal, was moved or deleted while the broker runs: put "
                   "it back and start again, or " RECOVER_ADVICE,
                   journal->path);
    return STATUS_IO;
}

static enum status begin(struct journal *journal)
{
    commit_late(journal);
    enum status status = sql_execute(journal, "lock", "BEGIN IMMEDIATE");
    return status == STATUS_OK ? check_names(journal) : status;
}

/* A commit that failed for another reason than a full disk may be on the disk or not: never
 * tried again. */
static enum status commit(struct journal *journal)
{
    if (crash_breaks("early"))
        return STATUS_OK;
    int answer = sqlite3_exec(journal->database, "COMMIT", NULL, NULL, NULL);
    if (answer == SQLITE_OK)
        return STATUS_OK;
    enum status status = sql_fail(journal, "commit", answer);
    return status == STATUS_FULL ? STATUS_FULL : STATUS_SYNC;
}

static enum status read_epoch(struct journal *journal, struct epoch *epoch)
{
    memset(epoch, 0, sizeof(*epoch));
    enum status status = sql_next(journal, SQL_READ_EPOCH);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *use = sql_use(journal, SQL_READ_EPOCH);
    epoch->number = (uint64_t)sqlite3_column_int64(use, 0);
    status = sql_read_bytes(journal, use, 1, epoch->id.bytes, ID_BYTES);
    sql_end(journal, SQL_READ_EPOCH);
    return status;
}

static enum status take_epoch(struct journal *journal, const struct id *id)
{
    struct epoch last;
    enum status status = read_epoch(journal, &last);
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    if (last.number >= INT64_MAX)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    journal->epoch = (struct epoch){.number = last.number + 1, .id = *id};
    sqlite3_stmt *use = sql_use(journal, SQL_TAKE_EPOCH);
    sql_bind_integer(use, 1, (int64_t)journal->epoch.number);
    sql_bind_bytes(use, 2, journal->epoch.id.bytes, ID_BYTES);
    status = sql_run(journal, SQL_TAKE_EPOCH, NULL);
    return status == STATUS_OK ? sql_run(journal, SQL_DELETE_UNPUBLISHED, NULL) : status;
}

/* The first transaction that writes: tables if there are none, triggers, statements, epoch. */
static enum status begin_epoch(struct journal *journal, const struct id *id)
{
    enum status status = begin(journal);
    if (status != STATUS_OK)
        return status;
    bool is_new = false;
    status = check_format(journal, &is_new); /* anew: another process may have been faster */
    if (status == STATUS_OK && is_new)
        status = sql_create_tables(journal);
    if (status == STATUS_OK)
        status = checksum_begin(journal);
    if (status == STATUS_OK)
        status = sql_prepare(journal);
    if (status == STATUS_OK)
        status = take_epoch(journal, id);
    if (status != STATUS_OK) {
        roll_back(journal);
        return status;
    }
    CRASH_POINT("broker.before_commit.epoch");
    status = commit(journal);
    CRASH_POINT("broker.after_commit.epoch");
    return status;
}

bool journal_is_there(const char *folder)
{
    char path[PATH_BYTES_MAX];
    int length = snprintf(path, sizeof(path), "%s/journal.sqlite", folder);
    if (length < 0 || (size_t)length >= sizeof(path))
        return true;
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum status journal_open(const char *folder, const struct id *id,
                         const struct journal_patience *patience, struct journal **journal,
                         struct epoch *epoch, char *problem, size_t problem_bytes)
{
    CHECK(patience->ms >= 0);
    struct journal *built = calloc(1, sizeof(*built));
    if (built == NULL)
        return STATUS_NO_MEMORY;
    built->patience = *patience;
    enum status status = STATUS_CANNOT_CREATE;
    int length = snprintf(built->path, sizeof(built->path), "%s", folder);
    if (length <= 0 || (size_t)length >= sizeof(built->path) - sizeof("/journal.sqlite")) {
        (void)snprintf(built->problem, sizeof(built->problem),
                       "the name of the journal's folder is empty or too long");
        goto fail;
    }
    status = make_folders(built, built->path);
    if (status != STATUS_OK)
        goto fail;
    memcpy(built->path + length, "/journal.sqlite", sizeof("/journal.sqlite"));
    status = open_database(built);
    if (status == STATUS_OK)
        status = begin_epoch(built, id);
    if (status == STATUS_OK)
        status = sync_folder(built, folder);
    if (status == STATUS_OK)
        status = checkpoint(built);
    if (status != STATUS_OK)
        goto fail;
    *epoch = built->epoch;
    *journal = built;
    return STATUS_OK;
fail:
    (void)snprintf(problem, problem_bytes, "%s", built->problem);
    journal_close(&built);
    return status;
}

void journal_close(struct journal **journal)
{
    if (*journal == NULL)
        return;
    if ((*journal)->database != NULL)
        commit_late(*journal);
    sql_finalize(*journal);
    (void)sqlite3_close((*journal)->database);
    checksum_close(*journal);
    free(*journal);
    *journal = NULL;
}

/* Only while the epoch in the file is our own. The lock is ours already: it stays so until the
 * end. */
static enum status check_epoch(struct journal *journal)
{
    struct epoch found;
    enum status status = read_epoch(journal, &found);
    if (status == STATUS_END)
        return sql_fail(journal, "read", SQLITE_CORRUPT);
    if (status != STATUS_OK || epoch_compare(&journal->epoch, &found) == EPOCH_SAME)
        return status;
    (void)snprintf(journal->problem, sizeof(journal->problem),
                   "the journal '%s' belongs to a newer broker: its epoch is %llu, ours is %llu",
                   journal->path, (unsigned long long)found.number,
                   (unsigned long long)journal->epoch.number);
    return STATUS_FENCED;
}

enum status journal_write(struct journal *journal, const struct records *records)
{
    if (journal->verdict != STATUS_OK)
        return journal->verdict;
    enum status status = begin(journal);
    if (status == STATUS_OK)
        status = check_epoch(journal);
    for (size_t index = 0; status == STATUS_OK && index < records_count(records); index++)
        status = journal_write_record(journal, records_at(records, index));
    if (status == STATUS_OK) {
        journal_points_pass(records, false);
        status = commit(journal);
    }
    if (status == STATUS_OK) {
        journal_points_pass(records, true);
        status = checkpoint(journal);
    }
    if (status != STATUS_OK)
        roll_back(journal);
    journal->verdict = status;
    return status;
}

enum status journal_verdict(const struct journal *journal)
{
    return journal->verdict;
}

const char *journal_problem(const struct journal *journal)
{
    return journal->problem;
}
