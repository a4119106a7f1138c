"""`python -m alljax.gradients` is `alljax explain`: handed over by name, so this room imports no command."""

import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['explain']
    runpy.run_module('alljax', run_name='__main__')
