"""Whether a job got slower or became another one: sessions compared with sessions. Pure arithmetic on verdicts."""
