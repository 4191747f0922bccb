"""bilens.explain against transformers in float64, against hooks, and against the files of the command line."""

import contextlib
import copy
import json
import pathlib
import pickle
import sys
import tempfile
import types
import unittest
from unittest import mock

import numpy as np
import torch

from bilens_cli import TestCase, run, test_data
from language_models import write_llama
from lit_models import CONFIG, lit_weights, yaml_of
from llamas import LlamaForCausalLM, Words, llama
from notebook import checked
from pages import HOSTILE
from python_package import bilens
from texts import TextCase

IDS = [3, 17, 4, 41, 8]
NEAR = 2e-5  # of logits of a few nats, which the library computes in float32


@contextlib.contextmanager
def recorded(model):
    """Inputs and outputs of the MLPs and what attentions add, at the last token, by layer."""
    seen = {"x": [], "y": [], "attention": [], "end": []}

    def record(key, module, of):
        def hook(module, x, y):
            seen[key].append(of(x, y))

        return module.register_forward_hook(hook)

    hooks = [record("end", model.model.norm, lambda x, y: x[0][0, -1])]
    for block in model.model.layers:
        hooks.append(record("attention", block.self_attn, lambda x, y: y[0][0, -1]))
        hooks.append(record("x", block.mlp, lambda x, y: x[0][0, -1]))
        hooks.append(record("y", block.mlp, lambda x, y: y[0, -1]))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def by_torch(model, ids, logit, minus):
    """In float64: the logit difference, what is recorded, and the direction w that the stream is read along."""
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad(), recorded(exact) as seen:
        logits = exact(torch.tensor([ids])).logits[0, -1]
    head = exact.lm_head.weight.detach()
    d = head[logit] - (head.mean(0) if minus is None else head[minus])
    rms = (seen["end"][0].square().mean() + exact.config.rms_norm_eps).sqrt()
    w = d * exact.model.norm.weight.detach() / rms
    difference = logits[logit] - (logits.mean() if minus is None else logits[minus])
    return difference.item(), seen, w, exact


def form(mlp, w, gain, half):
    """Q of w·mlp in float64, over the input before the norm's gain."""
    gate, up = mlp.gate_proj.weight.detach() * gain, mlp.up_proj.weight.detach() * gain
    q = gate.T @ torch.diag(w @ mlp.down_proj.weight.detach()) @ up * (0.5 if half else 1)
    return (q + q.T) / 2


