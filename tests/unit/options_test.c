#include "proto/host/options.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(options, .timeout = 10);

/* ---- a program with one option of each type ---- */

static const char *const ends[] = {"void", "draw", NULL};

struct values {
    bool check;
    uint64_t id;
    uint64_t bets;
    const char *broker;
    int on_timeout;
    bool id_is_set;
};

enum { OPTIONS = 5 };

struct fixture {
    struct values values;
    struct option options[OPTIONS];
    struct program program;
};

static struct fixture *begin(void)
{
    clearenv(); /* whatever the shell of whoever runs the tests has set */
    static struct fixture fixture;
    struct values *v = &fixture.values;
    *v = (struct values){.bets = 100, .broker = "localhost"};
    const struct option options[OPTIONS] = {
        {"id", "N", OPTION_NUMBER, &v->id, 0, 4294967295, NULL, "AGENCY_ID", &v->id_is_set,
         "the agency's id"},
        {"check", NULL, OPTION_FLAG, &v->check, 0, 0, NULL, NULL, NULL, "only read the file"},
        {"batch-bets", "N", OPTION_NUMBER, &v->bets, 1, 131072, NULL, "BATCH_SIZE", NULL,
         "bets that go into one batch at most, whatever they take"},
        {"broker", "HOST[:PORT]", OPTION_TEXT, &v->broker, 0, 0, NULL, NULL, NULL, "the broker"},
        {"on-timeout", "WHAT", OPTION_CHOICE, &v->on_timeout, 0, 0, ends, NULL, NULL,
         "what happens to a draw that is late: void or draw"},
    };
    memcpy(fixture.options, options, sizeof options);
    fixture.program = (struct program){"sorteo-agency",
                                       "",
                                       "Sends the bets of one agency.",
                                       "Exit codes: 0 done, 64 usage.",
                                       fixture.options,
                                       OPTIONS};
    return &fixture;
}

enum { ARGUMENTS_MAX = 8 };

/* Reads a command line written with single spaces, as argv[1..]. */
static int read_line(struct fixture *fixture, const char *line)
{
    static char words[512];
    snprintf(words, sizeof words, "%s", line);
    char *argv[ARGUMENTS_MAX + 2] = {(char[]){"some/path"}};
    int argc = 1;
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL && line[0] != '\0';
         word = strsep(&rest, " "))
        argv[argc++] = word;
    return options_read(&fixture->program, argc, argv);
}

/* What a program that ended left behind. */
struct ending {
    int code;
    char out[8192];
    char err[8192];
};

/* Ends a child at once behind its own exit(): LeakSanitizer looks for the threads of Criterion's
 * process, which a fork leaves behind, and complains. */
static void leave(int code, void *unused)
{
    (void)unused;
    fflush(NULL);
    _exit(code);
}

