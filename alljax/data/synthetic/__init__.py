"""Drawn cells in the shape of ALL-IDB2, for demos and tests: stained-smear crops of L1, L2, L3 and normal cells."""

from alljax.data.synthetic.appearance import CLASSES
from alljax.data.synthetic.cell import Drawing, draw
from alljax.data.synthetic.folder import Planned, plan, write
from alljax.data.synthetic.repeats import KINDS, plant
from alljax.data.synthetic.slides import Slide, slide

__all__ = ['CLASSES', 'KINDS', 'Drawing', 'Planned', 'Slide', 'draw', 'plan', 'plant', 'slide', 'write']
