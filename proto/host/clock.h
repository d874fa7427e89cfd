/* The one place that reads a clock. Cores get the time as an argument. */
#ifndef SORTEO_PROTO_HOST_CLOCK_H
#define SORTEO_PROTO_HOST_CLOCK_H

#include <stdint.h>

/* Monotonic time in ms, for leases and deadlines. Never goes back; does not run while the machine
 * sleeps. */
int64_t clock_now_ms(void);

/* Wall-clock time in ns since 1970: an agency's incarnation. In ms: a draw's barrier timeout. */
uint64_t clock_wall_ns(void);
int64_t clock_wall_ms(void);

/* Today in local time as YYYYMMDD: the last allowed birthdate. */
uint32_t clock_today(void);

#endif
