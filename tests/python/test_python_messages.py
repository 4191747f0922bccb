"""Messages of calls on what is in memory: they name the call's own arguments, and nothing of the command line."""

import pathlib
import re
import sys
import tempfile
import unittest

import torch
import transformers

from python_package import bilens, layer

NESTED = "weights|corpus|tokens|directions|data|cp|hosvd|train|stages"
FOREIGN = (
    r"--\w",  # flags
    rf"\b(?:{NESTED})(?:\[\d+\])?\.[a-z]",  # keys of a config
    r"\b\w+=[a-z]+\b(?!\()",  # values of a shell
    r"`bilens [a-z]",
    r"\bMODEL\b|\bby set\b",
    r"config\.json|bilens\.inspect",
    r"tokens-[0-9a-f]{8}",  # the file that ids are written to
    r"\btype\n|\n  ",
)
GATE, MATRICES = layer()
THREE = (GATE, MATRICES["up"], MATRICES["down"])
PLAIN = dict(zip("abc", THREE))
IDS = torch.randint(3, 61, (40, 20), generator=torch.Generator().manual_seed(0))
IDS[:, 0] = 1
OTHERS = torch.where(IDS > 1, IDS % 50 + 3, IDS)
BRIEF = dict(
    context=16,
    train={"steps": 4, "batch_size": 2},
    checkpoint={"every_steps": 2},
    stages=[{"kind": "calibrate", "tokens": 300}, "settle"],
)


def llama(act):
    torch.manual_seed(0)
    sizes = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, hidden_act=act))


def stack(prefix):
    parts = {"gate": GATE, "up": MATRICES["up"], "down": torch.ones(12, 20)}
    return {f"{prefix}.{i}.mlp.{part}_proj.weight": tensor for i in (0, 1) for part, tensor in parts.items()}


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.mlp = torch.nn.RMSNorm(12), bilens.nn.BilinearMLP(12, 20)


GATED, LINEAR = llama("silu"), llama("linear")
NORMED = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([Block(), Block()])})

# What is called, with which arguments, and words of its message.
CASES = (
    (
        "decompose",
        (NORMED,),
        dict(activation="none"),
        r'weights=\{"norm": .*\(and weights=\{"norm_gain": "1\+w"\} where',
    ),
    ("decompose", (PLAIN,), {}, r'weights=\{"gate": "[^"]*", "up": "[^"]*", "down": "[^"]*"\}; its state_dict\(\)'),
    ("decompose", (stack("a") | stack("b"),), dict(activation="none"), r'"\}, or weights=\{"gate": "b\.\{layer\}'),
    ("decompose", (stack("a"),), {}, 'activation="none" and where they are gated, activation="silu", "gelu"'),
    ("decompose", (stack("a.experts"),), {}, r'and weights\["up"\], weights\["down"\]'),
    ("decompose", (dict(gate_proj=GATE),), {}, "weights="),
    (
        "decompose",
        ({"gate_proj.weight": GATE, "up_proj.weight": GATE},),
        dict(activation="none"),
        r'"down": "identity"\}$',
    ),
    ("decompose", (GATED,), {}, 'surrogate="half" or surrogate="calibrated", on text'),
    ("decompose", THREE, dict(activation="tanh"), '^activation: expected one of "auto"'),
    (
        "decompose",
        (PLAIN,),
        dict(weights=dict(gate="a", up="b")),
        r'^weights\["down"\].*weights=\{"down": "identity"\}\.$',
    ),
    ("decompose", (PLAIN,), dict(weights=3), "a dictionary"),
    (
        "decompose",
        (PLAIN,),
        dict(weights=dict(gate="a", up="b", down="c", norm_gain="1+w")),
        r'^weights\["norm_gain"\]',
    ),
    (
        "decompose",
        (LINEAR,),
        dict(weights=dict(norm="n"), fold_norm=False),
        r'expected True with weights\["norm"\], found False',
    ),
    ("decompose", (GATED,), dict(surrogate="calibrated"), 'for example data="text:stories.txt.gz"'),
    ("decompose", (GATED,), dict(surrogate="calibrated", data=IDS), r'^data: .*lower corpus\["tokens"\]'),
    ("decompose", (GATED,), dict(surrogate="calibrated", data="text:/nowhere"), "Give token ids, or tokenizer="),
    ("decompose", THREE, dict(directions={"plus": [3]}), "weights without a config. Give the whole model"),
    ("decompose", (LINEAR,), dict(directions={"plus": [100]}), r'^directions\["plus"\]\[0\]'),
    ("decompose", (LINEAR,), dict(directions={"kind": "random", "count": 3}), r'^directions\["seed"\]'),
    ("decompose", (LINEAR,), dict(layers=[-1]), "or a list, .*found the list"),
    ("decompose", THREE, dict(device="cuda:99"), 'device="c'),
    ("decompose", THREE, dict(kk=3), "activation, surrogate"),
    ("cp", THREE, dict(rank=0), "^rank: expected"),
    ("hosvd", THREE, dict(energy=2), "^energy: expected"),
    ("mlps", (NORMED,), dict(activation="none", fold_norm=True), "not known. Leave norms out.*: fold_norm=False$"),
    ("compare", (), {}, "at least two models, found none"),
    ("compare", ("runs/a",), {}, "at least two models, found one"),
    ("evaluate", (), {}, "expected a model, found none"),
    ("convert", (GATED, IDS), dict(context=1000), "^context: expected 2 to"),
    ("convert", (GATED, IDS), dict(context=8, data={"context": 9}), "^context: expected one of context and data"),
    ("convert", (GATED, IDS), dict(data={"path": "x"}), r'^data\["path"\]: expected nothing beside tokens'),
    ("convert", (GATED, IDS), dict(stages=["foo"]), r'^stages\[0\]\["kind"\]'),
    ("convert", (GATED, IDS), dict(train={"steps": -1}), r'^train\["steps"\]'),
    ("convert", (GATED, IDS), dict(BRIEF, train={"sample": {"prompt": "x"}}), r'Give data=\{"tokenizer": \.\.\.\}'),
    ("explain", (LINEAR.state_dict(), [1, 2]), {}, "or a state dict with its config"),
    ("explain", (GATED, [1, 2]), {}, 'surrogate="half"'),
)


