/* What an agency tells its user while it sends and waits. */
#include "agency/progress.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/agency_stage.h"

static struct stage stage;
static struct progress progress;
static int saved_stderr;
static int log_pipe[2];
static char text[8192];

/* Lines are caught from here on. */
static void set_up(void)
{
    const struct agency_terms terms = stage_terms();
    cr_assert_eq(pipe(log_pipe), 0);
    saved_stderr = dup(STDERR_FILENO);
    cr_assert_geq(dup2(log_pipe[1], STDERR_FILENO), 0);
    log_begin("sorteo-agency 3");
    stage_begin(&stage, &terms);
}

static void tear_down(void)
{
    stage_end(&stage);
}

TestSuite(progress, .timeout = 10, .init = set_up, .fini = tear_down);

static void turn(void)
{
    progress_turn(&progress, stage.agency, "broker:5555", stage.now_ms);
}

/* Ends the catching; fails unless `line` is in what was written. */
static void expect_line(const char *line)
{
    cr_assert_geq(dup2(saved_stderr, STDERR_FILENO), 0);
    close(log_pipe[1]);
    ssize_t bytes = read(log_pipe[0], text, sizeof text - 1);
    text[bytes > 0 ? bytes : 0] = '\0';
    cr_assert_not_null(strstr(text, line), "%s", text);
}

Test(progress, counts_bets_and_batches_that_were_sent_not_those_that_were_cut)
{
    stage_admit(&stage, 0);
    stage_cut(&stage, 5);
    cr_assert_eq(stage_send(&stage, 2), 2);
    turn();
    expect_line("action: apuesta_enviada | result: in_progress | cantidad: 20 | batches: 2 | "
                "durable: 0 | waiting_for: the acknowledgement of 2 batches\n");
}

Test(progress, counts_what_a_process_before_has_sent)
{
    stage_admit(&stage, 3);
    stage_cut(&stage, 6);
    cr_assert_eq(stage_send(&stage, 1), 1);
    turn();
    expect_line("| cantidad: 40 | batches: 4 | durable: 3 | waiting_for: the acknowledgement of 1 "
                "batches\n");
}

Test(progress, counts_a_batch_once_however_often_it_is_sent)
{
    stage_admit(&stage, 0);
    stage_cut(&stage, 5);
    cr_assert_eq(stage_send(&stage, 2), 2);
    stage_tell(&stage, 1, 0, 0, 0);
    cr_assert_eq(stage_send(&stage, 1), 1);
    turn();
    expect_line("| cantidad: 20 | batches: 2 | durable: 0 | waiting_for: the acknowledgement of 1 "
                "batches\n");
}

Test(progress, says_once_that_everything_was_sent_with_what_was_sent_again)
{
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    cr_assert_eq(stage_send(&stage, 2), 2);
    stage_tell(&stage, 1, 1, 0, 0);
    cr_assert_eq(stage_send(&stage, 1), 1);
    stage_read_to_end(&stage);
    stage_tick(&stage);
    stage_finish(&stage, 2, 2);
    turn();
    stage.now_ms += PROGRESS_WAITING_MS;
    turn();
    expect_line("apuesta_enviada | result: success | cantidad: 20 | batches: 2 | rejected: 0 | "
                "sent_again: 1\n");
    const char *first = strstr(text, "apuesta_enviada");
    cr_assert_null(strstr(first + 1, "apuesta_enviada"), "%s", text);
    cr_assert_not_null(strstr(text, "consulta_ganadores | result: in_progress"), "%s", text);
}

/* Another file of as many batches, or of fewer: all of them are durable, as another process's. */
static void read_a_file_whose_seqs_are_durable(bool is_finished)
{
    struct message admitted = stage_admitted(&stage, 3);
    admitted.admitted.is_finished = is_finished;
    stage_answer(&stage, &admitted, (struct slice){0});
    stage_cut(&stage, 3);
    stage_read_to_end(&stage);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    turn();
}

