"""Jobs as YAML, one file each; a package, so that the demo's job also ships in the wheel."""
