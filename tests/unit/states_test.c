/* The table of states. */
#include <criterion/criterion.h>

#include "agency/states.h"

TestSuite(states, .timeout = 10);

Test(states, way_from_hello_to_done_is_listed)
{
    const struct {
        enum agency_event event;
        enum agency_state next;
    } steps[] = {
        {EVENT_BEGIN, AGENCY_HELLO},        {EVENT_ADMITTED, AGENCY_SENDING},
        {EVENT_ALL_SENT, AGENCY_DECLARING}, {EVENT_FINISHED, AGENCY_WAITING},
        {EVENT_RESULT, AGENCY_FETCHING},    {EVENT_LAST_PAGE, AGENCY_STORING},
        {EVENT_STORED, AGENCY_LEAVING},     {EVENT_GOODBYE, AGENCY_DONE},
    };
    enum agency_state state = AGENCY_NONE;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        state = agency_state_after(state, steps[i].event);
        cr_assert_eq(state, steps[i].next, "step %zu: %s", i, agency_state_name(state));
    }
}

Test(states, final_ones_have_no_way_out)
{
    const enum agency_state final[] = {AGENCY_DONE, AGENCY_FAILED};
    for (int i = 0; i < 2; i++) {
        cr_assert(agency_state_is_final(final[i]));
        for (int event = 0; event < AGENCY_EVENTS; event++)
            cr_assert_eq(agency_state_after(final[i], (enum agency_event)event), AGENCY_NONE);
    }
}

Test(states, every_other_one_can_fail_until_bye_is_said)
{
    for (int state = AGENCY_NONE; state < AGENCY_DONE; state++) {
        enum agency_state next = agency_state_after((enum agency_state)state, EVENT_FAIL);
        bool says_bye = agency_state_says_bye((enum agency_state)state);
        cr_assert_eq(next, says_bye ? AGENCY_NONE : AGENCY_FAILED);
        cr_assert_eq(says_bye, state == AGENCY_LEAVING || state == AGENCY_PARTING);
        cr_assert_not(agency_state_is_final((enum agency_state)state));
    }
}

Test(states, who_gets_no_winners_says_bye_before_it_fails)
{
    for (int state = AGENCY_HELLO; state <= AGENCY_FETCHING; state++)
        cr_assert_eq(agency_state_after((enum agency_state)state, EVENT_NO_RESULT), AGENCY_PARTING);
    cr_assert_eq(agency_state_after(AGENCY_PARTING, EVENT_GOODBYE), AGENCY_FAILED);
    cr_assert_eq(agency_state_after(AGENCY_STORING, EVENT_NO_RESULT), AGENCY_NONE);
}

Test(states, bets_are_never_stored_twice_over)
{
    cr_assert_eq(agency_state_after(AGENCY_STORING, EVENT_LAST_PAGE), AGENCY_NONE);
    cr_assert_eq(agency_state_after(AGENCY_LEAVING, EVENT_RESULT), AGENCY_NONE);
    cr_assert_eq(agency_state_after(AGENCY_READING, EVENT_ALL_SENT), AGENCY_NONE);
}

Test(states, names_are_the_table_s)
{
    cr_assert_str_eq(agency_state_name(AGENCY_HELLO), "HELLO");
    cr_assert_str_eq(agency_state_name(AGENCY_FAILED), "FAILED");
}
