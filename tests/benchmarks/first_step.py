"""Seconds from the start of the process to the first step of AlexNet, with and without compiled programs in the cache.

    python tests/benchmarks/first_step.py [--rounds 3]

Each is `python launch.py --config=configs/subtype.py` on 40 drawn cells that are in the cache already, until its first
step stands in metrics.jsonl; then it is ended. `import alljax` and `alljax --help` are timed too.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import growth

COMMAND = (
    sys.executable, 'launch.py', '--config=configs/subtype.py', '--config.data.name=synthetic',
    '--config.data.cells=40', '--config.checkpoint.seconds=1e9',
)  # fmt: skip


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    print(f'{growth.processor()}, medians of {options.rounds}')
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / 'cache'
        where = {**os.environ, 'ALLJAX_CACHE': str(cache)}

        def first_step(number: int, *, cold: bool) -> float:
            if cold:
                shutil.rmtree(cache / 'xla', ignore_errors=True)
            return seconds_to_first_step(Path(temporary) / f'{cold}{number}', where)

        first_step(-1, cold=False)  # which draws the cells
        for name, once in {
            'first step of AlexNet, nothing compiled': lambda number: first_step(number, cold=True),
            'first step of AlexNet, programs in the cache': lambda number: first_step(number, cold=False),
            'import alljax': lambda _: seconds([sys.executable, '-c', 'import alljax'], where),
            'alljax --help': lambda _: seconds([sys.executable, '-m', 'alljax', '--help'], where),
        }.items():
            print(f'{name:46}{median(once, options.rounds):7.2f} s', flush=True)


def seconds_to_first_step(workdir: Path, where: Mapping[str, str]) -> float:
    """The seconds of one start; the run is killed then."""
    rows, began = workdir / 'metrics.jsonl', time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, f'--workdir={workdir}'], cwd=ROOT, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (rows.exists() and '"loss"' in rows.read_text()):
        if process.poll() is not None:
            raise SystemExit(f'the run ended with exit code {process.returncode} before its first step')
        time.sleep(0.02)
    took = time.monotonic() - began
    process.kill()
    process.wait()
    return took


def seconds(command: Sequence[str], where: Mapping[str, str]) -> float:
    """The seconds of a process."""
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=where, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def median(once: Callable[[int], float], rounds: int) -> float:
    """The median of some rounds."""
    return statistics.median(once(number) for number in range(rounds))


if __name__ == '__main__':
    main()
