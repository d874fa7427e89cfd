/* Results as they are read back: pages in (seq, row) order from any index, of published draws
 * only. */
#include "tests/unit/journal_fixture.h"

/* Draw 1, agency 4: even seqs were found by question 1, odd ones by question 2, in pages of 50
 * seqs. */
enum { SEQS = 1000, ROWS = 3, WINNERS = SEQS * ROWS, QUESTION_DEAD = 3 };

static void find_winners(struct fixture *fixture, uint32_t agency)
{
    for (uint32_t page = 0; page < SEQS / 50; page++) {
        uint32_t seqs[50];
        for (uint32_t index = 0; index < 50; index++)
            seqs[index] = page / 2 * 100 + index * 2 + page % 2;
        add_found(fixture, 1, 1 + page % 2, agency, seqs, 50, ROWS);
        fixture_write(fixture);
    }
}

static void begin_draw(struct fixture *fixture)
{
    add_opened(fixture, 1);
    add_plan(fixture, 1, 4, 2);
    add_declaration(fixture, 1, 4, 0, NULL, NULL);
    add_declaration(fixture, 1, 5, 0, NULL, NULL);
    add_sealed(fixture, 1);
    fixture_write(fixture);
}

static void publish(struct fixture *fixture)
{
    add_simple(fixture, RECORD_PUBLISHED, 1);
    fixture_write(fixture);
}

static uint32_t read_page(struct fixture *fixture, uint32_t agency, uint32_t from, size_t bytes_max,
                          uint8_t *body, size_t *bytes)
{
    uint32_t upto = 0;
    cr_assert_eq(fixture->archive.page(fixture->archive.owner, 1, agency, from, body, bytes_max,
                                       bytes, &upto),
                 STATUS_OK);
    cr_assert_leq(*bytes, bytes_max);
    return upto;
}

/* Checks that a page, which may be larger here than on the wire, has exactly the winners from..upto
 * of the world above. */
static void check_page(const uint8_t *body, size_t bytes, uint32_t from, uint32_t upto)
{
    struct item_winner item;
    size_t begins_at = 0;
    for (uint32_t index = from; index < upto; index++) {
        size_t left = bytes - begins_at;
        size_t at = 0;
        struct slice rest = {body + begins_at, left < ITEM_BYTES_MAX ? left : ITEM_BYTES_MAX};
        cr_assert_eq(item_next_winner(rest, &at, &item), STATUS_OK);
        begins_at += at;
        cr_assert_eq(item.seq, index / ROWS);
        cr_assert_eq(item.row, index % ROWS * 2);
        cr_assert_eq(item.bet.number, 7574);
    }
    cr_assert_eq(begins_at, bytes);
}

Test(archive, merges_the_pages_of_all_questions_in_order_of_seq_and_row, .timeout = 20)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    find_winners(&fixture, 4);
    publish(&fixture);
    fixture_reopen(&fixture, 2); /* what is published outlives the process */
    static uint8_t body[WINNERS * 64];
    size_t bytes = 0;
    cr_assert_eq(read_page(&fixture, 4, 0, sizeof(body), body, &bytes), WINNERS);
    check_page(body, bytes, 0, WINNERS);
    fixture_end(&fixture);
}

Test(archive, begins_a_page_at_any_index, .timeout = 20)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    find_winners(&fixture, 4);
    publish(&fixture);
    uint8_t body[700];
    for (uint32_t from = 0; from < WINNERS; from++) {
        size_t bytes = 0;
        uint32_t upto = read_page(&fixture, 4, from, sizeof(body), body, &bytes);
        cr_assert(upto > from + 10 || upto == WINNERS);
        check_page(body, bytes, from, upto);
    }
    fixture_end(&fixture);
}

Test(archive, fills_a_page_to_the_last_item_that_fits, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0, 1}, 2, 1);
    publish(&fixture);
    uint8_t body[256];
    size_t both = 0;
    cr_assert_eq(read_page(&fixture, 4, 0, sizeof(body), body, &both), 2);
    size_t bytes = 0;
    cr_assert_eq(read_page(&fixture, 4, 0, both, body, &bytes), 2);
    cr_assert_eq(bytes, both);
    cr_assert_eq(read_page(&fixture, 4, 0, both - 1, body, &bytes), 1);
    cr_assert_eq(bytes, both / 2);
    cr_assert_eq(read_page(&fixture, 4, 1, both / 2 - 1, body, &bytes), 1);
    cr_assert_eq(bytes, 0);
    fixture_end(&fixture);
}

