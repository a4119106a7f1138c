"""Trains the small U-Net of the classical system `unet`, which finds nucleus and cytoplasm of the cell in a picture.

It learns from drawn cells, and from your own masks with --masks: of pictures as `alljax baselines SYSTEM IMAGES
--measure OUT --truth MASKS` reads them. One in five of yours is held out, and the scores on these are printed. OUT gets
unet.safetensors and unet.json, a card that says on what it was trained.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from alljax.commands import Parser
from alljax.errors import printable

CELLS, STEPS = 2000, 640


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, writes the folder, and prints the scores on cells that were held out."""
    options = _parser().parse_args(arguments)
    from alljax.storage import cache
    from alljax.training.segmentation import train

    folders = [train.Masks(*(path.expanduser() for path in pair)) for pair in options.masks]
    command = ['alljax', 'segmentation', options.out.name, '--cells', str(options.cells), '--steps', str(options.steps)]
    command += ['--seed', str(options.seed)]
    for folder in folders:
        command += ['--masks', folder.images.name, folder.masks.name]
    wanted = train.Wanted(options.out, options.cells, options.steps, options.seed, folders, shlex.join(command))
    train.check(wanted)
    cache.keep_compiled_programs()
    card = train.write(wanted)
    for name, score in card['held_out'].items():
        said = f'Dice of the nucleus {score["nucleus_dice"]:.3f}, of the cell {score["cell_dice"]:.3f}'
        print(printable(f'{name}, held out: {said} ({score["cells"]} cells)'))
    weights = options.out / train.WEIGHTS
    print(printable(f'written: {weights} and {train.CARD}; to use it:'))
    print(printable(f'  alljax baselines unet IMAGES --measure OUT --weights {weights}'))
    print(printable(f'  alljax train … --config.baseline.system=unet --config.baseline.weights={weights}'))
    return 0


def _parser() -> Parser:
    parser = Parser('segmentation', __doc__ or '', 'alljax segmentation mine --masks my/images my/masks')
    parser.add_argument('out', type=Path, metavar='OUT', help='the folder to write')
    parser.add_argument('--cells', type=int, default=CELLS, metavar='N', help=f'cells to draw (default {CELLS})')
    parser.add_argument(
        '--steps', type=int, default=STEPS, metavar='N', help=f'steps of training, 16 cells each (default {STEPS})'
    )
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='of the cells and of the training (default 0)')
    parser.add_argument(
        '--masks', type=Path, nargs=2, action='append', default=[], metavar=('IMAGES', 'MASKS'),
        help='a folder of pictures of one cell each, and that of their masks; may be given several times',
    )  # fmt: skip
    return parser
