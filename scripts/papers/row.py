"""What a row is: settings, what is measured of a run of each, and what is said of them together."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of docs/papers.md.

    Attributes:
        name: as the command and the record are called.
        title: heading on the page.
        about: a paragraph on what is done and how it differs from what was published.
        settings: names of the settings, in the order of the table.
        plan: (setting, seed) -> what determines the run: the config and whatever else counts.
        measure: plan -> numbers by name; it trains and decomposes.
        table: Found -> a head and rows of texts.
        figure: Found -> a matplotlib figure, or None.
        seeds: runs of each setting where nothing else is asked.
        near: how far a run made again may be off in some numbers, beside what every number may (`--check`).
    """

    name: str
    title: str
    about: str
    settings: tuple[str, ...]
    plan: Callable
    measure: Callable
    table: Callable
    figure: Callable | None = None
    seeds: int = 5
    near: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Found:
    """The numbers of a row's runs, by setting and seed."""

    def __init__(self, values):
        self.values = values  # {setting: [numbers of a seed, ...]}

    def numbers(self, setting, name):
        return [numbers[name] for numbers in self.values.get(setting, ())]

    def mean(self, setting, name):
        """NaN where nothing is on record."""
        numbers = self.numbers(setting, name)
        return statistics.mean(numbers) if numbers else float("nan")

    def spread(self, setting, name):
        """The standard deviation over seeds; 0 of one."""
        numbers = self.numbers(setting, name)
        return statistics.stdev(numbers) if len(numbers) > 1 else 0.0

    def words(self, setting, name, form="{:.2f}", scale=1.0, unit=""):
        """97.61 ± 0.05% (5)"""
        numbers = self.numbers(setting, name)
        if not numbers:
            return "–"
        mean = form.format(scale * self.mean(setting, name))
        spread = form.replace("+", "").format(scale * self.spread(setting, name))
        return f"{mean}{unit} (1)" if len(numbers) == 1 else f"{mean} ± {spread}{unit} ({len(numbers)})"


def verdict(own, published, tolerance):
    """Whether a number was reproduced. @param tolerance what rounding, seeds and unstated settings may make of it"""
    if own != own:
        return "–"
    off = own - published
    return "reproduced" if abs(off) <= tolerance else f"not reproduced: {off:+.3g}"
