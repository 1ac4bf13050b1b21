"""A node without its middleware: serialised messages in, serialised messages out."""
