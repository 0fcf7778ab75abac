"""What is known of runs, as frozen values; nothing here imports Textual."""
