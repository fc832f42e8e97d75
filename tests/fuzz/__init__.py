"""Random commands, data files, model folders and damage, each judged by more than its exit code.

    scripts/fuzz 10000 --seed 1        resumes an earlier call with the same seed
    scripts/fuzz 10000 --seed 1 --only 4711

Draw n of a seed is the same on every machine. A generator (`overrides`, `data_files`,
`model_folders`, `damage`) makes a `Case`; `arena` runs it in a process of its own and judges it.
"""
