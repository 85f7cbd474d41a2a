"""Images that Stagecraft builds: what is sent to the builder, taken from a commit's tree alone."""
