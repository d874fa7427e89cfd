/* How a broken guarantee of our own ends: with its place on stderr and a core (check.h). This is
 * the one place below the programs that writes anything; whoever comes here cannot go on. */
#include "proto/wire/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *function, const char *condition)
{
    fprintf(stderr, "%s:%d: %s: %s does not hold\n", file, line, function, condition);
    abort();
}
