"""Token ids in memory as the data that a config names."""

import contextlib
import hashlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from bilens._errors import InputError, problem, worded
from bilens._models import Array

Tokens: TypeAlias = Array | Sequence[int] | Sequence[Array] | Sequence[Sequence[int]]


@contextlib.contextmanager
def token_data(
    tokens: Tokens,
    vocabulary: int | None = None,
    padding: int | None = None,
    padded_from: int = 1,
    argument: str = "data",
) -> Iterator[dict[str, Any]]:
    """Write token ids as a token file, which lies in a temporary folder inside the `with` block.

    Args:
        tokens: [n] ids in a row, whose documents begin at the model's BOS, or where it has none at each EOS, as in
            every token file. Or one row a document, [documents, n] or a list: then all rows begin with the same id,
            such as BOS, which stands nowhere else.
        vocabulary: how many tokens the model knows; without it the library asks the model.
        padding: id that is none of a document's, where it stands at an end of one `padded_from` times or more.
        argument: what the ids are given as, in messages.

    Yields:
        The value of a config's key "data". The file's name says what is in it, by its SHA-256.

    Raises:
        bilens.InputError: for what are no ids, and for rows whose beginnings could not be found again.
    """
    rows = _rows(tokens, argument)
    for number, row in enumerate(rows):
        where = argument if len(rows) == 1 else f"{argument}: document {number}"
        _require_ids(row, where, vocabulary)
        if padding is not None:
            _require_no_padding(row, where, padding, padded_from)
    config: dict[str, Any] = {"dataset": "tokens", "dtype": "uint32"}
    ids = np.concatenate(rows).astype("<u4")
    if len(rows) > 1:
        config["document_token"] = _first_of_all(rows, ids, argument)
    with tempfile.TemporaryDirectory(prefix="bilens-") as folder:
        content = ids.tobytes()
        file = pathlib.Path(folder) / f"tokens-{hashlib.sha256(content).hexdigest()}.bin"
        file.write_bytes(content)
        yield {**config, "path": str(file)}


def in_words_of_tokens(argument: str = "data") -> contextlib.AbstractContextManager[None]:
    """Inside the block, errors speak of token ids as the argument that they are, and not of the file."""
    file = r"tokens-([0-9a-f]{8})[0-9a-f]{56}\.bin"
    return worded(
        (rf"\"[^\"]*{file}\"", r"token ids of SHA-256 \1…"),
        (rf"[^\s\"]*{file}", argument),
        (r'\bdata\["path"\]', argument),
        (r"Put that file back", f"Give the same {argument}"),
    )


def data_for(model: Any, ids: Tokens, argument: str = "data") -> contextlib.AbstractContextManager[dict[str, Any]]:
    """Token ids as the data of a model, checked by what its config says; `argument` is what they are given as."""
    config = getattr(model, "config", None)
    padding = getattr(config, "pad_token_id", None)
    ends = getattr(config, "eos_token_id", None)
    others = [getattr(config, "bos_token_id", None), *(ends if isinstance(ends, list) else [ends])]
    once = padding in others  # then it may stand once at an end of a document
    return token_data(ids, getattr(config, "vocab_size", None), padding, 2 if once else 1, argument)


def _rows(tokens: Any, argument: str) -> list[np.ndarray[Any, Any]]:
    """Documents, or one row of ids."""
    if isinstance(tokens, Sequence) and len(tokens) > 0 and not _is_number(tokens[0]):
        rows = [_array(row, f"{argument}: document {number}") for number, row in enumerate(tokens)]
        for number, row in enumerate(rows):
            if row.ndim != 1:
                where = f"{argument}: document {number}"
                raise InputError(*problem(where, "ids [n] of one document", f"shape {list(row.shape)}"))
        return rows
    ids = _array(tokens, argument)
    if ids.ndim not in (1, 2):
        raise InputError(*problem(argument, "token ids [n] or [documents, n]", f"shape {list(ids.shape)}"))
    return [ids] if ids.ndim == 1 else list(ids)


def _is_number(value: Any) -> bool:
    return np.ndim(value) == 0 and not isinstance(value, str)


def _array(ids: Any, where: str) -> np.ndarray[Any, Any]:
    if isinstance(ids, torch.Tensor):
        if ids.is_meta:
            raise InputError(*problem(where, "numbers", "a tensor on the meta device"))
        ids = ids.detach().cpu().numpy()
    if not isinstance(ids, (np.ndarray, Sequence)) or isinstance(ids, (str, bytes)):
        raise InputError(*problem(where, "token ids, an array of whole numbers", type(ids).__name__))
    try:
        found = np.asarray(ids)
    except ValueError as error:
        raise InputError(*problem(where, "token ids, an array of whole numbers", str(error))) from error
    if found.size == 0:
        raise InputError(*problem(where, "token ids", "none", "Leave out documents without tokens."))
    if found.dtype.kind not in "iu":
        fix = "Give the tokenizer's input_ids as integers."
        raise InputError(*problem(where, "token ids, an array of whole numbers", f"dtype {found.dtype}", fix))
    return found


def _require_ids(row: np.ndarray[Any, Any], where: str, vocabulary: int | None) -> None:
    most = 2**31 if vocabulary is None else vocabulary
    outside = np.flatnonzero((row < 0) | (row >= most))
    if outside.size > 0:
        place = int(outside[0])
        found = f"{int(row[place])} as token {place}"
        fix = "Labels' -100 stand for no token: give input_ids." if row[place] < 0 else ""
        expected = f"ids from 0 to {most - 1}, the model's last token"
        raise InputError(*problem(where, expected, found, fix or "Use the model's own tokenizer."))


def _require_no_padding(row: np.ndarray[Any, Any], where: str, padding: int, padded_from: int) -> None:
    for end in (row[:padded_from], row[-padded_from:]):
        if len(end) == padded_from and (end == padding).all():
            fix = "Give a list of the documents, each as long as it is."
            raise InputError(*problem(where, "the document's own tokens", f"padding, id {padding}", fix))


def _first_of_all(rows: list[np.ndarray[Any, Any]], ids: np.ndarray[Any, Any], argument: str) -> int:
    """The id that begins each document and nothing else."""
    first = int(rows[0][0])
    others = [number for number, row in enumerate(rows) if int(row[0]) != first]
    fix = "Put BOS in front of each document. Or give all ids in a row, [n], with BOS where documents begin."
    expected = "documents that begin with the same id, which stands nowhere else"
    if others:
        found = f"{first} at the start of document 0, {int(rows[others[0]][0])} of document {others[0]}"
        raise InputError(*problem(argument, expected, found, fix))
    count = int((ids == first).sum())
    if count != len(rows):
        raise InputError(*problem(argument, expected, f"{first} at {count} places in {len(rows)} documents", fix))
    return first
