#include "broker/roll.h"

#include <criterion/criterion.h>

enum { LEASE = 3000, BUDGET = 32 * 1024 * 1024 };

static struct roll *roll;

static void begin(void)
{
    cr_assert_eq(roll_create(&roll), STATUS_OK);
}

static void end(void)
{
    roll_destroy(&roll);
}

TestSuite(roll, .init = begin, .fini = end, .timeout = 10);

static struct member *add(uint32_t agency)
{
    struct member *member = NULL;

    cr_assert_eq(roll_add(roll, agency, &member), STATUS_OK);
    cr_assert_not_null(member);
    return member;
}

/* An agency in its first attempt, heard at `heard_at`. */
static struct member *add_sender(uint32_t agency, int64_t heard_at)
{
    struct member *member = add(agency);

    member->attempt = 1;
    member->plan = (struct plan){.bets_max = 100, .bytes_max = BATCH_BYTES_DEFAULT};
    member->heard_at = heard_at;
    return member;
}

static uint64_t take_fingerprint(void)
{
    return roll_fingerprint(roll, 0);
}

Test(roll, destroy_sets_null_and_is_safe_twice)
{
    roll_destroy(&roll);
    cr_assert_null(roll);
    roll_destroy(&roll);
    cr_assert_null(roll);
}

Test(roll, does_not_find_an_agency_never_heard_of)
{
    cr_assert_null(roll_find(roll, 0));
    add(1);
    add(3);
    cr_assert_null(roll_find(roll, 0));
    cr_assert_null(roll_find(roll, 2));
    cr_assert_null(roll_find(roll, 4));
}

Test(roll, finds_what_was_added_under_its_id_zero_and_the_largest_included)
{
    add(UINT32_MAX);
    add(0);
    add(7);
    cr_assert_eq(roll_count(roll), 3);
    cr_assert_eq(roll_find(roll, UINT32_MAX), roll_at(roll, 0));
    cr_assert_eq(roll_find(roll, 0), roll_at(roll, 1));
    cr_assert_eq(roll_find(roll, 7), roll_at(roll, 2));
    cr_assert_eq(roll_index(roll, roll_find(roll, 7)), 2);
}

Test(roll, adds_a_member_that_has_not_been_heard_and_has_no_plan)
{
    const struct member *member = add(5);

    cr_assert_eq(member->id, 5);
    cr_assert_eq(member->attempt, 0);
    cr_assert_eq(member->heard_at, INT64_MIN);
    cr_assert_not(member->has_declaration || member->has_verdict || member->said_bye);
}

Test(roll, accepts_a_newer_process_and_has_seen_none_of_its_rounds)
{
    struct member *member = add(5);

    cr_expect(roll_accept_incarnation(member, 100));
    member->round_seen = 3;
    cr_expect(roll_accept_incarnation(member, 100));
    cr_expect_eq(member->round_seen, 3);
    cr_expect(roll_accept_incarnation(member, 101));
    cr_expect_eq(member->incarnation, 101);
    cr_expect_eq(member->round_seen, 0);
}

Test(roll, does_not_accept_an_older_process)
{
    struct member *member = add(5);

    cr_expect(roll_accept_incarnation(member, 100));
    member->round_seen = 3;
    cr_expect_not(roll_accept_incarnation(member, 99));
    cr_expect_eq(member->incarnation, 100);
    cr_expect_eq(member->round_seen, 3);
}

Test(roll, answers_an_agency_added_again_with_the_same_member)
{
    struct member *member = add(5);

    member->attempt = 3;
    cr_assert_eq(add(5), member);
    cr_assert_eq(member->attempt, 3);
    cr_assert_eq(roll_count(roll), 1);
}

Test(roll, keeps_pointers_and_order_by_id_up_to_its_limit)
{
    struct member *first = add(500);
    struct member *beyond = NULL;
    const uint32_t *by_id = NULL;

    /* 389 and 1024 have no common divisor: every id below 1024 comes once, in another order. */
    for (uint32_t i = 0; i < AGENCIES_MAX; i++)
        add(i * 389 % AGENCIES_MAX);
    cr_assert_eq(roll_count(roll), AGENCIES_MAX);
    cr_assert_eq(roll_find(roll, 500), first);
    by_id = roll_by_id(roll);
    for (uint32_t i = 0; i < AGENCIES_MAX; i++)
        cr_assert_eq(roll_at(roll, by_id[i])->id, i);

    cr_assert_eq(roll_add(roll, AGENCIES_MAX, &beyond), STATUS_LIMIT);
    cr_assert_null(beyond);
    cr_assert_eq(roll_count(roll), AGENCIES_MAX);
    cr_assert_eq(roll_add(roll, 12, &beyond), STATUS_OK);
}

