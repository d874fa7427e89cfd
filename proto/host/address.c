#include "proto/host/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- as it is written ---- */

/* ":PORT". returns false: it is of another form, or no port that the broker can have. */
static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t number = 0;
    if (text[0] != ':' || text[1] == '\0')
        return false;
    for (const char *at = text + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        number = number * 10 + (uint32_t)(*at - '0');
        if (number > PORT_MAX)
            return false;
    }
    if (number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* An IPv6 address without brackets: what follows its last colon is not taken for a port. A name or
 * an IPv4 address with two colons is a slip of the pen, and no host to wait for. */
static bool is_bare_ipv6(const char *text)
{
    const char *colon = text + strspn(text, "0123456789abcdefABCDEF"); /* no dot is before it */
    const char *end = text + strspn(text, "0123456789abcdefABCDEF:.");
    return *colon == ':' && strchr(colon + 1, ':') != NULL && (*end == '\0' || *end == '%');
}

enum status address_parse(const char *text, struct address *address)
{
    const char *from = text;
    const char *to = NULL;   /* end of the host */
    const char *rest = NULL; /* "" or ":PORT" */
    if (text[0] == '[') {
        from = text + 1;
        to = strchr(from, ']');
        rest = to == NULL ? NULL : to + 1;
    } else {
        const char *colon = strchr(text, ':');
        to = colon == NULL || is_bare_ipv6(text) ? text + strlen(text) : colon;
        rest = to;
    }
    if (to == NULL || to == from || (size_t)(to - from) >= sizeof address->host)
        return STATUS_INVALID;
    for (const char *at = from; at < to; at++)
        if (*at <= ' ' || *at > '~' || strchr("/[]", *at) != NULL)
            return STATUS_INVALID;
    if (rest[0] != '\0' && !parse_port(rest, &address->port))
        return STATUS_INVALID;
    memcpy(address->host, from, (size_t)(to - from));
    address->host[to - from] = '\0';
    return STATUS_OK;
}

bool address_is_literal(const char *host)
{
    uint8_t binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

/* ---- as the machine knows it ---- */

/* A name service that does not answer holds the caller for 2 s, and not for the 10 s that
 * resolv.conf(5) has by default (two tries of 5 s): a program ends within 5 s of SIGTERM. The
 * settings are the calling thread's own. */
static int look_up(const char *host, struct addrinfo **found)
{
    if (res_init() == 0) {
        _res.retrans = 1;
        _res.retry = 2;
    }
    struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    return getaddrinfo(host, NULL, &wanted, found);
}

/* The kernel knows best: an address is this machine's when a socket may be bound to it. */
static bool is_bindable(const struct addrinfo *address)
{
    int descriptor = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return false;
    int rc = bind(descriptor, address->ai_addr, address->ai_addrlen);
    close(descriptor);
    return rc == 0;
}

bool address_is_local(const char *host)
{
    if (strcmp(host, "*") == 0)
        return true;
    struct addrinfo *found = NULL;
    if (look_up(host, &found) != 0)
        return false;
    bool is_local = false;
    for (const struct addrinfo *at = found; at != NULL && !is_local; at = at->ai_next)
        is_local = is_bindable(at);
    freeaddrinfo(found);
    return is_local;
}

static bool is_inside(const struct addrinfo *address)
{
    struct sockaddr_in v4 = {0};
    struct sockaddr_in6 v6 = {0};
    if (address->ai_family == AF_INET)
        memcpy(&v4, address->ai_addr, sizeof v4);
    else if (address->ai_family == AF_INET6)
        memcpy(&v6, address->ai_addr, sizeof v6);
    return (address->ai_family == AF_INET && ntohl(v4.sin_addr.s_addr) >> 24 == 127) ||
           (address->ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
}

bool address_is_loopback(const char *host)
{
    struct addrinfo *found = NULL;
    if (look_up(host, &found) != 0)
        return false;
    bool is_loopback = true;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        is_loopback = is_loopback && is_inside(at);
    freeaddrinfo(found);
    return is_loopback;
}

const char *address_resolve(const char *host, char *digits, size_t digits_bytes)
{
    struct addrinfo *found = NULL;
    int rc = look_up(host, &found);
    if (rc != 0)
        return gai_strerror(rc);
    if (found == NULL)
        return gai_strerror(EAI_NONAME);
    const struct addrinfo *chosen = found;
    for (const struct addrinfo *at = found; at != NULL && chosen->ai_family != AF_INET;
         at = at->ai_next)
        if (at->ai_family == AF_INET)
            chosen = at;
    rc = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, digits, (socklen_t)digits_bytes, NULL, 0,
                     NI_NUMERICHOST);
    freeaddrinfo(found);
    return rc == 0 ? NULL : gai_strerror(rc);
}
