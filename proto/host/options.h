/* A program's options: one table makes the command line, the environment variables and --help (argp
 * under it). A flag wins over the environment, the environment over the default. Every option has
 * the variable SORTEO_<NAME> (dashes become underscores); some have one of the course besides,
 * which it wins over. A variable that is set to nothing counts as not set. */
#ifndef SORTEO_PROTO_HOST_OPTIONS_H
#define SORTEO_PROTO_HOST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/status.h"

/* What --version says. */
#define SORTEO_VERSION "0.1.0"

enum option_type {
    OPTION_FLAG,   /* bool */
    OPTION_NUMBER, /* uint64_t in min..max */
    OPTION_TEXT,   /* const char *: argv's or the environment's own memory */
    OPTION_CHOICE, /* int: index into `choices` */
};

struct option {
    const char *name;     /* "batch-bets" */
    const char *argument; /* "N", as --help shows it; NULL with OPTION_FLAG */
    enum option_type type;
    void *value;  /* borrowed: where it goes; holds the default before options_read */
    uint64_t min; /* OPTION_NUMBER */
    uint64_t max;
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
    const char *course;         /* the course's environment variable, or NULL */
    bool *is_set;     /* set to true when it was given anywhere; may be NULL. With it, --help
                                   shows no default: its absence means something of its own */
    const char *help; /* what it does, for the user; the default is appended by itself */
};

/* What a program is, for --help and --version. */
struct program {
    const char *name;      /* "sorteo-agency" */
    const char *arguments; /* "" or "COMMAND" as --help shows it */
    const char *summary;   /* paragraph above the options */
    const char *details;   /* paragraphs below: examples, exit codes */
    const struct option *options;
    size_t options_count;
};

/* Reads environment and command line into the options' values. --help, --usage and --version print
 * and end the program with 0, or with 74 where that cannot be written; anything wrong prints what,
 * why and what to do, in two lines, and ends it with 64.
 * out: first argument that is no option (argc when there is none); none allowed unless `arguments`
 * says so. */
int options_read(const struct program *program, int argc, char **argv);

/* Ends the program with 64 after printing "NAME: " + message and how to get help. For rules between
 * options. */
_Noreturn void options_fail(const struct program *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Parses a whole number in digits. errors: INVALID: it is none, or more than 2^64 - 1. */
enum status options_parse_number(const char *text, uint64_t *number);

/* Parses "0-9999". errors: INVALID: form, or turned round. */
enum status options_parse_range(const char *text, uint32_t *first, uint32_t *last);

/* Parses "1,2,5-9" into ids in rising order. out: on errors ids_count is untouched, ids is not.
 * errors: INVALID: form, twice the same; LIMIT: more than ids_max. */
enum status options_parse_ids(const char *text, uint32_t *ids, size_t ids_max, size_t *ids_count);

#endif
