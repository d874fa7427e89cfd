#include "broker/draw.h"

#include <criterion/criterion.h>

Test(draw, goes_from_open_to_published_in_order, .timeout = 10)
{
    enum draw_state state = DRAW_OPEN;
    cr_assert_eq(draw_phase(state), PHASE_OPEN);
    state = draw_next(state, DRAW_SEAL);
    cr_assert_eq(draw_phase(state), PHASE_SEALED);
    state = draw_next(state, DRAW_COUNTED);
    cr_assert_eq(draw_phase(state), PHASE_SEALED, "a result that is not durable is not told");
    cr_assert(!draw_is_over(state));
    state = draw_next(state, DRAW_DURABLE);
    cr_assert_eq(draw_phase(state), PHASE_PUBLISHED);
    cr_assert(draw_is_over(state));
}

/* [M-55] */
Test(draw, tells_void_only_when_stores_have_recorded_it, .timeout = 10)
{
    enum draw_state from[] = {DRAW_OPEN, DRAW_SEALED};
    for (size_t i = 0; i < 2; i++) {
        enum draw_state state = draw_next(from[i], DRAW_BREAK);
        cr_assert_neq(draw_phase(state), PHASE_VOID);
        cr_assert(!draw_is_over(state));
        state = draw_next(state, DRAW_VOID_KEPT);
        cr_assert_eq(draw_phase(state), PHASE_VOID);
        cr_assert(draw_is_over(state));
    }
}

Test(draw, allows_nothing_after_its_end_and_no_step_twice, .timeout = 10)
{
    for (int event = 0; event < DRAW_EVENTS; event++) {
        cr_assert(!draw_allows(DRAW_PUBLISHED, (enum draw_event)event));
        cr_assert(!draw_allows(DRAW_VOID, (enum draw_event)event));
    }
    cr_assert(!draw_allows(DRAW_SEALED, DRAW_SEAL));
    cr_assert(!draw_allows(DRAW_OPEN, DRAW_COUNTED));
    cr_assert(!draw_allows(DRAW_OPEN, DRAW_DURABLE));
    cr_assert(!draw_allows(DRAW_PUBLISHING, DRAW_BREAK), "a complete result is not made void");
}
