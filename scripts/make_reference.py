"""Writes what transformers computes with a model: the reference values of `bilens check MODEL --reference OUT`.

Usage: make_reference.py MODEL OUT [--text FILE] [--tokenizer FOLDER] [--tokens N] [--dtype NAME] [--threads N]

  MODEL              a model directory in the Hugging Face layout
  OUT                the file that is written, whole or not at all
  --text FILE        text that is tokenized, UTF-8; default: a short one with many kinds of characters
  --tokenizer FOLDER default: MODEL
  --tokens N         tokens in a row; default: 128, or the model's positions where these are fewer
  --dtype NAME       of the checkpoint: float32, bfloat16, float16 or float64; default: what its config.json says
  --threads N        default: as torch has it

It needs torch, transformers and safetensors, and nothing of bilens. The model runs on the CPU with eager attention, in
float32, and before that in the checkpoint's own dtype where this is bfloat16 or float16.
"""

import argparse
import gc
import hashlib
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is downloaded
NO_PACKAGE, NO_MODEL = 69, 65  # exit codes

try:
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    missing = (error.name or str(error)).split(".")[0]
    print(f"{missing} is not installed in {sys.executable}: {error}", file=sys.stderr)
    sys.exit(NO_PACKAGE)

ROWS = 2  # of random tokens, and as many of the text
TOKENS = 128
# The first of these that is there counts.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
LOGITS = 2**24  # numbers of logits that are kept, of the last tokens of each row
TEXT = """Once upon a time there was a little girl named Lily. She didn't like the dark, and she'd say: "It's OK, isn't
it?"  Her mother's friend (Dr. O'Neil-Smith) paid $1,234.56 on 2024-02-29; that's 3.14159 times e-mail@example.org.

    def fibonacci(n: int) -> int:
\t\treturn n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)   # O(2**n) != O(n)

Ünïcödé, naïve café, straße, ΑΒΓ αβγ, Привет мир! 你好，世界。こんにちは 안녕하세요 שלום عالم नमस्ते ไทย ½ ² ① ﬁ Ⅷ
👩\u200d👩\u200d👧 🏳️\u200d🌈 \u00e9 e\u0301 — “quotes” … <b>bold</b> [INST]
{"key": [1, 22, 333, 4444, 55555]}\r\nA\u00a0last\u3000line\u200b.\x20\x20
"""


def refuse(message):
    print(message, file=sys.stderr)
    sys.exit(NO_MODEL)


class Steps:
    """Says how far it is: "3/11 what"."""

    def __init__(self, total):
        self.done, self.total = 0, total

    def next(self, what):
        print(f"{self.done}/{self.total} {what}", flush=True)
        self.done += 1


def sha256_of(file):
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def weights_of(folder):
    """SHA-256 of the file of weights, or of the `sha256sum` listing of several."""
    for name in WEIGHTS:
        file = folder / name
        if not file.exists():
            continue
        if not name.endswith(".json"):
            return sha256_of(file)
        names = sorted(set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()))
        if len(names) == 1:
            return sha256_of(folder / names[0])
        listing = "".join(f"{sha256_of(folder / shard)}  {shard}\n" for shard in names)
        return hashlib.sha256(listing.encode()).hexdigest()
    refuse(f"{folder} has no model.safetensors and no pytorch_model.bin.")


def load(folder, dtype):
    # transformers 4 calls it torch_dtype.
    key = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        text = config.get_text_config()  # of a model that sees pictures too
        by_layer = [k for k in ("hidden_act", "hidden_activation") if getattr(text, k, None) == "by_layer"]
        for name in by_layer:
            setattr(text, name, "linear")
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
            **{key: dtype},
        )
        if by_layer:  # each layer has an activation of its own
            for layer, name in zip(model.get_decoder().layers, getattr(text, "hidden_acts", ()), strict=True):
                part = "act_fn" if hasattr(layer.mlp, "act_fn") else "activation_fn"
                setattr(layer.mlp, part, transformers.activations.ACT2FN[name])
    except (OSError, ValueError, KeyError, ImportError) as error:
        refuse(f"transformers {transformers.__version__} does not load {folder}: {type(error).__name__}: {error}")
    for what in ("missing_keys", "mismatched_keys"):
        if info.get(what):
            refuse(f"transformers {transformers.__version__} makes up weights of {folder}: {what} {list(info[what])}")
    return model.eval()


