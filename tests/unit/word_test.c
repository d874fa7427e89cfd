/* Bytes found in words and blocks are those that a loop finds. */
#include "proto/wire/word.h"

#include <criterion/criterion.h>

TestSuite(word, .timeout = 10);

/* Deterministic noise (xorshift64). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(word, loads_the_first_byte_lowest)
{
    cr_assert_eq(word_load((const uint8_t *)"\x01\x02\x03\x04\x05\x06\x07\x88"),
                 UINT64_C(0x8807060504030201));
    cr_assert_eq(WORD_OF(0xab), UINT64_C(0xabababababababab));
}

Test(word, marks_each_equal_byte_whatever_stands_beside_it)
{
    uint8_t text[WORD_BYTES];
    for (unsigned beside = 0; beside <= 0xff; beside++)
        for (unsigned byte = 0; byte <= 0xff; byte++)
            for (size_t place = 0; place < WORD_BYTES; place++) {
                memset(text, (int)beside, sizeof text);
                text[place] = (uint8_t)byte;
                uint64_t all = beside == byte ? WORD_OF(0x80) : UINT64_C(0x80) << place * 8;
                cr_assert_eq(word_mark_equal(word_load(text), (uint8_t)byte), all);
            }
}

Test(word, gathers_every_combination_of_marks)
{
    for (uint64_t bits = 0; bits <= 0xff; bits++) {
        uint64_t marks = 0;
        for (int i = 0; i < WORD_BYTES; i++)
            marks |= (bits >> i & 1) << (i * 8 + 7);
        cr_assert_eq(word_gather_marks(marks), bits);
    }
}

Test(word, finds_in_a_block_what_a_loop_finds)
{
    static const uint8_t alphabet[] = {',', '\n', '"', '\r', 0, 0x80, 0xff, '+', '-', 0x8a, 0xac};
    uint64_t state = 42;
    for (int round = 0; round < 2000; round++) {
        uint8_t text[BLOCK_BYTES];
        for (size_t i = 0; i < BLOCK_BYTES; i++)
            text[i] = alphabet[next_random(&state) % sizeof alphabet];
        for (size_t i = 0; i < sizeof alphabet; i++) {
            uint64_t expected = 0;
            for (size_t place = 0; place < BLOCK_BYTES; place++)
                expected |= (uint64_t)(text[place] == alphabet[i]) << place;
            cr_assert_eq(block_find(text, alphabet[i]), expected);
            cr_assert_eq(block_find_by_words(text, alphabet[i]), expected);
        }
    }
}
