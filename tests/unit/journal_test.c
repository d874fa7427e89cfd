/* The journal as a file: epochs, fencing, locks, formats, and what its errors mean. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/journal_fixture.h"

static enum status count_record(void *reader, const struct record *record)
{
    (void)record;
    (*(uint32_t *)reader)++;
    return STATUS_OK;
}

static uint32_t count_records(struct fixture *fixture)
{
    uint32_t count = 0;
    cr_assert_eq(journal_load(fixture->journal, count_record, &count), STATUS_OK);
    return count;
}

/* Runs `work` in a child, which reports one byte and then waits to be killed. returns its pid. */
static pid_t start_child(void (*work)(struct fixture *fixture), struct fixture *fixture)
{
    int channel[2];
    cr_assert_eq(pipe2(channel, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(fixture);
        if (write(channel[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    cr_assert_gt(pid, 0);
    close(channel[1]);
    char byte;
    cr_assert_eq(read(channel[0], &byte, 1), 1);
    close(channel[0]);
    return pid;
}

static void end_child(pid_t pid)
{
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(journal, takes_the_next_epoch_with_its_own_id_at_each_opening, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    cr_assert_eq(fixture.epoch.number, 1);
    cr_assert_eq(fixture.epoch.id.bytes[0], 1);
    fixture_reopen(&fixture, 9);
    cr_assert_eq(fixture.epoch.number, 2);
    cr_assert_eq(fixture.epoch.id.bytes[0], 9);
    cr_assert_eq(journal_verdict(fixture.journal), STATUS_OK);
    fixture_end(&fixture);
    journal_close(&fixture.journal);
}

Test(journal, is_there_once_it_was_opened_and_no_folder_is_made_to_see_that, .timeout = 10)
{
    struct fixture fixture;
    char folder[80];
    fixture_begin(&fixture);
    cr_assert(journal_is_there(fixture.folder));
    snprintf(folder, sizeof(folder), "%s/other", fixture.folder);
    cr_assert_not(journal_is_there(folder));
    cr_assert_neq(access(folder, F_OK), 0);
    snprintf(folder, sizeof(folder), "%s/journal.sqlite", fixture.folder);
    cr_assert_not(journal_is_there(folder), "a file is no folder");
    fixture_end(&fixture);
}

Test(journal, makes_every_folder_on_the_way_for_its_owner_alone, .timeout = 10)
{
    char top[] = "/tmp/journal_test.XXXXXX";
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(chdir(top), 0);
    static const char *const folders[] = {"one", "two//deeper/", "./three/deeper"};
    static const char *const files[] = {"one/journal.sqlite", "two/deeper/journal.sqlite",
                                        "three/deeper/journal.sqlite"};
    for (size_t index = 0; index < 3; index++) {
        struct id id = {{1}};
        struct epoch epoch;
        struct journal *journal = NULL;
        char problem[256];
        cr_assert_eq(journal_open(folders[index], &id, &no_patience, &journal, &epoch, problem,
                                  sizeof(problem)),
                     STATUS_OK);
        struct stat found;
        cr_assert_eq(stat(files[index], &found), 0);
        cr_assert_eq(found.st_mode & 0777, 0600);
        journal_close(&journal);
        cr_assert_eq(unlink(files[index]), 0);
    }
    struct stat found;
    cr_assert_eq(stat("two/deeper", &found), 0);
    cr_assert_eq(found.st_mode & 0777, 0700);
    cr_assert(rmdir("one") == 0 && rmdir("two/deeper") == 0 && rmdir("two") == 0);
    cr_assert(rmdir("three/deeper") == 0 && rmdir("three") == 0 && rmdir(top) == 0);
}

Test(journal, fences_the_older_broker_at_its_next_transaction, .timeout = 10)
{
    struct fixture older;
    fixture_begin(&older);
    struct fixture newer = older;
    cr_assert_eq(fixture_open(&newer, 2), STATUS_OK);
    cr_assert_eq(newer.epoch.number, 2);
    add_store(&older, 1);
    cr_assert_eq(fixture_try(&older), STATUS_FENCED);
    cr_assert_not_null(strstr(journal_problem(older.journal), "epoch is 2, ours is 1"));
    cr_assert_eq(journal_verdict(older.journal), STATUS_FENCED);
    add_store(&newer, 2);
    fixture_write(&newer);
    cr_assert_eq(count_records(&newer), 1);
    cr_assert_eq(fixture_try(&older), STATUS_FENCED, "a fenced broker stays fenced");
    journal_close(&newer.journal);
    fixture_end(&older);
}

Test(journal, fences_a_rival_that_has_the_same_number, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture_rot(&fixture, "UPDATE epoch SET id = zeroblob(16)");
    cr_assert_eq(fixture_try(&fixture), STATUS_FENCED);
    fixture_end(&fixture);
}

static void open_and_stand_idle(struct fixture *fixture)
{
    struct fixture own = *fixture;
    own.journal = NULL;
    if (fixture_open(&own, 5) != STATUS_OK)
        _exit(1);
}

Test(journal, takes_over_at_once_from_a_process_that_stands_idle, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    pid_t pid = start_child(open_and_stand_idle, &fixture);
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    cr_assert_eq(fixture_open(&fixture, 6), STATUS_OK, "%s", fixture.problem);
    cr_assert_eq(fixture.epoch.number, 3);
    end_child(pid);
    fixture_end(&fixture);
}

static void begin_and_stand_still(struct fixture *fixture)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture->folder);
    sqlite3 *database = NULL;
    if (sqlite3_open(path, &database) != SQLITE_OK ||
        sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        _exit(1);
}

Test(journal, names_the_process_that_holds_it_and_decides_nothing, .timeout = 20)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    pid_t pid = start_child(begin_and_stand_still, &fixture);
    char holder[64];
    snprintf(holder, sizeof(holder), "held by process %d,", (int)pid);
    cr_assert_eq(fixture_open(&fixture, 6), STATUS_BUSY);
    cr_assert_null(fixture.journal);
    cr_assert_not_null(strstr(fixture.problem, holder), "%s", fixture.problem);
    end_child(pid);
    fixture_reopen(&fixture, 6);
    cr_assert_eq(fixture.epoch.number, 2);
    fixture_end(&fixture);
}

/* What the journal asked for while it waited. */
struct waits {
    int calls;
    int64_t waited_ms;
    int ends_at;   /* the call that is answered with: no longer */
    pid_t ends_it; /* or at which this process is killed */
};

static bool count_wait(void *owner, int64_t waited_ms, int64_t slice_ms)
{
    struct waits *waits = owner;
    cr_assert(slice_ms > 0 && slice_ms <= JOURNAL_SLICE_MS_MAX);
    cr_assert_eq(waited_ms, waits->waited_ms);
    waits->waited_ms += slice_ms;
    if (++waits->calls < waits->ends_at)
        return true;
    if (waits->ends_it == 0)
        return false;
    end_child(waits->ends_it);
    return true;
}

static enum status open_waiting(struct fixture *fixture, int64_t patience_ms, struct waits *waits)
{
    const struct id id = {{6}};
    const struct journal_patience patience = {.ms = patience_ms,
                                              .wait = count_wait,
                                              .owner = waits};
    waits->waited_ms = 0;
    return journal_open(fixture->folder, &id, &patience, &fixture->journal, &fixture->epoch,
                        fixture->problem, sizeof(fixture->problem));
}

Test(journal, waits_in_short_slices_and_no_longer_than_its_patience, .timeout = 20)
{
    struct fixture fixture;
    struct waits waits = {.ends_at = 1000};
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    pid_t pid = start_child(begin_and_stand_still, &fixture);
    cr_assert_eq(open_waiting(&fixture, JOURNAL_PATIENCE_MS, &waits), STATUS_BUSY);
    cr_assert_eq(waits.waited_ms, JOURNAL_PATIENCE_MS);
    waits = (struct waits){.ends_at = 10, .ends_it = pid};
    cr_assert_eq(open_waiting(&fixture, JOURNAL_PATIENCE_MS, &waits), STATUS_OK);
    cr_assert_eq(waits.calls, 10, "and it goes on as soon as the other has ended");
    cr_assert_eq(fixture.epoch.number, 2);
    fixture_end(&fixture);
}

Test(journal, waits_no_longer_when_its_program_is_to_end, .timeout = 20)
{
    struct fixture fixture;
    struct waits waits = {.ends_at = 3};
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    pid_t pid = start_child(begin_and_stand_still, &fixture);
    cr_assert_eq(open_waiting(&fixture, JOURNAL_PATIENCE_MS, &waits), STATUS_INTERRUPTED);
    cr_assert_eq(waits.calls, 3);
    cr_assert_not_null(strstr(fixture.problem, "told to end while process"), "%s", fixture.problem);
    end_child(pid);

    waits = (struct waits){.ends_at = 1};
    cr_assert_eq(open_waiting(&fixture, JOURNAL_PATIENCE_MS, &waits), STATUS_OK);
    pid = start_child(begin_and_stand_still, &fixture);
    add_store(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_INTERRUPTED);
    cr_assert_eq(waits.calls, 1);
    cr_assert_eq(journal_verdict(fixture.journal), STATUS_INTERRUPTED);
    end_child(pid);
    add_store(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_INTERRUPTED, "nothing is written any more");
    cr_assert_eq(count_records(&fixture), 0);
    fixture_end(&fixture);
}

static bool end_holder_and_wait_no_longer(void *owner, int64_t waited_ms, int64_t slice_ms)
{
    const pid_t *holder = owner;
    (void)waited_ms;
    (void)slice_ms;
    end_child(*holder);
    return false;
}

Test(journal, names_no_process_where_it_sees_none, .timeout = 20)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    pid_t pid = start_child(begin_and_stand_still, &fixture);
    const struct id id = {{6}};
    const struct journal_patience patience = {.ms = JOURNAL_PATIENCE_MS,
                                              .wait = end_holder_and_wait_no_longer,
                                              .owner = &pid};
    cr_assert_eq(journal_open(fixture.folder, &id, &patience, &fixture.journal, &fixture.epoch,
                              fixture.problem, sizeof(fixture.problem)),
                 STATUS_INTERRUPTED);
    cr_assert_not_null(strstr(fixture.problem, "told to end while another process was inside"),
                       "%s", fixture.problem);
    fixture_end(&fixture);
}

static void write_a_turn(struct fixture *fixture)
{
    fixture_reopen(fixture, 3);
    add_store(fixture, 1);
    add_opened(fixture, 1);
    add_plan(fixture, 1, 4, 1);
    if (fixture_try(fixture) != STATUS_OK)
        _exit(1);
    add_store(fixture, 2); /* made, but its turn never ends */
}

Test(journal, keeps_every_turn_of_a_process_that_was_killed, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    end_child(start_child(write_a_turn, &fixture));
    fixture_reopen(&fixture, 4);
    cr_assert_eq(fixture.epoch.number, 3);
    cr_assert_eq(count_records(&fixture), 3);
    fixture_end(&fixture);
}

Test(journal, refuses_a_format_that_it_does_not_know, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    fixture_rot(&fixture, "PRAGMA user_version = 1");
    cr_assert_eq(fixture_open(&fixture, 2), STATUS_CONFIG);
    cr_assert_not_null(
        strstr(fixture.problem, "has format 1, and this program knows format 2 only: go on with"));
    fixture_rot(&fixture, "PRAGMA user_version = 2");
    fixture_reopen(&fixture, 2);
    cr_assert_eq(fixture.epoch.number, 2);
    fixture_end(&fixture);
}

Test(journal, refuses_a_database_of_somebody_else, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    fixture_rot(&fixture, "PRAGMA application_id = 5");
    cr_assert_eq(fixture_open(&fixture, 2), STATUS_CONFIG);
    cr_assert_not_null(strstr(fixture.problem, "no journal of a broker; choose another --data"));
    fixture_end(&fixture);
}

/* Its head tells the version that may write it: a byte of it is another one. */
Test(journal, refuses_a_head_that_no_broker_has_written, .timeout = 10)
{
    struct fixture fixture;
    char path[128];
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture.folder);
    int descriptor = open(path, O_WRONLY);
    cr_assert_eq(pwrite(descriptor, "\x12", 1, 18), 1);
    close(descriptor);
    cr_assert_eq(fixture_open(&fixture, 2), STATUS_IO, "%s", fixture.problem);
    cr_expect_not_null(strstr(fixture.problem, "start with --recover N"), "%s", fixture.problem);
    fixture_end(&fixture);
}

/* What is written there nobody finds again. */
Test(journal, writes_nothing_to_files_that_have_lost_their_names, .timeout = 10)
{
    static const char *const names[] = {"journal.sqlite", "journal.sqlite-wal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fixture fixture;
        char path[128];
        fixture_begin(&fixture);
        add_store(&fixture, 1);
        fixture_write(&fixture);
        snprintf(path, sizeof(path), "%s/%s", fixture.folder, names[i]);
        cr_assert_eq(unlink(path), 0);
        add_store(&fixture, 2);
        cr_expect_eq(fixture_try(&fixture), STATUS_IO, "%s", names[i]);
        cr_expect_not_null(strstr(journal_problem(fixture.journal),
                                  "was moved or deleted while the broker runs"),
                           "%s", journal_problem(fixture.journal));
        fixture_end(&fixture);
    }
}

Test(journal, refuses_a_file_that_is_no_database, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    journal_close(&fixture.journal);
    char path[128];
    snprintf(path, sizeof(path), "%s/journal.sqlite", fixture.folder);
    int descriptor = open(path, O_WRONLY | O_TRUNC);
    char junk[8192];
    memset(junk, 'x', sizeof(junk));
    cr_assert_eq(write(descriptor, junk, sizeof(junk)), (ssize_t)sizeof(junk));
    close(descriptor);
    cr_assert_eq(fixture_open(&fixture, 2), STATUS_CONFIG, "%s", fixture.problem);
    cr_assert_not_null(strstr(fixture.problem, "it is no journal; choose another --data, or, if"),
                       "%s", fixture.problem);
    cr_assert_not_null(strstr(fixture.problem, "--recover N, N being"), "%s", fixture.problem);
    fixture_end(&fixture);
}

Test(journal, says_why_its_folder_cannot_be_made, .timeout = 10)
{
    struct id id = {{1}};
    struct epoch epoch;
    struct journal *journal = NULL;
    char problem[256];
    cr_assert_eq(journal_open("/dev/null/journal", &id, &no_patience, &journal, &epoch, problem,
                              sizeof(problem)),
                 STATUS_CANNOT_CREATE);
    cr_assert_not_null(strstr(problem, "cannot create the folder '/dev/null"), "%s", problem);
    cr_assert_eq(journal_open("", &id, &no_patience, &journal, &epoch, problem, sizeof(problem)),
                 STATUS_CANNOT_CREATE);
    static char long_name[8000];
    memset(long_name, 'n', sizeof(long_name) - 1);
    cr_assert_eq(journal_open(long_name, &id, &no_patience, &journal, &epoch, problem,
                              sizeof(problem)),
                 STATUS_CANNOT_CREATE);
    cr_assert_null(journal);
}

Test(journal, says_that_the_disk_is_full_and_writes_nothing_more, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    fixture_write(&fixture);
    cr_assert_eq(sqlite3_exec(fixture.journal->database, "PRAGMA max_page_count = 1", NULL, NULL,
                              NULL),
                 SQLITE_OK); /* cut to the pages that there are */
    for (uint32_t attempt = 1; attempt < 500; attempt++)
        add_plan(&fixture, 1, 4, attempt);
    cr_assert_eq(fixture_try(&fixture), STATUS_FULL);
    cr_assert_not_null(strstr(journal_problem(fixture.journal), "is full"));
    add_store(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_FULL);
    cr_assert_eq(count_records(&fixture), 1);
    fixture_end(&fixture);
}

Test(journal, copies_its_log_back_before_it_grows_large, .timeout = 20)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    add_opened(&fixture, 1);
    for (uint32_t turn = 0; turn < 60; turn++) {
        for (uint32_t index = 0; index < 1500; index++)
            add_plan(&fixture, 1, turn, index);
        fixture_write(&fixture);
    }
    char path[128];
    snprintf(path, sizeof(path), "%s/journal.sqlite-wal", fixture.folder);
    struct stat log;
    struct stat database;
    cr_assert_eq(stat(path, &log), 0);
    path[strlen(path) - strlen("-wal")] = '\0';
    cr_assert_eq(stat(path, &database), 0);
    cr_assert_lt(log.st_size, 6 << 20);
    cr_assert_gt(database.st_size, 2 << 20);
    fixture_end(&fixture);
}

Test(journal, never_retries_a_commit_that_failed, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    cr_assert_eq(sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), 0);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit tight = {.rlim_cur = 64, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    add_store(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_SYNC);
    cr_assert_not_null(strstr(journal_problem(fixture.journal), "cannot commit the journal"));
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    add_store(&fixture, 1);
    cr_assert_eq(fixture_try(&fixture), STATUS_SYNC);
    cr_assert_eq(count_records(&fixture), 0);
    fixture_end(&fixture);
}
