"""The direction of dependence: every include against cmake/layers.txt, and the house rules about headers."""

import os
import pathlib
import re
import shutil
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)
SOURCES = {".h", ".cpp", ".cu", ".in"}


# Stages that nothing includes.
MODULES = {"python"}


def read_layers(root):
    """{stage: the stages it may include, its own and those below what its row names}"""
    rows = {}
    for line in (root / "cmake/layers.txt").read_text().splitlines():
        if match := re.fullmatch(r"([a-z]+): *(.*)", line):
            rows[match[1]] = match[2].split()
    allowed = {}
    for stage, below in rows.items():  # a row names rows above it only
        allowed[stage] = {stage}.union(*(allowed[b] for b in below))
    return allowed


def source_files(root):
    for top in ("include/bilens", "src"):
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and path.suffix in SOURCES:
                yield path, path.relative_to(root / top).parts[0]


def violations(root):
    """Everything against the rules, as "path: what"."""
    allowed, found = read_layers(root), []
    for path, stage in source_files(root):
        where = path.relative_to(root)
        if stage not in allowed:
            found.append(f"{where}: no stage of layers.txt")
            continue
        text = path.read_text()
        public = where.parts[0] == "include"
        for include in INCLUDE.findall(text):
            parts = include.split("/")
            if parts[0] == "bilens" and (len(parts) < 3 or parts[1] not in allowed[stage]):
                found.append(f"{where}: includes {include}")
            elif ".." in parts:
                found.append(f"{where}: includes {include}, out of its folder")
            if parts[0] == "spdlog" and str(where) != "src/core/log.cpp":
                found.append(f"{where}: includes {include}; only src/core/log.cpp may")
            if stage == "core" and parts[0] in ("torch", "ATen", "c10", "caffe2"):
                found.append(f"{where}: includes {include}; core has no torch")
            if public and include == "torch/torch.h":
                found.append(f"{where}: includes torch/torch.h")
        if public and re.search(r"^\s*#\s*(if|ifdef|ifndef|elif)\b", text, re.M):
            found.append(f"{where}: conditional compilation in a public header")
    for top, without in (("include/bilens", MODULES), ("src", set())):
        folders = {p.name for p in (root / top).iterdir() if p.is_dir()}
        found += [f"{top}/{name}: in layers.txt, but not there" for name in sorted(set(allowed) - folders - without)]
        found += [f"{top}/{name}: not in layers.txt" for name in sorted(folders - set(allowed))]
    return found


# Takes a key of a JSON object by its name, or catches what the JSON library throws. Names of tensors have dots.
JSON_KEY = re.compile(r'\.(?:at|value|contains)\("\w+"|\["\w+"\]|Json::exception')
# What a page gets is no file of ours: the report names its keys where it sets them, and reads none.
KEY_THAT_IS_SET = re.compile(r'\["\w+"\](?= =[^=])')
STAGES_WITHOUT_KEYS = ("model", "train", "analysis", "study", "report", "run", "cli")
FAMILIES = "src/model/families"
PARSERS_OF_CONFIGS = {
    FAMILIES: "the configs of other programs",
    "src/model/architecture.cpp": "Hugging Face's config.json: the part of it that is a decoder's",
    "src/model/decoder_config.cpp": "Hugging Face's config.json",
    "src/model/generation_config.cpp": "Hugging Face's generation_config.json",
    "src/model/rope_config.cpp": "Hugging Face's config.json: rope_scaling",
    "src/model/stored_model.cpp": "Hugging Face's config.json: quantization_config",
    "src/model/training_decoder.cpp": "the model of a training config, in the keys of Hugging Face's config.json",
    "src/run/train/job_kind.cpp": "what kind of config it is, which tells the table that is to read it",
    "src/cli/config_keys.cpp": "no file: the keys that a JSON Schema lists",
    "src/cli/flags.cpp": "no JSON: flags as cxxopts has parsed them",
}

FAMILY = re.compile(r"\w*(?:llama|mistral|qwen|gemma|olmo|stablelm|phi_?3|smollm|gpt_?2)\w*", re.I)
FAMILY_NAMES_ELSEWHERE = {
    r"(?:is_|bad_)?llama2c_?|Llama2c(?:File|Header)": "a format of files, as safetensors is one",
    r"(?:as_|is_a_|becomes_)llama_?": "the layout of tensors that decoders of other families are written in",
    r"k?[Ll]lama3": "a rope_type that models of any family may have, and a layout of llm.c's token files",
    r"gpt2|kGpt2Words": "a layout of llm.c's token files, and a pattern of tokenizers",
    r"LlamaTokenizer": "the class that reads SentencePiece models in transformers",
}
TOKEN = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|//.*""")  # a string, a character, a comment
LIST_OF_FAMILIES = "src/model/family.cpp"


def without_words(text):
    """Source text without comments, and without the strings that people read: those with a space in them."""
    return TOKEN.sub(lambda token: token[0] if token[0][0] == '"' and " " not in token[0] else '""', text)


def family_namers(root):
    """{file: names of families in its own name and its identifiers} outside the families' folder."""
    argued = re.compile("|".join(FAMILY_NAMES_ELSEWHERE))
    found = {}
    for path, _ in source_files(root):
        where = str(path.relative_to(root))
        if where.startswith(FAMILIES) or where == LIST_OF_FAMILIES:
            continue
        names = set(FAMILY.findall(where + "\n" + without_words(path.read_text())))
        if named := sorted(name for name in names if not argued.fullmatch(name)):
            found[where] = named
    return found


