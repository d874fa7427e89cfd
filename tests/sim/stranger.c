/* A stranger without keys: overhears what comes to brokers, and says it again, spoilt. Without keys
 * a broker cannot tell a well-formed word in somebody's name from his own, so this stranger says
 * only what has to be refused or dropped: what nobody can read, what comes to the wrong door, what
 * is of no draw, agency or attempt that there is, and what contradicts what he overheard. He may
 * also ask, as anybody may. */
#include <stdlib.h>

#include "proto/wire/check.h"
#include "proto/wire/pack.h"
#include "tests/sim/world.h"

enum {
    SPEAKS_MILLIONTHS = 3000, /* of what comes to a broker, in the mildest world */
    HEADER_ROOM = 1024,
    ELEMENTS_MAX = 24,     /* of a header */
    NUMBER_BYTES_MAX = 16, /* more than a packed one has */
    ATTEMPT_OF_NOBODY = 1000,
    STRANGER = PARTIES_MAX - 1, /* has no connection that anything could be sent to */
    STRANGERS_CONNECTION = 0xffff,
};

enum spoiling {
    SPOILS_BYTE,
    SPOILS_END,
    SPOILS_LENGTH,
    SPOILS_FRAMES,
    SPOILS_DOOR,
    SPOILS_SIZE,
    SPOILS_BODY,
    SPOILS_FIELD,
    SPOILS_FIELD_AGAIN, /* most of what a header says is worth most */
    SPOILINGS
};

/* What is about to be said. */
struct saying {
    const struct letter *heard;
    enum line door;
    struct slice frames[LETTER_FRAMES];
    uint32_t frames_count;
    uint8_t header[HEADER_ROOM];
    uint8_t *large; /* owned: a frame beyond the limit */
};

void stranger_hear(struct world *world, const struct letter *letter)
{
    if (!world_may(world, MISHAP_STRANGER) || letter->is_strange ||
        letter->frames[0].bytes + NUMBER_BYTES_MAX > HEADER_ROOM ||
        (letter->line != LINE_BETS && letter->line != LINE_REQUEST && letter->line != LINE_UP))
        return;
    uint32_t place = world->overheard_count < OVERHEARD_MAX
                         ? world->overheard_count++
                         : dice_below(&world->strange_dice, OVERHEARD_MAX);
    letter_free(world->overheard[place]);
    world->overheard[place] = letter_copy(letter->frames, letter->frames_count);
    world->overheard[place]->line = letter->line;
    world->overheard[place]->token = letter->token;
}

/* -- spoiling -- */

static uint64_t choose_number(struct dice *dice, uint64_t was)
{
    const uint64_t numbers[] = {0, was + 1, was - 1, ATTEMPT_OF_NOBODY + 1, UINT32_MAX, UINT64_MAX};
    return numbers[dice_below(dice, sizeof numbers / sizeof *numbers)];
}

/* Where the header's elements begin, as far as they are numbers and bytes. returns how many. */
static uint32_t find_elements(struct slice header, size_t *places, uint32_t places_max)
{
    struct unpacker unpacker;
    uint32_t found = 0;
    unpack_begin(&unpacker, header);
    uint32_t elements = unpack_array(&unpacker);
    while (found < elements && found < places_max) {
        struct unpacker ahead = unpacker;
        places[found] = unpacker.at;
        (void)unpack_unsigned(&ahead, UINT64_MAX);
        if (ahead.failed) {
            ahead = unpacker;
            (void)unpack_bin(&ahead, 0, UINT32_MAX);
        }
        if (ahead.failed)
            break;
        unpacker = ahead;
        found++;
    }
    return found;
}

/* Puts another number in the place of one; of bytes, changes one. */
static void spoil_field(struct dice *dice, struct saying *saying)
{
    size_t places[ELEMENTS_MAX];
    struct slice whole = saying->frames[0];
    uint32_t elements = find_elements(whole, places, ELEMENTS_MAX);
    if (elements == 0)
        return;
    size_t place = places[dice_below(dice, elements)];
    struct unpacker unpacker = {.packed = whole, .at = place};
    uint64_t was = unpack_unsigned(&unpacker, UINT64_MAX);
    if (unpacker.failed) {
        saying->header[place + 2] ^= 1; /* behind the head of a short bin */
        return;
    }
    uint8_t behind[HEADER_ROOM];
    size_t left = whole.bytes - unpacker.at;
    memcpy(behind, whole.data + unpacker.at, left);
    struct packer packer;
    pack_begin(&packer, saying->header + place, HEADER_ROOM - place);
    pack_unsigned(&packer, choose_number(dice, was));
    memcpy(saying->header + place + packer.bytes, behind, left);
    saying->frames[0].bytes = place + packer.bytes + left;
}

static void spoil_frames(struct dice *dice, struct saying *saying)
{
    if (dice_below(dice, 2) == 0 && saying->frames_count < LETTER_FRAMES)
        saying->frames[saying->frames_count++] = saying->frames[0];
    else if (saying->frames_count > 1)
        saying->frames_count--;
    else
        saying->frames[0].bytes = 0;
}

