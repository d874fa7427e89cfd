/* Many bytes of text looked at in one, for the hot paths that look at every byte of a bet: words of
 * eight anywhere, blocks of 64 with SSE2 where the processor is known to have it, else word by
 * word. */
#ifndef SORTEO_PROTO_WIRE_WORD_H
#define SORTEO_PROTO_WIRE_WORD_H

#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdint.h>
#include <string.h>

enum { WORD_BYTES = 8, BLOCK_BYTES = 64 };

/* A word of eight equal bytes. */
#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The first byte of the text is the lowest byte of the word. */
static inline uint64_t word_load(const uint8_t *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return le64toh(word);
}

/* 0x80 in each byte that equals `byte`, 0 in every other. */
static inline uint64_t word_mark_equal(uint64_t word, uint8_t byte)
{
    uint64_t difference = word ^ WORD_OF(byte);
    return ~(((difference & WORD_OF(0x7f)) + WORD_OF(0x7f)) | difference | WORD_OF(0x7f));
}

/* One bit for each byte of such marks, the first byte's lowest: the product moves bit 8i + 7 of the
 * marks to bit 56 + i, and no two of its terms meet. */
static inline uint64_t word_gather_marks(uint64_t marks)
{
    return (marks >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

/* One bit for each byte of a block that equals `byte`, the first byte's lowest. */
static inline uint64_t block_find_by_words(const uint8_t *text, uint8_t byte)
{
    uint64_t found = 0;
    for (int i = 0; i < BLOCK_BYTES; i += WORD_BYTES)
        found |= word_gather_marks(word_mark_equal(word_load(text + i), byte)) << i;
    return found;
}

#ifdef __SSE2__
static inline uint64_t block_find_in_16(const uint8_t *text, __m128i wanted)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
}
#endif

/* The same, as fast as this processor can. */
static inline uint64_t block_find(const uint8_t *text, uint8_t byte)
{
#ifdef __SSE2__
    __m128i wanted = _mm_set1_epi8((char)byte);
    return block_find_in_16(text, wanted) | block_find_in_16(text + 16, wanted) << 16 |
           block_find_in_16(text + 32, wanted) << 32 | block_find_in_16(text + 48, wanted) << 48;
#else
    return block_find_by_words(text, byte);
#endif
}

#endif
