"""`chainrule serve`: what HTTP answers is what `predict` answers, and nobody's wrong request harms another's."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule.nn.evaluation import evaluation_mode
from chainrule.tasks import open_run
from tests.small_runs import settings_for_files, untrained
from tests.test_cli import call, command

pytest.importorskip("uvicorn")

import uvicorn

from chainrule.serving.app import build_app
from chainrule.serving.batching import Batcher, FullError
from chainrule.serving.limits import Limits
from chainrule.serving.server import config_for, listening


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    return untrained(tmp_path_factory.mktemp("serving") / "digits", data="digits", model="mlp")


def same(have: dict[str, Any], want: dict[str, Any]) -> bool:
    """Texts to the letter, numbers to what another order of additions does."""
    texts = {name: value for name, value in want.items() if isinstance(value, str)}
    numbers = {name: value for name, value in want.items() if name not in texts}
    found = {name: value for name, value in have.items() if isinstance(value, str)}
    rest = {name: value for name, value in have.items() if name not in found}
    return found == texts and rest == pytest.approx(numbers, abs=1e-5, rel=1e-4)


@contextmanager
def served(run: Path, limits: Limits | None = None, **options: Any) -> Iterator[int]:
    """The port of a server in this process."""
    limits = limits or Limits(rate=0)
    with listening("127.0.0.1", 0) as bound:
        server = uvicorn.Server(config_for(build_app(open_run(run), limits, **options), "127.0.0.1", 0, limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with served(run) as found:
        yield found


def asked(
    port: int, path: str = "/predict", body: Any = None, kind: str = "application/json", method: str = "POST"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, content, {"content-type": kind} if content is not None else {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, json.loads(text) if is_json else text.decode()


def png(seed: int, size: tuple[int, int] = (8, 8)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def plain(side: int) -> bytes:
    """A large image in few bytes."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG")
    return file.getvalue()


def form(name: str, content: bytes) -> tuple[bytes, str]:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="../../etc/passwd"\r\n\r\n'.encode()
    return head + content + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


# ----------------------------------------------------------------------------------------- answers


def test_images_are_answered_as_predict_answers_them(run: Path, port: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, (20, 12)))
    opened = open_run(run)
    (want,) = opened.task.predict(opened.model, [str(tmp_path / "a.png")])
    content = png(1, (20, 12))
    text = base64.b64encode(content).decode()
    ways = [
        (content, "image/png"),
        (content, "application/octet-stream"),
        ({"image": text}, "application/json"),
        ({"image": "data:image/png;base64," + text}, "application/json"),
        form("image", content),
    ]
    for body, kind in ways:
        status, have = asked(port, body=body, kind=kind)
        assert status == 200, have
        assert same(have, {name: value for name, value in want.items() if name != "file"})


#: What is posted to a run of each kind that is asked in words or numbers.
POSTED: dict[str, Any] = {
    "table": {"a": 0.25, "kind": "y"}, "labelled texts": "word1 word2", "pairs": "123", "text": "abc",
}  # fmt: skip


@pytest.mark.parametrize("kind", POSTED)
def test_rows_and_texts_are_answered_as_predict_answers_them(kind: str, tmp_path: Path) -> None:
    untrained(tmp_path / "run", **settings_for_files(tmp_path)[kind])
    given = posted = POSTED[kind]
    if kind == "table":
        given = str(tmp_path / "new.csv")
        Path(given).write_text("a,kind\n0.25,y\n")
    opened = open_run(tmp_path / "run")
    options = {"length": 12, "temperature": 0.0} if kind == "text" else {}
    (want,) = opened.task.predict(opened.model, [given], **options)
    name = "row" if kind == "table" else "text"
    with served(tmp_path / "run", **options) as port:
        status, have = asked(port, body={name: posted})
        assert status == 200, have
        assert have and same(have, {n: v for n, v in want.items() if n in have})
        page = asked(port, "/", method="GET")[1]
        assert "<script>" in page and ('"kind": ["x", "y", "z"]' in page) is (kind == "table")
        if kind != "table":
            (tmp_path / "secret.txt").write_text("abc")  # a text that is a file's name is a text
            status, have = asked(port, body={"text": str(tmp_path / "secret.txt")})
            assert (status, "secret" in str(have)) == (
                (200, False) if kind == "labelled texts" else (422, "secret" in str(have))
            )
            return
        # A JSON object has no order, and the table had the target too.
        turned = {"y": 3, **dict(reversed(posted.items()))}
        assert asked(port, body={"row": turned}) == (200, have)
        wrong: list[tuple[Any, str]] = [
            ({"a": 1}, "no value for 'kind'"),
            ({"a": 1, "kind": "w"}, "column 'kind': 'w'"),
            ({"a": "many", "kind": "x"}, "column 'a': 'many' is a text, not a number"),
            ({"a": None, "kind": "x"}, "no value for 'a'"),
            ({"a": "", "kind": "x"}, "no value for 'a'"),
            ({"a": "NA", "kind": "x"}, "missing"),
            ({"a": 1, "kind": "x", "b": 2}, "'b'"),
            ([1, 2], "values by column"),
            ({"a": [1, {"b": 2}], "kind": "x"}, "a"),
        ]
        for row, said in wrong:
            status, have = asked(port, body={"row": row})
            assert status == 422 and said in have["error"] and "\n" not in have["error"], have


