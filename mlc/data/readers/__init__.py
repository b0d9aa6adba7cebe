"""Files -> Table. One format a file, each with `read(path, ...) -> Table`."""