/* Reads a command line in a child, since it ends the process. */
static const struct ending *read_to_the_end(struct fixture *fixture, const char *line)
{
    static struct ending ending;
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    cr_assert(out != NULL && err != NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        on_exit(leave, NULL);
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        read_line(fixture, line);
        _exit(99); /* it came back */
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    ending.code = WEXITSTATUS(status);
    rewind(out);
    rewind(err);
    ending.out[fread(ending.out, 1, sizeof ending.out - 1, out)] = '\0';
    ending.err[fread(ending.err, 1, sizeof ending.err - 1, err)] = '\0';
    fclose(out);
    fclose(err);
    return &ending;
}

static void assert_refused(struct fixture *fixture, const char *line, const char *sentence)
{
    const struct ending *ending = read_to_the_end(fixture, line);
    char expected[512];
    snprintf(expected, sizeof expected, "sorteo-agency: %s\nTry 'sorteo-agency --help' for more.\n",
             sentence);
    cr_assert_str_eq(ending->err, expected);
    cr_assert_eq(ending->code, 64);
    cr_assert_str_eq(ending->out, "");
}

/* ---- where values come from ---- */

Test(options, defaults_stay_where_nobody_speaks)
{
    struct fixture *f = begin();
    cr_assert_eq(read_line(f, ""), 1);
    cr_assert_eq(f->values.bets, 100);
    cr_assert_eq(f->values.on_timeout, 0);
    cr_assert_str_eq(f->values.broker, "localhost");
    cr_assert_not(f->values.check);
    cr_assert_not(f->values.id_is_set);
}

Test(options, command_line_sets_each_type)
{
    struct fixture *f = begin();
    cr_assert_eq(read_line(f,
                           "--id 0 --check --batch-bets=131072 --broker=[::1]:7 --on-timeout draw"),
                 8);
    cr_assert_eq(f->values.id, 0);
    cr_assert(f->values.id_is_set);
    cr_assert(f->values.check);
    cr_assert_eq(f->values.bets, 131072);
    cr_assert_str_eq(f->values.broker, "[::1]:7");
    cr_assert_eq(f->values.on_timeout, 1);
}

Test(options, variables_set_each_type)
{
    struct fixture *f = begin();
    setenv("SORTEO_ID", "4294967295", 1);
    setenv("SORTEO_CHECK", "yes", 1);
    setenv("SORTEO_BATCH_BETS", "1", 1);
    setenv("SORTEO_BROKER", "broker:6000", 1);
    setenv("SORTEO_ON_TIMEOUT", "draw", 1);
    read_line(f, "");
    cr_assert_eq(f->values.id, 4294967295);
    cr_assert(f->values.id_is_set);
    cr_assert(f->values.check);
    cr_assert_eq(f->values.bets, 1);
    cr_assert_str_eq(f->values.broker, "broker:6000");
    cr_assert_eq(f->values.on_timeout, 1);
}

Test(options, flag_wins_over_sorteo_s_variable_over_the_course_s_over_the_default)
{
    struct fixture *f = begin();
    setenv("BATCH_SIZE", "10", 1);
    read_line(f, "");
    cr_assert_eq(f->values.bets, 10);
    setenv("SORTEO_BATCH_BETS", "20", 1);
    read_line(f, "");
    cr_assert_eq(f->values.bets, 20);
    read_line(f, "--batch-bets 30");
    cr_assert_eq(f->values.bets, 30);
}

Test(options, flag_of_the_environment_can_say_no)
{
    static const char *const noes[] = {"0", "no", "false", "False"};
    for (size_t i = 0; i < sizeof noes / sizeof noes[0]; i++) {
        struct fixture *f = begin();
        f->values.check = true;
        setenv("SORTEO_CHECK", noes[i], 1);
        read_line(f, "");
        cr_assert_not(f->values.check, "%s", noes[i]);
    }
}

Test(options, empty_variable_counts_as_not_set)
{
    struct fixture *f = begin();
    setenv("SORTEO_BATCH_BETS", "", 1);
    setenv("BATCH_SIZE", "10", 1);
    setenv("SORTEO_BROKER", "", 1);
    read_line(f, "");
    cr_assert_eq(f->values.bets, 10);
    cr_assert_str_eq(f->values.broker, "localhost");
}

Test(options, wrong_variable_that_a_flag_overrides_hurts_nobody)
{
    struct fixture *f = begin();
    setenv("SORTEO_BATCH_BETS", "many", 1);
    read_line(f, "--batch-bets 30");
    cr_assert_eq(f->values.bets, 30);
}

Test(options, last_of_two_flags_wins)
{
    struct fixture *f = begin();
    read_line(f, "--id 1 --id 2");
    cr_assert_eq(f->values.id, 2);
}

Test(options, arguments_stay_for_a_program_that_takes_some)
{
    struct fixture *f = begin();
    f->program.arguments = "COMMAND";
    cr_assert_eq(read_line(f, "--id 1 status now"), 3);
    cr_assert_eq(read_line(f, "--id 1"), 3, "argc where there is none");
}

/* ---- what is refused ---- */

Test(options, number_must_be_plain_digits_in_its_range)
{
    struct fixture *f = begin();
    static const char *const wrong[] = {"0",
                                        "131073",
                                        "-1",
                                        "+1",
                                        "0x10",
                                        "1e3",
                                        "1.5",
                                        "ten",
                                        "10 ",
                                        "18446744073709551617",
                                        "99999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("SORTEO_BATCH_BETS", wrong[i], 1);
        char sentence[256];
        snprintf(sentence, sizeof sentence,
                 "SORTEO_BATCH_BETS is '%s', but it takes a whole number from 1 to 131072",
                 wrong[i]);
        assert_refused(f, "", sentence);
    }
}

Test(options, error_names_the_place_that_spoke)
{
    struct fixture *f = begin();
    setenv("AGENCY_ID", "x", 1);
    assert_refused(f, "", "AGENCY_ID is 'x', but it takes a whole number from 0 to 4294967295");
    assert_refused(f, "--id=y", "--id is 'y', but it takes a whole number from 0 to 4294967295");
    assert_refused(f, "--id=", "--id is '', but it takes a whole number from 0 to 4294967295");
}

Test(options, refuses_what_is_no_choice_no_flag_and_no_text)
{
    struct fixture *f = begin();
    assert_refused(f, "--id 1 --on-timeout voi",
                   "--on-timeout is 'voi', but it takes one of void|draw");
    assert_refused(f, "--id 1 --broker=", "--broker is empty, but it takes HOST[:PORT]");
    setenv("SORTEO_CHECK", "2", 1);
    assert_refused(f, "--id 1", "SORTEO_CHECK is '2', but it takes 1 or 0 (yes or no)");
}

Test(options, refuses_an_argument_where_none_is_expected)
{
    assert_refused(begin(), "--id 1 now", "'now' is no option, and nothing else is expected here");
}

Test(options, refuses_an_option_that_does_not_exist)
{
    const struct ending *ending = read_to_the_end(begin(), "--agencies 5");
    cr_assert_eq(ending->code, 64);
    cr_assert_not_null(strstr(ending->err, "sorteo-agency: unrecognized option '--agencies'"), "%s",
                       ending->err);
    cr_assert_not_null(strstr(ending->err, "--help"), "%s", ending->err);
}

Test(options, refuses_an_option_without_its_value)
{
    const struct ending *ending = read_to_the_end(begin(), "--id");
    cr_assert_eq(ending->code, 64);
    cr_assert_not_null(strstr(ending->err, "option '--id' requires an argument"), "%s",
                       ending->err);
}

/* ---- --help and --version ---- */

Test(options, version_is_name_and_number)
{
    const struct ending *ending = read_to_the_end(begin(), "--version");
    cr_assert_eq(ending->code, 0);
    cr_assert_str_eq(ending->out, "sorteo-agency 0.1.0\n");
}

Test(options, help_shows_summary_options_in_order_variables_defaults_and_details)
{
    const struct ending *ending = read_to_the_end(begin(), "--help");
    cr_assert_eq(ending->code, 0);
    static const char *const expected[] = {
        "Usage: sorteo-agency [OPTION...]",
        "Sends the bets of one agency.",
        "--id=N",
        "SORTEO_ID, AGENCY_ID",
        "--check",
        "--batch-bets=N",
        "default 100",
        "--broker=HOST[:PORT]",
        "default localhost",
        "--on-timeout=WHAT",
        "default void",
        "--help",
        "--version",
        "Exit codes: 0 done, 64 usage.",
    };
    cr_assert_null(strstr(ending->out, "default 0"), "what the program asks for has no default");
    const char *at = ending->out;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        at = strstr(at, expected[i]);
        cr_assert_not_null(at, "'%s' is not in its place in:\n%s", expected[i], ending->out);
    }
}

Test(options, help_fits_into_80_columns)
{
    const struct ending *ending = read_to_the_end(begin(), "--help");
    for (const char *line = ending->out; *line != '\0';) {
        size_t columns = strcspn(line, "\n");
        cr_assert_lt(columns, 80u, "%.*s", (int)columns, line);
        line += columns + (line[columns] == '\n');
    }
}

Test(options, fail_is_for_rules_between_options)
{
    fflush(NULL);
    struct fixture *f = begin();
    FILE *err = tmpfile();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        on_exit(leave, NULL);
        dup2(fileno(err), STDERR_FILENO);
        options_fail(&f->program, "%s and %s exclude each other", "--curve", "--insecure");
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 64);
    char text[256] = "";
    rewind(err);
    text[fread(text, 1, sizeof text - 1, err)] = '\0';
    fclose(err);
    cr_assert_str_eq(text, "sorteo-agency: --curve and --insecure exclude each other\n"
                           "Try 'sorteo-agency --help' for more.\n");
}
