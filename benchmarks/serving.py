"""A load test of `chainrule serve`: who was answered, how long it took, and whether memory grows.

    python -m benchmarks.serving --requests 10000 --at-a-time 8

The server is a process of its own, as the command starts it; the run is LeNet-5 on the small digits, with its first
weights, as answering takes as long with any. Each client keeps its connection. The answer to each request is compared
with what the model says of that image.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import chainrule
from chainrule.nn.evaluation import evaluation_mode
from chainrule.tasks import open_run
from tests.small_runs import untrained

#: Different images that are asked about in turn.
IMAGES = 64


def questions(run: Path) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Images as PNG files, and what `predict` answers."""
    opened, contents = open_run(run), []
    for seed in range(IMAGES):
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)).save(file, "PNG")
        contents.append(file.getvalue())
    with evaluation_mode(opened.model), chainrule.no_grad():
        samples = [opened.task.sample_from(content, "the image") for content in contents]
        return contents, opened.task.answers(opened.model, samples)


def memory_of(pid: int) -> float:
    """What a process has in memory, in MiB (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else float("nan")


def ask_all(port: int, contents: list[bytes], want: list[dict[str, Any]], requests: int, workers: int) -> list[float]:
    """The seconds of each request that got its own answer."""
    seconds: list[float] = []
    numbers = iter(range(requests))
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return connection.close()
            started = time.perf_counter()
            connection.request("POST", "/predict", contents[number % IMAGES], {"content-type": "image/png"})
            response = connection.getresponse()
            have = json.loads(response.read())
            spent = time.perf_counter() - started
            right = want[number % IMAGES]
            same = response.status == 200 and have["class"] == right["class"]
            if same and abs(have["probability"] - right["probability"]) < 1e-4:
                seconds.append(spent)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-a-time", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = untrained(Path(place) / "run", data="digits", model="lenet5")
        contents, want = questions(run)
        arguments = [sys.executable, "-m", "chainrule", "serve", str(run), "--port", "0", "--rate", "0"]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        port = int(found[1])
        try:
            ask_all(port, contents, want, 500, given.at_a_time)  # what the first answers load stays
            before, memory = time.perf_counter(), [memory_of(process.pid)]
            seconds: list[float] = []
            for _ in range(10):
                seconds += ask_all(port, contents, want, given.requests // 10, given.at_a_time)
                memory.append(memory_of(process.pid))
            spent = time.perf_counter() - before
        finally:
            process.terminate()
            process.wait()
    asked = given.requests // 10 * 10
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    print(
        f"{len(seconds):,} of {asked:,} answered rightly, {given.at_a_time} at a time: {asked / spent:.0f} per second"
    )
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(seconds) * 1e3:.0f} ms")
    print(f"memory of the server: {', '.join(f'{m:.1f}' for m in memory)} MiB after each tenth")


if __name__ == "__main__":
    main()
