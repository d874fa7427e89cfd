/* Lines on stderr. The course's names stand as they are: apuesta_enviada, consulta_ganadores. */
#include "agency/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/check.h"

enum { IDS_BYTES_MAX = 1024, SENTENCE_BYTES_MAX = 1024 };

/* ---- while it goes on ---- */

static void say_plan(struct progress *progress, const struct agency *agency)
{
    if (progress->has_said_plan || agency_state(agency) == AGENCY_HELLO ||
        agency_attempt(agency) == 0)
        return;
    progress->has_said_plan = true;
    const struct plan *plan = agency_plan(agency);
    const struct plan *wished = &agency_terms(agency)->plan;
    bool is_final = agency_state(agency) == AGENCY_READING; /* it has finished before */
    struct agency_counts counts;
    agency_count(agency, &counts);
    log_event(LOG_INFO, "hello", LOG_SUCCESS,
              "draw: %" PRIu32 " | attempt: %" PRIu32 " | batch_bets: %" PRIu32
              " | batch_bytes: %" PRIu32 " | bad_rows: %s | durable_batches: %" PRIu32,
              agency_terms(agency)->draw, agency_attempt(agency), plan->bets_max, plan->bytes_max,
              plan->skips_bad_rows ? "skip" : "stop", counts.batches_durable);
    if (!plan_is_equal(plan, wished))
        log_event(LOG_WARN, "hello", LOG_SUCCESS,
                  "note: attempt %" PRIu32 " was begun with other values of --batch-bets, "
                  "--batch-bytes or --bad-rows, which stay in force%s",
                  agency_attempt(agency),
                  is_final ? "" : " | hint: --start-over begins anew with this command's");
    if (agency_has_result(agency))
        log_event(LOG_INFO, "sorteo", LOG_SUCCESS,
                  "draw: %" PRIu32 " | phase: PUBLISHED | note: nothing is sent any more, the "
                  "winners are fetched again; new bets need another draw (--draw)",
                  agency_terms(agency)->draw);
}

/* Once, when all batches are durable. */
static void say_sent(struct progress *progress, const struct agency *agency)
{
    struct agency_counts counts;
    agency_count(agency, &counts);
    if (progress->has_said_sent || counts.batches_durable != counts.batches_cut)
        return;
    progress->has_said_sent = true;
    log_event(LOG_INFO, "apuesta_enviada", LOG_SUCCESS,
              "cantidad: %" PRIu64 " | batches: %" PRIu32 " | rejected: %" PRIu64
              " | sent_again: %" PRIu64,
              agency_declared(agency)->bets, counts.batches_cut, agency_declared(agency)->rejected,
              counts.batches_again);
}

/* That every seq is durable says nothing of this file's bets: a process before may have sent those
 * of another one. Only FINISHED tells that the ledger has what was declared. */
static void say_sending(struct progress *progress, const struct agency *agency, int64_t now_ms)
{
    enum agency_state state = agency_state(agency);
    struct agency_counts counts;
    uint64_t suppressed;
    if (state == AGENCY_WAITING)
        say_sent(progress, agency);
    agency_count(agency, &counts);
    bool is_sending =
        state == AGENCY_SENDING || state == AGENCY_READING || state == AGENCY_DECLARING;
    bool has_moved = counts.batches_durable != progress->durable ||
                     counts.batches_in_flight != progress->in_flight;
    if (!is_sending || progress->has_said_sent || counts.batches_in_flight == 0 ||
        (!has_moved && now_ms < progress->repeat_at) ||
        !log_limit_allows(&progress->sending, now_ms, PROGRESS_SENDING_MS, &suppressed))
        return;
    progress->repeat_at = now_ms + PROGRESS_WAITING_MS;
    progress->durable = counts.batches_durable;
    progress->in_flight = counts.batches_in_flight;
    log_event(LOG_INFO, "apuesta_enviada", LOG_IN_PROGRESS,
              "cantidad: %" PRIu64 " | batches: %" PRIu32 " | durable: %" PRIu32
              " | waiting_for: the acknowledgement of %" PRIu32 " batches",
              counts.bets_sent, counts.batches_sent, counts.batches_durable,
              counts.batches_in_flight);
}

/* A batch may go, none is on its way, and the socket takes none: requests are answered, so that it
 * is the connection for bets that nobody accepts. */
