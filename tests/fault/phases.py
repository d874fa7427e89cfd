"""The phases of a draw, and how one is held in each of them while something fails."""
import contextlib
import os
import shutil
import signal
import sqlite3
import tempfile

from fault import SLOWLY, Draw

# Who stands still, and where. SENDING is held by being slow, the BARRIER by the last agency's
# not being there.
STANDING = {"sealed": ("worker 0", "worker.after_commit.seal:1"),
            "counting": ("worker 0", "worker.before_send.counted:1"),
            "published": ("agency 1", "agency.before_send.bye:1")}
PHASES = ("sending", "barrier", *STANDING)
LAST = "agency 3"


class HeldDraw(Draw):
    """A draw that is in one phase, until it is let go."""

    def __init__(self, cluster, phase, **roles):
        slowly = SLOWLY if phase == "sending" else {}
        for role, options in slowly.items():
            roles[role] = {**options, **roles.get(role, {})}
        super().__init__(cluster, **roles)
        self.phase, self.stander, self.known_before = phase, None, {}

    def hold(self, case):
        if self.phase == "sending":
            self.begin()
            self.known_before = self.wait_middle()
            case.assertNotIn("action: sellado", self["broker"].log())
        elif self.phase == "barrier":
            self.begin(LAST)
            for name in ("agency 1", "agency 2"):
                self[name].wait_line("consulta_ganadores .* in_progress .* finished: 2 of 3")
            self.known_before = self.known()
        else:
            name, point = STANDING[self.phase]
            with self.cluster.changed(stand=point):
                self.stander = self.start(name)
            self.start_all(name)
            case.wait_stopped(self.stander)
        return self

    def let_go(self):
        if self.phase == "barrier":
            self.start(LAST)
        elif self.stander is not None and self.stander.runs():
            self.stander.signal(signal.SIGCONT)

    def there(self, role=""):
        """The names of what has been started of a role."""
        return [name for name in self.names(role) if name in self.programs]

    def sealed_with(self):
        """(root, number) of the seal in the journal; None: there is no seal."""
        with self.journal(self.cluster.path("broker")) as journal:
            row = journal.execute("SELECT root, number FROM draws").fetchone()
        return row if row and row[0] is not None else None

    @contextlib.contextmanager
    def journal(self, kept):
        """A copy: nothing of the journal in this folder is changed by looking."""
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(kept):
                shutil.copy(os.path.join(kept, name), folder)
            path = os.path.join(folder, "journal.sqlite")
            with contextlib.closing(sqlite3.connect(path)) as journal:
                yield journal

    def journal_is_free(self, deadline_s):
        """Whether the broker is outside a transaction, by then at the latest."""
        path = self.cluster.path("broker", "journal.sqlite")
        with contextlib.closing(sqlite3.connect(path, timeout=deadline_s)) as journal:
            try:
                journal.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True
