"""Token files through the commands: what a file holds is what it says or what the user says, never a guess that reads
otherwise."""

import json
import unittest

import numpy

from bilens_cli import DEVICE, TestCase, read_metrics, run
from language_models import forward, write_llama

EOT = 50256  # GPT-2's <|endoftext|>


class TokenFiles(TestCase):
    def setUp(self):
        super().setUp()
        self.weights = write_llama(self.folder / "model", vocabulary=40)
        self.ids = numpy.r_[1, numpy.random.default_rng(2).integers(3, 40, 59)]

    def evaluate(self, name, content, spec="tokens", code=0, *parts):
        path = self.write(name, content)
        flags = () if code else ("--json",)
        result = self.check(run("evaluate", self.folder / "model", "--data", f"{spec}:{path}", *flags), code, *parts)
        return None if code else self.document(result)["results"][0]

    def losses(self, ids):
        """Of one window, by numpy."""
        logits = forward(self.weights, ids)[0]
        logits = logits - logits.max(-1, keepdims=True)
        log_p = logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))
        return -log_p[numpy.arange(len(ids) - 1), ids[1:]]

    def test_every_spelling_of_the_ids_has_the_same_loss(self):
        right = self.losses(self.ids).mean()
        for name, spec, dtype in (
            ("plain.bin", "tokens", "<u2"),
            ("a.bin", "tokens,dtype=uint16", "<u2"),
            ("b.bin", "tokens,dtype=uint32", "<u4"),
            ("c.bin", "tokens,dtype=int32", "<i4"),
            ("d.bin", "tokens,dtype=int64", "<i8"),
            ("e.bin", "tokens,dtype=uint8", "|u1"),
        ):
            result = self.evaluate(name, self.ids.astype(dtype).tobytes(), spec)
            self.assertEqual(result["tokens"], 59)
            self.assertAlmostEqual(result["loss"], right, delta=1e-5)  # float32 logits of size 10
        for dtype in ("<u2", "<u4", "<i8", "|u1"):
            numpy.save(self.folder / "ids.npy", self.ids.astype(dtype))
            result = self.evaluate("ids.npy", (self.folder / "ids.npy").read_bytes())
            self.assertEqual(result["tokens"], 59)
            self.assertAlmostEqual(result["loss"], right, delta=1e-5)

    def test_a_loss_is_of_all_that_stands_before_in_the_window_whatever_story_it_belongs_to(self):
        self.ids[30] = 1  # BOS: another begins
        result = self.evaluate("stories.bin", self.ids.astype("<u2").tobytes())
        whole = self.losses(self.ids).mean()
        apart = numpy.r_[self.losses(self.ids[:31]), self.losses(self.ids[30:])].mean()
        self.assertGreater(abs(whole - apart), 1e-3)
        self.assertAlmostEqual(result["loss"], whole, delta=1e-5)  # float32 logits of size 10

    def test_what_reads_otherwise_is_refused_with_the_way_out(self):
        self.evaluate(
            "u32.bin",
            self.ids.astype("<u4").tobytes(),
            "tokens",
            3,
            "u32.bin",
            "data.dtype=uint32",
            "--data tokens,dtype=uint32:",
        )
        self.evaluate("i64.bin", self.ids.astype("<i8").tobytes(), "tokens", 3, "i64.bin", "data.dtype=int64")
        self.evaluate(
            "big.bin", (self.ids + 10).astype("<u2").tobytes(), "tokens", 3, "vocabulary's size, 40", "data.dtype="
        )
        self.evaluate("lit.bin", b"LITPKDS" + bytes(100), "tokens", 3, "lit-gpt")
        self.evaluate("f.bin", self.ids.astype("<u2").tobytes(), "tokens,dtype=float32", 2, "--data: dtype", "uint16")
        self.evaluate(
            "f.bin",
            self.ids.astype("<u2").tobytes(),
            "tokens,dtipe=uint16",
            2,
            "--data: dtipe",
            'Did you mean "dtype"?',
        )
        self.evaluate("f.bin", self.ids.astype("<u2").tobytes(), "tokens,uint16", 2, "--data", "KEY=VALUE")
        numpy.save(self.folder / "f.npy", self.ids.astype("<f4"))
        self.evaluate("f.npy", (self.folder / "f.npy").read_bytes(), "tokens", 3, "f.npy", "dtype <f4")

    def test_an_evaluation_that_predicts_nothing_is_an_error(self):
        one = self.ids[:1].astype("<u2").tobytes()
        self.evaluate("one.bin", one, "tokens", 3, "one.bin", "at least 2 tokens")
        self.check(
            run("evaluate", self.folder / "model", "--data", f"tokens:{self.folder / 'one.bin'}", "--dry-run"),
            3,
            "at least 2 tokens",
        )
        self.evaluate(
            "held.bin", self.ids[:10].astype("<u2").tobytes(), "tokens,split=test,held_out=0.1", 3, "at least 2 tokens"
        )
        self.evaluate("two.bin", self.ids[:2].astype("<u2").tobytes())


