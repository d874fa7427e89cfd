#include "tests/sim/machine.h"

#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/digest.h"
#include "tests/sim/arena.h"

/* What is left until something fails; 0: nothing is to. */
struct countdown {
    uint32_t left;
    uint32_t count; /* of failures in a row */
    uint64_t failures;
};

/* malloc has no place for a parameter, so there is one machine. */
static struct {
    bool runs_core;
    struct countdown memory;
    struct countdown disk;
    enum status disk_status;
    enum status disk_answer;
} machine;

void machine_core_begins(void)
{
    machine.runs_core = true;
}

void machine_core_ends(void)
{
    machine.runs_core = false;
}

void machine_reset(void)
{
    machine.memory = (struct countdown){0};
    machine.disk = (struct countdown){0};
}

static bool fails(struct countdown *countdown)
{
    if (countdown->left == 0 || --countdown->left > 0)
        return false;
    countdown->failures++;
    if (--countdown->count > 0)
        countdown->left = 1;
    return true;
}

void machine_fail_memory(uint32_t after, uint32_t count)
{
    machine.memory.left = after;
    machine.memory.count = count;
}

void machine_fail_disk(uint32_t after, enum status status)
{
    machine.disk.left = after;
    machine.disk.count = 1;
    machine.disk_status = status;
}

bool machine_will_fail_memory(void)
{
    return machine.memory.left > 0;
}

bool machine_will_fail_disk(void)
{
    return machine.disk.left > 0;
}

uint64_t machine_memory_failures(void)
{
    return machine.memory.failures;
}

uint64_t machine_disk_failures(void)
{
    return machine.disk.failures;
}

enum status machine_disk_answer(void)
{
    return machine.disk_answer;
}

/* -- memory -- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *place, size_t bytes);
void __real_free(void *place);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *place, size_t bytes);
void __wrap_free(void *place);

static bool memory_fails(void)
{
    return machine.runs_core && fails(&machine.memory);
}

void *__wrap_malloc(size_t bytes)
{
    if (memory_fails())
        return NULL;
    return arena_is_open() ? arena_alloc(bytes) : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    if (memory_fails())
        return NULL;
    return arena_is_open() ? arena_calloc(count * bytes) : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *place, size_t bytes)
{
    if (memory_fails())
        return NULL;
    return arena_is_open() ? arena_realloc(place, bytes) : __real_realloc(place, bytes);
}

void __wrap_free(void *place)
{
    if (!arena_free(place))
        __real_free(place);
}

/* OpenSSL allocates for itself, and nothing there may be brought back. A hasher keeps nothing from
 * one sum to the next, so one serves everybody. */
static struct hasher *shared_hasher;

enum status __real_hasher_create(struct hasher **hasher);
void __real_hasher_destroy(struct hasher **hasher);
enum status __wrap_hasher_create(struct hasher **hasher);
void __wrap_hasher_destroy(struct hasher **hasher);

enum status __wrap_hasher_create(struct hasher **hasher)
{
    if (!arena_is_open())
        return __real_hasher_create(hasher);
    *hasher = shared_hasher;
    return STATUS_OK;
}

void __wrap_hasher_destroy(struct hasher **hasher)
{
    if (!arena_is_open())
        __real_hasher_destroy(hasher);
    *hasher = NULL;
}

void machine_open_arena(void)
{
    CHECK(__real_hasher_create(&shared_hasher) == STATUS_OK);
    arena_open();
}

void machine_close_arena(void)
{
    arena_close();
    __real_hasher_destroy(&shared_hasher);
}

/* -- stores -- */

/* What the world's own store allocates does not fail. returns: a core was running. */
static bool leave_core(void)
{
    bool was_core = machine.runs_core;
    machine.runs_core = false;
    return was_core;
}

static struct store *kept_of(struct store *store)
{
    return ((struct disk *)store)->kept;
}

/* Only what a core asks for fails. */
static bool disk_fails(bool was_core, enum status answer)
{
    if (!was_core || (machine.disk_status == STATUS_SYNC && answer != STATUS_SYNC))
        return false;
    if (!fails(&machine.disk))
        return false;
    machine.disk_answer = answer;
    return true;
}

/* FULL ends the transaction, and leaves nothing of it. */
static enum status fail_change(struct store *store, bool was_core)
{
    enum status answer = machine.disk_status == STATUS_FULL ? STATUS_FULL : STATUS_IO;
    if (!disk_fails(was_core, answer))
        return STATUS_OK;
    if (answer == STATUS_FULL)
        store_abandon(kept_of(store));
    return answer;
}

static enum status fail_reading(bool was_core)
{
    enum status answer = machine.disk_status == STATUS_VERSION ? STATUS_VERSION : STATUS_IO;
    return disk_fails(was_core, answer) ? answer : STATUS_OK;
}

static void about(struct store *store, struct store_about *told)
{
    store_about(kept_of(store), told);
}

