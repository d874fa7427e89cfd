/* Which values a bet may have (bet.h). Every bet passes here twice, in the agency and in a worker,
 * so the common case is short: text is looked at eight bytes at a time, and only a name with
 * something else than visible ASCII and spaces is decoded. UTF-8 is RFC 3629's: shortest form, no
 * surrogates, nothing above U+10FFFF. */
#include "proto/wire/bet.h"

#include "proto/wire/word.h"

const char *fault_text(enum fault fault)
{
    switch (fault) {
#define X(name, value, text) \
    case FAULT_##name:       \
        return text;
        FAULT_TABLE(X)
#undef X
    }
    return "unknown fault";
}

static inline uint64_t load_4(const uint8_t *text)
{
    uint32_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

/* Sets the highest bit of each byte that is not in lowest..0x7e; of a byte above one that is not
 * ASCII it may be set too. */
static inline uint64_t mark_outside(uint64_t word, uint8_t lowest)
{
    return word | ~(word + WORD_OF(0x80u - lowest)) | (word + WORD_OF(1));
}

/* Says whether every byte of a text is in lowest..0x7e. in: at least one byte. Words may overlap;
 * which of the branches a name takes is a guess of the processor, so they are few. */
static inline bool is_ascii_from(struct slice text, uint8_t lowest)
{
    const uint8_t *bytes = text.data;
    size_t count = text.bytes;
    uint64_t marks;
    if (count >= 8) {
        marks = mark_outside(word_load(bytes), lowest) |
                mark_outside(word_load(bytes + count - 8), lowest);
        for (size_t at = 8; at + 8 < count; at += 8)
            marks |= mark_outside(word_load(bytes + at), lowest);
    } else if (count >= 4) {
        marks = mark_outside(load_4(bytes) | load_4(bytes + count - 4) << 32, lowest);
    } else {
        uint64_t word =
            bytes[0] | (uint64_t)bytes[count / 2] << 8 | (uint64_t)bytes[count - 1] << 16;
        marks = mark_outside(word | WORD_OF('a') << 24, lowest);
    }
    return (marks & WORD_OF(0x80)) == 0;
}

static inline bool is_within(uint8_t byte, uint8_t least, uint8_t most)
{
    return byte >= least && byte <= most;
}

/* Length of the well-formed UTF-8 sequence at the start of a text (RFC 3629, section 4); 0 when
 * there is none. in: at least one byte. */
static size_t sequence_bytes(const uint8_t *text, size_t bytes)
{
    uint8_t lead = text[0], least = 0x80, most = 0xbf;
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (!is_within(lead, 0xc2, 0xf4) || bytes < length)
        return 0;
    if (lead == 0xe0)
        least = 0xa0; /* below: a longer form of what two bytes hold */
    else if (lead == 0xed)
        most = 0x9f; /* above: surrogates */
    else if (lead == 0xf0)
        least = 0x90; /* below: a longer form of what three bytes hold */
    else if (lead == 0xf4)
        most = 0x8f; /* above: beyond U+10FFFF */
    if (!is_within(text[1], least, most))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_within(text[i], 0x80, 0xbf))
            return 0;
    return length;
}

/* A name that is not visible ASCII and spaces alone. */
static enum fault check_decoded(struct slice name)
{
    bool has_control = false;
    for (size_t at = 0; at < name.bytes;) {
        size_t length = sequence_bytes(name.data + at, name.bytes - at);
        if (length == 0)
            return FAULT_NOT_UTF8;
        has_control |= name.data[at] < 0x20 || name.data[at] == 0x7f;
        at += length;
    }
    return has_control ? FAULT_NAME_LINE_BREAK : FAULT_NONE;
}

static inline enum fault check_name(struct slice name, enum fault empty, enum fault too_long)
{
    if (name.bytes == 0)
        return empty;
    if (name.bytes > NAME_BYTES_MAX)
        return too_long;
    return is_ascii_from(name, 0x20) ? FAULT_NONE : check_decoded(name);
}

static inline enum fault check_document(struct slice document)
{
    if (document.bytes == 0)
        return FAULT_DOCUMENT_EMPTY;
    if (document.bytes > DOCUMENT_BYTES_MAX)
        return FAULT_DOCUMENT_TOO_LONG;
    return is_ascii_from(document, 0x21) ? FAULT_NONE : FAULT_DOCUMENT_CHARACTER;
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month != 2 || year % 4 != 0 || (year % 100 == 0 && year % 400 != 0))
        return days[month - 1];
    return 29;
}

/* One digit of a word from which '0' was taken away in each byte. */
static inline uint32_t digit_at(uint64_t word, int place)
{
    return (uint32_t)(word >> place * 8) & 0x0f;
}

static inline enum fault check_birthdate(struct slice birthdate, uint32_t today)
{
    if (birthdate.bytes != BIRTHDATE_BYTES)
        return FAULT_BIRTHDATE_FORM;
    /* Read as one word each, year, month and hyphens; the day. What is no digit, or no hyphen, gets
     * its highest bit set: digits may be up to 9 = 0x7f - 0x76. */
    static const uint8_t zeros[] = "0000-00-00";
    static const uint8_t room[] = "\x76\x76\x76\x76\x7f\x76\x76\x7f";
    uint64_t word = word_load(birthdate.data) ^ word_load(zeros);
    uint32_t tens = (uint32_t)birthdate.data[8] - '0', ones = (uint32_t)birthdate.data[9] - '0';
    uint64_t marks = word | (word + word_load(room));
    if ((marks & WORD_OF(0x80)) != 0 || tens > 9 || ones > 9)
        return FAULT_BIRTHDATE_FORM;
    uint32_t year = digit_at(word, 0) * 1000 + digit_at(word, 1) * 100 + digit_at(word, 2) * 10 +
                    digit_at(word, 3);
    uint32_t month = digit_at(word, 5) * 10 + digit_at(word, 6), day = tens * 10 + ones;
    if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
        return FAULT_BIRTHDATE_UNREAL;
    uint32_t date = year * 10000 + month * 100 + day;
    return year < BIRTH_YEAR_MIN || date > today ? FAULT_BIRTHDATE_RANGE : FAULT_NONE;
}

enum fault bet_check(const struct bet *bet, uint32_t today)
{
    enum fault fault =
        check_name(bet->first_name, FAULT_FIRST_NAME_EMPTY, FAULT_FIRST_NAME_TOO_LONG);
    if (fault == FAULT_NONE)
        fault = check_name(bet->last_name, FAULT_LAST_NAME_EMPTY, FAULT_LAST_NAME_TOO_LONG);
    if (fault == FAULT_NONE)
        fault = check_document(bet->document);
    if (fault == FAULT_NONE)
        fault = check_birthdate(bet->birthdate, today);
    return fault;
}
