/* One table, several places that may speak for an option. Every place only names a text; the first
 * in the order of `places` that does wins, and only the winner's text is read. So a wrong variable
 * that a flag overrides hurts nobody, and one more place is one more line in `places` and in
 * `look_up`. */
#include "proto/host/options.h"

/* argp.h brings getopt's own struct option along, which nobody here needs: it gets another name. */
#define option getopt_option
#include <argp.h>
#undef option

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "proto/wire/check.h"
#include "proto/wire/limits.h"

enum {
    OPTIONS_MAX = 64, /* in one table; the broker has 18 */
    KEY_FIRST =
        0x100, /* argp's key of the first option: above every character, so none has a letter */
    KEY_HELP = '?',
    KEY_USAGE = KEY_FIRST + OPTIONS_MAX,
    KEY_VERSION = 'V',
    VARIABLE_BYTES_MAX = 64,
    HELP_BYTES_MAX = 1024,   /* of one option, or of one error */
    DOC_BYTES_MAX = 8192,    /* the paragraphs around the options */
    DECIMAL_DIGITS_MAX = 20, /* of a uint64_t */
    TEXTS = 3,               /* options that only print: --help, --usage, --version */
};

enum place { PLACE_COMMAND_LINE, PLACE_SORTEO_VARIABLE, PLACE_COURSE_VARIABLE, PLACES };

/* The run of argp over one command line. */
struct reading {
    const struct program *program; /* borrowed */
    const char
        *flagged[OPTIONS_MAX]; /* what the command line says for each option; NULL: nothing */
};

