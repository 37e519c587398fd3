"""Reads a buyer's words: reason, intent, urgency and emotion, each with the words that prove it.

Patterns and rules, no model: every answer can be explained by the spans it points at. Pure; nothing is read or written.
"""

from unwind.tagging.labels import Emotion, Evidence, Intent, Reason, Tags, Urgency
from unwind.tagging.phrases import Phrase
from unwind.tagging.tagger import tag

__all__ = ["Emotion", "Evidence", "Intent", "Phrase", "Reason", "Tags", "Urgency", "tag"]
