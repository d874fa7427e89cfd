/* CHECK() states what our own code guarantees; it stays on in production. It is never put on bytes
 * that come from a file, a socket, the environment or a disk: those are statuses (status.h). */
#ifndef SORTEO_PROTO_WIRE_CHECK_H
#define SORTEO_PROTO_WIRE_CHECK_H

/* Writes "file:line: function: condition does not hold" to stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *function,
                            const char *condition);

#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #condition))

#endif
