/* What a machine gives to the cores, memory and disks, and which of it fails. The link wraps
 * malloc, calloc and realloc (Makefile): an allocation fails only while a core's function runs, and
 * not in what such a function calls of the simulator. A disk stands between a core and the store or
 * journal that the world looks into. For the simulator and unit tests. */
#ifndef SORTEO_TESTS_SIM_MACHINE_H
#define SORTEO_TESTS_SIM_MACHINE_H

#include "broker/broker.h"
#include "worker/store.h"

/* A call of a core, with what it assigns. */
#define RUN_CORE(call)         \
    do {                       \
        machine_core_begins(); \
        call;                  \
        machine_core_ends();   \
    } while (0)

void machine_core_begins(void);
void machine_core_ends(void);

/* A new machine: nothing fails, and nothing has failed. */
void machine_reset(void);

/* After so many more allocations of cores the next ones fail. */
void machine_fail_memory(uint32_t after, uint32_t count);
/* After so many more operations of disks the next one fails. in: IO, FULL or VERSION, where the
 * operation may answer that; else the one of them that it may answer. SYNC: of the commits alone;
 * nothing of it is on the disk. */
void machine_fail_disk(uint32_t after, enum status status);
/* True when a failure is still to come. */
bool machine_will_fail_memory(void);
bool machine_will_fail_disk(void);
/* How many failed since the reset. */
uint64_t machine_memory_failures(void);
uint64_t machine_disk_failures(void);
/* What the last operation of a disk that failed has answered. */
enum status machine_disk_answer(void);

/* In between everybody allocates in the arena (arena.h). */
void machine_open_arena(void);
void machine_close_arena(void);

/* A store as a core sees it. */
struct disk {
    struct store store; /* first: the table */
    struct store *kept; /* borrowed: the world's */
};

void disk_begin(struct disk *disk, struct store *kept);

/* An archive as a core sees it. */
struct archive_disk {
    struct archive kept;
};

void archive_disk_begin(struct archive_disk *disk, const struct archive *kept,
                        struct archive *archive);

#endif
