"""Names of files and texts of others as they can be printed."""


def visible(text: str) -> str:
    """The text with its control characters spelled out: a name stays on its line and does not colour the terminal.

    >>> print(visible("red \\x1b[31m\\nname"))
    red \\x1b[31m\\nname
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
