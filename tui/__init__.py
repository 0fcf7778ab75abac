"""The terminal side of medtui: it reads run folders and never imports the trainer."""
