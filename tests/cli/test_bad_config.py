"""Configs that must be refused, with a message that says what is wrong, where, and what to do."""

import json

from bilens_cli import ROOT, TestCase, run, settings


class BadConfig(TestCase):
    def train(self, config, *flags):
        result = run("train", config, "--out", self.folder / "out", *flags)
        self.assertFalse((self.folder / "out").exists(), "nothing is written for a bad config")
        return result

    def refuse(self, content, *parts):
        """The same refusal on stderr and as the one document of --json."""
        path = self.write("config.json", content if isinstance(content, (str, bytes)) else json.dumps(content))
        self.check(self.train(path), 2, *parts)
        result = self.check(self.train(path, "--json"), 2)
        document = self.document(result)
        self.assertEqual((document["command"], document["results"]), ("train", []))
        self.assertEqual(document["failures"][0]["code"], 2)
        for part in parts:
            self.assertIn(part, document["failures"][0]["message"])

    def test_missing_or_a_folder(self):
        self.check(self.train(self.folder / "none.json"), 2, "none.json", "nothing there")
        self.check(self.train(self.folder), 2, str(self.folder), "a folder")
        self.check(self.train("/dev/null"), 2, "/dev/null")

    def test_empty(self):
        for content in ("", " \n"):
            self.refuse(content, "config.json", "the file is empty")

    def test_syntax_error_with_line_and_column(self):
        self.refuse('{\n  "train": {"epochs": 2,}\n}', "config.json", "line 2, column 25")
        self.refuse('{\n  "train" 3\n}', "line 2, column 11")
        self.refuse('{"a": 1 // note\n}', "line 1, column 9")

    def test_byte_order_mark_and_invalid_utf8(self):
        self.refuse(b"\xef\xbb\xbf{}", "byte-order mark")
        self.refuse(b'{"device": "\xff"}', "line 1, column 13")
        self.refuse('{"device": "cpu"}'.encode("utf-16"), "valid JSON")

    def test_duplicate_key(self):
        self.refuse('{"train": {"epochs": 1, "epochs": 2}}', 'the key "epochs" twice')

    def test_unknown_key_suggests_the_nearest(self):
        self.refuse({"train": {"epoch": 3}}, "train.epoch", 'Did you mean "epochs"?', "batch_size")
        self.refuse({"trian": {}}, 'Did you mean "train"?')
        self.refuse({"train": {"input_noise": {"sdt": 1}}}, "train.input_noise.sdt", 'Did you mean "std"?')

    def test_wrong_type(self):
        self.refuse({"train": {"learning_rate": "1e-4"}}, "train.learning_rate", "a number", 'the string "1e-4"')
        self.refuse({"train": {"epochs": 2.5}}, "train.epochs", "an integer", "2.5")
        self.refuse({"model": {"bias": 1}}, "model.bias", "a boolean")
        self.refuse({"model": 3}, "model", "an object")
        self.refuse("[]", "an object", "the array")

    def test_not_finite_negative_overflowing(self):
        self.refuse('{"train": {"learning_rate": NaN}}', "valid JSON")
        self.refuse('{"train": {"learning_rate": -Infinity}}', "valid JSON")
        self.refuse('{"train": {"learning_rate": 1e999}}', "1e999")
        self.refuse({"train": {"learning_rate": -1e-3}}, "train.learning_rate", "more than 0", "-0.001")
        self.refuse({"train": {"learning_rate": 0}}, "more than 0")
        for huge in ("1e30", "99999999999999999999", "9223372036854775808"):
            self.refuse(f'{{"train": {{"epochs": {huge}}}}}', "train.epochs", "an integer")
        self.refuse({"model": {"d_model": 2**40}}, "model.d_model", "at most")

    def test_deep_nesting(self):
        self.refuse("[" * 100000, "levels of nesting")
        self.refuse('{"a":' * 100000, "levels of nesting")

    def test_contradictions(self):
        data = {"dataset": "mnist", "path": str(self.small_data(images=40))}
        self.refuse(
            {"data": data, "train": {"epochs": 2, "batch_size": 20, "warmup_steps": 4}},
            "config.json: train.warmup_steps",
            "less than the run's 4 steps",
            "found 4",
        )
        self.refuse({"data": data, "train": {"batch_size": 41}}, "config.json: train.batch_size", "(40)", "found 41")
        self.refuse(
            {"data": data, "model": {"d_model": 8, "d_hidden": 9}, "train": {"batch_size": 8}},
            "config.json: model.d_hidden",
            "down_proj is false",
        )

    def test_unknown_kinds(self):
        self.refuse({"model": {"type": "bilinear_mpl"}}, "model.type", 'Did you mean "bilinear_mlp"?')
        self.refuse({"model": {"type": 3}}, "model.type", '"bilinear_mlp", "llama", ', "found 3")
        self.refuse({"model": {"gate": "sliu"}}, "model.gate", 'Did you mean "silu"?')
        self.refuse({"data": {"dataset": "mnits"}}, "data.dataset", 'Did you mean "mnist"?')
        self.refuse({"train": {"schedule": "cosin"}}, "train.schedule", 'Did you mean "cosine"?')

    def test_every_config_may_name_its_format(self):
        for command, arguments in (
            ("train", ()),
            ("finetune", ("--set", "teacher=nothing")),
            ("decompose", ("nothing",)),
            ("intervene", ("nothing",)),
        ):
            flags = ("--out", self.folder / "out") if command in ("train", "finetune") else ()
            newer = run(command, *arguments, *flags, "--set", "format_version=2", "--dry-run")
            self.check(newer, 2, "format_version")
            this = run(command, *arguments, *flags, "--set", "format_version=1", "--dry-run")
            self.assertNotIn("format_version", this.stdout + this.stderr)

    def test_set_on_an_unknown_path(self):
        config = self.small_config()
        self.check(self.train(config, "--set", "train.epoch=3"), 2, "train.epoch", 'Did you mean "epochs"?')
        self.check(self.train(config, "--set", "train.epochs.x=3"), 2, "train.epochs.x")
        self.check(self.train(config, "--set", "train..epochs=3"), 2, "an empty part")
        self.check(self.train(config, "--set", "train.epochs"), 2, "a.b=VALUE")
        self.check(self.train(config, "--set", "=3"), 2, "a.b=VALUE")
        self.check(self.train(config, "--set", "train.epochs=three"), 2, 'the string "three"')

    def test_without_a_file_a_path_reads_the_same(self):
        result = run("train", "--set", "train.epochs=0", "--out", self.folder / "out")
        self.check(result, 2, "train.epochs: expected an integer, at least 1")

    def test_flags(self):
        config = self.small_config()
        self.check(self.train(config, "--no-such-flag"), 2, "no-such-flag", "--help")
        for given in (("--threads", "many"), ("--threads=many",)):
            self.check(self.train(config, *given), 2, '--threads: expected a number, found "many"')
        for flag, range in (("--seed", "0 or more"), ("--threads", "0 to 4096")):
            for given in ((flag, "-1"), (flag, "-5"), (f"{flag}=-1",)):
                self.check(self.train(config, *given), 2, f"{flag}: expected {range}, found -")
        self.check(self.train(config, "--threads", "100000"), 2, "--threads: expected 0 to 4096, found 100000")
        self.check(run("compare", self.folder), 2, "expected MODEL MODEL..., found " + str(self.folder))
        self.check(run("decompose", self.folder, "--threads", "-1"), 2, "--threads: expected 0 to 4096, found -1")
        self.check(self.train(config, "another.json"), 2, "another.json")
        self.check(run("evaluate"), 2, "MODEL")
        document = self.document(self.check(self.train(config, "--no-such-flag", "--json"), 2))
        self.assertEqual(document["failures"][0]["code"], 2)

    def test_a_dry_run_reports_all_problems_at_once(self):
        self.write("out/file", "not empty")
        config = self.small_config(train={"batch_size": 1000}, model={"d_model": 4, "d_hidden": 5})
        result = run("train", config, "--out", self.folder / "out", "--dry-run", "--json", "--device", "cuda:99")
        self.check(result, 2)
        document = self.document(result)
        for where in (
            "--device cuda:99",
            str(self.folder / "out"),
            f"{config}: train.batch_size",
            f"{config}: model.d_hidden",
        ):
            self.assertIn(where, [problem["where"] for problem in document["problems"]])
        for problem in document["problems"]:
            self.assertEqual(set(problem), {"where", "expected", "found", "fix"})

        config = self.small_config(train={"epochs": "2", "seed": -1, "nothing": 0})
        result = run("train", config, "--out", self.folder / "out", "--dry-run", "--json")
        text = json.dumps(self.document(self.check(result, 2))["problems"])
        for part in ("train.epochs", "train.seed", "train.nothing", str(self.folder / "out")):
            self.assertIn(part, text)

    def test_the_shipped_configs_are_valid(self):
        for name in ("mnist.json", "demo.json"):
            config = json.loads((ROOT / "configs" / name).read_text())
            config["data"].update(dataset="mnist-5k", path="data/mnist-5k")
            path = self.write(name, json.dumps(config))
            self.check(self.train(path, "--dry-run", "--json"), 0)
            # The same on the command line alone.
            self.check(run("train", *settings(config), "--out", self.folder / "out", "--dry-run"), 0)
