/* Names that people in Argentina have, roughly the common ones first. UTF-8, none longer than
 * NAMES_BYTES_MAX. */
#ifndef SORTEO_DEPLOY_SORTEO_NAMES_H
#define SORTEO_DEPLOY_SORTEO_NAMES_H

#include <stdint.h>

enum { NAMES_BYTES_MAX = 15 };

struct names {
    const char *const *list;
    uint32_t count;
};

extern const struct names names_first[2]; /* of women, of men */
extern const struct names names_last;

#endif
