"""`bilens check` with transformers: small random models of several families, references, tokenizers. Needs what
scripts/setup.sh --bench installs; skipped without, an error with BILENS_REQUIRE_PEERS=1."""
# labels: slow

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy
from safetensors import safe_open
from safetensors.numpy import load_file

import family_shapes
from bilens_cli import DEVICE, ROOT, run
from family_shapes import LLAMA3
from peer_packages import require_transformers

SHAPE = {**family_shapes.SHAPE, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]
# Class in transformers, and the keys that the family has beside a plain Llama's.
MODELS = {
    "llama": ("Llama", {"tie_word_embeddings": True}),
    "llama 3": ("Llama", {"rope_parameters": LLAMA3}),
    "mistral": ("Mistral", {"sliding_window": 17}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 8, "use_sliding_window": True, "sliding_window": 4, "layer_types": WINDOWS}),
    "gemma2": ("Gemma2", {"head_dim": 10, "sliding_window": 5, "query_pre_attn_scalar": 24}),
    "phi3": ("Phi3", {}),
    "smollm3": ("SmolLM3", {"no_rope_layers": [1, 0, 1]}),
    "olmo2": ("Olmo2", {}),
    "olmo3": ("Olmo3", {"sliding_window": 5, "layer_types": WINDOWS}),
    "gemma": ("Gemma", {"head_dim": 10}),
    "gemma3": (
        "Gemma3Text",
        {"head_dim": 10, "sliding_window": 5, "query_pre_attn_scalar": 24, "layer_types": WINDOWS},
    ),
}
SCRIPT = ROOT / "scripts/make_reference.py"
PIECES = ["<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz0123456789", "Ġ", "Ġt", "he", "Ġthe", "12", "123"]


