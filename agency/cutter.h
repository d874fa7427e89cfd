/* From rows to batches under a plan: the hot path of a bet in its agency. The same file and the
 * same plan make the same batches, to the byte, from whatever batch one begins. */
#ifndef SORTEO_AGENCY_CUTTER_H
#define SORTEO_AGENCY_CUTTER_H

#include "agency/cuts.h"
#include "agency/scanner.h"
#include "proto/wire/batch.h"

/* Whose bets, and how they are cut. */
struct cutter_terms {
    uint32_t draw;
    uint32_t agency;
    struct plan plan;
    uint32_t today; /* YYYYMMDD */
};

struct cutter;

/* in: source borrowed, outlives the cutter; its bytes are there (no copy needed). errors:
 * NO_MEMORY. */
enum status cutter_create(const struct source *source, const struct cutter_terms *terms,
                          struct cutter **cutter);
void cutter_destroy(struct cutter **cutter);

/* Called for each bad row, in order. in: context as given. errors: any; ends the cutting. */
typedef enum status cutter_reject(void *context, const struct row *row);

/* Cuts the next batch into `buffer` (batch_buffer_bytes of the plan); the first call cuts batch 0.
 * in: reject: NULL: bad rows are passed over in silence.
 * out: cut; body: a slice of the buffer.
 * errors: END: no bet is left; IO (errno); what `reject` answered. cost: O(bytes), allocates
 * nothing. */
enum status cutter_next(struct cutter *cutter, uint8_t *buffer, cutter_reject *reject,
                        void *context, struct cut *cut, struct slice *body);

/* Cuts one batch again. errors: STALE: the file has changed: it is another batch now; IO
 * (errno). */
enum status cutter_repeat(struct cutter *cutter, uint32_t seq, const struct cut *cut,
                          uint8_t *buffer, struct slice *body);

#endif
