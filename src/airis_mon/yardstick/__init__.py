"""The instrument that every change is judged with: us and others on the same work, one file per question."""