def key_readers(root):
    """Files above the records that take keys of JSON objects by their names: the tables of files do that."""
    found = []
    for path, stage in source_files(root):
        where, text = str(path.relative_to(root)), path.read_text()
        if stage == "report":
            text = KEY_THAT_IS_SET.sub("", text)
        if stage in STAGES_WITHOUT_KEYS and JSON_KEY.search(text):
            found.append(FAMILIES if where.startswith(FAMILIES) else where)
    return sorted(set(found))


class Layering(unittest.TestCase):
    def test_families_are_named_in_their_folder_alone(self):
        self.assertEqual(family_namers(ROOT), {})
        listed = without_words((ROOT / LIST_OF_FAMILIES).read_text())
        self.assertGreater(len(set(FAMILY.findall(listed))), 10)

    def test_files_are_read_through_records(self):
        self.assertEqual(key_readers(ROOT), sorted(PARSERS_OF_CONFIGS))

    def test_every_include_follows_the_table(self):
        files = list(source_files(ROOT))
        self.assertGreater(len(files), 60)
        self.assertEqual(violations(ROOT), [])

    def test_the_table_is_the_one_of_the_design(self):
        allowed = read_layers(ROOT)
        self.assertEqual(allowed["core"], {"core"})
        self.assertEqual(allowed["records"], {"core", "tensor", "io", "records"})
        self.assertEqual(allowed["analysis"], allowed["records"] | {"analysis"})
        self.assertNotIn("model", allowed["report"])
        self.assertEqual(allowed["cli"], set(allowed) - MODULES)

    def test_headers_of_commands_are_for_the_stages_above(self):
        """What nobody but `run` itself needs lies in its own folders."""
        folders = ("src/cli/*", "src/python/*.cpp", "tests/*/*.cpp", "include/bilens/run/*.h")
        users = [path for folder in folders for path in ROOT.glob(folder)]
        used = {include for path in users for include in INCLUDE.findall(path.read_text())}
        idle = [path.name for path in ROOT.glob("include/bilens/run/*.h") if f"bilens/run/{path.name}" not in used]
        self.assertEqual(idle, [])

    def test_tests_have_no_other_stages(self):
        own = {"support", "cli", "fuzz", "layering", "scripts"}
        for path in (ROOT / "tests").iterdir():
            if path.is_dir() and path.name != "__pycache__" and any(path.glob("*.cpp")):
                self.assertIn(path.name, set(read_layers(ROOT)) | own)


class Planted(unittest.TestCase):
    """Each rule is broken once in a copy, and found."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bilens-layers-"))
        self.addCleanup(shutil.rmtree, self.root)
        for part in ("include", "src", "cmake"):
            shutil.copytree(ROOT / part, self.root / part)

    def plant(self, path, line):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a") as stream:
            stream.write(line + os.linesep)
        found = [v for v in violations(self.root) if v not in violations(ROOT)]
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(path.rsplit("/planted", 1)[0]), found)

    def test_a_stage_that_looks_up(self):
        self.plant("src/analysis/planted.cpp", '#include "bilens/model/image_classifier.h"')

    def test_a_stage_that_looks_up_from_a_public_header(self):
        self.plant("include/bilens/io/idx.h", "#  include <bilens/data/image_dataset.h>")

    def test_a_stage_that_looks_aside(self):
        self.plant("src/nn/planted.cpp", '#include "bilens/io/weights.h"')

    def test_a_detour(self):
        self.plant("src/nn/planted.cpp", '#include "../io/weights.h"')

    def test_a_family_elsewhere(self):
        (self.root / "src/run/planted.cpp").write_text('if (type == "qwen2") return read_phi3_rope();')
        (self.root / "src/run/olmo_things.h").write_text('// a Gemma\nconst char* words = "a Qwen, or a Mistral";')
        found = {"src/run/planted.cpp": ["qwen2", "read_phi3_rope"], "src/run/olmo_things.h": ["olmo_things"]}
        self.assertEqual(family_namers(self.root), found)

    def test_a_key_by_its_name(self):
        planted = {
            "src/study/planted.cpp": 'const auto loss = json.at("loss");',
            "src/cli/planted.cpp": 'config["directions"]["seed"] = 3;',
            "src/report/planted.cpp": 'data["seed"] = json["seed"];',
        }
        for path, text in planted.items():
            (self.root / path).write_text(text)
        (self.root / "src/report/page_data.cpp").write_text('data["seed"] = seed;')
        self.assertEqual(set(key_readers(self.root)) - set(key_readers(ROOT)), set(planted))

    def test_torch_in_core(self):
        self.plant("src/core/planted.cpp", "#include <ATen/ATen.h>")

    def test_spdlog_elsewhere(self):
        self.plant("src/cli/planted.cpp", "#include <spdlog/spdlog.h>")

    def test_the_large_torch_header_in_public(self):
        self.plant("include/bilens/nn/gate.h", "#include <torch/torch.h>")

    def test_conditions_in_public(self):
        self.plant("include/bilens/nn/gate.h", "#ifdef BILENS_CUDA")

    def test_a_folder_that_the_table_does_not_know(self):
        (self.root / "src/extra").mkdir()
        found = [v for v in violations(self.root) if v not in violations(ROOT)]
        self.assertEqual(found, ["src/extra: not in layers.txt"])


if __name__ == "__main__":
    unittest.main()
