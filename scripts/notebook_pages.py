"""The notebooks as pages of the documents: a hook of mkdocs that makes Markdown of each, with pictures beside it."""

import base64
import json
import pathlib

from mkdocs.structure.files import File, Files

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "notebooks"


def on_files(files, config):
    """Adds a page for each notebook, notebooks/NAME.md."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        for name, content in pages_of(path).items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return Files(files)


def pages_of(path):
    """{name: content}: the page of a notebook, and its pictures."""
    pictures = {}
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "](../"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{len(pictures)}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![a figure]({name})")
            elif "text/html" in data:
                html = "".join(data["text/html"]).replace("\n", " ")
                parts.append(f'<div style="margin-bottom:24px">{html}</div>')
            else:
                text = "".join(output.get("text") or data["text/plain"])
                parts.append(f"```text\n{text.rstrip()}\n```")
    where = f"*This page is the notebook `notebooks/{path.name}`, with the outputs that it was stored with.*"
    return {f"{path.stem}.md": "\n\n".join([parts[0], where, *parts[1:]]), **pictures}
