"""Every field of the files that `bilens report` reads is on its page, or is waived here with a reason.

Each value of each file is changed by itself, the page is made again, and what the page holds is compared. A value
counts as shown where the page's data change under a key that the page's scripts read.
"""

# labels: slow

import itertools
import json
import pathlib
import re
import shutil
import unittest

from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from checks import write_check
from finetuning import FinetuneCase

EARLIER = pathlib.Path(__file__).resolve().parents[1] / "records/earlier"

MEASURES = ("hoyer", "nonzeros", "participation")
MEANS = "The table of the layers shows its mean over directions."
OF_SEARCH = "It says how the search went; the figures of the method say how it ended."
OF_EACH = "The figures of the method show its mean, or what it comes to."
SPARSITY = "Only how many entries a vector effectively lives on is shown, where it is what the method is for."
OF_STEPS = "How steps went is for TensorBoard; the page shows what they led to."
LENGTH = "The lists on the page are as long."
OF_IMAGES = "Figures of single images are for programs; the page shows what they come to."
IN_CHECK = "One line says how the check ended; its table is in the file."
OF_DOCUMENTS = "Losses of single documents are for `bilens compare`."

# Fields that no page shows, and why.
WAIVED = (
    {
        "corpus.json: losses.layers[].change[].documents": "All are of the documents that `losses.documents` counts.",
        "corpus.json: losses.layers[].change[].flips": "It follows from the documents.",
        "corpus.json: layers[].active.correlation[]": "R² of the active tokens, which is stricter, stands there.",
        "corpus.json: vocabulary[]": "Contexts show the names of their tokens alone.",
        "corpus.safetensors: sample": "Histograms, quantiles and active tokens are made of it.",
        "decomposition.json: layers[].effective_rank[]": "The tensor of the same name stands with each direction.",
        "layer_N.safetensors: cluster": "`vector_error` says which eigenvectors are not told apart.",
        "layer_N.safetensors: directions": "The page names directions; their components are of no use to a reader.",
        "metrics.jsonl: a sample: epoch": "The step stands there.",
        "metrics.jsonl: an evaluation: perplexity": "It is e^loss, and the loss is shown.",
        "study.json of tokens: nearest": LENGTH,
        "study.json of tokens: interactions": LENGTH,
        "study.json of tokens: layers[].embedding_is_own": "`words` says it in words.",
        "study.json of tokens: layers[].unembedding_is_own": "`words` says it in words.",
        "study.json of tokens: seed": "The settings, which are printed, have it.",
        "study.safetensors: tokens.embedding.null_cosines": "Each cosine stands beside its quantile among them.",
        "study.safetensors: tokens.unembedding.null_cosines": "Each cosine stands beside its quantile among them.",
    }
    | {
        f"corpus.safetensors: layer_N.{name}": MEANS
        for name in (
            *("active.correlation", "active.count", "active.r2", "correlation", "form_r2", "output_mean", "output_std"),
            *("part_mean", "part_square", "r2", "surrogate.bound", "surrogate.error"),
        )
    }
    | {
        f"layer_N.safetensors: {name}": OF_SEARCH
        for name in (
            *("cp_history", "cp_start_errors", "joint_history", "joint_start_objectives", "rotated_agreeing"),
            *("rotated_iterations", "rotated_rotation", "sparse_iterations"),
        )
    }
    | {
        f"layer_N.safetensors: {name}": OF_EACH
        for name in (
            *("rotated_converged", "rotated_diagonal_energy", "rotated_full_energy", "rotated_objective"),
            *("rotated_off_diagonal", "rotated_start_objective", "sparse_converged", "sparse_full_energy"),
            *("sparse_objective", "sparse_off_diagonal"),
        )
    }
    | {
        f"layer_N.safetensors: {name}": SPARSITY
        for name in (
            *(f"cp_{of}_{measure}" for of in ("left", "right", "outputs") for measure in MEASURES),
            *(f"{method}_{measure}" for method in ("joint", "rotated") for measure in ("hoyer", "nonzeros")),
            *(f"sparse_{measure}" for measure in MEASURES),
        )
    }
    | {
        f"metrics.jsonl: {name}": OF_STEPS
        for name in (
            *("a step: grad_norm", "a step: lr", "a step: images_per_second", "a step: tokens_per_second"),
            *("a step: mfu", "an evaluation: peak_memory"),
        )
    }
    | {
        f"check.json: {name}": IN_CHECK
        for name in (
            *("model", "version", "device", "torch", "model_class", "reference", "rows", "length", "notes[]"),
            *("dtypes[].reference_dtype", "dtypes[].quantities[].largest"),
            *(f"dtypes[].quantities[].{of}" for of in ("difference", "reference_error", "within")),
            *(f"tokenizer.{of}" for of in ("reference_class", "ids", "reference_ids", "first_difference")),
            *("tokenizer.same_as_file", "tokenizer.file_same_as_reference"),
        )
    }
    | {
        f"attack.{name}": OF_IMAGES
        for name in (
            *("json: model", "json: version", "json: evaluation.examples", "json: evaluation.loss"),
            *(f"safetensors: {of}" for of in ("labels", "lower", "gradient_length", "bounded_lower", "bounded_upper")),
        )
    }
    | {f"test.safetensors: {name}": OF_DOCUMENTS for name in ("losses", "teacher_losses", "tokens")}
)

