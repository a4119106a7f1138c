"""The classical systems of Table 6: `python -m alljax.baselines SYSTEM RUN_OR_FOLDER`."""
