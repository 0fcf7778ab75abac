"""One file a command: what ``medtui`` asks the engine to do, from its arguments to its exit code."""
