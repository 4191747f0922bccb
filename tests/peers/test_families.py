"""Decoders of each family of models, small and random, beside transformers: losses, gradients, and what is generated.
Needs what scripts/setup.sh --bench installs; skipped without, an error with BILENS_REQUIRE_PEERS=1."""
# labels: slow

import json
import pathlib
import shutil
import tempfile
import unittest

import numpy
import safetensors.numpy

from bilens_cli import DEVICE, run, test_data
from family_shapes import BARE_YARN, LLAMA3, SHAPE, YARN
from peer_packages import require_transformers

SAME = 1e-5  # of losses of some 5 nats and of relative gradient norms: float32 here, float64 there
CONTEXT = 17
DOCUMENT = 7  # the token that begins a document
SMALL_VOCABULARY = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}  # unlike what the class has
SLIDING, FULL = "sliding_attention", "full_attention"
OTHERS = [SLIDING, FULL, SLIDING]
PUBLISHED = "olmo3 as it was published"
OF_OLMO3 = {key: value for key, value in YARN.items() if key != "rope_theta"}
GEMMA = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "head_dim": 10}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1000.0,
    "short_factor": [1.0, 1.1],
    "long_factor": [2.0, 5.0],
    "partial_rotary_factor": 0.4,
    "original_max_position_embeddings": 24,
}

