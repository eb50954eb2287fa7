"""People, journeys, credit: from the event log to published conversions."""
