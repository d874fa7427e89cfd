/* Tests of what stands in a worker's log, and how often. */
#include "worker/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NOW = 1000000 };

static struct report report;
static int saved_stderr;
static int log_pipe[2];
static char text[8192];

static void set_up(void)
{
    cr_assert_eq(pipe(log_pipe), 0);
    saved_stderr = dup(STDERR_FILENO);
    cr_assert_geq(dup2(log_pipe[1], STDERR_FILENO), 0);
    log_begin("sorteo-worker 0");
}

/* Ends the capture. returns what was written. */
static const char *captured(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(log_pipe[1]);
    ssize_t bytes = read(log_pipe[0], text, sizeof text - 1);
    text[bytes > 0 ? bytes : 0] = '\0';
    return text;
}

static int count_lines(const char *lines)
{
    int count = 0;
    for (; *lines != '\0'; lines++)
        count += *lines == '\n';
    return count;
}

TestSuite(report, .timeout = 10, .init = set_up);

static void store(uint64_t bets, int64_t now_ms)
{
    report_note(&report, &(struct note){.kind = NOTE_STORED, .number = bets, .other = 1}, now_ms);
}

Test(report, says_what_was_stored_once_a_second_with_the_sum)
{
    store(10, NOW);
    store(20, NOW + 1);
    store(30, NOW + 999);
    int64_t due_at = report_tick(&report, NOW + 999, false);
    report_tick(&report, NOW + 1000, false);
    int64_t nothing_at = report_tick(&report, NOW + 5000, false);
    const char *log = captured();
    cr_expect_eq(due_at, NOW + 1000);
    cr_expect_eq(nothing_at, INT64_MAX);
    cr_expect_eq(count_lines(log), 2);
    cr_expect(strstr(log, "action: apuesta_almacenada | result: success | cantidad: 10 |"));
    cr_expect(strstr(log, "cantidad: 50 | batches: 2"));
}

Test(report, says_at_the_end_what_is_left)
{
    store(10, NOW);
    store(20, NOW + 1);
    report_tick(&report, NOW + 2, true);
    report_tick(&report, NOW + 2, true);
    const char *log = captured();
    cr_expect_eq(count_lines(log), 2);
    cr_expect(strstr(log, "cantidad: 20 | batches: 1"));
}

Test(report, says_once_that_the_broker_is_silent)
{
    struct note lost = {.kind = NOTE_LOST, .number = 3000};
    struct note welcomed = {.kind = NOTE_WELCOMED, .number = 4, .other = 3000};
    for (int i = 0; i < 5; i++)
        report_note(&report, &lost, NOW);
    report_note(&report, &welcomed, NOW);
    report_note(&report, &lost, NOW);
    const char *log = captured();
    cr_expect_eq(count_lines(log), 3);
    cr_expect(strstr(log, "silent_ms: 3000"));
    cr_expect(strstr(log, "| hint: check --broker"));
    cr_expect(strstr(log, "epoch: 4 | lease_ms: 3000"));
}

Test(report, says_of_which_draw_a_manifest_has_rotted)
{
    report_note(&report, &(struct note){.kind = NOTE_MANIFEST_ROTTEN, .draw = 5}, NOW);
    cr_expect(strstr(captured(), "sellado | result: fail | draw: 5 | reason: the stored manifest"));
}

Test(report, limits_what_a_peer_can_drive_and_says_how_much_was_left_out)
{
    struct note rejected = {.kind = NOTE_REJECTED,
                            .draw = 1,
                            .agency = 7,
                            .attempt = 2,
                            .seq = 5,
                            .number = 33,
                            .other = 15};
    for (int i = 0; i < 100; i++)
        report_note(&report, &rejected, NOW + i);
    report_note(&report, &rejected, NOW + REPORT_LIMITED_MS);
    const char *log = captured();
    cr_expect_eq(count_lines(log), 2);
    cr_expect(strstr(log, "draw: 1 | agency: 7 | attempt: 2 | seq: 5 | row: 33"));
    cr_expect(strstr(log, "not_shown: 99"));
    cr_expect(strstr(log, "no day of the calendar"));
}

Test(report, has_a_line_for_every_kind_of_note)
{
    for (int kind = 0; kind < NOTE_KINDS; kind++)
        report_note(&report, &(struct note){.kind = (enum note_kind)kind, .other = 1}, NOW);
    const char *log = captured();
    cr_expect_eq(count_lines(log), NOTE_KINDS);
    cr_expect_null(strstr(log, "(null)"));
}