/* The last frame is one byte larger than anything may be. */
static void spoil_size(struct saying *saying)
{
    struct slice *last = &saying->frames[saying->frames_count - 1];
    size_t bytes = saying->frames_count > 1 ? BATCH_BYTES_MAX + 1 : HEADER_BYTES_MAX + 1;
    saying->large = calloc(1, bytes);
    CHECK(saying->large != NULL);
    memcpy(saying->large, last->data, last->bytes);
    *last = (struct slice){saying->large, bytes};
}

static void spoil(struct dice *dice, struct saying *saying)
{
    struct slice *body = &saying->frames[saying->frames_count - 1];
    size_t bytes = saying->frames[0].bytes;
    switch ((enum spoiling)dice_below(dice, SPOILINGS)) {
    case SPOILS_BYTE:
        saying->header[dice_below(dice, (uint32_t)bytes)] ^= (uint8_t)(1 + dice_below(dice, 255));
        return;
    case SPOILS_END:
        saying->frames[0].bytes = dice_below(dice, (uint32_t)bytes);
        return;
    case SPOILS_LENGTH:
        saying->header[saying->frames[0].bytes++] = (uint8_t)dice_roll(dice);
        return;
    case SPOILS_FRAMES:
        spoil_frames(dice, saying);
        return;
    case SPOILS_DOOR:
        saying->door = (const enum line[]){LINE_BETS, LINE_REQUEST, LINE_UP}[dice_below(dice, 3)];
        return;
    case SPOILS_SIZE:
        spoil_size(saying);
        return;
    case SPOILS_BODY:
        body->bytes = dice_below(dice, (uint32_t)body->bytes + 1);
        return;
    case SPOILS_FIELD:
    case SPOILS_FIELD_AGAIN:
        spoil_field(dice, saying);
        return;
    case SPOILINGS:
        break;
    }
}

/* -- what he may say -- */

static bool is_of_nobody(const struct world *world, uint32_t draw, uint32_t agency,
                         uint32_t attempt)
{
    return draw == 0 || draw > world->plan.draws || agency == 0 || agency > world->plan.agencies ||
           attempt > ATTEMPT_OF_NOBODY;
}

/* Nothing on bets is answered: it is taken or dropped. `is_nonsense`: the core must not change. */
static bool may_come_to_bets(const struct world *world, const struct saying *saying,
                             const struct message *said, const struct message *heard,
                             bool *is_nonsense)
{
    *is_nonsense = true;
    if (said->kind == MESSAGE_BATCH)
        return saying->frames_count != 2 || saying->frames[1].bytes > BATCH_BYTES_MAX ||
               is_of_nobody(world, said->draw, said->batch.agency, said->batch.attempt);
    if (said->kind != MESSAGE_MARK)
        return true;
    if (is_of_nobody(world, said->draw, said->mark.agency, said->mark.attempt))
        return true;
    /* A round is a hint, whoever gives it. */
    *is_nonsense = false;
    return said->draw == heard->draw && said->mark.agency == heard->mark.agency &&
           said->mark.incarnation <= heard->mark.incarnation;
}

static bool may_be_hello(const struct world *world, const struct message *said,
                         const struct message *heard)
{
    const struct message_hello *hello = &said->hello;
    if (said->draw == 0 || said->draw > world->plan.draws)
        return true;
    /* Without a roster anybody may come in, and is waited for. */
    if (hello->agency == 0 || hello->agency > world->plan.agencies)
        return world->plan.has_roster;
    return said->draw == heard->draw && hello->agency == heard->hello.agency &&
           hello->incarnation <= heard->hello.incarnation &&
           (hello->attempt == heard->hello.attempt || hello->attempt > ATTEMPT_OF_NOBODY) &&
           (plan_is_equal(&hello->plan, &heard->hello.plan) || !plan_is_valid(&hello->plan));
}

static bool may_be_poll(const struct world *world, const struct message *said,
                        const struct message *heard)
{
    const struct message_poll *poll = &said->poll;
    if (is_of_nobody(world, said->draw, poll->agency, 0))
        return true;
    bool is_declared = poll->has_declaration == heard->poll.has_declaration &&
                       declaration_is_equal(&poll->declaration, &heard->poll.declaration);
    return said->draw == heard->draw && poll->agency == heard->poll.agency &&
           poll->incarnation <= heard->poll.incarnation &&
           (poll->attempt == heard->poll.attempt || poll->attempt > ATTEMPT_OF_NOBODY) &&
           (is_declared || !poll->has_declaration ||
            !digest_is_equal(&poll->declaration.root, &heard->poll.declaration.root));
}

