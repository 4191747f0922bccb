"""The runs by width that two rows share."""

from papers import images

WIDTHS = (30, 50, 100, 300, 500, 1000)
EPOCHS = 20
ABOUT = (
    f"Widths {', '.join(map(str, WIDTHS))}, noise .4, weight decay 1, {EPOCHS} epochs on MNIST, of which a tenth is "
    "kept back for validation."
)


def config(width, seed):
    changes = {
        "model.d_model": width,
        "model.d_hidden": width,
        "train.input_noise.std": 0.4,
        "train.epochs": EPOCHS,
        "data.validation_fraction": 0.1,
    }
    return images.config(seed, changes)
