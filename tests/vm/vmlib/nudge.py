# SPDX-License-Identifier: GPL-2.0
"""Wakes an emulated machine whose timers have stopped.

On a loaded host QEMU's software emulation now and then loses a timer or the wake-up of a halted processor, also before
any module is loaded: all processors are then halted for good, though the guest has timers pending. Stopping and
continuing the machine makes QEMU look at its timers and processors again. It changes nothing in the guest: a guest that
hangs by its own fault still hangs.
"""

import json
import os
import socket
import time
from pathlib import Path

IDLE_SECONDS = 10  # so long without progress
IDLE_CPU = 0.3  # and with less processor time than this, in seconds


class Nudger:
    """Watches one QEMU, which has its QMP socket at `path`."""

    def __init__(self, pid: int, path: Path):
        self._pid = pid
        self._path = path
        self._since = time.monotonic()
        self._cpu = 0.0
        self._socket: socket.socket | None = None
        self.count = 0

    def _cpu_time(self) -> float:
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def progress(self) -> None:
        """The guest has said something."""
        self._since = time.monotonic()
        self._cpu = self._cpu_time()

    def poll(self) -> None:
        """To be called now and then."""
        if time.monotonic() - self._since < IDLE_SECONDS:
            return
        idle = self._cpu_time() - self._cpu < IDLE_CPU
        self.progress()
        if idle:
            self.count += 1
            try:
                self._execute("stop")
                self._execute("cont")
            except (OSError, ValueError):
                self._socket = None

    def _execute(self, command: str) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(5)
            self._socket.connect(str(self._path))
            self._reply()
            self._execute("qmp_capabilities")
        self._socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        while "return" not in self._reply():
            pass

    def _reply(self) -> dict:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._socket.recv(1)
            if not byte:
                raise OSError("QMP connection closed")
            line += byte
        return json.loads(line)
