/* `--check`: reads a file and reports every bad row, without a broker. */
#ifndef SORTEO_AGENCY_CHECKING_H
#define SORTEO_AGENCY_CHECKING_H

#include <stdint.h>

/* Writes `FILE:LINE: reason` for each bad row to stderr, and a last line that sums up.
 * in: path, "-" for standard input; today: YYYYMMDD; stop: stop_begin's descriptor.
 * returns the exit code: 0, 65 where a row is bad, else a status's. */
int checking_run(const char *path, uint32_t today, int stop);

#endif
