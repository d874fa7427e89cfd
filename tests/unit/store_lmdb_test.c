/* Tests of the store in LMDB: the contract of every store, and what only a disk has. */
#include "worker/store_lmdb.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store_contract.h"
#include "worker/forget.h"
#include "worker/lmdb_space.h"
#include "worker/lmdb_value.h"

static struct store *store;
static char folder[64];
static char problem[512];

static enum status open_store(uint8_t opening)
{
    struct store_lmdb_settings settings = {
        .folder = folder,
        .reserve_bytes = 1 << 20,
        .id = {{opening, 1}},
        .opening_id = {{opening, 2}},
    };
    problem[0] = '\0';
    return store_lmdb_open(&settings, &store, problem, sizeof problem);
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/store_lmdb_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(open_store(1), STATUS_OK, "%s", problem);
}

static void path_of(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void tear_down(void)
{
    static const char *const NAMES[] = {"data.mdb", "lock.mdb", "new.mdb", "new.mdb-lock"};
    store_close(&store);
    char path[128];
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        path_of(NAMES[i], path);
        unlink(path);
    }
    rmdir(folder);
}

/* Some sync hundreds of batches, until 40 MiB are full: seconds on a disk that others use too. */
TestSuite(store_lmdb, .timeout = 60, .init = set_up, .fini = tear_down);

#define CONTRACT(name)          \
    Test(store_lmdb, name)      \
    {                           \
        contract_##name(store); \
    }

CONTRACT(keeps_a_batch)
CONTRACT(tells_same_digest_from_another)
CONTRACT(replaces_only_when_told)
CONTRACT(reads_inside_a_transaction)
CONTRACT(abandons_without_a_trace)
CONTRACT(erases)
CONTRACT(lists_in_order_of_identity)
CONTRACT(goes_on_with_a_listing)
CONTRACT(keeps_seals)
CONTRACT(forgets_a_manifest)
CONTRACT(keeps_an_epoch)
CONTRACT(keeps_bodies_of_any_size)

Test(store_lmdb, has_everything_again_after_reopening)
{
    contract_keeps_a_batch(store);
    contract_keeps_an_epoch(store);
    contract_keeps_seals(store);
    struct store_about before;
    store_about(store, &before);
    store_close(&store);
    cr_assert_eq(open_store(9), STATUS_OK, "%s", problem);
    struct store_about after;
    store_about(store, &after);
    cr_expect(id_is_equal(&before.id, &after.id), "the id is made once");
    cr_expect_eq(epoch_compare(&before.epoch, &after.epoch), EPOCH_SAME);
    cr_expect_eq(before.opening.number, 1);
    cr_expect_eq(after.opening.number, 2);
    cr_expect_eq(after.opening.id.bytes[0], 9);
    struct batch_record kept;
    struct slice body;
    cr_assert_eq(store_get(store, &(struct batch_identity){1, 7, 1, 0}, &kept, &body), STATUS_OK);
    cr_expect_eq(body.bytes, 1000);
    struct seal_record seals[4];
    size_t count;
    cr_assert_eq(store_list_seals(store, 0, seals, 4, &count), STATUS_OK);
    cr_expect_eq(count, 2);
}

Test(store_lmdb, goes_on_appending_after_reopening)
{
    struct batch_record first = contract_batch(1, 1, 1, 5, 1);
    struct batch_record second = contract_batch(1, 1, 1, 4, 2);
    contract_store(store, &first, 5000);
    store_close(&store);
    cr_assert_eq(open_store(2), STATUS_OK, "%s", problem);
    contract_store(store, &second, 5000);
    struct batch_record kept;
    struct slice body;
    cr_assert_eq(store_get(store, &first.identity, &kept, &body), STATUS_OK);
    cr_expect_eq(body.data[4999], 1);
    cr_assert_eq(store_get(store, &second.identity, &kept, &body), STATUS_OK);
    cr_expect_eq(body.data[4999], 2);
}

/* How many bodies there are, read without the store. */
static size_t count_bodies(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi bodies;
    MDB_stat stat;
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 5), 0);
    cr_assert_eq(mdb_env_open(env, folder, MDB_RDONLY, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "bodies", MDB_INTEGERKEY, &bodies), 0);
    cr_assert_eq(mdb_stat(txn, bodies, &stat), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return stat.ms_entries;
}

