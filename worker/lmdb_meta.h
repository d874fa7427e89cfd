/* What has to be true of a data.mdb before LMDB may open it. LMDB has no checksums: it believes
 * what a file's two meta pages say, and a wrong page size or a missing page ends the process by a
 * signal. The pages are laid out as in mdb.c of LMDB 0.9 (MDB_page, MDB_meta, MDB_db). */
#ifndef SORTEO_WORKER_LMDB_META_H
#define SORTEO_WORKER_LMDB_META_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire/status.h"

/* Looks at the meta pages of a file that is no new one, and at its length. A page size that differs
 * from this machine's is no damage. A newer format of LMDB's is left to LMDB, which refuses it.
 * out: file_bytes: its length; where it is refused, reason: half a sentence.
 * errors: IO: it is no store's, is damaged, was cut short, or cannot be read. */
enum status lmdb_meta_check(int descriptor, uint64_t *file_bytes, char *reason,
                            size_t reason_bytes);

#endif
