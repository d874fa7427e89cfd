/* What happens in a world, for somebody who reads it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/wire/seqset.h"
#include "tests/sim/world.h"

enum { TEXT_BYTES = 256 };

void world_trace(const struct world *world, const char *format, ...)
{
    va_list arguments;
    if (!world->plan.traces)
        return;
    printf("%9lld ms  ", (long long)world->now_ms);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* "0-4 7": the members of a set as it travels. */
static const char *show_ranges(struct slice ranges, char *text)
{
    struct range_cursor cursor;
    struct range range;
    size_t at = 0;
    text[0] = '\0';
    if (range_open(&cursor, ranges) != STATUS_OK)
        return "?";
    while (range_next(&cursor, &range) == STATUS_OK && at + 32 < TEXT_BYTES)
        at += (size_t)snprintf(text + at, TEXT_BYTES - at, "%s%u-%u", at == 0 ? "" : " ",
                               range.first, range.first + range.count - 1);
    return at == 0 ? "none" : text;
}

static void show_wait(const struct message_wait *wait, char *text)
{
    char durable[TEXT_BYTES];
    char held[TEXT_BYTES];
    snprintf(text, TEXT_BYTES, "to agency %u: round %u, durable %s, held %s, %u of %u, phase %d",
             wait->agency, wait->round_seen, show_ranges(wait->durable, durable),
             show_ranges(wait->held, held), wait->agencies_finished, wait->agencies_expected,
             (int)wait->phase);
}

static void show(const struct message *message, char *text)
{
    char ranges[TEXT_BYTES];
    text[0] = '\0';
    switch ((int)message->kind) {
    case MESSAGE_ADMITTED:
        snprintf(text, TEXT_BYTES, "to agency %u: attempt %u, batches of %u, durable %s%s",
                 message->admitted.agency, message->admitted.attempt,
                 message->admitted.plan.bets_max, show_ranges(message->admitted.durable, ranges),
                 message->admitted.is_finished ? ", finished" : "");
        return;
    case MESSAGE_WAIT:
    case MESSAGE_FINISHED:
        show_wait(&message->wait, text);
        return;
    case MESSAGE_RESULT:
        snprintf(text, TEXT_BYTES, "to agency %u: number %u, winners %u to %u of %u",
                 message->result.agency, message->result.number, message->result.from,
                 message->result.upto, message->result.total);
        return;
    case MESSAGE_REFUSED:
        snprintf(text, TEXT_BYTES, "to agency %u: %s, batch %u", message->refused.agency,
                 refusal_text(message->refused.reason), message->refused.seq);
        return;
    case MESSAGE_STORED:
        snprintf(text, TEXT_BYTES, "of agency %u, attempt %u: %u batches", message->stored.agency,
                 message->stored.attempt, message->stored.items);
        return;
    case MESSAGE_COUNT:
        snprintf(text, TEXT_BYTES, "question %u of epoch %" PRIu64, message->count.question,
                 message->count.question_epoch);
        return;
    case MESSAGE_FOUND:
        snprintf(text, TEXT_BYTES, "question %u of epoch %" PRIu64 ": %u winners of agency %u",
                 message->found.question, message->found.question_epoch, message->found.items,
                 message->found.agency);
        return;
    case MESSAGE_COUNTED:
        snprintf(text, TEXT_BYTES, "question %u of epoch %" PRIu64 ": %" PRIu64 " winners",
                 message->counted.question, message->counted.question_epoch,
                 message->counted.winners);
        return;
    default:
        return;
    }
}

void world_trace_message(const struct world *world, const char *who, uint32_t index,
                         const struct message *message)
{
    char text[TEXT_BYTES];
    if (!world->plan.traces)
        return;
    show(message, text);
    world_trace(world, "%s %u: %s %s", who, index, message_name(message->kind), text);
}
