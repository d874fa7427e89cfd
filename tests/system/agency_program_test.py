#!/usr/bin/python3
"""sorteo-agency against a broker that does what each test wants of it (fake_broker.py). Waits for
events with a deadline, never for time to pass.
"""
import os
import signal
import sys
import unittest

import cluster
import wire
from fake_broker import FakeBroker, PUBLISHED, changes_its_range
from wire import BYE, DIGESTS, HELLO, POLL, REFUSED, WINNERS

NUMBER = 7574


def row(i, number=None, end=b"\r\n"):
    number = (NUMBER if i % 97 == 5 else i % 7000) if number is None else number
    return b"Ana Mar\xc3\xada,\"N\xc3\xba\xc3\xb1ez, %d\",%d,19%02d-03-17,%d" % (
        i, 30000000 + i, i % 100, number) + end


class AgencyProgram(unittest.TestCase):
    def setUp(self):
        self.cluster = cluster.Cluster()
        self.broker = FakeBroker(self.cluster.port, number=NUMBER)
        self.rows = [row(i) for i in range(2000)]

    def tearDown(self):
        try:
            self.cluster.__exit__(None, None, None)
        finally:
            self.broker.stop()

    def write(self, rows=None, name="bets.csv"):
        path = self.cluster.path(name)
        with open(path, "wb") as file:
            file.writelines(self.rows if rows is None else rows)
        return path

    def start(self, **options):
        options.setdefault("batch_bets", 100)
        options.setdefault("source", None)
        source = options.pop("source") or self.write()
        return self.cluster.agency(1, source, **options)

    def expect_exit(self, process, code, pattern=None):
        self.assertEqual(process.wait_exit(), code, process.log())
        if pattern:
            self.assertRegex(process.log(), pattern)

    def expect_winners(self):
        wanted = b"".join(line.rstrip(b"\r\n") + b"\n" for line in self.rows
                          if line.rstrip(b"\r\n").endswith(b",%d" % NUMBER))
        self.assertEqual(self.cluster.output(1), wanted)

    def expect_no_output(self, *others):
        left = set(os.listdir(self.cluster.folder)) - {"bets.csv", *others}
        self.assertEqual(left, set(), "nothing else may be left behind")

    def publish_when_finished(self):
        self.broker.wait_for(lambda broker: broker.declaration)
        self.broker.publish()

    # -- a whole draw --

    def test_lost_batches_are_found_missing_and_sent_again(self):
        self.broker.loses = lambda seq, nth: (seq % 3 == 0 and nth == 0) or (seq == 7 and nth < 3)
        self.broker.page_winners = 4
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0, r"apuesta_enviada \| result: success \| cantidad: 2000 ")
        self.assertRegex(agency.log(), r"consulta_ganadores \| result: in_progress .*agencies 2")
        self.assertRegex(agency.log(),
                         r"consulta_ganadores \| result: success \| cant_ganadores: 21 ")
        self.expect_winners()
        self.assertEqual(self.broker.copies[1], 1)
        self.assertEqual(self.broker.copies[7], 4)
        self.assertEqual(self.broker.requests[-1][0], BYE)
        self.expect_no_output("winners-1.csv")

    def test_a_window_of_one_batch_is_enough(self):
        self.broker.window = 0
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.expect_winners()

    def test_publication_ends_the_wait_at_once(self):
        self.broker.start()
        agency = self.start()
        self.broker.wait_for(lambda broker: broker.declaration)
        polls = self.broker.count(POLL)
        self.broker.wait_for(lambda broker: broker.count(POLL) >= polls + 2)
        self.broker.publish()
        polls = self.broker.count(POLL)
        self.expect_exit(agency, 0)
        self.assertEqual(self.broker.count(POLL), polls, "the next one was more than 2 s away")

    def test_subscribes_to_its_whole_topic_before_it_declares(self):
        """[M-27] [M-32]: its HELLO is not answered before the subscription has arrived."""
        self.broker.answers = lambda kind, fields, broker: (
            "silence" if kind == HELLO and not broker.subscriptions else None)
        self.broker.start()
        agency = self.start(connect_timeout=10)
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.assertEqual(self.broker.subscriptions[0], b"\1winners/1/1/")

    def test_lost_publication_is_made_up_for_by_polling(self):
        self.broker.start()
        agency = self.start()
        self.broker.wait_for(lambda broker: broker.declaration)
        self.broker.phase = PUBLISHED  # and nothing on winners
        self.expect_exit(agency, 0)
        self.expect_winners()

    def test_empty_file_finishes_with_an_empty_output(self):
        self.rows = []
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.assertEqual(self.cluster.output(1), b"")
        self.assertEqual(self.broker.declaration[:3], (0, 0, 0))

    def test_last_batch_of_one_bet_arrives_without_a_line_end(self):
        self.rows = [row(i) for i in range(200)] + [row(200, NUMBER, b"")]
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.assertEqual(self.broker.durable[2][0], 1)
        self.expect_winners()

    def test_standard_input_can_be_sent_again(self):
        self.broker.loses = lambda seq, nth: nth == 0
        self.broker.start()
        with open(self.write(), "rb") as file:
            reader, writer = os.pipe()
            agency = self.start(source="-", stdin=reader)
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(file.read())
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.expect_winners()
        self.expect_no_output("winners-1.csv")

    # -- a second life --

    def test_second_process_adopts_the_plan_and_sends_only_what_is_not_durable(self):
        """[M-24]"""
        self.broker.start()
        self.broker.loses = lambda seq, nth: seq >= 10
        first = self.start()
        self.broker.wait_for(lambda broker: len(broker.durable) == 10)
        first.kill()
        copies = dict(self.broker.copies)
        self.broker.loses = lambda seq, nth: False
        second = self.start(batch_bets=333)
        self.publish_when_finished()
        self.expect_exit(second, 0, "attempt 1 was begun with .* stay in force .* --start-over")
        self.assertEqual(len(self.broker.durable), 20)
        self.assertTrue(all(self.broker.copies[seq] == copies[seq] for seq in range(10)))
        self.expect_winners()
        self.expect_no_output("winners-1.csv")

    def test_process_after_publishing_fetches_without_sending(self):
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        copies = dict(self.broker.copies)
        os.remove(self.cluster.path("winners-1.csv"))
        self.expect_exit(self.start(), 0)
        self.expect_winners()
        self.assertEqual(self.broker.copies, copies)

    def test_edited_file_of_a_finished_agency_is_found_before_anything_is_sent(self):
        """[M-25]"""
        self.broker.start()
        first = self.start()
        self.broker.wait_for(lambda broker: broker.declaration)
        first.kill()
        declared, copies = self.broker.declaration, dict(self.broker.copies)
        self.broker.answers = lambda kind, fields, broker: (
            (REFUSED, [wire.REASONS.index("DECLARATION"), 0, 0, 0, 1], None)
            if kind == POLL and fields[4] and tuple(fields[5:]) != declared else None)
        self.rows[1234] = row(1234, 9999)
        second = self.start()
        self.expect_exit(second, 65, r"batch 12 \(lines 1201-1300 of .*bets.csv\) differs")
        self.assertNotIn("apuesta_enviada | result: success", second.log())
        self.assertEqual(self.broker.copies, copies)
        self.assertEqual(self.broker.requests[-1][0], DIGESTS)

    def test_start_over_opens_the_next_attempt(self):
        self.broker.start()
        self.broker.loses = lambda seq, nth: seq >= 10
        first = self.start()
        self.broker.wait_for(lambda broker: len(broker.durable) == 10)
        first.kill()
        self.broker.loses = lambda seq, nth: False
        second = self.start(start_over=True, batch_bets=500)
        self.publish_when_finished()
        self.expect_exit(second, 0, "attempt: 2 ")
        self.assertEqual(len(self.broker.durable), 4)
        self.expect_winners()

    def test_broker_that_comes_back_is_found_again(self):
        self.broker.start()
        agency = self.start()
        self.broker.wait_for(lambda broker: broker.declaration)
        self.broker.stop()
        agency.wait_line(r"unanswered: \d+")
        former, self.broker = self.broker, FakeBroker(self.cluster.port, number=NUMBER)
        self.broker.attempt, self.broker.plan = 1, former.plan  # its journal; no store has come yet
        self.broker.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.assertEqual(self.broker.requests[0][0], HELLO)
        self.expect_winners()

    # -- ends --

    def test_no_broker_exits_69(self):
        agency = self.start(connect_timeout=1)
        self.expect_exit(agency, 69, r"no answer from the broker at 127.0.0.1:\d+ within 1 s")
        self.expect_no_output()

    def test_unknown_host_exits_69(self):
        agency = self.start(connect_timeout=1, broker="no-such-host.invalid")
        self.expect_exit(agency, 69, "no-such-host.invalid")

    def test_broker_that_falls_silent_exits_69_after_the_retries(self):
        self.broker.answers = lambda kind, fields, broker: "silence" if kind == POLL else None
        self.broker.start()
        agency = self.start(retries=2)
        self.expect_exit(agency, 69, "2 requests in a row unanswered")

    def test_sigterm_while_waiting_exits_75_and_leaves_nothing(self):
        self.broker.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            agency = self.start()
            agency.wait_line("consulta_ganadores . result: in_progress")
            agency.signal(number)
            self.assertEqual(agency.wait_exit(cluster.STOP_S), 75)
            self.assertRegex(agency.log(), "interrupted")
            self.expect_no_output()

    def test_sigterm_while_it_says_bye_with_its_winners_exits_0(self):
        self.broker.answers = lambda kind, fields, broker: "silence" if kind == BYE else None
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.broker.wait_for(lambda broker: broker.count(BYE) > 0)
        agency.signal(signal.SIGTERM)
        self.assertEqual(agency.wait_exit(cluster.STOP_S), 0, agency.log())
        self.expect_winners()

    def test_sigterm_while_it_says_bye_to_a_void_draw_exits_75(self):
        void = REFUSED, [wire.REASONS.index("VOID"), 0, 0, 0, 0], None
        self.broker.answers = lambda kind, fields, broker: {BYE: "silence", POLL: void}.get(kind)
        self.broker.start()
        agency = self.start()
        self.broker.wait_for(lambda broker: broker.count(BYE) > 0)
        agency.signal(signal.SIGTERM)
        self.assertEqual(agency.wait_exit(cluster.STOP_S), 75)
        self.assertRegex(agency.log(), "refused: the draw is void")
        self.expect_no_output()

    def test_sigterm_while_standard_input_is_open_exits_75(self):
        self.broker.start()
        reader, writer = os.pipe()
        agency = self.start(source="-", stdin=reader)
        os.close(reader)
        self.broker.wait_for(lambda broker: broker.count(POLL) > 0)
        agency.signal(signal.SIGTERM)
        self.assertEqual(agency.wait_exit(cluster.STOP_S), 75)
        os.close(writer)
        self.expect_no_output()

    def test_superseded_exits_75(self):
        self.broker.answers = lambda kind, fields, broker: (
            (REFUSED, [wire.REASONS.index("SUPERSEDED"), 0, 0, 0, 1 << 62], None)
            if kind == POLL else None)
        self.broker.start()
        self.expect_exit(self.start(), 75, "a newer process of this agency has taken over")

    def test_draw_that_is_not_open_is_waited_for(self):
        self.broker.answers = lambda kind, fields, broker: (
            (REFUSED, [wire.REASONS.index("NOT_OPEN"), 0, 0, 0, 0], None)
            if kind == HELLO and broker.count(HELLO) < 2 else None)
        self.broker.start()
        agency = self.start()
        agency.wait_line("waiting_for: the broker at .* to open draw 1")
        self.publish_when_finished()
        self.expect_exit(agency, 0)

    def test_nothing_moves_for_the_wait_timeout_exits_75(self):
        self.broker.start()
        agency = self.start(wait_timeout=1)
        self.expect_exit(agency, 75, "nothing has moved for 1 s")
        self.expect_no_output()

    def test_rejected_names_file_and_line(self):
        self.broker.answers = lambda kind, fields, broker: (
            (REFUSED, [wire.REASONS.index("REJECTED"), 3, 7, 16, 0], None)
            if kind == POLL and fields[4] else None)
        self.broker.start()
        self.expect_exit(self.start(), 65, r"bets.csv:308: the birthdate is before 1900")

    # -- the file --

    def test_bad_row_stops_and_names_file_line_and_reason(self):
        self.rows[700] = b"Ana,Paz,1,1999-03-17\r\n"
        self.broker.start()
        self.expect_exit(self.start(), 65, r"bets.csv:701: a column is missing")
        self.assertIsNone(self.broker.declaration)
        self.expect_no_output()

    def test_bad_rows_are_skipped_listed_and_declared(self):
        self.rows[700] = b"Ana,Paz,1,1999-03-17\r\n"
        self.rows[5] = b"Ana,Paz,1,1999-02-30,7\r\n"
        self.rows[1999] = b"Ana,Paz,1,1999-02-10,x\r\n"
        self.broker.loses = lambda seq, nth: nth == 0
        self.broker.start()
        agency = self.start(bad_rows="skip")
        agency.wait_line("bad_rows .* cantidad: 3 .* /.*winners-1.csv.rejects.csv")
        with open(self.cluster.path("winners-1.csv.rejects.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        self.assertEqual(self.broker.declaration[1:3], (1997, 3))
        self.assertEqual([line.split(",")[0] for line in lines], ["6", "701", "2000"])
        self.assertEqual(lines[0], '6,"the birthdate is no day of the calendar"')
        self.assertEqual(agency.log().count("bad_rows | "), 1, agency.log())
        self.expect_winners()

    def test_bad_rows_are_listed_again_after_publishing(self):
        self.rows[700] = b"Ana,Paz,1,1999-03-17\r\n"
        self.broker.start()
        agency = self.start(bad_rows="skip")
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        path = self.cluster.path("winners-1.csv.rejects.csv")
        os.unlink(path)
        self.expect_exit(self.start(bad_rows="skip"), 0, "bad_rows .* cantidad: 1 ")
        self.assertTrue(os.path.exists(path))
        self.expect_winners()

    def test_bad_rows_that_cannot_be_listed_exit_74_without_winners(self):
        """A folder takes the place of the list while it declares."""
        path = self.cluster.path("winners-1.csv.rejects.csv")
        self.broker.answers = lambda kind, fields, broker: (
            os.makedirs(path, exist_ok=True) if kind == POLL and fields[4] else None)
        self.rows[700] = b"Ana,Paz,1,1999-03-17\r\n"
        self.broker.start()
        agency = self.start(bad_rows="skip")
        self.publish_when_finished()
        self.expect_exit(agency, 74, "winners-1.csv.rejects.csv: .*: Is a directory")
        os.rmdir(path)
        self.expect_no_output()

    def test_process_that_is_superseded_leaves_the_list_of_the_newer_one(self):
        """It hears that it is the older one when it declares, having read an older file."""
        self.rows[700] = b"Ana,Paz,1,1999-03-17\r\n"
        self.broker.answers = lambda kind, fields, broker: (
            (REFUSED, [wire.REASONS.index("SUPERSEDED"), 0, 0, 0, 0], None)
            if kind == POLL and fields[4] else None)
        self.broker.start()
        path = self.cluster.path("winners-1.csv.rejects.csv")
        with open(path, "w", encoding="ascii") as file:
            file.write("the newer one's")
        self.expect_exit(self.start(bad_rows="skip"), 75, "a newer process of this agency")
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "the newer one's")

    def test_check_reports_every_bad_row(self):
        self.rows[5] = b"Ana,Paz,1,1999-02-30,7\r\n"
        self.rows[9] = b"\r\n"
        path = self.write()
        agency = self.cluster.start("check", "sorteo-agency", ["--check", "--input", path])
        self.expect_exit(agency, 65, "rows: 2000 . bad: 2")
        self.assertRegex(agency.log(), r"bets.csv:6: .*calendar\n.*bets.csv:10: a column is")
        self.rows = [row(1)]
        agency = self.cluster.start("check", "sorteo-agency", ["--check", "--input", self.write()])
        self.expect_exit(agency, 0, "rows: 1 . bad: 0")

    def test_file_that_changes_while_it_is_sent_exits_65(self):
        """[M-16]"""
        path = self.write()

        def edit(seq, nth):
            if seq == 0 and nth == 0:  # lost, so it has to be read again
                with open(path, "r+b") as file:
                    file.write(b"X")
            return seq == 0 and nth == 0
        self.broker.loses = edit
        self.broker.start()
        self.expect_exit(self.start(source=path), 65, "has changed while it was being sent")
        self.expect_no_output()

    def test_missing_input_exits_66(self):
        agency = self.start(source=self.cluster.path("no.csv"))
        self.expect_exit(agency, 66, "cannot open '.*no.csv': No such file")
        agency = self.start(source=self.cluster.folder)
        self.expect_exit(agency, 66, "Is a directory")

    def test_output_that_cannot_be_written_exits_73_before_anything_is_sent(self):
        self.broker.start()
        for output, reason in (("no/winners.csv", "No such file"), (".", "Is a directory")):
            agency = self.start(output=self.cluster.path(output))
            self.expect_exit(agency, 73, reason)
        self.assertEqual(self.broker.requests, [])

    # -- the result --

    def test_winner_that_is_not_the_file_s_bet_exits_76(self):
        """[M-34]"""
        def spoil(winners):
            winners[2][2][2] = "1"
            return winners
        self.broker.spoils = spoil
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 76, "the result is wrong: batch 1, row 99 of .* holds another bet")
        self.expect_no_output()
        self.assertEqual(self.broker.count(BYE), 0)

    def test_seed_that_was_not_committed_to_exits_76(self):
        """[M-34]"""
        self.broker.draw_from(b"s" * 32)
        self.broker.commitment = wire.sha256(b"t" * 32)
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 76, "its seed is not the one")
        self.expect_no_output()

    def test_number_that_does_not_follow_from_the_seed_exits_76(self):
        """[M-69]"""
        self.broker.draw_from(b"s" * 32)
        self.broker.number ^= 1
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 76, "the result is wrong: its number does not follow")
        self.expect_no_output()
        self.assertEqual(self.broker.count(BYE), 0)

    def test_range_that_changes_exits_76(self):
        """[M-70]"""
        self.broker.answers = changes_its_range
        self.broker.start()
        self.expect_exit(self.start(), 76, "changed the commitment to its seed or the range")
        self.expect_no_output()

    def test_committed_seed_and_the_number_that_follows_are_accepted(self):
        self.broker.draw_from(b"s" * 32)
        self.rows = [row(i, self.broker.number if i % 97 == 5 else None) for i in range(2000)]
        self.broker.start()
        agency = self.start()
        self.publish_when_finished()
        self.expect_exit(agency, 0)
        wanted = [line.rstrip() for line in self.rows
                  if line.rstrip().endswith(b",%d" % self.broker.number)]
        self.assertEqual(self.cluster.output(1).splitlines(), wanted)
        self.assertGreater(self.broker.count(WINNERS), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
