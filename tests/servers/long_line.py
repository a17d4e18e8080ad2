"""A long line to a server: whatever passes arrives later, in both directions, and as much of it at a time as before.

It runs in a process of its own, and knows no protocol: it is put before servers of HTTP and of gRPC alike.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def long_line(server: str, *, latency_ms: float) -> Iterator[str]:
    """Yield an address, host and port, behind which a server is `latency_ms` farther away, there and back."""
    command = [sys.executable, "-m", "tests.servers.long_line", server, str(latency_ms / 2000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Pass on what comes, each piece after the delay."""
    loop, under_way = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def deliver() -> None:
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        while piece := await reader.read(2**16):
            under_way.put_nowait((loop.time() + delay_s, piece))
    except OSError:
        pass
    under_way.put_nowait((loop.time() + delay_s, b""))
    await delivering


async def serve(server: str, delay_s: float) -> None:
    """Serve until the process is ended."""
    host, _, port = server.rpartition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, back, delay_s), carry(there, writer, delay_s), return_exceptions=True)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
