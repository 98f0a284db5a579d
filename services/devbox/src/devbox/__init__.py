"""The one-machine run of Purser: embedded servers, process supervisor, Telegram simulator."""
