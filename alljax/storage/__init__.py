"""All that is kept on disk: checkpoints, models, features, run folders; each file whole or not there at all."""