Test(store_lmdb, keeps_no_body_of_what_was_replaced_or_erased)
{
    struct batch_record first = contract_batch(1, 1, 1, 0, 1);
    struct batch_record second = contract_batch(1, 1, 1, 0, 2);
    struct batch_record erased = contract_batch(1, 1, 1, 1, 3);
    contract_store(store, &first, 5000);
    contract_store(store, &erased, 5000);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    cr_assert_eq(store_put(store, &second, (struct slice){(const uint8_t *)"body", 4}, true),
                 STATUS_OK);
    cr_assert_eq(store_erase(store, &erased.identity), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK);
    store_close(&store);
    cr_expect_eq(count_bodies(), 1);
    cr_assert_eq(open_store(3), STATUS_OK, "%s", problem);
}

Test(store_lmdb, ignores_an_unfinished_creation)
{
    char data[128];
    char unfinished[128];
    path_of("data.mdb", data);
    path_of("new.mdb", unfinished);
    store_close(&store);
    cr_assert_eq(unlink(data), 0);
    FILE *file = fopen(unfinished, "w");
    cr_assert_not_null(file);
    fputs("half a page", file);
    fclose(file);
    cr_expect_eq(open_store(3), STATUS_OK, "%s", problem);
    cr_expect_neq(access(unfinished, F_OK), 0);
    contract_keeps_a_batch(store);
}

Test(store_lmdb, refuses_a_file_that_is_no_store)
{
    char data[128];
    path_of("data.mdb", data);
    store_close(&store);
    FILE *file = fopen(data, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("not a store\n", file);
    fclose(file);
    cr_expect_eq(open_store(3), STATUS_IO);
    cr_expect(strstr(problem, folder) != NULL, "%s", problem);
    cr_expect_null(store);
}

Test(store_lmdb, refuses_a_folder_that_is_not_there)
{
    store_close(&store);
    char path[64];
    memcpy(path, folder, sizeof path);
    snprintf(folder, sizeof folder, "/tmp/store_lmdb_test_none");
    cr_expect_eq(open_store(3), STATUS_IO);
    memcpy(folder, path, sizeof folder);
}

/* Writes one value of a table by LMDB's own means, behind the store's back. */
static void write_value(const char *table, const void *key, size_t key_bytes, void *value,
                        size_t value_bytes)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val put_key = {.mv_data = (void *)(uintptr_t)key, .mv_size = key_bytes};
    MDB_val put_value = {.mv_data = value, .mv_size = value_bytes};
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 8), 0);
    cr_assert_eq(mdb_env_open(env, folder, 0, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, table, 0, &dbi), 0);
    cr_assert_eq(mdb_put(txn, dbi, &put_key, &put_value, 0), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

Test(store_lmdb, refuses_a_format_that_it_does_not_know)
{
    store_close(&store);
    uint8_t id[17] = {VALUE_FORMAT + 1};
    write_value("life", "id", 2, id, sizeof id);
    cr_expect_eq(open_store(3), STATUS_VERSION);
    cr_expect_null(store);
    cr_expect_str_not_empty(problem);
}

Test(store_lmdb, refuses_a_value_of_another_format)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    contract_store(store, &batch, 10);
    store_close(&store);
    uint8_t key[16] = {0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0};
    uint8_t value[45] = {VALUE_FORMAT + 1};
    write_value("batches", key, sizeof key, value, sizeof value);
    cr_assert_eq(open_store(3), STATUS_OK, "%s", problem);
    struct batch_record kept;
    cr_expect_eq(store_get(store, &batch.identity, &kept, NULL), STATUS_VERSION);
    size_t count;
    cr_expect_eq(store_list(store, &(struct batch_identity){.draw = 0}, &kept, 1, &count),
                 STATUS_VERSION);
}

Test(store_lmdb, lists_no_batch_whose_key_has_rotted)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    contract_store(store, &batch, 10);
    store_close(&store);
    uint8_t key[16] = {0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0x80, 0, 0, 0};
    uint8_t value[45] = {VALUE_FORMAT, 0, 0, 0, 1};
    write_value("batches", key, sizeof key, value, sizeof value);
    cr_assert_eq(open_store(3), STATUS_OK, "%s", problem);
    struct batch_record kept[2];
    size_t count;
    cr_expect_eq(store_list(store, &batch.identity, kept, 1, &count), STATUS_OK);
    cr_expect_eq(store_list(store, &batch.identity, kept, 2, &count), STATUS_IO);
    cr_expect_str_not_empty(store_problem(store));
}

Test(store_lmdb, lends_no_body_where_it_is_gone)
{
    struct batch_record batch = contract_batch(1, 7, 1, 0, 42);
    contract_store(store, &batch, 10);
    store_close(&store);
    uint8_t key[16] = {0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0};
    uint8_t value[45] = {VALUE_FORMAT, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 99};
    write_value("batches", key, sizeof key, value, sizeof value);
    cr_assert_eq(open_store(3), STATUS_OK, "%s", problem);
    struct batch_record kept;
    struct slice body = {(const uint8_t *)"x", 1};
    cr_expect_eq(store_get(store, &batch.identity, &kept, &body), STATUS_OK);
    cr_expect_eq(body.bytes, 0);
}

