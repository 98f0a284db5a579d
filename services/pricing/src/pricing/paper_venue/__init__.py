"""The paper venue: market orders executed at pricing's quotes, with play money.

It is served by pricing's process because it prices by the quotes that are in that process's memory,
and it is a room within the room: schema and role of its own (`venue`, `purser_venue`), and it sees
of the quote side what `application.Quotes` says. `pricing.main` enters through `opening`.
"""
