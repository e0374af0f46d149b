"""Checks the code blocks of README.md and docs/: Python runs, and prints what is shown after `>>>`, TOML parses,
`matchcut` commands and their flags exist.

    python tests/readme_blocks.py

A Python block that needs files of the reader starts with the comment `# not run: ...` and is only compiled.
"""

import contextlib
import doctest
import io
import re
import shlex
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path

from matchcut.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def help_text(command: str) -> str:
    """What `matchcut COMMAND --help` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return out.getvalue()


def check_command(line: str) -> None:
    """Raise a ValueError if a shell line names a `matchcut` command or flag that does not exist."""
    words = shlex.split(line, comments=True)
    if not words or words[0] != "matchcut" or len(words) < 2 or words[1].startswith("-"):
        return
    if words[1] not in COMMANDS:
        raise ValueError(f"no command {words[1]!r} in: {line}")
    for flag in (word for word in words[2:] if word.startswith("--")):
        if not re.search(rf"{re.escape(flag)}(?![\w-])", help_text(words[1])):
            raise ValueError(f"matchcut {words[1]} has no flag {flag} in: {line}")


def check(kind: str, text: str, name: str) -> None:
    """Check one block."""
    if kind == "python":
        code = compile(text, name, "exec")
        if not text.startswith("# not run:"):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(tempfile.mkdtemp()):
                exec(code, {"__name__": "__main__"})
    elif kind == "toml":
        tomllib.loads(text)
    elif kind in ("sh", "console", "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            shown = line.removeprefix("$ ")
            if kind != "console" or line.startswith("$ "):
                check_command(shown)


def main_check() -> int:
    """Check every block; print what is wrong, and return how many are."""
    count = wrong = 0
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        failed, examples = doctest.testfile(str(path), module_relative=False)
        count, wrong = count + examples, wrong + failed
        for match in BLOCK.finditer(text):
            count += 1
            line = text[: match.start()].count("\n") + 1
            try:
                check(match[1], match[2], f"{path.name}:{line}")
            except Exception as error:
                wrong += 1
                print(f"{path.relative_to(ROOT)}, line {line}: {type(error).__name__}: {error}")
    print(f"{count} code blocks and examples checked, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main_check() else 0)
