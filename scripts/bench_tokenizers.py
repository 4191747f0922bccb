"""Text to token ids by a tokenizer.json, bilens against the Python package tokenizers, one thread each.

Called by scripts/bench.sh tokenizers.
"""

import gzip
import json
import pathlib
import statistics
import sys
import tempfile

from bench_common import ROOT, arguments, keep, peer, table

sys.path.insert(0, str(ROOT / "tests/support"))
import token_ids  # noqa: E402
import tokenizer_kinds  # noqa: E402

PUBLISHED = ("phi-2", "phi-3-mini")  # byte-level, and with byte fallback
KINDS = ("llama3", "gemma")  # small ones of these structures, trained here


def rows_of(options, folder, name, tokenizer, lines, bytes_read):
    """A row a tokenizer: MB/s of both, of lines that are new to it."""
    file, text = folder / "alone.json", folder / "lines.txt"
    file.write_text(json.dumps(tokenizer))
    text.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    ours, theirs = [], []
    for _ in range(options.rounds):
        seconds, tokens = token_ids.seconds_to_encode(folder, file, lines)
        found = json.loads(peer("peer_tokenize.py", file, text))
        if found["tokens"] != tokens:
            raise SystemExit(f"{name}: {tokens} tokens, by the package {found['tokens']}")
        ours.append(bytes_read / seconds / 1e6)
        theirs.append(bytes_read / min(found["seconds"]) / 1e6)
    mine, other = statistics.median(ours), statistics.median(theirs)
    return name, f"{mine:.1f} MB/s", f"{other:.1f} MB/s", f"{mine / other:.1f}"


def main():
    parser = arguments(__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    options = parser.parse_args()
    stories = gzip.open(options.data / "tinystories/tinystories-sample.txt.gz", "rt", encoding="utf-8").read()
    lines = stories.split("\n")[:40_000]
    mixed = tokenizer_kinds.texts(20_000)
    rows = []
    with tempfile.TemporaryDirectory(prefix="bilens-bench-") as name:
        folder = pathlib.Path(name)
        published = {
            name: json.loads((options.data / f"tokenizers/{name}/tokenizer.json").read_text()) for name in PUBLISHED
        }
        made = {f"small, as {kind}": tokenizer_kinds.train(kind, lines[:5000]) for kind in KINDS}
        for name, tokenizer in {**published, **made}.items():
            for kind, texts in (("stories", lines), ("mixed scripts and code", mixed)):
                texts = [text for text in texts if "\n" not in text]
                size = sum(len(text.encode()) for text in texts)
                rows.append(rows_of(options, folder, f"{name}, {kind}", tokenizer, texts, size))
    head = ("tokenizer and text", "bilens", "tokenizers", "ratio")
    keep("tokenizers", options, table(head, rows))


if __name__ == "__main__":
    main()
