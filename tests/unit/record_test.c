/* The turn's records: kept in order, copied where they are borrowed for less than a turn,
 * bounded. */
#include "broker/record.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct records *create(size_t records_max, size_t arena_bytes)
{
    struct records *records = NULL;
    cr_assert_eq(records_create(records_max, arena_bytes, &records), STATUS_OK);
    cr_assert_not_null(records);
    return records;
}

Test(record, begins_empty_and_keeps_the_order_in_which_records_were_made, .timeout = 10)
{
    struct records *records = create(3, 0);
    cr_assert_eq(records_count(records), 0);
    for (uint32_t draw = 7; draw > 4; draw--) {
        struct record record = {.kind = RECORD_PUBLISHED, .draw = draw};
        records_add(records, &record);
    }
    cr_assert_eq(records_count(records), 3);
    for (uint32_t index = 0; index < 3; index++) {
        cr_assert_eq(records_at(records, index)->kind, RECORD_PUBLISHED);
        cr_assert_eq(records_at(records, index)->draw, 7 - index);
    }
    records_destroy(&records);
    cr_assert_null(records);
    records_destroy(&records);
}

Test(record, copies_what_is_lent_for_less_than_a_turn, .timeout = 10)
{
    struct records *records = create(4, 64);
    uint32_t roster[] = {1, 5, 9};
    uint32_t members[] = {2, 4};
    uint8_t body[] = {0x93, 1, 2, 3, 4};
    struct record opened = {.kind = RECORD_OPENED, .draw = 1};
    opened.opened.roster = roster;
    opened.opened.roster_count = 3;
    struct record found = {.kind = RECORD_FOUND, .draw = 1};
    found.found.body = (struct slice){body, sizeof(body)};
    struct record decision = {.kind = RECORD_DECISION, .draw = 1};
    decision.decision.members = members;
    decision.decision.members_count = 2;
    records_add(records, &opened);
    records_add(records, &found);
    records_add(records, &decision);
    memset(roster, 0, sizeof(roster));
    memset(members, 0, sizeof(members));
    memset(body, 0, sizeof(body));

    const uint32_t *kept_roster = records_at(records, 0)->opened.roster;
    cr_assert_eq(kept_roster[0], 1);
    cr_assert_eq(kept_roster[1], 5);
    cr_assert_eq(kept_roster[2], 9);
    struct slice kept_body = records_at(records, 1)->found.body;
    cr_assert_eq(kept_body.bytes, 5);
    cr_assert_eq(memcmp(kept_body.data, "\x93\x01\x02\x03\x04", 5), 0);
    const uint32_t *kept_members = records_at(records, 2)->decision.members;
    cr_assert_eq((uintptr_t)kept_members % sizeof(uint32_t), 0);
    cr_assert_eq(kept_members[0], 2);
    cr_assert_eq(kept_members[1], 4);
    records_destroy(&records);
}

Test(record, leaves_a_missing_roster_missing, .timeout = 10)
{
    struct records *records = create(1, 0);
    struct record opened = {.kind = RECORD_OPENED, .draw = 1};
    records_add(records, &opened);
    cr_assert_null(records_at(records, 0)->opened.roster);
    records_destroy(&records);
}

Test(record, lends_digests_and_bets_of_a_declaration, .timeout = 10)
{
    struct records *records = create(1, 0);
    struct digest digests[2] = {{{1}}, {{2}}};
    uint32_t bets[2] = {10, 20};
    struct record declared = {.kind = RECORD_DECLARATION, .draw = 1};
    declared.declaration.digests = digests;
    declared.declaration.bets = bets;
    records_add(records, &declared);
    cr_assert_eq(records_at(records, 0)->declaration.digests, digests);
    cr_assert_eq(records_at(records, 0)->declaration.bets, bets);
    records_destroy(&records);
}

Test(record, tells_room_in_records_and_in_bytes_to_the_last_one, .timeout = 10)
{
    struct records *records = create(3, 10);
    uint8_t body[7] = {0};
    cr_assert(records_has_room(records, 3, 10));
    cr_assert_not(records_has_room(records, 4, 0));
    cr_assert_not(records_has_room(records, 0, 11));
    struct record found = {.kind = RECORD_FOUND};
    found.found.body = (struct slice){body, sizeof(body)};
    records_add(records, &found);
    cr_assert(records_has_room(records, 2, 3));
    cr_assert_not(records_has_room(records, 3, 0));
    cr_assert_not(records_has_room(records, 0, 4));
    found.found.body.bytes = 1;
    records_add(records, &found);
    found.found.body.bytes = 2;
    records_add(records, &found);
    cr_assert(records_has_room(records, 0, 0));
    cr_assert_not(records_has_room(records, 1, 0));
    records_reset(records);
    cr_assert_eq(records_count(records), 0);
    cr_assert(records_has_room(records, 3, 10));
    records_destroy(&records);
}

Test(record, rejects_one_record_too_many, .timeout = 10, .signal = SIGABRT)
{
    struct records *records = create(1, 0);
    struct record record = {.kind = RECORD_VOID};
    records_add(records, &record);
    records_add(records, &record);
}

Test(record, rejects_one_byte_too_many, .timeout = 10, .signal = SIGABRT)
{
    struct records *records = create(2, 4);
    uint8_t body[5] = {0};
    struct record found = {.kind = RECORD_FOUND};
    found.found.body = (struct slice){body, sizeof(body)};
    records_add(records, &found);
}

Test(record, rejects_an_index_behind_the_last, .timeout = 10, .signal = SIGABRT)
{
    struct records *records = create(1, 0);
    records_at(records, 0);
}