class AgainstTorch(unittest.TestCase):
    def check(self, model, ids, logit, minus, **arguments):
        found = bilens.explain(model, ids, logit, minus, **arguments)
        expected, seen, w, exact = by_torch(model, torch.as_tensor(ids).flatten().tolist(), logit, minus)
        self.assertAlmostEqual(found.sum, expected, delta=NEAR)
        self.assertAlmostEqual(found.logit, expected, delta=NEAR)
        embedded = exact.model.embed_tokens.weight[torch.as_tensor(ids).flatten()[-1]]
        self.assertAlmostEqual(found.embedding, (embedded @ w).item(), delta=NEAR)
        half = model.config.hidden_act != "linear"
        terms = found.terms
        np.testing.assert_allclose(
            terms["contribution"], terms["eigenvalue"] * terms["projection"] ** 2, rtol=1e-15, atol=0
        )
        for row, block in zip(found.layers, exact.model.layers, strict=True):
            layer = row["layer"]
            gain = block.post_attention_layernorm.weight.detach()
            q, x = form(block.mlp, w, gain, half), seen["x"][layer] / gain
            of_layer = terms[terms["layer"] == layer]
            values = np.linalg.eigvalsh(q.numpy())
            np.testing.assert_allclose(np.sort(of_layer["eigenvalue"]), values, rtol=0, atol=NEAR)
            np.testing.assert_array_equal(np.sort(of_layer["index"]), np.arange(len(values)))
            self.assertAlmostEqual(row["eigenvectors"], of_layer["contribution"].sum(), delta=1e-12)
            quadratic = (x @ q @ x).item()
            self.assertAlmostEqual(row["eigenvectors"], quadratic, delta=NEAR)
            self.assertAlmostEqual(row["attention"], (seen["attention"][layer] @ w).item(), delta=NEAR)
            rest = (seen["y"][layer] @ w).item() - quadratic
            self.assertAlmostEqual(row["linear"] + row["remainder"], rest, delta=NEAR)
            self.assertEqual(row["linear"] != 0, model.config.mlp_bias)
            self.assertEqual(row["remainder"] != 0, half)
        self.assertEqual(found.vectors.shape, (min(20, len(terms)), model.config.hidden_size))
        for row, v in zip(terms, found.vectors):
            block = exact.model.layers[row["layer"]]
            gain = block.post_attention_layernorm.weight.detach()
            x = seen["x"][row["layer"]] / gain
            self.assertAlmostEqual(abs((v @ x).item()), abs(row["projection"]), delta=NEAR)
            missing = form(block.mlp, w, gain, half) @ v - row["eigenvalue"] * v
            self.assertLess(missing.norm().item(), NEAR)
        sizes = np.abs(terms["contribution"])
        self.assertTrue((sizes[:-1] >= sizes[1:]).all())
        return found

    def test_bilinear(self):
        self.check(llama(), IDS, 7, 12)

    def test_biases(self):
        self.check(llama(mlp_bias=True, attention_bias=True), IDS, 7, 12)

    def test_tied_embeddings(self):
        self.check(llama(tie_word_embeddings=True), IDS, 7, 12)

    def test_gated_with_a_remainder(self):
        found = self.check(llama("silu"), IDS, 7, 12, surrogate="half")
        self.assertEqual(found.info["surrogate"]["kind"], "half")
        self.assertIn("surrogate", repr(found))
        with self.assertRaises(bilens.InputError) as caught:
            bilens.explain(llama("silu"), IDS, 7, 12)
        self.assertIn('`surrogate="half"`', caught.exception.fix)
        self.assertIn("`bilens.finetune`", caught.exception.fix)
        self.assertNotIn("--", str(caught.exception))

    def test_the_mean_of_all_logits(self):
        found = self.check(llama(), IDS, 7, None)
        self.assertIsNone(found.minus)
        self.assertIn("minus the mean", repr(found))

    def test_the_likeliest_token(self):
        model = llama()
        with torch.no_grad():
            likeliest = int(model(torch.tensor([IDS])).logits[0, -1].argmax())
        found = bilens.explain(model, IDS)
        self.assertEqual(found.token, f"#{likeliest}")
        self.assertEqual(found.sum, bilens.explain(model, IDS, likeliest).sum)
        with self.assertRaisesRegex(bilens.UsageError, "minus: expected another token than the likeliest"):
            bilens.explain(model, IDS, minus=likeliest)

    def test_ids_of_any_kind(self):
        model = llama()
        plain = self.check(model, IDS, 7, 12)
        kinds = [tuple(IDS), np.array(IDS, np.uint8), torch.tensor(IDS, dtype=torch.int32), torch.tensor([IDS]), [IDS]]
        for ids in kinds:
            with self.subTest(type(ids).__name__):
                np.testing.assert_array_equal(bilens.explain(model, ids, np.int64(7), 12).terms, plain.terms)

    def test_stories(self):
        data = test_data("stories260K") / "stories260K"
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model"
            vocabulary = data / "tok512.model"
            done = run("convert", data / "stories260K.bin", path, "--tokenizer", vocabulary)
            self.assertEqual(done.returncode, 0, done.stderr)
            model = LlamaForCausalLM.from_pretrained(path)
            found = bilens.explain(
                model, "Lily was happy because", "she", "he", tokenizer=vocabulary, surrogate="half", threads=2
            )
            by_path = bilens.explain(path, "Lily was happy because", "she", "he", surrogate="half", threads=2)
        self.assertEqual((found.token, found.minus), ("▁she", "▁he"))
        self.assertEqual(found.tokens[:2], ["<s>", "▁Lily"])
        np.testing.assert_array_equal(found.terms, by_path.terms)
        ids = by_name(vocabulary, found.tokens)
        self.check(model, ids, *by_name(vocabulary, ["▁she", "▁he"]), surrogate="half")


def by_name(vocabulary, names):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary))
    return [processor.piece_to_id(name) for name in names]