OTHER_FORMAT = "Files of another format or version are refused."
OTHER_SIZES = "The tensors have these sizes; others are refused."

# Fields of which the reader takes no other value by itself, and why.
BOUND = {
    f"{file}: {key}": OTHER_FORMAT
    for file in (
        "decomposition.json",
        "study.json of images",
        "study.json of tokens",
        "corpus.json",
        "finetune.json",
        "check.json",
        "attack.json",
    )
    for key in ("format", "format_version")
} | {
    "decomposition.json: layers[].file": "A file beside it has this name.",
    "decomposition.json: layers[].method": "The file has the tensors of this method.",
    "decomposition.json: layers[].dtype": "The tensors are of this type.",
    "decomposition.json: layers[].d_in": OTHER_SIZES,
    "decomposition.json: layers[].d_out": OTHER_SIZES,
    "decomposition.json: layers[].n_directions": OTHER_SIZES,
    "decomposition.json: layers[].k": OTHER_SIZES,
    "corpus.json: tokens": OTHER_SIZES,
}

# What the page prints whole, as text or as a list of all that is there.
PRINTED_WHOLE = {"config", "environment", "seconds"}

# Words that a reader takes in the place of others.
OTHER_WORDS = {
    "input": ["model"],
    "model": ["input"],
    "outputs": ["axes"],
    "unembedding": ["axes"],
    "hidden": ["logits"],
    "logits": ["hidden"],
    "mean": ["none"],
    "none": ["mean", "silu"],
    "dense": ["lanczos"],
    "half": ["calibrated"],
    "calibrated": ["half"],
    "rms": ["layer"],
    "validation": ["test"],
    "test": ["validation"],
    "eigenvector": ["random"],
}


def pattern(path):
    """layers[].k of ("layers", 0, "k"); settings and numbers by name are one field."""
    names = "".join("[]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
    return re.sub(r"(^|\.)(config|data(?!\.dataset$|\.split$|\.examples$)|seconds)\..*", r"\1\2.*", names)


def leaves(value, path=()):
    """(path, value) of all that is no object and no list."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def others(value):
    """Values of the same type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 0, 2 * value + 3]
    if isinstance(value, float):
        return [value * 1.5 + 0.25, value / 2]
    return [*OTHER_WORDS.get(value, []), value + "x"]


def other_tensors(tensor):
    """Tensors of the same shape and type: all entries changed."""
    if tensor.dtype.kind == "f":
        return [tensor * 1.5 + 0.1, tensor[..., ::-1].copy() if tensor.ndim else -tensor]
    return [tensor + 1, 1 - tensor, tensor - 1, tensor[..., ::-1].copy(), tensor * 0]


def put(value, path, leaf):
    """A deep copy of JSON with another leaf."""
    copied = json.loads(json.dumps(value))
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = leaf
    return copied


