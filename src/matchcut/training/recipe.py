"""Recipes: TOML files that say on what, with which network and objective, and how to train."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matchcut.config import decode, merge, pick, plain, read_toml
from matchcut.errors import MatchcutError
from matchcut.losses import Objective
from matchcut.models import MODELS, config_class, presets
from matchcut.training.objectives import build_objective
from matchcut.training.settings import DataSettings, TrainingSettings

SECTIONS = ("name", "data", "model", "objective", "training")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `read` makes one from a file, `of` from a table.

    >>> recipe = Recipe.of({"name": "tiny", "training": {"epochs": 2}, "objective": {"preset": "vsepp"}})
    >>> recipe.training.epochs, recipe.text, recipe.item
    (2, ('minilm',), ('efficientnet-lite0',))
    """

    name: str
    data: DataSettings
    model_name: str
    model: Any  # the network's options, such as `ProjectionConfig`
    objective_table: Any  # what `build_objective` reads
    training: TrainingSettings
    source: str = "recipe"

    @classmethod
    def read(cls, path: Path | str, *, overrides: Sequence[str] = ()) -> "Recipe":
        """Read a TOML recipe; each override is "key.key=value".

        Raises:
            MatchcutError: naming file, key and what would be right.
        """
        table = read_toml(Path(path), overrides=overrides)
        table.setdefault("name", Path(path).stem)
        return cls.of(table, source=str(path))

    @classmethod
    def of(cls, table: dict[str, Any], *, source: str = "recipe") -> "Recipe":
        """Check a table as `read` gets it from a file."""
        for key in table:
            if key == "grid":
                raise MatchcutError(f"{source}: grid: makes many recipes; `matchcut sweep` trains them")
            if key not in SECTIONS:
                raise MatchcutError(f"{source}: {key}: unknown section; known are {', '.join(SECTIONS)}")
        name = plain_name(table.get("name", "model"), where=f"{source}: name")
        model = _section(table, "model", source)
        model.setdefault("name", "projection")
        _, options = pick(MODELS, model, where=f"{source}: model")
        if "preset" in options:
            chosen = {"name": options.pop("preset")}
            preset, _ = pick(presets(model["name"]), chosen, where=f"{source}: model: preset")
            options = merge(plain(asdict(preset)), options)
        recipe = cls(
            name=name,
            data=decode(DataSettings, _section(table, "data", source), where=f"{source}: data"),
            model_name=model["name"],
            model=decode(config_class(model["name"]), options, where=f"{source}: model"),
            objective_table=table.get("objective", {"terms": [{"loss": {"name": "infonce"}}]}),
            training=decode(TrainingSettings, _section(table, "training", source), where=f"{source}: training"),
            source=source,
        )
        recipe.objective()
        return recipe

    def objective(self) -> Objective:
        """A new objective; one that learns a temperature holds its own parameter."""
        return build_objective(self.objective_table, where=f"{self.source}: objective")

    @property
    def text(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads: caption feature sets, and some of `text_streams.MADE`."""
        return tuple(self.model.text_streams)

    @property
    def item(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads: frame feature sets."""
        return tuple(self.model.item_streams)

    def evidence(self) -> list[str]:
        """Names of the feature sets that treatments of negatives ask for."""
        return list(self.objective().uses)

    def to_dict(self) -> dict[str, Any]:
        """The recipe with every default filled in, as plain values."""
        data = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.data).items() if k != "collection"}
        model = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.model).items()}
        return {
            "name": self.name,
            "data": data,
            "model": {"name": self.model_name, **model},
            "objective": self.objective_table,
            "training": asdict(self.training),
        }

    def to_toml(self) -> str:
        """The recipe with every default filled in, as a file that `read` takes."""
        import tomli_w

        return tomli_w.dumps(plain(self.to_dict()))


def plain_name(name: Any, *, where: str) -> str:
    """The name of a model's folder, if it is one."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith(".") or not name.isprintable():
        raise MatchcutError(f"{where}: expected a plain name for the model's folder, got {name!r}")
    return name


def _section(table: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, dict):
        raise MatchcutError(f"{source}: {name}: expected a table, [{name}]")
    return dict(section)
