"""Heat maps of a trained network on images: `python -m alljax.gradients RUN IMAGES… [--methods …] [--to FOLDER]`."""

import sys

from alljax import explain
from alljax.errors import told_to_the_user

if __name__ == '__main__':
    with told_to_the_user():
        sys.exit(explain.main())
