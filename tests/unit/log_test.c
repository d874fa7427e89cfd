#include "proto/host/log.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { CAPTURED_BYTES_MAX = 65536 };

static char captured[CAPTURED_BYTES_MAX];
static int capture_ends[2];
static int real_stderr;

/* From here to end_capture, what goes to stderr goes into a pipe that holds at least 64 KiB. */
static void begin_capture(void)
{
    cr_assert_eq(pipe(capture_ends), 0);
    cr_assert_eq(fcntl(capture_ends[0], F_SETFL, O_NONBLOCK), 0);
    real_stderr = dup(STDERR_FILENO);
    cr_assert_eq(dup2(capture_ends[1], STDERR_FILENO), STDERR_FILENO);
}

/* returns the first write's bytes: with one line in one write, one read gives just that line. */
static const char *end_capture(void)
{
    ssize_t got = read(capture_ends[0], captured, sizeof captured - 1);
    captured[got < 0 ? 0 : got] = '\0';
    dup2(real_stderr, STDERR_FILENO);
    return captured;
}

TestSuite(log, .timeout = 10);

Test(log, line_has_time_level_program_action_result_and_values)
{
    log_begin("sorteo-worker 0");
    begin_capture();
    log_event(LOG_WARN, "apuesta_recibida", LOG_FAIL, "cantidad: %d | draw: %u", 7, 1u);
    const char *line = end_capture();
    const char *form = "0000-00-00T00:00:00.000Z";
    cr_assert_geq(strlen(line), strlen(form));
    for (size_t i = 0; i < strlen(form); i++)
        cr_assert(form[i] == '0' ? isdigit((unsigned char)line[i]) != 0 : line[i] == form[i], "%s",
                  line);
    cr_assert_str_eq(line + strlen(form),
                     " WARN  sorteo-worker 0: action: apuesta_recibida | result: fail"
                     " | cantidad: 7 | draw: 1\n");
}

Test(log, line_without_values_ends_behind_the_result)
{
    begin_capture();
    log_event(LOG_INFO, "sorteo", LOG_SUCCESS, "");
    const char *line = end_capture();
    cr_assert_not_null(strstr(line, " INFO  sorteo: action: sorteo | result: success\n"), "%s",
                       line);
}

Test(log, results_have_the_course_s_words)
{
    static const struct {
        enum log_result result;
        const char *word;
    } words[] = {{LOG_SUCCESS, "result: success\n"},
                 {LOG_FAIL, "result: fail\n"},
                 {LOG_IN_PROGRESS, "result: in_progress\n"}};
    for (size_t i = 0; i < 3; i++) {
        begin_capture();
        log_event(LOG_ERROR, "x", words[i].result, "");
        const char *line = end_capture();
        cr_assert_not_null(strstr(line, words[i].word), "%s", line);
    }
}

Test(log, bytes_from_outside_cannot_make_lines_or_steer_a_terminal)
{
    begin_capture();
    log_event(LOG_INFO, "x", LOG_FAIL, "host: %s", "a\nb\r\tc\x1b[31m\x7f \xc2\x9b ñandú");
    const char *line = end_capture();
    cr_assert_not_null(strstr(line, "host: a?b??c?[31m? ?? ñandú\n"), "%s", line);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(log, long_line_is_cut_and_says_so)
{
    char value[5000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    begin_capture();
    log_event(LOG_INFO, "x", LOG_FAIL, "value: %s", value);
    const char *line = end_capture();
    cr_assert_leq(strlen(line), 2048u);
    cr_assert_str_eq(line + strlen(line) - 5, "v...\n");
}

Test(log, line_just_short_of_the_cut_is_whole)
{
    size_t longest_whole = 0;
    size_t shortest_cut = SIZE_MAX;
    for (size_t bytes = 1900; bytes < 2048; bytes++) {
        char value[2048];
        memset(value, 'v', bytes);
        value[bytes] = '\0';
        begin_capture();
        log_event(LOG_INFO, "x", LOG_FAIL, "%s", value);
        const char *line = end_capture();
        close(capture_ends[0]);
        close(capture_ends[1]);
        close(real_stderr);
        bool is_whole = strstr(line, value) != NULL;
        cr_assert_neq(is_whole, strstr(line, "...") != NULL, "%zu bytes", bytes);
        cr_assert_eq(line[strlen(line) - 1], '\n');
        longest_whole = is_whole ? bytes : longest_whole;
        shortest_cut = !is_whole && bytes < shortest_cut ? bytes : shortest_cut;
    }
    cr_assert_eq(shortest_cut, longest_whole + 1);
}

Test(log, keeps_errno)
{
    begin_capture();
    errno = ENOSPC;
    log_event(LOG_ERROR, "x", LOG_FAIL, "reason: %s", strerror(errno));
    int after = errno;
    end_capture();
    cr_assert_eq(after, ENOSPC);
}

Test(log, reader_that_is_gone_is_no_failure)
{
    begin_capture();
    close(capture_ends[0]);
    cr_assert_eq(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), 0);
    log_event(LOG_ERROR, "x", LOG_FAIL, "");
    dup2(real_stderr, STDERR_FILENO);
}

Test(log, limit_lets_one_line_through_and_counts_the_others)
{
    struct log_limit limit = {0};
    uint64_t suppressed = 99;
    cr_assert(log_limit_allows(&limit, 5000, 1000, &suppressed));
    cr_assert_eq(suppressed, 0);
    suppressed = 99;
    cr_assert_not(log_limit_allows(&limit, 5000, 1000, &suppressed));
    cr_assert_not(log_limit_allows(&limit, 5999, 1000, &suppressed));
    cr_assert_eq(suppressed, 99, "untouched while nothing may be written");
    cr_assert(log_limit_allows(&limit, 6000, 1000, &suppressed));
    cr_assert_eq(suppressed, 2);
    cr_assert(log_limit_allows(&limit, 7000, 1000, &suppressed));
    cr_assert_eq(suppressed, 0);
}
