/* See lmdb_folder.h. */
#include "worker/lmdb_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/host/crash.h"
#include "proto/wire/limits.h"
#include "worker/lmdb_meta.h"
#include "worker/lmdb_value.h"
#include "worker/lmdb_view.h"

#define LIFE_ID "id"

enum {
    TABLES_MAX = 5,
    FILE_MODE = 0600,
    LOCK_FILE_BYTES = 16384, /* 126 readers take 8,256 bytes */
};

/* Gives a lock file its blocks: LMDB maps it, and a map of a hole on a full disk is a SIGBUS. */
static int allocate_lock(const char *path)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (descriptor < 0)
        return errno;
    int code = fallocate(descriptor, 0, 0, LOCK_FILE_BYTES) == 0 ? 0 : errno;
    if (code == EOPNOTSUPP)
        code = 0;
    close(descriptor);
    return code;
}

static int sync_folder(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    int code = fsync(descriptor) == 0 ? 0 : errno;
    close(descriptor);
    return code;
}

/* in: map_bytes: of a file that is there; 0: LMDB's own choice. What the file itself has for it is
 * not believed. */
static int open_env(MDB_env **env, const char *path, const char *lock_path, unsigned flags,
                    size_t map_bytes)
{
    int code = allocate_lock(lock_path);
    if (code != 0)
        return code;
    code = mdb_env_create(env);
    if (code != 0)
        return code;
    if (crash_breaks("unsynced"))
        flags |= MDB_NOSYNC;
    code = mdb_env_set_maxdbs(*env, TABLES_MAX);
    if (code == 0)
        code = mdb_env_set_mapsize(*env, map_bytes);
    if (code == 0)
        code = mdb_env_open(*env, path, flags | MDB_NOTLS, FILE_MODE);
    if (code != 0) {
        mdb_env_close(*env);
        *env = NULL;
    }
    return code;
}

static int open_tables(struct lmdb_folder *folder, MDB_txn *txn, unsigned flags)
{
    int code = mdb_dbi_open(txn, "batches", flags, &folder->batches);
    if (code == 0)
        code = mdb_dbi_open(txn, "bodies", flags | MDB_INTEGERKEY, &folder->bodies);
    if (code == 0)
        code = mdb_dbi_open(txn, "seals", flags, &folder->seals);
    if (code == 0)
        code = mdb_dbi_open(txn, "manifests", flags, &folder->manifests);
    if (code == 0)
        code = mdb_dbi_open(txn, "life", flags, &folder->life);
    return code;
}

static struct slice entry_key(const char *entry)
{
    return (struct slice){(const uint8_t *)entry, strlen(entry)};
}

static int put_entry(const struct lmdb_folder *folder, MDB_txn *txn, const char *entry,
                     struct slice value)
{
    MDB_val key = lmdb_val(entry_key(entry));
    MDB_val stored = lmdb_val(value);
    return mdb_put(txn, folder->life, &key, &stored, 0);
}

/* The first transaction of a new store: its tables, its id, an opening and an epoch of zeros. */
static int write_birth(struct lmdb_folder *folder, const struct id *id)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(folder->env, NULL, 0, &txn);
    if (code != 0)
        return code;
    uint8_t packed_id[ID_VALUE_BYTES];
    value_pack_id(id, packed_id);
    struct epoch none = {.number = 0};
    code = open_tables(folder, txn, MDB_CREATE);
    if (code == 0)
        code = put_entry(folder, txn, LIFE_ID, (struct slice){packed_id, sizeof packed_id});
    if (code == 0)
        code = lmdb_folder_put_life(folder, txn, LIFE_OPENING, &none);
    if (code == 0)
        code = lmdb_folder_put_life(folder, txn, LIFE_EPOCH, &none);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    CRASH_POINT("worker.before_commit.birth");
    code = mdb_txn_commit(txn);
    CRASH_POINT("worker.after_commit.birth");
    return code;
}

/* What an unfinished creation left behind is removed first. */
static int create(struct lmdb_folder *folder, const char *data_path, const struct id *id)
{
    char path[FOLDER_NAME_BYTES_MAX + 16];
    char lock_path[FOLDER_NAME_BYTES_MAX + 16];
    snprintf(path, sizeof path, "%s/new.mdb", folder->name);
    snprintf(lock_path, sizeof lock_path, "%s/new.mdb-lock", folder->name);
    unlink(path);
    unlink(lock_path);
    int code = open_env(&folder->env, path, lock_path, MDB_NOSUBDIR, 0);
    if (code != 0)
        return code;
    code = write_birth(folder, id);
    mdb_env_close(folder->env);
    folder->env = NULL;
    if (code == 0 && rename(path, data_path) != 0)
        code = errno;
    CRASH_POINT("worker.after_rename.birth");
    unlink(lock_path);
    if (code != 0)
        unlink(path);
    return code == 0 ? sync_folder(folder->name) : code;
}

