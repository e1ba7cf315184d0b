"""Who did what when: the kernels of a run as bars, a line for each thread."""

from __future__ import annotations

from html import escape

from chainrule.backends.native.profile import Profile

WIDTH, LANE, LEFT, TOP = 960, 34, 70, 26
_COLOURS = ("#3b6fb6", "#b65f3b", "#3b8f6b", "#8a4fb0", "#a08a2c", "#4a8fa3", "#b03b6f", "#6b7a2c")


def timeline_of(profile: Profile) -> str:
    """The last run of a profile as an SVG drawing: microseconds from left to right, a line for each thread.

    A bar is a kernel's parts on one thread; its colour is that of the kernel. Where there is no bar the thread waits.
    """
    spans = profile.spans
    threads = sorted({span.thread for span in spans})
    end = max((span.stop for span in spans), default=0.0) or 1e-6
    rows = {row.number: row for row in profile.rows}
    height = TOP + LANE * max(len(threads), 1) + 24
    scale = (WIDTH - LEFT - 10) / end
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}"><title>Kernels and threads of one run, {end * 1e6:.0f} µs</title>'
        "<style>.timeline{font:12px system-ui,sans-serif}.timeline text{fill:#1f2328}.timeline .in{fill:#fff}"
        ".timeline path{stroke:#8c959f}.timeline .ground{fill:#fff}"
        "@media(prefers-color-scheme:dark){.timeline text{fill:#e6edf3}.timeline .in{fill:#fff}"
        ".timeline .ground{fill:#14171b}}</style>"
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
    ]
    for lane, thread in enumerate(threads):
        parts.append(f'<text x="4" y="{TOP + LANE * lane + 19}">thread {thread}</text>')
    for span in spans:
        row = rows[span.number]
        x, y = LEFT + span.start * scale, TOP + LANE * threads.index(span.thread) + 4
        width = max((span.stop - span.start) * scale, 0.7)
        about = f"{row.title}: {(span.stop - span.start) * 1e6:.1f} µs from {span.start * 1e6:.1f} µs"
        colour = _COLOURS[span.number % len(_COLOURS)]
        parts.append(
            f'<g><title>{escape(about)}</title><rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{LANE - 10}" '
            f'fill="{colour}"/>'
        )
        letters = int(width / 7)
        if letters > 5:
            parts.append(f'<text class="in" x="{x + 3:.2f}" y="{y + 16}">{escape(row.title[:letters])}</text>')
        parts.append("</g>")
    bottom = TOP + LANE * max(len(threads), 1) + 4
    for i in range(5):
        x = LEFT + i * (WIDTH - LEFT - 10) / 4
        side = "end" if i == 4 else "start"
        parts.append(f'<path d="M{x:.1f} {bottom}v4"/><text x="{x:.1f}" y="{bottom + 16}" text-anchor="{side}">')
        parts.append(f"{(x - LEFT) / scale * 1e6:.0f} µs</text>")
    return "".join([*parts, "</svg>"])
