"""Disks of our own, whose power can be cut: an ext4 in a file, mounted through a loop device.

Invariants. A cut is the kernel's own: what was not synced is gone, every later call fails, and the
next mount replays the journal. What was made is unmounted and removed.

Must not know: what is on the disks.
"""

import fcntl
import os
import shutil
import struct
import tempfile
from pathlib import Path

from conftest import eventually
from network import install, run

# EXT4_IOC_SHUTDOWN of fs/ext4/ext4.h, `_IOR('X', 125, __u32)`, and its flag that not even the
# journal is flushed.
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
UNMOUNT_SECONDS = 30


def why_unavailable() -> str | None:
    """Why there can be no disks here; installs what is missing where that is possible."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if shutil.which("mkfs.ext4") is None and not install("e2fsprogs"):
        return "`mkfs.ext4` is missing: install e2fsprogs"
    with tempfile.TemporaryDirectory() as directory:
        probe = Disk(Path(directory) / "probe", 4)
        made = run("mount", "-o", "loop", probe.image, probe.path, check=False)
        if made.returncode != 0:
            return f"no loop devices: {made.stderr.strip()}"
        run("umount", probe.path)
    return None


class Disk:
    """A file system of its own at a path."""

    def __init__(self, path: Path, mebibytes: int):
        self.path = path
        self.image = path.with_suffix(".img")
        path.mkdir(mode=0o700)
        with self.image.open("wb") as image:
            image.truncate(mebibytes << 20)
        run("mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", self.image)

    def mount(self):
        """Replays the journal and mounts."""
        run("mount", "-o", "loop", self.image, self.path)
        # A server takes an empty directory only.
        shutil.rmtree(self.path / "lost+found", ignore_errors=True)

    def cut(self):
        """Cuts the power."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def unmount(self):
        """Waits until nobody has a file open: a killed process's threads end one by one."""
        eventually(self._unmounted, UNMOUNT_SECONDS, f"nobody uses {self.path}")

    def _unmounted(self) -> bool:
        return not self.path.is_mount() or run("umount", self.path, check=False).returncode == 0

    def power_on(self):
        """Checks the file system, as a machine does that starts, and mounts it."""
        self.unmount()
        checked = run("fsck.ext4", "-p", self.image, check=False)
        # Bit 0: errors were corrected; the others: some were not.
        assert checked.returncode in (0, 1), checked.stdout + checked.stderr
        self.mount()

    def fill(self) -> Path:
        """Takes all the room there is with a file, and returns it."""
        ballast = self.path / "ballast"
        with ballast.open("wb") as file:
            block = bytes(1 << 16)
            try:
                while True:
                    file.write(block)
                    file.flush()
            except OSError:
                pass
        return ballast
