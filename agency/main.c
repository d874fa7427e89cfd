/* sorteo-agency: options in, exit code out. */
#include <inttypes.h>
#include <stdio.h>

#include "agency/checking.h"
#include "agency/command.h"
#include "agency/loop.h"
#include "proto/host/clock.h"
#include "proto/host/crash.h"
#include "proto/host/log.h"
#include "proto/host/random.h"
#include "proto/host/stop.h"

enum { DESCRIPTORS_NEEDED = 64 };

static int fail_to_start(const char *what, enum status status)
{
    log_event(LOG_ERROR, "start", LOG_FAIL, "error: %s: %s", what, status_text(status));
    return status_exit_code(status);
}

int main(int argc, char **argv)
{
    crash_begin(argc, argv);
    int stop;
    enum status status = stop_begin(&stop);
    if (status != STATUS_OK)
        return fail_to_start("signals", status);

    struct command command;
    agency_command_read(argc, argv, &command);
    struct loop_terms *terms = &command.loop;
    terms->today = clock_today();
    terms->stop = stop;
    if (command.checks) {
        log_begin("sorteo-agency");
        return checking_run(terms->input, terms->today, stop);
    }
    char name[32];
    snprintf(name, sizeof(name), "sorteo-agency %" PRIu32, terms->agency.id);
    log_begin(name);
    status = stop_raise_descriptors(DESCRIPTORS_NEEDED);
    if (status != STATUS_OK)
        return fail_to_start("open files (ulimit -n)", status);

    terms->agency.incarnation = clock_wall_ns();
    random_fill(&terms->agency.jitter_seed, sizeof(terms->agency.jitter_seed));
    return agency_loop_run(terms);
}
