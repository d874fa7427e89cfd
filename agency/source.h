/* The input file as something that can be read again from any offset. A pipe, a terminal or a FIFO
 * cannot: it is first copied into an unnamed temporary file. Reading is by pread, so that several
 * threads may read one source; nothing of it is kept in memory. */
#ifndef SORTEO_AGENCY_SOURCE_H
#define SORTEO_AGENCY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/status.h"

struct source;

/* Opens `path`, "-" for standard input. errors: NO_INPUT (errno says why; EISDIR for a folder),
 * NO_MEMORY. */
enum status source_open(const char *path, struct source **source);
void source_close(struct source **source);

/* True when `path` names the very file that is read, whatever its name: whoever writes there
 * destroys it. False where the source is no file. */
bool source_is_at(const struct source *source, const char *path);

/* For messages: the path as given, "standard input" for "-". */
const char *source_name(const struct source *source);

/* True when it has to be copied before it can be read. */
bool source_needs_copy(const struct source *source);

/* Copies it to its end into an unnamed file in `folder` and reads that from then on.
 * in: stop: a descriptor that becomes readable when this is to end, -1 for none.
 * errors: INTERRUPTED; IO (errno; FULL for ENOSPC), CANNOT_CREATE. */
enum status source_copy(struct source *source, const char *folder, int stop);

/* Remembers size and time of the last change, to be compared later. errors: IO. */
enum status source_mark(struct source *source);
/* True when both are still what they were. */
bool source_is_unchanged(const struct source *source);

/* Reads up to `bytes` at `offset`. out: got: 0 at the end of the file. errors: IO (errno). */
enum status source_read(const struct source *source, uint64_t offset, void *buffer, size_t bytes,
                        size_t *got);

#endif