def computed(model, tokens, name, steps):
    """States [states, rows, tokens, width], logits of the last tokens [rows, tokens, vocabulary], losses of all but the
    first token [rows, tokens], all float32."""
    states, logits, losses = [], [], []
    for number, row in enumerate(tokens):
        steps.next(f"{name}, row {number + 1}")
        with torch.no_grad():
            found = model(input_ids=row[None], output_hidden_states=True, use_cache=False)
        states.append(torch.stack([state[0].float() for state in found.hidden_states]))
        scores = found.logits[0].float()
        losses.append(torch.nn.functional.cross_entropy(scores[:-1], row[1:], reduction="none"))
        kept = max(1, min(len(row), LOGITS // (len(tokens) * scores.shape[-1])))
        logits.append(scores[-kept:].clone())
    made = {"states": torch.stack(states, 1), "logits": torch.stack(logits), "losses": torch.stack(losses)}
    return {f"{name}.{key}": value.contiguous() for key, value in made.items()}


def tokenized(folder, text):
    """({tensors}, {metadata}) of a text by AutoTokenizer, and by the file tokenizer.json alone."""
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        return {}, {"tokenizer_problem": "there is none beside the weights"}
    tensors = {"text": torch.tensor(list(text.encode()), dtype=torch.uint8)}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tensors["text_ids"] = torch.tensor(tokenizer(text)["input_ids"], dtype=torch.int64)
        about = {"tokenizer_class": type(tokenizer).__name__}
    except Exception as error:  # whatever it is, the numbers of the model can be compared
        return {}, {"tokenizer_problem": f"transformers does not load it: {type(error).__name__}: {error}"}
    if (folder / "tokenizer.json").exists():
        import tokenizers

        alone = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        alone.no_truncation()
        alone.no_padding()
        tensors["file_ids"] = torch.tensor(alone.encode(text).ids, dtype=torch.int64)
    return tensors, about


def rows_of(ids, vocabulary, length):
    """Random tokens, and the text's, again and again where it is short; [rows, length]"""
    random = torch.randint(vocabulary, (ROWS, length), generator=torch.Generator().manual_seed(0))
    ids = ids[ids < vocabulary]
    if len(ids) == 0:
        return random
    return torch.cat([random, ids.repeat(-(-ROWS * length // len(ids)))[: ROWS * length].view(ROWS, length)])


def save(file, tensors, metadata):
    partial = file.with_name(f".partial-{os.getpid()}-{file.name}")
    try:
        safetensors.torch.save_file(tensors, partial, metadata)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16", "float64"))
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def main():
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(options.model, local_files_only=True)
        text = options.text.read_bytes().decode() if options.text else TEXT
    except (OSError, ValueError, KeyError) as error:
        refuse(f"{type(error).__name__}: {error}")
    stored = options.dtype or str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    config = config.get_text_config()  # of a model that sees pictures too
    positions = getattr(config, "max_position_embeddings", TOKENS)
    length = options.tokens or min(TOKENS, positions)
    if not 2 <= length <= positions:
        refuse(f"--tokens: expected 2 to the model's {positions} positions, found {length}")
    tensors, about = tokenized(options.tokenizer or options.model, text)
    tokens = rows_of(tensors.get("text_ids", torch.tensor([], dtype=torch.int64)), config.vocab_size, length)
    dtypes = [stored, "float32"] if stored in ("bfloat16", "float16") else ["float32"]
    steps = Steps(1 + len(dtypes) * (1 + len(tokens)))
    steps.next("hash of the weights")
    metadata = {
        "format": "bilens-reference",
        "format_version": "1",
        "model": str(options.model),
        "model_sha256": weights_of(options.model),
        "dtype": stored,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        **about,
    }
    for dtype in dtypes:
        steps.next(f"{dtype}, load")
        model = load(options.model, getattr(torch, dtype))
        metadata["model_class"] = type(model).__name__
        tensors.update(computed(model, tokens, dtype, steps))
        del model
        gc.collect()
    save(options.out, {"tokens": tokens, **tensors}, metadata)
    print(f"{steps.total}/{steps.total} written", flush=True)


if __name__ == "__main__":
    main()
