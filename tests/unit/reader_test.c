/* The reader's thread: one pass, replays, ends. */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "agency/reader.h"
#include "tests/unit/bets_file.h"

TestSuite(reader, .timeout = 20);

struct bench {
    struct bets_file file;
    struct reader *reader;
    struct reader_terms terms;
    char rejects[PATH_MAX];
    struct cuts cuts;
};

static void begin(struct bench *bench, unsigned rows, unsigned bad_row, uint32_t bets_max)
{
    *bench = (struct bench){.file = bets_create(rows, bad_row)};
    snprintf(bench->rejects, sizeof(bench->rejects), "%s",
             folder_file(&bench->file.folder, "rejects.csv"));
    bench->terms = (struct reader_terms){
        .cutter = bets_terms(bets_max),
        .copy_folder = bench->file.folder.path,
        .rejects = bench->rejects,
    };
    cr_assert_eq(reader_create(bench->file.source, &bench->reader), STATUS_OK);
}

static void end(struct bench *bench)
{
    reader_stop(bench->reader);
    reader_stop(bench->reader);
    reader_destroy(&bench->reader);
    reader_destroy(&bench->reader);
    cuts_clear(&bench->cuts);
    bets_destroy(&bench->file);
}

/* Waits for the next reading. */
static struct reading take(struct bench *bench)
{
    struct reading reading;
    while (reader_take(bench->reader, &reading) != STATUS_OK) {
        struct pollfd item = {.fd = reader_descriptor(bench->reader), .events = POLLIN};
        cr_assert_eq(poll(&item, 1, 10000), 1, "the reader is silent");
    }
    return reading;
}

/* Takes batches and gives them back, until something else comes. */
static struct reading take_pass(struct bench *bench)
{
    for (;;) {
        struct reading reading = take(bench);
        if (reading.kind != READING_BATCH)
            return reading;
        cr_assert_eq(reading.seq, bench->cuts.count);
        cr_assert_eq(reading.payload->body.bytes, reading.cut.bytes);
        cr_assert_eq(cuts_add(&bench->cuts, &reading.cut), STATUS_OK);
        payload_release(reading.payload);
    }
}

Test(reader, pass_ends_with_the_declaration)
{
    struct bench bench;
    begin(&bench, 1000, UINT_MAX, 7);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_END);
    cr_assert_eq(reading.declaration.batches, 143);
    cr_assert_eq(reading.declaration.bets, 1000);
    cr_assert_eq(reading.declaration.rejected, 0);
    struct hasher *hasher;
    struct tree tree;
    struct digest head;
    cr_assert_eq(hasher_create(&hasher), STATUS_OK);
    tree_begin(&tree);
    for (uint32_t seq = 0; seq < bench.cuts.count; seq++)
        tree_add(&tree, hasher, &cuts_at(&bench.cuts, seq)->digest);
    tree_head(&tree, hasher, &head);
    hasher_destroy(&hasher);
    cr_assert(digest_is_equal(&head, &reading.declaration.root));
    end(&bench);
}

Test(reader, stands_still_while_nothing_comes_back)
{
    struct bench bench;
    begin(&bench, 1000, UINT_MAX, 1);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct payload *held[READER_PAYLOADS_MAX];
    uint32_t count = 0;
    while (count < READER_PAYLOADS_MAX - READER_RESERVE) {
        struct reading reading = take(&bench);
        cr_assert_eq(reading.kind, READING_BATCH);
        cr_assert_eq(cuts_add(&bench.cuts, &reading.cut), STATUS_OK);
        held[count++] = reading.payload;
    }
    struct reading reading;
    cr_assert_eq(reader_take(bench.reader, &reading), STATUS_AGAIN);
    /* The one that is left is for what is read again. */
    cr_assert(reader_ask_again(bench.reader, 5, cuts_at(&bench.cuts, 5)));
    reading = take(&bench);
    cr_assert_eq(reading.kind, READING_AGAIN);
    cr_assert_eq(reading.seq, 5);
    cr_assert(slice_is_equal(reading.payload->body, held[5]->body));
    payload_release(reading.payload);
    while (count > 0)
        payload_release(held[--count]);
    reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_END);
    cr_assert_eq(reading.declaration.bets, 1000);
    end(&bench);
}

