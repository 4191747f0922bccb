"""Figures that the pages save stand alone: title, legend, white background, sharp pixels; SVG, PNG and CSV."""

import base64
import re
import struct
import unittest
from xml.etree import ElementTree

import numpy as np

import bilens_cli
from classifiers import write_model
from example_run import CLASSES, SIDE, write_example
from pages import InBrowser

SVG = "{http://www.w3.org/2000/svg}"


class Exports(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_example(cls.folder / "run")
        cls.page = cls.folder / "page.html"
        assert bilens_cli.run("report", cls.folder / "run", "--out", cls.page).returncode == 0
        write_model(cls.folder / "model", d_model=12, d_hidden=12)
        done = bilens_cli.run(
            "explain", cls.folder / "model", "--input", "test:7", "--data", "mnist-5k", "--out", cls.folder / "why"
        )
        assert done.returncode == 0, done.stderr

    def drawing(self, figure):
        return ElementTree.fromstring(self.saved(f"{figure} .exports button:first-child"))

    def words(self, drawing):
        return [text.text for text in drawing.iter(f"{SVG}text") if text.text]

    def assert_stands_alone(self, drawing, *words):
        background = drawing.find(f"{SVG}rect")
        self.assertEqual((background.get("class"), background.get("style")), ("background", "fill: rgb(255, 255, 255)"))
        self.assertEqual(
            (background.get("width"), background.get("height")), (drawing.get("width"), drawing.get("height"))
        )
        text = " ".join(self.words(drawing))
        for word in words:
            self.assertIn(word, text)
        self.assertEqual(drawing.find(f"{SVG}title").text, re.sub(" +", " ", drawing.find(f"{SVG}title").text))
        self.assertNotIn("var(--", ElementTree.tostring(drawing, encoding="unicode"))
        self.assertNotIn(
            "http",
            re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", ElementTree.tostring(drawing, encoding="unicode")),
        )

    def test_charts_have_title_and_legend(self):
        for scheme in ("light", "dark"):
            with self.scheme(scheme):
                self.visit(self.page)
                loss = self.drawing("#training-1 figure")
                self.assert_stands_alone(loss, "Loss over epochs", "training", "validation", "test")
                self.assert_stands_alone(
                    self.drawing(".spectrum"), "Spectrum of class 0, layer 0", "positive", "negative"
                )
                self.assert_stands_alone(
                    self.drawing(".truncation"), "Accuracy with the top k eigenvectors", "full model"
                )
                # Whatever the page, the file is of a light one.
                ink = [part.get("style") for part in loss.iter(f"{SVG}text") if part.text == "epoch"]
                self.assertIn("rgb(92, 98, 105)", ink[0])

    def test_an_eigenvector_is_large_and_sharp(self):
        self.visit(self.page, "#model-1/layer-0/direction-2/eigenvector-3")
        drawing = self.drawing(".selected")
        self.assert_stands_alone(drawing, "Class 2, eigenvector 3, layer 0")
        (image,) = drawing.iter(f"{SVG}image")
        self.assertGreaterEqual(float(image.get("width")), 500)
        self.assertIn("pixelated", image.get("style"))
        scale = self.ask("[...document.querySelectorAll('.selected .colour-bar span')].map((span) => span.textContent)")
        for end in (scale[0], scale[2]):
            self.assertIn(end, self.words(drawing))
        # Each component is a square of one colour, that of the page.
        pixels = np.array(
            self.driver.execute_async_script(
                """const [address, done] = arguments, image = new Image(); image.onload = () => {
            const canvas = document.createElement('canvas'); canvas.width = image.width; canvas.height = image.height;
            const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
            done([image.width, ...context.getImageData(0, 0, image.width, image.height).data]); };
            image.src = address""",
                image.get("href"),
            )
        )
        width, pixels = pixels[0], pixels[1:].reshape(pixels[0], -1, 4)
        times = width // SIDE
        self.assertGreaterEqual(times, 10)
        blocks = (
            pixels.reshape(SIDE, times, SIDE, times, 4).transpose(0, 2, 1, 3, 4).reshape(SIDE * SIDE, times * times, 4)
        )
        self.assertTrue((blocks == blocks[:, :1]).all())
        shown = np.array(
            self.ask("""(() => { const node = document.querySelector('.selected canvas.large');
            return [...node.getContext('2d').getImageData(0, 0, node.width, node.height).data]; })()""")
        ).reshape(-1, 4)
        np.testing.assert_array_equal(blocks[:, 0], shown)

    def test_pixels_too(self):
        self.visit(self.page)
        for figure in (".spectrum", ".selected", ".overview + .exports", "#training-1 figure"):
            button = f"{figure} .exports button:nth-child(2)" if "+" not in figure else f"{figure} button:nth-child(2)"
            address = self.saved(button, "DataURL")
            self.assertTrue(address.startswith("data:image/png;base64,"))
            content = base64.b64decode(address.split(",")[1])
            self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n")
            self.assertGreaterEqual(struct.unpack(">I", content[16:20])[0], 1000)

    def test_the_gallery_of_all_classes(self):
        self.visit(self.page)
        drawing = ElementTree.fromstring(self.saved(".overview + .exports button:first-child"))
        self.assert_stands_alone(
            drawing,
            "Top positive and negative eigenvector of each class, layer 0",
            *(f"Class {c}" for c in range(CLASSES)),
        )
        self.assertEqual(len(list(drawing.iter(f"{SVG}image"))), 2 * CLASSES)
        rows = self.saved(".overview + .exports button:last-child").split("\r\n")[1:-1]
        self.assertEqual([row.split(",")[0] for row in rows], [f"Class {c}" for c in range(CLASSES)])

    def test_an_explanation(self):
        self.visit(self.folder / "why" / "explanation.html", "#class-3")
        self.assert_stands_alone(
            self.drawing(".list"), "The logit of class 3, test:7", "Shared", "Direct", "Logit", "adds", "takes away"
        )
        self.assertGreater(len(list(self.drawing(".list").iter(f"{SVG}image"))), 5)
        self.assert_stands_alone(self.drawing(".logits"), "Logits of test:7", "Class 9")
        self.assert_stands_alone(self.drawing(".input-image"), "The image test:7")
        self.assert_stands_alone(self.drawing(".selected"), "Which strokes count, class 3, test:7")
        lines = self.saved(".list .exports button:last-child").split("\r\n")
        self.assertEqual(lines[0], "part,layer,eigenvector,eigenvalue,projection,value")


if __name__ == "__main__":
    unittest.main()
