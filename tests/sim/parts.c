#include "tests/sim/parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/wire/check.h"
#include "tests/sim/arena.h"
#include "tests/sim/machine.h"

enum { TABLE_BITS = 22, WAY_MAX = 64 };

/* A state that was reached, and how. */
struct node {
    uint32_t before; /* index of a node; its own: the beginning */
    uint32_t operation;
};

struct exploration {
    const struct part *part;
    uint64_t *table; /* fingerprints; owned, like the nodes */
    struct node *nodes;
    uint32_t nodes_count;
};

/* True when no state had this fingerprint before. */
static bool is_new(struct exploration *exploration, uint64_t print)
{
    uint64_t mask = (UINT64_C(1) << TABLE_BITS) - 1;
    uint64_t key = print == 0 ? 1 : print;
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TABLE_BITS);
    while (exploration->table[at] != 0 && exploration->table[at] != key)
        at = (at + 1) & mask;
    if (exploration->table[at] == key)
        return false;
    exploration->table[at] = key;
    return true;
}

/* The part in the state of a node. */
static void *go_to(const struct exploration *exploration, uint32_t node)
{
    uint32_t way[WAY_MAX];
    uint32_t steps = 0;
    void *part = exploration->part->create();
    for (; exploration->nodes[node].before != node; node = exploration->nodes[node].before) {
        CHECK(steps < WAY_MAX);
        way[steps++] = exploration->nodes[node].operation;
    }
    while (steps > 0)
        CHECK(exploration->part->apply(part, way[--steps]));
    return part;
}

static void say(const struct exploration *exploration, uint32_t node, uint32_t operation,
                const char *problem)
{
    printf("%s: %s, after the operations (last first) %u", exploration->part->name, problem,
           operation);
    for (; exploration->nodes[node].before != node; node = exploration->nodes[node].before)
        printf(" %u", exploration->nodes[node].operation);
    putchar('\n');
}

/* One operation on the part, which is in the state of that node. returns false when something
 * differs. */
static bool try_operation(struct exploration *exploration, void *tried, uint32_t node,
                          uint32_t operation)
{
    const struct part *part = exploration->part;
    if (!part->apply(tried, operation))
        return true;
    const char *problem = part->check(tried);
    if (problem != NULL) {
        say(exploration, node, operation, problem);
        return false;
    }
    if (is_new(exploration, part->print(tried))) {
        CHECK(exploration->nodes_count < UINT32_C(1) << (TABLE_BITS - 1));
        exploration->nodes[exploration->nodes_count++] = (struct node){node, operation};
    }
    return true;
}

/* Each operation from one state on. returns false when something differs. */
static bool try_all(struct exploration *exploration, uint32_t node)
{
    void *part = go_to(exploration, node);
    size_t snapshot = arena_snapshot();
    bool is_fine = true;
    for (uint32_t i = 0; is_fine && i < exploration->part->operations; i++) {
        is_fine = try_operation(exploration, part, node, i);
        arena_restore(snapshot);
    }
    arena_drop(snapshot);
    exploration->part->destroy(part);
    return is_fine;
}

bool parts_explore(const struct part *part, uint64_t *states)
{
    struct exploration exploration = {
        .part = part,
        .table = calloc(UINT64_C(1) << TABLE_BITS, sizeof(uint64_t)),
        .nodes = calloc(UINT64_C(1) << (TABLE_BITS - 1), sizeof(struct node)),
        .nodes_count = 1,
    };
    CHECK(exploration.table != NULL && exploration.nodes != NULL);
    machine_open_arena();
    void *first = part->create();
    (void)is_new(&exploration, part->print(first));
    part->destroy(first);
    bool is_fine = true;
    for (uint32_t node = 0; is_fine && node < exploration.nodes_count; node++)
        is_fine = try_all(&exploration, node);
    machine_close_arena();
    *states = exploration.nodes_count;
    free(exploration.table);
    free(exploration.nodes);
    return is_fine;
}