static enum status begin(struct store *store, enum store_space space)
{
    bool was_core = leave_core();
    enum status status = fail_change(store, was_core);
    if (status == STATUS_OK)
        status = store_begin(kept_of(store), space);
    machine.runs_core = was_core;
    return status;
}

static enum status put(struct store *store, const struct batch_record *batch, struct slice body,
                       bool replaces)
{
    bool was_core = leave_core();
    enum status status = fail_change(store, was_core);
    if (status == STATUS_OK)
        status = store_put(kept_of(store), batch, body, replaces);
    machine.runs_core = was_core;
    return status;
}

static enum status erase(struct store *store, const struct batch_identity *identity)
{
    bool was_core = leave_core();
    enum status status = fail_change(store, was_core);
    if (status == STATUS_OK)
        status = store_erase(kept_of(store), identity);
    machine.runs_core = was_core;
    return status;
}

static enum status record_epoch(struct store *store, const struct epoch *epoch)
{
    bool was_core = leave_core();
    enum status status = fail_change(store, was_core);
    if (status == STATUS_OK)
        status = store_record_epoch(kept_of(store), epoch);
    machine.runs_core = was_core;
    return status;
}

static enum status record_seal(struct store *store, const struct seal_record *seal,
                               struct slice packed)
{
    bool was_core = leave_core();
    enum status status = fail_change(store, was_core);
    if (status == STATUS_OK)
        status = store_record_seal(kept_of(store), seal, packed);
    machine.runs_core = was_core;
    return status;
}

/* A commit that fails without being a failed sync found no room. */
static enum status commit(struct store *store)
{
    bool was_core = leave_core();
    enum status status = machine.disk_status == STATUS_SYNC ? STATUS_SYNC : STATUS_FULL;
    if (disk_fails(was_core, status))
        store_abandon(kept_of(store));
    else
        status = store_commit(kept_of(store));
    machine.runs_core = was_core;
    return status;
}

static void abandon(struct store *store)
{
    bool was_core = leave_core();
    store_abandon(kept_of(store));
    machine.runs_core = was_core;
}

static enum status get(struct store *store, const struct batch_identity *identity,
                       struct batch_record *batch, struct slice *body)
{
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = store_get(kept_of(store), identity, batch, body);
    machine.runs_core = was_core;
    return status;
}

static enum status list(struct store *store, const struct batch_identity *from,
                        struct batch_record *batches, size_t batches_max, size_t *count)
{
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = store_list(kept_of(store), from, batches, batches_max, count);
    machine.runs_core = was_core;
    return status;
}

static enum status list_seals(struct store *store, uint32_t from_draw, struct seal_record *seals,
                              size_t seals_max, size_t *count)
{
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = store_list_seals(kept_of(store), from_draw, seals, seals_max, count);
    machine.runs_core = was_core;
    return status;
}

static enum status manifest(struct store *store, uint32_t draw, struct slice *packed)
{
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = store_manifest(kept_of(store), draw, packed);
    machine.runs_core = was_core;
    return status;
}

static const char *problem(const struct store *store)
{
    return store_problem(((const struct disk *)store)->kept);
}

/* The world closes what it keeps. */
static void close_disk(struct store **store)
{
    *store = NULL;
}

static const struct store_table TABLE = {
    .about = about,
    .begin = begin,
    .put = put,
    .erase = erase,
    .record_epoch = record_epoch,
    .record_seal = record_seal,
    .commit = commit,
    .abandon = abandon,
    .get = get,
    .list = list,
    .list_seals = list_seals,
    .manifest = manifest,
    .problem = problem,
    .close = close_disk,
};

void disk_begin(struct disk *disk, struct store *kept)
{
    *disk = (struct disk){{&TABLE}, kept};
}

/* -- archives -- */

static enum status read_draw(void *owner, uint32_t draw, struct archived_draw *archived)
{
    const struct archive *kept = &((struct archive_disk *)owner)->kept;
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = kept->draw(kept->owner, draw, archived);
    machine.runs_core = was_core;
    return status;
}

static enum status read_agency(void *owner, uint32_t draw, uint32_t agency,
                               struct archived_agency *archived)
{
    const struct archive *kept = &((struct archive_disk *)owner)->kept;
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = kept->agency(kept->owner, draw, agency, archived);
    machine.runs_core = was_core;
    return status;
}

static enum status read_page(void *owner, uint32_t draw, uint32_t agency, uint32_t from,
                             uint8_t *body, size_t bytes_max, size_t *bytes, uint32_t *upto)
{
    const struct archive *kept = &((struct archive_disk *)owner)->kept;
    bool was_core = leave_core();
    enum status status = fail_reading(was_core);
    if (status == STATUS_OK)
        status = kept->page(kept->owner, draw, agency, from, body, bytes_max, bytes, upto);
    machine.runs_core = was_core;
    return status;
}

void archive_disk_begin(struct archive_disk *disk, const struct archive *kept,
                        struct archive *archive)
{
    disk->kept = *kept;
    *archive = (struct archive){disk, read_draw, read_agency, read_page};
}
