"""The closed shelf every service stands on. Nothing here knows a user, an order or a coin."""
