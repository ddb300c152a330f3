"""What the chapters of the book need to show things: set-up, widgets, exercises and grading."""
