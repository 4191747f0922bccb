"""Evaluation, generation and training of each family of decoders, bilens against transformers in eager PyTorch.

Called by scripts/bench.sh families.
"""

import json
import pathlib
import statistics
import tempfile
import time

import numpy

from bench_common import arguments, bilens, keep, peer, steady_rate, table

VOCABULARY, CONTEXT, TOKENS, NEW_TOKENS = 4096, 256, 40_000, 200
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 288,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 48,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
# Class in transformers, and keys beside the shape; windows shorter than the text where the family has them.
FAMILIES = {
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": 128}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {}),
    "smollm3": ("SmolLM3", {}),
    "phi3": ("Phi3", {}),
    "olmo2": ("Olmo2", {}),
    "gemma": ("Gemma", {}),
    "gemma2": ("Gemma2", {"sliding_window": 128}),
    "gemma3_text": ("Gemma3Text", {"sliding_window": 128}),
}
TRAINED, BATCH, STEPS = "qwen3", 8, 10


def evaluate(options, model, tokens):
    """Tokens/s of the whole command, its start and the loading of the model among them."""
    begin = time.perf_counter()
    found = bilens(options, "evaluate", model, "--data", f"tokens,dtype=uint16:{tokens}", "--context", CONTEXT)
    return found["loss"], found["tokens"] / (time.perf_counter() - begin)


def measure_family(options, folder, tokens, rounds):
    evaluating, generating = [], []
    for _ in range(rounds):
        loss, rate = evaluate(options, folder, tokens)
        theirs = json.loads(peer("peer_family.py", "evaluate", folder, tokens, CONTEXT))
        if abs(loss - theirs["loss"]) > 1e-5:
            raise SystemExit(f"{folder.name}: losses differ, {loss} and {theirs['loss']}")
        evaluating.append((rate, theirs["tokens_per_second"]))
        made = bilens(options, "generate", folder, "--temperature", 0, "--max-tokens", NEW_TOKENS, "--prompt", "")
        theirs = json.loads(peer("peer_family.py", "generate", folder, NEW_TOKENS))
        generating.append((made["tokens_per_second"], theirs["tokens_per_second"]))
    return [tuple(map(statistics.median, zip(*pairs))) for pairs in (evaluating, generating)]


def train(options, folder, steps):
    tokens = numpy.random.default_rng(1).integers(3, VOCABULARY, (steps + 2) * BATCH * (CONTEXT + 1)).astype("<u2")
    (folder / "train.bin").write_bytes(tokens.tobytes())
    shape = {key: value for key, value in SHAPE.items() if not key.endswith("token_id")}
    data = {"dataset": "tokens", "path": str(folder / "train.bin"), "context": CONTEXT, "packing": "plain"}
    config = {
        "model": {"type": TRAINED, **shape},
        "data": {**data, "split": "train", "held_out": 0.0},
        "train": {"steps": steps + 1, "batch_size": BATCH, "learning_rate": 1e-4},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with tempfile.TemporaryDirectory() as run:
        bilens(options, "train", folder / "config.json", "--out", pathlib.Path(run) / "run")
        return steady_rate(pathlib.Path(run) / "run", BATCH * CONTEXT)


def main():
    options = arguments(__doc__).parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tokens = folder / "tokens.bin"
        numpy.random.default_rng(0).integers(3, VOCABULARY, TOKENS).astype("<u2").tofile(tokens)
        words = numpy.random.default_rng(0).integers(97, 123, (20000, 5)).astype("u1")
        (folder / "text.txt").write_text("\n".join(bytes(word).decode() for word in words))
        data, vocabulary = f"text:{folder / 'text.txt'}", folder / "tokenizer"
        bilens(options, "tokenizer", "train", "--data", data, "--vocabulary", VOCABULARY, "--out", vocabulary)
        for family, (cls, keys) in FAMILIES.items():
            model = folder / family
            peer("peer_family.py", "make", cls, model, json.dumps({**SHAPE, **keys}))
            for file in vocabulary.iterdir():
                (model / file.name).write_bytes(file.read_bytes())
            for what, (ours, theirs) in zip(
                ("evaluate", "generate"), measure_family(options, model, tokens, options.rounds)
            ):
                rows.append(
                    (f"{what}, {family}", f"{ours:,.0f} tokens/s", f"{theirs:,.0f} tokens/s", f"{ours / theirs:.2f}")
                )
                print(*rows[-1], flush=True)
        keys = json.dumps({**SHAPE, **FAMILIES[TRAINED][1]})
        pairs = [
            (
                train(options, folder, STEPS),
                json.loads(peer("peer_family.py", "train", FAMILIES[TRAINED][0], keys, BATCH, CONTEXT, STEPS))[
                    "tokens_per_second"
                ],
            )
            for _ in range(options.rounds)
        ]
        ours, theirs = map(statistics.median, zip(*pairs))
        rows.append((f"train, {TRAINED}", f"{ours:,.0f} tokens/s", f"{theirs:,.0f} tokens/s", f"{ours / theirs:.2f}"))
    keep("families", options, table(("what", "bilens", "transformers", "speed ratio"), rows))


if __name__ == "__main__":
    main()