static enum status status_of(int code)
{
    if (code == ENOMEM)
        return STATUS_NO_MEMORY;
    if (code == EACCES || code == EPERM || code == EROFS)
        return STATUS_CANNOT_CREATE;
    return code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL ? STATUS_FULL : STATUS_IO;
}

static enum status explain(const struct lmdb_folder *folder, enum status status, const char *reason,
                           char *problem, size_t problem_bytes)
{
    snprintf(problem, problem_bytes, "cannot open a store in '%s': %s", folder->name, reason);
    return status;
}

static enum status explain_code(const struct lmdb_folder *folder, int code, char *problem,
                                size_t problem_bytes)
{
    return explain(folder, status_of(code), mdb_strerror(code), problem, problem_bytes);
}

/* Opens or creates data.mdb. LMDB takes an empty file for a new one, and writes to it. */
static enum status open_file(struct lmdb_folder *folder, const struct id *id, char *problem,
                             size_t problem_bytes)
{
    char data_path[FOLDER_NAME_BYTES_MAX + 16];
    char lock_path[FOLDER_NAME_BYTES_MAX + 16];
    snprintf(data_path, sizeof data_path, "%s/data.mdb", folder->name);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", folder->name);
    uint64_t file_bytes = 0;
    int code = 0;
    int descriptor = open(data_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0) {
        char reason[TEXT_BYTES_MAX];
        enum status status = lmdb_meta_check(descriptor, &file_bytes, reason, sizeof reason);
        close(descriptor);
        if (status != STATUS_OK)
            return explain(folder, status, reason, problem, problem_bytes);
    } else {
        code = errno == ENOENT ? create(folder, data_path, id) : errno;
    }
    if (code == 0)
        code = open_env(&folder->env, folder->name, lock_path, 0, (size_t)file_bytes);
    return code == 0 ? STATUS_OK : explain_code(folder, code, problem, problem_bytes);
}

/* Opens the tables of an environment that is open. */
static int open_handles(struct lmdb_folder *folder)
{
    int dead;
    MDB_txn *txn;
    int code = mdb_reader_check(folder->env, &dead);
    if (code == 0)
        code = mdb_txn_begin(folder->env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    code = open_tables(folder, txn, 0);
    /* Only a transaction that commits keeps the handles of its tables. */
    if (code == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

enum status lmdb_folder_open(struct lmdb_folder *folder, const char *name, const struct id *id,
                             char *problem, size_t problem_bytes)
{
    *folder = (struct lmdb_folder){.env = NULL};
    if (strlen(name) >= sizeof folder->name) {
        snprintf(problem, problem_bytes, "the store's folder needs a name of %zu bytes at most",
                 sizeof folder->name - 1);
        return STATUS_USAGE;
    }
    memcpy(folder->name, name, strlen(name) + 1);
    enum status status = open_file(folder, id, problem, problem_bytes);
    if (status != STATUS_OK)
        return status;
    int code = open_handles(folder);
    if (code == 0)
        return STATUS_OK;
    lmdb_folder_close(folder);
    return explain_code(folder, code, problem, problem_bytes);
}

void lmdb_folder_close(struct lmdb_folder *folder)
{
    if (folder->env != NULL)
        mdb_env_close(folder->env);
    folder->env = NULL;
}

static int get_entry(const struct lmdb_folder *folder, MDB_txn *txn, const char *entry,
                     struct slice *value)
{
    return lmdb_view_look(txn, folder->life, entry_key(entry), value);
}

enum status lmdb_folder_read_lives(const struct lmdb_folder *folder, MDB_txn *txn,
                                   struct store_about *about, int *code)
{
    struct slice id;
    struct slice opening;
    struct slice epoch;
    *code = get_entry(folder, txn, LIFE_ID, &id);
    if (*code == 0)
        *code = get_entry(folder, txn, LIFE_OPENING, &opening);
    if (*code == 0)
        *code = get_entry(folder, txn, LIFE_EPOCH, &epoch);
    if (*code != 0)
        return STATUS_IO;
    enum status status = value_read_id(id, &about->id);
    if (status == STATUS_OK)
        status = value_read_epoch(opening, &about->opening);
    return status == STATUS_OK ? value_read_epoch(epoch, &about->epoch) : status;
}

int lmdb_folder_put_life(const struct lmdb_folder *folder, MDB_txn *txn, const char *entry,
                         const struct epoch *life)
{
    uint8_t packed[EPOCH_VALUE_BYTES];
    value_pack_epoch(life, packed);
    return put_entry(folder, txn, entry, (struct slice){packed, sizeof packed});
}
