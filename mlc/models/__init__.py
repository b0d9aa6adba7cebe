"""One file per dependency model, each with one class `Model`."""