static void say_not_taken(struct progress *progress, const struct agency *agency,
                          const char *broker, int64_t now_ms)
{
    struct agency_counts counts;
    uint32_t seq;
    uint64_t suppressed;
    agency_count(agency, &counts);
    if (counts.batches_in_flight > 0 || !agency_next_batch(agency, &seq)) {
        progress->untaken_since = 0;
        return;
    }
    if (progress->untaken_since == 0)
        progress->untaken_since = now_ms;
    if (now_ms - progress->untaken_since >= PROGRESS_ASKING_MS &&
        log_limit_allows(&progress->asking, now_ms, PROGRESS_ASKING_MS, &suppressed))
        log_event(LOG_WARN, "apuesta_enviada", LOG_IN_PROGRESS,
                  "waiting_for: the broker at %s to take bets, on the port after that one", broker);
}

static bool barrier_is_equal(const struct agency_barrier *a, const struct agency_barrier *b)
{
    return a->finished == b->finished && a->expected == b->expected &&
           a->missing_count == b->missing_count &&
           memcmp(a->missing, b->missing, a->missing_count * sizeof(a->missing[0])) == 0;
}

/* "3, 4, 7", or what to say where nobody is known to be missing. */
static void name_missing(const struct agency_barrier *barrier, char *text, size_t text_bytes)
{
    size_t at = 0;
    snprintf(text, text_bytes, "%s",
             barrier->finished < barrier->expected ? "agencies that have not come yet"
                                                   : "the draw");
    for (uint32_t i = 0; i < barrier->missing_count && at < text_bytes; i++) {
        int bytes = snprintf(text + at, text_bytes - at, "%s%" PRIu32, i == 0 ? "agencies " : ", ",
                             barrier->missing[i]);
        CHECK(bytes > 0);
        at += (size_t)bytes;
    }
}

static void say_waiting(struct progress *progress, const struct agency *agency, int64_t now_ms)
{
    const struct agency_barrier *barrier = agency_barrier(agency);
    uint64_t suppressed;
    if (agency_state(agency) != AGENCY_WAITING)
        return;
    if (barrier_is_equal(barrier, &progress->said) &&
        !log_limit_allows(&progress->waiting, now_ms, PROGRESS_WAITING_MS, &suppressed))
        return;
    (void)log_limit_allows(&progress->waiting, now_ms, PROGRESS_WAITING_MS, &suppressed);
    progress->said = *barrier;
    char names[IDS_BYTES_MAX];
    name_missing(barrier, names, sizeof(names));
    log_event(LOG_INFO, "consulta_ganadores", LOG_IN_PROGRESS,
              "finished: %" PRIu32 " of %" PRIu32 " | waiting_for: %s", barrier->finished,
              barrier->expected, names);
}

static void say_asking(struct progress *progress, const struct agency *agency, const char *broker,
                       int64_t now_ms)
{
    struct agency_counts counts;
    uint64_t suppressed;
    agency_count(agency, &counts);
    bool is_not_open = agency_state(agency) == AGENCY_HELLO && agency_is_refused_for_now(agency);
    if ((counts.unanswered < UNANSWERED_REDIAL && !is_not_open) ||
        !log_limit_allows(&progress->asking, now_ms, PROGRESS_ASKING_MS, &suppressed))
        return;
    if (is_not_open)
        log_event(LOG_INFO, "hello", LOG_IN_PROGRESS,
                  "waiting_for: the broker at %s to open draw %" PRIu32, broker,
                  agency_terms(agency)->draw);
    else
        log_event(LOG_WARN, "hello", LOG_IN_PROGRESS,
                  "waiting_for: the broker at %s | unanswered: %" PRIu32, broker,
                  counts.unanswered);
}

void progress_turn(struct progress *progress, const struct agency *agency, const char *broker,
                   int64_t now_ms)
{
    if (!agency_needs_file(agency)) /* what there is to say of its end is said there */
        return;
    say_asking(progress, agency, broker, now_ms);
    say_plan(progress, agency);
    say_sending(progress, agency, now_ms);
    say_not_taken(progress, agency, broker, now_ms);
    say_waiting(progress, agency, now_ms);
}

void progress_listed(const struct agency *agency, const char *rejects)
{
    if (agency_declared(agency)->rejected > 0)
        log_event(LOG_WARN, "bad_rows", LOG_SUCCESS, "cantidad: %" PRIu64 " | file: %s",
                  agency_declared(agency)->rejected, rejects);
}

