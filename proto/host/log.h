/* Log lines on stderr: `action: sorteo | result: success | key: value | key: value`. One line, one
 * write. Never names, documents, birthdates, keys or passwords. */
#ifndef SORTEO_PROTO_HOST_LOG_H
#define SORTEO_PROTO_HOST_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_result { LOG_SUCCESS, LOG_FAIL, LOG_IN_PROGRESS };

/* Sets the program's name that stands in front ("sorteo-worker 0"): copied. */
void log_begin(const char *program);

/* Writes one line. in: action: one word for what is done, the course's where it has one; format:
 * printf's, for the keys and values behind the result, "" for none. Line breaks and control
 * characters in it are shown as '?'. */
void log_event(enum log_level level, const char *action, enum log_result result, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* Says at most one line each `interval_ms` where a peer can drive it: true when this one may be
 * written; *suppressed is then how many were left out since. in: zeroed state, one for each kind of
 * line. */
struct log_limit {
    int64_t next_at;
    uint64_t suppressed;
};
bool log_limit_allows(struct log_limit *limit, int64_t now_ms, int64_t interval_ms,
                      uint64_t *suppressed);

#endif
