/* A file that appears whole or not at all: written to an unnamed file in the folder of its path,
 * then synced, named and renamed onto the path, and the folder synced. A process that dies in
 * between leaves the old file, or none. */
#ifndef SORTEO_AGENCY_OUTPUT_H
#define SORTEO_AGENCY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/wire/status.h"

struct output;

/* Whether a device, a pipe, a socket or a link stands at `path`: the file would take its place. */
bool output_is_misplaced(const char *path);

/* Shows at once whether the folder can be written. in: path: borrowed until the output is gone.
 * errors: CANNOT_CREATE (errno; EISDIR where the path is a folder), NO_MEMORY. */
enum status output_create(const char *path, struct output **output);

/* Appends, through a buffer. errors: IO, FULL (errno). */
enum status output_write(struct output *output, const void *bytes, size_t count);

/* Everything that was written is on the disk, which has room for it; it has no name yet.
 * errors: IO, FULL, SYNC (errno). */
enum status output_sync(struct output *output);

/* Makes it appear, durably, and ends the output; after an error too: then the path is as it was
 * before.
 * errors: IO, FULL, SYNC (errno). */
enum status output_commit(struct output **output);

/* Leaves nothing behind. NULL is fine. */
void output_discard(struct output **output);

/* The folder of a path: "." where it names none. out: folder, folder_bytes with its NUL.
 * errors: LIMIT: too long. */
enum status output_folder(const char *path, char *folder, size_t folder_bytes);

/* A file without a name in `folder`, gone when it is closed. returns a descriptor, -1 with
 * errno. */
int output_open_unnamed(const char *folder);

#endif
