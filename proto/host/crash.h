/* Points at which a program can be told to die, or to stand still, for the tests of what then
 * becomes of its work. They exist in the fault flavour alone (make FLAVOUR=fault); in every other
 * one the macros are nothing.
 * SORTEO_CRASH=name:n ends the process at the n-th pass of the point, as kill -9 would: 137,
 * nothing flushed, nothing told; SORTEO_CRASH_LOG names a file to which the point is appended.
 * SORTEO_STAND=name:n stops it there instead, until SIGCONT.
 * SORTEO_BREAK=rule switches off one rule of the program, so that the test of that rule can be seen
 * to fail; a program asks for its own by crash_breaks(). */
#ifndef SORTEO_PROTO_HOST_CRASH_H
#define SORTEO_PROTO_HOST_CRASH_H

#include <stdbool.h>

#ifdef SORTEO_CRASH_POINTS

struct crash_point {
    const char *name;
    unsigned passes;
};

/* Passes this point. in: text: a literal, the name of one point in the whole program. The linker
 * gathers the pointers, so that a program can list its own. */
#define CRASH_POINT(text)                                                                         \
    do {                                                                                          \
        static struct crash_point point_ = {.name = (text)};                                      \
        static struct crash_point *const listed_ __attribute__((section("crash_points"), used)) = \
            &point_;                                                                              \
        crash_pass(&point_);                                                                      \
    } while (false)

void crash_pass(struct crash_point *point);

/* First in main: with --crash-points as the only argument it lists the program's points, one a
 * line, and ends it. */
void crash_begin(int argc, char **argv);

/* True when SORTEO_BREAK names this rule. */
bool crash_breaks(const char *rule);

#else

#define CRASH_POINT(text) ((void)0)

static inline void crash_begin(int argc, char **argv)
{
    (void)argc;
    (void)argv;
}

static inline bool crash_breaks(const char *rule)
{
    (void)rule;
    return false;
}

#endif

#endif