class AsTheCommandLine(TextCase):
    """The same numbers, bit for bit at the same number of threads."""

    story_count, vocabulary_size = 300, 300

    def test_module_state_dict_path_and_files(self):
        for act, surrogate in (("linear", None), ("silu", "half")):
            path = self.folder / act
            write_llama(path, act=act, bias=True)
            (path / "tokenizer.model").write_bytes((self.tokenizer / "tokenizer.model").read_bytes())
            flags = ("--surrogate", surrogate) if surrogate else ()
            done = run(
                *("explain", path, "--prompt", "the cat sat", "--logit", 40, "--minus", 17, "--threads", 2, "--json"),
                *flags,
            )
            self.check(done, 0)
            expected = self.document(done)["results"][0]
            out = self.folder / f"{act}-out"
            arguments = {"surrogate": surrogate, "threads": 2}
            by_path = bilens.explain(path, "the cat sat", 40, 17, out=out, **arguments)
            self.assertEqual(by_path.info, expected)
            self.assertEqual(by_path.page, out / "explanation.html")
            written = json.loads((out / "explanation.json").read_text())
            self.assertEqual({key: written[key] for key in by_path.info}, by_path.info)
            model = LlamaForCausalLM.from_pretrained(path)
            sources = {
                "module": (model, {}),
                "state dict": (model.state_dict(), {"config": model.config}),
                "config.json": (model.state_dict(), {"config": json.loads((path / "config.json").read_text())}),
            }
            for name, (source, more) in sources.items():
                with self.subTest(act=act, source=name):
                    found = bilens.explain(
                        *(source, "the cat sat", 40, 17), tokenizer=path / "tokenizer.model", **more, **arguments
                    )
                    self.assertEqual({**found.info, "model": ""}, {**expected, "model": ""})
                    np.testing.assert_array_equal(found.terms, by_path.terms)
                    self.assertTrue(torch.equal(found.vectors, by_path.vectors))
            self.assertEqual(len(by_path.terms), 3 * 16)
            self.assertAlmostEqual(by_path.terms["contribution"][20:].sum(), expected["other_terms"], delta=1e-9)


class Tokenizers(unittest.TestCase):
    def test_texts_and_words(self):
        model, words = llama(), Words()
        found = bilens.explain(model, "cab", " she", " he", tokenizer=words)
        by_ids = bilens.explain(model, [0, 3, 1, 2], 9, 10)
        np.testing.assert_array_equal(found.terms, by_ids.terms)
        self.assertEqual(found.tokens, ["<s>", "c", "a", "b"])
        self.assertEqual((found.token, found.minus), ("Ġshe", "Ġhe"))
        self.assertEqual(found.info["prompt"], "cab")
        self.assertEqual((by_ids.tokens, by_ids.token), (["#0", "#3", "#1", "#2"], "#9"))
        self.assertTrue({name for sides in found.nearest for side in sides for name in side} <= set(words.pieces))
        short = bilens.explain(model, [0, 3, 1, 2], 9, 49, tokenizer=Words(40))
        self.assertEqual(short.minus, "#49")

    def test_a_word_that_the_tokenizer_does_not_know(self):
        class WithUnknown(Words):
            unk_token, unk_token_id = "w11", 11

            def encode(self, text, add_special_tokens=True):
                return [0] * add_special_tokens + [self.pieces.index(text) if text in self.pieces else 11]

        words = WithUnknown()
        self.assertEqual(bilens.explain(llama(), IDS, "w11", tokenizer=words).token, "w11")
        with self.assertRaisesRegex(bilens.UsageError, "logit: expected one token, found 'zebra'"):
            bilens.explain(llama(), IDS, "zebra", tokenizer=words)

    def test_wrong_ones(self):
        model, words = llama(), Words()
        for arguments, kind, message in (
            (dict(prompt="cab", logit=3), bilens.UsageError, "prompt: expected ids .*tokenizer="),
            (dict(prompt=IDS, logit=" she"), bilens.UsageError, "logit: expected ids .*tokenizer="),
            (dict(prompt=IDS, logit="ab", tokenizer=words), bilens.UsageError, "logit: expected one token.*'a', 'b'"),
            (dict(prompt=IDS, logit=3, minus="", tokenizer=words), bilens.UsageError, "minus: expected one token"),
            (dict(prompt=IDS, logit=3, tokenizer=Words(60)), bilens.InputError, "at most the 50 .*another model's"),
            (dict(prompt=IDS, logit=3, tokenizer=7), bilens.UsageError, "tokenizer"),
            (dict(prompt="cab", logit=3, tokenizer="/nowhere.model"), bilens.InputError, "nowhere.model"),
        ):
            with self.subTest(arguments), self.assertRaisesRegex(kind, message):
                bilens.explain(model, **arguments)


