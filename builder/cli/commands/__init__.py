"""One module a command; each holds ``command``, which reads arguments and calls the pipeline."""
