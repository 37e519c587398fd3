"""HTTP in and out. No decisions: a request becomes a call into the flow, an answer or a refusal becomes a response."""
