"""The life of alerts: lifecycle, inhibition, silences, incidents, recommendations."""