class WrongInput(unittest.TestCase):
    def refuses(self, message, *arguments, kind=bilens.UsageError, **options):
        with self.assertRaisesRegex(kind, message) as caught:
            bilens.explain(*arguments, **options)
        self.assertNotRegex(str(caught.exception), r"--\w")

    def test_prompts(self):
        model = llama()
        self.refuses("prompt: expected at least one token, found none", model, [], 7)
        self.refuses("prompt: expected at least one token", model, torch.zeros(0, dtype=torch.long), 7)
        self.refuses("prompt: expected tokens from 0 to 49, found 50", model, [3, 50], 7)
        self.refuses("prompt: expected tokens from 0 to 49, found -1", model, [3, -1], 7)
        self.refuses("at most 32 tokens, found 33", model, [1] * 33, 7)
        self.refuses("prompt: .*dtype float32", model, torch.ones(3), 7)
        self.refuses("prompt: .*dtype bool", model, [True, False], 7)
        self.refuses(r"prompt: .*shape \[2, 3\]. Give one prompt", model, torch.ones(2, 3, dtype=torch.long), 7)
        self.refuses("prompt: .*inhomogeneous", model, [[1, 2], [3]], 7)
        self.refuses("prompt: .*int", model, 3, 7)
        self.refuses("Give its input_ids", model, types.SimpleNamespace(input_ids=IDS), 7)

    def test_tokens(self):
        model = llama()
        self.refuses("minus: expected another token than logit", model, IDS, 7, 7)
        self.refuses("logit: expected a token of .* from 0 to 49, found 50", model, IDS, 50)
        self.refuses("minus: expected a token of .* from 0 to 49, found -1", model, IDS, 7, -1)
        self.refuses("logit: expected a token's id", model, IDS, 7.0)
        self.refuses("logit: expected a token's id", model, IDS, True)
        self.refuses("logit: expected a token's id", model, IDS, 2**70)
        self.refuses("prompt: expected token ids", model, [2**63, 1], 7)

    def test_settings(self):
        model = llama()
        self.refuses("surrogate: expected one of", model, IDS, 7, surrogate="third")
        self.refuses("`bilens.decompose` has a text", model, IDS, 7, surrogate="calibrated")
        self.refuses("config: expected none", model, IDS, 7, config=model.config)
        for threads in (10**6, -1, 2**40, "2", 1.5):
            self.refuses("threads: expected a number from 0 to 4096", model, IDS, 7, threads=threads)
        self.refuses("surrogate: expected one of", model, IDS, 7, surrogate=["half"])
        same = bilens.explain(model, IDS, 7, device=torch.device("cpu")).sum
        self.assertEqual(same, bilens.explain(model, IDS, 7).sum)
        self.refuses("config: expected a dictionary", model.state_dict(), IDS, 7, config=3)
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "mine.txt").write_text("")
            self.refuses("Name another folder with out", model, IDS, 7, out=folder)

    def test_models(self):
        bad = lambda message, model, **more: self.refuses(message, model, IDS, 7, kind=bilens.InputError, **more)
        bad("without a config", llama().state_dict())
        bad("without a config", bilens.nn.BilinearMLP(4, 8))
        bad("model_type", llama().state_dict(), config={"model_type": "bilens-image-classifier"})
        bad("model_type.*mamba", llama().state_dict(), config={"model_type": "mamba"})
        bad("head|embed_tokens", llama().model)
        bad("meta device", llama().to("meta"))
        broken = llama()
        with torch.no_grad():
            broken.model.layers[1].self_attn.q_proj.weight[0, 0] = torch.nan
        bad("q_proj", broken)

    def test_activations_that_are_not_the_configs(self):
        model = llama("silu")
        for block in model.model.layers:
            block.mlp.act_fn = torch.nn.Identity()
        options = {"kind": bilens.InputError, "surrogate": "half"}
        self.refuses('layers.0.mlp: expected the activation "silu" .*found "none"', model, IDS, 7, **options)
        found = bilens.explain(
            model.state_dict(), IDS, 7, 12, config={**model.config.to_dict(), "hidden_act": "linear"}
        )
        self.assertAlmostEqual(found.sum, by_torch(model, IDS, 7, 12)[0], delta=NEAR)
        for act in ("swish", "gelu", "gelu_pytorch_tanh", "relu"):
            with self.subTest(act):
                gated = llama(act)
                found = bilens.explain(gated, IDS, 7, 12, surrogate="half")
                self.assertAlmostEqual(found.sum, by_torch(gated, IDS, 7, 12)[0], delta=NEAR)

        self.refuses('activation "quick_gelu" of its config, found one that', llama("quick_gelu"), IDS, 7, **options)
        model = llama()
        model.model.layers[1].mlp.act_fn = torch.nn.Tanh()
        self.refuses("layers.1.mlp: .*one that is not known", model, IDS, 7, kind=bilens.InputError)

    def test_what_stands_neither_in_weights_nor_in_config(self):
        def scaled(model):
            model.model.layers[0].self_attn.scaling = 1.0

        def faster(model):
            model.model.rotary_emb.inv_freq *= 2

        def larger(model):
            model.model.norm.variance_epsilon = 0.5

        def edited(model):
            model.config.rope_parameters["rope_theta"] = 3.0

        class Doubled(LlamaForCausalLM):
            def forward(self, *arguments, **options):
                found = super().forward(*arguments, **options)
                found.logits = found.logits * 2
                return found

        def of_another_class(model):
            model.__class__ = Doubled

        for change in (scaled, faster, larger, edited, of_another_class):
            with self.subTest(change.__name__):
                model = llama()
                change(model)
                self.refuses("expected the logits of its weights", model, IDS, 7, kind=bilens.InputError)

    def test_hooks(self):
        model = llama()
        handle = model.model.layers[0].register_forward_hook(lambda module, x, y: y)
        self.refuses("model.layers.0: expected modules without hooks", model, IDS, 7, kind=bilens.InputError)
        handle.remove()
        d = bilens.decompose(model, layers=[1], k=1)
        with bilens.ablate(model, d, direction=2):
            self.refuses("without hooks", model, IDS, 7, kind=bilens.InputError)
            model(torch.tensor([IDS]))
        model.model.layers[0].forward = lambda h, **rest: h
        self.refuses("a forward of its own", model, IDS, 7, kind=bilens.InputError)
        del model.model.layers[0].forward
        plain = bilens.explain(model, IDS, 7).sum
        model(torch.tensor([IDS]), output_hidden_states=True)
        self.assertEqual(bilens.explain(model, IDS, 7).sum, plain)


