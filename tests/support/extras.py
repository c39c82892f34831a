"""The modules that need an extra, which `make test` does not install."""

OF_EXTRAS = ("recording.lightning", "recording.hugging_face", "engines.dask", "engines.slurm")
