# SPDX-License-Identifier: GPL-2.0
"""The guest's line to QEMU's monitor: what only the other side of the machine can do to a device.

The guest writes a command of QEMU's human monitor to its fourth serial port, one a line, and gets the answer and a line
with a dot (`monitor` in tests/vm/guest/lib.sh).
"""

import json
import socket
import time
from pathlib import Path

TIMEOUT = 60.0


class Monitor:
    """Serves one QEMU. Nothing happens but in `serve`, which the runner calls now and then."""

    def __init__(self, work: Path):
        self._paths = (work / "monitor", work / "qmp")
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._guest: socket.socket | None = None
        self._qmp: socket.socket | None = None
        self._asked = b""

    def arguments(self) -> list[str]:
        """What QEMU is told: the guest's end is the character device `monitor`."""
        guest, qmp = (f"socket,path={path},server=on,wait=off" for path in self._paths)
        return [
            *("-chardev", f"{guest},id=monitor"),
            *("-chardev", f"{qmp},id=qmp", "-mon", "chardev=qmp,mode=control"),
        ]

    def serve(self) -> None:
        """Runs what the guest has asked for since the last call."""
        try:
            if self._connected():
                self._serve()
        except (BlockingIOError, ConnectionError):
            pass  # Nothing was asked, or QEMU is gone, which the runner sees itself.

    def _serve(self) -> None:
        self._asked += self._guest.recv(4096)
        while b"\n" in self._asked:
            line, _, self._asked = self._asked.partition(b"\n")
            answer = self._run(line.decode(errors="replace").strip())
            self._guest.settimeout(TIMEOUT)
            self._guest.sendall(answer.encode() + b".\n")
            self._guest.setblocking(False)

    def close(self) -> None:
        for end in (self._guest, self._qmp):
            if end:
                end.close()

    def _connected(self) -> bool:
        """QEMU makes its sockets some time after it was started."""
        if self._qmp:
            return True
        ends = [socket.socket(socket.AF_UNIX) for _ in self._paths]
        try:
            for end, path in zip(ends, self._paths):
                end.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            for end in ends:
                end.close()
            return False
        self._guest, self._qmp = ends
        self._guest.setblocking(False)
        self._qmp.settimeout(TIMEOUT)
        self._lines = self._qmp.makefile()
        self._lines.readline()  # The greeting.
        self._execute("qmp_capabilities")
        return True

    def _run(self, command: str) -> str:
        """The answer to a command of the human monitor, in whole lines."""
        reply = self._execute("human-monitor-command", **{"command-line": command})
        text = reply.get("return") or reply.get("error", {}).get("desc", "")
        return "".join(f"{line}\n" for line in text.replace("\r", "").splitlines())

    def _execute(self, command: str, **arguments: str) -> dict:
        self._qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            line = self._lines.readline()
            if not line:
                break
            reply = json.loads(line)
            if "return" in reply or "error" in reply:
                return reply
        return {"error": {"desc": "QEMU did not answer"}}
