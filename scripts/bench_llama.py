"""Training and sampling of language models, bilens against transformers in eager PyTorch.

Called by scripts/bench.sh llama.
"""

import json
import pathlib
import statistics
import tempfile

import numpy

from bench_common import arguments, bilens, keep, peer, steady_rate, table

# dim, layers, heads, key-value heads, hidden, vocabulary, batch, sequence; steps timed
SHAPES = {
    "dim 288, 6 layers, vocabulary 4096, 8 × 256": ((288, 6, 6, 6, 768, 4096, 8, 256), 10),
    "dim 64, 5 layers, vocabulary 512, 16 × 512": ((64, 5, 8, 4, 172, 512, 16, 512), 10),
}
NEW_TOKENS = 250
SAMPLINGS = 3  # a round: they take seconds, and differ more than training does


def keys_of(shape):
    dim, layers, heads, kv_heads, hidden, vocabulary, _, sequence = shape
    return {
        "vocab_size": vocabulary,
        "hidden_size": dim,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": max(sequence, 512),
        "hidden_act": "linear",
    }


def train(options, folder, shape, steps, **settings):
    """Tokens/s and peak memory of training on random tokens; `steps` and one before them, whose time does not count.
    @param settings: of the section "train" """
    _, _, _, _, _, vocabulary, batch, sequence = shape
    tokens = numpy.random.default_rng(0).integers(3, vocabulary, (steps + 2) * batch * (sequence + 1)).astype("<u2")
    (folder / "tokens.bin").write_bytes(tokens.tobytes())
    config = {
        "model": {"type": "llama", **keys_of(shape)},
        "data": {
            "dataset": "tokens",
            "path": str(folder / "tokens.bin"),
            "context": sequence,
            "packing": "plain",
            "split": "train",
            "held_out": 0.0,
        },
        "train": {"steps": steps + 1, "batch_size": batch, "learning_rate": 1e-4, **settings},
    }
    (folder / "config.json").write_text(json.dumps(config))
    result = bilens(options, "train", folder / "config.json", "--out", folder / "run")
    return steady_rate(folder / "run", batch * sequence), result.get(
        "peak_device_memory_bytes", result["peak_memory_bytes"]
    )


def sample(options, model):
    result = bilens(options, "generate", model, "--temperature", 0, "--max-tokens", NEW_TOKENS, "--prompt", "")
    return result["tokens_per_second"]


def measure(options, shape, steps):
    with tempfile.TemporaryDirectory() as name:
        ours = train(options, pathlib.Path(name), shape, steps)
    _, _, _, _, _, _, batch, sequence = shape
    theirs = json.loads(peer("peer_family.py", "train", "Llama", json.dumps(keys_of(shape)), batch, sequence, steps))
    return ours, (theirs["tokens_per_second"], theirs["peak_memory_bytes"])


def main():
    options = arguments(__doc__).parse_args()
    training, memory, sampling = [], [], []
    for name, (shape, steps) in SHAPES.items():
        rounds = []
        for number in range(options.rounds):
            rounds.append(measure(options, shape, steps))
            (speed, _), (peer_speed, _) = rounds[-1]
            print(
                f"{name}, round {number + 1}: bilens {speed:,.0f} tokens/s, transformers {peer_speed:,.0f}", flush=True
            )
        ours, theirs = zip(*rounds)
        speed, peer_speed = (statistics.median(r[0] for r in side) for side in (ours, theirs))
        used, peer_used = (statistics.median(r[1] for r in side) for side in (ours, theirs))
        training.append(
            (f"train, {name}", f"{speed:,.0f} tokens/s", f"{peer_speed:,.0f} tokens/s", f"{speed / peer_speed:.2f}")
        )
        memory.append(
            (f"peak memory, {name}", f"{used / 1e6:,.0f} MB", f"{peer_used / 1e6:,.0f} MB", f"{used / peer_used:.2f}")
        )
    for name, (shape, _) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            model = sampled_model(options, folder, shape)
            speeds = [
                (
                    sample(options, model),
                    json.loads(peer("peer_family.py", "generate", model, NEW_TOKENS))["tokens_per_second"],
                )
                for _ in range(SAMPLINGS * options.rounds)
            ]
        ours, theirs = map(statistics.median, zip(*speeds))
        sampling.append(
            (
                f"sample greedily, {name.split(', vocabulary')[0]}",
                f"{ours:,.0f} tokens/s",
                f"{theirs:,.0f} tokens/s",
                f"{ours / theirs:.2f}",
            )
        )
    keep(
        "llama",
        options,
        table(("what", "bilens", "transformers", "speed ratio"), training + sampling)
        + "\n"
        + table(("what", "bilens", "transformers", "memory ratio"), memory),
    )


def sampled_model(options, folder, shape):
    """A model of this shape that never ends a text, with a tokenizer of its vocabulary."""
    train(options, folder, shape, 1)
    model = folder / "run/model"
    words = numpy.random.default_rng(0).integers(97, 123, (20000, 5)).astype("u1")
    (folder / "text.txt").write_text("\n".join(bytes(word).decode() for word in words))
    bilens(
        options,
        "tokenizer",
        "train",
        "--data",
        f"text:{folder / 'text.txt'}",
        "--vocabulary",
        shape[5],
        "--out",
        folder / "tokenizer",
    )
    for file in (folder / "tokenizer").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    config = json.loads((model / "config.json").read_text())
    config["eos_token_id"] = None
    (model / "config.json").write_text(json.dumps(config))
    return model


if __name__ == "__main__":
    main()
