"""Network namespaces: machines of their own, as far as the network knows."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

NETWORK = "10.231.77"


@contextmanager
def namespaces(*names: str) -> Iterator[str]:
    """Namespaces behind one bridge of this one; gives its address there.

    Each `name` runs programs by `ip netns exec NAME`. Skips the test where that is not permitted.
    """
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the program ip")
    bridge = f"rdy{os.getpid() % 100_000}"
    with ExitStack() as stack:
        _ip_or_skip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names, 2):
            _ip_or_skip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            inside = f"{bridge}n{number}"
            pair = ("type", "veth", "peer", "name", "eth0", "netns", name)
            _ip_or_skip("link", "add", inside, *pair)
            _ip("link", "set", inside, "master", bridge, "up")
            _ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
        yield f"{NETWORK}.1"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


def _ip_or_skip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, timeout=30)
    if done.returncode:
        pytest.skip(f"ip {' '.join(arguments)}: {done.stderr.decode().strip()}")
