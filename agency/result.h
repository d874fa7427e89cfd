/* What an agency believes of a result: pages in order, all of the same draw's number and root,
 * winners in strictly rising (seq, row), each inside the agency's own file and with the number that
 * was drawn, the seed the one that HELLO committed to, and the number the one that follows from
 * seed and root in the range that HELLO told. That each winner equals the file's row is for whoever
 * has the file (winners.h). */
#ifndef SORTEO_AGENCY_RESULT_H
#define SORTEO_AGENCY_RESULT_H

#include "agency/cuts.h"
#include "proto/wire/item.h"

/* Why a page is not believed.
 *    fault      text, after "the result is wrong: " */
#define RESULT_FAULT_TABLE(X)                                                         \
    X(NONE, "no fault")                                                               \
    X(FORM, "a page has not the specified form")                                      \
    X(PAGE, "a page does not follow the one before")                                  \
    X(CHANGED, "its number, root or seed changed from one page to the next")          \
    X(SEED, "its seed is not the one that was committed to when the draw was open")   \
    X(DRAWN, "its number does not follow from its seed and root in the draw's range") \
    X(ORDER, "its winners are not in the order of the file")                          \
    X(PLACE, "it names a bet beyond the end of the file")                             \
    X(NUMBER, "it names a bet with another number than the drawn one")

enum result_fault {
#define X(name, text) RESULT_FAULT_##name,
    RESULT_FAULT_TABLE(X)
#undef X
};

const char *result_fault_text(enum result_fault fault);

/* What HELLO told of the draw's number. */
struct result_terms {
    struct digest commitment; /* zeros: the number was given, and nothing of it can be checked */
    uint32_t range_first;     /* <= range_last */
    uint32_t range_last;
};

bool result_terms_are_equal(const struct result_terms *a, const struct result_terms *b);

/* The result as far as it was read. Zeroed: nothing yet. */
struct result {
    bool has_page;
    uint32_t number;
    struct digest root;
    struct digest seed;
    uint32_t seed_bytes; /* DIGEST_BYTES or 0 */
    uint32_t total;
    uint32_t winners;  /* read so far: the next page's `from` */
    uint32_t last_seq; /* of the last winner, where winners > 0 */
    uint32_t last_row;
};

/* Takes a page that answers WINNERS{from = result->winners}.
 * in: body: the page's items.
 * out: result: the page is in it, unchanged after a fault. cost: O(bytes), allocates nothing. */
enum result_fault result_take(struct result *result, const struct message_result *page,
                              struct slice body, const struct cuts *cuts,
                              const struct result_terms *terms, struct hasher *hasher);

/* True when every winner was read. */
bool result_is_whole(const struct result *result);

#endif
