/* See seals.h. */
#include "worker/seals.h"

#include "proto/wire/check.h"

void seals_clear(struct seals *seals)
{
    manifest_destroy(&seals->manifest);
    *seals = (struct seals){.manifest = NULL};
}

enum status seals_look(struct seals *seals, const struct workbench *bench, uint32_t draw,
                       const struct seal_record **record)
{
    CHECK(draw != 0); /* the codec has no order and no batch of draw 0 */
    *record = &seals->record;
    if (seals->record.draw == draw)
        return STATUS_OK;
    struct seal_record found;
    size_t count;
    enum status status = store_list_seals(bench->store, draw, &found, 1, &count);
    if (status != STATUS_OK)
        return status;
    seals_clear(seals);
    if (count == 1 && found.draw == draw)
        seals->record = found;
    else
        seals->record = (struct seal_record){.draw = draw, .kind = SEAL_NONE};
    return STATUS_OK;
}

enum status seals_manifest(struct seals *seals, const struct workbench *bench, uint32_t draw,
                           const struct manifest **manifest)
{
    const struct seal_record *record;
    enum status status = seals_look(seals, bench, draw, &record);
    if (status != STATUS_OK)
        return status;
    if (record->kind != SEAL_MANIFEST || record->is_forgotten)
        return STATUS_NOT_FOUND;
    if (seals->manifest == NULL) {
        struct slice packed;
        status = store_manifest(bench->store, draw, &packed);
        if (status == STATUS_OK)
            status = manifest_parse(packed, bench->hasher, &seals->manifest);
        if (status == STATUS_NO_MEMORY || status == STATUS_VERSION)
            return status;
        if (status != STATUS_OK)
            return STATUS_IO;
    }
    *manifest = seals->manifest;
    return STATUS_OK;
}

enum status seals_record(struct seals *seals, const struct workbench *bench,
                         const struct seal_record *record, struct manifest **manifest)
{
    struct slice packed = {NULL, 0};
    if (manifest != NULL)
        packed = manifest_packed(*manifest);
    CHECK((packed.bytes > 0) == (record->kind == SEAL_MANIFEST && !record->is_forgotten));
    enum status status = store_begin(bench->store, STORE_RESERVE);
    if (status == STATUS_OK)
        status = store_record_seal(bench->store, record, packed);
    if (status == STATUS_OK)
        status = store_commit(bench->store);
    if (status != STATUS_OK)
        return status;
    seals_clear(seals);
    seals->record = *record;
    if (manifest != NULL) {
        seals->manifest = *manifest;
        *manifest = NULL;
    }
    return STATUS_OK;
}

const struct digest *seals_digest(const struct manifest *manifest,
                                  const struct batch_identity *identity)
{
    const struct manifest_entry *entry = manifest_find(manifest, identity->agency);
    if (entry == NULL || entry->attempt != identity->attempt ||
        identity->seq >= entry->declaration.batches)
        return NULL;
    return &entry->digests[identity->seq];
}

enum status seals_admit(struct seals *seals, const struct workbench *bench,
                        const struct batch_identity *identity, const struct digest *digest,
                        enum admission *admission)
{
    const struct seal_record *record;
    enum status status = seals_look(seals, bench, identity->draw, &record);
    if (status != STATUS_OK)
        return status;
    *admission = ADMISSION_LATE;
    if (record->is_forgotten || record->kind == SEAL_AS_VOID)
        return STATUS_OK;
    if (record->kind == SEAL_NONE) {
        *admission = ADMISSION_OPEN;
        return STATUS_OK;
    }
    const struct manifest *manifest;
    status = seals_manifest(seals, bench, identity->draw, &manifest);
    if (status != STATUS_OK)
        return status;
    const struct digest *sealed = seals_digest(manifest, identity);
    if (sealed != NULL && digest_is_equal(sealed, digest))
        *admission = ADMISSION_SEALED;
    return STATUS_OK;
}
