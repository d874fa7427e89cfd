/* A broker's connections in a world, and what leaves it over them. */
#include "proto/wire/check.h"
#include "tests/sim/world.h"

/* -- connections -- */

static void connect_party(struct world *world, enum line first, enum line last, uint32_t party)
{
    for (enum line line = first; line <= last; line++)
        if (network_connection(world->network, line, party) == 0)
            network_dial(world->network, line, party, world->address, true, world->now_ms);
}

void broker_actor_connect_all(struct world *world)
{
    if (!world->brokers[world->address].is_up)
        return;
    for (uint32_t i = 0; i < world->workers_count; i++)
        connect_party(world, LINE_UP, LINE_DOWN, i);
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        connect_party(world, LINE_BETS, LINE_WINNERS, i);
}

/* -- what goes out -- */

static void send_down(struct world *world, const struct outbound *sent)
{
    uint32_t party = (uint32_t)(sent->peer & 0xff);
    struct slice frames[LETTER_FRAMES] = {sent->header, sent->body};
    uint32_t frames_count = sent->has_body ? 2 : 1;
    if (sent->payload != NULL) {
        const struct letter *batch = sent->payload;
        frames[1] = batch->frames[0];
        frames[2] = batch->frames[1];
        frames_count = 3;
    }
    /* A ROUTER sends to the connection that it heard, or nowhere. */
    if (network_connection(world->network, LINE_UP, party) == sent->peer >> 8)
        network_send(world->network, LINE_DOWN, party, 0, frames, frames_count, world->now_ms);
    letter_free(sent->payload);
}

static void send_reply(struct world *world, uint32_t index, const struct outbound *sent)
{
    struct slice frames[] = {sent->header, sent->body};
    uint32_t party = (uint32_t)(sent->peer & 0xff);
    if (network_leads_to(world->network, LINE_REPLY, party, index))
        network_send(world->network, LINE_REPLY, party, sent->peer >> 8, frames,
                     sent->has_body ? 2 : 1, world->now_ms);
}

/* To those whose subscription leads here: topics are compared as a SUB does. */
static void send_winners(struct world *world, uint32_t index, const struct message *message,
                         const struct outbound *sent)
{
    struct slice frames[] = {sent->header, sent->body};
    for (uint32_t i = 0; i < world->plan.agencies; i++)
        if (message->result.agency == i + 1 &&
            network_leads_to(world->network, LINE_WINNERS, i, index))
            network_send(world->network, LINE_WINNERS, i, 0, frames, 2, world->now_ms);
}

void broker_actor_send(struct world *world, uint32_t index, const struct outbound *sent)
{
    struct message message;
    CHECK(message_decode(sent->header, &message) == STATUS_OK);
    world_trace_message(world, "broker", index, &message);
    told_by_broker(world, index, sent);
    if (sent->port == PORT_DISPATCH)
        send_down(world, sent);
    else if (sent->port == PORT_WINNERS)
        send_winners(world, index, &message, sent);
    else
        send_reply(world, index, sent);
}