# Class in transformers, and the keys that the family has beside a plain Llama's.
MODELS = {
    "llama 3": ("Llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True, "eos_token_id": [2, 5]}),
    "llama with yarn": ("Llama", {"rope_parameters": YARN}),
    "llama with yarn by its defaults": ("Llama", {"rope_parameters": BARE_YARN}),
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 10}),
    "mistral with a window": ("Mistral", {"sliding_window": 6}),
    "mistral with the widest window": ("Mistral", {"sliding_window": CONTEXT}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2 with windows": ("Qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {"head_dim": 10, "attention_bias": True}),
    "smollm3": ("SmolLM3", {**SMALL_VOCABULARY, "no_rope_layer_interval": 2, "mlp_bias": True}),
    "smollm3 with windows": (
        "SmolLM3",
        {
            **SMALL_VOCABULARY,
            "no_rope_layers": [0, 1, 0],
            "use_sliding_window": True,
            "sliding_window": 5,
            "tie_word_embeddings": False,
            "attention_bias": True,
        },
    ),
    "qwen3 with windows": (
        "Qwen3",
        {"head_dim": 8, "use_sliding_window": True, "sliding_window": 4, "layer_types": [SLIDING, FULL, SLIDING]},
    ),
    "gemma": ("Gemma", {**GEMMA, "attention_bias": True}),
    "gemma by the old name of its activation": ("Gemma", {**GEMMA, "hidden_act": "gelu", "tie_word_embeddings": False}),
    "gemma2": ("Gemma2", {**GEMMA, "sliding_window": 5, "query_pre_attn_scalar": 24, "attn_logit_softcapping": 2.0}),
    "gemma2 without caps": (
        "Gemma2",
        {
            **GEMMA,
            "layer_types": [FULL] * 3,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "hidden_activation": "gelu",
        },
    ),
    "gemma2 with narrow heads": (
        "Gemma2",
        {**GEMMA, "head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 3.0},
    ),
    "gemma3": ("Gemma3Text", {**GEMMA, "sliding_window": 5, "sliding_window_pattern": 2, "query_pre_attn_scalar": 24}),
    "gemma3 with a stored cap and stretched angles": (
        "Gemma3Text",
        {
            **GEMMA,
            "sliding_window": 4,
            "layer_types": [SLIDING, FULL, SLIDING],
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 4.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            "rope_local_base_freq": 100.0,
        },
    ),
    "olmo2": ("Olmo2", {"pad_token_id": None, "eos_token_id": 2, "attention_bias": True}),
    "olmo3": ("Olmo3", {"pad_token_id": None, "eos_token_id": 2, "sliding_window": 5, "layer_types": OTHERS}),
    PUBLISHED: (
        "Olmo3",
        {"pad_token_id": None, "eos_token_id": 2, "sliding_window": 6, "rope_theta": 700.0, "rope_scaling": OF_OLMO3},
    ),
    "olmo3 with a base of its own in windows": (
        "Olmo3",
        {
            "pad_token_id": None,
            "eos_token_id": 2,
            "sliding_window": 6,
            "rope_parameters": {FULL: YARN, SLIDING: {"rope_type": "default", "rope_theta": 50.0}},
        },
    ),
    "phi3": ("Phi3", {"pad_token_id": None, "eos_token_id": 2}),
    "phi3 with longrope, turned in part, with a window": (
        "Phi3",
        {
            "hidden_size": 40,
            "pad_token_id": None,
            "eos_token_id": 2,
            "sliding_window": 30,
            "rope_parameters": LONGROPE,
            "original_max_position_embeddings": 24,
        },
    ),
}


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require_transformers()
        import torch
        import transformers

        holder = tempfile.TemporaryDirectory(prefix="bilens-families-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder, cls.torch = pathlib.Path(holder.name), torch
        cls.models = {}
        for name, (family, keys) in MODELS.items():
            torch.manual_seed(1)
            config = getattr(transformers, family + "Config")(**{**SHAPE, **keys})
            causal = family.removesuffix("Text") + "ForCausalLM"
            model = getattr(transformers, causal)._from_config(config, attn_implementation="eager")
            with torch.no_grad():
                for weight in model.parameters():
                    if weight.dim() == 1:  # biases and gains, which begin as 0 and 1
                        weight.add_(0.3 * torch.randn_like(weight))
            model.save_pretrained(cls.folder / name)
            if name == PUBLISHED:  # in the keys of its release, not those that transformers 5 writes
                file = cls.folder / name / "config.json"
                stored = json.loads(file.read_text())
                del stored["rope_parameters"]
                file.write_text(json.dumps({**stored, **{key: keys[key] for key in ("rope_theta", "rope_scaling")}}))
            cls.models[name] = model.double().eval()
        generator = numpy.random.default_rng(0)
        cls.tokens = generator.integers(3, SHAPE["vocab_size"], 1000)
        cls.documents = numpy.where(generator.random(1000) < 0.12, DOCUMENT, cls.tokens)
        for name, tokens in (("tokens", cls.tokens), ("documents", cls.documents)):
            tokens.astype("<u4").tofile(cls.folder / f"{name}.bin")

    def for_each(self, check):
        for name, model in self.models.items():
            with self.subTest(name):
                check(self.folder / name, model)

    def mean_loss(self, model, tokens, packed):
        """The loss of whole windows of CONTEXT predicted tokens, each beside the next. Of packed documents each part of
        a window is computed by itself."""
        parts = {}  # by their length
        for begin in range(0, len(tokens) - CONTEXT, CONTEXT):
            window = tokens[begin : begin + CONTEXT + 1]
            starts = numpy.flatnonzero(window[:-1] == DOCUMENT) if packed else []
            for inputs, targets in zip(numpy.split(window[:-1], starts), numpy.split(window[1:], starts)):
                parts.setdefault(len(inputs), []).append((inputs, targets))
        total, count = 0, 0
        for length, pairs in parts.items():
            if length:
                inputs, targets = map(self.torch.from_numpy, numpy.array(pairs).swapaxes(0, 1))
                logits = model(inputs).logits.flatten(0, 1)
                total += self.torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum")
                count += targets.numel()
        return total / count

    def loss_as_evaluated(self, model, tokens, context):
        """The mean over windows of `context` tokens, the first of each not predicted, and how many are."""
        total, count = 0.0, 0
        with self.torch.no_grad():
            for window in self.torch.from_numpy(tokens).split(context):
                if len(window) > 1:
                    logits = model(window[None]).logits[0, :-1]
                    total += float(self.torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
                    count += len(window) - 1
        return total / count, count

    def data(self, name="tokens", **more):
        file = str(self.folder / f"{name}.bin")
        common = {"dataset": "tokens", "dtype": "uint32", "path": file, "context": CONTEXT, "packing": "plain"}
        return {**common, **more}

    def gradients_of(self, file):
        """Those of a run's first step, which the first moments are a tenth of."""
        moments = safetensors.numpy.load_file(file)

        def gradient(name):
            fused = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
            parts = next((parts for whole, parts in fused.items() if whole in name), None)
            whole = name.split(".")[-2]
            names = [name.replace(whole, part) for part in parts] if parts else [name]
            return self.torch.from_numpy(numpy.concatenate([moments["exp_avg." + one] for one in names])).double() * 10

        return gradient

    def ran(self, *arguments):
        done = run(*arguments, "--json")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads(done.stdout)["results"][0]

    def test_losses(self):
        def check(folder, model):
            for context in (CONTEXT, 80):
                data = f"tokens,dtype=uint32:{self.folder / 'tokens.bin'}"
                found = self.ran("evaluate", folder, "--data", data, "--context", context)
                loss, count = self.loss_as_evaluated(model, self.tokens, context)
                self.assertEqual(found["tokens"], count)
                self.assertAlmostEqual(found["loss"], loss, delta=SAME)

        self.for_each(check)

    def same_first_step(self, folder, model, packed=False):
        """Its loss and every gradient are those of transformers. 800 tokens to train on are 47 windows."""
        config, out = self.folder / "config.json", self.folder / f"{folder.name} run, {packed}"
        data = {"held_out": 0.1}
        if packed:
            data |= {"name": "documents", "packing": "documents", "document_token": DOCUMENT}
        job = {
            "teacher": str(folder),
            "data": self.data(**data),
            "baseline": "continue",
            "train": {"steps": 1, "batch_size": 47, "clip_norm": 0, "loss": {"cross_entropy": 1, "divergence": 0}},
            "device": DEVICE,
        }
        config.write_text(json.dumps(job))
        self.ran("finetune", config, "--out", out)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        step = next(line for line in lines if "grad_norm" in line)
        model.zero_grad()
        loss = self.mean_loss(model, (self.documents if packed else self.tokens)[:800], packed)
        loss.backward()
        norm = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
        self.assertAlmostEqual(step["loss"], loss.item(), delta=SAME)
        self.assertAlmostEqual(step["grad_norm"] / float(norm), 1, delta=SAME)
        found = self.gradients_of(out / "checkpoints/step-1/optimizer.safetensors")
        for name, parameter in model.named_parameters():
            # That of a key's bias is 0 where keys are not turned, but for rounding.
            size = max(parameter.grad.norm(), 1e-2 * norm)
            self.assertLess(float((found(name) - parameter.grad).norm() / size), SAME, name)

    def test_gradients(self):
        self.for_each(self.same_first_step)

    def test_gradients_of_packed_documents(self):
        self.for_each(lambda *model: self.same_first_step(*model, packed=True))

    def test_documents_are_packed_up_to_the_original_length_of_longrope(self):
        """Beyond it, they would have the angles of the whole sequence, which they do not have by themselves."""
        teacher = self.folder / "phi3 with longrope, turned in part, with a window"
        original, config = LONGROPE["original_max_position_embeddings"], self.folder / "config.json"
        for context, packing, code in ((original, "documents", 0), (original + 1, "documents", 2), (80, "plain", 0)):
            data = self.data(context=context, packing=packing, document_token=DOCUMENT)
            train = {"steps": 1, "batch_size": 2}
            job = {"teacher": str(teacher), "data": data, "baseline": "continue", "train": train, "device": DEVICE}
            config.write_text(json.dumps(job))
            done = run("finetune", config, "--dry-run")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual("data.packing: expected" in done.stderr, code == 2, done.stderr)

    def test_those_trained_from_scratch_are_read_by_transformers(self):
        import transformers

        sizes = {key: value for key, value in SHAPE.items() if key != "initializer_range"}
        own = {
            "mistral": {"sliding_window": 5},
            "qwen2": {},
            "qwen3": {"head_dim": 8},
            "smollm3": {},
            "phi3": {"hidden_act": "linear", "partial_rotary_factor": 0.7, "head_dim": 6},
            "olmo2": {},
            "olmo3": {"sliding_window": 5, "rope_scaling": YARN},
            "gemma": {"head_dim": 8},
            "gemma2": {"head_dim": 8, "hidden_activation": "linear", "sliding_window": 6},
            "gemma3_text": {"head_dim": 8, "sliding_window": 6, "rope_local_base_freq": 100.0},
        }
        for kind, keys in own.items():
            with self.subTest(kind):
                config = self.folder / "config.json"
                train = {"steps": 2, "batch_size": 4}
                model = {"type": kind, **sizes, **keys}
                config.write_text(json.dumps({"model": model, "data": self.data(), "train": train, "device": DEVICE}))
                out = self.folder / f"trained {kind}"
                found = self.ran("train", config, "--out", out)
                model, missing = transformers.AutoModelForCausalLM.from_pretrained(
                    out / "model", output_loading_info=True, attn_implementation="eager"
                )
                self.assertEqual({key: list(names) for key, names in missing.items() if names}, {})
                loss, _ = self.loss_as_evaluated(model.double(), self.tokens[-50:], CONTEXT)  # the last 5%
                self.assertAlmostEqual(found["loss"], loss, delta=SAME)

    def test_a_run_with_fused_projections_is_gone_on_with(self):
        """Checkpoints hold qkv_proj and gate_up_proj, the optimizer moves their parts."""
        sizes = {key: value for key, value in SHAPE.items() if key != "initializer_range"}
        job = {"model": {"type": "phi3", **sizes}, "data": self.data(), "train": {"steps": 4, "batch_size": 4}}
        config, out = self.folder / "config.json", self.folder / "gone on with"
        config.write_text(json.dumps({**job, "checkpoint": {"every_steps": 2}, "device": DEVICE, "threads": 1}))
        self.ran("train", config, "--out", out)
        expected = (out / "model/model.safetensors").read_bytes()
        for made in ("model", "checkpoints/step-4"):
            shutil.rmtree(out / made)
        done = run("train", config, "--out", out, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("continuing at step 2 of 4", done.stderr)
        self.assertEqual((out / "model/model.safetensors").read_bytes(), expected)

    def test_what_becomes_bilinear_is_read_by_transformers(self):
        import transformers

        biased = {
            "llama 3",
            "llama with yarn",
            "llama with yarn by its defaults",
            "mistral",
            "qwen2",
            "phi3",
        }  # as a Llama, which computes the same

        def check(folder, model):
            out = self.folder / (folder.name + " bilinear")
            config = self.folder / "config.json"
            stages = [{"kind": "calibrate", "tokens": 600}, "settle"]
            train = {"steps": 5, "batch_size": 8}
            config.write_text(
                json.dumps(
                    {"teacher": str(folder), "data": self.data(), "stages": stages, "train": train, "device": DEVICE}
                )
            )
            found = self.ran("finetune", config, "--out", out)
            bilinear, missing = transformers.AutoModelForCausalLM.from_pretrained(
                out / "model", output_loading_info=True, dtype=self.torch.float64
            )
            self.assertEqual({key: list(names) for key, names in missing.items() if names}, {})
            key = "hidden_activation" if hasattr(bilinear.config, "hidden_activation") else "hidden_act"
            self.assertEqual(getattr(bilinear.config, key), "linear")
            mlp = bilinear.model.layers[0].mlp
            has_bias = mlp.down_proj.bias is not None
            own = "smollm3" in folder.name  # which can say that there are biases
            self.assertEqual(has_bias, folder.name in biased or own)
            name = "LlamaForCausalLM" if folder.name in biased else type(model).__name__
            self.assertEqual(type(bilinear).__name__, name)
            loss, _ = self.loss_as_evaluated(bilinear, self.tokens[-50:], CONTEXT)  # the last 5%
            self.assertAlmostEqual(found["test"]["loss"], loss, delta=SAME)

        self.for_each(check)

    def test_what_is_generated(self):
        import sentencepiece

        vocabulary = test_data("stories260K") / "stories260K/tok512.model"
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary))
        # Beyond the widest window, 30, and the length from which longrope has other factors, 24.
        enough = 34

        def agreed(folder, model, prompt):
            """Tokens until the two best logits are nearly alike, which bilens generated too."""
            flags = ("--temperature", "0", "--max-tokens", 40, "--tokenizer", vocabulary)
            found = self.ran("generate", folder, "--prompt", prompt, *flags)
            ids = [pieces.bos_id(), *pieces.encode(prompt)]
            ends = model.generation_config.eos_token_id
            ends = ends if isinstance(ends, list) else [ends]
            with self.torch.no_grad():
                for _ in range(40):
                    logits = model(self.torch.tensor([ids])).logits[0, -1]
                    first, second = logits.topk(2).values
                    if first - second < 1e-3:
                        break
                    ids.append(int(logits.argmax()))
                    if ids[-1] in ends:
                        break
            text = pieces.decode(ids)
            self.assertEqual(found["text"][: len(text.rstrip())], text.rstrip())
            return len(ids)

        def check(folder, model):
            prompts = ("Once upon a time", "The dog", "Lily was happy", "She saw a big cat", "It")
            self.assertTrue(any(agreed(folder, model, prompt) >= enough for prompt in prompts))

        self.for_each(check)


if __name__ == "__main__":
    unittest.main()
