"""Hosts of a test's own: network namespaces, each with an address and a link to the test's own.
Nothing leaves the machine: a Host has no other way than its link, whose two addresses are of a
range for documentation (RFC 5737). Nothing is left when the test ends, nor when it is killed: the
namespace lives as long as its holder and the programs inside, which the kernel kills with the
test, and its end takes the link along. Needs root.
"""
import subprocess

from cluster import DEADLINE_S

HOLD = "echo ready && exec cat"
NETWORK, LINKS = "198.51.100", 128  # a link has two of its 256 addresses
PORT = 5555  # of the broker of each host


class Host:
    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", HOLD],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n", "no network namespace"
        self.inside = ["setpriv", "--pdeathsig", "KILL",
                       "nsenter", "--net", "--target", str(self.holder.pid)]
        number = self._claim_link()
        self.outer, here = f"sorteo{number}", f"{NETWORK}.{2 * number}"
        self.address = f"{NETWORK}.{2 * number + 1}"
        self.endpoint = f"{self.address}:{PORT}"
        assert not self._routed(here), f"{NETWORK}.0/24 is a network of this machine"
        run("ip", "address", "add", f"{here}/31", "dev", self.outer)
        run("ip", "link", "set", self.outer, "up")
        run(*self.inside, "ip", "address", "add", f"{self.address}/31", "dev", "uplink")
        run(*self.inside, "ip", "link", "set", "lo", "up")
        self.join()
        return self

    def __exit__(self, kind, value, trace):
        run("ip", "link", "delete", self.outer)
        self.holder.stdin.close()
        self.holder.wait(DEADLINE_S)
        self.holder.stdout.close()

    def _claim_link(self):
        """The lowest number that no other test has: the name of the link is the claim."""
        for number in range(LINKS):
            made = subprocess.run(["ip", "link", "add", f"sorteo{number}", "type", "veth", "peer",
                                   "name", "uplink", "netns", str(self.holder.pid)],
                                  capture_output=True, text=True, timeout=DEADLINE_S)
            if made.returncode == 0:
                return number
            assert "File exists" in made.stderr, made.stderr
        raise AssertionError(f"{LINKS} hosts are there already")

    @staticmethod
    def _routed(address):
        """Whether the machine has a way to an address besides its way to everything."""
        ways = run("ip", "route", "show", "match", address).splitlines()
        return any(not way.startswith("default") for way in ways)

    def cut_off(self):
        """What either side sends from now on vanishes; neither is told of it."""
        run(*self.inside, "ip", "link", "set", "uplink", "down")

    def join(self):
        run(*self.inside, "ip", "link", "set", "uplink", "up")

    def connections(self):
        """How many TCP connections its programs have, as far as they know."""
        with open(f"/proc/{self.holder.pid}/net/tcp", encoding="ascii") as table:
            return sum(line.split()[3] == "01" for line in table)


def run(*command):
    return subprocess.run(command, check=True, timeout=DEADLINE_S, capture_output=True,
                          text=True).stdout
