"""`tributary demo`: a whole installation, realistic traffic with known truth, and a table that compares the two.

`world` makes people, journeys and orders from a seed; `channels` says how each channel looks to the door; `script`
turns the world into events with the answers they must get; `truth` computes the credit from the world alone, in
fractions; `traffic` sends; `receiver` takes the webhooks; `checks` compares. Nothing that is expected comes from the
system.
"""
