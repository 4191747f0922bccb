"""What is no model of ours says what it is, and the next command to type."""

import gzip
import io
import json
import pickle
import tarfile
import unittest
import zipfile

import numpy as np
from safetensors.numpy import save_file

from bilens_cli import TestCase, run, write_idx_folder
from language_models import write_llama


class ForeignFiles(TestCase):
    def refuse(self, name, content, *words):
        path = self.write(name, content)
        for command in ("inspect", "convert"):
            result = run(command, path, *([self.folder / "out"] if command == "convert" else []))
            self.check(result, 3, str(path), *words)
            self.assertFalse((self.folder / "out").exists())

    def test_texts(self):
        self.refuse(
            "README.md", "# A model\n\nIt is 8317697078098796579 years old. " * 40, "a text file", "weight file"
        )
        self.refuse("notes", "größer als ein Schluß" + "é" * 600, "a text file")
        self.refuse("x.pt", "nothing that anybody knows", "a text file")

    def test_weights_of_other_programs(self):
        self.refuse("w.gguf", b"GGUF\3\0\0\0" + bytes(100), "GGUF", "model.safetensors")
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(3))
        self.refuse("w.npy", buffer.getvalue(), "NumPy array", "save_file")
        buffer = io.BytesIO()
        np.savez(buffer, a=np.zeros(3), b=np.ones(2))
        self.refuse("w.npz", buffer.getvalue(), "NumPy arrays (.npz)", "save_file")
        self.refuse("w.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5")
        self.refuse("w.onnx", b"\x08\x07\x12\x07pytorch" + bytes(100), "ONNX")
        self.refuse("w.pkl", pickle.dumps({"a": [1, 2]}), "another pickle of Python", "state_dict")
        self.refuse("tokenizer.model", b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\2" + bytes(30), "a tokenizer")

    def test_archives(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("model/config.json"), io.BytesIO())
        self.refuse("w.tar", buffer.getvalue(), "a tar archive", "tar -xf")
        self.refuse("w.tar.gz", gzip.compress(buffer.getvalue()), "a gzip file", "tar -xzf")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("model/config.json", "{}")
        self.refuse("w.zip", buffer.getvalue(), "another zip archive", "unzip")
        buffer = io.BytesIO()
        zipfile.ZipFile(buffer, "w").close()
        self.refuse("empty.pt", buffer.getvalue(), "an empty zip archive", "write the file again")


class ForeignFolders(TestCase):
    def refuse(self, files, *words, config=None):
        folder = self.folder / "models" / f"m{len(list(self.folder.glob('models/*')))}"
        for name, content in files.items():
            self.write(str((folder / name).relative_to(self.folder)), content)
        words = [word.replace("FOLDER", str(folder)) for word in words]
        for command in (["inspect"], ["evaluate", "--data", "tokens:x"], ["decompose", "--out", self.folder / "d"]):
            self.check(run(command[0], folder, *command[1:]), 3, str(folder), *words)
        self.check(run("convert", folder, self.folder / "out"), 3, str(folder), *words)
        return folder

    def test_layouts(self):
        self.refuse({"lit_model.pth": b""}, "LitGPT", "model_config.yaml", "FOLDER")
        self.refuse({"ckpt.pt": b""}, "bilens convert FOLDER/ckpt.pt OUT")
        self.refuse({"model-q4.gguf": b"GGUF"}, "GGUF files of llama.cpp", "Hugging Face's layout")
        self.refuse({"config.json.txt": "", "tf_model.h5": b""}, "TensorFlow", "from_tf=True")
        self.refuse({"consolidated.00.pth": b""}, "without its params.json")

    def test_an_adapter(self):
        folder = self.folder / "models" / "m0"
        folder.mkdir(parents=True)
        self.refuse(
            {"adapter_config.json": json.dumps({"base_model_name_or_path": "owner/base"}), "adapter_model.bin": b""},
            "an adapter (LoRA) without owner/base",
            "merge_and_unload",
        )
        save_file({"base.lora_A.weight": np.zeros((2, 3), "f4")}, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text("{}")
        self.check(run("inspect", folder), 3, "an adapter (LoRA) without its base")

    def test_a_quantised_checkpoint(self):
        """Its tensors may have names and shapes of weights, as float8 codes have, and be no numbers of the model."""
        model = self.folder / "model"
        write_llama(model)
        config = json.loads((model / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
        (model / "config.json").write_text(json.dumps(config))
        self.check(run("inspect", model), 0)
        tokens = self.write("tokens.bin", bytes(200))
        for command in (
            ["decompose", model, "--out", self.folder / "d"],
            ["evaluate", model, "--data", f"tokens:{tokens}", "--context", 16],
            ["convert", model, self.folder / "out"],
        ):
            self.check(run(*command), 3, "quantization_config: expected none", 'found "fp8"', "dequantize()")
        self.assertFalse((self.folder / "out").exists())
        config["quantization_config"] = None
        (model / "config.json").write_text(json.dumps(config))
        self.check(run("decompose", model, "--out", self.folder / "d", "--set", "analyses=[]"), 0)

    def test_a_batch_names_it_and_goes_on(self):
        good = self.folder / "models" / "good"
        good.mkdir(parents=True)
        rng = np.random.default_rng(0)
        save_file(
            {
                "gate_proj.weight": rng.standard_normal((4, 3), "f4"),
                "up_proj.weight": rng.standard_normal((4, 3), "f4"),
                "down_proj.weight": rng.standard_normal((3, 4), "f4"),
            },
            good / "model.safetensors",
        )
        self.write("models/lit/lit_model.pth", b"")
        (good / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_act": "linear"}))
        result = run("decompose", self.folder / "models", "--out", self.folder / "d", "--set", "k=1")
        self.check(result, 3, "LitGPT")
        self.assertIn("1 of 2 models done", result.stdout)


class OtherLayoutsOfImages(TestCase):
    def test_the_folder_or_the_renaming_is_named(self):
        write_idx_folder(self.folder / "root/MNIST/raw")
        train = lambda path: run(
            "train", self.small_config(path, data={"path": str(path)}), "--out", self.folder / "run"
        )
        self.check(train(self.folder / "root"), 3, "torchvision", f"mnist:{self.folder}/root/MNIST/raw")
        self.check(train(self.folder / "root/MNIST/raw"), 0)
        dotted = write_idx_folder(self.folder / "dotted")
        for path in list(dotted.iterdir()):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
        self.check(train(dotted), 3, "7-Zip", "mv $f ${f/.idx/-idx}")


if __name__ == "__main__":
    unittest.main()