def page_data(text):
    """The data of a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


class Example:
    """A folder with files that a page is made of, and a page of copies in each of which one value is another."""

    def __init__(self, folder, work):
        self.folder, self.work = pathlib.Path(folder), work
        self.numbers = itertools.count()

    def copy(self, changed):
        """@param changed {name of a file: its bytes}"""
        place = self.work / str(next(self.numbers)) / "of"
        shutil.copytree(self.folder, place, ignore=shutil.ignore_patterns("checkpoints", "decomposition"))
        for name, content in changed.items():
            (place / name).write_bytes(content)
        return place

    def shown(self, ways):
        """{field: whether the page shows the change; nothing where the file is refused}

        @param ways {field: a way to change it}
        """
        places = {None: self.copy({})} | {field: self.copy(self.write(way)) for field, way in ways.items()}
        answers = dict.fromkeys(ways)
        page = self.work / "page.html"
        while (done := run("report", *places.values(), "--out", page)).returncode:
            refused = [field for field, place in places.items() if f"{place}/" in done.stderr]
            assert refused and None not in refused, f"{list(places)}: {done.stderr}"
            for field in refused:
                del places[field]
        text = page.read_text()
        scripts = "".join(re.findall(r"<script>(.*?)</script>", text, re.DOTALL))
        data = page_data(text)
        models = data["models"] if len(places) > 1 else []
        models = [
            json.loads(json.dumps(model).replace(str(place), "HERE")) for model, place in zip(models, places.values())
        ]
        for field, model in zip(list(places)[1:], models[1:]):
            answers[field] = any(is_read(path, scripts) for path in differences(models[0], model))
        shutil.rmtree(self.work)
        return answers

    def documents(self):
        """{name: JSON or tensors} of the files here that are records."""
        found = {}
        for file in sorted(self.folder.iterdir()):
            if file.name in RECORDS:
                found[file.name] = json.loads(file.read_text())
            elif file.name == "metrics.jsonl":
                found[file.name] = [json.loads(line) for line in file.read_text().splitlines()]
            elif file.suffix == ".safetensors" and file.name != "surrogate.safetensors":
                found[file.name] = load_file(file)
        return found

    def changes(self):
        """{field: [bytes by name, for each way to change it]}"""
        fields = {}
        for name, content in self.documents().items():
            if name.endswith(".safetensors"):
                known = re.sub(r"\d+", "N", name)
                for tensor, values in content.items():
                    field = f"{known}: " + re.sub(r"^layer_\d+", "layer_N", tensor)
                    ways = fields.setdefault(field, [])
                    ways += [(name, content, (tensor,), other) for other in other_tensors(values)]
                continue
            for path, value in leaves(content):
                if value is not None:
                    field = f"{known_as(name, content)}: {kind_of_line(name, content, path)}"
                    ways = fields.setdefault(field, [])
                    ways += [(name, content, path, other) for other in others(value)]
        return fields

    def write(self, way):
        name, content, path, other = way
        if name.endswith(".safetensors"):
            file = self.work / "changed.safetensors"
            save_file({**content, path[0]: other}, file)
            written = file.read_bytes()
            file.unlink()
            return {name: written}
        changed = put(content, path, other)
        text = "".join(json.dumps(line) + "\n" for line in changed) if name.endswith("l") else json.dumps(changed)
        return {name: text.encode()}


RECORDS = {"decomposition.json", "study.json", "corpus.json", "finetune.json", "check.json", "attack.json"}


def known_as(name, content):
    if name != "study.json":
        return name
    return "study.json of tokens" if content["format"] == "bilens-token-study" else "study.json of images"


def kind_of_line(name, content, path):
    if name != "metrics.jsonl":
        return pattern(path)
    split = content[path[0]].get("split", "train")
    kind = {"train": "a step", "sample": "a sample"}.get(split, "an evaluation")
    return f"{kind}: {pattern(path[1:])}"


def differences(a, b, path=()):
    """Where two values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from differences(a.get(key), b.get(key), (*path, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, (*path, i))
    elif a != b:
        yield path


def is_read(path, scripts):
    """Whether the page's scripts read the key, or what it is in is printed whole."""
    names = [key for key in path if isinstance(key, str)]
    if PRINTED_WHOLE & set(names) or path[:1] == ("images",):
        return True
    key = re.escape(names[-1])
    return bool(re.search(rf"""[.]{key}\b|[{{,(]\s*{key}\s*[,}}=:]|["'`]{key}["'`]""", scripts))


class EveryField(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.share_a_folder()
        case = cls.case
        Made.setUpClass()
        cls.addClassCleanup(Made.doClassCleanups)
        made = Made("setUp")
        made.setUp()
        cls.addClassCleanup(made.doCleanups)
        cls.found = {}  # {field: shown, not shown, or refused}
        for i, folder in enumerate(made.folders()):
            cls.look(Example(folder, case.folder / str(i)))

    @classmethod
    def look(cls, example):
        """Tries a few ways to change each field until the page shows one of them."""
        changes = example.changes()
        tried = {
            field
            for field in changes
            if cls.found.get(field) == "shown" or (field in cls.found and field in {**BOUND, **WAIVED})
        }
        for turn in (0, 1, 2, 3, -1):
            done = tried | (set() if turn == 0 else set(BOUND)) | (cls.of("not shown") if turn > 0 else set())
            ways = {field: ways[turn] for field, ways in changes.items() if field not in done and turn < len(ways)}
            for field, shown in example.shown(ways).items():
                if shown is not None:
                    cls.found[field] = "shown" if shown else "not shown"
                if shown:
                    tried.add(field)
                cls.found.setdefault(field, "refused")

    @classmethod
    def of(cls, state):
        return {field for field, found in cls.found.items() if found == state}

    def test_a_field_that_no_page_shows_is_waived_with_a_reason(self):
        self.assertEqual(self.of("not shown") - set(WAIVED), set())

    def test_no_field_is_waived_that_is_shown(self):
        self.assertEqual(set(WAIVED) - self.of("not shown"), set())

    def test_a_field_that_cannot_be_changed_by_itself_is_named_with_a_reason(self):
        self.assertEqual(self.of("refused"), set(BOUND))


class Made(FinetuneCase):
    """Examples of every kind, written by the program."""

    def decompose(self, out, model, *flags):
        self.check(run("decompose", model, "--out", self.folder / out, *flags), 0)
        return self.folder / out

    def beside(self, model):
        """Another model with the same embedding and head."""
        other = self.folder / "other"
        shutil.copytree(model, other)
        file = other / "model.safetensors"
        tensors = load_file(file)
        save_file({name: t * (0.5 if "mlp" in name else 1) for name, t in tensors.items()}, file)
        return other

    def check_of(self, folder):
        """A check.json of what is decomposed there."""
        weights = json.loads((folder / "decomposition.json").read_text())["model_sha256"]
        write_check(folder, weights, failures=["layer 1 differs."], passed=False)
        return folder

    def folders(self):
        return [*self.of_images(), *self.of_text()]

    def of_images(self):
        data = self.small_data(classes=3)
        sizes = {"d_model": 6, "d_hidden": 5, "down_proj": True, "bias": True}
        demo = self.small_model("demo", model=sizes)
        other = self.beside(demo / "model")
        images = ("--data", f"mnist:{data}", "--set", "k=3")
        minus = ("--minus", other)
        eigen = self.decompose("eigen", demo / "model", *images, "--set", "certify=true")
        few = ("--set", "bounded_images=5", "--set", "shown=3", "--set", "gradient_steps=3")
        self.check(run("attack", demo / "model", *images[:2], "--out", eigen, *few), 0)
        yield eigen
        yield self.decompose("estimate", demo / "model", *images, "--set", "effective_rank=estimate")
        yield self.decompose("minus", demo / "model", *images, *minus, "--set", "analyses=[]")
        for method in ("hosvd", "sparse_eigen", "rotate", "joint", "cp"):
            flags = ("--set", f"method={method}", "--set", "sparse_eigen.sparsity=[3]", "--set", "cp.rank=3")
            yield self.decompose(method, demo / "model", *images, *flags)
            yield self.decompose(f"{method}-minus", demo / "model", *images, *flags, *minus, "--set", "analyses=[]")
        yield self.decompose("cp-l1", demo / "model", *images, *flags, "--set", "cp.l1=0.001")
        weighted = ("--set", "weighting=data", "--set", "certify=true")
        yield self.decompose("weighted", demo / "model", *images, *weighted)
        yield demo

    def of_text(self):
        text = {"dataset": "text", "path": str(self.text), "tokenizer": str(self.tokenizer), "context": 16}
        unembedding = json.dumps({"kind": "unembedding", "tokens": [7, 30]})
        flags = ("--set", "k=2", "--set", f"directions={unembedding}", "--set", "data=" + json.dumps(text))
        corpus = ("--set", "corpus.tokens=200", "--set", "corpus.sample=40", "--set", "corpus.contexts=2")
        sample = {"prompt": "the cat", "max_tokens": 6}
        changes = {"train": {"steps": 6, "sample": sample}, "checkpoint": {"every_steps": 3}}
        self.finetune("bilinear", **changes)
        bilinear = self.folder / "bilinear"
        yield bilinear
        tokens = ("--set", "tokens.nearest=3", "--set", "tokens.interactions=4", "--set", "tokens.random_directions=20")
        losses = ("--set", "corpus.loss_tokens=100", "--set", 'analyses=["tokens","corpus"]')
        yield self.decompose("tokens", bilinear / "model", *flags, *tokens, *corpus, *losses)
        traceless = ("--set", "traceless=true", "--set", "analyses=[]")
        yield self.check_of(self.decompose("traceless", bilinear / "model", *flags, *traceless))
        weighted = ("--set", "weighting=data", "--set", "analyses=[]", *corpus)
        yield self.decompose("weighted-text", bilinear / "model", *flags, *weighted)
        gated = ("--set", 'analyses=["corpus"]', *corpus)
        yield self.decompose("half", self.teacher, *flags, *gated, "--set", "surrogate=half")
        yield self.decompose("calibrated", self.teacher, *flags, *gated, "--set", "surrogate=calibrated")


class EarlierFiles(TestCase):
    """Files that version 0.1.0 wrote make a page that has their figures."""

    def model(self, name):
        page = self.folder / "page.html"
        self.check(run("report", EARLIER / name, "--out", page), 0)
        return page_data(page.read_text())["models"][0]

    def test_images(self):
        model = self.model("images")
        layer = model["decomposition"]["layers"][0]
        self.assertAlmostEqual(layer["shown"][0]["eigenvalues"][0], -0.043022, delta=1e-6)
        self.assertAlmostEqual(layer["shown"][1]["eigenvectors"][0]["data_r2"], 0.9909911, delta=1e-5)
        self.assertAlmostEqual(model["study"]["evaluation"]["accuracy"], 2 / 3, delta=1e-5)

    def test_factors(self):
        model = self.model("joint")
        self.assertIn("2 shared vectors", model["decomposition"]["layers"][0]["factors"]["words"])
        self.assertAlmostEqual(model["study"]["reconstruction"][0]["relative_error"], 0.0709973, delta=1e-6)

    def test_tokens_and_a_text(self):
        made = self.model("tokens")["decomposition"]
        self.assertEqual(made["tokens"]["random_directions"], 20)
        card = made["layers"][0]["shown"][0]["eigenvectors"][0]["tokens"]["unembedding"]
        self.assertAlmostEqual(card[0][0][1], 0.87270745, delta=1e-5)
        self.assertAlmostEqual(made["corpus"]["losses"][1]["values"][2], 0.0129294, delta=1e-6)
        self.assertEqual(made["converted"]["teacher"], "runs/teacher/model")

    def test_a_surrogate(self):
        made = self.model("half")["decomposition"]
        self.assertEqual(made["surrogate"]["hidden_act"], "silu")
        self.assertAlmostEqual(made["corpus"]["layers"][0]["surrogate"]["bound"], 0.7597014, delta=1e-6)

    def test_a_conversion(self):
        model = self.model("finetune")
        self.assertAlmostEqual(model["conversion"]["test"]["divergence"], 0.0025256, delta=1e-6)
        self.assertEqual(model["conversion"]["samples"]["finished"], "the cat d e e")
        self.assertEqual(len(model["metrics"]["train"]["step"]), 8)


if __name__ == "__main__":
    unittest.main()
