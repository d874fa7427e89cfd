"""Power loss: everything that was not synced vanishes at once from a Disk (disk.py) on an ext4
image: EXT4_IOC_SHUTDOWN ends a file system as it stands on its device, its log not written."""
import fcntl
import os
import struct

from disk import Disk

EXT4_IOC_SHUTDOWN, WITHOUT_THE_LOG = 0x8004587d, 2


class Image(Disk):
    def __init__(self, folder, mib, share=None):
        super().__init__(folder, mib, "ext4", share)

    def cut_power(self):
        descriptor = os.open(self.path(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", WITHOUT_THE_LOG))
        finally:
            os.close(descriptor)

    def restore_power(self):
        """Mounts it as it is on its device. in: nobody has anything open on it."""
        self.run("umount", self.folder)
        self.mount()
