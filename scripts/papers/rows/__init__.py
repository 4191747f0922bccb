"""All rows, in the order of the page."""

from papers.rows.challenge import CHALLENGE
from papers.rows.cp import CP
from papers.rows.epochs import EPOCHS
from papers.rows.masks import MASKS
from papers.rows.modular import MODULAR
from papers.rows.noise import NOISE
from papers.rows.rank_grid import RANK_GRID
from papers.rows.regularisation import REGULARISATION, REGULARISATION_FASHION
from papers.rows.robustness import ROBUSTNESS
from papers.rows.similarity import SIMILARITY
from papers.rows.tinystories import TINYSTORIES
from papers.rows.truncation import TRUNCATION

ROWS = (
    NOISE,
    REGULARISATION,
    REGULARISATION_FASHION,
    RANK_GRID,
    TRUNCATION,
    SIMILARITY,
    MASKS,
    ROBUSTNESS,
    CHALLENGE,
    CP,
    EPOCHS,
    TINYSTORIES,
    MODULAR,
)
