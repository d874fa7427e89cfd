/* See sealing.h. */
#include "worker/sealing.h"

#include <stdlib.h>

#include "proto/wire/check.h"

static void drop_assembly(struct sealing *sealing)
{
    free(sealing->assembly.packed);
    sealing->assembly = (struct assembly){.draw = 0};
}

void sealing_interrupt(struct sealing *sealing)
{
    drop_assembly(sealing);
    sealing->read_back.is_running = false;
    sealing->answer_draw = 0;
}

void sealing_clear(struct sealing *sealing)
{
    sealing_interrupt(sealing);
    *sealing = (struct sealing){.verified_draw = 0};
}

static void note(const struct workbench *bench, enum note_kind kind, uint32_t draw, uint64_t number,
                 uint64_t other)
{
    notes_add(bench->notes,
              &(struct note){.kind = kind, .draw = draw, .number = number, .other = other});
}

static void tell_sealed(const struct workbench *bench, uint32_t draw, const struct digest *root)
{
    struct message message = {.kind = MESSAGE_SEALED, .draw = draw, .sealed = {*root}};
    workbench_send(bench, &message, NULL);
}

/* ---- parts ---- */

/* True when the body has the length that its place demands. That the part can be one of a manifest
 * the codec has seen. */
static bool part_is_sound(const struct message_part *part, struct slice body)
{
    CHECK(part->manifest_bytes <= MANIFEST_BYTES_MAX && part->part < part->parts);
    uint64_t begin = (uint64_t)part->part * CHUNK_BYTES_MAX;
    uint64_t left = part->manifest_bytes - begin;
    return body.bytes == (left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX);
}

/* Makes ready for the manifest that `part` belongs to. errors: NO_MEMORY. */
static enum status begin_assembly(struct sealing *sealing, uint32_t draw,
                                  const struct message_part *part)
{
    struct assembly *assembly = &sealing->assembly;
    if (assembly->draw == draw && assembly->packed_bytes == part->manifest_bytes &&
        digest_is_equal(&assembly->root, &part->root))
        return STATUS_OK;
    drop_assembly(sealing);
    uint8_t *packed = malloc((size_t)part->manifest_bytes);
    if (packed == NULL)
        return STATUS_NO_MEMORY;
    *assembly = (struct assembly){
        .draw = draw,
        .root = part->root,
        .parts = part->parts,
        .packed = packed,
        .packed_bytes = (size_t)part->manifest_bytes,
    };
    return STATUS_OK;
}

static void begin_read_back(struct sealing *sealing, uint32_t draw)
{
    if (sealing->read_back.is_running && sealing->read_back.draw == draw)
        return;
    sealing->read_back = (struct read_back){
        .is_running = true,
        .draw = draw,
        .next = {.draw = draw},
    };
}

/* All parts are there: checks and records them. What is no manifest of that draw and root is
 * dropped. */
static enum status record_manifest(struct sealing *sealing, const struct workbench *bench,
                                   struct seals *seals)
{
    struct assembly *assembly = &sealing->assembly;
    uint32_t draw = assembly->draw;
    struct slice packed = {assembly->packed, assembly->packed_bytes};
    struct manifest *manifest = NULL;
    enum status status = manifest_parse(packed, bench->hasher, &manifest);
    bool fits = status == STATUS_OK && manifest_terms(manifest)->draw == draw &&
                digest_is_equal(manifest_root(manifest), &assembly->root);
    drop_assembly(sealing);
    if (status == STATUS_NO_MEMORY)
        return status;
    const struct seal_record *kept = &seals->record; /* of this draw: the part was compared */
    if (fits && kept->kind == SEAL_MANIFEST)
        fits = kept->number == manifest_number(manifest);
    if (!fits) {
        manifest_destroy(&manifest);
        note(bench, NOTE_MANIFEST_REFUSED, draw, 0, 0);
        return STATUS_OK;
    }
    struct seal_record record = {
        .draw = draw,
        .kind = SEAL_MANIFEST,
        .root = *manifest_root(manifest),
        .number = manifest_number(manifest),
    };
    uint32_t batches = manifest_batches(manifest);
    status = seals_record(seals, bench, &record, &manifest);
    manifest_destroy(&manifest);
    if (status != STATUS_OK)
        return status;
    note(bench, NOTE_SEAL_RECORDED, draw, record.number, batches);
    begin_read_back(sealing, draw);
    return STATUS_OK;
}

