/* What is changed in a letter, where more than one table has it. */
#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/item.h"
#include "proto/wire/manifest.h"
#include "proto/wire/pack.h"
#include "proto/wire/seqset.h"
#include "tests/sim/garble.h"

static struct slice *last_frame(struct garbling *garbling)
{
    return &garbling->frames[garbling->frames_count - 1];
}

bool garble_header_end(struct garbling *garbling)
{
    garbling->is_packed = true;
    garbling->frames[0].bytes--;
    return true;
}

bool garble_header_twice(struct garbling *garbling)
{
    if (garbling->frames_count == LETTER_FRAMES)
        return false;
    garbling->is_packed = true;
    garbling->frames[garbling->frames_count++] = garbling->frames[0];
    return true;
}

bool garble_frame_lost(struct garbling *garbling)
{
    garbling->is_packed = true;
    return garbling->frames_count-- > 1;
}

bool garble_body_end(struct garbling *garbling)
{
    garbling->is_packed = true;
    return garbling->frames_count > 1 && last_frame(garbling)->bytes-- > 0;
}

bool garble_body_longer(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    garbling->is_packed = true;
    if (garbling->frames_count == 1 || body->bytes == 0 || body->bytes >= GARBLE_ROOM_BYTES)
        return false;
    memcpy(garbling->room, body->data, body->bytes);
    garbling->room[body->bytes] = body->data[body->bytes - 1];
    *body = (struct slice){garbling->room, body->bytes + 1};
    return true;
}

uint32_t garble_body_above(struct garbling *garbling, size_t most)
{
    struct slice *body = last_frame(garbling);
    size_t bytes = 0;
    uint32_t times = 0;
    if (garbling->frames_count < 2 || body->bytes == 0 || body->bytes > most)
        return 0;
    CHECK(2 * most <= GARBLE_ROOM_BYTES);
    for (; bytes <= most; bytes += body->bytes, times++)
        memcpy(garbling->room + bytes, body->data, body->bytes);
    *body = (struct slice){garbling->room, bytes};
    return times;
}

static bool body_twice(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    if (body->bytes == 0 || 2 * body->bytes > CHUNK_BYTES_MAX)
        return false;
    memcpy(garbling->room, body->data, body->bytes);
    memcpy(garbling->room + body->bytes, body->data, body->bytes);
    *body = (struct slice){garbling->room, 2 * body->bytes};
    return true;
}

/* -- winners -- */

static void change_winner(struct dice *dice, struct item_winner *winner)
{
    switch (dice_below(dice, 3)) {
    case 0:
        winner->bet.number++;
        return;
    case 1:
        winner->seq += FAR_AWAY;
        return;
    default:
        winner->row += FAR_AWAY;
    }
}

bool garble_winner(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    struct item_winner winner;
    uint32_t winners = 0;
    size_t bytes = 0;
    size_t at = 0;
    while (item_next_winner(*body, &at, &winner) == STATUS_OK)
        winners++;
    if (winners == 0)
        return false;
    uint32_t chosen = dice_below(garbling->dice, winners);
    at = 0;
    for (uint32_t i = 0; item_next_winner(*body, &at, &winner) == STATUS_OK; i++) {
        if (i == chosen)
            change_winner(garbling->dice, &winner);
        CHECK(item_pack_winner(garbling->room, GARBLE_ROOM_BYTES, &bytes, &winner) == STATUS_OK);
    }
    *body = (struct slice){garbling->room, bytes};
    return true;
}

bool garble_winners_twice(struct garbling *garbling)
{
    if (garbling->message.kind == MESSAGE_FOUND)
        garbling->message.found.items *= 2;
    return body_twice(garbling);
}

/* -- shares -- */

/* Of its seqs the first range alone, one longer. */
static void lengthen(struct item_share *share, uint8_t *room)
{
    struct range_cursor cursor;
    struct range range;
    struct packer packer;
    CHECK(range_open(&cursor, share->seqs) == STATUS_OK);
    CHECK(range_next(&cursor, &range) == STATUS_OK);
    pack_begin(&packer, room, ITEM_BYTES_MAX);
    pack_array(&packer, 2);
    pack_unsigned(&packer, range.first);
    pack_unsigned(&packer, range.count + 1);
    share->seqs = (struct slice){room, packer.bytes};
}

static void change_share(struct dice *dice, struct item_share *share, uint8_t *room)
{
    static const uint8_t elsewhere[] = {0x92, 0xcd, 0x13, 0x88, 1}; /* [5000, 1] */
    switch (dice_below(dice, 4)) {
    case 3:
        lengthen(share, room);
        return;
    case 0:
        share->agency += FAR_AWAY;
        return;
    case 1:
        share->attempt += FAR_AWAY;
        return;
    default:
        share->seqs = (struct slice){elsewhere, sizeof elsewhere};
    }
}

