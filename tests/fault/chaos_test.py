"""Half a minute of chaos: nothing lost, nothing twice. `make chaos SECONDS=600 SEED=7` is more."""
import importlib.machinery
import importlib.util
import os
import unittest

from fault import fast

SECONDS, SEED = 25, 7


def load_chaos():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos")
    loader = importlib.machinery.SourceFileLoader("chaos", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("chaos", loader))
    loader.exec_module(module)
    return module


class Chaos(unittest.TestCase):
    @fast
    def test_half_a_minute(self):
        ended = load_chaos().run(SECONDS, SEED)
        print(f"       chaos, seed {SEED}: {ended.summary()}")
        self.assertEqual((ended.lost, ended.twice), (0, 0))
