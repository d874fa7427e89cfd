/* The states that the exhaustive run (exhaust.c) has been in, each one number: the fingerprints of
 * cores, disks and network, and in which order broker, workers and agencies have something to do
 * next. How long until then is left out: a lease that ends in one second or in two, before anything
 * else happens, is one state. */
#ifndef SORTEO_TESTS_SIM_STATES_H
#define SORTEO_TESTS_SIM_STATES_H

#include "tests/sim/world.h"

struct states;

/* cost: 8 bytes for each place of the table, taken as they are used */
struct states *states_create(void);
void states_destroy(struct states **states);

/* The state that a world is in. cost: O(what is in it) */
uint64_t states_print(const struct world *world);

/* True when this one was not there before with as few faults: then it is from now on. */
bool states_enter(struct states *states, uint64_t print, uint32_t faults);
/* Different ones, whatever faults they came with. */
uint64_t states_count(const struct states *states);

#endif