bool garble_share(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    struct item_share share;
    uint32_t shares = 0;
    size_t bytes = 0;
    size_t at = 0;
    while (item_next_share(*body, &at, &share) == STATUS_OK)
        shares++;
    if (shares == 0)
        return false;
    uint32_t chosen = dice_below(garbling->dice, shares);
    at = 0;
    for (uint32_t i = 0; item_next_share(*body, &at, &share) == STATUS_OK; i++) {
        if (i == chosen)
            change_share(garbling->dice, &share, garbling->header);
        CHECK(item_pack_share(garbling->room, GARBLE_ROOM_BYTES, &bytes, &share) == STATUS_OK);
    }
    *body = (struct slice){garbling->room, bytes};
    return true;
}

bool garble_shares_twice(struct garbling *garbling)
{
    garbling->message.counted.items *= 2;
    return body_twice(garbling);
}

bool garble_share_lost(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    struct item_share share;
    size_t begins = 0;
    size_t at = 0;
    for (size_t next = 0; item_next_share(*body, &next, &share) == STATUS_OK; at = next)
        begins = at;
    body->bytes = begins;
    return garbling->message.counted.items-- > 1;
}

/* As many shares as before, each of them one that was asked for. */
bool garble_share_for_another(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    struct item_share share;
    size_t first_bytes = 0;
    size_t last_at = 0;
    size_t next = 0;
    while (item_next_share(*body, &next, &share) == STATUS_OK) {
        if (first_bytes == 0)
            first_bytes = next;
        if (next < body->bytes)
            last_at = next;
    }
    if (last_at == 0)
        return false;
    memcpy(garbling->room, body->data, last_at);
    memcpy(garbling->room + last_at, body->data, first_bytes);
    *body = (struct slice){garbling->room, last_at + first_bytes};
    return true;
}

/* -- manifests and batches -- */

bool garble_manifest_half(struct garbling *garbling)
{
    struct message_part *part = &garbling->message.part;
    part->parts = 2;
    part->manifest_bytes = CHUNK_BYTES_MAX + 1;
    memset(garbling->room, 0, CHUNK_BYTES_MAX);
    garbling->frames[1] = (struct slice){garbling->room, CHUNK_BYTES_MAX};
    return garbling->frames_count == 2;
}

/* Plans and attempts are not in the root: a change of them nobody can find out. */
bool garble_manifest(struct garbling *garbling)
{
    struct slice *body = last_frame(garbling);
    struct manifest *manifest = NULL;
    struct hasher *hasher = garbling->world->agencies[0].hasher;
    if (garbling->message.part.parts != 1 || body->bytes == 0 || body->bytes > GARBLE_ROOM_BYTES)
        return false;
    memcpy(garbling->room, body->data, body->bytes);
    body->data = garbling->room;
    garbling->room[dice_below(garbling->dice, (uint32_t)body->bytes)] ^= 1;
    bool is_sound = manifest_parse(*body, hasher, &manifest) == STATUS_OK;
    manifest_destroy(&manifest);
    return !is_sound;
}

bool garble_batch(struct garbling *garbling, uint32_t header)
{
    struct hasher *hasher = garbling->world->agencies[0].hasher;
    struct slice *body = &garbling->frames[header + 1];
    struct message message;
    if (garbling->frames_count != header + 2 ||
        message_decode(garbling->frames[header], &message) != STATUS_OK ||
        message.kind != MESSAGE_BATCH || body->bytes == 0 || body->bytes > GARBLE_ROOM_BYTES)
        return false;
    memcpy(garbling->room, body->data, body->bytes);
    switch (dice_below(garbling->dice, 3)) {
    case 0:
        message.batch.digest.bytes[0] ^= 1;
        break;
    case 1:
        garbling->room[dice_below(garbling->dice, (uint32_t)body->bytes)] ^= 1;
        body->data = garbling->room;
        break;
    default: /* its digest is right, but it does not hold as many bets */
        message.batch.count++;
        digest_batch(hasher, message.draw, message.batch.agency, message.batch.seq,
                     message.batch.count, *body, &message.batch.digest);
    }
    struct slice *packed = &garbling->frames[header];
    if (header == 0) {
        garbling->message = message;
        return true;
    }
    uint8_t *place = garbling->room + body->bytes;
    CHECK(message_encode(&message, place, GARBLE_ROOM_BYTES - body->bytes, &packed->bytes) ==
          STATUS_OK);
    packed->data = place;
    return true;
}
