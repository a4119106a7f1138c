"""`python -m alljax.weights NAME`, `NAME --file weights.pth` or `--list`."""

import argparse
import logging
from pathlib import Path

from alljax import models
from alljax.errors import UserError, nearest, told_to_the_user
from alljax.weights import weight_cache
from alljax.weights.published import everything


def main(arguments: list[str] | None = None) -> None:
    """Lists published weights, or puts those of one network into the cache."""
    parser = argparse.ArgumentParser(prog='python -m alljax.weights', description=__doc__)
    parser.add_argument('name', nargs='?', metavar='NAME', help='a network, such as resnet50')
    parser.add_argument('--weights', default='', metavar='W', help='others than the recommended, e.g. IMAGENET1K_V1')
    parser.add_argument('--file', type=Path, metavar='F', help='converts this .pth, .safetensors or .caffemodel')
    parser.add_argument('--without-head', action='store_true', help="with --file: drops the file's last layers")
    parser.add_argument('--out', type=Path, metavar='DIR', help='with --file: where to, instead of the cache')
    parser.add_argument('--list', action='store_true', help='shows every network and its published weights')
    options = parser.parse_args(arguments)
    if options.list:
        print('\n'.join(listing()))
        return
    if not options.name:
        raise UserError('a NAME is missing; python -m alljax.weights --list shows all, for example resnet50')
    if options.name not in models.MODELS:
        raise UserError(
            f'{options.name}: there is no such network{nearest(options.name, models.MODELS)}; '
            'python -m alljax.weights --list shows all'
        )
    if options.file:
        if options.weights:
            raise UserError('--weights and --file exclude each other: the file decides; leave one out')
        folder = weight_cache.from_file(options.name, options.file, head=not options.without_head, out=options.out)
    elif options.out or options.without_head:
        raise UserError('--out and --without-head belong to --file; name one, or leave them out')
    else:
        folder = weight_cache.obtain(options.name, options.weights)
    print(f'{folder}\nStart from it with --config.model.name={options.name} --config.model.init={folder}')


def listing() -> list[str]:
    """One line for each published file."""
    rows = everything()
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


if __name__ == '__main__':
    logging.basicConfig(format='%(message)s', level=logging.INFO)
    with told_to_the_user():
        main()