void progress_won(struct progress *progress, const struct agency *agency, const char *output)
{
    const struct result *result = agency_result(agency);
    if (!agency_holds_back(agency))
        say_sent(progress, agency); /* FINISHED and the result may come in one turn */
    log_event(LOG_INFO, "consulta_ganadores", LOG_SUCCESS,
              "cant_ganadores: %" PRIu32 " | number: %" PRIu32 " | file: %s", result->total,
              result->number, output);
}

/* ---- at the end ---- */

/* The likely reason for a winner that the file does not have comes first. */
static const char other_file_hint[] =
    "if this is not the file that was sent for the draw, run again with that one, or send this one "
    "to another draw (--draw); if it is, do not trust this result and ask the draw's operator";

void progress_gave_up(const char *action, const char *hint, const char *format, ...)
{
    char error[SENTENCE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, sizeof(error), format, arguments);
    va_end(arguments);
    log_event(LOG_ERROR, action, LOG_FAIL, "error: %s | hint: %s", error, hint);
}

const char *progress_disk_reason(enum status status, int code, char text[TEXT_BYTES_MAX])
{
    bool is_full = status == STATUS_FULL;
    (void)snprintf(text, TEXT_BYTES_MAX, "%s%s%s", is_full ? "" : status_text(status),
                   is_full ? "" : ": ", strerror(code));
    return text;
}

void progress_contradicted(const char *input, uint32_t seq, uint32_t row)
{
    progress_gave_up("consulta_ganadores", other_file_hint,
                     "the result is wrong: batch %" PRIu32 ", row %" PRIu32
                     " of %s holds another bet",
                     seq, row, input);
}

/* What the user can do about a refusal. in: is_final: HELLO had told FINISHED. */
static const char *refusal_hint(enum refusal reason, bool is_final)
{
    if (is_final && reason == REFUSAL_DECLARATION)
        return "this agency has finished with another file, which is final: run again with that "
               "one, or send this one to another draw (--draw)";
    switch (reason) {
    case REFUSAL_NOT_OPEN:
        return "run it again once the draw is open";
    case REFUSAL_LATE:
        return "bets for this draw can no longer be taken; use the next one (--draw)";
    case REFUSAL_ROSTER:
        return "check --id, or have the agency added to the broker's --roster";
    case REFUSAL_ATTEMPT:
        return "another process of this agency has started over; run this one again to go on with "
               "it";
    case REFUSAL_PLAN:
        return "choose a smaller --batch-bytes and --batch-bets";
    case REFUSAL_FINISHED:
        return "leave out --start-over to fetch the winners";
    case REFUSAL_LIMIT:
        return "choose a larger --batch-bytes and --start-over, or ask the broker's operator";
    case REFUSAL_SUPERSEDED:
        return "leave the newer process alone, or end it and run this one again";
    case REFUSAL_REJECTED:
        return "mend the file and run again with --start-over";
    case REFUSAL_CONFLICT:
    case REFUSAL_DECLARATION:
        return "run again with the file that was sent first, or with --start-over to send this one";
    case REFUSAL_EXCLUDED:
        return "the bets of this agency did not take part; ask the draw's operator";
    case REFUSAL_VOID:
        return "send the bets for another draw (--draw)";
    case REFUSAL_UNKNOWN:
        return "check --draw; if that draw is over, its result is lost to the broker, whose "
               "journal was recovered from its stores (--recover) or begun anew: ask the draw's "
               "operator";
    case REFUSAL_MALFORMED:
    case REFUSAL_VERSION:
        return "run the same version of agency and broker";
    }
    return "ask the broker's operator";
}

/* "batch 12 (lines 4801-5200 of agency-1.csv)" */
static void name_batch(const struct cuts *cuts, uint32_t seq, const char *input, char *text,
                       size_t text_bytes)
{
    if (seq >= cuts->count)
        snprintf(text, text_bytes, "batch %" PRIu32 " (beyond what was read of %s)", seq, input);
    else
        snprintf(text, text_bytes, "batch %" PRIu32 " (lines %" PRIu64 "-%" PRIu64 " of %s)", seq,
                 cuts_at(cuts, seq)->line, cuts_last_line(cuts, seq), input);
}

