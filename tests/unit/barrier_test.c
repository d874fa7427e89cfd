#include "broker/barrier.h"

#include <criterion/criterion.h>

enum { TIMEOUT = 60000, START = 1700000 };

static struct barrier *barrier;

static void open_with(const struct terms *terms)
{
    barrier_destroy(&barrier);
    cr_assert_eq(barrier_create(terms, &barrier), STATUS_OK);
}

static void end(void)
{
    barrier_destroy(&barrier);
}

TestSuite(barrier, .fini = end, .timeout = 10);

static void open_for(uint32_t agencies)
{
    open_with(&(struct terms){.agencies_required = agencies});
}

static void open_with_timeout(uint32_t agencies, enum timeout_action action, uint32_t quorum)
{
    open_with(&(struct terms){.agencies_required = agencies,
                              .barrier_timeout_ms = TIMEOUT,
                              .on_timeout = action,
                              .quorum = quorum});
}

static void join(uint32_t agency)
{
    cr_assert_eq(barrier_join(barrier, agency, START), STATUS_OK);
}

static void finish(uint32_t agency)
{
    join(agency);
    barrier_finish(barrier, agency);
}

/* in: ids end with UINT32_MAX */
static void assert_ids(size_t (*list)(const struct barrier *, uint32_t *, size_t),
                       const uint32_t *ids)
{
    uint32_t listed[AGENCIES_MAX];
    const size_t count = list(barrier, listed, AGENCIES_MAX);
    size_t expected = 0;

    while (ids[expected] != UINT32_MAX)
        expected++;
    cr_assert_eq(count, expected);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(listed[i], ids[i]);
}

#define assert_finished(...) assert_ids(barrier_finished, (uint32_t[]){__VA_ARGS__})
#define assert_missing(...)  assert_ids(barrier_missing, (uint32_t[]){__VA_ARGS__})

static uint64_t take_fingerprint(void)
{
    return barrier_fingerprint(barrier, 0);
}

Test(barrier, destroy_sets_null_and_is_safe_twice)
{
    open_for(1);
    barrier_destroy(&barrier);
    cr_assert_null(barrier);
    barrier_destroy(&barrier);
}

