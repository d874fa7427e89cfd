/* The simulator's chance: SplitMix64, so that a seed is a world on every machine. */
#ifndef SORTEO_TESTS_SIM_DICE_H
#define SORTEO_TESTS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = (dice->state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* 0 to sides - 1. */
static inline uint32_t dice_below(struct dice *dice, uint32_t sides)
{
    return sides == 0 ? 0 : (uint32_t)(dice_roll(dice) % sides);
}

/* True in `millionths` of a million cases. */
static inline bool dice_happens(struct dice *dice, uint32_t millionths)
{
    return dice_below(dice, 1000000) < millionths;
}

#endif
