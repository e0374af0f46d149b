"""What goes wrong on account of the input: one line that says what, where, and what would be right."""


class MatchcutError(Exception):
    """Bad input or a state the user can mend. The command line prints its message in one line and exits with code 2.

    The message names the thing that is wrong, where it is (file, line, key) and what would be right.

    >>> raise MatchcutError("captions.csv, line 3: no column 'caption'; the header must name file and caption")
    Traceback (most recent call last):
    ...
    matchcut.errors.MatchcutError: captions.csv, line 3: no column 'caption'; the header must name file and caption
    """
