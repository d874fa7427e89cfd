#include "agency/line.h"

#include "proto/wire/message.h"

void line_hang_up(struct line *line)
{
    socket_close(&line->rendezvous);
    socket_close(&line->bets);
    socket_close(&line->winners);
}

enum status line_dial(struct line *line, void *context, const struct address *broker, uint32_t draw,
                      uint32_t agency, char *problem, size_t problem_bytes)
{
    char topic[TOPIC_BYTES_MAX];
    (void)message_write_topic(draw, agency, topic);
    line_hang_up(line);
    enum status status = socket_open(context, SOCKET_AGENCY_RENDEZVOUS, broker, &line->rendezvous,
                                     problem, problem_bytes);
    if (status == STATUS_OK)
        status =
            socket_open(context, SOCKET_AGENCY_BETS, broker, &line->bets, problem, problem_bytes);
    if (status == STATUS_OK)
        status = socket_open(context, SOCKET_AGENCY_WINNERS, broker, &line->winners, problem,
                             problem_bytes);
    if (status == STATUS_OK)
        status = socket_subscribe(line->winners, topic);
    if (status != STATUS_OK)
        line_hang_up(line);
    return status;
}
