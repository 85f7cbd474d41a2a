"""Read models: pure folds of the log, disposable, each with its checkpoint in the same transaction."""