void options_fail(const struct program *program, const char *format, ...)
{
    char message[HELP_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\nTry '%s --help' for more.\n", program->name, message, program->name);
    exit(EX_USAGE);
}

/* ---- where a value comes from ---- */

/* "batch-bets" → "SORTEO_BATCH_BETS". */
static void name_variable(const struct option *option, char variable[VARIABLE_BYTES_MAX])
{
    int bytes = snprintf(variable, VARIABLE_BYTES_MAX, "SORTEO_%s", option->name);
    CHECK(bytes > 0 && bytes < VARIABLE_BYTES_MAX);
    for (char *at = variable; *at != '\0'; at++)
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
}

/* A variable that is set to nothing counts as not set: compose files and unit files leave such
 * ones. */
static const char *look_up_variable(const char *variable)
{
    const char *text = variable == NULL ? NULL : getenv(variable);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

/* What one place says for an option, NULL when it says nothing. out: the name by which to blame
 * it. */
static const char *look_up(const struct reading *reading, size_t index, enum place place,
                           char blamed[VARIABLE_BYTES_MAX])
{
    const struct option *option = &reading->program->options[index];
    switch (place) {
    case PLACE_COMMAND_LINE:
        snprintf(blamed, VARIABLE_BYTES_MAX, "--%s", option->name);
        return reading->flagged[index];
    case PLACE_SORTEO_VARIABLE:
        name_variable(option, blamed);
        return look_up_variable(blamed);
    case PLACE_COURSE_VARIABLE:
        snprintf(blamed, VARIABLE_BYTES_MAX, "%s", option->course == NULL ? "" : option->course);
        return look_up_variable(option->course);
    case PLACES:
        break;
    }
    return NULL;
}

/* ---- what a value means ---- */

enum status options_parse_number(const char *text, uint64_t *number)
{
    size_t digits = strlen(text);
    if (digits == 0 || digits > DECIMAL_DIGITS_MAX)
        return STATUS_INVALID;
    uint64_t value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return STATUS_INVALID;
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return STATUS_INVALID;
        value = value * 10 + digit;
    }
    *number = value;
    return STATUS_OK;
}

static bool parse_flag(const char *text, bool *flag)
{
    static const char *const words[] = {"0", "1", "no", "yes", "false", "true"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *flag = i % 2 == 1;
            return true;
        }
    return false;
}

static int find_choice(const struct option *option, const char *text)
{
    for (int i = 0; option->choices[i] != NULL; i++)
        if (strcmp(text, option->choices[i]) == 0)
            return i;
    return -1;
}

/* "void", "draw" → "void|draw". */
static void join_choices(const struct option *option, char joined[HELP_BYTES_MAX])
{
    joined[0] = '\0';
    for (int i = 0; option->choices[i] != NULL; i++) {
        size_t bytes = strlen(joined);
        snprintf(joined + bytes, HELP_BYTES_MAX - bytes, "%s%s", i == 0 ? "" : "|",
                 option->choices[i]);
    }
}

/* Reads `text` into the option's value, or ends the program with the reason why it cannot be
 * one. */
static void take(const struct program *program, const struct option *option, const char *text,
                 const char *blamed)
{
    char choices[HELP_BYTES_MAX];
    uint64_t number = 0;
    int choice = 0;
    switch (option->type) {
    case OPTION_FLAG:
        if (!parse_flag(text, option->value))
            options_fail(program, "%s is '%s', but it takes 1 or 0 (yes or no)", blamed, text);
        break;
    case OPTION_NUMBER:
        if (options_parse_number(text, &number) != STATUS_OK || number < option->min ||
            number > option->max)
            options_fail(program, "%s is '%s', but it takes a whole number from %ju to %ju", blamed,
                         text, (uintmax_t)option->min, (uintmax_t)option->max);
        *(uint64_t *)option->value = number;
        break;
    case OPTION_TEXT:
        if (text[0] == '\0')
            options_fail(program, "%s is empty, but it takes %s", blamed, option->argument);
        *(const char **)option->value = text;
        break;
    case OPTION_CHOICE:
        choice = find_choice(option, text);
        join_choices(option, choices);
        if (choice < 0)
            options_fail(program, "%s is '%s', but it takes one of %s", blamed, text, choices);
        *(int *)option->value = choice;
        break;
    }
    if (option->is_set != NULL)
        *option->is_set = true;
}

/* ---- --help ---- */

/* " (default 64; SORTEO_BATCH_BETS, BATCH_SIZE)" behind what an option does. */
static char *describe(const struct option *option, const char *help)
{
    char value[HELP_BYTES_MAX] = "";
    switch (option->is_set != NULL ? OPTION_FLAG : option->type) {
    case OPTION_FLAG:
        break; /* its absence is the default */
    case OPTION_NUMBER:
        snprintf(value, sizeof value, "default %ju; ", (uintmax_t) * (uint64_t *)option->value);
        break;
    case OPTION_TEXT:
        if (*(const char **)option->value != NULL)
            snprintf(value, sizeof value, "default %s; ", *(const char **)option->value);
        break;
    case OPTION_CHOICE:
        snprintf(value, sizeof value, "default %s; ", option->choices[*(int *)option->value]);
        break;
    }
    char variable[VARIABLE_BYTES_MAX];
    name_variable(option, variable);
    bool has_course = option->course != NULL;
    char *described = NULL;
    int rc = asprintf(&described, "%s (%s%s%s%s)", help, value, variable, has_course ? ", " : "",
                      has_course ? option->course : "");
    return rc < 0 ? NULL : described;
}

/* argp frees what this returns if it is another text than it gave. */
static char *filter_help(int key, const char *text, void *input)
{
    const struct reading *reading = input;
    int index = key - KEY_FIRST;
    char *described = NULL;
    if (reading != NULL && text != NULL && index >= 0 &&
        index < (int)reading->program->options_count)
        described = describe(&reading->program->options[index], text);
    return described != NULL ? described : strdup(text == NULL ? "" : text);
}

/* ---- the command line ---- */

/* Whoever asked for a text has it, or is told that it could not be written. */
static _Noreturn void end_after_text(const struct program *program)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        exit(EX_OK);
    fprintf(stderr, "%s: cannot write to standard output: %s\n", program->name, strerror(errno));
    exit(EX_IOERR);
}

static error_t parse_argument(int key, char *text, struct argp_state *state)
{
    struct reading *reading = state->input;
    if (key >= KEY_FIRST && key < KEY_FIRST + (int)reading->program->options_count) {
        reading->flagged[key - KEY_FIRST] = text == NULL ? "1" : text;
        return 0;
    }
    if (key == KEY_HELP)
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
    if (key == KEY_USAGE)
        argp_state_help(state, stdout, ARGP_HELP_USAGE);
    if (key == KEY_VERSION)
        printf("%s %s\n", reading->program->name, SORTEO_VERSION);
    if (key == KEY_HELP || key == KEY_USAGE || key == KEY_VERSION)
        end_after_text(reading->program);
    if (key == ARGP_KEY_ARG && reading->program->arguments[0] == '\0')
        options_fail(reading->program, "'%s' is no option, and nothing else is expected here",
                     text);
    return ARGP_ERR_UNKNOWN; /* what is no option stays for the caller: options_read tells where */
}

