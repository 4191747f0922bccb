"""Texts to token ids and back by our library, through its test program."""

import os
import pathlib
import struct
import subprocess

from bilens_cli import BILENS, ROOT


def _run(folder, model, parts, **settings):
    source, output = pathlib.Path(folder) / "texts", pathlib.Path(folder) / "found"
    source.write_bytes(b"".join(struct.pack("<I", len(part)) + part for part in parts))
    program = (ROOT / BILENS).resolve().parent / "tests/test_data"
    files = {"BILENS_IDS_MODEL": model, "BILENS_IDS_INPUT": source, "BILENS_IDS_OUTPUT": output, **settings}
    environment = {**os.environ, **{key: str(value) for key, value in files.items()}}
    subprocess.run([program, "[.ids]"], env=environment, cwd=ROOT, check=True, capture_output=True, timeout=600)
    return output.read_bytes()


def encode(folder, model, texts, **settings):
    """The ids of each text, of str or bytes."""
    found = _run(folder, model, [t if isinstance(t, bytes) else t.encode() for t in texts], **settings)
    return [list(map(int, line.split())) for line in found.decode().split("\n")[:-1]]


def encode_prompts(folder, model, texts):
    return encode(folder, model, texts, BILENS_IDS_PROMPT=1)


def seconds_to_encode(folder, model, texts):
    """What encoding alone takes, one text after the other, and how many tokens they are."""
    file = pathlib.Path(folder) / "seconds"
    ids = encode(folder, model, texts, BILENS_IDS_SECONDS=file)
    return float(file.read_text()), sum(map(len, ids))


def decode(folder, model, lists):
    """The text of each list of ids."""
    found = _run(folder, model, [struct.pack(f"<{len(ids)}i", *ids) for ids in lists], BILENS_IDS_DECODE=1)
    texts = []
    while found:
        (length,) = struct.unpack_from("<I", found)
        texts.append(found[4 : 4 + length].decode())
        found = found[4 + length :]
    return texts
