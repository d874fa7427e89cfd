/* Every row once, nothing kept. */
#include "agency/checking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agency/progress.h"
#include "agency/scanner.h"
#include "proto/host/stop.h"

enum { ROWS_BETWEEN_LOOKS = 4096 /* rows between two looks at the signals */ };

struct found {
    uint64_t rows;
    uint64_t bad;
};

static enum status check_rows(const struct source *source, struct scanner *scanner, int stop,
                              struct found *found)
{
    struct row row;
    enum status status;
    while ((status = scanner_next(scanner, &row)) == STATUS_OK) {
        found->rows++;
        if (row.csv.fault != FAULT_NONE) {
            found->bad++;
            fprintf(stderr, "%s:%" PRIu64 ": %s\n", source_name(source), row.line,
                    fault_text(row.csv.fault));
        }
        if (found->rows % ROWS_BETWEEN_LOOKS == 0 && stop_take(stop) != 0)
            return STATUS_INTERRUPTED;
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status check_source(struct source *source, uint32_t today, int stop,
                                struct found *found)
{
    const char *folder = getenv("TMPDIR");
    enum status status = STATUS_OK;
    if (source_needs_copy(source))
        status = source_copy(source, folder == NULL ? "/tmp" : folder, stop);
    if (status != STATUS_OK)
        return status;
    struct scanner *scanner;
    status = scanner_create(source, today, &scanner);
    if (status != STATUS_OK)
        return status;
    status = check_rows(source, scanner, stop, found);
    int saved = errno;
    scanner_destroy(&scanner);
    errno = saved;
    return status;
}

int checking_run(const char *path, uint32_t today, int stop)
{
    struct source *source = NULL;
    struct found found = {0};
    enum status status = source_open(path, &source);
    if (status == STATUS_OK)
        status = check_source(source, today, stop, &found);
    int saved = errno;
    source_close(&source);
    if (status == STATUS_INTERRUPTED) {
        progress_gave_up("check", "run it again", "interrupted");
    } else if (status != STATUS_OK) {
        char reason[TEXT_BYTES_MAX];
        progress_gave_up("check", "check --input and its permissions", "%s: %s", path,
                         progress_disk_reason(status, saved, reason));
    } else {
        log_event(found.bad == 0 ? LOG_INFO : LOG_ERROR, "check",
                  found.bad == 0 ? LOG_SUCCESS : LOG_FAIL,
                  "file: %s | rows: %" PRIu64 " | bad: %" PRIu64, path, found.rows, found.bad);
        return status_exit_code(found.bad == 0 ? STATUS_OK : STATUS_INVALID);
    }
    return status_exit_code(status);
}
