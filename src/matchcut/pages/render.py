"""One HTML file from a template: everything it shows is inside it."""

from typing import Any


def render(package: str, template: str, **values: Any) -> str:
    """Fill a template of a package, which may extend `base.html` of this one; a name it lacks is an error.

    >>> render("matchcut.pages", "base.html", title="A < B").splitlines()[0]
    '<!doctype html>'
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("matchcut.pages", ".")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values)
