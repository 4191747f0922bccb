"""Tokenizers of transformers: what their tokens are called, and which token a word is."""

from typing import Any

from bilens._errors import UsageError, problem


def pieces_of(tokenizer: Any) -> list[str]:
    """The pieces of all tokens, by number."""
    if not hasattr(tokenizer, "convert_ids_to_tokens"):
        expected = "the path of a SentencePiece model or tokenizer.json, or a tokenizer of transformers"
        raise UsageError(*problem("tokenizer", expected, type(tokenizer).__name__))
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return [f"#{number}" if piece is None else str(piece) for number, piece in enumerate(pieces)]


def token_id(tokenizer: Any, word: Any, where: str) -> int:
    """The number of a token that is named by itself, or by a text that is one token."""
    if isinstance(word, int):
        return word
    ids = tokenizer.encode(word, add_special_tokens=False)
    unknown = getattr(tokenizer, "unk_token_id", None)
    if len(ids) == 1 and (ids[0] != unknown or word == tokenizer.unk_token):
        return int(ids[0])
    known = tokenizer.get_vocab().get(word)
    if known is not None:
        return int(known)
    found = ", ".join(repr(piece) for piece in tokenizer.convert_ids_to_tokens(ids)) or "nothing"
    fix = "Give one of its pieces, or another word."
    raise UsageError(*problem(where, "one token", f"{word!r}, which is {found}", fix))
