"""`stagecraft demo`: a team's day on this machine's engine, with everything it needs made on the spot."""
