"""`bilens finetune`: a small SwiGLU model trained here becomes bilinear; what is written, said, compared, refused."""

# labels: slow

import json
import os
import shutil
import signal
import unittest

import numpy
from safetensors.numpy import load_file, save_file

from bilens_cli import ROOT, read_metrics, run, safetensors_bytes, start, stop, wait_for
from finetuning import FinetuneCase


def rounded_to_bfloat16(source, target):
    """The model in `source` with its weights cut to their upper 16 bits, in `target`. Returns these by name: uint16."""
    target.mkdir()
    tensors = {
        name: (tensor.view(numpy.uint32) >> 16).astype("<u2")
        for name, tensor in load_file(source / "model.safetensors").items()
    }
    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": [begin, end]}
    (target / "model.safetensors").write_bytes(
        safetensors_bytes(header, b"".join(t.tobytes() for t in tensors.values()))
    )
    config = json.loads((source / "config.json").read_text())
    config["torch_dtype"] = "bfloat16"
    (target / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.model", "tokenizer_config.json"):
        (target / name).write_bytes((source / name).read_bytes())
    return tensors


def load_tensor_types(file):
    """Dtypes by tensor, from the header."""
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def read_bfloat16(file):
    """The tensors of a file that holds nothing else, as uint16."""
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "BF16", (name, entry)
        begin, end = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(content[8 + size + begin : 8 + size + end], "<u2").reshape(entry["shape"])
    return tensors


def widened_to_float32(source, target):
    """The model of bfloat16 weights in `source`, in float32."""
    target.mkdir()
    tensors = {
        name: (tensor.astype(numpy.uint32) << 16).view(numpy.float32)
        for name, tensor in read_bfloat16(source / "model.safetensors").items()
    }
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32", "dtype": "float32"}))
    for name in ("tokenizer.model", "tokenizer_config.json"):
        (target / name).write_bytes((source / name).read_bytes())


class Finetune(FinetuneCase):
    def test_the_closed_form_alone_beats_the_swap_and_training_gains_more(self):
        _, closed = self.finetune("closed", stages=[{"kind": "calibrate", "tokens": 4000}])
        _, cold = self.finetune("cold", baseline="cold", train={"steps": 1, "learning_rate": 1e-9})
        self.assertLess(closed["test"]["divergence"], 0.5 * cold["test"]["divergence"])
        self.assertEqual((closed["trained_tokens"], len(closed["calibration"]["layers"])), (0, 2))
        result, trained = self.finetune("trained", stages=[{"kind": "settle"}], train={"learning_rate": 3e-3})
        self.assertLess(trained["validation"]["divergence"], 0.8 * trained["untrained"]["divergence"])
        self.assertAlmostEqual(trained["untrained"]["divergence"], cold["untrained"]["divergence"], delta=1e-6)
        self.assertEqual(trained["trained_tokens"], 20 * 8 * 32)
        self.assertEqual(result["test"], trained["test"])
        for account in (closed, cold, trained):
            self.assertEqual((account["format"], account["format_version"]), ("bilens-finetune", 1))
            self.assertTrue(account["converted"])
            # The teacher is the same in all, and its loss is what evaluation says.
            self.assertEqual(account["test"]["teacher_loss"], closed["test"]["teacher_loss"])
            self.assertEqual(len(account["test"]["layer_r2"]), 2)
        evaluated = self.document(run("evaluate", self.teacher, "--json"))["results"][0]
        self.assertAlmostEqual(evaluated["loss"], closed["test"]["teacher_loss"], delta=1e-6)

    def test_the_losses_of_each_story_add_up(self):
        _, account = self.finetune("run")
        stories_seen = load_file(self.folder / "run/test.safetensors")
        test = account["test"]
        self.assertEqual(stories_seen["tokens"].sum(), test["tokens"])
        self.assertGreater(len(stories_seen["tokens"]), 10)
        self.assertTrue((stories_seen["tokens"] > 0).all())
        for key in ("losses", "teacher_losses"):
            self.assertEqual(
                (stories_seen[key].dtype, len(stories_seen[key])), (numpy.float64, len(stories_seen["tokens"]))
            )
        self.assertAlmostEqual(stories_seen["losses"].sum() / test["tokens"], test["loss"], delta=1e-12)
        self.assertAlmostEqual(stories_seen["teacher_losses"].sum() / test["tokens"], test["teacher_loss"], delta=1e-12)

    def test_mlps_alone_of_a_bfloat16_teacher(self):
        teacher = self.folder / "bfloat16"
        given = rounded_to_bfloat16(self.teacher, teacher)
        mlps = [name for name in given if ".mlp." in name]
        changes = {
            "teacher": str(teacher),
            "stages": [{"kind": "settle"}],
            "train": {"steps": 60, "trained": "mlps", "checkpoint_layers": True},
        }
        _, account = self.finetune("whole", **changes)
        self.assertLess(account["validation"]["divergence"], 0.95 * account["untrained"]["divergence"])
        # What did not move is the teacher's, bit for bit; the rest moved.
        written = read_bfloat16(self.folder / "whole/model/model.safetensors")
        self.assertEqual(set(written), set(given))
        for name, tensor in given.items():
            self.assertEqual(numpy.array_equal(written[name], tensor), name not in mlps, name)
        # The optimizer knows of these alone, and a checkpoint rounds nothing, so that a run goes on where it stood.
        checkpoint = self.folder / "whole/checkpoints/step-60"
        self.assertEqual(
            {
                name.removeprefix("exp_avg.")
                for name in load_file(checkpoint / "optimizer.safetensors")
                if name.startswith("exp_avg.")
            },
            set(mlps),
        )
        self.assertTrue(
            any((load_file(checkpoint / "model.safetensors")[name].view(numpy.uint32) & 0xFFFF).any() for name in mlps)
        )
        # The account is of the weights that were written, rounded as they are, in float32.
        exact = self.folder / "whole/exact"
        widened_to_float32(self.folder / "whole/model", exact)
        (self.folder / "whole/model").rename(self.folder / "whole/rounded")
        exact.rename(self.folder / "whole/model")  # of a run, whose test part is read
        evaluated = self.document(self.check(run("evaluate", self.folder / "whole", "--json"), 0))["results"][0]
        shutil.rmtree(self.folder / "whole/model")
        (self.folder / "whole/rounded").rename(self.folder / "whole/model")
        self.assertEqual(evaluated["tokens"], account["test"]["tokens"])
        self.assertAlmostEqual(evaluated["loss"], account["test"]["loss"], delta=1e-6)
        config, out = self.config(**changes), self.folder / "killed"
        process = start("finetune", config, "--out", out, "--resume", "--quiet")
        wait_for((out / "checkpoints/step-20").exists, process=process)
        stop(process, signal.SIGKILL)
        self.assertFalse((out / "model").exists())
        self.check(run("finetune", config, "--out", out, "--resume"), 0)
        for name in ("model/model.safetensors", "finetune.json", "test.safetensors"):
            self.assertEqual((out / name).read_bytes(), (self.folder / "whole" / name).read_bytes(), name)

    def test_what_is_written_is_a_plain_bilinear_llama(self):
        template = self.teacher / "chat_template.jinja"
        template.write_text("{{ messages }}")
        self.addCleanup(template.unlink)
        _, account = self.finetune("run")
        out = self.folder / "run"
        self.assertEqual((out / "model/chat_template.jinja").read_text(), "{{ messages }}")
        config = json.loads((out / "model/config.json").read_text())
        self.assertEqual((config["hidden_act"], config["mlp_bias"], config["model_type"]), ("linear", True, "llama"))
        self.assertTrue((out / "model/tokenizer.model").is_file())
        evaluated = self.document(self.check(run("evaluate", out / "model", "--json"), 0))["results"][0]
        self.assertEqual(evaluated["tokens"], account["test"]["tokens"])
        self.assertAlmostEqual(evaluated["loss"], account["test"]["loss"], delta=1e-6)
        self.check(run("generate", out / "model", "--prompt", "The dog", "--max-tokens", 4), 0)
        # Without the gate's bias there is none in the model.
        self.finetune("bare", stages=[{"kind": "calibrate", "tokens": 4000, "bias": False}, {"kind": "settle"}])
        self.assertFalse(json.loads((self.folder / "bare/model/config.json").read_text())["mlp_bias"])

    def decompose(self, model, out, *flags):
        return self.check(
            run("decompose", model, "--out", self.folder / out, "--set", "dtype=float64", "--set", "k=all", *flags), 0
        )

    def test_the_converted_model_decomposes_exactly_and_says_what_it_is(self):
        _, account = self.finetune("run")
        moved = (self.folder / "run/model").rename(self.folder / "moved")  # away from its account
        done = self.decompose(
            moved,
            "d",
            "--data",
            f"text:{self.text}",
            "--set",
            'analyses=["corpus"]',
            "--set",
            "corpus.tokens=2000",
            "--json",
        )
        result = self.document(done)["results"][0]
        for layer in result["layers"]:
            # Its form is the layer, and all eigenpairs together its form.
            self.assertAlmostEqual(layer["corpus"]["form_r2"], 1, delta=1e-4)
            self.assertAlmostEqual(layer["corpus"]["r2"][-1], 1, delta=1e-4)
            self.assertAlmostEqual(
                sum(layer["corpus"][part] for part in ("quadratic", "linear", "constant")), 1, delta=1e-9
            )
        written = json.loads((self.folder / "d/decomposition.json").read_text())["converted"]
        for said in (written, result["converted"]):
            self.assertEqual((said["teacher"], said["test"]), (str(self.teacher), account["test"]))
        words = self.decompose(moved, "again", "--set", "analyses=[]").stdout
        self.assertIn("the converted model of", words)
        self.assertIn(f"KL to the original {account['test']['divergence']:.4f}", words)
        self.check(run("report", self.folder / "d", "--out", self.folder / "page.html"), 0)
        # A difference of models is none of them, and the unconverted one trained on is not converted.
        self.decompose(moved, "difference", "--minus", moved, "--set", "analyses=[]")
        self.assertIsNone(json.loads((self.folder / "difference/decomposition.json").read_text())["converted"])
        self.finetune("continued", baseline="continue")
        self.assertFalse((self.folder / "continued/model/conversion.json").exists())
        for damaged in ("{}", "[1]", json.dumps({**written, "test": {"divergence": "small"}}), "not JSON"):
            (moved / "conversion.json").write_text(damaged)
            self.check(run("decompose", moved, "--out", self.folder / "bad"), 3, "conversion.json")
            self.assertFalse((self.folder / "bad").exists())

    def test_a_loss_that_is_not_given_is_the_schemas(self):
        schema = json.loads(self.check(run("schema", "finetune"), 0).stdout)["properties"]["train"]["properties"][
            "loss"
        ]["properties"]
        config = json.loads(self.config(stages=[{"kind": "calibrate", "tokens": 4000}]).read_text())
        for given in (None, {}):
            config["train"].pop("loss", None) if given is None else config["train"].update(loss=given)
            out = self.folder / f"loss-{given}"
            self.check(run("finetune", self.write("loss.json", json.dumps(config)), "--out", out), 0)
            self.assertEqual(
                json.loads((out / "config.json").read_text())["train"]["loss"],
                {key: of["default"] for key, of in schema.items()},
            )

    def test_annealing_and_the_continued_teacher(self):
        stages = [{"kind": "anneal", "fraction": 0.5}, {"kind": "settle"}]
        _, annealed = self.finetune("annealed", stages=stages, train={"validate_every": 5})
        self.assertEqual(json.loads((self.folder / "annealed/model/config.json").read_text())["hidden_act"], "linear")
        betas = [r["beta"] for r in read_metrics(self.folder / "annealed") if r.get("split") == "validation"]
        self.assertEqual(betas, [0.5, 0.0, 0.0, 0.0])
        # What training saw last is what the folded model gives.
        last = [r for r in read_metrics(self.folder / "annealed") if r.get("split") == "validation"][-1]
        self.assertAlmostEqual(last["loss"], annealed["validation"]["loss"], delta=1e-6)
        _, continued = self.finetune("continued", baseline="continue")
        self.assertFalse(continued["converted"])
        self.assertEqual(json.loads((self.folder / "continued/model/config.json").read_text())["hidden_act"], "silu")

    def test_more_hidden_units(self):
        wide = {"kind": "widen", "factor": 2.5}
        _, before = self.finetune("cold", stages=[{"kind": "settle"}], train={"steps": 1, "learning_rate": 1e-9})
        _, swapped = self.finetune(
            "wide-cold", stages=[wide, {"kind": "settle"}], train={"steps": 1, "learning_rate": 1e-9}
        )
        self.assertAlmostEqual(
            swapped["untrained"]["loss"], before["untrained"]["loss"], delta=1e-5
        )  # they say nothing yet
        _, narrow = self.finetune("narrow", stages=[{"kind": "calibrate", "tokens": 4000}])
        _, closed = self.finetune("closed", stages=[wide, {"kind": "calibrate", "tokens": 4000}])
        # On documents that neither fits nor choices saw; the KL of so small a model does not follow it.
        for wider, narrower in zip(closed["calibration"]["layers"], narrow["calibration"]["layers"]):
            self.assertLess(wider["error"], 0.9 * narrower["error"])
        self.assertEqual(
            closed["parameters"] - narrow["parameters"], 2 * (60 - 24) * (3 * 16 + 2)
        )  # with biases of gate and up
        self.assertEqual(narrow["parameters"] - closed["teacher_parameters"], 2 * (2 * 24 + 16))
        self.assertEqual(json.loads((self.folder / "closed/model/config.json").read_text())["intermediate_size"], 60)
        _, annealed = self.finetune("annealed", stages=[wide, {"kind": "anneal"}, {"kind": "settle"}])
        self.assertEqual(annealed["parameters"] - annealed["teacher_parameters"], 2 * (60 - 24) * 3 * 16)
        self.assertLess(annealed["validation"]["divergence"], before["untrained"]["divergence"])
        # The baselines are as wide, the one with SiLU and at first the teacher itself.
        for baseline, gate, untrained in (
            ("continue", "silu", before["untrained"]["teacher_loss"]),
            ("cold", "linear", before["untrained"]["loss"]),
        ):
            _, control = self.finetune(
                f"as-wide-{baseline}",
                stages=[wide, {"kind": "calibrate"}, {"kind": "settle"}],
                baseline=baseline,
                train={"steps": 20},
            )
            self.assertEqual(control["parameters"], annealed["parameters"])
            self.assertAlmostEqual(control["untrained"]["loss"], untrained, delta=1e-5)
            config = json.loads((self.folder / f"as-wide-{baseline}/model/config.json").read_text())
            self.assertEqual((config["hidden_act"], config["intermediate_size"]), (gate, 60))

    def test_documents_of_a_token_file_begin_where_the_teacher_says(self):
        # Every 25 tokens a BOS, so that windows of 32 hold two documents.
        ids = numpy.random.default_rng(0).integers(4, 320, 4000).astype("<u2")
        ids[::25] = 1
        data = {"dataset": "tokens", "path": str(self.write("tokens.bin", ids.tobytes())), "held_out": 0.1}
        weights = {}
        for packing in ("documents", "plain"):
            self.finetune(packing, stages=[{"kind": "settle"}], data={**data, "packing": packing}, train={"steps": 3})
            weights[packing] = (self.folder / packing / "model/model.safetensors").read_bytes()
        self.assertNotEqual(weights["documents"], weights["plain"])

    def test_validation_reads_as_much_as_is_asked_for(self):
        _, account = self.finetune("run", stages=[{"kind": "settle"}], train={"steps": 2, "validation_tokens": 500})
        for part in ("untrained", "validation"):
            self.assertLessEqual(account[part]["tokens"], 500)
            self.assertGreater(account[part]["tokens"], 400)
        self.assertGreater(account["test"]["tokens"], 500)

    def test_before_the_first_step_is_what_the_first_step_sees(self):
        changes = {"train": {"steps": 2, "learning_rate": 1e-9}}
        _, cold = self.finetune("cold", stages=[{"kind": "settle"}], **changes)
        _, at_once = self.finetune("at-once", stages=[{"kind": "anneal", "fraction": 0}, {"kind": "settle"}], **changes)
        self.assertAlmostEqual(at_once["untrained"]["loss"], cold["untrained"]["loss"], delta=1e-6)

    @unittest.skipIf("BILENS_SANITIZED" in os.environ, "the address sanitizer keeps freed memory")
    def test_the_estimate_is_near_what_is_used(self):
        dry = self.document(
            self.check(run("finetune", self.config(), "--out", self.folder / "run", "--dry-run", "--json"), 0)
        )
        result, _ = self.finetune("run")
        self.assertLess(abs(dry["estimate"]["memory_bytes"] / result["peak_memory_bytes"] - 1), 0.2)
        parameters, plan = (
            4 * json.loads((self.folder / "run/finetune.json").read_text())["teacher_parameters"],
            dry["estimate"]["memory"],
        )
        # Gradients of a shard, and of two sums of the four that wait for their other side.
        self.assertEqual(
            [plan[part] // parameters for part in ("teacher", "weights", "gradients", "moments")], [1, 1, 3, 2]
        )
        self.assertTrue(all(plan[part] > 0 for part in ("activations", "closed_form", "comparison")))

    def test_bad_input(self):
        def refuse(code, *parts, **changes):
            self.check(run("finetune", self.config(**changes), "--out", self.folder / "bad"), code, *parts)
            self.assertFalse((self.folder / "bad").exists())

        refuse(2, "stages[0]", 'Did you mean "calibrate"?', stages=[{"kind": "calibrat"}])
        refuse(2, "stages[1]", "in this order", stages=[{"kind": "settle"}, {"kind": "calibrate"}])
        refuse(2, "stages[1]", "at most once", stages=[{"kind": "settle"}, {"kind": "settle"}])
        refuse(2, "calibrate or anneal", stages=[{"kind": "calibrate"}, {"kind": "anneal"}])
        refuse(2, "stages[0].fraction", stages=[{"kind": "anneal", "fraction": 2}])
        refuse(2, "stages[0].layers", stages=[{"kind": "anneal", "layers": []}])
        refuse(2, "stages[0].layers", "below 2", "5", stages=[{"kind": "anneal", "layers": [1, 5]}])
        refuse(2, "stages[1].layers", "below 2", "5", stages=[{"kind": "widen"}, {"kind": "anneal", "layers": [5]}])
        refuse(2, "stages[0].tokens", stages=[{"kind": "calibrate", "tokens": -1}])
        refuse(
            2, "stages[1].tokens", "two windows", "64", stages=[{"kind": "widen"}, {"kind": "calibrate", "tokens": 40}]
        )
        refuse(2, "calibrate, anneal or settle", "none", stages=[])
        refuse(2, "calibrate, anneal or settle", "widen alone", stages=[{"kind": "widen"}])
        refuse(2, "stages[0].factor", stages=[{"kind": "widen", "factor": 0.5}, {"kind": "settle"}])
        refuse(2, "baseline", 'Did you mean "continue"?', baseline="contineu")
        refuse(2, "train.loss", train={"loss": {"cross_entropy": 0, "divergence": 0}})
        refuse(2, "data.context", "64 positions", data={"context": 65})
        refuse(3, "nothing", teacher=str(self.folder / "nothing"))
        config = json.loads(self.config().read_text())
        del config["teacher"]
        self.check(
            run("finetune", self.write("bare.json", json.dumps(config)), "--out", self.folder / "bad"), 2, "teacher"
        )
        self.finetune("bilinear", stages=[{"kind": "calibrate", "tokens": 4000}])
        refuse(2, "hidden_act", "bilinear model", teacher=str(self.folder / "bilinear/model"))
        dry = self.document(
            self.check(run("finetune", self.config(), "--out", self.folder / "bad", "--dry-run", "--json"), 0)
        )
        self.assertGreater(dry["estimate"]["seconds"], 0)
        alone = self.config(stages=[{"kind": "calibrate", "tokens": 4000}])  # the closed form takes its time too
        dry = self.document(self.check(run("finetune", alone, "--out", self.folder / "bad", "--dry-run", "--json"), 0))
        self.assertGreater(dry["estimate"]["seconds"], 0)
        self.assertFalse((self.folder / "bad").exists())

    def test_the_shipped_configs_are_valid(self):
        smaller = {
            "teacher": self.teacher,
            "data.path": self.text,
            "data.context": 32,
            "train.batch_size": 2,
            "train.warmup_steps": 0,
        }
        flags = [part for key, value in smaller.items() for part in ("--set", f"{key}={value}")]
        for config in sorted((ROOT / "configs").glob("finetune-*.json")):
            with self.subTest(config.name):
                done = self.check(
                    run("finetune", config, *flags, "--out", self.folder / "run", "--dry-run", "--json"), 0
                )
                self.assertGreater(self.document(done)["estimate"]["seconds"], 0)
                self.assertFalse((self.folder / "run").exists())

    def test_a_rounded_teacher_and_moments(self):
        """What is converted is the checkpoint, not its rounded copy; the figures are near the exact teacher's."""
        stages = [{"kind": "calibrate", "tokens": 4000}, {"kind": "settle"}]
        _, exact = self.finetune("exact", stages=stages)
        _, rounded = self.finetune("rounded", stages=stages, teacher_dtype="bfloat16", train={"moments": "bfloat16"})
        for name in ("calibrated/model.safetensors", "calibrated/calibration.json"):
            self.assertEqual(
                (self.folder / "exact" / name).read_bytes(), (self.folder / "rounded" / name).read_bytes(), name
            )
        self.assertNotEqual(exact["test"]["teacher_loss"], rounded["test"]["teacher_loss"])
        for key in ("loss", "teacher_loss"):
            self.assertAlmostEqual(exact["test"][key], rounded["test"][key], delta=0.02)
        state = load_tensor_types(self.folder / "rounded/checkpoints/step-20/optimizer.safetensors")
        self.assertEqual({dtype for name, dtype in state.items() if name.startswith("exp_avg")}, {"BF16"})
