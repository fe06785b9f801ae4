"""Hosts of our own: network namespaces on one bridge, with cuts between them.

Invariants. Nothing is added to the machine's own network namespace. What was made is removed by its
name, which carries our process id.

Must not know: what runs on the hosts.
"""

import ctypes
import os
import shutil
import subprocess
import threading

CLONE_NEWNET = 0x40000000
SUBNET = "10.77.0"
LIBC = ctypes.CDLL(None, use_errno=True)


def why_unavailable() -> str | None:
    """Why there can be no hosts here; installs what is missing where that is possible."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(tool) is None and not install(package):
            return f"`{tool}` is missing: install {package}"
    probe = f"writ-{os.getpid()}-probe"
    made = run("ip", "netns", "add", probe, check=False)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.strip()}"
    run("ip", "netns", "del", probe)
    return None


def install(package: str) -> bool:
    """Installs a Debian package."""
    if shutil.which("apt-get") is None:
        return False
    for command in (("update", "-qq"), ("install", "-y", "-qq", package)):
        done = run("apt-get", *command, check=False)
    return done.returncode == 0


def run(*command, check=True) -> subprocess.CompletedProcess:
    """Runs a command and keeps what it printed."""
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=check,
    )  # fmt: skip


class Host:
    """One namespace with one address."""

    def __init__(self, number: int):
        self.number = number
        self.address = f"{SUBNET}.{number}"
        self.namespace = f"writ-{os.getpid()}-{number}"

    def command(self, *words) -> list[str]:
        """A command line that runs on this host."""
        return ["ip", "netns", "exec", self.namespace, *(str(word) for word in words)]

    def call(self, function):
        """Calls a function whose new sockets are this host's, and returns what it returns."""
        result = {}

        def enter_and_call():
            try:
                with open(f"/run/netns/{self.namespace}") as namespace:
                    if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {self.namespace}")
                result["value"] = function()
            except BaseException as error:  # It is raised again where the caller can see it.
                result["error"] = error

        # A thread of its own: the namespace belongs to the thread and must not stay with ours.
        thread = threading.Thread(target=enter_and_call)
        thread.start()
        thread.join()
        if "error" in result:
            raise result["error"]
        return result["value"]


class Network:
    """Some hosts that reach each other until they are cut."""

    def __init__(self, count: int):
        self.hosts = [Host(number) for number in range(1, count + 1)]
        self.switch = f"writ-{os.getpid()}-switch"
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def _make(self):
        in_switch = ("ip", "-n", self.switch)
        run("ip", "netns", "add", self.switch)
        run(*in_switch, "link", "add", "br0", "type", "bridge")
        run(*in_switch, "link", "set", "br0", "up")
        for host in self.hosts:
            port, in_host = f"v{host.number}", ("ip", "-n", host.namespace)
            run("ip", "netns", "add", host.namespace)
            run(*in_host, "link", "set", "lo", "up")
            run(
                "ip", "link", "add", "eth0", "netns", host.namespace,
                "type", "veth", "peer", "name", port, "netns", self.switch,
            )  # fmt: skip
            run(*in_switch, "link", "set", port, "master", "br0", "up")
            run(*in_host, "addr", "add", f"{host.address}/24", "dev", "eth0")
            run(*in_host, "link", "set", "eth0", "up")
        self._nft("add table bridge cuts")
        self._nft("add chain bridge cuts between { type filter hook forward priority 0 ; }")

    def _nft(self, command: str):
        run("ip", "netns", "exec", self.switch, "nft", command)

    def cut(self, one: int, other: int):
        """Drops every frame between two hosts, silently, as a broken path does."""
        for source, target in ((one, other), (other, one)):
            self._nft(f'add rule bridge cuts between iifname "v{source}" oifname "v{target}" drop')

    def cut_off(self, number: int):
        """Cuts a host from all others."""
        for host in self.hosts:
            if host.number != number:
                self.cut(number, host.number)

    def heal(self):
        """Removes all cuts."""
        self._nft("flush chain bridge cuts between")

    def remove(self):
        """Removes the hosts. Processes on them must have ended."""
        for name in [*(host.namespace for host in self.hosts), self.switch]:
            run("ip", "netns", "del", name, check=False)
