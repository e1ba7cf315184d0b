"""From a request to a question: its bytes within the limits, JSON or an image, and one sentence for what is wrong."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import warnings
from typing import Any, NoReturn

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from chainrule.serving.limits import Limits


class RefusedError(Exception):
    """A request that gets no answer: the status, and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def read_body(request: Request, limits: Limits) -> bytes:
    """All bytes of a request. Raises RefusedError for too many, and for too slow ones."""
    most = f"a request has at most {limits.body_bytes:,} bytes."
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise RefusedError(400, "content-length is a number of bytes.")
    if len(length) > 18 or int(length) > 2 * limits.body_bytes:
        raise RefusedError(413, most)
    body, seen = bytearray(), 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for piece in request.stream():
                # A little too much is read to its end: who is still sending would not see the answer.
                seen += len(piece)
                if seen <= limits.body_bytes:
                    body += piece
                if seen > 2 * limits.body_bytes:
                    raise RefusedError(413, most)
    except TimeoutError:
        raise RefusedError(408, f"the request did not come within {limits.body_seconds:g} seconds.") from None
    except ClientDisconnect:
        raise RefusedError(400, "the request ended before its end.") from None
    if seen > limits.body_bytes:
        raise RefusedError(413, most)
    return bytes(body)


async def read_question(request: Request, asks: str, limits: Limits) -> Any:
    """What is asked: the bytes of an image, a row's values by column, or a text.

    An image comes as itself (`image/png`, …), as a file in a form, or base64 in JSON: `{"image": "…"}`; a row or a text
    in JSON: `{"row": {…}}`, `{"text": "…"}`. Raises RefusedError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request, limits)
    if not body:
        raise RefusedError(400, "the request is empty.")
    if kind == "application/json":
        return _from_json(body, asks)
    if kind == "multipart/form-data":
        return _from_form(request.headers["content-type"], body, asks)
    if asks == "image" and (kind.startswith("image/") or kind == "application/octet-stream"):
        return body
    raise RefusedError(415, _wanted(asks))


def _wanted(asks: str) -> str:
    if asks == "image":
        return 'send an image as image/png or the like, as a file in a form, or base64 in JSON: {"image": "…"}.'
    return f'send JSON, content-type application/json: {{"{asks}": …}}.'


def _from_json(body: bytes, asks: str) -> Any:
    try:
        found = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the request is no JSON.") from None
    if not isinstance(found, dict) or set(found) != {asks}:
        raise RefusedError(422, f'the request is an object with one entry, "{asks}".')
    value = found[asks]
    if asks != "image":
        return value
    if not isinstance(value, str):
        raise RefusedError(422, '"image" is a text, the bytes of an image file in base64.')
    try:
        return base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(422, '"image" is no base64.') from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class _Form:
    """The one entry of a form: what its head says, and its bytes. Raises RefusedError at a second one."""

    def __init__(self) -> None:
        self.parts, self.ends = 0, 0
        self.field, self.value = bytearray(), bytearray()
        self.name = b""
        self.content = bytearray()

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise RefusedError(422, "the form has one entry.")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        if bytes(self.field).lower() == b"content-disposition":
            self.name = parse_options_header(bytes(self.value))[1].get(b"name", b"")
        self.field.clear()
        self.value.clear()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def on_part_end(self) -> None:
        self.ends += 1


def _from_form(kind: str, body: bytes, asks: str) -> Any:
    """What a form's one entry holds: the bytes of an image, or a text. What its file was called is not looked at."""
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    form = _Form()
    names = ("part_begin", "header_field", "header_value", "header_end", "part_data", "part_end")
    told: Any = {f"on_{name}": getattr(form, f"on_{name}") for name in names}
    try:
        parser = MultipartParser(boundary, told)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError, IndexError):
        raise RefusedError(400, "the form cannot be read.") from None
    if not form.ends or form.name != asks.encode() or asks == "row":
        raise RefusedError(422, f"the form has one entry, {asks}" + (", a file." if asks == "image" else "."))
    try:
        return bytes(form.content) if asks == "image" else form.content.decode()
    except UnicodeDecodeError:
        raise RefusedError(422, "the text in the form is no UTF-8.") from None


def check_pixels(content: bytes, most: int) -> None:
    """Raise RefusedError for an image that would be too large when decoded; what is no image is another's matter."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width = height = most
    except (OSError, ValueError, SyntaxError):
        return
    if 4 * width * height > most:
        raise RefusedError(413, f"the image may have {most // 4:,} pixels.")
