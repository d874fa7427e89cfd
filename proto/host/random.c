#include "proto/host/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proto/host/log.h"

void random_fill(void *buffer, size_t bytes)
{
    unsigned char *at = buffer;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            log_event(LOG_ERROR, "random", LOG_FAIL, "reason: %s", strerror(errno));
            abort();
        }
        at += got;
        bytes -= (size_t)got;
    }
}

void random_id(struct id *id)
{
    random_fill(id->bytes, sizeof id->bytes);
}