def byte_level(pattern):
    """A tokenizer.json whose words are split by this pattern."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(PIECES))
    vocabulary = {piece: i for i, piece in enumerate([*PIECES, *alphabet])}
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("1", "2"), ("12", "3")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


class CheckTransformers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require_transformers()
        import torch

        holder = tempfile.TemporaryDirectory(prefix="bilens-check-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder, cls.torch = pathlib.Path(holder.name), torch
        spec = importlib.util.spec_from_file_location("make_reference", SCRIPT)
        cls.script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.script)
        cls.llama = cls.make("llama", "llama", torch.float32)

    @classmethod
    def make(cls, kind, name, dtype, **options):
        import transformers

        family, keys = MODELS[kind]
        cls.torch.manual_seed(1)
        config = getattr(transformers, family + "Config")(**{**SHAPE, **keys})
        causal = family.removesuffix("Text") + "ForCausalLM"
        model = getattr(transformers, causal)._from_config(config, attn_implementation="eager")
        with cls.torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 1:
                    weight.add_(0.3 * cls.torch.randn_like(weight))
        model.to(dtype).save_pretrained(cls.folder / name, **options)
        return cls.folder / name

    def checked(self, model, *flags, code=0):
        done = run("check", model, "--device", DEVICE, "--json", *flags)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return json.loads(done.stdout)["results"][0]

    def reference(self, model, name, *flags):
        """By the script, in this process, where transformers is loaded already."""
        file = self.folder / name
        words = [str(word) for word in (SCRIPT, model, file, *flags)]
        with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(io.StringIO()):
            self.script.main()
        return file

    def beside(self, model, tokens):
        """`bilens check` beside a reference with this many tokens in a row."""
        file = self.reference(model, f"{model.name} {tokens}.safetensors", "--tokens", tokens)
        return self.checked(model, "--reference", file)

    def test_float32(self):
        import transformers

        found = self.checked(self.llama, "--python", sys.executable, "--context", 40)
        self.assertEqual(found["transformers"], transformers.__version__)
        self.assertEqual(found["model_class"], "LlamaForCausalLM")
        self.assertEqual((found["rows"], found["length"]), (2, 40))
        (only,) = found["dtypes"]
        self.assertEqual((only["dtype"], only["reference_dtype"]), ("float32", "float32"))
        names = [q["name"] for q in only["quantities"]]
        self.assertEqual(names, ["embedding", "layer 0", "layer 1", "layer 2", "logits", "loss"])
        self.assertEqual(only["quantities"][0]["difference"], 0)
        self.assertGreater(only["quantities"][3]["difference"], 0)

    def test_frequencies_are_those_of_transformers_to_the_bit(self):
        """One that is rounded otherwise turns by 6e-6 at position 95."""
        model = self.make("llama 3", "llama 3", self.torch.float32)
        (only,) = self.beside(model, 96)["dtypes"]
        self.assertLess(only["quantities"][1]["error"], 2e-6)

    def test_layers_with_activations_of_their_own(self):
        for kind, key in (("qwen3", "hidden_act"), ("gemma2", "hidden_activation"), ("phi3", "hidden_act")):
            with self.subTest(kind):
                model = self.make(kind, kind + " by layer", self.torch.float32)
                config = json.loads((model / "config.json").read_text())
                gated = config[key]
                config |= {key: "by_layer", "hidden_acts": ["linear", gated, "linear"]}
                (model / "config.json").write_text(json.dumps(config))
                found = self.beside(model, 40)  # its exit code says that it passed
                self.assertLess(max(q["error"] for q in found["dtypes"][0]["quantities"]), 1e-4)
                config["hidden_acts"] = [gated, "linear", "linear"]  # beside the same reference: another model
                (model / "config.json").write_text(json.dumps(config))
                reference = self.folder / f"{model.name} 40.safetensors"
                self.checked(model, "--reference", reference, code=1)

    def test_logits_of_every_family(self):
        for kind in MODELS:
            with self.subTest(kind):
                found = self.beside(self.make(kind, kind + " whole", self.torch.float32), 40)
                (only,) = found["dtypes"]
                errors = {q["name"]: q["error"] for q in only["quantities"]}
                self.assertLess(max(errors.values()), 1e-5, errors)

    def test_configs_as_they_were_published(self):
        """Keys from which transformers 5 derives layer_types, no_rope_layers and rope_parameters, and writes those."""
        derived = ("layer_types", "no_rope_layers", "rope_parameters")
        llama3 = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
        published = {
            "gemma3": {
                "sliding_window_pattern": 2,
                "rope_local_base_freq": 500.0,
                "rope_theta": 20000.0,
                "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            },
            "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, "rope_theta": 5000.0},
            "qwen3": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2},
            "smollm3": {"no_rope_layer_interval": 2, "rope_theta": 3000.0},
            "llama 3": {"rope_theta": 50000.0, "rope_scaling": llama3},
            "gemma2": {"rope_theta": 700.0},
        }
        for kind, keys in published.items():
            with self.subTest(kind):
                model = self.make(kind, kind + " published", self.torch.float32)
                config = json.loads((model / "config.json").read_text())
                config = {key: value for key, value in config.items() if key not in derived} | keys
                (model / "config.json").write_text(json.dumps(config))
                (only,) = self.beside(model, 40)["dtypes"]
                self.assertLess(max(q["error"] for q in only["quantities"]), 1e-5)

    def test_bfloat16_of_every_family(self):
        for kind in MODELS:
            with self.subTest(kind):
                model = self.make(kind, kind + " half", self.torch.bfloat16)
                half, whole = self.beside(model, 40)["dtypes"]
                self.assertEqual((half["dtype"], whole["dtype"]), ("bfloat16", "float32"))
                last = half["quantities"][3]
                self.assertGreater(last["error"], 1e-3)
                self.assertLess(last["error"], 2.5 * last["reference_error"])

    def test_a_model_that_sees_pictures(self):
        """Whether its head is the embedding, the outer config says, whatever the text's own says."""
        import transformers

        text = {**SHAPE, "head_dim": 10, "sliding_window": 5, "query_pre_attn_scalar": 24}
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        for tied in (True, False):
            config = transformers.Gemma3Config(
                text_config={**text, "tie_word_embeddings": not tied},
                vision_config={**vision, "image_size": 28, "patch_size": 14},
                mm_tokens_per_image=4,
                image_token_index=511,
                tie_word_embeddings=tied,
            )
            self.torch.manual_seed(1)
            model = self.folder / f"pictures {tied}"
            transformers.AutoModelForCausalLM.from_config(config).save_pretrained(model)
            self.assertEqual(any("lm_head" in name for name in load_file(model / "model.safetensors")), not tied)
            found = self.beside(model, 20)
            self.assertEqual(found["model_class"], "Gemma3ForConditionalGeneration")
            self.assertEqual(len(found["dtypes"][0]["quantities"]), 6)

    def test_float16_is_computed_in_float32(self):
        model = self.make("mistral", "float16", self.torch.float16)
        found = self.beside(model, 20)
        self.assertEqual(found["dtypes"][0]["reference_dtype"], "float16")
        self.assertEqual(found["dtypes"][0]["dtype"], "float32")
        self.assertTrue(any("bilens computes in float32" in note for note in found["notes"]))

    def test_what_a_reference_holds(self):
        import transformers

        file = self.reference(self.llama, "llama.safetensors", "--tokens", 30)
        made = load_file(file)
        model = transformers.AutoModelForCausalLM.from_pretrained(self.llama, dtype=self.torch.float64)
        tokens = self.torch.from_numpy(made["tokens"])
        with self.torch.no_grad():
            exact = model(tokens, labels=tokens, output_hidden_states=True)
        self.assertAlmostEqual(made["float32.losses"].astype(float).mean(), float(exact.loss), delta=1e-5)
        for stored, state in zip(made["float32.states"], exact.hidden_states, strict=True):
            numpy.testing.assert_allclose(stored, state.numpy(), atol=1e-4 * float(state.abs().max()))
        with safe_open(file, "numpy") as opened:
            self.assertEqual(opened.metadata()["dtype"], "float32")
        self.checked(self.llama, "--reference", file)

    def test_a_reference_of_other_weights_is_refused(self):
        from safetensors.numpy import save_file

        shards = self.make("qwen2", "shards", self.torch.float32, max_shard_size="30kB")
        self.assertGreater(len(list(shards.glob("*.safetensors"))), 2)
        file = self.reference(shards, "shards-reference.safetensors", "--tokens", 20)
        self.checked(shards, "--reference", file)
        shard = sorted(shards.glob("*.safetensors"))[-1]
        tensors = load_file(shard)
        first = next(iter(tensors))
        tensors[first].flat[0] += 0.5
        save_file(tensors, shard, {"format": "pt"})
        done = run("check", shards, "--reference", file)
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn("SHA-256", done.stderr)

    def test_a_fault_is_found_in_its_layer(self):
        """Windows that only the config of one side has."""
        model = self.make("qwen3", "windows", self.torch.float32)
        file = self.reference(model, "windows.safetensors", "--tokens", 20)
        self.checked(model, "--reference", file)
        config = json.loads((model / "config.json").read_text())
        kinds = config["layer_types"]
        self.assertEqual(kinds[2], "sliding_attention")
        (model / "config.json").write_text(json.dumps({**config, "layer_types": [*kinds[:2], "full_attention"]}))
        found = self.checked(model, "--reference", file, code=1)
        self.assertIn("layer 2 differs", found["failures"][0])

    def test_windows_that_are_not_reached(self):
        model = self.make("mistral", "wide", self.torch.float32)
        (note,) = [n for n in self.beside(model, 17)["notes"] if "Windows" in n]
        self.assertIn("--context 81", note)
        self.assertEqual([n for n in self.beside(model, 60)["notes"] if "Windows" in n], [])

    def test_models_that_transformers_makes_up_are_refused(self):
        from safetensors.numpy import save_file

        folder = self.folder / "partial"
        folder.mkdir()
        tensors = load_file(self.llama / "model.safetensors")
        del tensors["model.layers.1.mlp.up_proj.weight"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text((self.llama / "config.json").read_text())
        words = [sys.executable, SCRIPT, folder, self.folder / "partial.safetensors"]
        environment = {**os.environ, "PYTHONPATH": ""}  # it needs nothing of bilens
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("model.layers.1.mlp.up_proj.weight", done.stderr)
        self.assertFalse((self.folder / "partial.safetensors").exists())

    def tokenized(self, name, family, pattern, tokenizer_class):
        model = self.make(family, name, self.torch.float32)
        byte_level(pattern).save(str(model / "tokenizer.json"))
        (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
        return model

    def test_tokens_of_a_text(self):
        model = self.tokenized("tokenized", "llama", r"\s+|\S+", "PreTrainedTokenizerFast")
        text = self.folder / "text.txt"
        text.write_text("the cat 123 12 the\n")
        found = self.checked(model, "--python", sys.executable, "--context", 20, "--data", f"text:{text}")
        self.assertEqual(found["rows"], 4)
        tokenizer = found["tokenizer"]
        self.assertEqual(tokenizer["ids"], tokenizer["reference_ids"])
        self.assertIsNone(tokenizer["first_difference"])
        self.assertTrue(tokenizer["same_as_file"] and tokenizer["file_same_as_reference"] and tokenizer["within"])

    def test_tokens_that_differ_fail(self):
        from safetensors.numpy import save_file

        model = self.tokenized("other tokens", "llama", r"\s+|\S+", "PreTrainedTokenizerFast")
        file = self.reference(model, "tokens.safetensors", "--tokens", 20)
        with safe_open(file, "numpy") as opened:
            metadata = opened.metadata()
        made = load_file(file)
        self.checked(model, "--reference", file)
        for name in ("text_ids", "file_ids"):
            made[name][5] += 1
        save_file(made, file, metadata)
        found = self.checked(model, "--reference", file, code=1)
        self.assertEqual(found["tokenizer"]["first_difference"], 5)
        self.assertIn("from token 5 on", found["failures"][0])

    def test_a_class_that_replaces_parts_of_the_file_is_named(self):
        """Qwen2Tokenizer splits digits by themselves, whatever the file says."""
        model = self.tokenized("replaced", "qwen2", r"\s+|\S+", "Qwen2Tokenizer")
        found = self.beside(model, 20)
        tokenizer = found["tokenizer"]
        self.assertEqual(tokenizer["reference_class"], "Qwen2Tokenizer")
        self.assertFalse(tokenizer["file_same_as_reference"])
        self.assertTrue(tokenizer["same_as_file"] and tokenizer["within"])
        (note,) = [note for note in found["notes"] if "replaces parts" in note]
        self.assertIn("Qwen2Tokenizer", note)
        self.assertIn("takes those of the file", note)


if __name__ == "__main__":
    unittest.main()
