"""Studies: from a question in a YAML file to runs, and from their folders to verdicts."""
