"""What the bot says. `book` is the door: it lists the commands and finds who answers."""
