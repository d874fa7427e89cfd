/* The broker's address: as a user writes it, and what this machine's resolver and kernel say about
 * a host. The only place that asks the name service. */
#ifndef SORTEO_PROTO_HOST_ADDRESS_H
#define SORTEO_PROTO_HOST_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/limits.h"
#include "proto/wire/status.h"

enum {
    PORT_DEFAULT = 5555,
    PORTS = 4, /* the one that is told and the three behind it */
    PORT_MAX = UINT16_MAX - (PORTS - 1),
};

struct address {
    char host[TEXT_BYTES_MAX]; /* a name or an address; `*` for the broker: every interface */
    uint16_t port;             /* of rendezvous, 1 to PORT_MAX */
};

/* Splits HOST[:PORT], [IPV6]:PORT, `*`. out: host without brackets; port (unchanged when there is
 * none). errors: INVALID: form, a host that is too long, a port outside 1..PORT_MAX; address is
 * untouched. */
enum status address_parse(const char *text, struct address *address);

/* True when the host is an address in digits, no name. */
bool address_is_literal(const char *host);

/* The next three wait for the name service where the host is a name: about 2 s at most. */

/* Whether the broker can bind `host`: `*`, or a name or an address that is this machine's. */
bool address_is_local(const char *host);

/* True when nobody outside this machine can reach a socket that is bound to this host. */
bool address_is_loopback(const char *host);

/* Writes the address in digits. A name that has both kinds is taken as IPv4: "localhost" has, and
 * the broker binds 127.0.0.1 unless told otherwise.
 * in: digits_bytes: NI_MAXHOST is always enough. returns NULL, or why there is none: the
 * resolver's own sentence. */
const char *address_resolve(const char *host, char *digits, size_t digits_bytes);

#endif
