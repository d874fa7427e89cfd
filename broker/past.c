#include "broker/past.h"

#include "proto/wire/check.h"

/* An agency of a published draw. errors: NOT_FOUND: it took no part; any other ends the broker. */
static enum status find_agency(struct broker *broker, const struct request *request,
                               struct archived_agency *agency)
{
    enum status status = broker->archive->agency(broker->archive->owner, request->message->draw,
                                                 request->agency, agency);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        broker_fail(broker, status, "cannot read the result of draw %u from the journal: %s",
                    request->message->draw, status_text(status));
    return status;
}

static void answer_result(struct broker *broker, const struct request *request,
                          const struct archived_draw *archived, uint32_t from)
{
    const struct archive *archive = broker->archive;
    struct archived_agency agency;
    enum status status = find_agency(broker, request, &agency);
    if (status == STATUS_NOT_FOUND)
        answer_refuse(broker, request, REFUSAL_EXCLUDED, 0);
    if (status != STATUS_OK)
        return;
    if (request->message->kind == MESSAGE_POLL &&
        request->message->poll.attempt != agency.attempt) {
        answer_refuse(broker, request, REFUSAL_ATTEMPT, agency.attempt);
        return;
    }
    /* A page behind the last one is empty, however far behind it was asked for. */
    if (from > agency.winners)
        from = agency.winners;
    struct message message = {
        .kind = MESSAGE_RESULT,
        .result = {.agency = request->agency,
                   .number = archived->number,
                   .root = archived->root,
                   .seed = {archived->seed.bytes, archived->is_given ? 0 : DIGEST_BYTES},
                   .from = from,
                   .upto = from,
                   .total = agency.winners},
    };
    uint8_t *page = outbox_reserve(broker->outbox, PAGE_BYTES_MAX);
    size_t bytes = 0;
    CHECK(page != NULL);
    if (from < agency.winners)
        status = archive->page(archive->owner, request->message->draw, request->agency, from, page,
                               PAGE_BYTES_MAX, &bytes, &message.result.upto);
    outbox_trim(broker->outbox, page, bytes);
    if (status != STATUS_OK) {
        broker_fail(broker, status, "cannot read winners of draw %u from the journal: %s",
                    request->message->draw, status_text(status));
        return;
    }
    struct slice body = {page, bytes};
    answer_send(broker, request, &message, &body);
}

/* HELLO to a published draw: the attempt and plan that the winners' rows belong to. */
static void admit_to_published(struct broker *broker, const struct request *request,
                               const struct archived_draw *archived)
{
    static const uint8_t no_ranges[] = {0x90};
    struct archived_agency agency;
    struct message message = {.kind = MESSAGE_ADMITTED};
    struct slice seed = {archived->seed.bytes, DIGEST_BYTES};
    uint32_t asked = request->message->hello.attempt;

    enum status status = find_agency(broker, request, &agency);
    if (status == STATUS_NOT_FOUND) {
        bool is_excluded = request->message->draw == broker->draw &&
                           barrier_excludes(broker->barrier, request->agency);
        answer_refuse(broker, request, is_excluded ? REFUSAL_EXCLUDED : REFUSAL_LATE, 0);
    }
    if (status != STATUS_OK)
        return;
    if (asked != 0 && asked != agency.attempt) {
        answer_refuse(broker, request,
                      asked == agency.attempt + 1 ? REFUSAL_FINISHED : REFUSAL_ATTEMPT,
                      agency.attempt);
        return;
    }
    message.admitted = (struct message_admitted){
        .agency = request->agency,
        .attempt = agency.attempt,
        .plan = agency.plan,
        .from = request->message->hello.from,
        .upto = UINT32_MAX,
        .durable = {no_ranges, sizeof no_ranges},
        .window_bytes = agency.plan.bytes_max + BATCH_WEIGHT_EXTRA_BYTES,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .batch_bytes_max = BATCH_BYTES_MAX,
        .batches_max = BATCHES_MAX,
        .phase = PHASE_PUBLISHED,
        .range_first = archived->range_first,
        .range_last = archived->range_last,
        .is_finished = true,
    };
    if (!archived->is_given)
        hasher_sum(broker->hasher, &seed, 1, &message.admitted.commitment);
    answer_send(broker, request, &message, NULL);
}

static void answer_published(struct broker *broker, const struct request *request,
                             const struct archived_draw *archived)
{
    const struct message *message = request->message;
    struct message ok = {.kind = MESSAGE_OK, .ok = {.agency = request->agency}};

    if (message->kind == MESSAGE_HELLO)
        admit_to_published(broker, request, archived);
    else if (message->kind == MESSAGE_BYE)
        answer_send(broker, request, &ok, NULL);
    else if (message->kind == MESSAGE_DIGESTS)
        answer_refuse(broker, request, REFUSAL_LATE, 0);
    else if (message->kind == MESSAGE_POLL)
        answer_result(broker, request, archived, 0);
    else {
        CHECK(message->kind == MESSAGE_WINNERS);
        answer_result(broker, request, archived, message->winners.from);
    }
}

void past_answer(struct broker *broker, const struct request *request)
{
    uint32_t draw = request->message->draw;
    struct archived_draw archived;
    enum status status = broker->archive->draw(broker->archive->owner, draw, &archived);

    if (status == STATUS_NOT_FOUND)
        answer_refuse(broker, request, REFUSAL_UNKNOWN, 0);
    else if (status != STATUS_OK)
        broker_fail(broker, status, "cannot read draw %u from the journal: %s", draw,
                    status_text(status));
    else if (archived.phase == PHASE_VOID)
        answer_refuse(broker, request, REFUSAL_VOID, 0);
    else
        answer_published(broker, request, &archived);
}