Test(archive, answers_an_empty_page_behind_the_last_winner, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 2);
    publish(&fixture);
    uint8_t body[256];
    size_t bytes = 1;
    cr_assert_eq(read_page(&fixture, 4, 2, sizeof(body), body, &bytes), 2);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(read_page(&fixture, 4, UINT32_MAX, sizeof(body), body, &bytes), 2);
    cr_assert_eq(read_page(&fixture, 5, 0, sizeof(body), body, &bytes), 0);
    fixture_end(&fixture);
}

Test(archive, tells_number_root_and_who_took_part, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0, 3}, 2, 5);
    publish(&fixture);
    struct archived_draw draw;
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 1, &draw), STATUS_OK);
    cr_assert_eq(draw.phase, PHASE_PUBLISHED);
    cr_assert_eq(draw.number, 7574);
    cr_assert_eq(draw.range_first, 10);
    cr_assert_eq(draw.range_last, 4294967295);
    cr_assert_not(draw.is_given);
    cr_assert_eq(memcmp(draw.root.bytes, "\xaa\xbb\x00", 3), 0);
    cr_assert_eq(memcmp(draw.seed.bytes, "\x07\x08\x09", 3), 0);
    struct archived_agency agency;
    struct plan plan = some_plan(200);
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_OK);
    cr_assert_eq(agency.winners, 10);
    cr_assert_eq(agency.attempt, 2);
    cr_assert(plan_is_equal(&agency.plan, &plan));
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 5, &agency), STATUS_OK);
    cr_assert_eq(agency.winners, 0);
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 6, &agency), STATUS_NOT_FOUND);
    uint8_t body[64];
    size_t bytes;
    uint32_t upto;
    cr_assert_eq(fixture.archive.page(fixture.archive.owner, 1, 6, 0, body, 64, &bytes, &upto),
                 STATUS_NOT_FOUND);
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 2, &draw), STATUS_NOT_FOUND);
    cr_assert_eq(journal_verdict(fixture.journal), STATUS_OK);
    fixture_end(&fixture);
}

Test(archive, refuses_a_range_that_ends_before_it_begins, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    struct record record = {.kind = RECORD_OPENED, .draw = 1};
    record.opened.number = (struct manifest_terms){.draw = 1, .range_first = 10, .range_last = 9};
    records_add(fixture.records, &record);
    add_sealed(&fixture, 1);
    publish(&fixture);
    struct archived_draw draw;
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 1, &draw), STATUS_IO);
    cr_assert_eq(journal_verdict(fixture.journal), STATUS_IO);
    fixture_end(&fixture);
}

Test(archive, shows_nothing_of_a_draw_that_is_not_published, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 2);
    fixture_write(&fixture);
    struct archived_draw draw;
    struct archived_agency agency;
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 1, &draw), STATUS_NOT_FOUND);
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_NOT_FOUND);
    fixture_end(&fixture);
}

Test(archive, leaves_out_whom_a_decision_left_out, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    struct record decision = {.kind = RECORD_DECISION, .draw = 1};
    decision.decision.action = TIMEOUT_DRAW;
    decision.decision.members = (uint32_t[]){5};
    decision.decision.members_count = 1;
    records_add(fixture.records, &decision);
    publish(&fixture);
    struct archived_agency agency;
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_NOT_FOUND);
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 5, &agency), STATUS_OK);
    fixture_end(&fixture);
}

Test(archive, forgets_the_pages_of_a_question_that_died, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, QUESTION_DEAD, 4, (uint32_t[]){0, 1, 2}, 3, 5);
    fixture_write(&fixture);
    add_dropped(&fixture, 1, QUESTION_DEAD);
    find_winners(&fixture, 4);
    publish(&fixture);
    static uint8_t body[WINNERS * 64];
    size_t bytes = 0;
    cr_assert_eq(read_page(&fixture, 4, 0, sizeof(body), body, &bytes), WINNERS);
    check_page(body, bytes, 0, WINNERS);
    fixture_end(&fixture);
}

Test(archive, counts_anew_after_a_start, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0, 1, 2}, 3, 5);
    fixture_write(&fixture);
    fixture_reopen(&fixture, 2);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){7}, 1, 1);
    publish(&fixture);
    struct archived_agency agency;
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_OK);
    cr_assert_eq(agency.winners, 1);
    fixture_end(&fixture);
}

Test(archive, keeps_no_result_of_a_void_draw, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 1);
    add_simple(&fixture, RECORD_VOID, 1);
    add_simple(&fixture, RECORD_VOID, 9);
    fixture_write(&fixture);
    struct archived_draw draw;
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 1, &draw), STATUS_OK);
    cr_assert_eq(draw.phase, PHASE_VOID);
    cr_assert_eq(fixture.archive.draw(fixture.archive.owner, 9, &draw), STATUS_OK);
    cr_assert_eq(draw.phase, PHASE_VOID);
    struct archived_agency agency;
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_NOT_FOUND);
    fixture_end(&fixture);
}

