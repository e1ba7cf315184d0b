"""`chainrule serve`: a trained run behind HTTP, with a page to try it."""

from __future__ import annotations

from typing import Annotated

import typer

from chainrule.cli.runs import RunFolder


def serve(
    run: RunFolder,
    host: Annotated[
        str, typer.Option(help="Who may ask: [bold]127.0.0.1[/] this machine alone, [bold]0.0.0.0[/] all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Questions computed together at most.")] = 32,
    wait: Annotated[float, typer.Option(min=0.0, help="Milliseconds that a question waits for others.")] = 2.0,
    rate: Annotated[
        float, typer.Option(min=0.0, help="Requests per second from one address; 0: as many as come.")
    ] = 100.0,
    size: Annotated[float, typer.Option(min=0.001, help="The largest request, in MiB.")] = 8.0,
    length: Annotated[int, typer.Option(min=1, max=10_000, help="Texts: characters to write.")] = 200,
) -> int:
    r"""Answer over HTTP what [bold]predict[/] answers: images, rows of tables, texts.

    POST /predict takes an image file, a form, or JSON; GET / is a page to try it, /about says what it is, /health and
    /metrics are for whoever watches. Ctrl-C, or SIGTERM, answers what has been asked and ends.
    Needs the extra: pip install 'chainrule\[serve]'.

    [bold]Examples[/]

      chainrule serve runs/digits
      curl --data-binary @seven.png -H 'Content-Type: image/png' localhost:8000/predict
      curl --json '{"row": {"rooms": 3, "area": 70}}' localhost:8000/predict
    """
    try:
        import uvicorn

        from chainrule.serving.app import build_app
        from chainrule.serving.server import config_for, listening
    except ModuleNotFoundError as error:
        raise ValueError(f"serving needs {error.name}: pip install 'chainrule[serve]'.") from error
    from chainrule.serving.limits import Limits
    from chainrule.tasks.run import open_run

    limits = Limits(body_bytes=round(size * 2**20), rate=rate)
    opened = open_run(run)
    options = {"length": length} if opened.task.kind == "text" else {}
    with listening(host, port) as socket:
        app = build_app(opened, limits, batch, wait / 1000, **options)
        where = socket.getsockname()
        shown = f"[{where[0]}]" if ":" in where[0] else where[0]
        typer.echo(f"{run} at http://{shown}:{where[1]}/ (Ctrl-C ends)")
        uvicorn.Server(config_for(app, host, port, limits)).run(sockets=[socket])
    return 0
