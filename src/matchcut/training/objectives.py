"""From a recipe's section to an objective."""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, field, make_dataclass
from typing import Any, get_type_hints

from matchcut.config import check_finite, decode, pick
from matchcut.errors import MatchcutError
from matchcut.losses import LOSSES, Expert, Objective, Ramp, Term, presets
from matchcut.negatives import TREATMENTS, Treatment

TERM_KEYS = ("loss", "treatments", "weight", "scores", "label", "experts")


def build_objective(section: Any, *, where: str = "objective") -> Objective:
    """Build an objective from what a recipe says.

    Either terms, each a loss with its treatments, as `Objective.to_recipe` prints them:

        {"terms": [{"loss": {"name": "hinge"}, "treatments": [{"name": "drop_similar", ...}], "weight": 1.0}]}

    or a preset with its options: {"preset": "exclusion_2021", "evidence": "minilm", "percent": 1}.

    >>> build_objective({"terms": [{"loss": {"name": "hinge", "margin": 0.1}}]})
    Objective([Term(HingeLoss(margin=0.1))])

    Raises:
        MatchcutError: for an unknown name, key or type, or a number that is not finite, with the place in the recipe.
    """
    if not isinstance(section, Mapping):
        raise MatchcutError(f"{where}: expected a table with terms or a preset, got {section!r}")
    check_finite(section, where=where)
    if "preset" in section:
        return _preset(dict(section), where)
    _only(section, ("terms", "extra"), where)
    terms = section.get("terms", [])
    if not isinstance(terms, list):
        raise MatchcutError(f"{where}: terms: expected a list of tables, [[objective.terms]]")
    extra = section.get("extra", {})
    if not isinstance(extra, Mapping):
        raise MatchcutError(f"{where}: extra: expected a table of weights by name")
    built = [_term(term, f"{where}: terms[{i}]") for i, term in enumerate(terms)]
    weights = {name: _weight(value, f"{where}: extra.{name}") for name, value in extra.items()}
    return _made(where, Objective, built, extra=weights)  # type: ignore[no-any-return]


def _term(table: Any, where: str) -> Term:
    if not isinstance(table, Mapping):
        raise MatchcutError(f"{where}: expected a table with a loss, got {table!r}")
    _only(table, TERM_KEYS, where)
    if not isinstance(table.get("loss"), Mapping):
        raise MatchcutError(f"{where}: loss: expected a table such as {{name = 'hinge', margin = 0.2}}")
    kind, options = pick(LOSSES, table["loss"], where=f"{where}: loss")
    loss = decode(kind, options, where=f"{where}: loss")
    experts = [_expert(expert, f"{where}: experts[{i}]") for i, expert in enumerate(_list(table, "experts", where))]
    return _made(  # type: ignore[no-any-return]
        where,
        Term,
        loss,
        _treatments(table, where),
        weight=_weight(table.get("weight", 1.0), f"{where}: weight"),
        scores=_text(table, "scores", where),
        label=_text(table, "label", where),
        experts=experts,
    )


def _expert(table: Any, where: str) -> Expert:
    if not isinstance(table, Mapping):
        raise MatchcutError(f"{where}: expected a table with treatments and a weight, got {table!r}")
    _only(table, ("treatments", "weight"), where)
    return Expert(_treatments(table, where), weight=_weight(table.get("weight", 1.0), f"{where}: weight"))


def _treatments(table: Mapping[str, Any], where: str) -> list[Treatment]:
    built: list[Treatment] = []
    for i, section in enumerate(_list(table, "treatments", where)):
        place = f"{where}: treatments[{i}]"
        if not isinstance(section, Mapping):
            raise MatchcutError(f"{place}: expected a table such as {{name = 'same_item'}}, got {section!r}")
        kind, options = pick(TREATMENTS, section, where=place)
        built.append(decode(kind, options, where=place))
    return built


def _list(table: Mapping[str, Any], key: str, where: str) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list | tuple):
        raise MatchcutError(f"{where}: {key}: expected a list of tables, got {found!r}")
    return list(found)


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    found = table.get(key)
    if found is not None and (not isinstance(found, str) or not found):
        raise MatchcutError(f"{where}: {key}: expected a name, got {found!r}")
    return found


def _weight(value: Any, where: str) -> float | Ramp:
    if isinstance(value, Mapping):
        return decode(Ramp, {key: entry for key, entry in value.items() if key != "name"}, where=where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MatchcutError(f"{where}: expected a number or a ramp {{first = 0.0, last = 1.0}}, got {value!r}")
    return float(value)


def _preset(section: dict[str, Any], where: str) -> Objective:
    name = section.pop("preset")
    known = {n: f for n, f in vars(presets).items() if inspect.isfunction(f) and f.__module__ == presets.__name__}
    known = {name: function for name, function in known.items() if not name.startswith("_")}
    preset, options = pick(known, {"name": name, **section}, where=f"{where}: preset")
    given: Any = decode(_options(preset), options, where=where)
    return _made(where, preset, **{key: getattr(given, key) for key in options})  # type: ignore[no-any-return]


def _options(preset: Any) -> type:
    """The parameters of a preset as a dataclass, so that they are checked as all other options are."""
    hints = get_type_hints(preset)
    parameters = inspect.signature(preset).parameters.values()
    listed = [
        (p.name, hints[p.name], field(default=MISSING if p.default is p.empty else p.default)) for p in parameters
    ]
    return make_dataclass(preset.__name__, listed, kw_only=True)


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise MatchcutError(f"{where}: {key}: unknown key; known keys: {', '.join(known)}")


def _made(where: str, make: Any, *args: Any, **options: Any) -> Any:
    try:
        return make(*args, **options)
    except (TypeError, ValueError) as error:
        raise MatchcutError(f"{where}: {error}") from error