Test(archive, refuses_a_page_that_is_not_of_the_form, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    struct record record = {.kind = RECORD_FOUND, .draw = 1};
    record.found.agency = 4;
    record.found.body = (struct slice){(const uint8_t *)"\x93\x00\x00", 3};
    records_add(fixture.records, &record);
    cr_assert_eq(fixture_try(&fixture), STATUS_MALFORMED);
    cr_assert_not_null(strstr(journal_problem(fixture.journal), "agency 4 in draw 1"));
    fixture_end(&fixture);
}

/* Questions are numbered from 1 on in each draw. */
Test(archive, keeps_the_pages_that_another_draws_question_of_that_number_found, .timeout = 10)
{
    struct fixture fixture;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 1);
    publish(&fixture);
    add_opened(&fixture, 2);
    add_dropped(&fixture, 2, 1);
    fixture_write(&fixture);
    uint8_t body[ITEM_BYTES_MAX];
    size_t bytes = 0;
    cr_assert_eq(read_page(&fixture, 4, 0, sizeof body, body, &bytes), 1);
    check_page(body, bytes, 0, 1);
    fixture_end(&fixture);
}

Test(archive, has_nothing_left_of_a_draw_that_was_recovered, .timeout = 10)
{
    struct fixture fixture;
    struct archived_agency agency;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 1);
    publish(&fixture);
    struct record recovered = {.kind = RECORD_RECOVERED, .draw = 1, .recovered_epoch = 40};
    records_add(fixture.records, &recovered);
    begin_draw(&fixture);
    publish(&fixture);
    cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_OK);
    cr_assert_eq(agency.winners, 0);
    fixture_end(&fixture);
}

Test(archive, ends_the_journal_when_a_page_cannot_be_read, .timeout = 10)
{
    struct fixture fixture;
    uint8_t body[ITEM_BYTES_MAX];
    size_t bytes = 0;
    uint32_t upto = 0;
    fixture_begin(&fixture);
    begin_draw(&fixture);
    add_found(&fixture, 1, 1, 4, (uint32_t[]){0}, 1, 1);
    publish(&fixture);
    fixture_rot(&fixture, "DELETE FROM winners");
    cr_assert_eq(fixture.archive.page(fixture.archive.owner, 1, 4, 0, body, sizeof body, &bytes,
                                      &upto),
                 STATUS_IO);
    add_store(&fixture, 5);
    cr_assert_eq(fixture_try(&fixture), STATUS_IO, "nothing is written behind that");
    fixture_end(&fixture);
}

/* A message can carry no other attempt and plan. */
Test(archive, ends_the_journal_when_an_agency_has_what_none_can_have, .timeout = 10)
{
    static const char *const damages[] = {
        "UPDATE declarations SET attempt = 0",
        "UPDATE declarations SET bytes_max = 1",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        struct archived_agency agency;
        fixture_begin(&fixture);
        begin_draw(&fixture);
        publish(&fixture);
        fixture_edit(&fixture, damages[i]);
        cr_expect_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_IO, "%s",
                     damages[i]);
        cr_expect_eq(journal_verdict(fixture.journal), STATUS_IO, "nothing is written behind that");
        fixture_end(&fixture);
    }
}

/* Whoever fetches page by page is told so, before he has a last page. */
Test(archive, ends_the_journal_when_a_result_has_more_or_fewer_winners_than_were_found,
     .timeout = 10)
{
    static const char *const damages[] = {
        "UPDATE results SET winners = 0",    "UPDATE results SET winners = 1",
        "UPDATE results SET winners = 2997", "UPDATE results SET winners = 2999",
        "UPDATE results SET winners = 3001",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture fixture;
        struct archived_agency agency;
        static uint8_t body[PAGE_BYTES_MAX];
        size_t bytes;
        uint32_t from = 0;
        enum status status;
        fixture_begin(&fixture);
        begin_draw(&fixture);
        find_winners(&fixture, 4);
        publish(&fixture);
        fixture_edit(&fixture, damages[i]);
        cr_assert_eq(fixture.archive.agency(fixture.archive.owner, 1, 4, &agency), STATUS_OK);
        do
            status = fixture.archive.page(fixture.archive.owner, 1, 4, from, body, sizeof body,
                                          &bytes, &from);
        while (status == STATUS_OK && from < agency.winners);
        cr_expect_eq(status, STATUS_IO, "%s", damages[i]);
        cr_expect_eq(journal_verdict(fixture.journal), STATUS_IO, "%s", damages[i]);
        fixture_end(&fixture);
    }
}
