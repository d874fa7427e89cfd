#!/usr/bin/python3
"""What people do when they try it: each time the program says what happened and what to do, ends
with the right code, and harms nothing.
"""
import os
import shutil
import stat
import subprocess
import unittest

from case import NUMBER, SystemCase
from cluster import BIN, ROOT, Cluster, sample, scan

BUILD_S = 600.0  # for a whole build, however busy the machine is


class Files(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(2, 3000, winning_number=NUMBER)

    def test_output_in_the_place_of_the_input(self):
        """Nobody has to answer: it ends before it dials."""
        with open(self.paths[0], "rb") as file:
            text = file.read()
        with Cluster() as cluster:
            for name, output in (("bets.csv", "bets.csv"), ("w.rejects.csv", "w")):
                path = cluster.path(name)
                with open(path, "wb") as file:
                    file.write(text)
                agency = cluster.agency(1, path, output=cluster.path(output))
                self.expect_exit(agency, 64, f"'{path}' is the input, and would be overwritten")
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), text)

    def test_output_in_the_place_of_a_device(self):
        """A device, a pipe or a link stays what it is, whoever runs it: here a pipe and a link."""
        with Cluster() as cluster:
            pipe, link, rejects = (cluster.path(name) for name in ("pipe", "link", "w.rejects.csv"))
            os.mkfifo(pipe)
            os.symlink("/dev/stdout", link)
            os.symlink("/dev/full", rejects)
            for output, path in ((pipe, pipe), (link, link), (cluster.path("w"), rejects)):
                agency = cluster.agency(1, self.paths[0], output=output)
                self.expect_exit(agency, 73, f"'{path}' is a device, a pipe or a link, .* hint: ")
            self.assertTrue(stat.S_ISFIFO(os.lstat(pipe).st_mode))
            self.assertTrue(os.path.islink(link) and os.path.islink(rejects))
            self.expect_exit(cluster.agency(1, self.paths[0], output="-"), 64, "it takes a file")

    def test_closed_streams(self):
        """What a service or a script closes stays closed: no line of a log gets into a file."""
        with Cluster(agencies=1, winning_number=NUMBER) as cluster:
            broker, workers = self.start_draw(cluster, 1)
            agency = ["--broker", cluster.address, "--id", 1, "--output", cluster.path("w.csv")]
            command = ["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-',
                       os.path.join(BIN, "sorteo-agency")]
            self.expect_exit(cluster.start("no input", command, [*agency, "--input", "-"]), 74)
            self.expect_exit(cluster.start("agency", command,
                                           [*agency, "--input", self.paths[0]]), 0)
            with open(cluster.path("w.csv"), "rb") as file:
                self.assertEqual(file.read(), scan(self.paths[0], NUMBER))
            self.expect_exit(broker, 0)
            self.stop(workers, 0)

    def test_the_same_draw_again(self):
        """With the same file it has its winners again, and is told that nothing was sent; another
        file is told to be one before anybody suspects the result."""
        with Cluster(agencies=1, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster, 1)
            self.expect_exit(cluster.agency(1, self.paths[0]), 0)
            self.expect_exit(broker, 0)
            broker = cluster.broker()
            again = cluster.agency(1, self.paths[0])
            self.expect_exit(again, 0, "sorteo .* draw: 1 .* PUBLISHED .* nothing is sent any more")
            self.expect_winners(cluster, self.paths[:1])
            other = cluster.agency(1, self.paths[1], output=cluster.path("other.csv"))
            self.expect_exit(other, 76, "hint: if this is not the file that was sent")
            self.assertNotIn("other.csv", os.listdir(cluster.folder))
            self.stop(broker, 0)
            self.stop(workers, 0)


class Texts(SystemCase):
    def test_a_text_that_cannot_be_written(self):
        """A script that keeps --help in a file on a full disk is told so."""
        programs = [["sorteo-broker"], ["sorteo-worker"], ["sorteo-agency"], ["sorteo"],
                    ["sorteo", "sample"]]
        for program in programs:
            for option in ("--help", "--usage", "--version"):
                command = [os.path.join(BIN, program[0]), *program[1:], option]
                for path, code in (("/dev/null", 0), ("/dev/full", 74)):
                    with self.subTest(command=command, path=path), open(path, "wb") as output:
                        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE,
                                               text=True, check=False)
                        self.assertEqual(ended.returncode, code)
                        self.assertEqual("cannot write to standard output: No space" in
                                         ended.stderr, code != 0, ended.stderr)


