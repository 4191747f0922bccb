"""Messages of the library in the words of a call: what it names as flags and keys of a config are arguments here."""

import re
from collections.abc import Callable, Iterable

Word = tuple[str, str | Callable[[re.Match[str]], str]]

_SET = r"--set (?:'([\w.]+)=([^']*)'|([\w.]+)=([\w\"\[\]{}:,.+-]*[\w\"\]}]))"
_NESTED = (
    "weights|corpus|tokens|directions|data|cp|hosvd|rotate|joint|sparse_eigen|train|checkpoint|intervention|source"
)
_OF_FILES = "bin|gz|json|model|npy|pt|safetensors|txt"


def _value(word: str) -> str:
    if word in ("true", "false", "null"):
        return {"true": "True", "false": "False", "null": "None"}[word]
    return word if re.fullmatch(r"-?[\d.]+|[\[{\"].*", word) else f'"{word}"'


def _arguments(match: re.Match[str]) -> str:
    """Settings "a.b=1 a.c=2" as arguments: a={"b": 1, "c": 2}."""
    made: dict[str, str | dict[str, str]] = {}
    for quoted, text, bare, word in re.findall(_SET, match[0]):
        name, _, inner = (quoted or bare).partition(".")
        value = _value(text or word)
        below = made.get(name)
        if not inner:
            made[name] = value
        elif isinstance(below, dict):
            below[inner] = value
        else:
            made[name] = {inner: value}
    shown = {
        name: value if isinstance(value, str) else "{" + ", ".join(f'"{k}": {v}' for k, v in value.items()) + "}"
        for name, value in made.items()
    }
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _call(match: re.Match[str]) -> str:
    settings = re.search(rf"{_SET}(?: {_SET})*", match[2])
    return f"`bilens.{match[1]}(..., {_arguments(settings)})`" if settings else f"`bilens.{match[1]}`"


def _key(match: re.Match[str]) -> str:
    """A key "a.b.c" as what it is in the argument a: a["b"]["c"]."""
    name, *inner = match[0].split(".")
    return name + "".join(f'["{key}"]' for key in inner)


_WORDS: tuple[Word, ...] = (
    (r",? type\n  (.*)\n?", r": \1 "),
    (r"\n  (.*)\n?", r" \1 "),
    (r"(?<![\w/-])--gate silu, gelu, gelu_tanh or relu", 'activation="silu", "gelu", "gelu_tanh" or "relu"'),
    (r"(?<![\w/-])--gate (\w+)", r'activation="\1"'),
    (r"(?<![\w/-])--gate\b", "activation"),
    (r"For example `bilens (?:train|finetune) [^`]*`\. ", ""),
    (r"settings by --set\b", "settings"),
    (r"`bilens tokenizer train`", "`bilens.train_tokenizer`"),
    (r"`bilens convert[^`]*`", "`bilens.convert_checkpoint`"),
    (r"`bilens ([a-z]+)([^`]*)`", _call),
    (r"^bilens ([a-z]+)$", r"bilens.\1"),
    (rf"{_SET}(?: {_SET})*", _arguments),
    (r'no --data, no "data", and no run', "no data, and no run"),
    (r"(?<![\w/-])--(data|device) ([\w-]+(?::[\w./]*\w)?)", r'\1="\2"'),
    (r"(?<![\w/-])--(resume|overwrite)\b", r"\1=True"),
    (r"(?<![\w/-])--([a-z]+(?:-[a-z]+)*)", lambda match: match[1].replace("-", "_")),
    (rf"(?<![\w/.\"'])({_NESTED})\.(\w+)=([\w+]+)", lambda match: f'{match[1]}={{"{match[2]}": {_value(match[3])}}}'),
    (r"(?<![\w/.\"'])(surrogate)=([a-z]+)\b", r'\1="\2"'),
    (r"\b(stages\[\d+\])\.(\w+)", r'\1["\2"]'),
    (rf"(?<![\w/.\"'`])(?:{_NESTED})(?:\.(?!(?:{_OF_FILES})\b)[a-z]\w*)+\b(?!\.\w|=)", _key),
)
_JSON: tuple[Word, ...] = (
    (r"\ban object\b", "a dictionary"),
    (r"\bthe object\b", "the dictionary"),
    (r"\ban array\b", "a list"),
    (r"\bthe array\b", "the list"),
    (r"^(?:true|false|null)\b", lambda match: _value(match[0])),
    (r"\b(gate), surrogate\b", "activation, surrogate"),
)


def replaced(text: str, words: Iterable[Word]) -> str:
    """A text with each pattern as what stands for it."""
    for pattern, by in words:
        text = re.sub(pattern, by, text)
    return text.strip()


def in_python(text: str) -> str:
    """A message of the command line, with flags and keys as the arguments that they are here."""
    return replaced(text, _WORDS)


def of_problem(where: str, expected: str, found: str, fix: str) -> tuple[str, str, str, str]:
    """The parts of a problem, each as `in_python` words it."""
    if where == "gate" and expected.startswith(('one of "auto"', '"')):
        where = "activation"
    values = [replaced(part, _JSON) for part in (in_python(expected), in_python(found))]
    return in_python(where), values[0], values[1], in_python(fix)