Test(reader, one_batch_at_a_time_is_read_again)
{
    struct bench bench;
    begin(&bench, 100, UINT_MAX, 10);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    cr_assert_eq(take_pass(&bench).kind, READING_END);
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t seq = 9 - i;
        cr_assert(reader_ask_again(bench.reader, seq, cuts_at(&bench.cuts, seq)));
        cr_assert_not(reader_ask_again(bench.reader, 0, cuts_at(&bench.cuts, 0)));
        struct reading reading = take(&bench);
        uint32_t documents[10];
        cr_assert_eq(reading.kind, READING_AGAIN);
        cr_assert_eq(reading.seq, seq);
        cr_assert_eq(bets_in(reading.payload->body, documents, 10), 10);
        cr_assert_eq(documents[0], seq * 10);
        payload_release(reading.payload);
    }
    end(&bench);
}

Test(reader, bad_row_ends_the_pass_under_a_plan_that_stops)
{
    struct bench bench;
    begin(&bench, 100, 41, 10);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_BAD_ROW);
    cr_assert_eq(reading.line, 42);
    cr_assert_eq(reading.fault, FAULT_COLUMNS_MISSING);
    cr_assert_eq(bench.cuts.count, 4);
    cr_assert_eq(access(bench.rejects, F_OK), -1);
    end(&bench);
}

Test(reader, bad_rows_are_listed_once_the_loop_says_so_under_a_plan_that_skips)
{
    struct bench bench;
    begin(&bench, 100, 41, 10);
    bench.terms.cutter.plan.skips_bad_rows = true;
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_END);
    cr_assert_eq(reading.declaration.bets, 99);
    cr_assert_eq(reading.declaration.rejected, 1);
    cr_assert_eq(access(bench.rejects, F_OK), -1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(reader_name_rejects(bench.reader), STATUS_OK);
    cr_assert(folder_holds(bench.rejects, "42,\"a column is missing: "
                                          "first,last,document,birthdate,number expected\"\n"));
    end(&bench);
}

Test(reader, plan_that_skips_lists_no_rows_in_an_empty_file)
{
    struct bench bench;
    begin(&bench, 10, UINT_MAX, 10);
    bench.terms.cutter.plan.skips_bad_rows = true;
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    cr_assert_eq(take_pass(&bench).kind, READING_END);
    cr_assert_eq(reader_name_rejects(bench.reader), STATUS_OK);
    cr_assert(folder_holds(bench.rejects, ""));
    end(&bench);
}

Test(reader, list_of_rejects_that_cannot_be_made_is_told)
{
    struct bench bench;
    begin(&bench, 10, UINT_MAX, 10);
    bench.terms.cutter.plan.skips_bad_rows = true;
    bench.terms.rejects = "/no/such/folder/rejects.csv";
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_REJECTS_FAILED);
    cr_assert_eq(reading.status, STATUS_CANNOT_CREATE);
    cr_assert_eq(reading.error, ENOENT);
    end(&bench);
}

/* Before anything is declared: a list that was declared must have its room. */
Test(reader, list_of_rejects_that_has_no_room_is_told_at_the_end_of_the_pass)
{
    struct bench bench;
    begin(&bench, 100, 41, 10);
    bench.terms.cutter.plan.skips_bad_rows = true;
    const struct rlimit limit = {.rlim_cur = 8, .rlim_max = 8};
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGXFSZ, &ignored, NULL), 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_REJECTS_FAILED);
    cr_assert_eq(reading.error, EFBIG);
    end(&bench);
}

