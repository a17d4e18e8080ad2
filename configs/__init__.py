"""Job files in YAML. The folder is a package so that the demo's job is part of the wheel."""
