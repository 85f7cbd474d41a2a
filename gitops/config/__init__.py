"""What a project says of itself: `stagecraft.yml` and its descriptors."""
