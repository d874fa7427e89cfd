#!/usr/bin/python3
"""What stands in a file and where it comes from. Each kind of bad row, a birthdate to come among
them [M-11]: with --bad-rows stop it is named by file, line and reason; with skip it is listed, the
others take part, and what was declared is what was counted. Every form of CSV that is allowed; a
pipe; an empty file; a last batch of one bet.
"""
import csv
import os
import subprocess
import unittest

import wire
from case import NUMBER, SystemCase
from cluster import Cluster, real_inputs, scan

WINNER = b"Ana,Soto,20000001,1980-05-06,7574"
OTHER = b"Luis,Paz,20000002,1981-06-07,7573"
BAD_LINE = 3  # where the bad row stands: behind two good ones, the first a winner
BAD_ROWS = [
    ("column missing", b"Eva,Gil,20000003,7574", "a column is missing"),
    ("column too many", b"Eva,Gil,20000003,1990-01-01,7574,1", "more than five columns"),
    ("line empty", b"", "a column is missing"),
    ("29 days in February", b"Eva,Gil,20000003,2023-02-30,7574", "no day of the calendar"),
    ("birthdate of another form", b"Eva,Gil,20000003,01/02/1990,7574", "form YYYY-MM-DD"),
    ("birthdate to come", b"Eva,Gil,20000003,2999-01-01,7574", "in the future"),
    ("number empty", b"Eva,Gil,20000003,1990-01-01,", "the number is empty"),
    ("number signed", b"Eva,Gil,20000003,1990-01-01,-7574", "no digit"),
    ("number with a plus", b"Eva,Gil,20000003,1990-01-01,+7574", "no digit"),
    ("number no number", b"Eva,Gil,20000003,1990-01-01,seven", "no digit"),
    ("number too large", b"Eva,Gil,20000003,1990-01-01,4294967296", "larger than 4294967295"),
    ("not UTF-8", b"Eva\xff,Gil,20000003,1990-01-01,7574", "not valid UTF-8"),
    ("NUL inside", b"E\0va,Gil,20000003,1990-01-01,7574", "NUL"),
    ("first name empty", b",Gil,20000003,1990-01-01,7574", "the first name is empty"),
    ("field too long", b"Eva," + b"x" * 101 + b",20000003,1990-01-01,7574", "longer than 100"),
    ("document too long", b"Eva,Gil," + b"1" * 33 + b",1990-01-01,7574", "longer than 32"),
    ("row too long", b"Eva," + b"x" * 5000 + b",20000003,1990-01-01,7574", "longer than 4096"),
    ("quote not closed", b'Eva,"Gil,20000003,1990-01-01,7574', "a quote is not closed"),
]