class Modes(unittest.TestCase):
    def test_the_model_stays_as_it_is(self):
        model = llama(attention_dropout=0.5)
        plain = bilens.explain(model, IDS, 7, 12).terms
        before = copy.deepcopy(model.state_dict())
        model.train()
        modes = [torch.enable_grad(), torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)]
        for mode in modes:
            with self.subTest(type(mode).__name__), mode:
                state = torch.get_rng_state()
                np.testing.assert_array_equal(bilens.explain(model, IDS, 7, 12).terms, plain)
                self.assertTrue(torch.equal(torch.get_rng_state(), state))
        self.assertTrue(all(module.training for module in model.modules()))
        for name, tensor in model.state_dict().items():
            self.assertTrue(torch.equal(tensor, before[name]), name)
        self.assertTrue(all(p.requires_grad and p.grad is None for p in model.parameters()))
        with torch.inference_mode():
            made_there = copy.deepcopy(model)
        np.testing.assert_array_equal(bilens.explain(made_there, IDS, 7, 12).terms, plain)

    def test_bfloat16_and_float64(self):
        rounded = llama()
        with torch.no_grad():
            for parameter in rounded.parameters():
                parameter.copy_(parameter.bfloat16())
        expected = by_torch(rounded, IDS, 7, 12)[0]
        with tempfile.TemporaryDirectory() as folder:
            rounded.save_pretrained(folder)
            loaded = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        self.assertEqual(loaded.lm_head.weight.dtype, torch.bfloat16)
        self.assertAlmostEqual(bilens.explain(loaded, IDS, 7, 12).sum, expected, delta=NEAR)
        rounded.to(torch.bfloat16)  # rounds the angles of the rotary embedding too
        with self.assertRaisesRegex(bilens.InputError, "inv_freq: expected float32 or float64, found bfloat16"):
            bilens.explain(rounded, IDS, 7, 12)
        found = bilens.explain(rounded.state_dict(), IDS, 7, 12, config=rounded.config)
        self.assertAlmostEqual(found.sum, expected, delta=NEAR)
        exact = llama().double()
        found = bilens.explain(exact, IDS, 7, 12)
        self.assertAlmostEqual(found.sum, by_torch(exact, IDS, 7, 12)[0], delta=NEAR)

    def test_compiled(self):
        model = llama()
        found = bilens.explain(torch.compile(model), IDS, 7, 12)
        np.testing.assert_array_equal(found.terms, bilens.explain(model, IDS, 7, 12).terms)


