"""The command line: every command is a library function plus printing; its signature and docstring are its help.

Nothing heavy is imported here: `matchcut --help` must answer at once.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module

from matchcut.errors import MatchcutError

# Command: (where its function is, what it does in one line)
COMMANDS = {
    "demo": ("matchcut.cli.demo:demo", "Show the whole journey on the built-in world, in minutes, on a CPU."),
    "add": ("matchcut.cli.add:add", "Put videos and images into a collection."),
    "import": ("matchcut.cli.import_:import_", "Put a benchmark or the built-in world into a collection."),
    "embed": ("matchcut.cli.embed:embed", "Run frozen encoders over a collection, into its feature store."),
    "info": ("matchcut.cli.info:info", "Show what a collection holds."),
    "audit": ("matchcut.cli.audit:audit", "Find captions that are true of other items than their own."),
    "train": ("matchcut.cli.train:train", "Train one model."),
    "convert": ("matchcut.cli.convert:convert", "Take over the weights of a public reference implementation."),
    "sweep": ("matchcut.cli.sweep:sweep", "Train a grid of models, many at a time, and tell which choices mattered."),
    "evaluate": ("matchcut.cli.evaluate:evaluate", "Measure models on a split, or run files, with intervals."),
    "fuse": ("matchcut.cli.fuse:fuse", "Combine many models' rankings into one."),
    "report": ("matchcut.cli.report:report", "Write one page on models or runs: tables, curves, what they find."),
    "search": ("matchcut.cli.search:search", "Find moments that a sentence describes."),
}


def main(args: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done; 2 bad input, a full disk and the like (one line on stderr); 130 interrupted; 141 whoever read the output
    went away, as `head` does.
    """
    args = sys.argv[1:] if args is None else args
    try:
        code = _run(args)
        print(end="", flush=True)  # what cannot be written shows here, not while Python ends
        return code
    except BrokenPipeError:
        _drop_output()
        return 141
    except SystemExit as end:  # rich ends the program where it finds a broken pipe
        if isinstance(end.__context__, BrokenPipeError):
            return 141
        raise
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        print(f"{' '.join(['matchcut', *args[:1]])}: {where}{error.strerror or error}", file=sys.stderr)
        return 2


def _drop_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it when it ends."""
    with suppress(OSError):  # standard output may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if args[0] == "--version":
        from matchcut import __version__

        print(f"matchcut {__version__}")
        return 0
    name, *rest = args
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`matchcut --help` lists the commands"
        print(f"matchcut: no command {name!r}; {hint}", file=sys.stderr)
        return 2
    module, _, function = COMMANDS[name][0].partition(":")
    # PyTorch's threads spin while they wait for each other: on a machine with other work that costs a factor of ten.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from matchcut.cli.arguments import parse

    try:
        parse(getattr(import_module(module), function), rest, prog=f"matchcut {name}")()
    except MatchcutError as error:
        print(f"matchcut {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"matchcut {name}: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: matchcut COMMAND ...",
            "",
            "Train, fuse, evaluate and serve text-to-video and text-to-image retrieval.",
            "",
            *lines,
            "",
            "`matchcut COMMAND --help` explains a command.",
        ]
    )