/* The draw has a seal: it stays, whatever is asked for now. */
static void keep_seal(struct sealing *sealing, const struct workbench *bench,
                      const struct seal_record *kept, const struct digest *asked)
{
    static const struct digest ZEROS;
    bool is_asked = digest_is_equal(&kept->root, asked);
    if (!is_asked)
        note(bench, NOTE_SEAL_DIFFERS, kept->draw, 0, 0);
    bool is_unread = kept->kind == SEAL_MANIFEST && !kept->is_forgotten &&
                     !sealing_has_verified(sealing, kept->draw);
    if (is_asked && is_unread)
        begin_read_back(sealing, kept->draw);
    else
        tell_sealed(bench, kept->draw, kept->kind == SEAL_MANIFEST ? &kept->root : &ZEROS);
}

/* All that is kept of the manifest but this part. */
static enum status begin_from_kept(struct sealing *sealing, uint32_t draw,
                                   const struct message_part *part, struct slice packed)
{
    enum status status = begin_assembly(sealing, draw, part);
    if (status != STATUS_OK)
        return status;
    struct assembly *assembly = &sealing->assembly;
    memcpy(assembly->packed, packed.data, packed.bytes);
    for (uint32_t i = 0; i < assembly->parts; i++)
        assembly->has[i] = i != part->part;
    assembly->parts_come = assembly->parts - 1;
    return STATUS_OK;
}

/* True when that is the seal that is kept, but its manifest cannot be read any more, or is not what
 * the broker has: it is taken again. */
static enum status has_rotted(struct sealing *sealing, const struct workbench *bench,
                              struct seals *seals, const struct message_part *part,
                              struct slice body, bool *is_rotten)
{
    const struct seal_record *kept = &seals->record;
    *is_rotten = false;
    if (kept->kind != SEAL_MANIFEST || kept->is_forgotten ||
        !digest_is_equal(&kept->root, &part->root) || sealing_has_verified(sealing, kept->draw))
        return STATUS_OK;
    *is_rotten = sealing->assembly.draw == kept->draw; /* it was found with an earlier part */
    if (*is_rotten)
        return STATUS_OK;
    const struct manifest *manifest;
    enum status status = seals_manifest(seals, bench, kept->draw, &manifest);
    if (status == STATUS_OK) {
        struct slice packed = manifest_packed(manifest);
        size_t begin = (size_t)part->part * CHUNK_BYTES_MAX;
        bool is_as_long = packed.bytes == part->manifest_bytes;
        if (is_as_long && memcmp(packed.data + begin, body.data, body.bytes) == 0)
            return STATUS_OK;
        if (is_as_long)
            status = begin_from_kept(sealing, kept->draw, part, packed);
    } else if (status == STATUS_IO || status == STATUS_VERSION) {
        status = STATUS_OK; /* the broker has it in a version that it knows */
    }
    if (status != STATUS_OK)
        return status;
    *is_rotten = true;
    note(bench, NOTE_MANIFEST_ROTTEN, kept->draw, 0, 0);
    return STATUS_OK;
}

