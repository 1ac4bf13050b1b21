"""The command line: one verb a file, each verb a function too."""
