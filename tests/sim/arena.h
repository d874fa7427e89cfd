/* The memory of a world, of which snapshots can be taken and restored: what is allocated while
 * it is open lies in one place, in which everything keeps its address. One per process. */
#ifndef SORTEO_TESTS_SIM_ARENA_H
#define SORTEO_TESTS_SIM_ARENA_H

#include <stdbool.h>
#include <stddef.h>

void arena_open(void);
/* With everything that is allocated in it. */
void arena_close(void);
bool arena_is_open(void);

/* As malloc, calloc and realloc. Ends the process when no room is left. */
void *arena_alloc(size_t bytes);
void *arena_calloc(size_t bytes);
void *arena_realloc(void *place, size_t bytes);
/* returns false when that was not allocated here. */
bool arena_free(void *place);

/* Keeps what is allocated, and what it holds. returns: the snapshot, owned. */
size_t arena_snapshot(void);
/* Everything that was allocated then is as it was, and nothing else is allocated. */
void arena_restore(size_t snapshot);
/* Drops it, and all that were taken after it. */
void arena_drop(size_t snapshot);

#endif
