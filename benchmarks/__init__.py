"""Commands that measure every figure of the README and of docs/design.md: they print ratios and assert nothing."""