/* argp sorts by name unless every option is a group of its own. */
static void describe_to_argp(const struct program *program, struct argp_option *described)
{
    for (size_t i = 0; i < program->options_count; i++) {
        const struct option *option = &program->options[i];
        described[i] = (struct argp_option){
            .name = option->name,
            .key = KEY_FIRST + (int)i,
            .arg = option->type == OPTION_FLAG ? NULL : option->argument,
            .doc = option->help,
            .group = (int)i + 1,
        };
    }
    static const struct argp_option texts[TEXTS] = {
        {.name = "help", .key = KEY_HELP, .doc = "Give this help list", .group = -1},
        {.name = "usage", .key = KEY_USAGE, .doc = "Give a short usage message", .group = -1},
        {.name = "version", .key = KEY_VERSION, .doc = "Print program version", .group = -1},
    };
    memcpy(described + program->options_count, texts, sizeof texts);
}

int options_read(const struct program *program, int argc, char **argv)
{
    CHECK(program->options_count <= OPTIONS_MAX);
    struct argp_option described[OPTIONS_MAX + TEXTS + 1] = {{0}}; /* a row of zeros ends them */
    describe_to_argp(program, described);

    char texts[DOC_BYTES_MAX];
    int bytes = snprintf(texts, sizeof texts, "%s\v%s", program->summary, program->details);
    CHECK(bytes > 0 && bytes < DOC_BYTES_MAX);
    struct argp argp = {
        .options = described,
        .parser = parse_argument,
        .args_doc = program->arguments,
        .doc = texts,
        .help_filter = filter_help,
    };
    struct reading reading = {.program = program};
    int next = argc;
    char *invoked_as = argv[0]; /* a path, or a subcommand's name without its program's */
    char name[VARIABLE_BYTES_MAX];
    snprintf(name, sizeof name, "%s", program->name);
    argv[0] = name;
    error_t error = argp_parse(&argp, argc, argv, ARGP_NO_HELP, &next, &reading);
    argv[0] = invoked_as;
    if (error != 0)
        options_fail(program, "the command line cannot be read: %s", strerror(error));

    for (size_t i = 0; i < program->options_count; i++) {
        char blamed[VARIABLE_BYTES_MAX];
        const char *text = NULL;
        for (int place = 0; place < PLACES && text == NULL; place++)
            text = look_up(&reading, i, (enum place)place, blamed);
        if (text != NULL)
            take(program, &program->options[i], text, blamed);
    }
    return next;
}

/* ---- texts with a form of their own ---- */

/* Reads the digits of one id at *text, which is left behind them. */
static bool parse_id(const char **text, uint32_t *id)
{
    const char *at = *text;
    uint64_t value = 0;
    while (*at >= '0' && *at <= '9' && value <= UINT32_MAX)
        value = value * 10 + (uint64_t)(*at++ - '0');
    if (at == *text || value > UINT32_MAX)
        return false;
    *text = at;
    *id = (uint32_t)value;
    return true;
}

/* Reads one "N" or "N-M" at *text, which is left behind it. */
static bool parse_range(const char **text, uint32_t *first, uint32_t *last)
{
    if (!parse_id(text, first))
        return false;
    *last = *first;
    if (**text != '-')
        return true;
    (*text)++;
    return parse_id(text, last) && *first <= *last;
}

enum status options_parse_range(const char *text, uint32_t *first, uint32_t *last)
{
    uint32_t from;
    uint32_t to;
    if (strchr(text, '-') == NULL || !parse_range(&text, &from, &to) || *text != '\0')
        return STATUS_INVALID;
    *first = from;
    *last = to;
    return STATUS_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

enum status options_parse_ids(const char *text, uint32_t *ids, size_t ids_max, size_t *ids_count)
{
    size_t count = 0;
    for (const char *at = text;; at++) {
        uint32_t first;
        uint32_t last;
        if (!parse_range(&at, &first, &last) || (*at != ',' && *at != '\0'))
            return STATUS_INVALID;
        if ((uint64_t)last - first + 1 > ids_max - count)
            return STATUS_LIMIT;
        for (uint64_t id = first; id <= last; id++)
            ids[count++] = (uint32_t)id;
        if (*at == '\0')
            break;
    }
    qsort(ids, count, sizeof ids[0], compare_ids);
    for (size_t i = 1; i < count; i++)
        if (ids[i] == ids[i - 1])
            return STATUS_INVALID;
    *ids_count = count;
    return STATUS_OK;
}
