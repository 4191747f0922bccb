"""Tokenizers of transformers: what their tokens are called, and which token a word is."""

from typing import Any

from bilens._errors import UsageError, problem

_ITSELF = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _ITSELF]
# The characters that stand for bytes in byte-level pieces, GPT-2's.
_BYTES = {chr(byte): byte for byte in _ITSELF} | {chr(0x100 + place): byte for place, byte in enumerate(_OTHERS)}


def pieces_of(tokenizer: Any) -> list[str]:
    """The pieces of all tokens, by number, as people read them: "▁the" for the byte-level "Ġthe"."""
    if not hasattr(tokenizer, "convert_ids_to_tokens"):
        expected = "the path of a SentencePiece model or tokenizer.json, or a tokenizer of transformers"
        raise UsageError(*problem("tokenizer", expected, type(tokenizer).__name__))
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    shown = _shown if "ByteLevel" in str(decoder) else str
    return [f"#{number}" if piece is None else shown(piece) for number, piece in enumerate(pieces)]


def _shown(piece: str) -> str:
    """A byte-level piece as the library shows it, with <0xC3> for what is no character by itself."""
    if not all(character in _BYTES for character in piece):
        return piece  # an added token
    text = bytes(_BYTES[character] for character in piece).decode(errors="surrogateescape")
    return "".join(_shown_character(character) for character in text)


def _shown_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"<0x{code - 0xDC00:02X}>"
    if code < 0x20 or code == 0x7F:
        return f"<0x{code:02X}>"
    return "▁" if character == " " else character


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
