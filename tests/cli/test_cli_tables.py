from rich.console import Console

from matchcut.cli.tables import moments_table
from matchcut.search import Moment


def test_brackets_in_names_and_queries_are_shown_as_they_are():
    moment = Moment("[b]x.mp4", "/films/[b]x.mp4", 0.0, 75.25, 0.5, "[b]x.mp4@0", "")
    console = Console(width=120)
    with console.capture() as capture:
        console.print(moments_table("a [red] ball", [moment]))
    out = capture.get()
    assert "a [red] ball" in out
    assert "/films/[b]x.mp4" in out
    assert "0:00.0 - 1:15.2" in out
