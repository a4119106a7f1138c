"""What the server of forked.py has done before it forks: it imported all, and saves time as conftest.py does."""
# ruff: noqa: F401

import matplotlib
import matplotlib.backends.backend_agg
import sklearn.svm
import skops.io
import tensorboardX
import tensorflow_datasets

import alljax.commands.predict
import alljax.commands.train
import alljax.data.datasets.builder
import alljax.evaluation.gradient_curves
import alljax.runs.network_kind
import alljax.sweep
import configs.subtype
from alljax.storage import cache

cache.WORTH_KEEPING = 0
matplotlib.rcParams['savefig.dpi'] = 50