class Folders(SystemCase):
    def test_broker_s_folder_deleted_while_workers_run(self):
        """No other broker is there to be told of: the journal is gone, and what to do is said."""
        with Cluster(agencies=1) as cluster:
            broker, workers = self.start_draw(cluster, 1)
            self.stop(broker, 0)
            shutil.rmtree(cluster.path("broker"))
            self.expect_exit(cluster.broker(), 78, "epoch 1, this one has 1: .* lost, older .* "
                                                   "--recover N, or, to begin anew")
            self.stop(workers, 0)

    def test_journal_that_cannot_be_made(self):
        """The reason is the system's own, and what to do about it stands behind."""
        with Cluster(agencies=1) as cluster:
            path = cluster.path("file")
            open(path, "wb").close()
            for folder, reason in ((path, "Not a directory"),
                                   ("/sys", "(Permission denied|Read-only file system)")):
                broker = cluster.broker(data=folder)
                self.expect_exit(broker, 73, f"cannot create the journal '{folder}/.*': {reason} "
                                             r"\| hint: --data needs a folder .* \| code: 73")

    def test_journal_that_is_something_else(self):
        with Cluster(agencies=1) as cluster:
            os.mkdir(cluster.path("broker"))
            with open(cluster.path("broker/journal.sqlite"), "w", encoding="ascii") as file:
                file.write("my notes\n" * 1000)
            self.expect_exit(cluster.broker(), 78, "file is not a database: it is no journal; "
                                                   "choose another --data, or, .* --recover N")

    def test_store_that_cannot_be_made(self):
        """One worker or several: there is nothing to wait for, so nobody tries again."""
        with Cluster() as cluster:
            path = cluster.path("file")
            open(path, "wb").close()
            for count in (1, 3):
                workers = cluster.workers(count, folder="file")
                self.expect_exit(workers, 73,
                                 f"cannot create '{path}': Not a directory .* hint: --store")
                self.assertEqual(workers.log().count("open_store"), count)


def clone(path):
    """What git would hand out of this tree, as it stands now. returns the names of all files."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others",
                            "--exclude-standard"], check=True, capture_output=True, text=True)
    files = {name for name in names.stdout.split("\0") if os.path.isfile(os.path.join(ROOT, name))}
    for name in files:
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        shutil.copy(os.path.join(ROOT, name), os.path.join(path, name))
    return files


def files_of(path):
    return {os.path.relpath(os.path.join(folder, name), path)
            for folder, _, names in os.walk(path) for name in names}


class Demo(SystemCase):
    """`make demo`; with what cannot go well it says so at once instead of waiting for ever."""

    def demo(self, cluster, workers=1, programs=BIN):
        script = os.path.join(ROOT, "deploy", "demo")
        return cluster.start("demo", [script], [programs, workers, 2, 100],
                             environment={"PORT": str(cluster.port)})

    def test_a_draw(self):
        with Cluster() as cluster:
            demo = self.demo(cluster)
            self.expect_exit(demo, 0, "== 100 bets sent, stored, sealed, drawn")
            self.assertNotIn("No such file", demo.log())

    def test_a_draw_from_a_fresh_clone(self):
        """Built from nothing but what git has, with nothing left beside build/."""
        with Cluster() as cluster:
            path = cluster.path("clone")
            files = clone(path)
            made = cluster.start("make demo", ["make", "-C", path], [
                "-j2", "demo", f"PORT={cluster.port}", "AGENCIES=3", "BETS=1000"],
                environment={"MAKEFLAGS": "", "MAKELEVEL": ""})
            self.expect_exit(made, 0, "== 1000 bets sent, stored, sealed, drawn and answered",
                             deadline_s=BUILD_S)
            self.assertRegex(made.log(), "== winners of 7574, each agency its own")
            for agency in (1, 2, 3):
                self.assertIn(f"agency {agency} ", made.log())
            left = {name for name in files_of(path) if not name.startswith("build/")}
            self.assertEqual(left, files)

    def test_port_of_another_broker(self):
        """Its agencies must not take part in a stranger's draw."""
        with Cluster(agencies=2) as cluster:
            broker, workers = self.start_draw(cluster, 1)
            self.expect_exit(self.demo(cluster), 75, "already in use(.|\n)* make demo PORT=")
            self.stop(broker, 0)
            self.assertNotIn("action: agencia", broker.log())
            self.stop(workers, 0)

    def test_broker_that_ends(self):
        """The agencies would look for it for half a minute, and longer once it has answered."""
        with Cluster() as cluster:
            programs = cluster.path("programs")
            os.mkdir(programs)
            for name in ("sorteo", "sorteo-agency", "sorteo-worker"):
                os.symlink(os.path.join(BIN, name), os.path.join(programs, name))
            with open(os.path.join(programs, "sorteo-broker"), "w", encoding="ascii") as broker:
                broker.write("#!/bin/sh\necho action: listen >&2\nexit 78\n")
                os.fchmod(broker.fileno(), 0o755)
            self.expect_exit(self.demo(cluster, programs=programs), 78,
                             "the broker ended with 78; build/demo/broker.log ends with:")

    def test_no_workers(self):
        with Cluster() as cluster:
            self.expect_exit(self.demo(cluster, 0), 64, "the worker ended with 64(.|\n)* from 1 to")


if __name__ == "__main__":
    unittest.main()