enum status sealing_take_part(struct sealing *sealing, const struct workbench *bench,
                              struct seals *seals, uint32_t draw, const struct message_part *part,
                              struct slice body)
{
    if (!part_is_sound(part, body)) {
        note(bench, NOTE_MANIFEST_REFUSED, draw, 0, 0);
        return STATUS_OK;
    }
    const struct seal_record *kept;
    enum status status = seals_look(seals, bench, draw, &kept);
    bool is_rotten = false;
    if (status == STATUS_OK)
        status = has_rotted(sealing, bench, seals, part, body, &is_rotten);
    if (status != STATUS_OK)
        return status;
    if (!is_rotten && (kept->kind != SEAL_NONE || kept->is_forgotten)) {
        if (part->part == part->parts - 1)
            keep_seal(sealing, bench, kept, &part->root);
        return STATUS_OK;
    }
    status = begin_assembly(sealing, draw, part);
    if (status != STATUS_OK)
        return status;
    struct assembly *assembly = &sealing->assembly;
    if (assembly->has[part->part])
        return STATUS_OK;
    memcpy(assembly->packed + (size_t)part->part * CHUNK_BYTES_MAX, body.data, body.bytes);
    assembly->has[part->part] = true;
    assembly->parts_come++;
    if (assembly->parts_come < assembly->parts)
        return STATUS_OK;
    return record_manifest(sealing, bench, seals);
}

enum status sealing_take_void(struct sealing *sealing, const struct workbench *bench,
                              struct seals *seals, uint32_t draw)
{
    static const struct digest ZEROS;
    const struct seal_record *kept;
    enum status status = seals_look(seals, bench, draw, &kept);
    if (status != STATUS_OK)
        return status;
    if (kept->kind == SEAL_AS_VOID) {
        keep_seal(sealing, bench, kept, &ZEROS);
        return STATUS_OK;
    }
    /* A sealed draw that is not published may still be made void; a void stays. */
    struct seal_record record = {.draw = draw,
                                 .kind = SEAL_AS_VOID,
                                 .is_forgotten = kept->is_forgotten};
    status = seals_record(seals, bench, &record, NULL);
    if (status != STATUS_OK)
        return status;
    if (sealing->assembly.draw == draw)
        drop_assembly(sealing);
    note(bench, NOTE_VOID_RECORDED, draw, 0, 0);
    tell_sealed(bench, draw, &ZEROS);
    return STATUS_OK;
}

/* ---- reading back ---- */

enum status sealing_delete_rotten(const struct workbench *bench,
                                  const struct batch_identity *identity)
{
    enum status status = store_begin(bench->store, STORE_RESERVE);
    if (status == STATUS_OK)
        status = store_erase(bench->store, identity);
    if (status == STATUS_OK)
        status = store_commit(bench->store);
    if (status != STATUS_OK)
        return status;
    notes_add(bench->notes, &(struct note){.kind = NOTE_ROTTEN,
                                           .draw = identity->draw,
                                           .agency = identity->agency,
                                           .attempt = identity->attempt,
                                           .seq = identity->seq});
    return STATUS_OK;
}

/* Reads one batch of the store back. One whose record is not the manifest's digest counts for
 * nothing and is left alone. */
static enum status read_one(struct sealing *sealing, const struct workbench *bench,
                            const struct manifest *manifest, const struct batch_record *record,
                            size_t *step_bytes)
{
    const struct digest *sealed = seals_digest(manifest, &record->identity);
    if (sealed == NULL || !digest_is_equal(sealed, &record->digest))
        return STATUS_OK;
    struct batch_record kept;
    struct slice body;
    enum status status = store_get(bench->store, &record->identity, &kept, &body);
    if (status != STATUS_OK)
        return status;
    struct digest digest;
    digest_batch(bench->hasher, kept.identity.draw, kept.identity.agency, kept.identity.seq,
                 kept.bets, body, &digest);
    *step_bytes += body.bytes;
    if (digest_is_equal(&digest, sealed)) {
        sealing->read_back.batches++;
        sealing->read_back.bytes += body.bytes;
        return STATUS_OK;
    }
    sealing->read_back.found_rot = true;
    return sealing_delete_rotten(bench, &record->identity);
}

