"""bilens.convert: a gated model in memory becomes bilinear as by `bilens finetune` on the same model and ids."""

import json
import pathlib
import tempfile
import unittest

import numpy as np
import torch
import transformers

from bilens_cli import run
from python_package import bilens

BOS, VOCABULARY, CONTEXT = 1, 61, 16
SETTINGS = {
    "stages": [{"kind": "calibrate", "tokens": 600}, "settle"],
    "train": {"steps": 12, "batch_size": 2, "validate_every": 6},
    "checkpoint": {"every_steps": 4},
    "threads": 1,
}
COSTS = ("loss", "teacher_loss", "divergence", "agreement", "layer_r2")


def llama(act="silu", **more):
    torch.manual_seed(0)
    sizes = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, hidden_act=act, **more))


def documents(count=80, length=20):
    ids = np.random.default_rng(0).integers(3, VOCABULARY, (count, length))
    ids[:, 0] = BOS
    return ids


class Abandoned(Exception):
    """Raised by a callback."""


class Convert(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="bilens-convert-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        cls.model, cls.tokens = llama(), torch.from_numpy(documents())
        cls.before = {name: tensor.clone() for name, tensor in cls.model.state_dict().items()}
        cls.bilinear = cls.convert(out=cls.folder / "memory")

    @classmethod
    def convert(cls, model=None, tokens=None, **more):
        tokens = cls.tokens if tokens is None else tokens
        return bilens.convert(model or cls.model, tokens, context=CONTEXT, **{**SETTINGS, **more})

    def refused(self, kind, *words, **call):
        with self.assertRaises(kind) as caught:
            self.convert(**call)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_it_is_the_model_that_the_command_line_makes(self):
        self.model.save_pretrained(self.folder / "teacher")
        file = self.folder / "ids.bin"
        documents().ravel().astype("<u4").tofile(file)
        config = {
            **SETTINGS,
            "teacher": str(self.folder / "teacher"),
            "data": {
                "dataset": "tokens",
                "path": str(file),
                "dtype": "uint32",
                "document_token": BOS,
                "context": CONTEXT,
            },
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        done = run("finetune", self.folder / "config.json", "--out", self.folder / "files")
        self.assertEqual(done.returncode, 0, done.stderr)
        weights = [(self.folder / name / "model/model.safetensors").read_bytes() for name in ("files", "memory")]
        self.assertEqual(*weights)
        account = json.loads((self.folder / "files/finetune.json").read_text())
        for part in ("validation", "test"):
            for cost in COSTS:
                self.assertEqual(self.bilinear.conversion[part][cost], account[part][cost])

    def test_the_module_is_bilinear_and_of_the_class_and_dtype_that_were_given(self):
        self.assertIs(type(self.bilinear), type(self.model))
        self.assertEqual(self.bilinear.config.hidden_act, "linear")
        self.assertEqual(self.bilinear.dtype, torch.float32)
        self.assertFalse(self.bilinear.training)
        mlp, x = bilens.mlps(self.bilinear)[0], torch.randn(5, 16)
        self.assertEqual(mlp.activation, "none")
        module = self.bilinear.model.layers[0].mlp
        product = module.down_proj(module.gate_proj(x) * module.up_proj(x))
        self.assertTrue(torch.allclose(module(x), product, atol=1e-6))  # rounding of two orders of summing
        found = bilens.decompose(self.bilinear, layers=[1], k=2)
        self.assertEqual(found.layers[1].eigenvalues.shape[1], 2)

    def test_one_of_two_layers_becomes_bilinear(self):
        stages = [{"kind": "calibrate", "tokens": 600, "layers": [1]}]
        partial = self.convert(stages=stages, train={}, out=self.folder / "partial")
        acts = ("by_layer", ["silu", "linear"])
        self.assertEqual((partial.config.hidden_act, partial.config.hidden_acts), acts)
        self.assertEqual([mlp.activation for mlp in bilens.mlps(partial)], ["silu", "none"])
        windows = self.tokens.reshape(-1)[-80:].reshape(-1, CONTEXT)
        with torch.no_grad():
            logits = partial(windows).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].double().flatten(0, 1), windows[:, 1:].flatten())
        self.assertAlmostEqual(float(loss), partial.conversion["test"]["loss"], delta=1e-5)

        self.assertEqual(list(bilens.decompose(partial, k=2).layers), [1])
        halves = bilens.decompose(partial, surrogate="half", k=2)
        for layer in (0, 1):  # a gated and a bilinear one, both of the model's own weights
            with (
                torch.no_grad(),
                bilens.ablate(partial, halves, layer=layer, direction=0, eigenvectors=[0], how="zero"),
            ):
                self.assertFalse(torch.equal(partial(windows).logits, logits))
        whole = self.convert(partial, stages=["calibrate"], train={})
        self.assertEqual(whole.config.hidden_act, "linear")
        self.assertEqual([mlp.activation for mlp in bilens.mlps(whole)], ["none", "none"])

        partial.save_pretrained(self.folder / "saved")
        again = bilens.load_transformers(self.folder / "saved")
        with torch.no_grad():
            self.assertTrue(torch.equal(again(windows).logits, logits))
        with self.assertRaises(KeyError):  # never as another model
            transformers.AutoModelForCausalLM.from_pretrained(self.folder / "saved")
        partial.model.layers[0].mlp.act_fn = torch.nn.GELU()
        with self.assertRaises(bilens.InputError) as caught:
            bilens.decompose(partial, k=2)
        self.assertIn('the activation "silu" of its config', str(caught.exception))

    def test_its_losses_are_those_of_the_module_that_is_returned(self):
        windows = self.tokens.reshape(-1)[-80:].reshape(-1, CONTEXT)  # the last 5%
        with torch.no_grad():
            logits = self.bilinear(windows).logits[:, :-1].double()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        # Float32 on both sides.
        self.assertAlmostEqual(float(loss), self.bilinear.conversion["test"]["loss"], delta=1e-5)

    def test_the_model_that_was_given_stays_as_it_is(self):
        self.assertTrue(self.model.training)
        for name, tensor in self.model.state_dict().items():
            self.assertTrue(torch.equal(tensor, self.before[name]), name)
            self.assertIsNone(dict(self.model.named_parameters())[name].grad)

    def test_without_a_folder_nothing_is_left(self):
        place = tempfile.gettempdir()
        before = set(pathlib.Path(place).glob("bilens-*"))
        found = self.convert(stages=["calibrate"], train={})
        self.assertEqual(set(pathlib.Path(place).glob("bilens-*")) - before, set())
        self.assertTrue(found(self.tokens[:1]).logits.isfinite().all())

    def test_what_a_callback_raises_stops_it_and_a_resumed_one_is_the_same(self):
        def stop(line):
            if line["step"] == 8:
                raise Abandoned

        out = self.folder / "stopped"
        with self.assertRaises(Abandoned):
            self.convert(out=out, callback=stop)
        resumed = self.convert(out=out, resume=True)
        for name, tensor in resumed.state_dict().items():
            self.assertTrue(torch.equal(tensor, self.bilinear.state_dict()[name]), name)

    def test_a_resumed_one_must_be_of_the_same_model_and_tokens(self):
        def stop(line):
            raise Abandoned

        out = self.folder / "other"
        with self.assertRaises(Abandoned):
            self.convert(out=out, callback=stop)
        self.refused(bilens.InputError, "sha256", out=out, resume=True, tokens=self.tokens[:-1])
        other = llama()
        with torch.no_grad():
            other.lm_head.weight[0] += 1
        self.refused(bilens.Error, "sha256", out=out, resume=True, model=other)

    def test_bfloat16_stays_bfloat16(self):
        model = transformers.LlamaForCausalLM._from_config(llama().config, dtype=torch.bfloat16)
        found = self.convert(model, stages=["calibrate"], train={})
        self.assertEqual(found.dtype, torch.bfloat16)

    def test_what_is_no_gated_language_model_is_refused(self):
        self.refused(bilens.UsageError, "linear", "bilinear", model=llama("linear"))
        self.refused(bilens.UsageError, "anneal", model=llama("gelu"), stages=["anneal"])
        self.refused(bilens.InputError, "transformers", "Linear", model=torch.nn.Linear(3, 3))
        self.refused(bilens.InputError, "transformers", "str", model="path")
        with torch.device("meta"):
            bare = llama()
        self.refused(bilens.InputError, "meta", model=bare)

    def test_a_model_that_is_not_its_weights_and_config_is_refused(self):
        changed = llama()
        changed.model.layers[0].mlp.act_fn = torch.nn.ReLU()
        self.refused(bilens.InputError, "silu", "relu", model=changed)
        with self.assertRaises(bilens.InputError):
            bilens.decompose(changed, surrogate="half", k=1)
        hooked = llama()
        hooked.model.layers[0].self_attn.register_forward_hook(lambda module, x, y: y)
        self.refused(bilens.InputError, "hooks", model=hooked)
        scaled = llama()
        scaled.model.norm.variance_epsilon = 0.5
        self.refused(bilens.InputError, "logits", model=scaled)
        with self.assertRaises(bilens.InputError):
            bilens.decompose(hooked, data=self.tokens, surrogate="calibrated", k=1)

    def test_settings_that_do_not_fit_are_refused(self):
        self.refused(bilens.UsageError, "callback", callback=3, out=self.folder / "never")
        self.assertFalse((self.folder / "never").exists())
        self.refused(bilens.UsageError, "data", data="text:x")
        self.refused(bilens.InputError, "tokens", "meta", tokens=torch.zeros(50, dtype=torch.long, device="meta"))
        self.refused(bilens.InputError, str(VOCABULARY), tokens=torch.tensor([1, 2, VOCABULARY]))
        self.refused(bilens.InputError, "whole numbers", tokens=torch.rand(50))
        self.refused(bilens.UsageError, "out", resume=True)
        self.refused(bilens.UsageError, "teacher", teacher="path")
        self.refused(bilens.UsageError, 'data["path"]', data={"path": "x"})
        self.refused(bilens.UsageError, "stages", stages=["melt"])
        self.refused(bilens.UsageError, "training sequences", tokens=self.tokens[:1])


if __name__ == "__main__":
    unittest.main()
