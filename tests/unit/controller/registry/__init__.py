"""Names, challenges and documents of registries."""