Test(store_lmdb, allocates_the_disk_ahead)
{
    contract_keeps_a_batch(store);
    char data[128];
    path_of("data.mdb", data);
    struct stat file;
    cr_assert_eq(stat(data, &file), 0);
    cr_expect_geq(file.st_size, SPACE_GROUP_BYTES);
    cr_expect_geq(file.st_blocks * 512, file.st_size, "no part of it is a hole");
    path_of("lock.mdb", data);
    cr_assert_eq(stat(data, &file), 0);
    cr_expect_geq(file.st_blocks * 512, file.st_size, "LMDB maps it and writes to the map");
}

/* A file that was copied may have holes, and a page in one may find no room when it is written. */
Test(store_lmdb, fills_the_holes_of_a_copy)
{
    char data[128];
    path_of("data.mdb", data);
    struct stat file;
    cr_assert_eq(stat(data, &file), 0);
    store_close(&store);
    cr_assert_eq(truncate(data, file.st_size + (8 << 20)), 0);
    cr_assert_eq(open_store(2), STATUS_OK, "%s", problem);
    cr_assert_eq(stat(data, &file), 0);
    cr_expect_geq(file.st_blocks * 512, file.st_size);
}

/* More than the room that is kept ahead for one group: each try that was full makes more. */
Test(store_lmdb, makes_room_for_a_group_that_did_not_fit)
{
    enum { BATCHES = 60, TRIES_MAX = 20 };
    static const uint8_t BODY[500000];
    enum status status = STATUS_FULL;
    for (uint32_t tries = 0; status == STATUS_FULL && tries < TRIES_MAX; tries++) {
        cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
        status = STATUS_OK;
        for (uint32_t seq = 0; status == STATUS_OK && seq < BATCHES; seq++) {
            struct batch_record batch = contract_batch(1, 1, 1, seq, 1);
            status = store_put(store, &batch, (struct slice){BODY, sizeof BODY}, false);
        }
        if (status == STATUS_OK)
            status = store_commit(store);
        cr_assert(tries > 0 || status == STATUS_FULL, "else this shows nothing");
    }
    cr_expect_eq(status, STATUS_OK, "%s", store_problem(store));
}

Test(store_lmdb, gives_erased_space_to_new_batches)
{
    enum { BATCHES = 60, BODY_BYTES = 500000 };
    char data[128];
    path_of("data.mdb", data);
    struct stat first;
    struct stat last;
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t seq = 0; seq < BATCHES; seq++) {
            struct batch_record batch = contract_batch(1, round, 1, seq, 1);
            contract_store(store, &batch, BODY_BYTES);
        }
        cr_assert_eq(stat(data, round < 2 ? &first : &last), 0);
        cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
        for (uint32_t seq = 0; seq < BATCHES; seq++)
            cr_assert_eq(store_erase(store, &(struct batch_identity){1, round, 1, seq}), STATUS_OK);
        cr_assert_eq(store_commit(store), STATUS_OK);
    }
    cr_expect_leq(last.st_size, first.st_size + BATCHES * BODY_BYTES, "%ld %ld",
                  (long)first.st_size, (long)last.st_size);
}

/* No file of this process may grow beyond `bytes`: a full disk, without a disk. */
static void end_disk_at(uint64_t bytes)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Stores batches of that size, each in a transaction of its own, until the disk is full. */
static uint32_t fill_disk_with(size_t body_bytes, uint32_t attempt)
{
    static const uint8_t BODY[100000];
    for (uint32_t seq = 0;; seq++) {
        struct batch_record batch = contract_batch(1, 1, attempt, seq, 1);
        cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK, "%s", store_problem(store));
        enum status status = store_put(store, &batch, (struct slice){BODY, body_bytes}, false);
        if (status == STATUS_OK)
            status = store_commit(store);
        if (status == STATUS_FULL)
            return seq;
        cr_assert_eq(status, STATUS_OK, "%s", store_problem(store));
    }
}

static uint32_t fill_disk(uint32_t attempt)
{
    return fill_disk_with(100000, attempt);
}

static size_t count_batches(void)
{
    static struct batch_record listed[2000];
    size_t count;
    cr_assert_eq(store_list(store, &(struct batch_identity){.draw = 0}, listed, 2000, &count),
                 STATUS_OK);
    return count;
}