def test_what_it_says_of_itself(port: int) -> None:
    assert asked(port, "/health", method="GET") == (200, {"status": "ok"})
    about = asked(port, "/about", method="GET")[1]
    assert about["model"] == "mlp" and about["asks"] == "image" and about["names"] == list("0123456789")
    assert about["compiled"] is True
    assert asked(port, body=png(2), kind="image/png")[0] == 200
    metrics = asked(port, "/metrics", method="GET")[1]
    line = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [0-9.e+-]+)')
    assert all(line.fullmatch(row) for row in metrics.splitlines()), metrics
    found = dict(row.rsplit(" ", 1) for row in metrics.splitlines() if row[0] != "#")
    assert float(found['chainrule_requests_total{path="/predict",status="200"}']) >= 1
    assert float(found['chainrule_batch_size_bucket{le="+Inf"}']) == float(found["chainrule_batch_size_count"])


# ----------------------------------------------------------------------------------------- refusals

WRONG: dict[str, tuple[tuple[Any, ...], int, str]] = {
    "nothing": (("/predict", b"", "image/png"), 400, "is empty"),
    "no image": (("/predict", b"hello", "image/png"), 422, "the image"),
    "half an image": (("/predict", png(1, (40, 40))[:-900], "image/png"), 422, "the image"),
    "another kind": (("/predict", b"hello", "text/plain"), 415, "send an image"),
    "no JSON": (("/predict", b"{", "application/json"), 400, "no JSON"),
    "a deep one": (("/predict", b"[" * 100_000, "application/json"), 400, "no JSON"),
    "a number that is none": (("/predict", b'{"image": NaN}', "application/json"), 400, "no JSON"),
    "a number of 10,000 figures": (("/predict", b"9" * 10_000, "application/json"), 400, "no JSON"),
    "bytes that are no text": (("/predict", b'{"image": "\xff\xfe"}', "application/json"), 400, "no JSON"),
    "another object": (("/predict", {"file": "/etc/passwd"}, "application/json"), 422, '"image"'),
    "an image that is a path": (("/predict", {"image": "/etc/passwd"}, "application/json"), 422, "the image|base64"),
    "no base64": (("/predict", {"image": "%%%"}, "application/json"), 422, "base64"),
    "a list": (("/predict", {"image": [1, 2]}, "application/json"), 422, "base64"),
    "a form without an end": (("/predict", form("image", b"x")[0][:-9], form("image", b"")[1]), 422, "form|image"),
    "a form that is none": (("/predict", b"hello", "multipart/form-data"), 400, "form"),
    "a form of something else": (("/predict", *form("file", png(1))), 422, "form"),
    "up the tree": (("/../../etc/passwd", None, "", "GET"), 404, "nothing at this address"),
    "up the tree, hidden": (("/%2e%2e/%2e%2e/etc/passwd", None, "", "GET"), 404, "nothing at this address"),
    "into the package": (("/files/page.html", None, "", "GET"), 404, "nothing at this address"),
    "another method": (("/predict", None, "", "GET"), 405, "another method"),
    "a large image": (("/predict", plain(5000), "image/png"), 413, "pixels"),
    "a large request": (("/predict", bytes(2**23 + 1), "image/png"), 413, "at most 8,388,608 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_requests_get_one_sentence(port: int, what: str) -> None:
    arguments, wanted, said = WRONG[what]
    status, answer = asked(port, *arguments)
    assert status == wanted, answer
    assert re.search(said, answer["error"]) and answer["error"].endswith(".") and "\n" not in answer["error"]
    assert "Traceback" not in answer["error"]
    assert asked(port, body=png(3), kind="image/png")[0] == 200, "others are answered"


def test_a_body_without_a_length_is_measured(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = b""
        try:
            for _ in range(300):
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
        except OSError:
            pass
        while piece := _received(connection):
            answer += piece
    assert not answer or b"413" in answer.split(b"\r\n")[0]
    assert asked(port, body=png(3), kind="image/png")[0] == 200


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def test_who_sends_too_slowly_is_sent_away_and_others_do_not_wait(run: Path) -> None:
    """One sends nothing, one half of its first lines, one half of its body: all are closed, however long that takes."""
    with served(run, Limits(rate=0, head_seconds=1.0, body_seconds=1.0)) as port:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n"
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        waiting[1].sendall(head)
        waiting[2].sendall(head + b"\r\n" + bytes(50))
        for i in range(5):
            assert asked(port, body=png(i), kind="image/png")[0] == 200
        answers = []
        for connection in waiting:
            answer = b""
            while piece := _received(connection):
                answer += piece
            answers.append(answer)
            connection.close()
    assert answers[0] == answers[1] == b""
    assert b"408" in answers[2].split(b"\r\n")[0] and b"did not come within" in answers[2]


def test_a_rate_is_kept(run: Path) -> None:
    with served(run, Limits(rate=0.001)) as port:  # one at once, and the next in a quarter of an hour
        first, second = asked(port, body=png(1), kind="image/png"), asked(port, body=png(1), kind="image/png")
        assert first[0] == 200 and second[0] == 429 and "ask again in" in second[1]["error"]
        assert asked(port, "/health", method="GET")[0] == 200


# ----------------------------------------------------------------------------------------- batches


def test_what_arrives_together_is_computed_together() -> None:
    sizes: list[int] = []

    def double(samples: Any) -> list[int]:
        sizes.append(len(samples))
        if any(sample is None for sample in samples):
            raise ValueError("nothing given")
        return [2 * sample for sample in samples]

    async def main() -> None:
        batcher = Batcher(double, most=8, wait=0.0, room=40)
        waiting = [asyncio.create_task(batcher.ask(i)) for i in range(20)]
        broken = asyncio.create_task(batcher.ask(None))
        gone = asyncio.create_task(batcher.ask(99))
        await asyncio.sleep(0)
        gone.cancel()  # who asked has left
        batcher.start()
        assert await asyncio.gather(*waiting) == [2 * i for i in range(20)]
        with pytest.raises(ValueError, match="nothing given"):
            await broken
        await batcher.stop()
        assert sizes[:2] == [8, 8] and max(sizes) == 8

        full = Batcher(double, room=1)
        first = asyncio.create_task(full.ask(1))
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            await full.ask(2)
        full.start()
        assert await first == 2
        await full.stop()

    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may keep a loop running in this one
        thread.submit(asyncio.run, main()).result()


def test_many_requests_none_lost(run: Path, port: int) -> None:
    """300 requests, 8 at a time; each gets the answer to its own question."""
    opened = open_run(run)
    with_model = [opened.task.sample_from(png(seed), "it") for seed in range(30)]
    with evaluation_mode(opened.model), chainrule.no_grad():
        want = opened.task.answers(opened.model, with_model)

    def ask(i: int) -> bool:
        status, have = asked(port, body=png(i % 30), kind="image/png")
        return status == 200 and same(have, want[i % 30])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(300))) == 300


# ----------------------------------------------------------------------------------------- the command


def test_the_command_serves_until_it_is_told_to_stop(run: Path) -> None:
    process = subprocess.Popen(command("serve", str(run), "--port", "0"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
    assert asked(port, body=png(1), kind="image/png")[0] == 200
    process.terminate()
    assert process.wait() in (0, -15)
    process.stdout.close()


def test_wrong_input_gets_one_line(run: Path, capsys: Any, tmp_path: Path) -> None:
    code, _, err = call(capsys, "serve", str(tmp_path))
    assert code == 2 and "holds no run" in err
    with listening("127.0.0.1", 0) as taken:
        code, _, err = call(capsys, "serve", str(run), "--port", str(taken.getsockname()[1]))
    assert code == 2 and "cannot be served" in err and err.count("\n") == 1


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_draws_asks_and_can_be_used_by_all(chromium: Any, port: int, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True)  # for what axe brings
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://127.0.0.1:{port}/")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 200)
    page.mouse.up()
    page.wait_for_selector("dl")
    drawn = page.inner_text("#answer")
    assert drawn.split()[0] == "class" and drawn.split()[1] in "0123456789"
    page.get_by_label("choose an image").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.wait_for_selector(".wrong")
    assert "the image" in page.inner_text("#answer")
    assert not axe.Axe().run(page).response["violations"]
    assert all("422" in line for line in said), said  # what the browser says of the refused file
    context.close()