/* What cannot be read twice is copied first, into the output's folder: that is where it fails. */
Test(reader, copy_that_cannot_be_made_is_told_as_such)
{
    struct bench bench;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    begin(&bench, 10, UINT_MAX, 10);
    struct source *piped;
    struct reader *reader;
    cr_assert_eq(source_open("-", &piped), STATUS_OK);
    cr_assert_eq(reader_create(piped, &reader), STATUS_OK);
    reader_destroy(&bench.reader);
    bench.reader = reader;
    bench.terms.copy_folder = "/no/such/folder";
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take_pass(&bench);
    cr_assert_eq(reading.kind, READING_COPY_FAILED);
    cr_assert_eq(reading.error, ENOENT);
    end(&bench);
    source_close(&piped);
}

Test(reader, file_that_grows_during_the_pass_is_told)
{
    struct bench bench;
    begin(&bench, 1000, UINT_MAX, 1);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading first = take(&bench); /* it has looked at the file by now, and cannot end */
    struct payload *held[READER_PAYLOADS_MAX];
    uint32_t count = 0;
    held[count++] = first.payload;
    while (count < READER_PAYLOADS_MAX - READER_RESERVE)
        held[count++] = take(&bench).payload;
    cr_assert_eq(truncate(bench.file.path, 100), 0);
    cr_assert_eq(cuts_add(&bench.cuts, &first.cut), STATUS_OK);
    while (count > 0)
        payload_release(held[--count]);
    struct reading reading;
    do {
        reading = take(&bench);
        payload_release(reading.payload);
    } while (reading.kind == READING_BATCH);
    cr_assert_eq(reading.kind, READING_CHANGED);
    end(&bench);
}

/* [M-16] */
Test(reader, batch_that_is_another_one_now_is_told)
{
    struct bench bench;
    begin(&bench, 100, UINT_MAX, 10);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    cr_assert_eq(take_pass(&bench).kind, READING_END);
    bets_write(&bench.file, 100, 55);
    cr_assert(reader_ask_again(bench.reader, 5, cuts_at(&bench.cuts, 5)));
    cr_assert_eq(take(&bench).kind, READING_CHANGED);
    end(&bench);
}

Test(reader, stops_with_work_left_and_gives_everything_back)
{
    struct bench bench;
    begin(&bench, 1000, UINT_MAX, 1);
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    struct reading reading = take(&bench);
    cr_assert_eq(reading.kind, READING_BATCH);
    payload_release(reading.payload);
    end(&bench); /* payloads_destroy checks that every payload is there */
}

Test(reader, that_was_never_started_ends_too)
{
    struct bench bench;
    begin(&bench, 1, UINT_MAX, 1);
    struct reading reading;
    cr_assert_eq(reader_take(bench.reader, &reading), STATUS_AGAIN);
    end(&bench);
}

Test(reader, memory_of_payloads_is_bounded_for_large_batches)
{
    struct bench bench;
    begin(&bench, 100, UINT_MAX, 1);
    bench.terms.cutter.plan.bytes_max = BATCH_BYTES_MAX;
    cr_assert_eq(reader_start(bench.reader, &bench.terms), STATUS_OK);
    enum { PAYLOADS = READER_MEMORY_BYTES / (BATCH_BYTES_MAX + 1) };
    struct payload *held[READER_PAYLOADS_MAX];
    for (int i = 0; i < PAYLOADS - READER_RESERVE; i++)
        held[i] = take(&bench).payload;
    struct reading reading;
    cr_assert_eq(reader_take(bench.reader, &reading), STATUS_AGAIN);
    for (int i = 0; i < PAYLOADS - READER_RESERVE; i++)
        payload_release(held[i]);
    do {
        reading = take(&bench);
        payload_release(reading.payload);
    } while (reading.kind == READING_BATCH);
    cr_assert_eq(reading.kind, READING_END);
    end(&bench);
}
