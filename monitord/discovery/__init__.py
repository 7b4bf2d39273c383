"""`monitord init`: what is there to be watched, and the `.env` that would watch it."""