static void say_refused(const struct agency *agency, const char *action, const char *input,
                        uint64_t line)
{
    const struct agency_outcome *outcome = agency_outcome(agency);
    const struct message_refused *refused = &outcome->refused;
    const char *hint = refusal_hint(refused->reason, outcome->is_final);
    const char *text = refusal_text(refused->reason);
    char batch[SENTENCE_BYTES_MAX / 2];
    name_batch(agency_cuts(agency), refused->seq, input, batch, sizeof(batch));
    if (refused->reason == REFUSAL_REJECTED && line != 0)
        progress_gave_up(action, hint, "refused: %s: %s:%" PRIu64 ": %s (batch %" PRIu32 ")", text,
                         input, line, fault_text(refused->fault), refused->seq);
    else if (refused->reason == REFUSAL_REJECTED)
        progress_gave_up(action, hint, "refused: %s: %s: %s", text, batch,
                         fault_text(refused->fault));
    else if (outcome->names_batch)
        progress_gave_up(action, hint, "refused: %s: %s differs from what the ledger holds", text,
                         batch);
    else if (refused->reason == REFUSAL_ATTEMPT)
        progress_gave_up(action, hint, "refused: %s: attempt %" PRIu64, text, refused->number);
    else if (refused->reason == REFUSAL_LIMIT)
        progress_gave_up(action, hint, "refused: %s: %" PRIu64, text, refused->number);
    else
        progress_gave_up(action, hint, "refused: %s", text);
}

void progress_failed(const struct agency *agency, const char *broker, const char *input,
                     uint64_t line)
{
    const struct agency_terms *terms = agency_terms(agency);
    const struct agency_outcome *outcome = agency_outcome(agency);
    const char *action = agency_declared(agency) == NULL ? "apuesta_enviada" : "consulta_ganadores";
    struct agency_counts counts;
    agency_count(agency, &counts);
    switch (outcome->cause) {
    case AGENCY_CAUSE_NONE:
        return;
    case AGENCY_CAUSE_REFUSED:
        say_refused(agency, action, input, line);
        return;
    case AGENCY_CAUSE_VOID:
        progress_gave_up(action, refusal_hint(REFUSAL_VOID, false), "refused: %s",
                         refusal_text(REFUSAL_VOID));
        return;
    case AGENCY_CAUSE_CONNECT:
        progress_gave_up(action,
                         "check --broker, and that the broker is running; see also "
                         "--connect-timeout",
                         "no answer from the broker at %s within %" PRId64 " s", broker,
                         terms->connect_timeout_ms / 1000);
        return;
    case AGENCY_CAUSE_UNANSWERED:
        progress_gave_up(action,
                         "run it again once the broker is back: nothing that it has acknowledged "
                         "is lost",
                         "the broker at %s has left %" PRIu32 " requests in a row unanswered",
                         broker, counts.unanswered);
        return;
    case AGENCY_CAUSE_WAITED:
        progress_gave_up(action,
                         "run it again later: it goes on where it stands; see also --wait-timeout",
                         "nothing has moved for %" PRId64 " s; finished: %" PRIu32 " of %" PRIu32,
                         terms->wait_timeout_ms / 1000, agency_barrier(agency)->finished,
                         agency_barrier(agency)->expected);
        return;
    case AGENCY_CAUSE_PROTOCOL:
        progress_gave_up(action, "run the same version of agency and broker",
                         "the broker at %s contradicts what it said before", broker);
        return;
    case AGENCY_CAUSE_COMMITMENT:
        progress_gave_up(action, "do not trust this draw's number; ask its operator",
                         "the broker has changed the commitment to its seed or the range of its "
                         "number");
        return;
    case AGENCY_CAUSE_RESULT:
        progress_gave_up(action,
                         outcome->result_fault == RESULT_FAULT_PLACE
                             ? other_file_hint
                             : "do not trust this result; ask the draw's operator",
                         "the result is wrong: %s", result_fault_text(outcome->result_fault));
        return;
    case AGENCY_CAUSE_BATCHES:
        progress_gave_up(action, "choose a larger --batch-bytes and --start-over",
                         "%s makes more than %" PRIu32 " batches", input,
                         agency_batches_max(agency));
        return;
    case AGENCY_CAUSE_MEMORY:
        progress_gave_up(action, "run it again with more memory", "%s",
                         status_text(STATUS_NO_MEMORY));
        return;
    }
}
