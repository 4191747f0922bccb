"""bilens.plots: what is drawn against the tensors and files that it is of, where it is drawn, and what is refused."""

import contextlib
import doctest
import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings

import matplotlib
import numpy as np
import torch

from python_package import bilens, layer

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend is chosen before)

BLUE, ORANGE = (matplotlib.colors.to_rgba(colour) for colour in (bilens.plots.POSITIVE, bilens.plots.NEGATIVE))


def by_hand(of, u):
    """The matrix that direction u's eigenpairs make."""
    values, vectors = of.eigenvalues[u], of.eigenvectors[u].double()
    return (vectors.T * values @ vectors).numpy()


class Drawn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        gate, matrices = layer(biases=True)
        cls.gate, cls.matrices = gate, matrices
        cls.found = bilens.decompose(gate, **matrices, k=5, certify=True)
        cls.whole = bilens.decompose(gate, **matrices, k=12, dtype="float64").layers[0]
        cls.x = torch.randn(3, 40, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bilens-plots-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.addCleanup(plt.close, "all")
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("error")

    def refuse(self, words, plot, *arguments, kind=bilens.UsageError, **keywords):
        before = plt.get_fignums()
        with self.assertRaisesRegex(kind, words):
            plot(*arguments, **keywords)
        self.assertEqual(plt.get_fignums(), before)  # no empty figure is left for a notebook to show

    def write(self, name, lines):
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


class Spectrum(Drawn):
    def test_bars_of_one_direction(self):
        ax = self.found.plot_spectrum(2)
        values = self.found.eigenvalues[2].numpy()
        bars = list(ax.containers[0])
        np.testing.assert_array_equal([bar.get_height() for bar in bars], values)
        self.assertEqual([bar.get_facecolor() for bar in bars], [ORANGE if v < 0 else BLUE for v in values])
        (band,) = [patch for patch in ax.patches if patch not in bars]
        bound = self.found.certified_bound[2].item()
        np.testing.assert_allclose([band.get_y(), band.get_height()], [-bound, 2 * bound])
        self.assertEqual(ax.get_legend().get_texts()[0].get_text(), "all others (proved)")
        self.assertEqual(ax.get_xlabel(), "eigenvector, by falling |λ|")

    def test_levels_of_several(self):
        ax = self.found.layers[0].plot_spectrum([3, 0])
        blue, orange = ax.collections
        drawn = {}
        for lines, colour in ((blue, BLUE), (orange, ORANGE)):
            self.assertEqual(tuple(lines.get_color()[0]), colour)
            for (left, value), (right, same) in lines.get_segments():
                self.assertEqual(value, same)
                self.assertEqual(value < 0, colour == ORANGE)
                drawn.setdefault(round((left + right) / 2), []).append(value)
        for place, u in enumerate((3, 0)):
            self.assertEqual(sorted(drawn[place]), sorted(self.found.eigenvalues[u].tolist()))
        self.assertEqual([bar.get_height() / 2 for bar in ax.patches], self.found.certified_bound[[3, 0]].tolist())
        self.assertEqual([text.get_text() for text in ax.get_xticklabels()], ["3", "0"])
        self.assertEqual(ax.get_xlabel(), "output direction, 2 of 5")

    def test_no_bound_where_none_was_proved(self):
        ax = self.whole.plot_spectrum()
        self.assertEqual(len(ax.patches), 0)
        self.assertIsNone(ax.get_legend())

    def test_refused(self):
        for directions in (5, -1, True, "0", 1.0, [], [0, 5]):
            self.refuse("direction", self.found.plot_spectrum, directions)
        self.refuse("of: expected", bilens.plots.plot_spectrum, self.found.eigenvalues)
        factors = bilens.decompose(self.gate, **self.matrices, method="hosvd")
        self.refuse("expected a tensor eigenvalues", factors.plot_spectrum)
        many = bilens.decompose(torch.nn.Sequential(bilens.nn.BilinearMLP(4, 8), bilens.nn.BilinearMLP(4, 8)), k=1)
        self.refuse("a single layer", many.plot_spectrum)


class Where(Drawn):
    """ax= and figsize= of every function."""

    def plots(self):
        self.write("metrics.jsonl", [{"step": 1, "loss": 2.0}, {"step": 1, "split": "validation", "loss": 2.5}])
        figures = {"loss": 2.4, "teacher_loss": 2.0, "layer_r2": [0.9, 0.8]}
        self.write("finetune.json", [{"untrained": figures, "validation": figures}])
        of = self.found
        return {
            "spectrum": (1, of.plot_spectrum),
            "eigenvectors": (3, lambda **where: of.plot_eigenvectors((3, 4), count=3, **where)),
            "truncation": (1, lambda **where: of.plot_truncation(self.x, **where)),
            "interactions": (1, of.plot_interactions),
            "training": (1, lambda **where: bilens.plots.plot_training(self.folder, **where)),
            "steps": (1, lambda **where: bilens.plots.plot_spectra_over_steps([of, of], steps=[0, 1], **where)),
            "contexts": (1, lambda **where: bilens.plots.plot_contexts([["a", " b"]], [[0.5, -1.0]], **where)),
            "conversion": (2, lambda **where: bilens.plots.plot_conversion(self.folder, **where)),
        }

    def test_a_figure_of_its_own(self):
        for name, (count, plot) in self.plots().items():
            with self.subTest(name):
                drawn = np.array(plot(figsize=(5.5, 2.25)), dtype=object).ravel()
                self.assertEqual(len(drawn), count)
                np.testing.assert_allclose(drawn[0].figure.get_size_inches(), (5.5, 2.25))
                self.assertIsNot(plot()[0].figure if count > 1 else plot().figure, drawn[0].figure)
                for wrong in ((5,), 5, (0, 1), ("a", "b"), (float("inf"), 1)):
                    self.refuse("figsize: expected width and height in inches", plot, figsize=wrong)

    def test_given_axes(self):
        for name, (count, plot) in self.plots().items():
            with self.subTest(name):
                figure, given = plt.subplots(1, count, squeeze=False, figsize=(7, 3))
                figures = plt.get_fignums()
                drawn = plot(ax=given if count > 1 else given[0, 0])
                self.assertEqual(list(np.array(drawn, dtype=object).ravel()), list(given[0]))
                self.assertEqual(plt.get_fignums(), figures)
                self.assertEqual(tuple(figure.get_size_inches()), (7, 3))
                self.assertTrue(all(ax.has_data() for ax in given[0]))
                self.refuse("figsize: expected none beside ax", plot, ax=given, figsize=(3, 3))
                self.refuse("ax: expected", plot, ax=figure)
                self.refuse("ax: expected", plot, ax=[*given[0], given[0, 0]])

    def test_vector_graphics(self):
        for name, (_, plot) in self.plots().items():
            for kind in ("pdf", "svg"):
                with self.subTest(name, kind=kind):
                    drawn = io.BytesIO()
                    np.array(plot(), dtype=object).ravel()[0].figure.savefig(drawn, format=kind)
                    self.assertIn(b"%PDF" if kind == "pdf" else b"<svg", drawn.getvalue()[:1000])
                    pixels = drawn.getvalue().count(b"/Subtype /Image" if kind == "pdf" else b"<image")
                    self.assertEqual(bool(pixels), name in ("eigenvectors", "interactions", "contexts"))  # scales too


class Contexts(Drawn):
    def test_each_token_has_the_colour_of_its_number(self):
        tokens = [["▁Once", "▁upon", "\n", ""], [], ["x" * 200]]
        values = [torch.tensor([0.0, 2.0, -2.0, 1.0]), [], np.array([0.5])]
        ax = bilens.plots.plot_contexts(tokens, values, label="p", figsize=(4, 2))
        texts, cells = ax.texts, ax.patches
        self.assertEqual(len(texts), len(cells))
        self.assertEqual([text.get_text() for text in texts[:4]], ["▁Once", "▁upon", "↵", "∅"])
        self.assertEqual("".join(text.get_text() for text in texts[4:]), "x" * 200)  # in several lines
        colours = [cell.get_facecolor() for cell in cells]
        self.assertEqual(colours[0], (1, 1, 1, 1))
        self.assertGreater(colours[1][2], colours[1][0])  # blue
        self.assertGreater(colours[2][0], colours[2][2])  # orange
        np.testing.assert_allclose(colours[3], BLUE, atol=0.01)  # half of the largest
        # No cell lies over another, or beyond the Axes.
        columns, lines = ax.get_xlim()[1], ax.get_ylim()[0]
        places = [(round(c.get_y(), 3), c.get_x(), c.get_x() + c.get_width()) for c in cells]
        self.assertEqual(places, sorted(places))
        for (line, _, end), (below, begin, _) in zip(places, places[1:]):
            self.assertTrue(below > line or begin >= end)
        self.assertLessEqual(max(end for _, _, end in places), columns)
        self.assertLess(places[-1][0], lines)

    def test_refused(self):
        plot = bilens.plots.plot_contexts
        self.refuse("values: expected 1 contexts", plot, [["a"]], [])
        self.refuse(r"values\[0\]: expected a finite number for each of 2 tokens", plot, [["a", "b"]], [[1.0]])
        self.refuse("some that are not finite", plot, [["a"]], [[float("nan")]])
        self.refuse(r"tokens\[0\]: expected a list of texts", plot, ["ab"], [[1.0, 2.0]])
        self.refuse("contexts with tokens, found none", plot, [[]], [[]])


class Eigenvectors(Drawn):
    def test_images(self):
        panels = self.found.plot_eigenvectors((3, 4), direction=1, count=4)
        vectors = self.found.eigenvectors[1, :4].double().numpy()
        self.assertEqual(panels.shape, (4,))
        for i, ax in enumerate(panels):
            (image,) = ax.images
            np.testing.assert_array_equal(image.get_array(), vectors[i].reshape(3, 4))
            self.assertEqual(image.get_clim(), (-abs(vectors).max(), abs(vectors).max()))
            value = f"{self.found.eigenvalues[1, i].item():+.3g}".replace("-", "−")
            self.assertEqual(ax.get_title(), f"{i}: λ = {value}")
        colours = panels[0].images[0].cmap
        np.testing.assert_allclose(colours(0.5), (1, 1, 1, 1), atol=1e-9)
        self.assertGreater(colours(0.8)[2], colours(0.8)[0])
        self.assertLess(colours(0.2)[2], colours(0.2)[0])

    def test_the_shape_of_a_classifiers_images(self):
        found = bilens.decompose(self.gate, **self.matrices, k=5)
        found.info["image_shape"] = [2, 6]
        self.refuse("shape: .*found none", found.plot_eigenvectors)  # the eigenvectors are not over pixels
        found.layers[0].info["input_space"] = "input"
        panels = found.plot_eigenvectors()
        self.assertEqual(panels[0].images[0].get_array().shape, (2, 6))
        self.assertEqual(len(panels), 5)

    def test_refused(self):
        plot = self.found.plot_eigenvectors
        self.refuse("shape: expected height and width of images of 12 pixels, found none", plot)
        for shape in ((3, 5), 12, (12,), (3.0, 4.0), (-3, -4), "34"):
            self.refuse("shape: expected height and width", plot, shape)
        for count in (0, 6, True, 1.5):
            self.refuse("count: expected a number from 1 to 5", plot, (3, 4), count=count)
        self.refuse("direction", plot, (3, 4), direction=5)


class Truncation(Drawn):
    def test_r2(self):
        """Of one direction, beside the layer's own outputs in numpy."""
        gate, doubles = self.gate.double(), {key: matrix.double() for key, matrix in self.matrices.items()}
        hidden = (self.x @ gate.T + doubles["gate_bias"]) * (self.x @ doubles["up"].T + doubles["up_bias"])
        y = hidden @ doubles["down"].T + doubles["down_bias"]
        target, rows = y[..., 3].reshape(-1).numpy(), self.x.reshape(-1, 12)
        ax = self.whole.plot_truncation(self.x, y, direction=3)
        values, vectors = self.whole.eigenvalues[3], self.whole.eigenvectors[3]
        linear = rows @ self.whole.tensors["linear"][3] + self.whole.tensors["constant"][3]
        for k, r2 in zip(*ax.lines[0].get_data()):
            form = ((rows @ vectors[:k].T).square() @ values[:k] + linear).numpy()
            np.testing.assert_allclose(form, self.whole.truncate(int(k))(rows)[:, 3], rtol=0, atol=1e-12)
            expected = 1 - np.square(target - form).sum() / np.square(target - target.mean()).sum()
            self.assertAlmostEqual(r2, expected, places=10)
        self.assertEqual(list(ax.lines[0].get_xdata()), list(range(13)))
        self.assertEqual((ax.get_xlabel(), ax.get_ylabel()), ("eigenpairs k", "R² beside the layer"))

    def test_error_and_quartiles(self):
        ax = self.whole.plot_truncation(self.x, measure="error")
        full = self.whole.truncate(12)(self.x).reshape(-1, 5)
        line = ax.lines[0].get_data()
        self.assertEqual(list(line[0]), list(range(12)))  # k = 12 has error 0
        for k, error in zip(*line):
            each = (self.whole.truncate(int(k))(self.x).reshape(-1, 5) - full).norm(dim=0) / full.norm(dim=0)
            self.assertAlmostEqual(error, each.median().item(), places=12)
        self.assertEqual(ax.get_yscale(), "log")
        band = ax.collections[0].get_paths()[0].vertices
        each = ((self.whole.truncate(0)(self.x).reshape(-1, 5) - full).norm(dim=0) / full.norm(dim=0)).numpy()
        at_zero = band[band[:, 0] == 0, 1]
        np.testing.assert_allclose((at_zero.min(), at_zero.max()), np.quantile(each, [0.25, 0.75]), rtol=1e-12)

    def test_many_pairs(self):
        gate, matrices = layer(d_in=80, d_hidden=90, d_out=1)
        whole = bilens.decompose(gate, **matrices, k=80, dtype="float64")
        ks = list(whole.plot_truncation(torch.randn(20, 80)).lines[0].get_xdata())
        self.assertEqual((ks[:4], ks[-1]), ([0, 1, 2, 3], 80))
        self.assertEqual(ks, sorted(set(ks)))
        self.assertLess(len(ks), 32)

    def test_refused(self):
        plot = self.whole.plot_truncation
        self.refuse("inputs", plot, torch.ones(3, 11))
        self.refuse("x: expected a torch tensor", plot, [[1.0] * 12])
        self.refuse("x: expected outputs that vary", plot, torch.ones(4, 12))
        self.refuse("x: expected outputs that vary", plot, self.x[0, :1])
        self.refuse("y: expected what x gives", plot, self.x, torch.ones(119, 5))
        self.refuse("y: expected what x gives", plot, self.x, torch.ones(120, 4))
        self.refuse('measure: expected "r2" or "error"', plot, self.x, measure="R2")
        self.refuse("direction", plot, self.x, direction=-1)


class Interactions(Drawn):
    def test_the_matrix_of_the_eigenpairs(self):
        for of, note in ((self.whole, ""), (self.found, ", 5 eigenpairs")):
            ax = of.plot_interactions(3)
            image = ax.images[0]
            np.testing.assert_allclose(image.get_array(), by_hand(of, 3), rtol=0, atol=1e-14)
            largest = abs(image.get_array()).max()
            self.assertEqual(image.get_clim(), (-largest, largest))
            self.assertEqual(ax.get_title(), "direction 3" + note)
            self.assertEqual((ax.get_xlabel(), ax.get_ylabel()), ("input j", "input i"))

    def test_of_weights(self):
        mlp = bilens.BilinearLayer(self.gate.T, self.matrices["up"].T, self.matrices["down"].T)
        u = torch.randn(5)
        ax = bilens.plots.plot_interactions(mlp, u=u)
        np.testing.assert_array_equal(ax.images[0].get_array(), mlp.Q(u).numpy())
        self.refuse("u: expected a direction", bilens.plots.plot_interactions, mlp)
        self.refuse("u: expected one direction", bilens.plots.plot_interactions, mlp, u=torch.ones(2, 5))

    def study(self, **changes):
        """Files of a decomposition with a study of tokens, as docs/formats.md has them."""
        info = {"layers": [{"layer": 2, "direction_names": ["$a$ − b", "c"]}]}
        study = {"format": "bilens-token-study", "vocabulary": ["▁a", "$x$", "c"]}
        tensors = {
            "layer_2.interactions.tokens": np.array([[[0, 1], [2, 2]], [[0, 2], [1, 1]]], dtype="<i4"),
            "layer_2.interactions.values": np.array([[3.0, -2.0], [1.0, 0.5]]),
            "layer_2.interactions.bounds": np.array([[0.25, np.nan], [1.0, 2.0]]),
        }
        header, content = {"__metadata__": {"format": "bilens-token-study"}}, b""
        for name, tensor in tensors.items():
            kind = {"i": "I32", "f": "F64"}[tensor.dtype.kind]
            offsets = [len(content), len(content) + tensor.nbytes]
            header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": offsets}
            content += tensor.tobytes()
        text = json.dumps(header).encode()
        (self.folder / "study.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content)
        self.write("decomposition.json", [info])
        self.write("study.json", [{**study, **changes}])

    def test_pairs_of_tokens(self):
        self.study()
        ax = bilens.plots.plot_interactions(self.folder)
        self.assertEqual([bar.get_width() for bar in ax.patches], [3.0, -2.0])
        self.assertEqual([bar.get_facecolor() for bar in ax.patches], [BLUE, ORANGE])
        self.assertEqual([text.get_text() for text in ax.get_yticklabels()], ["▁a × $x$", "c"])
        self.assertFalse(any(text.get_parse_math() for text in [*ax.get_yticklabels(), ax.title]))
        self.assertEqual(ax.get_title(), "layer 2, $a$ − b")
        whiskers = [segment for lines in ax.collections for segment in lines.get_segments()]
        np.testing.assert_allclose(whiskers, [[(2.75, 0), (3.25, 0)]])
        one = bilens.plots.plot_interactions(str(self.folder), 1, count=1)
        self.assertEqual([bar.get_width() for bar in one.patches], [1.0])

    def test_refused_folders(self):
        plot = bilens.plots.plot_interactions
        self.refuse("expected a decomposition", plot, self.folder, kind=bilens.InputError)
        self.study()
        self.refuse("layer: expected one of 2", plot, self.folder, layer=0)
        for direction in (2, -1, True, "0"):
            self.refuse("direction: expected", plot, self.folder, direction)
        for count in (0, 1.5, True):
            self.refuse("count: expected", plot, self.folder, count=count)
        self.study(vocabulary=["a", "b"])
        self.refuse("a vocabulary of 2", plot, self.folder, kind=bilens.InputError)
        self.study(format="bilens-study", tokens=None)
        self.refuse("a study of tokens", plot, self.folder, kind=bilens.InputError)
        self.study()
        whole = (self.folder / "study.safetensors").read_bytes()
        for damaged in (whole[:-1], whole[:50], b"", whole.replace(b"interactions.values", b"interactions.valves")):
            (self.folder / "study.safetensors").write_bytes(damaged)
            self.refuse("study.safetensors", plot, self.folder, kind=bilens.InputError)

    def test_arguments_of_other_kinds(self):
        plot = bilens.plots.plot_interactions
        mlp = bilens.BilinearLayer(self.gate.T, self.matrices["up"].T, self.matrices["down"].T)
        for name, value in {"layer": 0, "count": 3, "direction": 0}.items():
            self.refuse(f"{name}: expected none for a BilinearLayer", plot, mlp, u=torch.ones(5), **{name: value})
        for name, value in {"layer": 0, "count": 3, "u": torch.ones(5)}.items():
            self.refuse(f"{name}: expected none for a Decomposition", plot, self.found, **{name: value})
        self.refuse("u: expected none", plot, self.folder, u=torch.ones(5))
        self.refuse("of: expected", plot, self.gate)


class Runs(Drawn):
    def training(self, steps, **more):
        lines = [{"step": i, "loss": 3 / i, "lr": None, "accuracy": 1 - 1 / i} for i in range(1, steps + 1)]
        lines += [{"step": i, "split": "validation", "loss": 4 / i, **more} for i in (1, steps)]
        lines += [{"step": steps, "split": "test", "loss": 1.5}, {"step": steps, "split": "sample", "text": "once"}]
        self.write("metrics.jsonl", lines)

    def test_losses(self):
        self.training(10, examples=3)
        ax = bilens.plots.plot_training(self.folder)
        drawn = {line.get_label(): line for line in ax.lines}
        self.assertEqual(set(drawn), {"training", "validation", "test"})
        np.testing.assert_array_equal(drawn["training"].get_data(), [range(1, 11), [3 / i for i in range(1, 11)]])
        np.testing.assert_array_equal(drawn["validation"].get_data(), [[1, 10], [4.0, 0.4]])
        np.testing.assert_array_equal(drawn["test"].get_data(), [[10], [1.5]])
        self.assertEqual((ax.get_xlabel(), ax.get_ylabel()), ("step", "loss (nats an image)"))
        accuracy = bilens.plots.plot_training(self.folder, "accuracy")
        self.assertEqual([line.get_label() for line in accuracy.lines], ["training"])
        self.assertEqual(accuracy.lines[0].get_ydata()[-1], 0.9)

    def test_many_steps_and_a_line_that_is_being_written(self):
        self.write("metrics.jsonl", [{"step": i, "loss": float(i % 2)} for i in range(1, 402)])
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write('{"step": 402, "lo')
        ax = bilens.plots.plot_training(self.folder)
        raw, mean = ax.lines
        self.assertEqual(len(raw.get_xdata()), 401)
        self.assertEqual((mean.get_label(), len(mean.get_xdata())), ("mean of 8 steps", 394))
        np.testing.assert_allclose(mean.get_ydata(), 0.5)
        self.assertAlmostEqual(mean.get_xdata()[0], 4.5)
        self.assertEqual(ax.get_ylabel(), "loss (nats a token)")

    def test_what_a_conversion_minimises_is_named(self):
        self.training(3)
        self.write("config.json", [{"teacher": "models/teacher"}])
        ax = bilens.plots.plot_training(self.folder)
        self.assertIn("training, what is minimised", [line.get_label() for line in ax.lines])

    def test_refused_runs(self):
        plot = bilens.plots.plot_training
        self.refuse(r"a run \(metrics.jsonl\)", plot, self.folder, kind=bilens.InputError)
        self.refuse(r"a run \(metrics.jsonl\)", plot, self.folder / "missing", kind=bilens.InputError)
        self.training(3)
        for quantity in ("losses", "text", "split"):
            self.refuse("quantity: expected one of accuracy, loss, lr", plot, self.folder, quantity)
        (self.folder / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n')
        self.refuse("JSON", plot, self.folder, kind=bilens.InputError)
        (self.folder / "metrics.jsonl").write_text("")
        self.refuse("one step or more", plot, self.folder, kind=bilens.InputError)

    def test_a_conversion(self):
        self.training(6)
        before = {"loss": 5.0, "teacher_loss": 1.0, "layer_r2": [0.9, None]}
        after = {"loss": 2.0, "teacher_loss": 1.1, "layer_r2": [0.95, 0.7]}
        self.write("finetune.json", [{"untrained": before, "validation": after}])
        losses, r2 = bilens.plots.plot_conversion(self.folder)
        model, teacher = losses.lines
        np.testing.assert_array_equal(model.get_data(), [[0, 1, 6], [5.0, 4.0, 4 / 6]])
        self.assertEqual(list(teacher.get_ydata()), [1.0, 1.0])
        np.testing.assert_array_equal(r2.lines[0].get_data(), [[0, 1], [0.9, np.nan]])
        np.testing.assert_array_equal(r2.lines[1].get_data(), [[0, 1], [0.95, 0.7]])
        self.write("finetune.json", [{"untrained": None, "validation": None}])
        self.refuse("a validation part", bilens.plots.plot_conversion, self.folder, kind=bilens.InputError)
        (self.folder / "finetune.json").unlink()
        self.refuse("a finished conversion", bilens.plots.plot_conversion, self.folder, kind=bilens.InputError)

    def test_spectra_over_steps(self):
        of = [bilens.decompose(self.gate * s, **self.matrices, k=4) for s in (3.0, 1.0, 2.0)]
        ax = bilens.plots.plot_spectra_over_steps(of, direction=1, steps=[300, 100, 200])
        values = of[1].eigenvalues[1]
        expected = sorted(values[values > 0].tolist(), reverse=True), sorted(values[values < 0].tolist())
        drawn = ax.lines[:-1]  # the last is zero
        self.assertEqual(len(drawn), 4)
        for line, first in zip(drawn, [*expected[0], *expected[1]]):
            self.assertEqual(list(line.get_xdata()), [100, 200, 300])
            np.testing.assert_allclose(line.get_ydata(), [first, 2 * first, 3 * first], rtol=1e-5)
            self.assertEqual(matplotlib.colors.to_rgba(line.get_color()), BLUE if first > 0 else ORANGE)

    def test_steps_by_name(self):
        of = []
        for i, name in enumerate(("step-20", "step-3")):
            model = self.folder / "checkpoints" / name
            of.append(bilens.decompose(self.gate * (i + 1), **self.matrices, k=1))
            of[-1].info["model"] = str(model)
        ax = bilens.plots.plot_spectra_over_steps(of)
        self.assertEqual(list(ax.lines[0].get_xdata()), [3, 20])
        of[0].save(self.folder / "saved")
        self.refuse("no step-N", bilens.plots.plot_spectra_over_steps, [self.folder / "saved", of[1]])
        opened = bilens.plots.plot_spectra_over_steps([self.folder / "saved", of[1]], steps=[20, 3])
        np.testing.assert_array_equal(opened.lines[0].get_data(), ax.lines[0].get_data())

    def test_refused_steps(self):
        plot = bilens.plots.plot_spectra_over_steps
        self.refuse("a list of two or more", plot, self.found)
        self.refuse("a list of two or more", plot, [self.found], steps=[0])
        self.refuse("steps: expected 2 numbers", plot, [self.found] * 2, steps=[0])
        self.refuse("steps: expected 2 numbers", plot, [self.found] * 2, steps=[0, float("nan")])
        self.refuse("steps: expected 2 numbers", plot, [self.found] * 2, steps=["a", "b"])
        self.refuse("count: expected", plot, [self.found] * 2, steps=[0, 1], count=6)
        self.refuse("direction", plot, [self.found] * 2, 5, steps=[0, 1])


class Package(unittest.TestCase):
    def test_examples(self):
        self.addCleanup(plt.close, "all")
        names = {"bilens": bilens, "torch": torch}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            failed, tried = doctest.testmod(bilens.plots, extraglobs=names)
        self.assertEqual(failed, 0, printed.getvalue())
        self.assertGreater(tried, 8)

    def test_matplotlib_is_asked_for_only_when_something_is_drawn(self):
        script = (
            "import sys; sys.modules['matplotlib'] = None; import bilens, torch\n"
            "d = bilens.decompose(torch.eye(2), torch.eye(2), torch.eye(2), k=1)\n"
            "try: d.plot_spectrum()\nexcept ImportError as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.stdout, "plots need matplotlib: pip install 'bilens[plot]'\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