Test(store_lmdb, is_full_cleanly_when_the_disk_ends)
{
    end_disk_at(40 << 20);
    uint32_t stored = fill_disk(1);
    cr_expect_gt(stored, 200);
    cr_expect_str_not_empty(store_problem(store));
    char data[128];
    path_of("data.mdb", data);
    struct stat file;
    cr_assert_eq(stat(data, &file), 0);
    cr_expect_gt(file.st_size, (40 << 20) - SPACE_STEP_BYTES_MIN, "what is left is taken too");
    cr_expect_eq(count_batches(), stored);
    cr_expect_eq(fill_disk(2), 0, "full stays full");
    struct store_about about;
    store_about(store, &about);
    store_close(&store);
    cr_assert_eq(open_store(2), STATUS_OK, "an opening uses the reserve: %s", problem);
    cr_expect_eq(count_batches(), stored);
}

Test(store_lmdb, records_seals_and_deletes_on_a_full_disk)
{
    static const uint8_t MANIFEST[200000];
    end_disk_at(40 << 20);
    uint32_t stored = fill_disk(1);
    struct seal_record seal = {.draw = 1, .kind = SEAL_MANIFEST};
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    cr_assert_eq(store_record_seal(store, &seal, (struct slice){MANIFEST, sizeof MANIFEST}),
                 STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK, "%s", store_problem(store));
    cr_assert_eq(store_begin(store, STORE_RESERVE), STATUS_OK);
    for (uint32_t seq = 0; seq < stored / 2; seq++)
        cr_assert_eq(store_erase(store, &(struct batch_identity){1, 1, 1, seq}), STATUS_OK);
    cr_assert_eq(store_commit(store), STATUS_OK, "%s", store_problem(store));
    cr_expect_gt(fill_disk(2), stored / 3, "what was erased is room again");
}

/* Where these needed the room of batches, a worker on a full disk would end when it is told to
 * forget or to seal. */
Test(store_lmdb, forgets_a_draw_on_a_full_disk)
{
    struct notes notes = {0};
    const struct workbench bench = {.store = store, .notes = &notes};
    struct seals seals = {.manifest = NULL};
    struct forget forget = {.draws_count = 0};
    end_disk_at(40 << 20);
    fill_disk(1);
    cr_assert(forget_ask(&forget, 1));
    while (forget_is_busy(&forget))
        cr_assert_eq(forget_step(&forget, &bench, &seals), STATUS_OK, "%s", store_problem(store));
    cr_expect_eq(count_batches(), 0);
    seals_clear(&seals);
}

Test(store_lmdb, seals_a_draw_on_a_full_disk)
{
    enum { MANY = 8000 };
    static struct digest digests[MANY];
    static uint32_t bets[MANY];
    struct notes notes = {0};
    const struct workbench bench = {.store = store, .notes = &notes};
    const struct manifest_terms terms = {.draw = 1, .range_last = 9, .is_given = true};
    const struct manifest_entry entry = {
        .agency = 1,
        .attempt = 1,
        .plan = {1, BATCH_BYTES_MIN, false},
        .declaration = {.batches = MANY, .bets = MANY},
        .digests = digests,
        .bets = bets,
    };
    struct seals seals = {.manifest = NULL};
    struct manifest *manifest;
    struct hasher *hasher;
    for (uint32_t seq = 0; seq < MANY; seq++)
        bets[seq] = 1;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    cr_assert_eq(manifest_create(&terms, &entry, 1, hasher, &manifest), STATUS_OK);
    end_disk_at(40 << 20);
    fill_disk(1);
    fill_disk_with(1000, 2); /* to the last page */
    const struct seal_record seal = {.draw = 1, .kind = SEAL_MANIFEST};
    cr_assert_eq(seals_record(&seals, &bench, &seal, &manifest), STATUS_OK, "%s",
                 store_problem(store));
    seals_clear(&seals);
    hasher_destroy(&hasher);
}

Test(store_lmdb, drops_a_whole_group_that_does_not_fit)
{
    static const uint8_t BODY[500000];
    end_disk_at(40 << 20);
    struct batch_record before = contract_batch(1, 9, 1, 0, 1);
    contract_store(store, &before, 10);
    cr_assert_eq(store_begin(store, STORE_COMMON), STATUS_OK);
    enum status status = STATUS_OK;
    uint32_t seq = 0;
    while (status == STATUS_OK) {
        struct batch_record batch = contract_batch(1, 1, 1, seq++, 1);
        status = store_put(store, &batch, (struct slice){BODY, sizeof BODY}, false);
    }
    cr_expect_eq(status, STATUS_FULL);
    cr_expect_gt(seq, 10);
    cr_expect_eq(count_batches(), 1);
    contract_store(store, &(struct batch_record){.identity = {1, 1, 1, 0}}, 10);
}
