"""The one-line specification of an encoder: `NAME`, `NAME:SOURCE`, with options as `?key=value&key=value`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from matchcut.errors import MatchcutError


@dataclass(frozen=True)
class Spec:
    """A parsed specification.

    >>> Spec.parse("bert:bert-base-uncased?vector=cls")
    Spec(kind='bert', source='bert-base-uncased', options={'vector': 'cls'})
    >>> str(Spec("clip", "models/tiny", {"tower": "text"}))
    'clip:models/tiny?tower=text'
    """

    kind: str
    source: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read a specification; which kinds and options exist is not checked here."""
        head, _, query = text.partition("?")
        kind, _, source = head.partition(":")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise MatchcutError(f"encoder {text!r}: options must be ?key=value&key=value") from error
        return cls(kind, source, dict(pairs))

    def __str__(self) -> str:
        head = f"{self.kind}:{self.source}" if self.source else self.kind
        return f"{head}?{urlencode(self.options)}" if self.options else head

    def choice(self, option: str, choices: tuple[str, ...]) -> str:
        """The value of an option, the first choice if it is not given.

        Raises:
            MatchcutError: if it is none of the choices.
        """
        value = self.options.get(option, choices[0])
        if value not in choices:
            raise MatchcutError(f"encoder {str(self)!r}: {option} is {value!r}, must be one of {', '.join(choices)}")
        return value

    def flag(self, option: str) -> bool:
        """An option that is true or false, false if it is not given."""
        return self.choice(option, ("false", "true")) == "true"

    def only(self, *options: str) -> None:
        """Raise a `MatchcutError` if there is an option other than these."""
        for option in self.options:
            if option not in options:
                known = f"known are {', '.join(options)}" if options else f"{self.kind} has none"
                raise MatchcutError(f"encoder {str(self)!r}: no option {option!r}; {known}")
