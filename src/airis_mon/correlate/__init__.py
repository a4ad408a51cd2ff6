"""What belongs together: values of rules become alerts, alerts become incidents. Pure."""