Test(progress, says_nothing_of_a_success_before_its_declaration_is_taken)
{
    for (int i = 0; i < 2; i++) {
        const struct agency_terms terms = stage_terms();
        progress = (struct progress){0};
        stage_end(&stage);
        stage_begin(&stage, &terms);
        read_a_file_whose_seqs_are_durable(i == 0);
        stage_until(&stage, MESSAGE_POLL);
        stage_refuse(&stage, REFUSAL_DECLARATION, 1);
        turn();
    }
    expect_line("hello | result: success");
    cr_assert_null(strstr(text, "apuesta_enviada"), "%s", text);
}

Test(progress, says_that_what_a_process_before_has_sent_is_this_file)
{
    read_a_file_whose_seqs_are_durable(true);
    stage_finish(&stage, 1, 3);
    turn();
    expect_line("apuesta_enviada | result: success | cantidad: 30 | batches: 3 | rejected: 0 | "
                "sent_again: 0\n");
}

static void publish(void)
{
    const struct message hint = {.kind = MESSAGE_RESULT,
                                 .draw = DRAW,
                                 .result = {.agency = AGENCY}};
    agency_on_published(stage.agency, stage.now_ms, &hint);
    cr_assert_eq(agency_state(stage.agency), AGENCY_FETCHING);
    turn();
    progress_won(&progress, stage.agency, "w.csv");
    expect_line("consulta_ganadores | result: success | cant_ganadores: 0 ");
}

Test(progress, says_that_everything_was_sent_where_the_result_comes_in_the_same_turn)
{
    stage_all_sent(&stage, 2);
    turn();
    stage_finish(&stage, 1, 2);
    publish();
    const char *sent = strstr(text, "apuesta_enviada | result: success | cantidad: 20 ");
    cr_assert_not_null(sent, "%s", text);
    cr_assert_lt(sent, strstr(text, "consulta_ganadores | result: success"), "%s", text);
}

/* The end of the file is read, one batch is on its way. */
Test(progress, tells_what_it_waits_for_while_it_declares)
{
    stage_all_sent(&stage, 3);
    stage_tell(&stage, 1, 2, 2, 1);
    cr_assert_eq(agency_state(stage.agency), AGENCY_DECLARING);
    turn();
    expect_line("apuesta_enviada | result: in_progress | cantidad: 30 | batches: 3 | durable: 2 | "
                "waiting_for: the acknowledgement of 1 batches\n");
}

/* FINISHED, and a store is away before anything was said of it. */
Test(progress, says_nothing_of_a_success_where_a_batch_is_durable_no_more)
{
    stage_all_sent(&stage, 3);
    stage_finish(&stage, 1, 2);
    cr_assert_eq(agency_state(stage.agency), AGENCY_WAITING);
    turn();
    expect_line("consulta_ganadores | result: in_progress");
    cr_assert_null(strstr(text, "apuesta_enviada | result: success"), "%s", text);
}

/* The result may be that of another file, in which there is nobody who has won. */
Test(progress, says_nothing_of_a_success_where_the_result_answers_its_declaration)
{
    read_a_file_whose_seqs_are_durable(true);
    publish();
    cr_assert_null(strstr(text, "apuesta_enviada"), "%s", text);
}

Test(progress, says_for_whom_it_waits_when_nobody_takes_its_bets)
{
    stage.now_ms = 1;
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    turn();
    stage.now_ms += PROGRESS_ASKING_MS;
    turn();
    turn();
    expect_line("apuesta_enviada | result: in_progress | waiting_for: the broker at broker:5555 to "
                "take bets, on the port after that one\n");
    cr_assert_null(strstr(strstr(text, "to take bets") + 1, "to take bets"), "%s", text);
}