static void end_read_back(struct sealing *sealing, const struct workbench *bench,
                          const struct manifest *manifest, bool *has_found_rot)
{
    struct read_back *read_back = &sealing->read_back;
    read_back->is_running = false;
    sealing->verified_draw = read_back->draw;
    note(bench, NOTE_READ_BACK, read_back->draw, read_back->batches, read_back->bytes);
    if (read_back->found_rot)
        *has_found_rot = true;
    else
        tell_sealed(bench, read_back->draw, manifest_root(manifest));
}

static enum status step_read_back(struct sealing *sealing, const struct workbench *bench,
                                  struct seals *seals, bool *has_found_rot)
{
    struct read_back *read_back = &sealing->read_back;
    const struct manifest *manifest;
    enum status status = seals_manifest(seals, bench, read_back->draw, &manifest);
    if (status == STATUS_NOT_FOUND) { /* void meanwhile, or forgotten */
        read_back->is_running = false;
        return STATUS_OK;
    }
    struct batch_record batches[STEP_BATCHES_MAX];
    size_t count = 0;
    if (status == STATUS_OK)
        status = store_list(bench->store, &read_back->next, batches, STEP_BATCHES_MAX, &count);
    size_t step_bytes = 0;
    size_t i = 0;
    while (status == STATUS_OK && i < count && step_bytes < STEP_BYTES_MAX &&
           batches[i].identity.draw == read_back->draw) {
        read_back->next = batches[i].identity;
        batch_identity_next(&read_back->next);
        status = read_one(sealing, bench, manifest, &batches[i], &step_bytes);
        i++;
    }
    if (status != STATUS_OK)
        return status;
    bool is_over =
        i < count ? batches[i].identity.draw != read_back->draw : count < STEP_BATCHES_MAX;
    if (is_over)
        end_read_back(sealing, bench, manifest, has_found_rot);
    return STATUS_OK;
}

/* ---- telling the manifest ---- */

void sealing_ask_manifest(struct sealing *sealing, uint32_t draw)
{
    sealing->answer_draw = draw;
    sealing->answer_part = 0;
}

static enum status step_answer(struct sealing *sealing, const struct workbench *bench,
                               struct seals *seals)
{
    uint32_t draw = sealing->answer_draw;
    const struct manifest *manifest;
    enum status status = seals_manifest(seals, bench, draw, &manifest);
    if (status != STATUS_OK)
        sealing->answer_draw = 0;
    if (status == STATUS_NOT_FOUND) {
        note(bench, NOTE_MESSAGE_DROPPED, draw, MESSAGE_MANIFEST, 0);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    struct slice packed = manifest_packed(manifest);
    size_t begin = (size_t)sealing->answer_part * CHUNK_BYTES_MAX;
    size_t left = packed.bytes - begin;
    struct slice body = {packed.data + begin, left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX};
    uint32_t parts = (uint32_t)((packed.bytes + CHUNK_BYTES_MAX - 1) / CHUNK_BYTES_MAX);
    struct message message = {
        .kind = MESSAGE_MANIFEST_PART,
        .draw = draw,
        .part = {sealing->answer_part, parts, packed.bytes, *manifest_root(manifest)},
    };
    workbench_send(bench, &message, &body);
    sealing->answer_part++;
    if (sealing->answer_part == parts)
        sealing->answer_draw = 0;
    return STATUS_OK;
}

bool sealing_is_busy(const struct sealing *sealing)
{
    return sealing->answer_draw != 0 || sealing->read_back.is_running;
}

enum status sealing_step(struct sealing *sealing, const struct workbench *bench,
                         struct seals *seals, bool *has_found_rot)
{
    *has_found_rot = false;
    enum status status = STATUS_OK;
    if (sealing->answer_draw != 0)
        status = step_answer(sealing, bench, seals);
    if (status == STATUS_OK && sealing->read_back.is_running)
        status = step_read_back(sealing, bench, seals, has_found_rot);
    return status;
}
