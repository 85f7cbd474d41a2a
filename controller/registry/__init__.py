"""What a registry of images answers: names, credentials, tokens, manifests, one client."""
