"""What buyer and agent write to each other, and scripts."""

from typing import Annotated, Literal

from pydantic import Field

from unwind.domain.stage import Stage
from unwind.flow.scripts import Script
from unwind.tagging import Reason
from unwind.tagging.labels import Emotion
from unwind.web.schemas.fields import Id, NoTelephone, NotPersonal, Strict

Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]
Channel = Literal["app", "hotline", "chat", "store", "merchant", "api", "bulk"]
ClientKey = Annotated[
    Annotated[Id, NoTelephone] | None,
    Field(description="the sender's own id of the message: sent again, it is written once"),
]
ScriptText = Annotated[str, Field(min_length=1, max_length=1000), NotPersonal]


class AgentWritesIn(Strict):
    text: Words
    key: ClientKey = None
    script_id: Id | None = Field(default=None, description="the script the text came from, edited or not")


class BuyerWritesIn(Strict):
    text: Words
    channel: Channel = Field(default="app", description="over which the buyer said it")
    key: ClientKey = None


class ScriptIn(Strict):
    """Empty lists fit everything. `zh` and `en` may name variables in braces."""

    title: Annotated[str, Field(min_length=1, max_length=60), NotPersonal]
    zh: ScriptText
    en: ScriptText
    reasons: Annotated[list[Reason], Field(max_length=20)] = Field(default=[])
    stages: Annotated[list[Stage], Field(max_length=20)] = Field(default=[])
    channels: Annotated[list[Channel], Field(max_length=10)] = Field(default=[])
    emotions: Annotated[list[Emotion], Field(max_length=2)] = Field(default=[])
    is_active: bool = Field(default=True, description="false: taken out of use, also one that the program brings")

    def script(self, script_id: str) -> Script:
        return Script(
            script_id=script_id,
            version=0,
            title=self.title,
            zh=self.zh,
            en=self.en,
            reasons=tuple(reason.value for reason in self.reasons),
            stages=tuple(stage.value for stage in self.stages),
            channels=tuple(self.channels),
            emotions=tuple(emotion.value for emotion in self.emotions),
            is_active=self.is_active,
        )
