"""What the tests with whole programs have in common: how they wait, and what they expect."""
import os
import signal
import unittest

from cluster import STOP_S, scan

NUMBER = 7574


class SystemCase(unittest.TestCase):
    def expect_exit(self, process, code, pattern=None, **limits):
        self.assertEqual(process.wait_exit(**limits), code, f"{process.name}:\n{process.log()}")
        if pattern is not None:
            self.assertRegex(process.log(), pattern)

    def expect_winners(self, cluster, paths, number=NUMBER):
        """Each agency, 1 and up in the order of the paths, has its own winners, byte for byte."""
        for agency, path in enumerate(paths, 1):
            self.assertEqual(cluster.output(agency), scan(path, number), f"agency {agency}")

    def start_draw(self, cluster, stores=2, **workers):
        """A broker that listens, and workers that are registered."""
        broker = cluster.broker()
        broker.wait_line("action: listen")
        pool = cluster.workers(stores, **workers)
        broker.wait_line(f"registro .* success .* stores: {stores}$")
        return broker, pool

    def stop(self, process, code, number=signal.SIGTERM, kill=os.kill):
        """Ends a program by a signal: in time, with this code, and nothing of it is left. With
        kill=os.killpg its whole group hears the signal, as from a terminal."""
        kill(process.pid, number)
        self.expect_exit(process, code, deadline_s=STOP_S)
        self.assertTrue(process.descendants_gone(), f"{process.name} has left processes")