class Gpt2(TestCase):
    """Ids as nanoGPT writes them: <|endoftext|> stands behind each document, and there is no BOS."""

    def config(self, model=None, data=None):
        rng = numpy.random.default_rng(0)
        documents = [numpy.r_[rng.integers(0, 50256, rng.integers(5, 60)), EOT] for _ in range(100)]
        path = self.write("ids.bin", numpy.concatenate(documents).astype("<u2").tobytes())
        return self.write_config(
            {
                "model": {
                    "type": "llama",
                    "vocab_size": 50257,
                    "hidden_size": 8,
                    "intermediate_size": 8,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "max_position_embeddings": 16,
                    **(model or {}),
                },
                "data": {"dataset": "tokens", "path": str(path), "context": 16, **(data or {})},
                "train": {"steps": 2, "batch_size": 2},
                "device": DEVICE,
                "threads": 1,
            },
            {},
        )

    def trained(self, out, *arguments):
        """BOS and EOS of the model that a run gives, and its losses."""
        self.check(run("train", self.config(*arguments), "--out", self.folder / out), 0)
        written = [
            json.loads((self.folder / out / "model" / name).read_text())
            for name in ("config.json", "generation_config.json")
        ]
        tokens = [[config["bos_token_id"], config["eos_token_id"]] for config in written]
        self.assertEqual(*tokens)
        return tokens[0], [r["loss"] for r in read_metrics(self.folder / out)]

    def test_eos_and_bos_are_as_the_user_says(self):
        tokens, losses = self.trained("both", {"bos_token_id": EOT, "eos_token_id": EOT})
        self.assertEqual(tokens, [EOT, EOT])
        again, same = self.trained("eos", {"eos_token_id": EOT})
        self.assertEqual((again, same), ([None, EOT], losses))
        several, same = self.trained("several", {"bos_token_id": EOT, "eos_token_id": [EOT, 198]})
        self.assertEqual((several, same), ([EOT, [EOT, 198]], losses))
        none, same = self.trained("token", None, {"document_token": EOT})
        self.assertEqual((none, same), ([None, None], losses))
        plain, others = self.trained("plain", None, {"packing": "plain"})
        self.assertEqual(plain, [None, None])
        self.assertNotEqual(others, losses)  # attention crosses the documents there
        self.check(run("evaluate", self.folder / "eos/model"), 0)

    def refuse(self, code, *parts, **changes):
        self.check(run("train", self.config(**changes), "--out", self.folder / "bad"), code, *parts)

    def test_contradictions(self):
        self.refuse(2, "data.document_token", "model.bos_token_id", "data.packing=plain")
        self.refuse(2, "model.bos_token_id", "50256", model={"bos_token_id": 50257})
        self.refuse(2, "model.eos_token_id", model={"eos_token_id": [EOT, -1]})
        self.refuse(2, "model.eos_token_id", model={"eos_token_id": "</s>"})
        self.refuse(2, "data.document_token", "50257", model={"eos_token_id": EOT}, data={"document_token": 60000})


if __name__ == "__main__":
    unittest.main()
