"""The command line, `cero`; extra `cli`."""