Test(progress, says_nothing_of_bets_that_nobody_takes_before_that_lasts)
{
    stage.now_ms = 1;
    turn();
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    stage.now_ms += PROGRESS_ASKING_MS;
    turn();
    stage.now_ms += PROGRESS_ASKING_MS - 1;
    turn();
    cr_assert_eq(stage_send(&stage, 2), 2);
    turn();
    stage_tell(&stage, 1, 0, 0, 0);
    stage.now_ms += 1;
    turn();
    expect_line("the acknowledgement of 2 batches");
    cr_assert_null(strstr(text, "to take bets"), "%s", text);
}

Test(progress, says_nothing_of_an_attempt_that_was_not_opened)
{
    struct agency_terms terms = stage_terms();
    terms.starts_over = true;
    stage_end(&stage);
    stage_begin(&stage, &terms);
    stage_admit(&stage, 0);
    cr_assert_eq(stage.request.hello.attempt, 2);
    stage_refuse(&stage, REFUSAL_VOID, 0);
    cr_assert_eq(agency_state(stage.agency), AGENCY_PARTING);
    turn();
    expect_line("");
    cr_assert_str_empty(text);
}

static void declare(uint64_t rejected)
{
    struct declaration declaration = stage_declaration(&stage);
    declaration.rejected = rejected;
    stage_admit(&stage, 0);
    agency_on_end(stage.agency, stage.now_ms, &declaration);
    stage_finish(&stage, 1, 0);
    progress_listed(stage.agency, "w.rejects.csv");
    turn();
}

Test(progress, says_where_bad_rows_are_listed)
{
    declare(2);
    expect_line("bad_rows | result: success | cantidad: 2 | file: w.rejects.csv\n");
}

Test(progress, says_nothing_of_a_list_of_no_bad_rows)
{
    declare(0);
    expect_line("apuesta_enviada");
    cr_assert_null(strstr(text, "w.rejects.csv"), "%s", text);
}

Test(progress, says_nothing_of_bets_that_nobody_takes_while_some_are_on_their_way)
{
    stage.now_ms = 1;
    stage_admit(&stage, 0);
    stage_cut(&stage, 2);
    cr_assert_eq(stage_send(&stage, 1), 1);
    for (int i = 0; i < 3; i++) {
        turn();
        stage.now_ms += PROGRESS_ASKING_MS;
    }
    expect_line("the acknowledgement of 1 batches");
    cr_assert_null(strstr(text, "to take bets"), "%s", text);
}

static void admit_with_another_plan(bool is_finished)
{
    struct message admitted = stage_admitted(&stage, 0);
    admitted.admitted.plan.bets_max++;
    admitted.admitted.is_finished = is_finished;
    stage_answer(&stage, &admitted, (struct slice){0});
    turn();
    expect_line("which stay in force");
}

Test(progress, says_how_to_begin_anew_where_another_plan_is_in_force)
{
    admit_with_another_plan(false);
    cr_assert_not_null(strstr(text, "hint: --start-over"), "%s", text);
}

/* It would be refused. */
Test(progress, advises_nobody_who_has_finished_to_begin_anew)
{
    admit_with_another_plan(true);
    cr_assert_null(strstr(text, "--start-over"), "%s", text);
}

/* All that it knows is that the broker does not know the draw. */
Test(progress, names_a_recovery_where_the_broker_does_not_know_the_draw)
{
    stage_refuse(&stage, REFUSAL_UNKNOWN, 0);
    progress_failed(stage.agency, "broker:5555", "bets.csv", 0);
    expect_line("refused: the broker does not know this draw | hint: check --draw; if that draw is "
                "over, its result is lost to the broker, whose journal was recovered");
}

Test(progress, says_once_that_a_disk_is_full)
{
    char reason[TEXT_BYTES_MAX];
    cr_assert_str_eq(progress_disk_reason(STATUS_FULL, ENOSPC, reason), "No space left on device");
    cr_assert_str_eq(progress_disk_reason(STATUS_FULL, EDQUOT, reason), "Disk quota exceeded");
    cr_assert_str_eq(progress_disk_reason(STATUS_SYNC, EIO, reason),
                     "a write could not be made durable: Input/output error");
}
