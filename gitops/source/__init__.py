"""Where desired state is read from: repositories, their mirrors, and trees of files."""
