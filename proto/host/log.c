/* The line is built in memory and leaves in one write, so that lines of several processes on one
 * stderr do not mix. What stands behind the result comes from outside now and then: it is cut to a
 * line's length and cannot hold a line break or steer a terminal. */
#include "proto/host/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/host/clock.h"

enum {
    PROGRAM_BYTES_MAX = 64,
    LINE_BYTES_MAX = 2048, /* a WAIT's 64 names take 700; below PIPE_BUF, a pipe takes it whole */
};

/* Written by log_begin before there is a second thread, only read from then on. */
static char program_name[PROGRAM_BYTES_MAX] = "sorteo";

static const char *const level_names[] = {
    [LOG_INFO] = "INFO",
    [LOG_WARN] = "WARN",
    [LOG_ERROR] = "ERROR",
};

static const char *const result_names[] = {
    [LOG_SUCCESS] = "success",
    [LOG_FAIL] = "fail",
    [LOG_IN_PROGRESS] = "in_progress",
};

void log_begin(const char *program)
{
    snprintf(program_name, sizeof program_name, "%s", program);
}

/* Takes the sting out of bytes from outside: ASCII's control characters and, in UTF-8, those of
 * 0x80–0x9f (C2 80 to C2 9F), which a terminal may obey as well. */
static void tame(char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        unsigned char next = i + 1 < bytes ? (unsigned char)text[i + 1] : 0;
        if (byte < 0x20 || byte == 0x7f)
            text[i] = '?';
        if (byte == 0xc2 && next >= 0x80 && next <= 0x9f)
            text[i] = text[i + 1] = '?';
    }
}

/* Where snprintf stopped writing: it returns what it would have liked to write. */
static size_t written(int wanted, size_t room)
{
    if (wanted < 0)
        return 0;
    return (size_t)wanted < room ? (size_t)wanted : room - 1;
}

/* "2026-03-01T12:00:00.123Z INFO sorteo-worker 0: action: x | result: y", as the course's own logs
 * begin. */
static size_t write_front(char *line, size_t room, enum log_level level, const char *action,
                          enum log_result result)
{
    int64_t wall_ms = clock_wall_ms();
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    char instant[32] = "";
    strftime(instant, sizeof instant, "%Y-%m-%dT%H:%M:%S", &utc);
    return written(snprintf(line, room, "%s.%03dZ %-5s %s: action: %s | result: %s", instant,
                            (int)(wall_ms % 1000), level_names[level], program_name, action,
                            result_names[result]),
                   room);
}

void log_event(enum log_level level, const char *action, enum log_result result, const char *format,
               ...)
{
    int saved_errno = errno;

    char line[LINE_BYTES_MAX];
    size_t room = sizeof line - sizeof "...\n"; /* so that a cut line can say so */
    size_t bytes = write_front(line, room, level, action, result);

    char values[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(values, sizeof values, format, arguments);
    va_end(arguments);
    if (wanted > 0) {
        int more = snprintf(line + bytes, room - bytes, " | %s", values);
        bool is_cut = wanted >= (int)sizeof values || more >= (int)(room - bytes);
        bytes += written(more, room - bytes);
        if (is_cut) {
            memcpy(line + bytes, "...", 3);
            bytes += 3;
        }
    }
    tame(line, bytes);
    line[bytes++] = '\n';

    ssize_t rc;
    do
        rc =
            write(STDERR_FILENO, line, bytes); /* a log that cannot be written has no one to tell */
    while (rc < 0 && errno == EINTR);
    errno = saved_errno;
}

bool log_limit_allows(struct log_limit *limit, int64_t now_ms, int64_t interval_ms,
                      uint64_t *suppressed)
{
    if (now_ms < limit->next_at) {
        limit->suppressed++;
        return false;
    }
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->next_at = now_ms + interval_ms;
    return true;
}
