/* Goes through every state that a part of the broker's core can be in, alone: each operation in
 * each state, beside a model of plain arrays. States are told apart by the part's own fingerprint.
 * They lie in the arena (arena.h). */
#ifndef SORTEO_TESTS_SIM_PARTS_H
#define SORTEO_TESTS_SIM_PARTS_H

#include <stdbool.h>
#include <stdint.h>

struct part {
    const char *name;
    uint32_t operations; /* their number: 0, 1, … */
    void *(*create)(void);
    void (*destroy)(void *part);
    /* Does one, in the model too. returns false when it may not be done in this state. */
    bool (*apply)(void *part, uint32_t operation);
    /* What differs between part and model, NULL: nothing. */
    const char *(*check)(void *part);
    uint64_t (*print)(const void *part);
};

/* out: states. returns false when part and model differ somewhere: says where. */
bool parts_explore(const struct part *part, uint64_t *states);

extern const struct part part_barrier;
extern const struct part part_ledger;
extern const struct part part_count;

#endif