static bool may_be_asked(const struct world *world, const struct message *said,
                         const struct message *heard, bool *is_nonsense)
{
    *is_nonsense = false;
    switch ((int)said->kind) {
    case MESSAGE_HELLO:
        return said->kind == heard->kind && may_be_hello(world, said, heard);
    case MESSAGE_POLL:
        return said->kind == heard->kind && may_be_poll(world, said, heard);
    case MESSAGE_BYE: /* in somebody's name it would be his last word */
        return is_of_nobody(world, said->draw, said->bye.agency, 0);
    case MESSAGE_WINNERS:
    case MESSAGE_DIGESTS:
        return true;
    default:
        *is_nonsense = true;
        return true;
    }
}

/* Over a connection that nobody has registered: all but REGISTER and FENCED is answered by WHO. */
static bool may_come_up(const struct broker_actor *actor, const struct message *said,
                        const struct message *heard, bool *is_nonsense)
{
    *is_nonsense = true;
    if (said->kind == MESSAGE_FENCED)
        return said->fenced.epoch.number < actor->epoch.number;
    if (said->kind != MESSAGE_REGISTER)
        return true;
    /* Whom a broker that was started since has not heard of, it may take for the store. */
    *is_nonsense = false;
    return heard->kind == MESSAGE_REGISTER &&
           id_is_equal(&said->registration.store, &heard->registration.store) &&
           said->registration.opening.number < heard->registration.opening.number &&
           said->registration.epoch.number == heard->registration.epoch.number &&
           id_is_equal(&said->registration.epoch.id, &heard->registration.epoch.id);
}

static bool may_be_said(const struct world *world, const struct saying *saying, bool *is_nonsense)
{
    struct message said;
    struct message heard;
    *is_nonsense = true;
    if (message_decode(saying->frames[0], &said) != STATUS_OK)
        return true;
    if (message_decode(saying->heard->frames[0], &heard) != STATUS_OK)
        return false;
    if (saying->door == LINE_BETS)
        return may_come_to_bets(world, saying, &said, &heard, is_nonsense);
    if (saying->door == LINE_REQUEST)
        return may_be_asked(world, &said, &heard, is_nonsense);
    return may_come_up(&world->brokers[world->address], &said, &heard, is_nonsense);
}

void stranger_speak(struct world *world)
{
    struct dice *dice = &world->strange_dice;
    const struct broker_actor *actor = &world->brokers[world->address];
    if (!world_may(world, MISHAP_STRANGER) || world->overheard_count == 0 ||
        !dice_happens(dice, SPEAKS_MILLIONTHS * world->plan.harshness) || !actor->is_up ||
        actor->paused_until_ms > world->now_ms)
        return;
    struct saying saying = {.heard = world->overheard[dice_below(dice, world->overheard_count)]};
    bool is_nonsense;
    saying.door = saying.heard->line;
    saying.frames_count = saying.heard->frames_count;
    memcpy(saying.frames, saying.heard->frames, sizeof saying.frames);
    memcpy(saying.header, saying.frames[0].data, saying.frames[0].bytes);
    saying.frames[0].data = saying.header;
    spoil(dice, &saying);
    if (may_be_said(world, &saying, &is_nonsense)) {
        struct letter *letter = letter_copy(saying.frames, saying.frames_count);
        letter->line = saying.door;
        letter->party = STRANGER;
        letter->connection = STRANGERS_CONNECTION;
        letter->token = saying.heard->token;
        letter->is_strange = true;
        letter->is_nonsense = is_nonsense;
        world->counts[MISHAP_STRANGER]++;
        broker_actor_turn(world, world->address, letter);
    }
    free(saying.large);
}

void stranger_forget(struct world *world)
{
    for (uint32_t i = 0; i < world->overheard_count; i++)
        letter_free(world->overheard[i]);
    world->overheard_count = 0;
}

/* -- what a broker makes of it -- */

void stranger_look(const struct broker_actor *actor, const struct letter *letter,
                   struct broker_before *before)
{
    const char *problem;
    if (!letter->is_strange && letter->garbled == NULL)
        return;
    before->verdict = broker_verdict(actor->broker, &problem);
    before->records = records_count(actor->records);
    before->outbox = outbox_count(actor->outbox);
    before->fingerprint = broker_fingerprint(actor->broker);
}

void stranger_judge(struct world *world, const struct broker_actor *actor,
                    const struct letter *letter, const struct broker_before *before)
{
    const char *problem;
    if (!letter->is_strange || before->verdict != STATUS_OK)
        return;
    if (broker_verdict(actor->broker, &problem) != STATUS_OK) {
        if (letter->is_nonsense)
            world_violate(world, "[stranger] the broker ends for a stranger: %s", problem);
        return;
    }
    if (letter->is_nonsense && (records_count(actor->records) != before->records ||
                                broker_fingerprint(actor->broker) != before->fingerprint))
        world_violate(world, "[stranger] nonsense changes the broker");
    if (letter->line == LINE_REQUEST && outbox_count(actor->outbox) != before->outbox + 1)
        world_violate(world, "[stranger] a request is answered %zu times",
                      outbox_count(actor->outbox) - before->outbox);
}