Test(roll, window_is_the_budget_for_an_agency_alone)
{
    const struct member *member = add_sender(1, 100);

    cr_assert_eq(roll_window(roll, member, BUDGET, 100, LEASE), BUDGET);
}

Test(roll, window_is_shared_by_agencies_that_still_have_to_send)
{
    const struct member *member = add_sender(1, 100);

    add_sender(2, 100);
    add_sender(3, 100)->has_declaration = true;
    add_sender(4, 100)->attempt = 0;
    add_sender(5, INT64_MIN);
    cr_assert_eq(roll_window(roll, member, BUDGET, 100, LEASE), BUDGET / 2);
}

Test(roll, window_forgets_an_agency_when_its_lease_ends)
{
    const struct member *member = add_sender(1, 0);

    add_sender(2, 100);
    cr_assert_eq(roll_window(roll, member, BUDGET, 99 + LEASE, LEASE), BUDGET / 2);
    cr_assert_eq(roll_window(roll, member, BUDGET, 100 + LEASE, LEASE), BUDGET);
}

Test(roll, window_counts_the_one_that_asks_whatever_its_state)
{
    struct member *member = add_sender(1, INT64_MIN);

    add_sender(2, 100);
    member->has_declaration = true;
    cr_assert_eq(roll_window(roll, member, BUDGET, 100, LEASE), BUDGET / 2);
}

Test(roll, window_is_at_least_one_largest_batch_of_the_plan)
{
    const struct member *member = add_sender(1, 100);
    const uint64_t batch = BATCH_BYTES_DEFAULT + BATCH_WEIGHT_EXTRA_BYTES;

    add_sender(2, 100);
    cr_assert_eq(roll_window(roll, member, 2 * batch + 2, 100, LEASE), batch + 1);
    cr_assert_eq(roll_window(roll, member, 2 * batch - 2, 100, LEASE), batch);
    cr_assert_eq(roll_window(roll, member, 0, 100, LEASE), batch);
}

/* Each changes one thing that decides. */
static void change_id(struct member *member)
{
    member->id++;
}
static void change_attempt(struct member *member)
{
    member->attempt++;
}
static void change_plan(struct member *member)
{
    member->plan.bets_max++;
}
static void change_plan_bytes(struct member *member)
{
    member->plan.bytes_max++;
}
static void change_plan_rows(struct member *member)
{
    member->plan.skips_bad_rows = true;
}
static void change_incarnation(struct member *member)
{
    member->incarnation++;
}
static void change_round(struct member *member)
{
    member->round_seen++;
}
static void change_declaration(struct member *member)
{
    member->declaration.bets++;
}
static void change_verdict(struct member *member)
{
    member->verdict.seq++;
}
static void change_bye(struct member *member)
{
    member->said_bye = true;
}
static void change_has_declaration(struct member *member)
{
    member->has_declaration = false;
}
static void change_has_verdict(struct member *member)
{
    member->has_verdict = false;
}

Test(roll, fingerprint_changes_with_everything_that_decides)
{
    static void (*const changes[])(struct member *) = {
        change_id,          change_attempt,         change_plan,    change_plan_bytes,
        change_plan_rows,   change_incarnation,     change_round,   change_bye,
        change_declaration, change_has_declaration, change_verdict, change_has_verdict,
    };
    struct member *member = add_sender(9, -5);
    const struct member before = *member;
    uint64_t known;

    member->has_declaration = true;
    member->has_verdict = true;
    known = take_fingerprint();
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint64_t changed;

        *member = before;
        member->has_declaration = true;
        member->has_verdict = true;
        changes[i](member);
        changed = take_fingerprint();
        cr_assert_neq(known, changed, "change %zu", i);
    }
}

Test(roll, fingerprint_tells_the_order_of_arrival)
{
    uint64_t first;
    uint64_t second;

    add(1);
    add(2);
    first = take_fingerprint();
    roll_destroy(&roll);
    begin();
    add(2);
    add(1);
    second = take_fingerprint();
    cr_assert_neq(first, second);
}
