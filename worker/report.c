/* See report.h. */
#include "worker/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/wire/bet.h"

/* The line of one kind of note; its keys name what `number` and `other` are, NULL: not said. */
struct line {
    const char *action;
    enum log_level level;
    enum log_result result;
    bool is_limited; /* a peer can drive it */
    bool has_draw;
    bool has_batch; /* agency, attempt and seq are said */
    const char *number;
    const char *other;
};

static const struct line LINES[NOTE_KINDS] = {
    [NOTE_WELCOMED] = {"registro", LOG_INFO, LOG_SUCCESS, false, false, false, "epoch", "lease_ms"},
    [NOTE_LOST] = {"connect", LOG_WARN, LOG_IN_PROGRESS, false, false, false, "silent_ms", NULL},
    [NOTE_REJECTED] = {"apuesta_recibida", LOG_WARN, LOG_FAIL, true, true, true, "row", NULL},
    [NOTE_CONFLICTED] = {"apuesta_recibida", LOG_WARN, LOG_FAIL, true, true, true, NULL, NULL},
    [NOTE_CAME_LATE] = {"apuesta_recibida", LOG_WARN, LOG_FAIL, true, true, true, NULL, NULL},
    [NOTE_DISK_FULL] = {"apuesta_almacenada", LOG_ERROR, LOG_FAIL, true, false, false,
                        "batches_returned", "again_in_ms"},
    [NOTE_DISK_HAS_ROOM] = {"disk_has_room", LOG_INFO, LOG_SUCCESS, true, false, false, NULL, NULL},
    [NOTE_SEAL_RECORDED] = {"sellado", LOG_INFO, LOG_SUCCESS, false, true, false, "number",
                            "batches"},
    [NOTE_VOID_RECORDED] = {"void", LOG_INFO, LOG_SUCCESS, false, true, false, NULL, NULL},
    [NOTE_SEAL_DIFFERS] = {"sellado", LOG_ERROR, LOG_FAIL, true, true, false, NULL, NULL},
    [NOTE_MANIFEST_REFUSED] = {"sellado", LOG_ERROR, LOG_FAIL, true, true, false, NULL, NULL},
    [NOTE_MANIFEST_ROTTEN] = {"sellado", LOG_ERROR, LOG_FAIL, true, true, false, NULL, NULL},
    [NOTE_READ_BACK] = {"read_back", LOG_INFO, LOG_SUCCESS, false, true, false, "batches", "bytes"},
    [NOTE_ROTTEN] = {"read_back", LOG_ERROR, LOG_FAIL, true, true, true, NULL, NULL},
    [NOTE_COUNTED] = {"count", LOG_INFO, LOG_SUCCESS, true, true, false, "cantidad",
                      "cant_ganadores"},
    [NOTE_QUESTION_DROPPED] = {"count", LOG_WARN, LOG_FAIL, true, true, false, "question", NULL},
    [NOTE_FORGOTTEN] = {"forget", LOG_INFO, LOG_SUCCESS, false, true, false, "batches", NULL},
    [NOTE_EPOCH_REFUSED] = {"fence", LOG_WARN, LOG_SUCCESS, true, false, false, "epoch_told",
                            "epoch_recorded"},
    [NOTE_MESSAGE_DROPPED] = {"drop_message", LOG_WARN, LOG_FAIL, true, true, false, "kind", NULL},
    [NOTE_UNEXPECTED] = {"change_state", LOG_WARN, LOG_FAIL, true, false, false, "state", "event"},
};

/* Why, where the action alone does not say it. */
static const char *reason(const struct note *note)
{
    switch ((int)note->kind) {
    case NOTE_REJECTED:
        return fault_text((enum fault)note->other);
    case NOTE_CONFLICTED:
        return "another batch is stored under this identity";
    case NOTE_CAME_LATE:
        return "the draw takes no more bets";
    case NOTE_DISK_FULL:
        return "the disk is full | hint: make room on the disk of --store; it is tried again by "
               "itself";
    case NOTE_SEAL_DIFFERS:
        return "another seal was recorded first, and stays";
    case NOTE_MANIFEST_REFUSED:
        return "the parts do not make the manifest of this draw";
    case NOTE_MANIFEST_ROTTEN:
        return "the stored manifest has rotted: taking it from the broker again";
    case NOTE_ROTTEN:
        return "a stored batch has rotted and was deleted";
    case NOTE_QUESTION_DROPPED:
        return "the draw is not sealed here with this root";
    case NOTE_LOST:
        return "the broker is silent: dialing again until it is there | hint: check --broker, and "
               "that the broker runs";
    default:
        return NULL;
    }
}

/* The keys and values of a line, put together piece by piece. */
struct text {
    char bytes[512];
    size_t length;
};

static void append(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(text->bytes + text->length, sizeof text->bytes - text->length, format, arguments);
    va_end(arguments);
    if (length > 0)
        text->length += (size_t)length;
    if (text->length >= sizeof text->bytes)
        text->length = sizeof text->bytes - 1;
}

static void append_key(struct text *text, const char *key, uint64_t value)
{
    append(text, "%s%s: %" PRIu64, text->length > 0 ? " | " : "", key, value);
}

static void write_line(const struct note *note, uint64_t suppressed)
{
    const struct line *line = &LINES[note->kind];
    struct text text = {.length = 0};
    if (line->has_draw)
        append_key(&text, "draw", note->draw);
    if (line->has_batch) {
        append_key(&text, "agency", note->agency);
        append_key(&text, "attempt", note->attempt);
        append_key(&text, "seq", note->seq);
    }
    if (line->number != NULL)
        append_key(&text, line->number, note->number);
    if (line->other != NULL)
        append_key(&text, line->other, note->other);
    if (suppressed > 0)
        append_key(&text, "not_shown", suppressed);
    const char *why = reason(note);
    if (why != NULL)
        append(&text, "%sreason: %s", text.length > 0 ? " | " : "", why);
    log_event(line->level, line->action, line->result, "%s", text.bytes);
}

void report_note(struct report *report, const struct note *note, int64_t now_ms)
{
    uint64_t suppressed = 0;
    switch ((int)note->kind) {
    case NOTE_STORED:
        report->bets += note->number;
        report->batches += note->other;
        report_tick(report, now_ms, false);
        return;
    case NOTE_LOST:
        if (report->is_lost)
            return;
        report->is_lost = true;
        break;
    case NOTE_WELCOMED:
        report->is_lost = false;
        break;
    default:
        break;
    }
    if (LINES[note->kind].is_limited &&
        !log_limit_allows(&report->limits[note->kind], now_ms, REPORT_LIMITED_MS, &suppressed))
        return;
    write_line(note, suppressed);
}

int64_t report_tick(struct report *report, int64_t now_ms, bool is_end)
{
    if (report->batches == 0)
        return INT64_MAX;
    if (now_ms < report->stored_at && !is_end)
        return report->stored_at;
    log_event(LOG_INFO, "apuesta_almacenada", LOG_SUCCESS,
              "cantidad: %" PRIu64 " | batches: %" PRIu64, report->bets, report->batches);
    report->bets = 0;
    report->batches = 0;
    report->stored_at = now_ms + REPORT_STORED_MS;
    return INT64_MAX;
}
