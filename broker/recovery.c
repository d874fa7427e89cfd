#include "broker/recovery.h"

#include <stdlib.h>

#include "proto/wire/check.h"

/* What one store knows of the newest draw. */
struct witness {
    bool has_seal;
    bool is_wrong; /* its manifest was no good */
    struct digest root;
};

struct recovery {
    uint32_t stores_needed;
    uint64_t epoch_heard;
    bool has_unknown;
    uint32_t draw;  /* the newest that anybody knows; 0: none */
    bool is_sealed; /* a store has told of a seal, wherever it is now */
    bool is_void;
    bool is_forgotten;
    struct witness witnesses[STORES_MAX];
    int asked;       /* store; -1: none */
    uint32_t turn;   /* whom to ask first: the one after whom was asked last */
    uint8_t *packed; /* owned; the manifest that is coming in */
    uint64_t packed_bytes;
    uint64_t bytes_taken;
    uint32_t parts_taken;
};

enum status recovery_create(uint32_t stores_needed, struct recovery **recovery)
{
    struct recovery *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return STATUS_NO_MEMORY;
    fresh->stores_needed = stores_needed;
    fresh->asked = -1;
    *recovery = fresh;
    return STATUS_OK;
}

static void drop_parts(struct recovery *recovery)
{
    free(recovery->packed);
    recovery->packed = NULL;
    recovery->packed_bytes = 0;
    recovery->bytes_taken = 0;
    recovery->parts_taken = 0;
    recovery->asked = -1;
}

void recovery_destroy(struct recovery **recovery)
{
    if (*recovery == NULL)
        return;
    drop_parts(*recovery);
    free(*recovery);
    *recovery = NULL;
}

void recovery_hear_epoch(struct recovery *recovery, uint64_t number)
{
    if (number > recovery->epoch_heard)
        recovery->epoch_heard = number;
}

/* A newer draw than all before: what was known of an older one does not matter any more. */
static void begin_draw(struct recovery *recovery, uint32_t draw)
{
    recovery->draw = draw;
    recovery->is_sealed = false;
    recovery->is_void = false;
    recovery->is_forgotten = false;
    memset(recovery->witnesses, 0, sizeof recovery->witnesses);
    drop_parts(recovery);
}

void recovery_hear_item(struct recovery *recovery, uint32_t store,
                        const struct item_inventory *item, bool is_known)
{
    CHECK(store < STORES_MAX);
    if (!is_known)
        recovery->has_unknown = true;
    if (item->draw > recovery->draw)
        begin_draw(recovery, item->draw);
    if (item->draw < recovery->draw)
        return;
    switch (item->kind) {
    case INVENTORY_BATCH:
        return;
    case INVENTORY_SEAL:
        recovery->is_sealed = true;
        recovery->witnesses[store].has_seal = true;
        recovery->witnesses[store].root = item->root;
        return;
    case INVENTORY_VOID:
        recovery->is_void = true;
        return;
    case INVENTORY_FORGOT:
        recovery->is_forgotten = true;
        return;
    }
}

void recovery_forget_store(struct recovery *recovery, uint32_t store)
{
    CHECK(store < STORES_MAX);
    if (recovery->asked == (int)store)
        drop_parts(recovery);
    recovery->witnesses[store] = (struct witness){0};
}

bool recovery_has_stores(const struct recovery *recovery, uint32_t registered)
{
    return registered >= recovery->stores_needed;
}

uint64_t recovery_epoch_heard(const struct recovery *recovery)
{
    return recovery->epoch_heard;
}

bool recovery_has_unknown(const struct recovery *recovery)
{
    return recovery->has_unknown;
}

enum recovery_finding recovery_find(const struct recovery *recovery, uint32_t *draw)
{
    *draw = recovery->draw;
    if (recovery->draw == 0)
        return RECOVERY_NOTHING;
    if (recovery->is_void)
        return RECOVERY_VOID;
    if (recovery->is_forgotten)
        return RECOVERY_FORGOTTEN;
    return recovery->is_sealed ? RECOVERY_SEALED : RECOVERY_UNSEALED;
}

bool recovery_next_ask(struct recovery *recovery, uint32_t *store)
{
    if (recovery->asked >= 0)
        return false;
    for (uint32_t i = 0; i < STORES_MAX; i++) {
        uint32_t candidate = (recovery->turn + i) % STORES_MAX;
        if (!recovery->witnesses[candidate].has_seal || recovery->witnesses[candidate].is_wrong)
            continue;
        recovery->asked = (int)candidate;
        recovery->turn = (candidate + 1) % STORES_MAX;
        *store = candidate;
        return true;
    }
    return false;
}

/* What comes first says how large the manifest is; the limit of the wire is the limit of memory. */
static enum status begin_parts(struct recovery *recovery, const struct message_part *part)
{
    if (part->manifest_bytes == 0 || part->manifest_bytes > MANIFEST_BYTES_MAX)
        return STATUS_WRONG;
    recovery->packed = malloc(part->manifest_bytes);
    if (recovery->packed == NULL)
        return STATUS_NO_MEMORY;
    recovery->packed_bytes = part->manifest_bytes;
    return STATUS_OK;
}

static enum status append_part(struct recovery *recovery, uint32_t store,
                               const struct message_part *part, struct slice body)
{
    enum status status = STATUS_OK;
    if (recovery->parts_taken == 0)
        status = begin_parts(recovery, part);
    if (status != STATUS_OK)
        return status;
    if (part->part != recovery->parts_taken || part->manifest_bytes != recovery->packed_bytes ||
        body.bytes > CHUNK_BYTES_MAX ||
        body.bytes > recovery->packed_bytes - recovery->bytes_taken ||
        !digest_is_equal(&part->root, &recovery->witnesses[store].root))
        return STATUS_WRONG;
    memcpy(recovery->packed + recovery->bytes_taken, body.data, body.bytes);
    recovery->bytes_taken += body.bytes;
    recovery->parts_taken++;
    return part->part + 1 < part->parts ? STATUS_MORE : STATUS_OK;
}

/* The whole manifest: it has to be the one of the seal. */
static enum status read_manifest(const struct recovery *recovery, uint32_t store,
                                 struct hasher *hasher, struct manifest **manifest)
{
    struct slice packed = {recovery->packed, recovery->bytes_taken};
    struct manifest *parsed;
    enum status status = recovery->bytes_taken == recovery->packed_bytes
                             ? manifest_parse(packed, hasher, &parsed)
                             : STATUS_WRONG;
    if (status != STATUS_OK)
        return status;
    if (manifest_terms(parsed)->draw != recovery->draw ||
        !digest_is_equal(manifest_root(parsed), &recovery->witnesses[store].root)) {
        manifest_destroy(&parsed);
        return STATUS_WRONG;
    }
    *manifest = parsed;
    return STATUS_OK;
}

enum status recovery_take_part(struct recovery *recovery, uint32_t store, uint32_t draw,
                               const struct message_part *part, struct slice body,
                               struct hasher *hasher, struct manifest **manifest)
{
    *manifest = NULL;
    if (recovery->asked != (int)store || draw != recovery->draw)
        return STATUS_OK;
    enum status status = append_part(recovery, store, part, body);
    if (status == STATUS_MORE)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = read_manifest(recovery, store, hasher, manifest);
    if (status != STATUS_OK)
        recovery->witnesses[store].is_wrong = true;
    drop_parts(recovery);
    return status;
}
