"""The drawings of a report. Each file draws one kind; matplotlib is imported when the first one is drawn."""