Test(barrier, is_closed_until_as_many_as_required_have_finished)
{
    open_for(2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
    finish(4);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
    finish(3);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
    assert_finished(3, 4, UINT32_MAX);
}

Test(barrier, waits_for_everybody_who_takes_part_beyond_the_required)
{
    open_for(1);
    finish(1);
    join(2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
    cr_assert_eq(barrier_expected_count(barrier), 2);
    assert_missing(2, UINT32_MAX);
    barrier_finish(barrier, 2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
}

Test(barrier, counts_an_agency_once_however_often_it_joins_or_finishes)
{
    open_for(2);
    finish(1);
    finish(1);
    cr_assert_eq(barrier_finished_count(barrier), 1);
    cr_assert_eq(barrier_expected_count(barrier), 2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
}

Test(barrier, ignores_the_end_of_an_agency_that_takes_no_part)
{
    open_for(1);
    barrier_finish(barrier, 9);
    cr_assert_eq(barrier_finished_count(barrier), 0);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
}

Test(barrier, expects_the_larger_of_required_and_taking_part)
{
    open_for(2);
    cr_assert_eq(barrier_expected_count(barrier), 2);
    join(1);
    cr_assert_eq(barrier_expected_count(barrier), 2);
    join(2);
    join(3);
    cr_assert_eq(barrier_expected_count(barrier), 3);
}

Test(barrier, waits_for_the_whole_roster_and_names_who_never_came)
{
    static const uint32_t roster[] = {1, 5, 9};

    open_with(&(struct terms){.agencies_required = 1, .roster = roster, .roster_count = 3});
    cr_assert_eq(barrier_expected_count(barrier), 3);
    finish(5);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
    assert_missing(1, 9, UINT32_MAX);
    finish(9);
    finish(1);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
    assert_finished(1, 5, 9, UINT32_MAX);
    assert_missing(UINT32_MAX);
}

Test(barrier, admits_only_the_roster)
{
    static const uint32_t roster[] = {1, 5};

    open_with(&(struct terms){.roster = roster, .roster_count = 2});
    cr_assert(barrier_admits(barrier, 5));
    cr_assert_not(barrier_admits(barrier, 2));
    cr_assert_eq(barrier_join(barrier, 2, START), STATUS_INVALID);
    assert_missing(1, 5, UINT32_MAX);
    open_for(1);
    cr_assert(barrier_admits(barrier, 2));
}

Test(barrier, rejects_more_agencies_than_a_draw_can_have)
{
    static uint32_t roster[AGENCIES_MAX + 1];
    struct barrier *other = NULL;
    const struct terms terms = {.roster = roster, .roster_count = AGENCIES_MAX + 1};

    open_for(1);
    for (uint32_t i = 0; i < AGENCIES_MAX; i++)
        join(2 * i);
    cr_assert_eq(barrier_join(barrier, 1, START), STATUS_LIMIT);
    cr_assert_eq(barrier_join(barrier, 2, START), STATUS_OK);
    cr_assert_eq(barrier_expected_count(barrier), AGENCIES_MAX);
    cr_assert_eq(barrier_create(&terms, &other), STATUS_LIMIT);
    cr_assert_null(other);
}

Test(barrier, lists_no_more_ids_than_asked)
{
    uint32_t ids[3] = {77, 77, 77};

    open_for(1);
    join(1);
    join(2);
    join(3);
    cr_assert_eq(barrier_missing(barrier, ids, 2), 2);
    cr_assert_eq(ids[1], 2);
    cr_assert_eq(ids[2], 77);
    cr_assert_eq(barrier_finished(barrier, ids, 2), 0);
}

Test(barrier, is_never_overdue_without_a_timeout_or_before_the_first_plan)
{
    enum timeout_action action = TIMEOUT_DRAW;

    open_for(1);
    join(1);
    cr_assert_not(barrier_is_overdue(barrier, INT64_MAX, &action));
    cr_assert_eq(barrier_due_at(barrier), INT64_MAX);
    open_with_timeout(1, TIMEOUT_VOID, 1);
    cr_assert_not(barrier_is_overdue(barrier, INT64_MAX - 1, &action));
    cr_assert_eq(barrier_due_at(barrier), INT64_MAX);
    cr_assert_eq(action, TIMEOUT_DRAW);
}

Test(barrier, timeout_runs_from_the_first_plan)
{
    enum timeout_action action = TIMEOUT_DRAW;

    open_with_timeout(2, TIMEOUT_VOID, 1);
    cr_assert_eq(barrier_join(barrier, 7, START), STATUS_OK);
    cr_assert_eq(barrier_join(barrier, 8, START + 500), STATUS_OK);
    cr_assert_eq(barrier_join(barrier, 1, START - 500), STATUS_OK);
    cr_assert_eq(barrier_due_at(barrier), START + TIMEOUT);
    cr_assert_not(barrier_is_overdue(barrier, START + TIMEOUT - 1, &action));
    cr_assert(barrier_is_overdue(barrier, START + TIMEOUT, &action));
    cr_assert_eq(action, TIMEOUT_VOID);
}

Test(barrier, is_not_overdue_once_released)
{
    enum timeout_action action;

    open_with_timeout(1, TIMEOUT_VOID, 1);
    finish(1);
    cr_assert_not(barrier_is_overdue(barrier, START + TIMEOUT, &action));
    cr_assert_eq(barrier_due_at(barrier), INT64_MAX);
}

Test(barrier, draws_without_the_missing_only_when_the_finished_are_a_quorum)
{
    enum timeout_action action = TIMEOUT_VOID;

    open_with_timeout(3, TIMEOUT_DRAW, 2);
    finish(1);
    join(2);
    cr_assert(barrier_is_overdue(barrier, START + TIMEOUT, &action));
    cr_assert_eq(action, TIMEOUT_VOID);
    barrier_finish(barrier, 2);
    cr_assert(barrier_is_overdue(barrier, START + TIMEOUT, &action));
    cr_assert_eq(action, TIMEOUT_DRAW);
}

Test(barrier, decision_to_draw_makes_its_members_the_barrier)
{
    static const uint32_t members[] = {1, 3};
    enum timeout_action action;

    open_with_timeout(5, TIMEOUT_DRAW, 2);
    finish(3);
    join(2);
    finish(1);
    barrier_decide(barrier, TIMEOUT_DRAW, members, 2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
    cr_assert_eq(barrier_expected_count(barrier), 2);
    cr_assert_eq(barrier_finished_count(barrier), 2);
    assert_finished(1, 3, UINT32_MAX);
    assert_missing(UINT32_MAX);
    cr_assert_not(barrier_is_overdue(barrier, START + TIMEOUT, &action));
    cr_assert_eq(barrier_due_at(barrier), INT64_MAX);
}

Test(barrier, decision_to_draw_excludes_who_took_part_and_admits_nobody_else)
{
    static const uint32_t members[] = {1};

    open_with_timeout(5, TIMEOUT_DRAW, 1);
    finish(1);
    join(2);
    cr_assert_not(barrier_excludes(barrier, 2));
    barrier_decide(barrier, TIMEOUT_DRAW, members, 1);
    cr_assert(barrier_excludes(barrier, 2));
    cr_assert_not(barrier_excludes(barrier, 1));
    cr_assert_not(barrier_excludes(barrier, 3));
    cr_assert(barrier_admits(barrier, 1));
    cr_assert_not(barrier_admits(barrier, 2));
    cr_assert_eq(barrier_join(barrier, 3, START), STATUS_INVALID);
    barrier_finish(barrier, 2);
    cr_assert_eq(barrier_finished_count(barrier), 1);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
}

Test(barrier, waits_for_a_decided_member_that_has_not_finished)
{
    static const uint32_t members[] = {1, 2};

    open_with_timeout(5, TIMEOUT_DRAW, 1);
    finish(1);
    join(2);
    barrier_decide(barrier, TIMEOUT_DRAW, members, 2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_CLOSED);
    assert_missing(2, UINT32_MAX);
    barrier_finish(barrier, 2);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_RELEASED);
}

Test(barrier, decision_to_void_breaks_it_for_all)
{
    enum timeout_action action;

    open_with_timeout(2, TIMEOUT_VOID, 1);
    finish(1);
    barrier_decide(barrier, TIMEOUT_VOID, NULL, 0);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_BROKEN);
    cr_assert_not(barrier_admits(barrier, 1));
    cr_assert_not(barrier_excludes(barrier, 1));
    cr_assert_not(barrier_is_overdue(barrier, INT64_MAX - 1, &action));
    cr_assert_eq(barrier_join(barrier, 2, START), STATUS_INVALID);
    cr_assert_eq(barrier_outcome(barrier), BARRIER_BROKEN);
}

Test(barrier, fingerprint_changes_with_each_event)
{
    static const uint32_t members[] = {1};
    uint64_t seen[5];

    open_with_timeout(2, TIMEOUT_DRAW, 1);
    seen[0] = take_fingerprint();
    join(1);
    seen[1] = take_fingerprint();
    barrier_finish(barrier, 1);
    seen[2] = take_fingerprint();
    join(2);
    seen[3] = take_fingerprint();
    barrier_decide(barrier, TIMEOUT_DRAW, members, 1);
    seen[4] = take_fingerprint();
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j], "%zu and %zu", i, j);
}

Test(barrier, fingerprint_is_the_same_for_the_same_set)
{
    uint64_t first;
    uint64_t second;

    open_for(2);
    join(1);
    join(2);
    first = take_fingerprint();
    open_for(2);
    join(2);
    join(1);
    second = take_fingerprint();
    cr_assert_eq(first, second);
}

Test(barrier, an_agency_of_the_roster_that_never_came_neither_finishes_nor_is_excluded)
{
    static const uint32_t roster[] = {1, 2, 3};
    static const uint32_t members[] = {1, 9};

    open_with(&(struct terms){.roster = roster,
                              .roster_count = 3,
                              .barrier_timeout_ms = TIMEOUT,
                              .on_timeout = TIMEOUT_DRAW,
                              .quorum = 1});
    finish(1);
    barrier_finish(barrier, 2);
    assert_finished(1, UINT32_MAX);
    barrier_decide(barrier, TIMEOUT_DRAW, members, 2);
    cr_assert_not(barrier_excludes(barrier, 3));
    assert_missing(9, UINT32_MAX); /* of a journal that names somebody unheard of */
}

Test(barrier, a_timeout_that_would_pass_the_end_of_the_clock_never_comes)
{
    enum timeout_action action = TIMEOUT_DRAW;

    open_with_timeout(2, TIMEOUT_VOID, 1);
    cr_assert_eq(barrier_join(barrier, 1, INT64_MAX - TIMEOUT + 1), STATUS_OK);
    cr_assert_eq(barrier_due_at(barrier), INT64_MAX);
    cr_assert_not(barrier_is_overdue(barrier, INT64_MAX, &action));
    open_with_timeout(2, TIMEOUT_VOID, 1);
    cr_assert_eq(barrier_join(barrier, 1, INT64_MAX - TIMEOUT - 1), STATUS_OK);
    cr_assert(barrier_is_overdue(barrier, INT64_MAX - 1, &action));
}
