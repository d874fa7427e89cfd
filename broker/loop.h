/* The broker's loop: it owns the four sockets, takes messages in, gives them and the time to the
 * core, and lets out what the core wants sent, after its records are durable. It decides nothing
 * but the order: control before data, and bets only while the core wants them. */
#ifndef SORTEO_BROKER_LOOP_H
#define SORTEO_BROKER_LOOP_H

#include "broker/journal.h"
#include "proto/host/socket.h"

struct loop;

/* Binds the broker's four sockets.
 * errors: socket_open's, and NO_MEMORY; problem: one sentence for the user, problem_bytes with its
 * NUL. */
enum status loop_create(const struct address *address, struct loop **loop, char *problem,
                        size_t problem_bytes);
/* Closes the sockets; waits for the last replies to leave, 1 s at most. The core that holds batches
 * of this loop is destroyed before. */
void loop_destroy(struct loop **loop);

/* For broker_create; borrowed, as long as the loop lives. */
struct outbox *loop_outbox(struct loop *loop);
struct records *loop_records(struct loop *loop);
payload_release *loop_release(void);

/* Runs turns until a signal, the core's verdict or an error ends them. What a turn decided and
 * said before is durable and sent; of a turn that failed nothing leaves.
 * in: a broker that was started with this loop's outbox and records; stop: descriptor of
 * stop_begin.
 * out: problem: a sentence, valid until broker or journal go.
 * returns INTERRUPTED: a signal; END: every draw is over; or the verdict of core, journal or
 *         sockets. */
enum status loop_run(struct loop *loop, struct broker *broker, struct journal *journal, int stop,
                     const char **problem);

#endif