class Shown(unittest.TestCase):
    def test_text(self):
        found = bilens.explain(llama(), IDS, 7, 12)
        text = repr(found)
        self.assertIn(f"logit of #7 minus #12: {found.logit:.4f}, sum {found.sum:.4f}", text)
        self.assertIn(f"embedding {found.embedding:+.4f}", text)
        for row in found.layers:
            line = next(line for line in text.splitlines() if line.startswith(f"  {row['layer']:5} "))
            parts = [row[key] for key in ("attention", "eigenvectors", "linear", "remainder")]
            self.assertEqual(line.split()[1:], [f"{part:+.4f}" for part in parts])
        first = found.terms[0]
        self.assertIn(f"{first['layer']}/{first['index']} {first['contribution']:+9.4f}", text)

    def test_in_a_notebook(self):
        found = bilens.explain(llama("silu"), IDS, 7, 12, surrogate="half")
        parsed = checked(self, found)
        said = parsed.said()
        self.assertIn(f"logit  {found.logit:.4f}", said)
        self.assertIn("half", said)
        self.assertIn("remainder", said)
        self.assertNotIn("linear", said)
        self.assertEqual(len(parsed.of("tr")), 1 + 2 + 1 + 12)
        self.assertIn("and 20 more eigenvectors", said)
        self.assertEqual(said.count("#"), 2 + len(IDS) + 12 * 8)

    def test_bars(self):
        found = bilens.explain(llama(), IDS, 7, 12)
        widths = [path["d"] for path in checked(self, found).of("path") if path["d"].startswith("M45 5h")]
        largest = np.abs(found.terms["contribution"][0])
        for width, row in zip(widths[2:], found.terms[:12], strict=True):
            drawn = float(width.removeprefix("M45 5h"))
            self.assertAlmostEqual(drawn, 44 * row["contribution"] / largest, delta=0.1)

    def test_names_and_size(self):
        model, words = llama(vocabulary=400, width=32, layers=20), Words(400)
        words.pieces = ['"&' * 60 + str(number) for number in range(399)] + [HOSTILE]
        found = bilens.explain(model, [399] * 32, 399, 3, tokenizer=words)
        found.tokens = found.tokens * 3
        parsed = checked(self, found)
        self.assertIn(HOSTILE[:8], parsed.said())
        self.assertIn("and 48 tokens before", parsed.said())

    def test_tables(self):
        found = bilens.explain(llama(), IDS, 7, 12)
        made = types.SimpleNamespace(DataFrame=dict)
        with mock.patch.dict(sys.modules, pandas=made):
            table = found.table()
        self.assertEqual(list(table), ["layer", "index", "eigenvalue", "projection", "contribution"])
        np.testing.assert_array_equal(table["contribution"], found.terms["contribution"])
        with mock.patch.dict(sys.modules, pandas=None), self.assertRaisesRegex(ImportError, "pip install pandas"):
            found.table()

    def test_pickled(self):
        found = bilens.explain(llama(), IDS, 7, 12)
        again = pickle.loads(pickle.dumps(found))
        self.assertEqual(repr(again), repr(found))
        np.testing.assert_array_equal(again.terms, found.terms)


class FormatsOfOtherPrograms(TestCase):
    def same_as_converted(self, model):
        """Terms and parts of a model as it is are those of what `bilens convert` makes of it, but for rounding of
        products whose matrices lie otherwise in memory."""
        out = self.folder / f"converted-{model.stem}"
        self.check(run("convert", model, out), 0)
        theirs, ours = (bilens.explain(path, [3, 17, 4, 39, 8], 5, 7, surrogate="half") for path in (model, out))
        self.assertEqual(
            sorted(theirs.terms[["layer", "index"]].tolist()), sorted(ours.terms[["layer", "index"]].tolist())
        )
        np.testing.assert_allclose(theirs.terms["contribution"], ours.terms["contribution"], atol=NEAR)
        np.testing.assert_allclose(theirs.layers["remainder"], ours.layers["remainder"], atol=NEAR)
        self.assertAlmostEqual(theirs.logit, ours.logit, delta=NEAR)
        self.assertAlmostEqual(theirs.sum, theirs.logit, delta=1e-4)

    def test_lit_gpt(self):
        folder = self.folder / "lit"
        folder.mkdir()
        torch.save(lit_weights(CONFIG), folder / "lit_model.pth")
        (folder / "model_config.yaml").write_text(yaml_of(CONFIG))
        self.same_as_converted(folder)

    def test_llama2c(self):
        self.same_as_converted(test_data("stories260K") / "stories260K/stories260K.bin")


if __name__ == "__main__":
    unittest.main()