class Messages(unittest.TestCase):
    def check(self, words, call, *arguments, **keywords):
        with self.assertRaises(bilens.Error) as caught:
            call(*arguments, **keywords)
        error = caught.exception
        for text in (str(error), *(part for problem in error.problems for part in problem)):
            for foreign in FOREIGN:
                self.assertIsNone(re.search(foreign, text), f"{foreign} in {text}")
        self.assertRegex(str(error), words)

    def test_every_case(self):
        for name, arguments, keywords, words in CASES:
            with self.subTest(f"{name}: {words}"):
                self.check(words, getattr(bilens, name), *arguments, **keywords)

    def test_other_tokens_than_before(self):
        with tempfile.TemporaryDirectory(prefix="bilens-messages-") as folder:
            folder = pathlib.Path(folder)
            settings = dict(surrogate="calibrated", corpus={"tokens": 200}, out=folder / "decomposition")
            bilens.decompose(GATED, data=IDS, **settings)
            words = "^data: expected token ids of SHA-256 [0-9a-f]{8}…, as in .*, found token ids of SHA-256"
            self.check(words, bilens.decompose, GATED, data=OTHERS, resume=True, **settings)
            bilens.convert(GATED, IDS, out=folder / "run", **BRIEF)
            words = "^tokens: expected the data of the run.*Give the same tokens"
            self.check(words, bilens.convert, GATED, OTHERS, out=folder / "run", resume=True, **BRIEF)

    def test_how_flags_and_keys_are_told(self):
        in_python = sys.modules["bilens._words"].in_python
        for told, expected in {
            "Say --set weights.down=identity.": 'Say weights={"down": "identity"}.',
            "--set k=3 --set 'weights.up=a b' --set weights.gate=c": 'k=3, weights={"up": "a b", "gate": "c"}',
            "Name it: `bilens intervene x --set layer=4`.": "Name it: `bilens.intervene(..., layer=4)`.",
            "corpus.safetensors: data.path, in config.json": 'corpus.safetensors: data["path"], in config.json',
            "model.layers.0.train.weight": "model.layers.0.train.weight",
            "(see --dry-run)": "(see dry_run)",
            "hub/models--some--gate/x: found none": "hub/models--some--gate/x: found none",
            "a--data b: --gate silu": 'a--data b: activation="silu"',
        }.items():
            self.assertEqual(in_python(told), expected)


if __name__ == "__main__":
    unittest.main()
