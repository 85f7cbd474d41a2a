"""What should be: from a commit of a watched repository to a Manifest."""
