/* `sorteo sample`: files of bets to try Sorteo with. */
#ifndef SORTEO_DEPLOY_SORTEO_SAMPLE_H
#define SORTEO_DEPLOY_SORTEO_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "deploy/sorteo/rows.h"
#include "proto/wire/status.h"

/* The subcommand. in: argv[0] is "sample". returns the program's exit code. */
int sample_main(int argc, char **argv);

/* Writes agency-1.csv to agency-N.csv into `folder`, which is made where it is missing: each under
 * another name first, then renamed, so that a file with its name is whole. A machine that loses
 * power right behind may lose them: they can be made again.
 * in: overwrite: replace files that are there; stop: descriptor of stop_begin.
 * errors: EXISTS (nothing was written), CANNOT_CREATE, FULL, IO, INTERRUPTED, NO_MEMORY; then
 * `problem` says in one sentence what happened, and files finished before stay. */
enum status sample_write(const struct rows_plan *plan, const char *folder, bool overwrite, int stop,
                         char *problem, size_t problem_bytes);

#endif
