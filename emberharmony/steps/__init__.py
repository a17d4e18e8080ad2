"""The steps of a chunk: pure functions of tables, arrays, fitted state and specs. They read and write nothing."""
