"""Disks of a test's own, in a private mount namespace: nothing of them is seen outside, and nothing
is left when the test ends. Needs root.

A Disk is a tmpfs, or an ext4 image on a loop device, mounted over a folder. Programs that are to
see it are started behind the words of `inside`; the test itself looks by path().
"""
import os
import subprocess

from cluster import DEADLINE_S

HOLD = 'mount --make-rprivate / && echo ready && exec cat'


class Disk:
    def __init__(self, folder, mib, kind="tmpfs", share=None):
        """in: folder: made where it is missing; share: another Disk, to be seen beside it."""
        os.makedirs(folder, exist_ok=True)
        self.folder, self.mib, self.kind = folder, mib, kind
        self.image = f"{folder}.image"
        self.holder = share.holder if share else None
        self.is_shared = share is not None

    def __enter__(self):
        if not self.is_shared:
            self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", HOLD],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.holder.stdout.readline() == b"ready\n", "no private mount namespace"
        self.inside = ["nsenter", "--mount", "--wd=.", "--target", str(self.holder.pid)]
        if self.kind == "ext4":
            with open(self.image, "wb") as image:
                image.truncate(self.mib << 20)
            self.run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self.mount()
        return self

    def __exit__(self, kind, value, trace):
        self.run("umount", "--lazy", self.folder)
        if not self.is_shared:
            self.holder.stdin.close()
            self.holder.wait(DEADLINE_S)
            self.holder.stdout.close()
        if self.kind == "ext4":
            os.remove(self.image)

    def run(self, *command):
        subprocess.run([*self.inside, *command], check=True, timeout=DEADLINE_S,
                       stdout=subprocess.DEVNULL)

    def mount(self):
        if self.kind == "ext4":
            self.run("mount", "-o", "loop,commit=300", self.image, self.folder)
        else:
            self.run("mount", "-t", "tmpfs", "-o", f"size={self.mib}m", "tmpfs", self.folder)

    def grow(self, mib):
        """Makes a tmpfs larger."""
        self.run("mount", "-o", f"remount,size={mib}m", self.folder)

    def path(self, *parts):
        """A path on it, as it is seen from outside."""
        return os.path.join(f"/proc/{self.holder.pid}/root", self.folder.lstrip("/"), *parts)

    def fill(self, leave_bytes=0):
        """Takes all of its room but so much."""
        there = os.statvfs(self.path())
        wanted = max(0, there.f_bavail * there.f_frsize - leave_bytes)
        descriptor = os.open(self.path("filler"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            while wanted >= there.f_frsize:
                try:
                    os.posix_fallocate(descriptor, size, wanted)
                    size += wanted
                except OSError:
                    wanted //= 2
                    continue
                there = os.statvfs(self.path())
                wanted = max(0, there.f_bavail * there.f_frsize - leave_bytes)
        finally:
            os.close(descriptor)

    def empty(self):
        os.remove(self.path("filler"))