class BadRows(SystemCase):
    """One draw; each kind of bad row is an agency's."""

    def write(self, cluster, agency, rows):
        path = cluster.path(f"bets-{agency}.csv")
        with open(path, "wb") as file:
            file.writelines(row + b"\n" for row in rows)
        return path

    def rows_with(self, bad):
        """The bad row, and good ones around it. What is not closed swallows all behind it."""
        before, behind = [WINNER, OTHER], [WINNER, OTHER, WINNER]
        return [*before, bad, *([] if bad.count(b'"') % 2 else behind)]

    def test_each_is_refused_then_skipped(self):
        with Cluster(agencies=len(BAD_ROWS), winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            agencies = []
            for agency, (kind, bad, reason) in enumerate(BAD_ROWS, 1):
                path = self.write(cluster, agency, self.rows_with(bad))
                with self.subTest(kind):
                    self.check_only(cluster, agency, path, reason)
                    self.stop_at_it(cluster, agency, path, reason)
                agencies.append(cluster.agency(agency, path, bad_rows="skip", start_over=True))
            for agency, (kind, bad, reason) in enumerate(BAD_ROWS, 1):
                with self.subTest(kind):
                    self.expect_exit(agencies[agency - 1], 0, "apuesta_enviada .* rejected: 1 ")
                    self.check_skipped(cluster, broker, agency, self.rows_with(bad), reason)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)

    def check_only(self, cluster, agency, path, reason):
        check = cluster.start(f"check {agency}", "sorteo-agency", ["--check", "--input", path])
        self.expect_exit(check, 65, f"{path}:{BAD_LINE}: .*{reason}")
        self.assertRegex(check.log(), "action: check .* bad: 1$")

    def stop_at_it(self, cluster, agency, path, reason):
        process = cluster.agency(agency, path)
        self.expect_exit(process, 65, f"{path}:{BAD_LINE}: .*{reason}")
        self.assertNotIn(f"winners-{agency}.csv", os.listdir(cluster.folder))

    def check_skipped(self, cluster, broker, agency, rows, reason):
        good = [row for row in rows if row in (WINNER, OTHER)]
        winners = [row + b"\n" for row in rows if row == WINNER]
        self.assertEqual(cluster.output(agency), b"".join(winners))
        with open(cluster.path(f"winners-{agency}.csv.rejects.csv"), newline="") as file:
            rejects = list(csv.reader(file))
        self.assertEqual([int(line) for line, _ in rejects], [BAD_LINE])
        self.assertIn(reason, rejects[0][1])
        self.assertRegex(broker.log(), f"apuesta_recibida .* agency: {agency} .* "
                                       f"cantidad: {len(good)} .* rejected: 1 ")

    def test_each_of_many_is_listed(self):
        """Rejected and declared rows are together the rows of the file, over many batches."""
        rows = [OTHER if i % 3 else (b"bad" if i % 2 else WINNER) for i in range(3000)]
        with Cluster(agencies=1, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            path = self.write(cluster, 1, rows)
            self.expect_exit(cluster.agency(1, path, bad_rows="skip", batch_bets=7), 0)
            with open(cluster.path("winners-1.csv.rejects.csv"), newline="") as file:
                lines = [int(line) for line, _ in csv.reader(file)]
            self.assertEqual(lines, [i + 1 for i, row in enumerate(rows) if row == b"bad"])
            self.assertEqual(cluster.output(1), (WINNER + b"\n") * rows.count(WINNER))
            self.expect_exit(broker, 0, f"cantidad: {3000 - len(lines)} .* rejected: {len(lines)} ")
            self.stop(workers, 0)

    def test_check_of_a_good_file(self):
        with Cluster() as cluster:
            check = cluster.start("check", "sorteo-agency", [
                "--check", "--input", self.write(cluster, 1, [WINNER, OTHER])])
            self.expect_exit(check, 0, "action: check .* rows: 2 .* bad: 0$")


class Forms(SystemCase):
    def draw(self, text, **options):
        """A draw of one agency with this text as its file: what it gets, and the broker's log."""
        with Cluster(agencies=1, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            path = cluster.path("bets.csv")
            with open(path, "wb") as file:
                file.write(text)
            self.expect_exit(cluster.agency(1, path, **options), 0)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)
            return cluster.output(1), broker.log()

    def test_forms_that_are_allowed(self):
        quoted = b'"Ana ""la""","Soto, Paz","20000001","1980-05-06","7574"'
        accented = "Íñigo,Muñoz,F-1/2,1900-01-01,7574".encode()
        for form, text, wanted in [
                ("CRLF", WINNER + b"\r\n" + OTHER + b"\r\n" + WINNER + b"\r\n", [WINNER, WINNER]),
                ("LF and CRLF", WINNER + b"\n" + OTHER + b"\r\n" + WINNER + b"\n",
                 [WINNER, WINNER]),
                ("BOM", b"\xef\xbb\xbf" + WINNER + b"\n" + OTHER + b"\n", [WINNER]),
                ("quotes", quoted + b"\n" + OTHER + b"\n" + quoted + b"\r\n", [quoted, quoted]),
                ("beyond ASCII", accented + b"\n", [accented]),
                ("no final newline", OTHER + b"\n" + WINNER, [WINNER]),
                ("nobody wins", OTHER + b"\n", []),
                ("number with zeros", b"Ana,Soto,1,1980-05-06,0007574\n",
                 [b"Ana,Soto,1,1980-05-06,0007574"])]:
            with self.subTest(form):
                output, log = self.draw(text)
                self.assertEqual(output, b"".join(row + b"\n" for row in wanted))
                rows = text.rstrip(b"\n").count(b"\n") + 1
                self.assertRegex(log, f"apuesta_recibida .* cantidad: {rows} .* rejected: 0 ")

    def test_an_empty_file_finishes_at_once(self):
        for text in (b"", b"\xef\xbb\xbf"):
            output, log = self.draw(text)
            self.assertEqual(output, b"")
            self.assertRegex(log, "apuesta_recibida .* cantidad: 0 .* batches: 0 ")

    def test_a_last_batch_of_one_bet_arrives(self):
        rows = [OTHER] * 200 + [WINNER]
        output, log = self.draw(b"".join(row + b"\n" for row in rows), batch_bets=100)
        self.assertEqual(output, WINNER + b"\n")
        self.assertRegex(log, "apuesta_recibida .* cantidad: 201 .* batches: 3 ")

    def test_input_from_a_pipe(self):
        path = real_inputs()[0][0]
        with Cluster(agencies=1, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            agency = cluster.agency(1, "-", stdin=subprocess.PIPE)
            with agency.popen.stdin as pipe:
                pipe.write(wire.read_file(path))
            self.expect_exit(agency, 0)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)
            self.assertEqual(cluster.output(1), scan(path, NUMBER))
            self.assertEqual(sorted(os.listdir(cluster.folder)),
                             ["broker", "winners-1.csv", "workers"])


if __name__ == "__main__":
    unittest.main()
